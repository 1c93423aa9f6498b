"""Performance of a strategy from its simple returns per period, and the error of that figure.

Returns are *simple* returns of the whole capital, after costs, decimals: wealth is their
compound. `periods_per_year` is never guessed: 252 for exchange days, 365 for days of a market
that never closes, 24 * 365 for its hours.
"""

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from genfin_lib.trading.sharpe import checked_returns, require_years, sharpe_ratio


def sortino_ratio(returns: ArrayLike, *, periods_per_year: float, risk_free: float = 0.0) -> float:
    r"""Annualised mean over downside deviation.

    .. math:: \sqrt{P}\; \frac{\bar r - r_f}{\sqrt{\frac1T \sum_t \min(r_t - r_f, 0)^2}}

    The sum runs over *all* periods: the standard deviation of the losing ones would reward a
    strategy for losing the same amount each time. F. A. Sortino and L. N. Price (1994),
    Performance measurement in a downside risk framework, J. Investing 3,
    https://doi.org/10.3905/joi.3.3.59.

    Args:
        returns: Simple returns per period, decimals, `(T,)`.
        periods_per_year: :math:`P`.
        risk_free: :math:`r_f` per period, decimal.

    Returns:
        The ratio; NaN if no period lost.

    Raises:
        ValueError: as for `sharpe_ratio`, but for variation.
    """
    excess = checked_returns(returns) - risk_free
    require_years(periods_per_year)
    downside = math.sqrt(np.mean(np.minimum(excess, 0.0) ** 2))
    return math.sqrt(periods_per_year) * float(excess.mean()) / downside if downside else math.nan


def maximum_drawdown(returns: ArrayLike) -> float:
    r"""Largest fall of wealth from an earlier peak, as a share of the peak.

    .. math:: \max_t \Bigl(1 - \frac{W_t}{\max_{s \le t} W_s}\Bigr), \qquad
        W_t = \prod_{i \le t} (1 + r_i), \quad W_0 = 1

    The capital at the start is the first peak, so a loss on the first day counts.

    Args:
        returns: Simple returns per period, decimals, `(T,)`.

    Returns:
        Between 0 and 1, a loss: positive.

    Raises:
        ValueError: as for `sortino_ratio`.
    """
    wealth = np.cumprod(np.append(1.0, 1 + checked_returns(returns)))  # (T + 1,)
    return float((1 - wealth / np.maximum.accumulate(wealth)).max())


def turnover(positions: ArrayLike, *, periods_per_year: float) -> float:
    r"""Traded share of the capital per year, both ways, from positions held.

    .. math:: \frac{P}{T} \sum_{t=1}^{T} \sum_j |w_{tj} - w_{t-1,j}|, \qquad w_0 = 0

    Going from cash to fully invested counts 1, from long to short 2. Trades that only undo the
    drift of weights with prices are not seen.

    Args:
        positions: Shares of wealth held in each period, `(T,)` or `(T, assets)`.
        periods_per_year: :math:`P`.

    Returns:
        Multiples of the capital per year.

    Raises:
        ValueError: NaN, or another shape.
    """
    w = np.asarray(positions, dtype=np.float64)
    require_years(periods_per_year)
    if w.ndim not in (1, 2) or w.size == 0 or not np.isfinite(w).all():
        raise ValueError(
            f"positions of shape {w.shape}: finite shares of wealth (T,) or (T, assets) are needed"
        )
    traded = np.abs(np.diff(w, axis=0, prepend=np.zeros_like(w[:1]))).sum()
    return float(traded * periods_per_year / len(w))


def performance_metrics(
    returns: ArrayLike,
    *,
    periods_per_year: float,
    positions: ArrayLike | None = None,
    risk_free: float = 0.0,
) -> pd.Series:
    r"""The usual table of a strategy's performance, with the error of its Sharpe ratio.

    .. math:: g = W_T^{P/T} - 1, \qquad \mathrm{Calmar} = g / \text{maximum drawdown}

    See `sharpe_ratio`, `sortino_ratio`, `maximum_drawdown` and `turnover` for the others.

    Args:
        returns: Simple returns per period after costs, decimals, `(T,)`. Leave out rows before
            the strategy could trade.
        periods_per_year: :math:`P`.
        positions: Shares of wealth held, `(T,)` or `(T, assets)`, for the turnover.
        risk_free: Per period, decimal.

    Returns:
        `annual_return` :math:`g`, `annual_volatility`, `sharpe`, `sharpe_standard_error`,
        `sortino`, `maximum_drawdown` (positive), `calmar` (NaN without a drawdown), `win_rate`
        (share of gains among returns that are not zero) and `turnover` per year (NaN without
        positions).

    Raises:
        ValueError: as for `sharpe_ratio`, or positions of another length.
    """
    x = checked_returns(returns)
    sharpe, error = sharpe_ratio(x, periods_per_year=periods_per_year, risk_free=risk_free)
    if positions is not None and len(np.asarray(positions)) != x.size:
        raise ValueError(f"{x.size} returns but {len(np.asarray(positions))} rows of positions")
    growth = math.expm1(float(np.log1p(x).mean()) * periods_per_year)
    drawdown = maximum_drawdown(x)
    return pd.Series(
        {
            "annual_return": growth,
            "annual_volatility": math.sqrt(periods_per_year) * float(x.std(ddof=1)),
            "sharpe": sharpe,
            "sharpe_standard_error": error,
            "sortino": sortino_ratio(x, periods_per_year=periods_per_year, risk_free=risk_free),
            "maximum_drawdown": drawdown,
            "calmar": growth / drawdown if drawdown else math.nan,
            "win_rate": float((x[x != 0] > 0).mean()),
            "turnover": math.nan
            if positions is None
            else turnover(positions, periods_per_year=periods_per_year),
        }
    )
