"""What Bybit's public interface answers, computed from candles.

Format, version 5: https://bybit-exchange.github.io/docs/v5/intro.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

_INTERVALS = {
    pd.Timedelta(minutes=minutes): name
    for name, minutes in {
        "1": 1, "3": 3, "5": 5, "15": 15, "30": 30, "60": 60, "120": 120, "240": 240, "360": 360,
        "720": 720, "D": 1440,
    }.items()
}  # fmt: skip
_FUNDING = 8 * 3_600_000  # milliseconds
_OPEN_INTEREST = {"5min": 5, "15min": 15, "30min": 30, "1h": 60, "4h": 240, "1d": 1440}


class BybitAnswers:
    """Answers to requests as Bybit would give them at a moment that you set.

    Args:
        candles: As for `BybitReplay`.
        now: As for `BybitReplay`.

    Raises:
        ValueError: no candles, or of a time frame that Bybit does not have.
    """

    def __init__(
        self, candles: dict[str, pd.DataFrame], *, now: str | pd.Timestamp | None = None
    ) -> None:
        if not candles or any(len(table) < 2 for table in candles.values()):
            raise ValueError("candles: at least one symbol with two candles is needed.")
        steps = {table.index.to_series().diff().min() for table in candles.values()}
        if len(steps) > 1 or not steps <= set(_INTERVALS):
            raise ValueError(f"candles every {steps}: one time frame that Bybit has is needed.")
        (self._step,) = steps
        self._candles = {symbol.replace("/", ""): table for symbol, table in candles.items()}
        self._names = {symbol.replace("/", ""): symbol.split("/") for symbol in candles}
        last = max(table.index[-1] for table in candles.values())
        self.now = pd.Timestamp(now) if now is not None else last + 2 * self._step

    def answer(self, path: str, asked: dict[str, str]) -> dict[str, Any]:
        """The right answer to a request."""
        known: dict[str, Callable[[dict[str, str]], Any]] = {
            "/v5/market/time": self._time,
            "/v5/market/instruments-info": self._instruments,
            "/v5/market/kline": self._klines,
            "/v5/market/funding/history": self._funding,
            "/v5/market/open-interest": self._open_interest,
            "/v5/market/orderbook": self._book,
            "/v5/market/recent-trade": self._trades,
        }
        reply = {"retCode": 0, "retMsg": "OK", "retExtInfo": {}, "time": self._milliseconds()}
        if path not in known:
            return {**reply, "retCode": 10001, "retMsg": f"unknown path {path}", "result": {}}
        try:
            return {**reply, "result": known[path](asked)}
        except KeyError as error:
            return {**reply, "retCode": 10001, "retMsg": f"params error: {error}", "result": {}}

    def _milliseconds(self) -> int:
        return int(self.now.timestamp() * 1000)

    def _time(self, asked: dict[str, str]) -> dict[str, Any]:
        now = self._milliseconds()
        return {"timeSecond": str(now // 1000), "timeNano": str(now * 1_000_000)}

    def _instruments(self, asked: dict[str, str]) -> dict[str, Any]:
        kind, listed = asked["category"], []
        if kind in ("spot", "linear") and "status" not in asked:
            for symbol, (base, quote) in self._names.items():
                market: dict[str, Any] = {
                    "symbol": symbol,
                    "baseCoin": base,
                    "quoteCoin": quote,
                    "status": "Trading",
                    "lotSizeFilter": {"basePrecision": "0.000001", "qtyStep": "0.001"},
                    "priceFilter": {"tickSize": "0.01"},
                }
                if kind == "linear":
                    market |= {
                        "settleCoin": quote,
                        "contractType": "LinearPerpetual",
                        "fundingInterval": 480,
                        "deliveryTime": "0",
                        "launchTime": "1577836800000",
                    }
                listed.append(market)
        return {"category": kind, "list": listed, "nextPageCursor": ""}

    def _klines(self, asked: dict[str, str]) -> dict[str, Any]:
        if asked["interval"] != _INTERVALS[self._step]:
            raise KeyError("interval")
        table = self._until_now(asked["symbol"])
        times = _times(table)
        first, last = int(asked.get("start", 0)), int(asked.get("end", 2**62))
        inside = np.flatnonzero((times >= first) & (times <= last))[::-1]  # newest first
        values = table.to_numpy()
        values = np.column_stack([values, values[:, 3] * values[:, 4]])  # turnover
        rows = [
            [str(times[i]), *(format(value, ".10g") for value in values[i])]
            for i in inside[: min(int(asked.get("limit", 200)), 1000)]
        ]
        return {"category": asked["category"], "symbol": asked["symbol"], "list": rows}

    def _until_now(self, symbol: str) -> pd.DataFrame:
        table = self._candles[symbol]
        table = table[table.index <= self.now]
        if len(table) and table.index[-1] + self._step > self.now:
            opened, high, low, close, volume = table.iloc[-1]
            half = [opened, max(opened, (opened + high) / 2), min(opened, (opened + low) / 2)]
            running = pd.DataFrame(
                [[*half, (opened + close) / 2, volume / 2]], table.index[-1:], table.columns
            )
            table = pd.concat([table.iloc[:-1], running])
        return table

    def _regular(self, asked: dict[str, str], step: int) -> tuple[np.ndarray, np.ndarray]:
        """Moments asked for on a grid, newest first, and the last close at each."""
        table = self._until_now(asked["symbol"])
        times = _times(table)
        grid = np.arange(-(-times[0] // step) * step, self._milliseconds() + 1, step)[::-1]
        first, last = int(asked.get("startTime", 0)), int(asked.get("endTime", 2**62))
        grid = grid[(grid >= first) & (grid <= last)][: min(int(asked.get("limit", 50)), 200)]
        return grid, table["Close"].to_numpy()[times.searchsorted(grid, side="right") - 1]

    def _funding(self, asked: dict[str, str]) -> dict[str, Any]:
        grid, close = self._regular(asked, _FUNDING)
        rates = 1e-4 + 1e-4 * np.sin(close / 100)
        rows = [
            {"symbol": asked["symbol"], "fundingRate": f"{r:.8f}", "fundingRateTimestamp": str(t)}
            for t, r in zip(grid, rates, strict=True)
        ]
        return {"category": asked["category"], "list": rows}

    def _open_interest(self, asked: dict[str, str]) -> dict[str, Any]:
        grid, close = self._regular(asked, _OPEN_INTEREST[asked["intervalTime"]] * 60_000)
        rows = [
            {"openInterest": f"{1e9 / price:.3f}", "timestamp": str(t)}
            for t, price in zip(grid, close, strict=True)
        ]
        return {"category": asked["category"], "symbol": asked["symbol"], "list": rows}

    def _book(self, asked: dict[str, str]) -> dict[str, Any]:
        last = float(self._until_now(asked["symbol"])["Close"].iloc[-1])
        levels = np.arange(1, int(asked.get("limit", 1)) + 1)
        sizes = np.random.default_rng(self._milliseconds()).lognormal(0, 1, (2, len(levels)))
        sides = {
            side: [
                [f"{last + sign * 0.05 * n:.2f}", f"{size:.6f}"]
                for n, size in zip(levels, row, strict=True)
            ]
            for side, sign, row in (("b", -1, sizes[0]), ("a", 1, sizes[1]))
        }
        return {"s": asked["symbol"], **sides, "ts": self._milliseconds(), "u": 1}

    def _trades(self, asked: dict[str, str]) -> dict[str, Any]:
        last = float(self._until_now(asked["symbol"])["Close"].iloc[-1])
        most = 60 if asked["category"] == "spot" else 1000
        n, now = min(int(asked.get("limit", 60)), most), self._milliseconds()
        rng = np.random.default_rng(now)
        rows = [
            {
                "execId": f"{now + k}",
                "symbol": asked["symbol"],
                "price": f"{last * (1 + 1e-5 * rng.standard_normal()):.2f}",
                "size": f"{rng.lognormal(-4, 1):.6f}",
                "side": "Buy" if rng.random() < 0.5 else "Sell",
                "time": str(now - 1000 * k),
                "isBlockTrade": False,
            }
            for k in range(n)
        ]
        return {"category": asked["category"], "list": rows}


def _times(table: pd.DataFrame) -> np.ndarray:
    return table.index.as_unit("ms").asi8
