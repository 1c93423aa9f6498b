"""Whatever goes wrong on the way, what is stored is right, and the end is near and clear."""

import json
import time

import pandas as pd
import pytest

from genfin_lib.data import fetch_ohlcv, load
from genfin_lib.data.exchange import (
    FAULTS,
    REFUSALS,
    BybitReplay,
    Exchange,
    ExchangeUnavailable,
    Retry,
    Store,
    at_random,
    each_once,
)
from genfin_lib.data.exchange.faults import send

BTC = "BTC/USDT"


def same(found, candles):
    pd.testing.assert_frame_equal(found, candles, check_freq=False)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("after", [0, 1])
def test_history_is_whole_after_any_fault(candles, connect, fault, after):
    faults = each_once(FAULTS[fault], after=after)
    with BybitReplay({BTC: candles}, faults=faults, patience=0.5) as server:
        same(fetch_ohlcv(BTC, "1h", exchange=connect(server, timeout=0.3)), candles)


@pytest.mark.parametrize("seed", range(4))
def test_history_is_whole_under_a_storm_of_faults(candles, connect, seed):
    storm = at_random(0.3, seed=seed)
    with BybitReplay({BTC: candles}, faults=storm, patience=0.5) as server:
        same(fetch_ohlcv(BTC, "1h", exchange=connect(server, timeout=0.3, attempts=9)), candles)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_refused_address_is_told_once_and_at_once(candles, connect, refusal):
    with BybitReplay({BTC: candles}, faults=[None, REFUSALS[refusal]]) as server:
        with pytest.raises(ExchangeUnavailable, match=r"403.*ten minutes.*okx.*bundled"):
            fetch_ohlcv(BTC, "1h", exchange=connect(server))
        assert sum(path.endswith("/kline") for path, _ in server.requests) == 2
    # The page before it is there.
    same(load(f"{BTC}:1h:ohlcv").drop(columns="Adj Close"), candles[:998])


def test_broken_list_of_markets_does_not_make_a_symbol_unknown(candles, connect):
    class Broken(BybitReplay):
        def fault(self, path):
            first = path.endswith("/instruments-info") and len(self.requests) == 1
            return FAULTS["JSON cut short"] if first else None

    with Broken({BTC: candles}) as server:
        same(fetch_ohlcv(BTC, "1h", exchange=connect(server)), candles)


def test_no_network_ends_soon_and_leaves_the_data(candles, connect):
    with BybitReplay({BTC: candles}, now=candles.index[100] + pd.Timedelta("1min")) as server:
        fetch_ohlcv(BTC, "1h", exchange=connect(server))
    began = time.monotonic()
    with pytest.raises(ExchangeUnavailable, match=r"6 tries .* Is there a network\? .*bundled"):
        fetch_ohlcv(BTC, "1h", exchange=connect(server))
    assert time.monotonic() - began < 5
    same(load(f"{BTC}:1h:ohlcv").drop(columns="Adj Close"), candles[:100])


def test_server_that_is_silent_for_ever_is_left(candles, connect):
    faults = iter(lambda: FAULTS["silence"], None)
    with BybitReplay({BTC: candles}, faults=faults, patience=0.3) as server:
        began = time.monotonic()
        with pytest.raises(ExchangeUnavailable, match="RequestTimeout"):
            fetch_ohlcv(BTC, "1h", exchange=connect(server, timeout=0.1, attempts=3))
        assert time.monotonic() - began < 3


def test_value_that_is_no_number_is_refused(candles, connect):
    def nan(handler, answer):
        answer["result"]["list"][5][4] = "NaN"
        send(handler, json.dumps(answer).encode())

    with (
        BybitReplay({BTC: candles}, faults=[nan]) as server,
        pytest.raises(ValueError, match="no finite number"),
    ):
        fetch_ohlcv(BTC, "1h", exchange=connect(server))


def test_damaged_file_is_refused_and_only_its_page_fetched_again(candles, connect, cache):
    with BybitReplay({BTC: candles}) as server:
        exchange = connect(server)
        fetch_ohlcv(BTC, "1h", exchange=exchange)
        path = sorted((cache / "bybit/BTC-USDT/1h").glob("*.parquet"))[1]
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)
        with pytest.raises(ValueError, match=r"damaged.*Delete this file"):
            fetch_ohlcv(BTC, "1h", exchange=exchange)
        path.unlink()
        before = len(server.requests)
        same(fetch_ohlcv(BTC, "1h", exchange=exchange), candles)
        assert len(server.requests) - before == 2  # the time, and one page


def test_wait_doubles_within_its_bounds():
    retry = Retry(base=1.0, cap=6.0)
    for failures, most in ((1, 1), (2, 2), (3, 4), (4, 6), (9, 6)):
        waits = [retry.wait(failures) for _ in range(50)]
        assert most / 2 <= min(waits) < max(waits) <= most
    with pytest.raises(ValueError, match="at least one attempt"):
        Retry(attempts=0)


def test_merged_files_hold_the_same_rows(candles, tmp_path):
    rows = candles.set_axis(pd.Index(candles.index.as_unit("ms").asi8, name="time"))
    store, hour = Store(tmp_path), 3_600_000
    for begin in range(0, 198, 3):
        part = rows.iloc[begin : begin + 3]
        store.write(int(part.index[0]), int(part.index[-1]) + hour, part)
    before, covered = store.read(), store.covered()
    (tmp_path / "left.tmp").write_bytes(b"half a page")
    store.tidy()
    assert len(list(tmp_path.iterdir())) == 1
    pd.testing.assert_frame_equal(store.read(), before)
    assert store.covered() == covered == [(int(rows.index[0]), int(rows.index[197]) + hour)]
    # Killed between writing the whole and deleting its parts: merged again, nothing is lost.
    for begin in range(0, 198, 3):
        part = rows.iloc[begin : begin + 3]
        store.write(int(part.index[0]), int(part.index[-1]) + hour, part)
    store.tidy()
    assert len(list(tmp_path.iterdir())) == 1
    pd.testing.assert_frame_equal(store.read(), before)


def test_other_address_moves_every_url():
    exchange = Exchange("binance", base_url="http://localhost:1/")
    assert exchange.client.urls["api"]["public"] == "http://localhost:1/api/v3"


def test_address_that_cannot_be_reached_is_no_wrong_request(candles, connect):
    def elsewhere(handler, answer):
        handler.send_response(302)
        handler.send_header("Location", handler.path)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    faults = iter(lambda: elsewhere, None)
    with (
        BybitReplay({BTC: candles}, faults=faults) as server,
        pytest.raises(ExchangeUnavailable, match=r"cannot be reached: TooManyRedirects.*bundled"),
    ):
        fetch_ohlcv(BTC, "1h", exchange=connect(server))
