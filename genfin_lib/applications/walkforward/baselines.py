"""The classical forecasters over the whole protocol: ``make baselines``."""

import os
import time

import pandas as pd
from arch.univariate import SkewStudent, StudentsT
from joblib import cpu_count

from genfin_lib.applications.protocol import (
    INPUTS,
    LEVELS,
    REFIT_EVERY,
    START,
    panel_table,
    protocol_returns,
    series_table,
)
from genfin_lib.applications.results import FOLDER, write_results
from genfin_lib.risk import (
    Ewma,
    FilteredHistoricalSimulation,
    Forecaster,
    Garch,
    Gaussian,
    HistoricalSimulation,
    PeaksOverThreshold,
    walk_forward,
)

REFERENCE = "GJR skew-t"

# Name, forecaster, window: two years of history without parameters, four with, as is common.
BASELINES: dict[str, tuple[Forecaster, int]] = {
    "Gaussian": (Gaussian(), 500),
    "historical simulation": (HistoricalSimulation(), 500),
    "EWMA": (Ewma(), 500),
    "GARCH": (Garch(), 1000),
    "EWMA, FHS": (FilteredHistoricalSimulation(Ewma()), 1000),
    "GARCH-t": (Garch(innovations=StudentsT), 1000),
    "GJR, FHS": (
        FilteredHistoricalSimulation(Garch(innovations=SkewStudent, asymmetric=True)),
        1000,
    ),
    "GJR, EVT": (PeaksOverThreshold(Garch(innovations=SkewStudent, asymmetric=True)), 1000),
    REFERENCE: (Garch(innovations=SkewStudent, asymmetric=True), 1000),
}


def forecast_baselines(
    returns: pd.DataFrame,
    *,
    models: dict[str, tuple[Forecaster, int]] | None = None,
    refit_every: int = REFIT_EVERY,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Forecasts of the baselines from the protocol's first day on.

    Args:
        returns: Percent log returns, any columns of `protocol_returns`.
        models: Name to forecaster and window; all `BASELINES` if ``None``.
        refit_every: Days between refits.
        n_jobs: Processes, as for `walk_forward`.

    Returns:
        Long table of `walk_forward`, all models one below the other.
    """
    return pd.concat(
        [
            walk_forward(
                forecaster,
                returns,
                start=START,
                window=window,
                refit_every=refit_every,
                levels=LEVELS,
                model=name,
                n_jobs=n_jobs,
            )
            for name, (forecaster, window) in (BASELINES if models is None else models).items()
        ],
        ignore_index=True,
    )


def main() -> None:
    """Run everything and write the tables."""
    began = time.perf_counter()
    jobs = cpu_count()
    forecasts = forecast_baselines(protocol_returns(), n_jobs=jobs)
    walked = time.perf_counter()
    tables = {
        "baselines": series_table(forecasts, n_jobs=jobs),
        "baselines_panel": panel_table(forecasts, reference=REFERENCE),
    }
    seconds = {
        "processes": jobs,
        "forecast_seconds": round(walked - began),
        "test_seconds": round(time.perf_counter() - walked),
    }
    for name, table in tables.items():
        write_results(name, table, command="make baselines", seed=0, inputs=INPUTS, facts=seconds)
    forecasts.to_parquet(FOLDER / "baselines_forecasts.parquet", index=False)
    print(tables["baselines_panel"].round(4).to_string(index=False))
    print(f"{len(forecasts)} forecasts in {os.path.relpath(FOLDER)}; {seconds}")


if __name__ == "__main__":
    main()
