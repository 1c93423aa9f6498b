"""Distances between laws, from samples of both."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist, pdist
from scipy.stats import wasserstein_distance


def median_distance(examples: ArrayLike) -> float:
    """Median distance of two examples: the scale of the kernel."""
    (x,) = as_rows(examples=examples)
    return float(np.median(pdist(x)))


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
    x, y = as_rows(real=real, generated=generated)
    h = median_distance(x) if bandwidth is None else bandwidth
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
    x, y = (finite(values, name) for name, values in (("real", real), ("generated", generated)))
    if x.ndim != 2 or y.ndim != 2 or not 1 <= min(horizons) <= max(horizons) <= x.shape[1]:
        raise ValueError(
            f"paths (N, T) needed and horizons from 1 to T, got {x.shape}, {y.shape}, {horizons}"
        )
    found = {}
    for horizon in horizons:
        one, two = (_sums(paths, horizon) for paths in (x, y))
        found[horizon] = float(wasserstein_distance(one, two) / one.std())
    return found


def kernel_scores(real: ArrayLike, generated: ArrayLike, *, bandwidth: float) -> np.ndarray:
    r"""What each real example adds to the maximum mean discrepancy: a loss, low is good, ``(N,)``.

    .. math:: s_i = \mathrm{E}\, k(Y, Y') - 2\, \mathrm{E}\, k(x_i, Y), \qquad
        \bar s + \mathrm{E}\, k(X, X') = \mathrm{MMD}^2

    A proper scoring rule that asks for draws alone. So generators without a likelihood can be
    tested against each other period by period, as forecasts are. T. Gneiting and A. E. Raftery
    (2007), https://doi.org/10.1198/016214506000001437.

    Args:
        real: Examples ``(N, ...)``.
        generated: ``(M, ...)``, in the same units.
        bandwidth: The scale :math:`h` of the kernel, as for `maximum_mean_discrepancy`.

    Raises:
        ValueError: As for `maximum_mean_discrepancy`.
    """
    x, y = as_rows(real=real, generated=generated)
    if not bandwidth > 0:
        raise ValueError(f"bandwidth {bandwidth}: above zero needed")
    within, between = (np.exp(-cdist(a, y, "sqeuclidean") / (2 * bandwidth**2)) for a in (y, x))
    pairs = (within.sum() - len(y)) / (len(y) * (len(y) - 1))
    scores: np.ndarray = pairs - 2 * between.mean(axis=1)
    return scores


def finite(values: ArrayLike, name: str) -> np.ndarray:
    """An array of finite values, some of them; refused otherwise."""
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"{name} of shape {array.shape} must hold finite values and some of them")
    return array


def as_rows(**examples: ArrayLike) -> list[np.ndarray]:
    """Examples as rows of one width, ten or more of each."""
    arrays = [finite(values, name) for name, values in examples.items()]
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) > 1 or min(len(array) for array in arrays) < 10:
        given = ", ".join(f"{n} {a.shape}" for n, a in zip(examples, arrays, strict=True))
        raise ValueError(f"examples of one shape, ten or more of each, needed; got {given}")
    return [array.reshape(len(array), math.prod(array.shape[1:])) for array in arrays]


def _sums(paths: np.ndarray, horizon: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(paths, horizon, axis=1).sum(axis=-1).ravel()
