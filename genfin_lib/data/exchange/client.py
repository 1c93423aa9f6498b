"""One exchange behind ccxt: strict about broken answers, patient within bounds, clear about both.

ccxt (https://docs.ccxt.com) speaks the public interfaces of about a hundred exchanges. Three things
it leaves to its caller, and they are here: a body that cannot be read is an error and not an empty
answer; a failed request is tried again a bounded number of times, later each time; and each request
ends, even when the answer drips in byte by byte.
"""

import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pandas as pd

Answer = TypeVar("Answer")

# Without it ccxt asks Bybit for its options too, eight requests more.
_MARKETS = {"bybit": ["spot", "linear", "inverse"], "binance": ["spot", "linear"]}
_ELSEWHERE = (
    "What was stored before is untouched. Other ways: another exchange of ccxt, such as "
    "exchange='okx' or EXCHANGE=okx; another address of the same one, base_url= or URL=; the "
    "bundled data, genfin_lib.data.load('sp500_ohlcv')."
)


class ExchangeUnavailable(ConnectionError):
    """The exchange does not answer, or not from here; the message says what can be done."""


@dataclass(frozen=True)
class Retry:
    r"""How often and how late a failed request is tried again.

    .. math:: \text{wait}_k \sim U\bigl(\tfrac12, 1\bigr) \cdot \min(\text{cap}, b\, 2^{k-1})

    Doubling gives a busy server air, and the random part keeps clients that failed together from
    coming back together. M. Brooker (2015), Exponential backoff and jitter,
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/. Chapter: the live
    pipeline.

    Attributes:
        attempts: Requests in all, the first included.
        base: :math:`b`, seconds.
        cap: Longest wait, seconds.
    """

    attempts: int = 6
    base: float = 0.5
    cap: float = 10.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.base < 0 or self.cap < 0:
            raise ValueError(f"{self}: at least one attempt and no negative seconds are needed.")

    def wait(self, failures: int) -> float:
        """Seconds to wait after so many failures of one request."""
        return random.uniform(0.5, 1.0) * min(self.cap, self.base * 2.0 ** (failures - 1))


class Exchange:
    """A ccxt client of public data, no key needed.

    Args:
        name: What ccxt calls the exchange: `"bybit"`, `"binance"`, `"okx"`, `"kraken"`, ....
        base_url: Scheme and host of all requests instead of the exchange's own: a mirror in your
            region, or a server of your own.
        timeout: Seconds after which one request counts as failed.
        retry: How failed requests are repeated.
        throttle: Keep to the exchange's limit of requests a second; without it only for a server
            of one's own.

    Raises:
        ValueError: ccxt knows no such exchange.
    """

    def __init__(
        self,
        name: str = "bybit",
        *,
        base_url: str | None = None,
        timeout: float = 10.0,
        retry: Retry | None = None,
        throttle: bool = True,
    ) -> None:
        self.name, self.retry = name, retry or Retry()
        self.retries: list[str] = []
        self.client = _client(name, timeout)
        self.client.enableRateLimit = throttle
        if base_url is not None:
            self.client.urls["api"] = _moved(self.client.urls["api"], base_url.rstrip("/"))

    def call(self, request: Callable[[], Answer]) -> Answer:
        """The answer to a request, tried again while that can help.

        Args:
            request: Calls a method of `client`.

        Returns:
            What `request` returns. `retries` grows by the reason of each failure on the way.

        Raises:
            ExchangeUnavailable: no answer within the bounds, or refused from this address.
            ValueError: the exchange says that the request is wrong.
        """
        ccxt = _ccxt()
        began = time.monotonic()
        for failures in range(1, self.retry.attempts + 1):
            try:
                return request()
            except ccxt.OperationFailed as error:
                self.retries.append(type(error).__name__)
                if refused := re.search(r" (403|451) ", str(error)):
                    # Bybit answers 403 for ten minutes to an address that asked too often, and for
                    # good to some countries. Asking again makes the first one longer.
                    raise ExchangeUnavailable(
                        f"{self.name} refuses this address (HTTP {refused[1]}): either it is not "
                        "served in your country, or it asked too often: then wait ten minutes. "
                        f"{_ELSEWHERE}"
                    ) from error
                if failures < self.retry.attempts:
                    time.sleep(self.retry.wait(failures))
                last = error
            except ccxt.BaseError as error:
                if error.__cause__ is not None:  # of the transport: a certificate, a redirection
                    raise ExchangeUnavailable(
                        f"{self.name} cannot be reached: {_short(error.__cause__)}. {_ELSEWHERE}"
                    ) from error
                raise ValueError(f"{self.name} rejects the request: {_short(error)}") from error
        raise ExchangeUnavailable(
            f"{self.name} did not answer: {self.retry.attempts} tries in "
            f"{time.monotonic() - began:.0f} s, last {_short(last)}. Is there a network? Run it "
            f"again later: it goes on where it stopped. {_ELSEWHERE}"
        ) from last

    def require(self, symbol: str) -> None:
        """Refuse a symbol that is not traded here.

        Raises:
            ValueError: unknown; similar names are listed.
            ExchangeUnavailable: as for `call`.
        """
        if self.client.markets is None:
            self.call(self.client.load_markets)
        if symbol in self.client.markets:
            return
        base = symbol.replace("-", "/").split("/")[0].upper()
        near = sorted(s for s in self.client.markets if s.startswith(f"{base}/"))[:6]
        raise ValueError(
            f"{self.name} has no market {symbol!r}: "
            + (f"did you mean one of {', '.join(near)}?" if near else "write BASE/QUOTE, BTC/USDT.")
        )

    def step(self, timeframe: str) -> int:
        """Length of a time frame in milliseconds.

        Raises:
            ValueError: not offered here, or longer than a day: weeks and months do not lie on a
                fixed grid of UTC.
        """
        offered = {
            name: int(self.client.parse_timeframe(name)) * 1000 for name in self.client.timeframes
        }
        usable = [name for name, step in offered.items() if step <= 86_400_000]
        if timeframe not in usable:
            raise ValueError(
                f"{self.name} has no time frame {timeframe!r}: choose one of {', '.join(usable)}; "
                "for longer ones fetch 1d and resample."
            )
        return offered[timeframe]

    def now(self) -> int:
        """Milliseconds since 1970 by the exchange's clock, by our own if it tells no time.

        The clock of the exchange, because it decides which candle is closed.
        """
        if self.client.has.get("fetchTime"):
            return int(self.call(self.client.fetch_time))
        return int(pd.Timestamp.now("UTC").timestamp() * 1000)

    def page(self, symbol: str, method: str, *, least: int) -> int:
        """Most rows that one request gives, `least` where ccxt does not say."""
        market, features = self.client.market(symbol), self.client.features or {}
        if market["spot"]:
            known = features.get("spot") or {}
        else:
            known = (features.get("swap") or {}).get("linear" if market["linear"] else "inverse")
        return int(((known or {}).get(method) or {}).get("limit") or least)


