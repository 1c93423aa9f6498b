"""Decisions are those of the forecaster, candle by candle as all at once, and see no future."""

import numpy as np
import pandas as pd
import pytest

from genfin_lib.applications import RiskPipeline
from genfin_lib.applications.live import PaperAccount, follow, journal_table, replay
from genfin_lib.data import fetch_ohlcv, log_returns, simulate_candles
from genfin_lib.data.exchange import BybitReplay, Exchange
from genfin_lib.risk import Ewma, Garch, walk_forward
from genfin_lib.trading import backtest, no_trade_band, var_sizing

BTC, ETH = "BTC/USDT", "ETH/USDT"
PAST, ROWS, WINDOW = 400, 520, 301


@pytest.fixture(scope="module")
def closes():
    return pd.DataFrame(
        {symbol: simulate_candles(ROWS, seed=s)["Close"] for s, symbol in enumerate((BTC, ETH))}
    )


def pipeline(closes, forecaster=None, **settings):
    settings = {"window": WINDOW, "drop": 0.02, "limit": 0.01, **settings}
    return RiskPipeline(forecaster or Ewma(), **settings).fit(closes[:PAST])


def test_replay_equals_the_walk_forward_of_its_forecaster(closes):
    pipe = pipeline(closes, Garch(), window=PAST)
    table = pd.concat({d.date: d.risk for d in pipe.replay(closes)})
    returns = 100 * log_returns(closes)
    known = walk_forward(
        Garch(),
        returns,
        start=closes.index[PAST],
        window=PAST - 1,
        refit_every=ROWS,
        levels=(0.99,),
    )
    for name in ("var", "es"):
        expected = known.pivot(index="date", columns="series", values=name) / 100
        # A decision bears the date of the last candle seen, a forecast that of the one to come.
        ours = table[name].unstack()[:-1].set_axis(expected.index)
        pd.testing.assert_frame_equal(
            ours[closes.columns], expected[closes.columns], rtol=1e-9, check_names=False
        )


def test_position_follows_from_the_risk(closes):
    (decision,) = pipeline(closes, limit=1.0, cap=2.0).replay(closes[:WINDOW])
    risk = decision.risk
    assert (risk["es"] > risk["var"]).all()
    simple = 1 - np.exp(-risk["var"])
    pd.testing.assert_series_equal(
        risk["position"], var_sizing(simple, budget=0.01, cap=2.0) / 2, check_names=False
    )
    law = Ewma().fit(100 * log_returns(closes[:PAST])).forecast(100 * log_returns(closes[:WINDOW]))
    np.testing.assert_allclose(risk["tail"], law.cdf(-2.0))
    np.testing.assert_allclose(risk["var"], -law.quantile(0.01) / 100)
    (aside,) = pipeline(closes, limit=float(risk["tail"].min()) / 2).replay(closes[:WINDOW])
    assert (aside.risk["position"] == 0).all()


def test_future_changes_no_decision(closes):
    spoiled = closes.copy()
    spoiled.iloc[450:] *= np.random.default_rng(0).uniform(0.5, 2.0, (ROWS - 450, 2))
    for one, other in zip(
        pipeline(closes).replay(closes[:460]), pipeline(closes).replay(spoiled[:460]), strict=True
    ):
        if one.date < closes.index[450]:
            pd.testing.assert_frame_equal(one.risk, other.risk)
    assert not one.risk.equals(other.risk)  # at the end it did see something else


def test_paper_account_earns_what_the_backtest_computes(closes):
    pipe = pipeline(closes)
    table = replay(pipe, PaperAccount([BTC, ETH], cost=0.002, band=0.05), closes)
    wanted = pd.concat({d.date: d.risk["position"] for d in pipe.replay(closes)}).unstack()
    wanted = wanted[[BTC, ETH]]
    simple = (closes / closes.shift() - 1).loc[wanted.index]
    # The account starts in cash, with its first decision measured against that.
    banded = no_trade_band(pd.concat([0 * wanted[:1], wanted]).reset_index(drop=True), band=0.05)
    banded = banded[1:].set_axis(wanted.index)
    known = backtest(banded, simple, periods_per_year=24 * 365, cost=0.002)
    np.testing.assert_allclose(table["wealth_before"][1:], known.equity, rtol=1e-12)
    assert known.turnover.sum() > 0.5
    assert (table[f"{BTC} position"] == banded[BTC]).all()


