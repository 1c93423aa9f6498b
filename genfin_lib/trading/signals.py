"""From what a forecast says to the share of capital that is held.

Inputs are forecasts or past data, never the return to be earned: each rule works row by row, or
from the past on. A position of 1 is all capital long, -1 short, 0 cash.
"""

import math
from typing import TypeVar

import numpy as np
import pandas as pd

from genfin_lib.trading.sharpe import require_years

Table = TypeVar("Table", pd.DataFrame, pd.Series)


def contrarian_signal(percentile: Table, *, low: float = 0.05, high: float = 0.95) -> Table:
    r"""Long after a return in the lower tail of its forecast, short after one in the upper.

    .. math:: w_t = 1\{u_t < \text{low}\} - 1\{u_t > \text{high}\}, \qquad u_t = F_{t|t-1}(r_t)

    The rule of "extreme return, expect a bounce": it takes reversal for granted, whatever
    the density says about tomorrow. Whether reversal is there is for a backtest to say.

    Args:
        percentile: Distribution function of the forecast of each bar at the return that came, in
            [0, 1]: the PIT.
        low: Below it, long.
        high: Above it, short.

    Returns:
        1, 0 or -1, shaped as `percentile`.

    Raises:
        ValueError: percentiles outside [0, 1] or NaN, or thresholds that are not in order.
    """
    if not 0 <= low < high <= 1:
        raise ValueError(f"low {low} and high {high}: 0 <= low < high <= 1 is needed")
    u = _finite(percentile, "percentile")
    if ((u < 0) | (u > 1)).any():
        raise ValueError(f"percentile from {u.min():.4g} to {u.max():.4g}: write 0.05, not 5")
    return _like(percentile, (u < low).astype(float) - (u > high).astype(float))


def kelly_position(mean: Table, volatility: Table, *, cap: float, fraction: float = 1.0) -> Table:
    r"""The share of capital that lets it grow fastest, for small returns.

    .. math:: w = \lambda\, \frac{\mu}{\sigma^2}, \qquad |w| \le \text{cap}

    maximises :math:`\mathrm E \log(1 + w r) \approx w\mu - \tfrac12 w^2\sigma^2` at
    :math:`\lambda = 1`. Errors of :math:`\mu` go straight into :math:`w`; a fraction of one half
    keeps three quarters of the growth. J. L. Kelly (1956), A new interpretation of information
    rate, Bell System Technical J. 35, https://doi.org/10.1002/j.1538-7305.1956.tb03809.x.

    Args:
        mean: Forecast mean of the next simple return, decimals.
        volatility: Its forecast standard deviation, same unit.
        cap: Largest position, long or short.
        fraction: :math:`\lambda`.

    Returns:
        Positions, shaped as `mean`.

    Raises:
        ValueError: NaN, another shape, or a volatility, cap or fraction that is not positive.
    """
    _positive(cap, "cap")
    _positive(fraction, "fraction")
    sigma = _above_zero(volatility, "volatility")
    mu = _finite(mean, "mean")
    if mu.shape != sigma.shape:
        raise ValueError(f"mean of shape {mu.shape}, volatility of {sigma.shape}: one of each")
    return _like(mean, np.clip(fraction * mu / sigma**2, -cap, cap))


def volatility_target(
    volatility: Table, *, target: float, periods_per_year: float, cap: float
) -> Table:
    r"""Hold less when more volatility is forecast, so that the capital's stays level.

    .. math:: w = \min\Bigl(\frac{\text{target}}{\sqrt{P}\,\sigma},\ \text{cap}\Bigr)

    A. Moreira and T. Muir (2017), Volatility-managed portfolios, J. Finance 72,
    https://doi.org/10.1111/jofi.12513, and, against it, S. Cederburg, M. S. O'Doherty, F. Wang and
    X. Yan (2020), J. Financial Economics 138, https://doi.org/10.1016/j.jfineco.2020.04.015.

    Args:
        volatility: Forecast standard deviation of the next bar's return, decimals.
        target: Annual volatility wanted, decimal.
        periods_per_year: :math:`P`.
        cap: Largest position.

    Returns:
        Positions above 0, shaped as `volatility`.

    Raises:
        ValueError: NaN, or anything that is not positive.
    """
    require_years(periods_per_year)
    _positive(target, "target")
    _positive(cap, "cap")
    sigma = _above_zero(volatility, "volatility")
    return _like(volatility, np.minimum(target / (math.sqrt(periods_per_year) * sigma), cap))