def opened(exchange: "str | Exchange") -> Exchange:
    """The exchange itself, or a new client of the one that is named."""
    return exchange if isinstance(exchange, Exchange) else Exchange(exchange)


class _Strict:
    """Put before a class of ccxt: fails where that one returns nothing, or never."""

    id: str
    timeout: int  # milliseconds, of a packet

    def fetch(self, *request: Any) -> Any:
        # A body that drips in, packet by packet, never runs into the timeout. A thread that nobody
        # waits for any longer ends with its socket, or with the process.
        outcome: list[tuple[bool, Any]] = []
        fetch = super().fetch  # type: ignore[misc]

        def run() -> None:
            try:
                outcome.append((True, fetch(*request)))
            except Exception as error:
                outcome.append((False, error))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(1.5 * self.timeout / 1000)
        if not outcome:
            raise _ccxt().RequestTimeout(f"{self.id}: no whole answer to {request[0]}")
        answered, result = outcome[0]
        if answered:
            return result
        raise result

    def handle_errors(self, code: int, *details: Any) -> Any:
        # Positions as in ccxt: reason, url, method, headers, body, response, ....
        body, response = details[4:6]
        if response is None and code == 200:
            raise _ccxt().NetworkError(f"{self.id}: the answer is not JSON: {body[:80]!r}")
        return super().handle_errors(code, *details)  # type: ignore[misc]


def _ccxt() -> Any:
    """The package, imported when needed: it takes a third of a second, and few chapters do."""
    import ccxt

    return ccxt


def _client(name: str, timeout: float) -> Any:
    ccxt = _ccxt()
    if name not in ccxt.exchanges:
        raise ValueError(
            f"ccxt knows no exchange {name!r}: ccxt.exchanges lists all {len(ccxt.exchanges)}."
        )
    kind = type(name, (_Strict, getattr(ccxt, name)), {})
    client = kind({"timeout": int(1000 * timeout)})
    if name in _MARKETS:
        client.options["fetchMarkets"] = {"types": _MARKETS[name]}
    if name == "bybit":
        # Its trouble and not ours, so it may pass; ccxt takes it for a refusal.
        client.exceptions["exact"] |= dict.fromkeys(("10000", "10016"), ccxt.ExchangeNotAvailable)
    return client


def _moved(urls: Any, base: str) -> Any:
    """All addresses on another host, paths as they are."""
    if isinstance(urls, dict):
        return {key: _moved(value, base) for key, value in urls.items()}
    return base + urlsplit(urls).path if isinstance(urls, str) else urls


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"
