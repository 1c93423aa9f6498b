"""What a conditional model may know before the day it forecasts."""

import math

import numpy as np
import pandas as pd

from genfin_lib.data.validation import matrix, require_dates_in_order


def volatility_context(
    returns: pd.DataFrame | pd.Series,
    half_lives: tuple[float, ...] = (3, 11, 33),
    *,
    lags: int = 1,
) -> pd.DataFrame:
    r"""Lagged returns and exponentially weighted volatilities, known the evening before.

    Row :math:`t` uses :math:`r_{t-1}, x_{t-2}, \ldots` and never :math:`r_t`:

    .. math:: r_{t-k}, \; k \le K; \qquad
        s_t(h) = \Bigl(\sum_{i=1}^{t} \lambda^{i-1} r_{t-i}^2 \Big/
        \sum_{i=1}^{t} \lambda^{i-1}\Bigr)^{1/2}, \quad \lambda = 2^{-1/h}

    Three half-lives (about half a week, two weeks, six weeks of trading days) let a
    model see volatility at several speeds, in the spirit of the heterogeneous market
    of Corsi (2009). No mean is subtracted: daily it is far below its own error.
    Sources: J. P. Morgan/Reuters (1996), RiskMetrics Technical Document,
    https://www.msci.com/documents/10199/5915b101-4206-4ba0-aee2-3449d5c7e95a;
    F. Corsi (2009), J. Financial Econometrics 7, https://doi.org/10.1093/jjfinec/nbp001.

    Args:
        returns: `(T,)` or `(T, D)`, in time order; volatilities come in the same unit.
        half_lives: In rows; after one half-life an observation counts half.
        lags: K, number of past returns; 0 for none.

    Returns:
        The first `max(lags, ceil(max(half_lives)))` rows are dropped, where the
        weights are not yet filled. Columns `lag1`, ..., `vol3`, ..., for a frame with
        the asset in front: `AAPL_lag1`, .... No NaN. A stock that did not trade since
        the first row has volatility zero: take no logarithm without looking.

    Raises:
        ValueError: NaN, dates out of order, a half-life or lag out of range, nothing
            asked for, or too few rows for the warm-up.
    """
    matrix(returns, what="returns")
    require_dates_in_order(returns, what="returns")
    if lags < 0 or any(h <= 0 for h in half_lives) or lags + len(half_lives) == 0:
        raise ValueError(
            f"half_lives {half_lives}, lags {lags}: positive half-lives and lags of at least 0 "
            "are needed, and at least one feature."
        )
    warm_up = max(lags, *(math.ceil(h) for h in half_lives), 1)
    if len(returns) <= warm_up:
        raise ValueError(f"{len(returns)} rows, but the first {warm_up} are warm-up: give more.")
    assets = returns.items() if isinstance(returns, pd.DataFrame) else [("", returns)]
    features: dict[str, pd.Series] = {}
    for name, x in assets:
        prefix = f"{name}_" if isinstance(returns, pd.DataFrame) else ""
        for k in range(1, lags + 1):
            features[f"{prefix}lag{k}"] = x.shift(k)
        for h in half_lives:
            variance = x.pow(2).ewm(halflife=h, adjust=True).mean()
            # The shift is the whole point: through day t the average contains x_t.
            features[f"{prefix}vol{h:g}"] = np.sqrt(variance.shift(1))
    return pd.DataFrame(features).iloc[warm_up:]
