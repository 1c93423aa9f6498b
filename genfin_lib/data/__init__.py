"""Market data, from committed snapshots to tensors, without looking ahead.

The usual path is `load` -> `log_returns` -> `chronological_split` -> `Standardizer`
fitted on the training part -> `windows` or `volatility_context` -> `to_tensor`.
"""

from genfin_lib.data.context import volatility_context
from genfin_lib.data.returns import log_returns, portfolio_returns, simple_returns
from genfin_lib.data.scaling import Standardizer, Winsorizer
from genfin_lib.data.simulate import (
    FactorSample,
    GarchSample,
    MultiscaleSample,
    RegimeSample,
    garch_kurtosis,
    simulate_factors,
    simulate_garch,
    simulate_multiscale,
    simulate_regimes,
)
from genfin_lib.data.snapshots import catalogue, load, provenance
from genfin_lib.data.splits import chronological_split, window_ends, windows
from genfin_lib.data.tensors import to_tensor
from genfin_lib.data.toys import HalfMoons

__all__ = [
    "FactorSample",
    "GarchSample",
    "HalfMoons",
    "MultiscaleSample",
    "RegimeSample",
    "Standardizer",
    "Winsorizer",
    "catalogue",
    "chronological_split",
    "garch_kurtosis",
    "load",
    "log_returns",
    "portfolio_returns",
    "provenance",
    "simple_returns",
    "simulate_factors",
    "simulate_garch",
    "simulate_multiscale",
    "simulate_regimes",
    "to_tensor",
    "volatility_context",
    "window_ends",
    "windows",
]
