"""Candles through the real ccxt client from a server in Bybit's format: complete, closed, kept."""

import numpy as np
import pandas as pd
import pytest

from genfin_lib.data import (
    fetch_funding_rates,
    fetch_ohlcv,
    fetch_open_interest,
    fetch_order_book,
    fetch_trades,
)
from genfin_lib.data.exchange import BybitReplay

BTC = "BTC/USDT"


def klines(server):
    return [asked for path, asked in server.requests if path.endswith("/kline")]


def same(found, candles):
    pd.testing.assert_frame_equal(found, candles, check_freq=False)


def test_history_of_several_pages_equals_what_the_exchange_has(candles, connect):
    with BybitReplay({BTC: candles}) as server:
        same(fetch_ohlcv(BTC, "1h", "2023-01-01", exchange=connect(server)), candles)
        assert len(klines(server)) == 3
        assert all(int(asked["limit"]) == 1000 for asked in klines(server))


def test_running_candle_is_never_stored(candles, connect):
    with BybitReplay({BTC: candles}, now=candles.index[50] + pd.Timedelta("59m59s")) as server:
        exchange = connect(server)
        same(fetch_ohlcv(BTC, "1h", exchange=exchange), candles[:50])
        # One second after its end the exchange may still be writing it; three seconds after not.
        server.now = candles.index[51] + pd.Timedelta("1s")
        same(fetch_ohlcv(BTC, "1h", exchange=exchange), candles[:50])
        server.now = candles.index[51] + pd.Timedelta("3s")
        same(fetch_ohlcv(BTC, "1h", exchange=exchange), candles[:51])


def test_second_run_asks_for_the_tail_alone(candles, connect):
    with BybitReplay({BTC: candles}, now=candles.index[2000] + pd.Timedelta("1min")) as server:
        exchange = connect(server)
        fetch_ohlcv(BTC, "1h", exchange=exchange)
        before = len(klines(server))
        fetch_ohlcv(BTC, "1h", exchange=exchange)
        assert len(klines(server)) == before
        server.now = candles.index[2003] + pd.Timedelta("1min")
        same(fetch_ohlcv(BTC, "1h", exchange=exchange), candles[:2003])
        (tail,) = klines(server)[before:]
        assert int(tail["start"]) == candles.index[2000].value // 10**6


def test_earlier_since_fetches_the_head_alone(candles, connect):
    with BybitReplay({BTC: candles}) as server:
        exchange = connect(server)
        same(fetch_ohlcv(BTC, "1h", candles.index[2000], exchange=exchange), candles[2000:])
        before = len(klines(server))
        same(fetch_ohlcv(BTC, "1h", candles.index[1500], exchange=exchange), candles[1500:])
        assert len(klines(server)) == before + 1


def test_stored_stretch_needs_no_network(candles, connect):
    with BybitReplay({BTC: candles}) as server:
        exchange = connect(server, attempts=1)
        fetch_ohlcv(BTC, "1h", exchange=exchange)
    first, last = candles.index[[10, 20]]
    same(fetch_ohlcv(BTC, "1h", first, last, exchange), candles[10:20])


def test_candle_that_the_exchange_is_late_with_comes_next_time(candles, connect):
    late = candles.drop(candles.index[100])
    with BybitReplay({BTC: late[:100]}, now=candles.index[101] + pd.Timedelta("1min")) as server:
        exchange = connect(server)
        same(fetch_ohlcv(BTC, "1h", exchange=exchange), candles[:100])
    with BybitReplay({BTC: candles}, now=candles.index[101] + pd.Timedelta("1min")) as server:
        same(fetch_ohlcv(BTC, "1h", exchange=connect(server)), candles[:101])


@pytest.mark.parametrize("gap", [slice(40, 43), slice(700, 2000), slice(990, 1010)])
def test_gap_shows_as_nan_and_is_not_asked_for_again(candles, connect, gap):
    with BybitReplay({BTC: candles.drop(candles.index[gap])}) as server:
        exchange = connect(server)
        found = fetch_ohlcv(BTC, "1h", exchange=exchange)
        missing = candles.copy()
        missing.iloc[gap] = np.nan
        same(found, missing)
        before = len(klines(server))
        same(fetch_ohlcv(BTC, "1h", exchange=exchange), missing)
        assert len(klines(server)) == before


