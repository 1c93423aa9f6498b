"""What a forecast costs, on the machine that ran the tables: ``make walkforward``."""

import time
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from genfin_lib.risk import Forecaster


def timing_table(
    models: Mapping[str, tuple[Callable[[], Forecaster], int | None]],
    returns: pd.DataFrame,
    *,
    days: int = 100,
    level: float = 0.99,
) -> pd.DataFrame:
    """Processor time of one fit, and of one evening: forecast, VaR and ES of every series.

    Processor time of one process, so that other programs on the machine count little; no network
    and no disk is in it.

    Args:
        models: Name to a way of building the forecaster, and its window.
        returns: Returns of the panel; the last `days` rows are forecast.
        days: Evenings timed, after one that warms up.
        level: Of VaR and ES.

    Returns:
        ``model, series, fit_seconds`` and the milliseconds ``p50, p95, p99`` of an evening, for all
        series and for the first one alone.
    """
    rows = []
    for name, (build, window) in models.items():
        for panel in (returns, returns.iloc[:, :1]):
            past = panel.iloc[: len(panel) - days - 1]
            model = build()
            began = time.process_time()
            model.fit(past if window is None else past.iloc[-window:])
            fitted = time.process_time() - began
            taken = []
            for today in range(len(past), len(panel)):
                history = panel.iloc[0 if window is None else today - window : today]
                began = time.process_time()
                law = model.forecast(history)
                law.quantile(1 - level)
                law.expected_shortfall(level=level)
                taken.append(1000 * (time.process_time() - began))
            quantiles = np.quantile(taken[1:], [0.5, 0.95, 0.99])
            spent = dict(zip(("p50", "p95", "p99"), quantiles, strict=True))
            rows.append({"model": name, "series": panel.shape[1], "fit_seconds": fitted, **spent})
    return pd.DataFrame(rows)
