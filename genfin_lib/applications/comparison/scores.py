"""Scores of generated examples that no other part of the book needs.

Stylised facts and tail indices are scored by `genfin_lib.risk.compare_stylized_facts`, what a
network can tell apart by `genfin_lib.applications.generation_scores`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from scipy.stats import wasserstein_distance

from genfin_lib.risk import expected_shortfall, fz0_loss, value_at_risk


class DiscrepancyTest(NamedTuple):
    """Whether two samples come from one law.

    Attributes:
        statistic: Unbiased squared maximum mean discrepancy; about zero, of either sign, for
            one law.
        spread: Its standard deviation if the law is one, by permutation.
        p_value: Share of permutations whose statistic is at least as large.
    """

    statistic: float
    spread: float
    p_value: float


def maximum_mean_discrepancy(
    real: ArrayLike,
    generated: ArrayLike,
    *,
    seed: int,
    bandwidth: float | None = None,
    permutations: int = 200,
) -> DiscrepancyTest:
    r"""Squared distance of two laws by functions smooth at one scale, with a test.

    .. math::
        \begin{aligned}
        & \mathrm{E}\, \bigl[k(X, X') + k(Y, Y') - 2\, k(X, Y)\bigr] \\
        & k(x, y) = e^{-\|x - y\|^2 / (2 h^2)}
        \end{aligned}

    with means over pairs of different examples, so that it is unbiased. It sees what the marginal
    laws do not: dependence between days or stocks. Permutations assume independent examples: give
    windows that do not overlap. A. Gretton et al. (2012), https://jmlr.org/papers/v13/gretton12a.html.

    Args:
        real: Examples ``(N, ...)``.
        generated: ``(M, ...)``, in the same units.
        seed: Of the permutations.
        bandwidth: The scale :math:`h`; the median distance of real examples if not given, so that
            all models are judged by one kernel.
        permutations: Number of them.

    Raises:
        ValueError: If examples differ in shape, hold NaN, or are fewer than ten, or the bandwidth
            is not above zero.
    """
    x, y = _rows(real=real, generated=generated)
    h = float(np.median(_pairs(cdist(x, x)))) if bandwidth is None else bandwidth
    if not h > 0:
        raise ValueError(f"bandwidth {h}: above zero needed; are half of the real examples equal?")
    both, n = np.concatenate([x, y]), len(x)
    kernel = np.exp(-cdist(both, both, "sqeuclidean") / (2 * h**2))
    np.fill_diagonal(kernel, 0.0)
    rng = np.random.default_rng(seed)
    # +-1 / n vectors: all permutations are one matrix product.
    first = np.zeros((permutations + 1, len(both)))
    first[0, :n] = 1.0
    for row in first[1:]:
        row[rng.permutation(len(both))[:n]] = 1.0
    second, m = 1 - first, len(y)
    of_first, of_second = first @ kernel, second @ kernel
    within = (of_first * first).sum(axis=1) / (n * (n - 1))
    within += (of_second * second).sum(axis=1) / (m * (m - 1))
    values = within - 2 * (of_first * second).sum(axis=1) / (n * m)
    found, chance = values[0], values[1:]
    p_value = (1 + (chance >= found).sum()) / (1 + permutations)
    return DiscrepancyTest(float(found), float(chance.std()), float(p_value))


def wasserstein_by_horizon(
    real: ArrayLike, generated: ArrayLike, *, horizons: Sequence[int] = (1, 5, 21)
) -> dict[int, float]:
    r"""Wasserstein distance of returns over several horizons, in standard deviations of the real.

    .. math:: W_1 = \frac{1}{\sigma_h} \int_0^1 \bigl|F_h^{-1}(u) - G_h^{-1}(u)\bigr|\, du

    with :math:`F_h` the law of real and :math:`G_h` that of generated sums of log returns over
    :math:`h` steps, all that lie within a path. At one day it is the marginal law; over longer ones
    dependence comes in, since volatility that clusters keeps the tails of sums heavy.

    Args:
        real: Log returns, paths ``(N, T)``.
        generated: ``(M, T')``, in the same units.
        horizons: Steps :math:`h`.

    Returns:
        Distance by horizon.

    Raises:
        ValueError: If there are NaN, fewer than ten paths, or a horizon longer than a path.
    """
    x, y = (_finite(values, name) for name, values in (("real", real), ("generated", generated)))
    if x.ndim != 2 or y.ndim != 2 or not 1 <= min(horizons) <= max(horizons) <= x.shape[1]:
        raise ValueError(
            f"paths (N, T) needed and horizons from 1 to T, got {x.shape}, {y.shape}, {horizons}"
        )
    found = {}
    for horizon in horizons:
        one, two = (_sums(paths, horizon) for paths in (x, y))
        found[horizon] = float(wasserstein_distance(one, two) / one.std())
    return found


class Novelty(NamedTuple):
    """How far generated examples keep from those that a model was trained on.

    Attributes:
        ratio: Median distance to the nearest training example, over that of real examples that
            were not trained on: 1 is as new as reality, 0 a recital.
        copies: Share of generated examples nearer to a training example than 99 % of real ones
            are: 0.01 is as it should be.
    """

    ratio: float
    copies: float


def novelty(generated: ArrayLike, train: ArrayLike, unseen: ArrayLike) -> Novelty:
    r"""Nearest-neighbour test of memorisation.

    .. math:: \frac{\operatorname{med}_i \min_j \|g_i - x_j\|}
        {\operatorname{med}_i \min_j \|u_i - x_j\|}

    A score of realism alone is won by reciting the training data. The unseen examples set the
    scale; they should come from about the same market, for in a calmer one they lie closer
    together, and everything else looks new.

    Args:
        generated: Examples ``(M, ...)``.
        train: What the model saw, ``(N, ...)``.
        unseen: Real examples that it did not see, ``(K, ...)``.

    Raises:
        ValueError: As for `maximum_mean_discrepancy`, or if unseen examples are training examples.
    """
    g, x, u = _rows(generated=generated, train=train, unseen=unseen)
    tree = KDTree(x)
    mine, theirs = (tree.query(rows)[0] for rows in (g, u))
    if not np.median(theirs) > 0:
        raise ValueError("half of the unseen examples are training examples: give later ones")
    return Novelty(
        float(np.median(mine) / np.median(theirs)),
        float((mine < np.quantile(theirs, 0.01)).mean()),
    )


class TailRisk(NamedTuple):
    """Risk of generated returns against real ones.

    Attributes:
        var_ratio: VaR of the generated over that of the real returns.
        es_ratio: The same for ES.
        fz0: Mean FZ0 loss of the generated VaR and ES as forecasts of the real returns.
    """

    var_ratio: float
    es_ratio: float
    fz0: float


def tail_risk(generated: ArrayLike, later: ArrayLike, *, level: float = 0.99) -> TailRisk:
    r"""VaR and ES of generated returns, held against later real ones.

    One number each for all days: an unconditional forecast. Ratios are easy to read and
    can be right by luck in a calm period; the FZ0 loss is lowest on average for the law that the
    later returns had.

    Args:
        generated: Signed returns, any shape; pooled.
        later: Real returns of a period after training, any shape; pooled.
        level: Of both.

    Raises:
        ValueError: If there are NaN, too few returns for the level, or a VaR that is no loss.
    """
    g, r = (
        _finite(values, name).ravel()
        for name, values in (("generated", generated), ("later", later))
    )
    var, es = (float(measure(g, level=level)) for measure in (value_at_risk, expected_shortfall))
    return TailRisk(
        var / float(value_at_risk(r, level=level)),
        es / float(expected_shortfall(r, level=level)),
        float(fz0_loss(r, var, es, level=level).mean()),
    )


class Coverage(NamedTuple):
    """Which of several known modes a generator finds.

    Attributes:
        shares: Share of generated examples in each mode.
        missed: Total variation distance of the shares from the true weights: the mass that is
            in the wrong mode.
        invented: Share of generated examples that are less likely than 99 % of true ones: 0.01 is
            as it should be.
    """

    shares: np.ndarray
    missed: float
    invented: float


def mode_coverage(
    log_densities: ArrayLike, weights: ArrayLike, *, true_log_densities: ArrayLike
) -> Coverage:
    r"""Modes found, missed and invented, where the modes are known.

    .. math::
        \begin{aligned}
        k(x) &= \arg\max_k\, w_k p_k(x) \\
        \text{missed} &= \tfrac12 \sum_k |\hat w_k - w_k|
        \end{aligned}

    with :math:`\hat w_k` the share of generated examples with :math:`k(x) = k`.

    Args:
        log_densities: Log-density of each generated example in each mode, ``(M, modes)``.
        weights: Of the modes, summing to one, ``(modes,)``. Their shares are exact only if modes
            do not overlap.
        true_log_densities: The same for draws of the true law, ``(N, modes)``.

    Raises:
        ValueError: If shapes differ, there are NaN, or weights do not sum to one.
    """
    mine, true = _rows(log_densities=log_densities, true_log_densities=true_log_densities)
    w = _finite(weights, "weights")
    if w.shape != mine.shape[1:] or w.min() <= 0 or abs(w.sum() - 1) > 1e-9:
        raise ValueError(f"weights {w} for {mine.shape[1]} modes: positive, summing to one, needed")
    joint, joint_true = (np.log(w) + values for values in (mine, true))
    shares = np.bincount(joint.argmax(axis=1), minlength=len(w)) / len(mine)
    limit = np.quantile(logsumexp(joint_true, axis=1), 0.01)
    return Coverage(
        shares,
        float(np.abs(shares - w).sum() / 2),
        float((logsumexp(joint, axis=1) < limit).mean()),
    )


def _finite(values: ArrayLike, name: str) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"{name} of shape {array.shape} must hold finite values and some of them")
    return array


def _rows(**examples: ArrayLike) -> list[np.ndarray]:
    """Examples as rows of one width, ten or more of each."""
    arrays = [_finite(values, name) for name, values in examples.items()]
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) > 1 or min(len(array) for array in arrays) < 10:
        given = ", ".join(f"{n} {a.shape}" for n, a in zip(examples, arrays, strict=True))
        raise ValueError(f"examples of one shape, ten or more of each, needed; got {given}")
    return [array.reshape(len(array), math.prod(array.shape[1:])) for array in arrays]


def _pairs(distances: np.ndarray) -> np.ndarray:
    return distances[np.triu_indices(len(distances), k=1)]


def _sums(paths: np.ndarray, horizon: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(paths, horizon, axis=1).sum(axis=-1).ravel()
