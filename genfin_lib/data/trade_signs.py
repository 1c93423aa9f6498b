"""Who crossed the spread? Rules that sign trades where the exchange does not say."""

import numpy as np
from numpy.typing import ArrayLike

from genfin_lib.data.order_book import OrderBook


def tick_rule(prices: ArrayLike) -> np.ndarray:
    r"""Sign of the last change of the trade price: +1 after a rise, -1 after a fall.

    .. math:: s_i = \operatorname{sign}(p_i - p_j), \qquad j = \max\{k < i : p_k \ne p_i\}

    Needs no quotes, and errs where these moved between two trades: bought at an ask that fell below
    the last price, a trade passes for a sale. C. M. C. Lee and M. J. Ready (1991), Inferring trade
    direction from intraday data, J. Finance 46,
    https://doi.org/10.1111/j.1540-6261.1991.tb02683.x. Chapter: Order flow.

    Args:
        prices: Of the trades, in time order, `(n,)`.

    Returns:
        +1 bought, -1 sold, 0 before the first change of price; whole numbers, `(n,)`.

    Raises:
        ValueError: NaN, or another shape.
    """
    (p,) = _finite(prices=prices)
    sign = np.sign(np.diff(p, prepend=p[:1])).astype(np.int64)
    # The place of the last change, carried on; before the first it is row 0, of sign 0.
    last = np.maximum.accumulate(np.where(sign != 0, np.arange(len(p)), 0))
    return sign[last]


def quote_rule(prices: ArrayLike, bid: ArrayLike, ask: ArrayLike) -> np.ndarray:
    r"""Sign of the trade price less the mid quote: a buyer pays the ask.

    Args:
        prices: Of the trades, `(n,)`.
        bid: Best bid before each trade, `(n,)`: see :func:`quotes_before`.
        ask: Best ask before each trade, `(n,)`.

    Returns:
        +1 above the mid, -1 below, 0 at the mid; whole numbers, `(n,)`.

    Raises:
        ValueError: NaN, unequal lengths, or a bid at or above its ask.
    """
    p, b, a = _finite(prices=prices, bid=bid, ask=ask)
    if not (b < a).all():
        row = int((b >= a).argmax())
        raise ValueError(f"trade {row}: bid {b[row]:g}, ask {a[row]:g}: repair crossed quotes")
    # Decimal prices round: without a tolerance a trade at the mid falls to one side or the other.
    gap = (p - b) - (a - p)
    return np.where(np.abs(gap) <= 1e-9 * np.abs(p), 0, np.sign(gap)).astype(np.int64)


def lee_ready(prices: ArrayLike, bid: ArrayLike, ask: ArrayLike) -> np.ndarray:
    """Quote rule, and the tick rule for trades at the mid: Lee and Ready (1991).

    Args:
        prices: Of the trades, in time order, `(n,)`.
        bid: Best bid before each trade, `(n,)`.
        ask: Best ask before each trade, `(n,)`.

    Returns:
        +1 bought, -1 sold, 0 where neither rule decides; whole numbers, `(n,)`.

    Raises:
        ValueError: as for the two rules.
    """
    by_quote = quote_rule(prices, bid, ask)
    return np.where(by_quote != 0, by_quote, tick_rule(prices))


def quotes_before(
    book: OrderBook, times: ArrayLike, *, lag: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Best bid and ask of the last snapshot before each time, less a lag.

    *Strictly* before: a snapshot taken at the time of a trade may show the book after it. Lee and
    Ready took quotes five seconds old, because in their data quotes ran ahead of trades.

    Args:
        book: Snapshots.
        times: Of the trades, seconds, `(n,)`.
        lag: Seconds, at least 0.

    Returns:
        Bid and ask, `(n,)` each.

    Raises:
        ValueError: a time at or before the first snapshot, NaN, or a negative lag.
    """
    (t,) = _finite(times=times)
    if not lag >= 0:
        raise ValueError(f"lag {lag}: at least 0, or quotes come from the future")
    row = np.searchsorted(book.time, t - lag, side="left") - 1
    if (row < 0).any():
        raise ValueError(f"{int((row < 0).sum())} times have no snapshot before them: drop them")
    return book.bid[row], book.ask[row]


def _finite(**values: ArrayLike) -> list[np.ndarray]:
    arrays = [np.asarray(value, dtype=np.float64) for value in values.values()]
    shapes = [array.shape for array in arrays]
    if arrays[0].ndim != 1 or len(set(shapes)) != 1 or arrays[0].size == 0:
        raise ValueError(f"{', '.join(values)} of shapes {shapes}: one shape (n,) is needed")
    for name, array in zip(values, arrays, strict=True):
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or inf: drop those rows first")
    return arrays
