"""Several processes and sudden deaths: nothing written is lost, nothing is written twice."""

import multiprocessing
import random
import time

import pandas as pd
import pytest

from genfin_lib.data import fetch_ohlcv
from genfin_lib.data.exchange import BybitReplay, Exchange
from genfin_lib.data.exchange.fetch import store_of

BTC = "BTC/USDT"
# A forked child has everything imported; the warning is about locks that it does not touch.
FORK = multiprocessing.get_context("fork")
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def same(found, candles):
    pd.testing.assert_frame_equal(found, candles, check_freq=False)


@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_at_any_moment_it_loses_nothing(candles, connect, monkeypatch, kills):
    monkeypatch.setattr(Exchange, "page", lambda *_, **__: 102)  # 25 pages
    rng, store, moments = random.Random(0), store_of("bybit", BTC, "1h"), []
    with BybitReplay({BTC: candles}) as server:
        kept = store.read()
        for _ in range(kills):
            child = FORK.Process(
                target=fetch_ohlcv, args=(BTC, "1h"), kwargs={"exchange": connect(server)}
            )
            child.start()
            asked = rng.randrange(1, 7)  # pages in this life
            target = len(server.requests) + 4 + asked
            while child.is_alive() and len(server.requests) < target:
                time.sleep(0.001)
            time.sleep(0.01 * rng.random())
            child.kill()
            child.join()
            now = store.read()  # each file is verified here
            assert now.index.isin(kept.index).sum() == len(kept)
            moments.append(len(now))
            kept = now
        assert 0 < moments[0] < len(candles)
        before = len(server.requests)
        same(fetch_ohlcv(BTC, "1h", exchange=connect(server)), candles)
        # What was there is not asked for again.
        pages = sum(path.endswith("/kline") for path, _ in server.requests[before:])
        assert pages <= (len(candles) - len(kept)) // 100 + 1
    assert not list(store.folder.glob("*.tmp"))


def test_two_processes_at_once_fetch_once(candles, connect):
    with BybitReplay({BTC: candles}) as server:
        children = [
            FORK.Process(target=fetch_ohlcv, args=(BTC, "1h"), kwargs={"exchange": connect(server)})
            for _ in range(3)
        ]
        for child in children:
            child.start()
        for child in children:
            child.join()
        assert [child.exitcode for child in children] == [0, 0, 0]
        assert sum(path.endswith("/kline") for path, _ in server.requests) == 3
        same(fetch_ohlcv(BTC, "1h", exchange=connect(server)), candles)


def test_waiting_for_another_process_ends(tmp_path):
    store = store_of("bybit", BTC, "1h")
    with (
        store.lock(patience=1),
        pytest.raises(TimeoutError, match="another process has been writing"),
        store_of("bybit", BTC, "1h").lock(patience=0.05),
    ):
        pass
