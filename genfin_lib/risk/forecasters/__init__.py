"""Classical forecasters of one-day returns, all behind one interface."""

from genfin_lib.risk.forecasters.contract import Forecaster
from genfin_lib.risk.forecasters.filtered import FilteredHistoricalSimulation, PeaksOverThreshold
from genfin_lib.risk.forecasters.moving import Gaussian, HistoricalSimulation
from genfin_lib.risk.forecasters.volatility import Ewma, Filtered, Garch, VolatilityFilter

__all__ = [
    "Ewma",
    "Filtered",
    "FilteredHistoricalSimulation",
    "Forecaster",
    "Garch",
    "Gaussian",
    "HistoricalSimulation",
    "PeaksOverThreshold",
    "VolatilityFilter",
]
