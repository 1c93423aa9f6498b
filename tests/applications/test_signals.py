"""Evening forecasts know the evening and no more; rules and portfolios follow from them."""

import numpy as np
import pandas as pd
import pytest

from genfin_lib.applications import read_results
from genfin_lib.applications.features import MarketContext
from genfin_lib.applications.forecasters import FlowForecaster
from genfin_lib.applications.protocol import protocol_returns
from genfin_lib.applications.signals import (
    FIRST,
    HOLD,
    REFIT_EVERY,
    SLICES,
    evening_forecasts,
    portfolio_backtests,
    rules,
)
from genfin_lib.trading import backtest
from tests.contracts.forecasters import market

START = "2016-06-01"  # row 368 of 400 business days


@pytest.fixture(scope="module")
def _short_training():
    """What is tested with it does not depend on how well the flow is trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FlowForecaster, "LEAST_STEPS", 40)
        yield


@pytest.fixture(scope="module")
def returns() -> pd.DataFrame:
    return market(400, 2)


@pytest.fixture(scope="module")
def evenings(returns, _short_training) -> pd.DataFrame:
    return evening_forecasts(returns, start=START, refit_every=20)


def test_a_row_holds_what_its_evening_knows(returns, evenings):
    """Against a forecaster of the day: percentile from yesterday's law, the rest from tonight's."""
    rows = evenings.set_index("date")
    assert rows.index.min() == pd.Timestamp(START)
    assert rows.index.max() == returns.index[-2]  # the last evening's tomorrow is not there
    first = returns.index.get_loc(pd.Timestamp(START))
    for begin, day in ((first, first + 3), (first, first + 19)):
        forecaster = FlowForecaster(context=MarketContext(index="series 0"))
        forecaster.fit(returns.iloc[:begin])
        row = rows.loc[returns.index[day]].set_index("series")
        before = forecaster.forecast(returns.iloc[:day])
        np.testing.assert_allclose(row["percentile"], before.cdf(returns.iloc[day].to_numpy()))
        if day == first + 19:  # tomorrow's law comes from the refit tonight
            forecaster.fit(returns.iloc[: begin + 20])
        tonight = forecaster.forecast(returns.iloc[: day + 1])
        simple = np.expm1(tonight.quantile(SLICES[:, None]) / 100)
        np.testing.assert_allclose(row["mean"], simple.mean(axis=0))
        np.testing.assert_allclose(row["volatility"], simple.std(axis=0))
        np.testing.assert_allclose(row["p_up"], 1 - tonight.cdf(0.0))
        np.testing.assert_allclose(row["var_0.975"], -np.expm1(tonight.quantile(0.025) / 100))


def test_corrupting_the_future_changes_no_past_evening(returns, evenings):
    corrupted = returns.copy()
    corrupted.iloc[385:] *= -3
    other = evening_forecasts(corrupted, start=START, refit_every=20)
    known = evenings["date"] < returns.index[385]
    pd.testing.assert_frame_equal(evenings[known], other[known])
    assert (evenings["percentile"] != other["percentile"])[~known].any()


def frame(**columns: list[float]) -> pd.DataFrame:
    return pd.DataFrame(columns, pd.bdate_range("2007-01-03", periods=3))


def test_rules_by_hand():
    past = pd.bdate_range("2006-01-02", periods=250)
    log = pd.Series(np.tile([-1.0, 1.0], 125), past)
    now = frame(
        percentile=[0.01, 0.5, 0.99],
        mean=[0.0002, -0.0002, 0.0],
        volatility=[0.01, 0.02, 0.01],
        p_up=[0.5, 0.5, 0.5],
        **{f"var_{level}": [0.02, 0.005, 0.0101] for level in ("0.99", "0.975", "0.95", "0.9")},
    )
    found = rules(now, pd.concat([log, pd.Series([-5.0, 0.0, 6.0], now.index)]))
    assert list(found["contrarian 5/95, flow"]) == [1, 0, -1]
    assert list(found["contrarian 5/95, history"]) == [1, 0, -1]
    assert list(found["sign of the flow's mean"]) == [1, -1, 0]
    assert found["half Kelly"].tolist() == pytest.approx([1.0, -0.25, 0.0])
    assert found["half Kelly, long only"].tolist() == pytest.approx([1.0, 0.0, 0.0])
    budget = -np.expm1(-0.01)  # every quantile of the two-point past below one half
    assert found["VaR 1 %"].tolist() == pytest.approx([budget / 0.02, 1.5, budget / 0.0101])
    held = found["VaR 2.5 %, band"]
    assert held.tolist() == pytest.approx([budget / 0.02, 1.5, budget / 0.0101])
    assert (found[HOLD] == 1).all()
    spread = np.expm1(log / 100).std()
    assert found["volatility target, flow"].iloc[0] == pytest.approx(spread / 0.01)


def test_portfolio_shares_the_capital_and_delays_decisions(returns, evenings):
    shifted = returns.set_axis(returns.index + pd.DateOffset(years=-9, days=-185))
    moved = evenings.assign(date=evenings["date"] + pd.DateOffset(years=-9, days=-185))
    start = str(moved["date"].min().date())
    tests = portfolio_backtests(moved, shifted, start=start, cost=0.001)
    simple = np.expm1(shifted.loc[start:] / 100)
    hold = backtest(0 * simple + 0.5, simple, periods_per_year=252, cost=0.001)
    pd.testing.assert_series_equal(tests[HOLD].net_returns, hold.net_returns)
    alone = portfolio_backtests(moved, shifted[["series 1"]], start=start, cost=0.001)
    position = rules(moved[moved["series"] == "series 1"].set_index("date"), shifted["series 1"])[
        "VaR 1 %"
    ]
    expected = backtest(
        position.reindex(simple.index).fillna(0.0),
        simple["series 1"],
        periods_per_year=252,
        cost=0.001,
    )
    pd.testing.assert_series_equal(alone["VaR 1 %"].net_returns, expected.net_returns)


def test_each_level_of_var_has_the_budget_of_its_level():
    """Budget over VaR, each its own; EWMA as the sum of its weights; half Kelly capped."""
    rng = np.random.default_rng(1)
    log = pd.Series(rng.standard_t(4, 500), pd.bdate_range("2005-02-03", periods=500))
    log = pd.concat([log[log.index < FIRST], pd.Series([-2.0, 1.0, 0.5], frame(a=[0, 0, 0]).index)])
    var = {0.99: 0.05, 0.975: 0.04, 0.95: 0.03, 0.9: 0.02}
    now = frame(
        percentile=[0.5] * 3,
        mean=[1.0, -1.0, 0.0],
        volatility=[0.01] * 3,
        **{f"var_{level:g}": [v] * 3 for level, v in var.items()},
    )
    found = rules(now, log)
    past = np.expm1(log[log.index < FIRST] / 100)
    for level, v in var.items():
        position = -np.quantile(past, 1 - level) / v
        assert position < 1.5
        assert found[f"VaR {100 * (1 - level):g} %"].iloc[0] == pytest.approx(position)
    assert found["half Kelly"].tolist() == [1.5, -1.5, 0.0]
    weights = 0.94 ** np.arange(len(log))[::-1]
    ewma = np.sqrt(np.average((log / 100) ** 2, weights=weights))
    position = min(past.std() / ewma, 1.5)
    assert found["volatility target, EWMA"].iloc[-1] == pytest.approx(position)
    # The last day's return and forecast change no position decided before it.
    later, turned = log.copy(), now.copy()
    later.iloc[-1], turned.iloc[-1] = -9.0, 0.2
    other = rules(turned, later)
    pd.testing.assert_frame_equal(found.iloc[:-1], other.iloc[:-1])
    assert (found != other).iloc[-1].any()


def test_an_evening_without_forecast_is_no_evening_in_cash(returns, evenings):
    shifted = returns.set_axis(returns.index + pd.DateOffset(years=-9, days=-185))
    moved = evenings.assign(date=evenings["date"] + pd.DateOffset(years=-9, days=-185))
    start, gap = moved["date"].min(), moved["date"].unique()[5]
    with pytest.raises(ValueError, match=f"no forecast on the evening of {gap:%Y-%m-%d}"):
        portfolio_backtests(moved[moved["date"] != gap], shifted, start=str(start.date()))
    with pytest.raises(ValueError, match="no evenings of"):
        portfolio_backtests(moved, shifted.rename(columns=str.upper), start=str(start.date()))


@pytest.mark.slow
def test_recorded_evenings_are_those_of_today():
    """The first stretch of the record, from scratch: one fit, ten evenings."""
    returns = protocol_returns()
    first = returns.index.get_loc(pd.Timestamp(FIRST))
    found = evening_forecasts(returns.iloc[: first + 11], refit_every=REFIT_EVERY)
    kept = read_results("signals_index")[:10]
    ours = found[found["series"] == "SP500"].drop(columns=["date", "series"])
    np.testing.assert_allclose(ours, kept.drop(columns="date"), rtol=1e-3, atol=1e-6)
