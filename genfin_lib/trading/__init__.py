"""Trading: from forecasts to positions, to what they earned, and how sure one can be of it.

NumPy, SciPy, pandas and arch's bootstrap: a strategy does not care which model gave its signal.
"""

from genfin_lib.trading.allocation import minimum_variance
from genfin_lib.trading.backtest import Backtest, backtest
from genfin_lib.trading.comparison import compare_backtests
from genfin_lib.trading.metrics import (
    maximum_drawdown,
    performance_metrics,
    sortino_ratio,
    turnover,
)
from genfin_lib.trading.sharpe import (
    deflated_sharpe_ratio,
    probabilistic_sharpe_ratio,
    sharpe_interval,
    sharpe_ratio,
)
from genfin_lib.trading.signals import (
    contrarian_signal,
    kelly_position,
    no_trade_band,
    var_sizing,
    volatility_target,
)

__all__ = [
    "Backtest",
    "backtest",
    "compare_backtests",
    "contrarian_signal",
    "deflated_sharpe_ratio",
    "kelly_position",
    "maximum_drawdown",
    "minimum_variance",
    "no_trade_band",
    "performance_metrics",
    "probabilistic_sharpe_ratio",
    "sharpe_interval",
    "sharpe_ratio",
    "sortino_ratio",
    "turnover",
    "var_sizing",
    "volatility_target",
]
