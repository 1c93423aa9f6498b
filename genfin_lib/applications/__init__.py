"""Where models meet markets: long runs, their protocol and their results."""

from genfin_lib.applications.features import (
    Context,
    ContextMap,
    MarketContext,
    NoContext,
    OwnContext,
    moving_volatility,
)
from genfin_lib.applications.forecasters import (
    AveragedLaw,
    FlowForecaster,
    FlowLaw,
    QuantileAverage,
    Recalibrated,
    RecalibratedLaw,
    Reviewing,
    beta_shapes,
)
from genfin_lib.applications.gaussian_regimes import (
    GaussianRegimes,
    RegimeWalk,
    walk_forward_regimes,
)
from genfin_lib.applications.live import Decision, RiskPipeline
from genfin_lib.applications.protocol import panel_table, protocol_returns, series_table
from genfin_lib.applications.regimes import HiddenMarkovFlow, RegimePath
from genfin_lib.applications.results import read_record, read_results, write_results

__all__ = [
    "AveragedLaw",
    "Context",
    "ContextMap",
    "Decision",
    "FlowForecaster",
    "FlowLaw",
    "GaussianRegimes",
    "HiddenMarkovFlow",
    "MarketContext",
    "NoContext",
    "OwnContext",
    "QuantileAverage",
    "Recalibrated",
    "RecalibratedLaw",
    "RegimePath",
    "RegimeWalk",
    "Reviewing",
    "RiskPipeline",
    "beta_shapes",
    "moving_volatility",
    "panel_table",
    "protocol_returns",
    "read_record",
    "read_results",
    "series_table",
    "walk_forward_regimes",
    "write_results",
]
