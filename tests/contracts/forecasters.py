"""Every forecaster of the library, by a readable name.

To put a new one under the contract, add a line.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from arch.univariate import SkewStudent, StudentsT

from genfin_lib.applications import FlowForecaster, QuantileAverage, Recalibrated
from genfin_lib.data import simulate_garch
from genfin_lib.risk import (
    Ewma,
    FilteredHistoricalSimulation,
    Forecaster,
    Garch,
    Gaussian,
    HistoricalSimulation,
    PeaksOverThreshold,
)

FORECASTERS: dict[str, Callable[[], Forecaster]] = {
    "Gaussian": Gaussian,
    "historical simulation": HistoricalSimulation,
    "EWMA": Ewma,
    "EWMA, fast": lambda: Ewma(decay=0.8),
    "GARCH": Garch,
    "GARCH-t": lambda: Garch(innovations=StudentsT),
    "GJR skew-t": lambda: Garch(innovations=SkewStudent, asymmetric=True),
    "EWMA, FHS": lambda: FilteredHistoricalSimulation(Ewma()),
    "GJR, FHS": lambda: FilteredHistoricalSimulation(Garch(asymmetric=True)),
    "EWMA, EVT": lambda: PeaksOverThreshold(Ewma()),
    "GJR, EVT": lambda: PeaksOverThreshold(Garch(asymmetric=True)),
    "flow": lambda: FlowForecaster(hidden=(8,), batch_size=128),
    "flow, recalibrated": lambda: Recalibrated(FlowForecaster(hidden=(8,), batch_size=128)),
    "average": lambda: QuantileAverage((Ewma(), None), (Garch(innovations=StudentsT), 400)),
}
WITHOUT_DENSITY = ("historical simulation", "EWMA, FHS", "GJR, FHS", "EWMA, EVT", "GJR, EVT")
WITH_DENSITY = tuple(name for name in FORECASTERS if name not in WITHOUT_DENSITY)
# One set of parameters for all series: what one says of another is the point.
POOLED = ("flow", "flow, recalibrated")


def market(days: int = 500, series: int = 2, *, seed: int = 0) -> pd.DataFrame:
    """Simulated GARCH-t returns in percent, one column a series, on business days."""
    columns = {
        f"series {s}": 100 * simulate_garch(days, seed=100 * seed + s).returns
        for s in range(series)
    }
    return pd.DataFrame(
        {name: np.asarray(x) for name, x in columns.items()},
        index=pd.bdate_range("2015-01-01", periods=days, name="date"),
    )
