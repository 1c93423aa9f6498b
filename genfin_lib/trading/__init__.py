"""Trading: how to measure what a strategy earned, and how sure one can be of it.

NumPy, SciPy and pandas only: a strategy does not care which model gave its signal.
"""

from genfin_lib.trading.metrics import (
    maximum_drawdown,
    performance_metrics,
    sortino_ratio,
    turnover,
)
from genfin_lib.trading.sharpe import (
    deflated_sharpe_ratio,
    probabilistic_sharpe_ratio,
    sharpe_ratio,
)

__all__ = [
    "deflated_sharpe_ratio",
    "maximum_drawdown",
    "performance_metrics",
    "probabilistic_sharpe_ratio",
    "sharpe_ratio",
    "sortino_ratio",
    "turnover",
]