def var_sizing(value_at_risk: Table, *, budget: float, cap: float) -> Table:
    r"""The largest position whose value at risk stays within a budget.

    .. math:: w = \min\Bigl(\frac{\text{budget}}{\mathrm{VaR}},\ \text{cap}\Bigr)

    Where the forecast is right and the cap does not bind, the capital loses more than the budget
    in a share :math:`1 - \text{level}` of the bars, whatever the market does. A long position is
    meant; the VaR of a short one is the upper quantile.

    Args:
        value_at_risk: Forecast VaR of the next *simple* return, a positive loss, decimals; at or
            below zero the cap holds. That of a log return is :math:`1 - e^{-\mathrm{VaR}}`.
        budget: Loss allowed at the level of the VaR, as a share of the capital.
        cap: Largest position.

    Returns:
        Positions above 0, shaped as `value_at_risk`.

    Raises:
        ValueError: NaN, or a budget or cap that is not positive.
    """
    _positive(budget, "budget")
    _positive(cap, "cap")
    var = _finite(value_at_risk, "value_at_risk")
    # A forecast without a loss at the level, VaR at or below zero, leaves the cap alone.
    return _like(value_at_risk, budget / np.maximum(var, budget / cap))


def no_trade_band(positions: Table, *, band: float) -> Table:
    r"""Keep the last position until the wanted one is farther away than the band.

    .. math:: h_t = \begin{cases} h_{t-1} & |w_t - h_{t-1}| \le \text{band} \\
        w_t & \text{otherwise} \end{cases}, \qquad h_0 = w_0

    Proportional costs make small adjustments a loss: the best policy leaves a region alone, as in
    G. M. Constantinides (1986), Capital market equilibrium with transaction costs, J. Political
    Economy 94, https://doi.org/10.1086/261410. What is kept is the *share*: trades that undo its
    drift with prices remain, and `backtest` charges them.

    Args:
        positions: Wanted, in time order, `(T,)` or `(T, assets)`.
        band: Half-width, as a share of the capital, from 0.

    Returns:
        Held, of the same shape; each row depends on those up to it.

    Raises:
        ValueError: NaN, or a negative band.
    """
    if not 0 <= band < math.inf:
        raise ValueError(f"band {band}: a share of the capital from 0 is needed")
    wanted = _finite(positions, "positions")
    held = wanted.copy()
    for t in range(1, len(held)):
        stay = np.abs(wanted[t] - held[t - 1]) <= band
        held[t] = np.where(stay, held[t - 1], wanted[t])
    return _like(positions, held)


def _like(table: Table, values: np.ndarray) -> Table:
    out = table.copy()
    out[:] = values
    return out


def _finite(table: pd.DataFrame | pd.Series, what: str) -> np.ndarray:
    if not isinstance(table, pd.DataFrame | pd.Series):
        raise ValueError(f"{what} is a {type(table).__name__}: a Series or DataFrame is needed")
    x: np.ndarray = table.to_numpy(dtype=np.float64)
    if x.size == 0 or not np.isfinite(x).all():
        raise ValueError(f"{what} is empty or holds NaN or inf: drop the rows without a forecast")
    return x


def _above_zero(table: pd.DataFrame | pd.Series, what: str) -> np.ndarray:
    x = _finite(table, what)
    if (x <= 0).any():
        raise ValueError(f"{what} down to {x.min():.4g}: above 0 is needed in every row")
    return x


def _positive(value: float, what: str) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{what} {value}: a number above 0 is needed")