def test_restart_goes_on_from_the_journal(closes, tmp_path):
    pipe, journal = pipeline(closes), tmp_path / "paper.jsonl"
    whole = replay(pipe, PaperAccount([BTC, ETH]), closes)
    first = replay(pipe, PaperAccount([BTC, ETH], journal=journal), closes[:400])
    with journal.open("a") as file:
        file.write('{"date": "2023-')  # killed while writing
    second = replay(pipe, PaperAccount([BTC, ETH], journal=journal), closes)
    pd.testing.assert_frame_equal(pd.concat([first, second]), whole)
    assert len(journal.read_text().splitlines()) == len(whole)
    with pytest.raises(ValueError, match="name another"):
        PaperAccount([BTC], journal=journal)


def test_account_refuses_what_cannot_be(closes):
    pipe, account = pipeline(closes), PaperAccount([BTC, ETH])
    decisions = list(pipe.replay(closes[: WINDOW + 1]))
    account.mark(decisions[0].date, closes.loc[decisions[0].date])
    with pytest.raises(ValueError, match="is the last candle"):
        account.trade(decisions[1])
    with pytest.raises(ValueError, match="not after"):
        account.mark(decisions[0].date, closes.loc[decisions[0].date])
    with pytest.raises(ValueError, match="a price for each"):
        account.mark(decisions[1].date, np.nan * closes.loc[decisions[1].date])
    with pytest.raises(ValueError, match="fetch from further back"):
        pipe.decide(closes[:10])
    with pytest.raises(ValueError, match="at least three closes"):
        RiskPipeline(Ewma(), drop=-1.0)
    with pytest.raises(ValueError, match="shares from 0"):
        PaperAccount([BTC], cost=1.0)


def test_latency_table_has_all_stages(closes):
    table = pipeline(closes).latency(closes[: WINDOW + 40], warm_up=5)
    assert list(table.index) == [*RiskPipeline.STAGES, "total"]
    assert (table["p50"] <= table["p95"]).all()
    assert (table["p95"] <= table["p99"]).all()
    assert (table["decisions"] == 36).all()
    with pytest.raises(ValueError, match="no decision to time"):
        pipeline(closes).latency(closes[:WINDOW])


@pytest.fixture
def market(tmp_path, monkeypatch):
    """A server whose clock only moves when somebody sleeps."""
    monkeypatch.setenv("GENFIN_CACHE", str(tmp_path / "cache"))
    candles = {symbol: simulate_candles(ROWS, seed=s) for s, symbol in enumerate((BTC, ETH))}
    with BybitReplay(candles) as server:
        server.now = candles[BTC].index[450] + pd.Timedelta("20min")
        server.exchange = Exchange(base_url=server.url, throttle=False)
        server.sleep = lambda seconds: setattr(
            server, "now", server.now + pd.Timedelta(seconds=seconds)
        )
        yield server


def test_live_loop_equals_the_replay(closes, market, tmp_path):
    pipe = pipeline(closes)
    account = PaperAccount([BTC, ETH], journal=tmp_path / "paper.jsonl")
    live = list(follow(pipe, account, "1h", market.exchange, candles=5, sleep=market.sleep))
    # It started in the middle of candle 450: its first decision is at the close of that one.
    assert live[0]["date"] == str(closes.index[450])
    history = closes[450 + 1 - WINDOW : 455]
    table = replay(pipe, PaperAccount([BTC, ETH]), history)
    pd.testing.assert_frame_equal(journal_table(live), table, rtol=1e-8, check_freq=False)
    # Killed, and up again three hours and a half later: three candles are missed.
    market.sleep(3.5 * 3600)
    again = PaperAccount([BTC, ETH], journal=tmp_path / "paper.jsonl")
    held = again.held.copy()
    (line,) = follow(pipe, again, "1h", market.exchange, candles=1, sleep=market.sleep)
    assert line["date"] == str(closes.index[458])
    grown = held @ (closes.iloc[458] / closes.iloc[454]).to_numpy() + 1 - held.sum()
    assert line["wealth_before"] == pytest.approx(live[-1]["wealth"] * grown, rel=1e-6)


def test_fetched_closes_decide_like_the_candles_themselves(closes, market):
    pipe = pipeline(closes)
    market.now = closes.index[450] + pd.Timedelta("1min")
    table = fetch_ohlcv([BTC, ETH], "1h", exchange=market.exchange)
    fetched = table.xs("Close", axis=1, level=1)
    # The candle of that minute is running: it is not there.
    assert fetched.index[-1] == closes.index[449]
    pd.testing.assert_frame_equal(
        pipe.decide(fetched).risk, pipe.decide(closes[:450]).risk, rtol=1e-6
    )
