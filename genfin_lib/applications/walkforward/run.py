"""Flows against the best classical models, over the whole protocol: ``make walkforward``.

Choices are made on 2001-2010 and written down (``walkforward_selection``) before 2011-2022 is run,
once for each design: the 1,000 days from 2007 do not tell a better design from a luckier seed.
Forecasts of each design, and the flows fitted on the way, are kept: a run that was cut short goes
on where it was.
"""

import copy
import os
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import cpu_count

from genfin_lib.applications.features import MarketContext, NoContext, OwnContext
from genfin_lib.applications.forecasters import FlowForecaster, QuantileAverage, Recalibrated
from genfin_lib.applications.protocol import (
    INPUTS,
    LEVELS,
    REFIT_EVERY,
    START,
    losses_table,
    mean_losses,
    protocol_returns,
    series_table,
)
from genfin_lib.applications.results import FOLDER, ROOT, write_results
from genfin_lib.applications.walkforward.baselines import BASELINES, REFERENCE
from genfin_lib.applications.walkforward.falls import fall_probabilities, falls_table
from genfin_lib.applications.walkforward.kept import KeptFlow
from genfin_lib.applications.walkforward.timing import timing_table
from genfin_lib.risk import (
    Forecaster,
    diebold_mariano,
    model_confidence_set,
    score_forecasts,
    walk_forward,
)

KEPT = ROOT / "data" / "cache" / "walkforward"  # delete it to start anew
FLOWS = KEPT / "flows"
SELECTION = ("2001-01-02", "2010-12-31")
SEEDS = (0, 1, 2)
FREQUENT = 25  # days between refits of the rivals, ten times as often as the flow
RIVALS = ("GJR skew-t", "GJR, FHS", "GJR, EVT")
MARKET = MarketContext("SP500", shocks=(1, 3))
KEYS = ["date", "series", "level"]


def flow(folder: Path = FLOWS, **settings: Any) -> KeptFlow:
    """The first candidate; other settings by name."""
    return KeptFlow(folder, **{"context": MARKET, "epochs": 3} | settings)


# Each differs from the first in one thing.
CANDIDATES: dict[str, Callable[[], Forecaster]] = {
    "flow": flow,
    "10 epochs": partial(flow, epochs=10),
    "another seed": partial(flow, seed=1),
    "no common shock": partial(flow, context=MarketContext("SP500")),
    "no penalty on the spline": partial(flow, penalty=0.0),
    "knows the asset": partial(flow, identity=True),
    "recalibrated": lambda: Recalibrated(flow()),
    "no spline": partial(flow, bins=None),
    "own past only": partial(flow, context=OwnContext()),
    "no context": partial(flow, context=NoContext()),
}
# The best of them on the selection period; the designs differ from it in one thing each.
chosen = partial(flow, identity=True)
DESIGNS: dict[str, Callable[[], Forecaster]] = {
    **{f"flow, seed {seed}": partial(chosen, seed=seed) for seed in SEEDS},
    **{f"no spline, seed {seed}": partial(chosen, seed=seed, bins=None) for seed in SEEDS},
    "does not know the asset": flow,
    "own past only": partial(chosen, context=OwnContext()),
    "no context": partial(chosen, context=NoContext()),
    "recalibrated": lambda: Recalibrated(chosen()),
    "one density": lambda: QuantileAverage(
        *((chosen(seed=seed), None) for seed in SEEDS), BASELINES[REFERENCE]
    ),
}
# Equal means of VaR and of ES: no weight in them is fitted.
COMBINATIONS = {
    "three flows": [f"flow, seed {seed}" for seed in SEEDS],
    "flow with GJR, EVT": ["flow, seed 0", "GJR, EVT"],
    "half flows, half GJR, EVT": ["three flows", "GJR, EVT, 25 days"],
    "three flows with GJR, EVT": [*(f"flow, seed {seed}" for seed in SEEDS), "GJR, EVT, 25 days"],
}