def test_history_begins_with_the_listing(candles, connect):
    with BybitReplay({BTC: candles}) as server:
        exchange = connect(server)
        same(fetch_ohlcv(BTC, "1h", "2022-06-01", exchange=exchange), candles)
        before = len(klines(server))
        fetch_ohlcv(BTC, "1h", "2022-06-01", exchange=exchange)
        assert len(klines(server)) == before


def test_symbols_are_aligned_on_the_timestamp(candles, connect):
    young = candles.iloc[600:].drop(candles.index[900]) / 10
    with BybitReplay({BTC: candles, "ETH/USDT": young}) as server:
        found = fetch_ohlcv([BTC, "ETH/USDT"], "1h", exchange=connect(server))
    same(found[BTC], candles)
    same(found["ETH/USDT"].dropna(), young)
    assert found["ETH/USDT"].isna().all(axis=1).sum() == 601


def test_perpetual_has_funding_and_open_interest(candles, connect):
    swap = "BTC/USDT:USDT"
    with BybitReplay({BTC: candles}) as server:
        exchange = connect(server)
        same(fetch_ohlcv(swap, "1h", exchange=exchange), candles)
        rates = fetch_funding_rates(swap, exchange=exchange)
        interest = fetch_open_interest(swap, exchange=exchange)
        before = len(server.requests)
        pd.testing.assert_series_equal(fetch_funding_rates(swap, exchange=exchange), rates)
        again = [path for path, _ in server.requests[before:]]
    # The grid of settlements, and one reading an hour: nothing lost between pages of 200.
    assert (rates.index.to_series().diff().dropna() == pd.Timedelta("8h")).all()
    assert rates.index[0] == candles.index[0]
    assert len(rates) == len(candles) // 8 + 1
    close = candles["Close"].asof(rates.index)
    np.testing.assert_allclose(rates, 1e-4 + 1e-4 * np.sin(close / 100), atol=1e-8)
    assert interest.notna().all()
    known = candles["Close"].asof(interest.index)
    np.testing.assert_allclose(interest, 1e9 / known, atol=1e-3)
    assert len(interest) >= len(candles)
    # Settlements are eight hours apart: for the stretch after the last one it must ask again.
    assert again == ["/v5/market/time", "/v5/market/funding/history"]


def test_order_book_and_trades(candles, connect):
    with BybitReplay({BTC: candles}) as server:
        exchange = connect(server)
        book = fetch_order_book(BTC, 20, exchange)
        trades = fetch_trades(BTC, exchange=exchange)
        now = server.now.timestamp()
    assert (len(book), book.levels) == (1, 20)
    assert book.time[0] == now
    assert book.spread[0] == pytest.approx(0.1)
    assert book.mid[0] == pytest.approx(candles["Close"].iloc[-1], abs=0.01)
    assert len(trades) == 60
    assert trades["time"].iloc[-1] == now
    assert set(trades["side"]) == {-1, 1}


def test_refusals_say_what_to_do(candles, connect):
    with BybitReplay({BTC: candles}) as server:
        exchange = connect(server)
        with pytest.raises(ValueError, match=r"no market 'BTC/USD'.*BTC/USDT"):
            fetch_ohlcv("BTC/USD", "1h", exchange=exchange)
        with pytest.raises(ValueError, match=r"'7h': choose one of 1m, .*, 1d; .* resample"):
            fetch_ohlcv(BTC, "7h", exchange=exchange)
        with pytest.raises(ValueError, match="'1w'"):
            fetch_ohlcv(BTC, "1w", exchange=exchange)
        with pytest.raises(ValueError, match="not before"):
            fetch_ohlcv(BTC, "1h", "2023-02-01", "2023-01-01", exchange)
        with pytest.raises(ValueError, match="another stretch"):
            fetch_ohlcv(BTC, "1h", "2021-01-01", "2021-01-05", exchange)
        with pytest.raises(ValueError, match="each once"):
            fetch_ohlcv([BTC, BTC], "1h", exchange=exchange)
        with pytest.raises(ValueError, match="rejects the request"):
            fetch_funding_rates(BTC, exchange=exchange)
    with pytest.raises(ValueError, match=r"knows no exchange 'bibyt'"):
        fetch_ohlcv(BTC, "1h", exchange="bibyt")
