"""Order books and trades in one form, whether simulated or fetched from an exchange."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

TRADE_COLUMNS = ("time", "price", "size", "side")


@dataclass(frozen=True, eq=False)
class OrderBook:
    """Snapshots of a limit order book, the best level first.

    Attributes:
        time: Seconds, rising, `(n,)`.
        bid_prices: Falling from the best bid, currency, `(n, levels)`.
        bid_sizes: Quantity bid at these prices, zero allowed below the best, `(n, levels)`.
        ask_prices: Rising from the best ask, `(n, levels)`.
        ask_sizes: Quantity offered, `(n, levels)`.

    Raises:
        ValueError: shapes that differ, NaN, times or prices out of order, a negative size, nothing
            at a best price, or a crossed book (best bid at or above the best ask).
    """

    time: np.ndarray
    bid_prices: np.ndarray
    bid_sizes: np.ndarray
    ask_prices: np.ndarray
    ask_sizes: np.ndarray

    def __post_init__(self) -> None:
        shape = np.shape(self.bid_prices)
        shapes = {name: np.shape(value) for name, value in vars(self).items()}
        if len(shape) != 2 or 0 in shape or shapes.pop("time") != shape[:1]:
            raise ValueError(f"time {np.shape(self.time)} and sides {shape}: (n,) and (n, levels)")
        if set(shapes.values()) != {shape}:
            raise ValueError(f"both sides need one shape (n, levels), got {shapes}")
        for name, value in vars(self).items():
            if not np.isfinite(value).all():
                raise ValueError(f"{name} holds NaN or inf: drop those snapshots first")
        if not (np.diff(self.time) > 0).all():
            raise ValueError("time must rise from snapshot to snapshot: sort, and drop duplicates")
        self._refuse((self.bid_sizes < 0) | (self.ask_sizes < 0), "a negative size")
        empty = (self.bid_sizes[:, :1] == 0) | (self.ask_sizes[:, :1] == 0)
        self._refuse(empty, "nothing at a best price")
        disorder = (np.diff(self.bid_prices) >= 0) | (np.diff(self.ask_prices) <= 0)
        self._refuse(disorder, "levels out of order: the best price comes first")
        crossed = self.bid_prices[:, :1] >= self.ask_prices[:, :1]
        self._refuse(crossed, "a crossed book: best bid at or above best ask")

    def _refuse(self, bad: np.ndarray, problem: str) -> None:
        if bad.any():
            row = int(bad.any(axis=1).argmax())
            raise ValueError(f"snapshot {row} at time {self.time[row]:g}: {problem}")

    def __len__(self) -> int:
        return len(self.time)

    @property
    def levels(self) -> int:
        """Number of levels on each side."""
        return self.bid_prices.shape[1]

    @property
    def bid(self) -> np.ndarray:
        """Best bid, `(n,)`."""
        return self.bid_prices[:, 0]

    @property
    def ask(self) -> np.ndarray:
        """Best ask, `(n,)`."""
        return self.ask_prices[:, 0]

    @property
    def mid(self) -> np.ndarray:
        """Mid price, the mean of best bid and best ask, `(n,)`."""
        return (self.bid + self.ask) / 2

    @property
    def spread(self) -> np.ndarray:
        """Best ask less best bid, currency, `(n,)`."""
        return self.ask - self.bid

    def part(self, rows: slice) -> Self:
        """The snapshots of a slice of rows."""
        return type(self)(*(value[rows] for value in vars(self).values()))

    @classmethod
    def from_ccxt(cls, snapshots: Sequence[Mapping[str, Any]], levels: int = 10) -> Self:
        """Stack order books as ccxt unifies them (`fetch_order_book`), of any exchange.

        Args:
            snapshots: Each `{"bids": [[price, amount], ...], "asks": [...], "timestamp": ms}`; a
                third entry of a level, as some exchanges add, is ignored.
            levels: Levels kept on each side; every snapshot must have as many.

        Returns:
            The snapshots in the order given, time in seconds since 1970.

        Raises:
            ValueError: no snapshot, a missing timestamp, fewer levels than asked for, or a book
                that the class itself refuses.
        """
        if not len(snapshots) or levels < 1:
            raise ValueError(f"{len(snapshots)} snapshots, levels {levels}: one of each is needed")
        sides = []
        for row, snapshot in enumerate(snapshots):
            if snapshot.get("timestamp") is None:
                raise ValueError(f"snapshot {row} has no timestamp: set the time of receipt, ms")
            for side in ("bids", "asks"):
                if len(snapshot[side]) < levels:
                    raise ValueError(
                        f"snapshot {row} has {len(snapshot[side])} {side}, {levels} levels are "
                        "needed: fetch with a larger limit, or ask for fewer levels"
                    )
                sides.append([level[:2] for level in snapshot[side][:levels]])
        values = np.array(sides, dtype=np.float64).reshape(-1, 2, levels, 2)  # (n, side, level, 2)
        time = np.array([snapshot["timestamp"] for snapshot in snapshots]) / 1000
        bids, asks = values[:, 0], values[:, 1]
        return cls(time, bids[..., 0], bids[..., 1], asks[..., 0], asks[..., 1])


def trades_from_ccxt(trades: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Trades as ccxt unifies them (`fetch_trades`), as the frame that the features take.

    ccxt's `side` is that of the taker, the one who crossed the spread: exchanges for
    cryptocurrencies publish it, so nothing needs to be inferred there.

    Args:
        trades: Each `{"timestamp": ms, "price": ..., "amount": ..., "side": "buy" or "sell"}`,
            in any order; other keys are ignored.

    Returns:
        Columns `time` (seconds since 1970), `price`, `size`, `side` (+1 bought, -1 sold), in time
        order; trades of one millisecond keep their order.

    Raises:
        ValueError: no trade, another side, or a price or amount that is not positive.
    """
    signs = {"buy": 1, "sell": -1}
    for row, trade in enumerate(trades):
        if trade.get("side") not in signs:
            raise ValueError(f"trade {row} has side {trade.get('side')!r}: 'buy' or 'sell' needed")
        if trade.get("timestamp") is None:
            raise ValueError(f"trade {row} has no timestamp: drop it")
    frame = pd.DataFrame(
        {
            "time": [trade["timestamp"] / 1000 for trade in trades],
            "price": [float(trade["price"]) for trade in trades],
            "size": [float(trade["amount"]) for trade in trades],
            "side": [signs[trade["side"]] for trade in trades],
        }
    ).sort_values("time", kind="stable", ignore_index=True)
    return check_trades(frame)


def check_trades(trades: pd.DataFrame) -> pd.DataFrame:
    """The frame itself, if it is one of trades.

    Raises:
        ValueError: no row, a missing column, NaN, a price or size that is not positive, a side
            other than +1 and -1, or times out of order.
    """
    missing = [name for name in TRADE_COLUMNS if name not in trades]
    if missing or trades.empty:
        raise ValueError(
            f"{len(trades)} trades with columns {list(trades)}: at least one trade is needed, and "
            f"the columns {list(TRADE_COLUMNS)}"
        )
    if not np.isfinite(trades[["time", "price", "size"]].to_numpy(np.float64)).all():
        raise ValueError("trades hold NaN or inf: drop those rows first")
    if not (trades[["price", "size"]] > 0).all(axis=None) or not trades["side"].isin([-1, 1]).all():
        raise ValueError("trades need a positive price and size, and a side of +1 or -1")
    if not trades["time"].is_monotonic_increasing:
        raise ValueError("trades are not in time order: call .sort_values('time') first")
    return trades
