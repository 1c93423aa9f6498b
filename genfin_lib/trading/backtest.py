"""What positions would have earned: decided first, held later, paid for."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from genfin_lib.trading.metrics import performance_metrics
from genfin_lib.trading.sharpe import require_years

Table = TypeVar("Table", pd.DataFrame, pd.Series)


@dataclass(frozen=True, eq=False)
class Backtest:
    """Result of `backtest`, one row for each bar in which a position could be held.

    Attributes:
        net_returns: Simple returns of the whole capital after costs, decimals.
        gross_returns: The same before costs.
        costs: Share of the capital paid for the trades that open the bar.
        turnover: Share of the capital traded at the start of the bar, both ways.
        positions: Shares of the capital held during the bar, by asset if there are several.
        periods_per_year: Bars in a year.
    """

    net_returns: pd.Series
    gross_returns: pd.Series
    costs: pd.Series
    turnover: pd.Series
    positions: pd.DataFrame | pd.Series
    periods_per_year: float

    @property
    def equity(self) -> pd.Series:
        """Capital at the end of each bar, of 1 at the start."""
        return (1 + self.net_returns).cumprod().rename("equity")

    def metrics(self, *, risk_free: float = 0.0) -> pd.Series:
        """`performance_metrics` of the net returns; the turnover counts trades against drift too.

        Args:
            risk_free: Per bar, decimal.

        Raises:
            ValueError: fewer than three bars, or returns that do not vary: never in the market.
        """
        table = performance_metrics(
            self.net_returns, periods_per_year=self.periods_per_year, risk_free=risk_free
        )
        table["turnover"] = self.turnover.mean() * self.periods_per_year
        return table


def backtest(
    positions: Table,
    returns: Table,
    *,
    periods_per_year: float,
    cost: float,
    funding: Table | None = None,
    delay: int = 1,
) -> Backtest:
    r"""Turn positions into wealth, each decided before the return that it earns.

    .. math::
        1 + R_t = (1 - c\,\tau_t) \Bigl(1 + \sum_j w_{t-\delta,j}\,(r_{tj} - f_{tj})\Bigr),
        \qquad
        \tau_t = \sum_j |w_{t-\delta,j} - \tilde w_{tj}|, \qquad
        \tilde w_{tj} = \frac{w_{t-1-\delta,j}\,(1 + r_{t-1,j})}{1 + G_{t-1}}

    with :math:`\delta` the delay and :math:`G` the return before costs, the bracket minus one. Row
    :math:`t` of `positions` may use everything up to the close of bar :math:`t`. With `delay=1` and
    returns from close to close it is traded at that close and earns the *next* bar: that takes an
    auction at the close, or a market that never shuts. With `delay=2` it is traded at the close of
    bar :math:`t + 1`; with `delay=1` and returns from open to next open, dated by the first, at the
    open of :math:`t + 1`. No row earns its own bar.

    :math:`\tilde w` is what prices have made of yesterday's shares, so holding a constant share
    other than 0 or 1 takes trades, and they are charged. The cost is that of the shares' change;
    that it lowers the capital they are shares of is of order :math:`c^2`. Capital beyond the
    positions earns no interest, and borrowing costs none but for `funding`.

    Args:
        positions: Shares of the capital *decided* at the close of each bar, series or
            `(T, assets)`, negative for short; their dates are those of `returns`.
        returns: Simple returns of each bar, decimals.
        periods_per_year: Bars in a year, never guessed: 252, 365, 24 * 365.
        cost: :math:`c`, share of the traded value, decimal: 0.0005 is five basis points.
        funding: :math:`f`, what a long position pays, and a short one receives, per bar.
        delay: :math:`\delta`, bars from decision to the bar earned, at least 1.

    Returns:
        Returns, costs and positions of every bar from the first that could be held.

    Raises:
        ValueError: other dates or assets, dates out of order, NaN, returns below -1, a cost
            outside [0, 1), a delay below 1, too few bars, or capital that is lost.
    """
    require_years(periods_per_year)
    if delay < 1:
        raise ValueError(f"delay {delay}: a position decided at a close earns the next bar at best")
    if not 0 <= cost < 1:
        raise ValueError(f"cost {cost}: a share of the traded value in [0, 1); 0.0005 is 5 bp")
    r = _matrix(returns, "returns", returns)
    w = _matrix(positions, "positions", returns)
    paid = np.zeros_like(r) if funding is None else _matrix(funding, "funding", returns)
    if len(r) <= delay:
        raise ValueError(f"{len(r)} bars and a delay of {delay}: nothing could be earned")
    if (r < -1).any():
        raise ValueError(f"a return of {r.min():.4g}: simple returns in decimals are above -1")
    held, r, paid = w[:-delay], r[delay:], paid[delay:]  # (bars, assets)
    index = returns.index[delay:]
    gross = (held * (r - paid)).sum(axis=1)
    if (gross <= -1).any():
        day = index[int(np.argmax(gross <= -1))]
        raise ValueError(f"all capital is lost on {day}: lower the positions of that bar")
    drifted = held[:-1] * (1 + r[:-1]) / (1 + gross[:-1, None])
    traded = np.abs(held - np.concatenate([np.zeros_like(held[:1]), drifted])).sum(axis=1)
    costs = cost * traded
    if (costs >= 1).any():
        raise ValueError(f"a trade of {traded.max():.4g} times the capital costs all of it")
    late: pd.DataFrame | pd.Series = positions.iloc[:-delay].set_axis(index)
    return Backtest(
        net_returns=pd.Series((1 - costs) * (1 + gross) - 1, index, name="net return"),
        gross_returns=pd.Series(gross, index, name="gross return"),
        costs=pd.Series(costs, index, name="cost"),
        turnover=pd.Series(traded, index, name="turnover"),
        positions=late,
        periods_per_year=periods_per_year,
    )


def _matrix(
    table: pd.DataFrame | pd.Series, what: str, like: pd.DataFrame | pd.Series
) -> np.ndarray:
    """Finite numbers of the dates and assets of another table, `(T, assets)`."""
    if not isinstance(table, pd.DataFrame | pd.Series) or table.ndim != like.ndim:
        raise ValueError(
            f"{what} are a {type(table).__name__}, returns a {type(like).__name__}: two series, or "
            "two frames with the same columns, are needed"
        )
    if not table.index.equals(like.index):
        raise ValueError(f"{what} and returns have other dates: reindex {what} like the returns")
    if not (table.index.is_monotonic_increasing and table.index.is_unique):
        raise ValueError(f"dates of {what} are out of order, or one is there twice: sort them")
    if isinstance(like, pd.DataFrame) and not table.columns.equals(like.columns):
        raise ValueError(f"{what} {list(table.columns)} and returns {list(like.columns)} differ")
    x: np.ndarray = table.to_numpy(dtype=np.float64)
    if not np.isfinite(x).all():
        raise ValueError(
            f"{what} hold NaN or inf: write 0 where nothing was decided, or start later"
        )
    return x.reshape(len(x), -1)
