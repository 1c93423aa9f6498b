"""Market states: what a frame of bars says about the market at the end of each bar."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from genfin_lib.data.validation import matrix, refuse, require_dates_in_order

COLUMNS = ("open", "high", "low", "close", "volume")
WARM_UP = 63
# A bar without movement or volume counts as this share of what is usual: its logarithm is finite.
FLOOR = 0.01
SMALLEST = 1e-8


def market_state_features(
    bars: pd.DataFrame,
    *,
    candles: bool = False,
    funding: pd.Series | None = None,
    open_interest: pd.Series | None = None,
) -> pd.DataFrame:
    r"""The state of one market at the close of each bar, in fifteen numbers that have a density.

    With close :math:`C`, high :math:`H`, low :math:`L`, volume :math:`V`, log return
    :math:`r_t = \log C_t/C_{t-1}`, root mean square :math:`s_k` of the last :math:`k` returns and
    :math:`g_t = \log H_t/L_t`, row :math:`t` holds

    - `return_1, return_5, return_10, return_21`: :math:`\log C_t/C_{t-k}`;
    - `log_vol_21`: :math:`\log s_{21}`; `vol_ratio_5`: :math:`\log s_5/s_{21}`; `vol_ratio_63`:
      :math:`\log s_{63}/s_{21}`;
    - `downside_21`: share of falls in the sum of :math:`r^2` over 21 bars;
    - `log_range`: :math:`\log g_t`; `parkinson_5`: :math:`\tfrac12 \log` of the mean :math:`g^2`
      over 5 bars;
    - `momentum_63`: :math:`\log C_t` minus the mean of :math:`\log C` over 63 bars;
    - `range_position_21`: :math:`(C_t - m)/(M - m)`, with the lowest low and the highest high
      :math:`m, M` of the 21 bars *before*: above 1 is a break-out;
    - `volume_ratio`: :math:`\log` of volume over its mean of 21 bars; `volume_change_1,
      volume_change_5`: :math:`\log V_t/V_{t-k}`.

    **What is left out, and why.** A density exists only if no feature follows from the others. Two
    volatilities beside their ratio, or body and both shadows of a candle in units of its range,
    would make it infinite. So would an *atom*: in a range that holds its own bar, the position of
    a close at the high is exactly 1, and that on many days; ranges here end the bar before. And so
    would a feature that follows from another on *some* days: the drawdown from the highest close
    is `return_1` whenever yesterday's was the highest.

    Args:
        bars: One row a bar in time order, columns open, high, low, close, volume, in capitals or
            not, positive but for the volume, which may be zero.
        candles: Add `gap`, :math:`\log` of the open over the last close, and `close_location`,
            :math:`(C - L)/(H - L)`, one half on a flat bar. With `return_1` and `log_range` they
            say all of a candle. Both have atoms in most data: for a density, add noise and say so.
        funding: Funding rates, indexed by when each was known; adds `funding`, the last one.
        open_interest: The same; adds `open_interest_change`, its :math:`\log` change over a bar.

    Returns:
        Float64 without NaN. Row :math:`t` is known at the close of bar :math:`t`, from the 64 bars
        up to it. The first 63 bars are dropped, and those before `funding` or the change of
        `open_interest` is known. Logarithms of a range, a volatility or a volume take no less than
        a hundredth of their mean over 21 bars, and no less than 1e-8.

    Raises:
        ValueError: a column missing, NaN, prices not positive, a high below a low, bars out of
            order, or no row left after the warm-up.
    """
    frame = checked_bars(bars)
    if len(frame) <= WARM_UP:
        raise ValueError(f"{len(frame)} bars, but the first {WARM_UP} are warm-up: give more.")
    close, before, volume = frame["close"], frame["close"].shift(1), frame["volume"]
    log_close = np.log(close)
    r = log_close.diff()
    spread = np.log(frame["high"] / frame["low"])
    squares = {k: rolling(r**2, k, np.sum) for k in (5, 21, 63)}
    vol = np.sqrt(squares[21] / 21).clip(lower=SMALLEST)
    usual_spread, usual_volume = (rolling(x, 21, np.mean) for x in (spread, volume))
    log_volume = _log(volume, usual_volume)
    lowest = rolling(frame["low"].shift(1), 21, np.min)
    highest = rolling(frame["high"].shift(1), 21, np.max)
    features = {f"return_{k}": log_close.diff(k) for k in (1, 5, 10, 21)}
    features |= {
        "log_vol_21": np.log(vol),
        "vol_ratio_5": _log(np.sqrt(squares[5] / 5), vol) - np.log(vol),
        "vol_ratio_63": _log(np.sqrt(squares[63] / 63), vol) - np.log(vol),
        "downside_21": _ratio(rolling(r.clip(upper=0) ** 2, 21, np.sum), squares[21]),
        "log_range": _log(spread, usual_spread),
        "parkinson_5": _log(np.sqrt(rolling(spread**2, 5, np.mean)), usual_spread),
        "momentum_63": log_close - rolling(log_close, 63, np.mean),
        "range_position_21": _ratio(close - lowest, highest - lowest),
        "volume_ratio": log_volume - np.log(usual_volume.clip(lower=SMALLEST)),
        "volume_change_1": log_volume.diff(1),
        "volume_change_5": log_volume.diff(5),
    }
    if candles:
        features["gap"] = np.log(frame["open"] / before)
        features["close_location"] = _ratio(close - frame["low"], frame["high"] - frame["low"])
    if funding is not None:
        features["funding"] = _last_known(funding, frame.index, what="funding")
    if open_interest is not None:
        known = _last_known(open_interest, frame.index, what="open_interest")
        refuse(
            (known <= 0).to_numpy()[:, None],
            known.rename("open_interest"),
            what="open_interest",
            problem="not positive",
        )
        features["open_interest_change"] = np.log(known).diff()
    state = pd.DataFrame(features).iloc[WARM_UP:].dropna()
    if state.empty:
        raise ValueError(
            "no bar has all features: funding and open_interest must begin before the bars end."
        )
    return state


def technical_indicators(bars: pd.DataFrame) -> pd.DataFrame:
    r"""Four indicators of chart reading, free of the price level.

    - `rsi_14`: :math:`\sum r^+ / \sum |r|` over 14 bars, in [0, 1], one half if nothing moved
      (Cutler's form of the relative strength index: a mean of 14 bars, where Wilder's is
      exponential and so never forgets where it began);
    - `bollinger_20`: :math:`(C_t - \bar C_{20}) / (2 \hat\sigma_{20}(C))`, 0 if nothing moved;
    - `macd`: mean of :math:`\log C` over 12 bars minus that over 26;
    - `atr_14`: mean of the true range :math:`\max(H_t, C_{t-1}) - \min(L_t, C_{t-1})` over 14
      bars, over :math:`C_t`.

    They hold little that `market_state_features` does not, and are here to let a reader check that.
    J. W. Wilder (1978), New Concepts in Technical Trading Systems, ISBN 0894590278.

    Args:
        bars: As for `market_state_features`.

    Returns:
        Float64 without NaN; the first 25 bars are dropped. Row :math:`t` is known at the close of
        bar :math:`t`.

    Raises:
        ValueError: as for `market_state_features`.
    """
    frame = checked_bars(bars)
    if len(frame) < 26:
        raise ValueError(f"{len(frame)} bars, but the first 25 are warm-up: give more.")
    close, before = frame["close"], frame["close"].shift(1)
    log_close = np.log(close)
    r = log_close.diff()
    highest = np.maximum(frame["high"], before)
    true_range = highest - np.minimum(frame["low"], before)
    middle, width = (rolling(close, 20, statistic) for statistic in (np.mean, np.std))
    # Rounding leaves the deviation of a constant above zero.
    width = width.where(width > 1e-12 * middle, np.inf)
    indicators = {
        "rsi_14": _ratio(rolling(r.clip(lower=0), 14, np.sum), rolling(r.abs(), 14, np.sum)),
        "bollinger_20": (close - middle) / (2 * width),
        "macd": rolling(log_close, 12, np.mean) - rolling(log_close, 26, np.mean),
        "atr_14": rolling(true_range, 14, np.mean) / close,
    }
    return pd.DataFrame(indicators).iloc[25:]


def checked_bars(bars: pd.DataFrame) -> pd.DataFrame:
    """Open, high, low, close and volume in lower case, or a `ValueError` that says why not."""
    if not isinstance(bars, pd.DataFrame):
        raise ValueError(f"bars: given {type(bars).__name__}, but a DataFrame is needed.")
    names = {str(column).lower(): column for column in bars.columns}
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise ValueError(f"bars have columns {list(bars.columns)}: {', '.join(missing)} missing.")
    frame = bars[[names[name] for name in COLUMNS]].set_axis(list(COLUMNS), axis=1)
    matrix(frame, what="bars")
    require_dates_in_order(frame, what="bars")
    prices = frame[["open", "high", "low", "close"]]
    refuse((prices <= 0).to_numpy(), prices, what="bars", problem="not positive")
    refuse((frame[["volume"]] < 0).to_numpy(), frame[["volume"]], what="bars", problem="negative")
    for name, wrong in (
        ("high", frame["high"] < prices.max(axis=1)),
        ("low", frame["low"] > prices.min(axis=1)),
    ):
        problem = f"{name} not the extreme of its bar"
        refuse(wrong.to_numpy()[:, None], frame[[name]], what="bars", problem=problem)
    return frame.astype("float64")


def rolling(x: pd.Series, length: int, statistic: Callable[..., np.ndarray]) -> pd.Series:
    """A statistic of each window, NaN before the first is full.

    Each window on its own: running sums carry rounding errors on, so that a number would depend
    on how long ago the history begins.
    """
    values = x.to_numpy()
    result = np.full(len(values), np.nan)
    if len(values) >= length:
        view = np.lib.stride_tricks.sliding_window_view(values, length)  # (T - k + 1, k)
        result[length - 1 :] = statistic(view, axis=1)
    return pd.Series(result, index=x.index)


def _log(value: pd.Series, usual: pd.Series) -> pd.Series:
    return np.log(np.maximum(value, (FLOOR * usual).clip(lower=SMALLEST)))


def _ratio(part: pd.Series, whole: pd.Series) -> pd.Series:
    """One half where there is nothing to divide by; NaN stays in the warm-up."""
    return (part / whole.where(whole != 0)).where(whole != 0, 0.5).where(whole.notna())


def _last_known(values: pd.Series, index: pd.Index, *, what: str) -> pd.Series:
    matrix(values, what=what)
    require_dates_in_order(values, what=what)
    return values.astype("float64").reindex(index, method="ffill")
