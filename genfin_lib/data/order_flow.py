"""Features of order books and trades: pressure, depth, the price of trading."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from genfin_lib.data.order_book import OrderBook, check_trades


def order_flow_imbalance(book: OrderBook, *, levels: int = 1) -> np.ndarray:
    r"""Order-flow imbalance: what came to the bid less what came to the ask, level by level.

    .. math:: e_t = 1\{P^b_t \ge P^b_{t-1}\} q^b_t - 1\{P^b_t \le P^b_{t-1}\} q^b_{t-1}
        - 1\{P^a_t \le P^a_{t-1}\} q^a_t + 1\{P^a_t \ge P^a_{t-1}\} q^a_{t-1}

    A bid that moved up counts with all of its new size, one that moved down with all that was
    lost, one that stayed with the difference: limit orders, cancellations and trades on one
    scale. Positive: pressure upwards. Of *every* update of the book the sum is exact; of
    snapshots it sees net changes alone, the less, the rarer they are. R. Cont, A. Kukanov and S.
    Stoikov (2014), The price impact of order book events, J. Financial Econometrics 12,
    https://doi.org/10.1093/jjfinec/nbt003; level by level: K. Xu, M. D. Gould and S. D. Howison
    (2018), https://doi.org/10.1142/S2382626619500114. Chapter: Order flow.

    Args:
        book: Two or more snapshots.
        levels: The best `levels` of the book, each with its own imbalance.

    Returns:
        In units of size, `(n - 1, levels)`; row `t` is known at snapshot `t + 1`.

    Raises:
        ValueError: fewer than two snapshots, or more levels than the book has.
    """
    _check_levels(book, levels)
    if len(book) < 2:
        raise ValueError(f"{len(book)} snapshots: a change needs two or more")
    p_bid, q_bid = book.bid_prices[:, :levels], book.bid_sizes[:, :levels]
    p_ask, q_ask = book.ask_prices[:, :levels], book.ask_sizes[:, :levels]
    bid = (p_bid[1:] >= p_bid[:-1]) * q_bid[1:] - (p_bid[1:] <= p_bid[:-1]) * q_bid[:-1]
    ask = (p_ask[1:] <= p_ask[:-1]) * q_ask[1:] - (p_ask[1:] >= p_ask[:-1]) * q_ask[:-1]
    return bid - ask


def depth_imbalance(book: OrderBook, *, levels: int = 1) -> np.ndarray:
    r"""Share of the depth that is on the bid side, from -1 to 1.

    .. math:: I_t = \frac{\sum_k q^b_{t,k} - \sum_k q^a_{t,k}}{\sum_k q^b_{t,k} + \sum_k q^a_{t,k}}

    It foretells the sign of the next move of the mid price: M. D. Gould and J. Bonart (2016),
    Queue imbalance as a one-tick-ahead price predictor, https://arxiv.org/abs/1512.03492.

    Args:
        book: Snapshots.
        levels: The best `levels` on each side, :math:`k \le` levels.

    Returns:
        `(n,)`, without unit.

    Raises:
        ValueError: more levels than the book has.
    """
    _check_levels(book, levels)
    bids = book.bid_sizes[:, :levels].sum(axis=1)
    asks = book.ask_sizes[:, :levels].sum(axis=1)
    return (bids - asks) / (bids + asks)


def interval_volumes(book: OrderBook, trades: pd.DataFrame) -> pd.DataFrame:
    r"""Trades summed over the intervals between snapshots, :math:`(\tau_{t-1}, \tau_t]`.

    Args:
        book: Two or more snapshots, at :math:`\tau_t`.
        trades: As from :func:`genfin_lib.data.trades_from_ccxt`; those before the first or after
            the last snapshot count nowhere.

    Returns:
        Indexed by the time of the snapshot that ends the interval, `n - 1` rows: `volume`,
        `signed_volume` (bought less sold) and `value` (price times size).

    Raises:
        ValueError: fewer than two snapshots, or a frame that is not one of trades.
    """
    if len(book) < 2:
        raise ValueError(f"{len(book)} snapshots: an interval needs two or more")
    check_trades(trades)
    place = np.searchsorted(book.time, trades["time"].to_numpy(), side="left")
    size = trades["size"].to_numpy(np.float64)
    weights = {
        "volume": size,
        "signed_volume": size * trades["side"].to_numpy(),
        "value": size * trades["price"].to_numpy(),
    }
    sums = {
        name: np.bincount(place, weights=w, minlength=len(book) + 1)[1 : len(book)]
        for name, w in weights.items()
    }
    return pd.DataFrame(sums, index=pd.Index(book.time[1:], name="time"))


def vwap_deviation(book: OrderBook, trades: pd.DataFrame, *, window: int) -> pd.Series:
    r"""Mid price against the volume-weighted average price of the last trades.

    .. math:: d_t = \log M_t - \log \frac{\sum_i p_i v_i}{\sum_i v_i}, \qquad
        i: \tau_{t-w} < t_i \le \tau_t

    Positive: the mid stands above what was paid lately.

    Args:
        book: Snapshots.
        trades: As for :func:`interval_volumes`.
        window: :math:`w`, intervals.

    Returns:
        Log difference, decimal, by time, from snapshot `window` on.

    Raises:
        ValueError: too few snapshots, or a window without a trade.
    """
    sums = interval_volumes(book, trades)
    value, volume = (_rolling_sum(sums[name], window) for name in ("value", "volume"))
    if (volume == 0).any():
        first = book.time[window + int((volume == 0).argmax())]
        raise ValueError(f"no trade in the {window} intervals before {first:g}: widen the window")
    deviation = np.log(book.mid[window:]) - np.log(value / volume)
    return pd.Series(deviation, sums.index[window - 1 :], name="vwap_deviation")


def vpin(trades: pd.DataFrame, *, bucket: float, window: int = 50) -> pd.Series:
    r"""Volume-synchronised probability of informed trading.

    .. math:: \mathrm{VPIN}_\tau = \frac{1}{w V} \sum_{j = \tau - w + 1}^{\tau}
        \bigl| V^B_j - V^S_j \bigr|

    Trades fill buckets of equal volume :math:`V`, one that overflows is divided. If informed
    traders all trade one way, buckets are lopsided. `bucket` is an argument and no share of the
    total volume: that would be a look into the future. D. Easley, M. López de Prado and M.
    O'Hara (2012), Flow toxicity and liquidity in a high-frequency world, Review of Financial
    Studies 25, https://doi.org/10.1093/rfs/hhs053. That it foretells more than volume and
    volatility do is disputed: T. G. Andersen and O. Bondarenko (2014),
    https://doi.org/10.1016/j.finmar.2013.05.005.

    Args:
        trades: With `size` and `side`, in time order.
        bucket: :math:`V`, in units of size.
        window: :math:`w`, buckets.

    Returns:
        Between 0 and 1, by the time of the trade that filled the bucket, from bucket `window`
        on; a large trade that fills several gives several rows of one time.

    Raises:
        ValueError: a bucket that is not positive, a window below 1, or too little volume.
    """
    check_trades(trades)
    if not bucket > 0 or window < 1:
        raise ValueError(f"bucket {bucket}, window {window}: above 0 and at least 1 are needed")
    size, side = trades["size"].to_numpy(np.float64), trades["side"].to_numpy()
    volume = np.append(0.0, np.cumsum(size))
    # Rounding of a cumulative sum must not cost the last bucket.
    full = int(volume[-1] / bucket * (1 + 1e-12))
    if full < window:
        raise ValueError(f"volume fills {full} buckets of {bucket:g}, {window} needed: a smaller V")
    edges = bucket * np.arange(full + 1)
    # Linear in between: a trade on an edge is divided in proportion.
    signed = np.interp(edges, volume, np.append(0.0, np.cumsum(size * side)))
    lopsided = _rolling_sum(np.abs(np.diff(signed)), window) / (window * bucket)
    last = np.searchsorted(volume[1:] * (1 + 1e-12), edges[window:]).clip(max=len(size) - 1)
    time = pd.Index(trades["time"].to_numpy()[last], name="time")
    return pd.Series(lopsided.clip(0, 1), time, name="vpin")


def kyle_lambda(price_changes: ArrayLike, signed_volumes: ArrayLike, *, window: int) -> np.ndarray:
    r"""Price impact per unit of net volume: the slope of a rolling regression.

    .. math:: \Delta M_i = a + \lambda\, y_i + \epsilon_i, \qquad
        \lambda_t = \frac{\sum_i (y_i - \bar y)(\Delta M_i - \overline{\Delta M})}
        {\sum_i (y_i - \bar y)^2}, \qquad t - w < i \le t

    In A. S. Kyle (1985), Continuous auctions and insider trading, Econometrica 53,
    https://doi.org/10.2307/1913210, the slope at which the market maker moves the price; large
    where depth is small or traders are informed. A regression over the *same* intervals: it
    describes impact and forecasts nothing.

    Args:
        price_changes: Of the mid price, currency, `(n,)`.
        signed_volumes: Bought less sold over the same intervals, or order-flow imbalance, `(n,)`.
        window: :math:`w` intervals, at least 3.

    Returns:
        Currency per unit of size, `(n - window + 1,)`; entry `i` uses rows up to `i + window - 1`.

    Raises:
        ValueError: NaN, unequal lengths, too few rows, or a window in which the volume is constant.
    """
    change, flow = (np.asarray(v, dtype=np.float64) for v in (price_changes, signed_volumes))
    if change.shape != flow.shape or change.ndim != 1 or not 3 <= window <= len(change):
        raise ValueError(
            f"price_changes {change.shape}, signed_volumes {flow.shape}, window {window}: one "
            "length (n,) and a window between 3 and n are needed"
        )
    if not (np.isfinite(change) & np.isfinite(flow)).all():
        raise ValueError("price_changes or signed_volumes hold NaN or inf: drop those rows first")
    dp, y = (np.lib.stride_tricks.sliding_window_view(v, window) for v in (change, flow))
    y = y - y.mean(axis=1, keepdims=True)
    square = (y**2).sum(axis=1)
    constant = np.ptp(np.lib.stride_tricks.sliding_window_view(flow, window), axis=1) == 0
    if constant.any():
        row = int(constant.argmax())
        raise ValueError(
            f"signed volume is constant in rows {row} to {row + window - 1}: widen the window"
        )
    return (y * dp).sum(axis=1) / square


def order_flow_features(
    book: OrderBook,
    trades: pd.DataFrame,
    *,
    bucket: float,
    levels: int = 1,
    window: int = 30,
    buckets: int = 20,
) -> pd.DataFrame:
    r"""All features of book and trades, at each snapshot, from what is known by then.

    The same call serves a simulated book and one stacked from ccxt's snapshots.

    Args:
        book: Snapshots.
        trades: As for :func:`interval_volumes`. If the exchange does not publish sides, infer
            them: `trades.assign(side=lee_ready(...))`.
        bucket: Volume of a bucket of :func:`vpin`, in units of size.
        levels: Of :func:`depth_imbalance` and :func:`order_flow_imbalance`.
        window: Intervals of :func:`vwap_deviation` and :func:`kyle_lambda`.
        buckets: Window of :func:`vpin`.

    Returns:
        Indexed by time, the warm-up dropped, no NaN: `mid`, `spread` (currency),
        `depth_imbalance`, `ofi1`, ..., `volume`, `signed_volume` (size), `vwap_deviation`
        (log difference), `vpin`, `kyle_lambda` (currency per size).

    Raises:
        ValueError: as the single features, or no snapshot after the warm-up.
    """
    sums = interval_volumes(book, trades)
    frame = pd.DataFrame(
        {"mid": book.mid[1:], "spread": book.spread[1:]},
        index=sums.index,
    )
    frame["depth_imbalance"] = depth_imbalance(book, levels=levels)[1:]
    for level, column in enumerate(order_flow_imbalance(book, levels=levels).T, start=1):
        frame[f"ofi{level}"] = column
    frame[["volume", "signed_volume"]] = sums[["volume", "signed_volume"]]
    frame["vwap_deviation"] = vwap_deviation(book, trades, window=window)
    informed = vpin(trades, bucket=bucket, window=buckets)
    last = np.searchsorted(informed.index, book.time[1:], side="right") - 1
    frame["vpin"] = np.where(last >= 0, informed.to_numpy()[last], np.nan)
    slopes = kyle_lambda(np.diff(book.mid), sums["signed_volume"], window=window)
    frame["kyle_lambda"] = pd.Series(slopes, index=sums.index[window - 1 :])
    warm = frame.dropna()
    if warm.empty:
        raise ValueError(
            f"{len(book)} snapshots end before the warm-up of {window} intervals and {buckets} "
            f"buckets of {bucket:g} does: give more, or smaller windows"
        )
    return warm


def _check_levels(book: OrderBook, levels: int) -> None:
    if not 1 <= levels <= book.levels:
        raise ValueError(f"levels {levels}: the book has {book.levels}, and 1 or more is needed")


def _rolling_sum(values: ArrayLike, window: int) -> np.ndarray:
    x = np.asarray(values, dtype=np.float64)
    if not 1 <= window <= len(x):
        raise ValueError(f"window {window}: between 1 and the {len(x)} intervals there are")
    # Not by differences of cumulative sums: a large value would leave its rounding behind.
    return np.lib.stride_tricks.sliding_window_view(x, window).sum(axis=1)