def forecast(
    model: Forecaster,
    name: str,
    *,
    returns: pd.DataFrame,
    start: str,
    window: int | None = None,
    every: int = REFIT_EVERY,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """`walk_forward` at the levels of the protocol; all history is seen unless told otherwise."""
    return walk_forward(
        model,
        returns,
        start=start,
        window=window,
        refit_every=every,
        levels=LEVELS,
        model=name,
        n_jobs=n_jobs,
    )


def averaged(forecasts: pd.DataFrame, models: Iterable[str], name: str) -> pd.DataFrame:
    """Mean of the VaR and of the ES of several models: those of `QuantileAverage` of them.

    Log-score and PIT of that law are not in the table and NaN.
    """
    chosen = forecasts[forecasts["model"].isin(list(models))]
    means = chosen.groupby(KEYS, sort=False)[["var", "es", "realized"]].mean().reset_index()
    return means.assign(model=name, log_score=float("nan"), pit=float("nan"))


def selection_table(*, n_jobs: int | None = None) -> pd.DataFrame:
    """Every candidate and two rivals on the selection period: means over days and series."""
    returns = protocol_returns()[: SELECTION[1]]
    run = partial(forecast, returns=returns, start=SELECTION[0], n_jobs=n_jobs)
    tables = [
        _kept(f"selection, {name}", partial(run, build(), name))
        for name, build in CANDIDATES.items()
    ]
    for name in (REFERENCE, "GJR, EVT"):
        model, window = BASELINES[name]
        job = partial(run, model, name, window=window)
        tables.append(_kept(f"selection, {name}", job))
    together = pd.concat(tables, ignore_index=True)
    both = averaged(together, ("flow", "GJR, EVT"), "flow with GJR, EVT")
    scored = score_forecasts(pd.concat([together, both], ignore_index=True))
    return mean_losses(scored, ["model", "level"]).reset_index()


def all_forecasts(*, n_jobs: int | None = None) -> pd.DataFrame:
    """Forecasts of the test period: designs, rivals refitted often, and every baseline."""
    returns = protocol_returns()
    run = partial(forecast, returns=returns, start=START, n_jobs=n_jobs)
    tables = [_kept(name, partial(run, build(), name)) for name, build in DESIGNS.items()]
    for every, names in ((FREQUENT, RIVALS), (REFIT_EVERY, BASELINES)):
        for name in names:
            title = f"{name}, {every} days" if every == FREQUENT else name
            model, window = BASELINES[name]
            job = partial(run, model, title, window=window, every=every)
            tables.append(_kept(title, job))
    together = pd.concat(tables, ignore_index=True)
    for name, parts in COMBINATIONS.items():
        together = pd.concat([together, averaged(together, parts, name)], ignore_index=True)
    return together


def stretch_table(forecasts: pd.DataFrame) -> pd.DataFrame:
    """Losses between one refit and the next, means over days and series.

    Returns:
        ``model, level, start`` (first day of the stretch), ``hit_rate, pinball, fz0, nll``.
    """
    days = forecasts["date"].drop_duplicates().sort_values().reset_index(drop=True)
    start = dict(zip(days, days[days.index // REFIT_EVERY * REFIT_EVERY], strict=True))
    scored = score_forecasts(forecasts)
    scored["start"] = scored["date"].map(start).dt.strftime("%Y-%m-%d")
    return mean_losses(scored, ["model", "level", "start"]).reset_index()


def falls(*, n_jobs: int | None = None) -> pd.DataFrame:
    """`falls_table` of the flow, its unconditional twin and the classical laws."""
    returns = protocol_returns()
    models: dict[str, tuple[Forecaster, int | None]] = {
        name: BASELINES[name] for name in ("Gaussian", "historical simulation", REFERENCE)
    }
    designs = ("no context", "flow, seed 0", "recalibrated")
    models |= {name: (DESIGNS[name](), None) for name in designs}
    found = {
        name: fall_probabilities(model, returns, window=window, n_jobs=n_jobs)
        for name, (model, window) in models.items()
    }
    return falls_table(found, returns)


def timing() -> pd.DataFrame:
    """`timing_table` of the flow and of four classical forecasters."""
    names = ("Gaussian", "historical simulation", "GARCH", REFERENCE)
    models: dict[str, tuple[Callable[[], Forecaster], int | None]] = {
        name: (partial(copy.deepcopy, BASELINES[name][0]), BASELINES[name][1]) for name in names
    }
    models["flow"] = (partial(FlowForecaster, context=MARKET, epochs=3, identity=True), None)
    return timing_table(models, protocol_returns())


def panel(forecasts: pd.DataFrame, *, draws: int = 2000) -> pd.DataFrame:
    """`losses_table` with means over seeds as models of their own, and every rival as reference.

    Columns ``fz0_dm`` and ``nll_dm`` compare with GJR skew-t refitted often; ``fz0_dm_fhs`` and
    ``fz0_dm_evt`` with the other two rivals. The confidence set, ``mcs_p``, is that of every
    classical model and one combination: among many near copies of one flow it would be of copies.
    """
    scored = score_forecasts(forecasts)
    losses = ["hit", "pinball", "fz0", "nll"]
    for name in ("flow", "no spline"):
        seeds = scored[scored["model"].str.startswith(f"{name}, seed")]
        mean = seeds.groupby(KEYS, sort=False)[losses].mean().reset_index()
        scored = pd.concat([scored, mean.assign(model=f"{name}, mean of seeds")])
    table = losses_table(scored, reference=f"{RIVALS[0]}, {FREQUENT} days", draws=draws)
    daily = scored.pivot_table("fz0", ["level", "date"], "model")
    often = [f"{rival}, {FREQUENT} days" for rival in RIVALS]
    compared = [m for m in (*BASELINES, *often, "three flows with GJR, EVT") if m in daily]
    for level, losses_of_day in daily.groupby(level="level"):
        found = model_confidence_set(losses_of_day.droplevel("level")[compared], draws=draws)
        rows = table["level"] == level
        table.loc[rows, "mcs_p"] = table.loc[rows, "model"].map(found.p_values)
    for rival, short in zip(RIVALS[1:], ("fhs", "evt"), strict=True):
        against = f"{rival}, {FREQUENT} days"
        table[f"fz0_dm_{short}"] = [
            float("nan")
            if model == against
            else diebold_mariano(daily.loc[level, model], daily.loc[level, against]).statistic
            for model, level in zip(table["model"], table["level"], strict=True)
        ]
    return table


def _kept(name: str, compute: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    path = KEPT / f"{name.replace(' ', '_')}.parquet"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        unfinished = path.with_suffix(".part")
        compute().to_parquet(unfinished, index=False)
        unfinished.replace(path)
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    return pd.read_parquet(path)


def main() -> None:
    """Choose, then run everything and write the tables."""
    jobs = cpu_count()
    command = "make walkforward"
    selection = selection_table(n_jobs=jobs)
    write_results("walkforward_selection", selection, command=command, seed=0, inputs=INPUTS)
    forecasts = all_forecasts(n_jobs=jobs)
    tables = {
        "walkforward": lambda: series_table(forecasts, n_jobs=jobs),
        "walkforward_panel": lambda: panel(forecasts),
        "walkforward_stretches": lambda: stretch_table(forecasts),
        "walkforward_falls": lambda: falls(n_jobs=jobs),
        "walkforward_timing": timing,
    }
    for name, build in tables.items():
        write_results(name, build(), command=command, seed=0, inputs=INPUTS)
        print(f"{name} in {os.path.relpath(FOLDER)}", flush=True)


if __name__ == "__main__":
    main()
