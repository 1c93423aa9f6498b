"""Another exchange is one argument away: Binance's real ccxt client, a server in its format."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from genfin_lib.data import fetch_ohlcv, load
from genfin_lib.data.exchange.faults import send


@pytest.fixture
def binance(candles):
    """Oldest first, numbers beside strings, close times: all unlike Bybit."""
    times = candles.index.as_unit("ms").asi8
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            parts = urlsplit(self.path)
            query = {key: value[0] for key, value in parse_qs(parts.query).items()}
            asked.append(parts.path)
            answer = {
                "/api/v3/time": {"serverTime": int(times[-1]) + 7_200_000},
                "/api/v3/exchangeInfo": {
                    "symbols": [
                        {
                            "symbol": "BTCUSDT",
                            "status": "TRADING",
                            "baseAsset": "BTC",
                            "quoteAsset": "USDT",
                            "permissionSets": [["SPOT"]],
                            "filters": [],
                        }
                    ]
                },
                "/fapi/v1/exchangeInfo": {"symbols": []},
            }.get(parts.path)
            if parts.path == "/api/v3/klines":
                first, last = int(query["startTime"]), int(query["endTime"])
                answer = [
                    [int(t), *(str(value) for value in row), int(t) + 3_599_999, "0", 1, "0", "0"]
                    for t, row in zip(times, candles.to_numpy(), strict=True)
                    if first <= t <= last
                ][: int(query["limit"])]
            send(self, json.dumps(answer).encode())

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", asked=asked)
    server.shutdown()
    server.server_close()


def test_binance_by_one_argument(candles, connect, binance):
    exchange = connect(binance, name="binance", timeout=2)
    found = fetch_ohlcv("BTC/USDT", "1h", "2022-12-01", exchange=exchange)
    pd.testing.assert_frame_equal(found, candles, check_freq=False)
    assert binance.asked.count("/api/v3/klines") > 2
    assert len(load("binance:BTC/USDT:1h")) == len(candles)
