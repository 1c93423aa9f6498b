"""A server that speaks the public part of Bybit's version 5 interface, over candles of your own.

It is what the tests of this package fetch from, faults and all, and what a notebook can play a
market from, a candle at a time, without a network. Format:
https://bybit-exchange.github.io/docs/v5/intro. Chapter: the live pipeline.
"""

import json
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

import pandas as pd

from genfin_lib.data.exchange.answers import BybitAnswers
from genfin_lib.data.exchange.faults import Fault, send


class BybitReplay(BybitAnswers):
    """Serves candles as Bybit would, up to a moment that you set; a context manager.

    The candle in which `now` lies is served too, half finished, as an exchange does. Each market is
    there twice, as spot and as perpetual. Funding rates, open interest, order book and trades are
    made up from the candles, reproducibly.

    Args:
        candles: For each symbol, `"BTC/USDT"`, a frame with Open, High, Low, Close, Volume and the
            start of each candle, UTC, as index; all of one time frame. Rows may be missing.
        now: What the exchange's clock says; after the last candle if `None`. May be set later.
        faults: What goes wrong at each request for candles; `None` for a right answer.
        patience: Seconds of a silence.

    Attributes:
        url: To be given as `base_url` of an `Exchange`.
        requests: Paths and parameters of all requests so far.
        now: The clock, a `Timestamp`.

    Raises:
        ValueError: no candles, or of a time frame that Bybit does not have.
    """

    def __init__(
        self,
        candles: dict[str, pd.DataFrame],
        *,
        now: str | pd.Timestamp | None = None,
        faults: Iterable[Fault | None] = (),
        patience: float = 1.0,
    ) -> None:
        super().__init__(candles, now=now)
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._faults: Iterator[Fault | None] = iter(faults)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.patience = patience  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> Self:
        """Serve from now on, in a thread that ends with the process; `with` does it too."""
        # A short poll: the default of half a second is what closing would take.
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fault(self, path: str) -> Fault | None:
        """What goes wrong at this request."""
        return next(self._faults, None) if path.endswith("/kline") else None


def _handler(replay: BybitReplay) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
            replay.requests.append((parts.path, asked))
            answer, fault = replay.answer(parts.path, asked), replay.fault(parts.path)
            if fault is None:
                send(self, json.dumps(answer).encode())
            else:
                fault(self, answer)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler
