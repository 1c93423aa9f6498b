"""All scores of one fitted model on one task."""

import math
import time
from typing import Any

import numpy as np
import torch

from genfin_lib.applications.comparison.adapters import Generator
from genfin_lib.applications.comparison.distances import (
    kernel_scores,
    maximum_mean_discrepancy,
    median_distance,
    wasserstein_by_horizon,
)
from genfin_lib.applications.comparison.scores import (
    auroc,
    mode_coverage,
    novelty,
    scrambled,
    tail_risk,
)
from genfin_lib.applications.comparison.tasks import (
    REGIME_WEIGHTS,
    Task,
    regime_log_densities,
)
from genfin_lib.applications.generation_scores import discriminative_score, predictive_score
from genfin_lib.distributions import fixed_seed
from genfin_lib.risk import compare_stylized_facts

# Examples that dear scores look at: those quadratic in their number; several calls of a model each.
AT_MOST, FEW = 700, 200
# Of the networks that are trained to tell generated from real, and to forecast.
JUDGE: dict[str, Any] = {"hidden": 16, "steps": 200, "batch_size": 32, "cosine": True}


def score(
    model: Generator, task: Task, *, seed: int
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """All scores of a fitted model, and its losses on each later example.

    As many examples are drawn as there are later ones, for extremes grow with the sample.

    Args:
        model: Fitted on the task's training part.
        task: Whose later part sets the standard.
        seed: Of draws, bootstraps and permutations.

    Returns:
        Scores by name, ``finite`` among them: the share of generated examples without NaN or
        inf. Unless it is one, there are no scores of the draws. And by example ``nll``, per
        dimension, if the model has a likelihood, and ``kernel``.
    """
    began = time.process_time()
    drawn = model.sample(len(task.later), seed=seed).double().numpy()
    seconds = time.process_time() - began
    rows = drawn.reshape(len(drawn), -1)
    found = {
        "finite": float(np.isfinite(rows).all(axis=1).mean()),
        "seconds per 1000 draws": 1000 * seconds / len(drawn),
        "parameters": float(sum(p.numel() for p in getattr(model, "parameters", list)())),
    }
    each: dict[str, list[float]] = {}
    if hasattr(model, "log_prob"):
        densities, each["nll"] = _of_density(model, task, seed)
        found |= densities
    found |= _of_reconstruction(model, task)
    if found["finite"] < 1:
        return found, each
    real, unseen = (part.double().numpy() for part in (task.later, task.validation))
    pick = [np.linspace(0, len(x) - 1, min(len(x), AT_MOST)).astype(int) for x in (real, drawn)]
    scale = median_distance(real[pick[0]])
    distance = maximum_mean_discrepancy(real[pick[0]], drawn[pick[1]], seed=seed, bandwidth=scale)
    each["kernel"] = kernel_scores(real, drawn, bandwidth=scale).tolist()
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
    else:
        found |= _of_networks(drawn, real, seed)
    return found, each


def _of_density(model: Any, task: Task, seed: int) -> tuple[dict[str, float], list[float]]:
    """Negative log-likelihoods per dimension, and what they make of scrambled examples."""
    step, stride = (max(1, len(x) // FEW) for x in (task.later, task.train))
    strange = torch.from_numpy(scrambled(task.later[::step], seed=seed))
    # Bounds have draws of their own.
    with torch.no_grad(), fixed_seed(seed):
        later, seen, odd = (
            -model.log_prob(part) / math.prod(part.shape[1:])
            for part in (task.later, task.train[::stride], strange)
        )
    found = {"nll": later.mean().item(), "nll of training": seen.mean().item()}
    if torch.isfinite(torch.cat((later, odd))).all():
        found["AUROC"] = auroc(later[::step].double().numpy(), odd.double().numpy())
    return found, later.tolist()


def _of_reconstruction(model: Any, task: Task) -> dict[str, float]:
    """Share of the variance of later examples that latents do not keep; nothing without latents."""
    try:
        with torch.no_grad():
            error = (model.reconstruct(task.later) - task.later).square().mean()
    except AttributeError:
        return {}
    return {"reconstruction": (error / task.later.var()).item()}


def _of_networks(drawn: np.ndarray, real: np.ndarray, seed: int) -> dict[str, float]:
    """What networks trained afterwards make of the draws."""
    if real.ndim == 2:
        scale = real.std(axis=0)
        one, two = (torch.from_numpy(x / scale).float().asinh()[:, None] for x in (real, drawn))
        score = discriminative_score(one, two, seed=seed, learning_rate=5e-3, **JUDGE)
        return {"discriminative": score}

    def told(x: np.ndarray) -> torch.Tensor:
        # Returns and their size, squeezed to [0, 1]: a small network cannot square.
        h = torch.from_numpy(x).float().transpose(1, 2).asinh().clamp(-6, 6)
        return torch.cat((h / 12 + 0.5, h.abs() / 6), dim=2)

    one, two = told(real), told(drawn)
    return {
        "discriminative": discriminative_score(one, two, seed=seed, learning_rate=1e-2, **JUDGE),
        "predictive": 6 * predictive_score(one, two, seed=seed, learning_rate=2e-2, **JUDGE),
    }


def _of_paths(drawn: np.ndarray, real: np.ndarray, seed: int) -> dict[str, float]:
    """Scores of windows of one channel."""
    mine, theirs = drawn[:, 0], real[:, 0]
    try:
        facts = compare_stylized_facts(theirs, mine, seed=seed, draws=200)
    except ValueError:  # a few huge draws, and no tail beside them
        found = {"facts that agree": 0.0}
    else:
        tails = facts[facts["fact"] == "left tail index"].iloc[0]
        found = {
            "facts that agree": float(facts["agrees"].mean()),
            "left tail index": float(tails["synthetic"] - tails["real"]),
        }
        found |= {
            f"fact: {row.fact} {row.lag}": float(row.difference) for row in facts.itertuples()
        }
    horizons = [h for h in (1, 5, 21) if h <= mine.shape[1]]
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
