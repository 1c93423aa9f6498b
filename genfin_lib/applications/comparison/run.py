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
import torch
from joblib import Parallel, delayed

from genfin_lib.applications.comparison.entries import Budget, Entry, Generator
from genfin_lib.applications.comparison.scores import (
    maximum_mean_discrepancy,
    mode_coverage,
    novelty,
    tail_risk,
    wasserstein_by_horizon,
)
from genfin_lib.applications.comparison.tasks import (
    REGIME_WEIGHTS,
    Task,
    regime_log_densities,
)
from genfin_lib.applications.results import ROOT
from genfin_lib.distributions import fixed_seed
from genfin_lib.risk import compare_stylized_facts

SEEDS = (0, 1, 2, 3, 4)
# Examples that the scores quadratic in their number look at.
AT_MOST = 700
# Of a run that is not finished, and of all that were.
PARTS = ROOT / "data" / "cache" / "comparison"


def score(model: Generator, task: Task, *, seed: int) -> tuple[dict[str, float], list[float]]:
    """All scores of a fitted model, and its log-density of each later example.

    As many examples are drawn as there are later ones, for extremes grow with the sample.

    Args:
        model: Fitted on the task's training part.
        task: Whose later part sets the standard.
        seed: Of draws, bootstraps and permutations.

    Returns:
        Scores by name, ``finite`` among them: the share of generated examples without NaN or
        inf. Unless it is one, there are no scores of the draws. The list is empty if the model has
        no likelihood.
    """
    began = time.perf_counter()
    drawn = model.sample(len(task.later), seed=seed).double().numpy()
    seconds = time.perf_counter() - began
    rows = drawn.reshape(len(drawn), -1)
    found = {
        "finite": float(np.isfinite(rows).all(axis=1).mean()),
        "seconds per 1000 draws": 1000 * seconds / len(drawn),
        "parameters": float(sum(p.numel() for p in getattr(model, "parameters", list)())),
    }
    log_prob: list[float] = []
    if hasattr(model, "log_prob"):
        # Bounds have draws of their own.
        with torch.no_grad(), fixed_seed(seed):
            later, seen = (
                model.log_prob(part) / math.prod(part.shape[1:])
                for part in (task.later, task.train[:: max(1, len(task.train) // 1000)])
            )
        log_prob = later.tolist()
        found |= {"nll": -later.mean().item(), "nll of training": -seen.mean().item()}
    if found["finite"] < 1:
        return found, log_prob
    real, unseen = (part.double().numpy() for part in (task.later, task.validation))
    pick = [np.linspace(0, len(x) - 1, min(len(x), AT_MOST)).astype(int) for x in (real, drawn)]
    distance = maximum_mean_discrepancy(real[pick[0]], drawn[pick[1]], seed=seed)
    new = novelty(drawn, task.train.numpy(), unseen)
    found |= {
        "MMD": distance.statistic,
        "MMD in spreads": distance.statistic / distance.spread,
        "novelty": new.ratio,
        "copies": new.copies,
    }
    found |= _of_paths(drawn, real, seed) if drawn.ndim == 3 else _of_rows(drawn, real)
    if task.name == "regimes":
        modes = mode_coverage(
            regime_log_densities(drawn),
            REGIME_WEIGHTS,
            true_log_densities=regime_log_densities(real),
        )
        found |= {"missed": modes.missed, "invented": modes.invented}
    return found, log_prob


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
        ``task, model, seed, scores, log_prob``.
    """
    path = folder / f"{_digest(task, name, seed, budget)}.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    began = time.perf_counter()
    model = entry.build(task, seed, budget)
    seconds = time.perf_counter() - began
    scores, log_prob = score(model, task, seed=seed)
    scores["seconds of training"] = seconds
    found = {
        "task": task.name,
        "model": name,
        "seed": seed,
        "scores": scores,
        "log_prob": log_prob,
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
        Scores as ``task, model, seed, score, value``; log-densities of later examples per
        dimension as ``task, model, seed, example, log_prob``.
    """
    budget = Budget() if budget is None else budget
    cells = Parallel(n_jobs=n_jobs)(
        delayed(cell)(task, name, entry, seed, budget, folder)
        for task, (name, entry), seed in itertools.product(tasks, models.items(), seeds)
        if entry.takes(task)
    )
    keys = ("task", "model", "seed")
    rows = [
        {**{key: found[key] for key in keys}, "score": name, "value": value}
        for found in cells
        for name, value in found["scores"].items()
    ]
    densities = [
        {**{key: found[key] for key in keys}, "example": i, "log_prob": value}
        for found in cells
        for i, value in enumerate(found["log_prob"])
    ]
    columns = [*keys, "example", "log_prob"]
    return pd.DataFrame(rows), pd.DataFrame(densities, columns=columns)


def leaderboard(table: pd.DataFrame) -> pd.DataFrame:
    """Mean of each score over the seeds and its spread, ``task, score, model, mean, spread``.

    The spread is the standard deviation over seeds: of fitting *and* drawing again. It does not
    hold the error of the later data, which all models share.

    Args:
        table: Long, with a row for each ``task, score, model`` and seed.
    """
    grouped = table.groupby(["task", "score", "model"], sort=False)["value"]
    return grouped.agg(mean="mean", spread="std").reset_index()


def _of_paths(drawn: np.ndarray, real: np.ndarray, seed: int) -> dict[str, float]:
    """Scores of windows of one channel."""
    mine, theirs = drawn[:, 0], real[:, 0]
    facts = compare_stylized_facts(theirs, mine, seed=seed, draws=200)
    tails = facts[facts["fact"] == "left tail index"].iloc[0]
    horizons = [h for h in (1, 5, 21) if h <= mine.shape[1]]
    found = {
        "facts that agree": float(facts["agrees"].mean()),
        "left tail index": float(tails["synthetic"] - tails["real"]),
    }
    for horizon, value in wasserstein_by_horizon(theirs, mine, horizons=horizons).items():
        found[f"Wasserstein, {horizon} days"] = value
    return found | _risks(mine, theirs)


def _of_rows(drawn: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """Scores of cross-sections: each asset alone, and the mean of all."""
    each = [
        wasserstein_by_horizon(real[:, [j]], drawn[:, [j]], horizons=(1,))[1]
        for j in range(real.shape[1])
    ]
    whole = [x.mean(axis=1, keepdims=True) for x in (real, drawn)]
    found = {
        "Wasserstein, single": float(np.mean(each)),
        "Wasserstein, mean of all": wasserstein_by_horizon(*whole, horizons=(1,))[1],
    }
    return found | _risks(whole[1], whole[0])


def _risks(drawn: np.ndarray, real: np.ndarray) -> dict[str, float]:
    found: dict[str, float] = {}
    for level in (0.99, 0.975):
        risk = tail_risk(drawn, real, level=level)
        found |= {
            f"VaR ratio, {level}": risk.var_ratio,
            f"ES ratio, {level}": risk.es_ratio,
            f"FZ0, {level}": risk.fz0,
        }
    return found


def _digest(task: Task, model: str, seed: int, budget: Budget) -> str:
    sha = hashlib.sha256(repr((task.name, model, seed, budget)).encode())
    for part in (task.train, task.validation, task.later):
        sha.update(part.numpy().tobytes())
    return sha.hexdigest()[:24]
