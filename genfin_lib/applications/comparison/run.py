"""Fit, draw, score: one cell of the comparison, and all of them."""

import hashlib
import itertools
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from genfin_lib.applications.comparison.entries import Budget, Entry
from genfin_lib.applications.comparison.scoring import score
from genfin_lib.applications.comparison.tasks import (
    Task,
)
from genfin_lib.applications.results import ROOT
from genfin_lib.risk import newey_west_standard_error

SEEDS = (0, 1, 2, 3, 4)
# Of a run that is not finished, and of all that were.
PARTS = ROOT / "data" / "cache" / "comparison"


def cell(
    task: Task, name: str, entry: Entry, seed: int, budget: Budget, folder: Path
) -> dict[str, Any]:
    """One model on one task with one seed; computed once, ever, and kept as a file.

    A file is named after name, seed, budget and data. Delete it when the model's code has changed.

    Args:
        task: What it is asked.
        name: Of the model.
        entry: How to fit it.
        seed: Of weights, batches and draws.
        budget: Of training.
        folder: Where cells are kept.

    Returns:
        ``task, model, seed, scores``, and ``each``: losses by block of later examples.
    """
    path = folder / f"{_digest(task, name, seed, budget)}.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    began = time.process_time()
    model = entry.build(task, seed, budget)
    seconds = time.process_time() - began
    scores, each = score(model, task, seed=seed)
    scores["seconds of training"] = seconds
    found = {
        "task": task.name,
        "model": name,
        "seed": seed,
        "scores": scores,
        "each": {name: by_block(values, task.block) for name, values in each.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{time.time_ns()}.tmp")
    temporary.write_text(json.dumps(found), encoding="utf-8")
    temporary.replace(path)
    return found


def compare(
    tasks: Sequence[Task],
    models: Mapping[str, Entry],
    *,
    seeds: Sequence[int] = SEEDS,
    budget: Budget | None = None,
    folder: Path = PARTS,
    n_jobs: int = 1,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The comparison: every model on every task that it is for, with every seed.

    Runs on joblib, so that its backend decides where: processes here, or the workers of a Dask
    cluster with `joblib.parallel_config(backend="dask")`. Cells that are kept are read.

    Args:
        tasks: What is asked.
        models: Rows, such as `ENTRIES`, by name.
        seeds: Of weights, batches and draws.
        budget: Of training; the published one if ``None``.
        folder: Where cells are kept.
        n_jobs: Processes.

    Returns:
        Scores as ``task, model, seed, score, value``; mean losses in each stretch of the later
        period as ``task, model, seed, loss, block, value``. All of one seed come before all of
        the next: a run cut short has some seeds whole.
    """
    budget = Budget() if budget is None else budget
    cells = Parallel(n_jobs=n_jobs)(
        delayed(cell)(task, name, entry, seed, budget, folder)
        for seed, task, (name, entry) in itertools.product(seeds, tasks, models.items())
        if entry.takes(task)
    )
    keys = ("task", "model", "seed")
    rows = [
        {**{key: found[key] for key in keys}, "score": name, "value": value}
        for found in cells
        for name, value in found["scores"].items()
    ]
    losses = [
        {**{key: found[key] for key in keys}, "loss": name, "block": block, "value": value}
        for found in cells
        for name, values in found["each"].items()
        for block, value in enumerate(values)
    ]
    columns = [*keys, "loss", "block", "value"]
    return pd.DataFrame(rows), pd.DataFrame(losses, columns=columns)


def by_block(values: Sequence[float], block: Sequence[int]) -> list[float]:
    """Mean of the values of each block, in the order of the blocks; fifty each if there are none.

    Args:
        values: By example.
        block: Of each example, or nothing.
    """
    label = np.asarray(block) if len(block) else np.arange(len(values)) // 50
    return [float(mean) for mean in pd.Series(values).groupby(label).mean()]


def against(losses: pd.DataFrame, reference: str) -> pd.DataFrame:
    r"""How much each model loses to one of them on average, and whether that could be chance.

    .. math:: t = \frac{\bar d}{\sqrt{\mathrm{se}_{\text{time}}^2 + \mathrm{se}_{\text{seeds}}^2}}

    with :math:`d` the difference of two losses in one stretch of time, averaged over seeds. The
    first error is that of `genfin_lib.risk.diebold_mariano`: other later data. The second is that
    of the mean over seeds: other weights. Models are paired in both: a wild month is wild for all.

    Args:
        losses: Of one task and one loss: ``model, seed, block, value``.
        reference: Model that the others are held against.

    Returns:
        ``difference``, positive if worse, ``error`` and ``t`` by model, best first.
    """
    wide = losses.pivot_table(index=["seed", "block"], columns="model", values="value")
    found = {}
    for model in wide.columns.drop(reference):
        gap = (wide[model] - wide[reference]).dropna().unstack("block")  # (seeds, blocks)
        by_seed = gap.mean(axis=1)
        seeds = by_seed.std() / math.sqrt(len(by_seed)) if len(by_seed) > 1 else 0.0
        path = gap.mean().to_numpy()
        error = math.hypot(newey_west_standard_error(path), seeds)
        found[model] = {"difference": path.mean(), "error": error, "t": path.mean() / error}
    return pd.DataFrame(found).T.sort_values("difference")


def leaderboard(table: pd.DataFrame) -> pd.DataFrame:
    """Mean of each score over the seeds and its spread, ``task, score, model, mean, spread``.

    The spread is the standard deviation over seeds: of fitting *and* drawing again. It does not
    hold the error of the later data, which all models share.

    Args:
        table: Long, with a row for each ``task, score, model`` and seed.
    """
    grouped = table.groupby(["task", "score", "model"], sort=False)["value"]
    return grouped.agg(mean="mean", spread="std").reset_index()


def _digest(task: Task, model: str, seed: int, budget: Budget) -> str:
    sha = hashlib.sha256(repr((task.name, task.seconds, model, seed, budget)).encode())
    for part in (task.train, task.validation, task.later):
        sha.update(part.numpy().tobytes())
    return sha.hexdigest()[:24]
