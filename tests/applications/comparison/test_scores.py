"""Scores of generated examples against closed forms."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist

from genfin_lib.applications.comparison import (
    auroc,
    kernel_scores,
    maximum_mean_discrepancy,
    median_distance,
    mode_coverage,
    novelty,
    scrambled,
    tail_risk,
    wasserstein_by_horizon,
)
from genfin_lib.risk import fz0_loss, gaussian_var_es


def normal(*shape: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_discrepancy_of_shifted_gaussians_is_the_closed_form(shift: float) -> None:
    # E k of N(0, I) against N(m, I), D features: (h^2 / (h^2 + 2))^(D/2) exp(-m^2 / (2 (h^2 + 2))).
    h, d = 1.5, 3
    peak = (h**2 / (h**2 + 2)) ** (d / 2)
    exact = 2 * peak * (1 - math.exp(-(shift**2) / (2 * (h**2 + 2))))
    move = shift / math.sqrt(d)
    values = [
        maximum_mean_discrepancy(
            normal(300, d, seed=2 * s),
            normal(400, d, seed=2 * s + 1) + move,
            seed=0,
            bandwidth=h,
            permutations=1,
        ).statistic
        for s in range(20)
    ]
    error = np.std(values) / math.sqrt(len(values))
    assert np.mean(values) == pytest.approx(exact, abs=4 * error)


def test_discrepancy_sees_dependence_that_marginals_hide() -> None:
    z = normal(300, 2, seed=0)
    bound = np.stack((z[:, 0], 0.9 * z[:, 0] + math.sqrt(0.19) * z[:, 1]), axis=1)
    free = normal(300, 2, seed=1)
    assert maximum_mean_discrepancy(bound, free, seed=0).p_value < 0.01
    test = maximum_mean_discrepancy(normal(300, 2, seed=2), free, seed=0)
    assert test.p_value > 0.05
    assert abs(test.statistic) < 3 * test.spread


def test_discrepancy_keeps_its_size() -> None:
    """P-values of a true hypothesis are uniform."""
    p = [
        maximum_mean_discrepancy(
            normal(40, 2, seed=2 * s), normal(40, 2, seed=2 * s + 1), seed=s, permutations=99
        ).p_value
        for s in range(200)
    ]
    assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_wasserstein_of_gaussian_paths_is_the_closed_form() -> None:
    # W1 of N(a, s^2) and N(b, s^2) is |a - b|: of sums, h |a - b|, on a scale of sqrt(h) s.
    x, y = 2 * normal(4000, 30, seed=0), 2 * normal(4000, 30, seed=1) + 0.3
    found = wasserstein_by_horizon(x, y, horizons=(1, 5, 21))
    for horizon, distance in found.items():
        assert distance == pytest.approx(0.15 * math.sqrt(horizon), abs=0.02 * math.sqrt(horizon))
    # Of other scale: E |Z| times the difference.
    found = wasserstein_by_horizon(x, 1.5 * x, horizons=(1,))
    assert found[1] == pytest.approx(0.5 * math.sqrt(2 / math.pi), rel=0.02)
    assert wasserstein_by_horizon(x, x) == {1: 0.0, 5: 0.0, 21: 0.0}


def test_sums_do_not_cross_paths() -> None:
    x = np.zeros((10, 4))
    x[:, 0], x[:, 3] = 5.0, -5.0
    # Two days within a path: 5, 0, -5; a seam would add 0 = -5 + 5 once more.
    y = np.tile([5.0, 0.0], (10, 1))
    found = wasserstein_by_horizon(x, y, horizons=(2,))[2]
    assert found == pytest.approx(np.mean([0, 5, 10]) / np.std([5, 0, -5]))


def test_novelty_of_recital_and_of_new_draws() -> None:
    train, unseen = normal(2000, 4, seed=0), normal(2000, 4, seed=1)
    fresh = novelty(normal(2000, 4, seed=2), train, unseen)
    assert fresh.ratio == pytest.approx(1, abs=0.05)
    assert fresh.copies == pytest.approx(0.01, abs=0.01)
    assert novelty(train[:500], train, unseen) == (0.0, 1.0)
    # A tenth recited: the median hardly moves, the share of copies does.
    mixed = novelty(np.concatenate((train[:200], normal(1800, 4, seed=3))), train, unseen)
    assert mixed.ratio > 0.9
    assert mixed.copies == pytest.approx(0.11, abs=0.015)


def test_tail_risk_of_gaussians() -> None:
    later, generated = normal(200_000, seed=0), 1.3 * normal(200_000, seed=1)
    found = tail_risk(generated, later, level=0.975)
    assert found.var_ratio == pytest.approx(1.3, abs=0.02)
    assert found.es_ratio == pytest.approx(1.3, abs=0.02)
    var, es = gaussian_var_es(0.0, 1.3, level=0.975)
    assert found.fz0 == pytest.approx(fz0_loss(later, var, es, level=0.975).mean(), abs=0.01)
    # The true law has the lowest loss.
    assert found.fz0 > tail_risk(normal(200_000, seed=2), later, level=0.975).fz0


def two_modes(x: np.ndarray) -> np.ndarray:
    return np.stack((stats.norm.logpdf(x, -5), stats.norm.logpdf(x, 5)), axis=1)


def test_modes_found_missed_and_invented() -> None:
    def draw(n: int, share: float, seed: int) -> np.ndarray:
        centre = np.where(np.random.default_rng(seed).random(n) < share, -5.0, 5.0)
        return centre + normal(n, seed=seed + 100)

    weights = np.array([0.75, 0.25])
    true = two_modes(draw(20_000, 0.75, 0))
    good = mode_coverage(two_modes(draw(20_000, 0.75, 1)), weights, true_log_densities=true)
    assert good.missed < 0.02
    assert good.invented == pytest.approx(0.01, abs=0.005)
    collapsed = mode_coverage(two_modes(draw(2000, 1.0, 2)), weights, true_log_densities=true)
    assert collapsed.missed == pytest.approx(0.25)
    assert collapsed.shares.tolist() == [1.0, 0.0]
    between = mode_coverage(two_modes(0.1 * normal(100, seed=3)), weights, true_log_densities=true)
    assert between.invented == 1.0


def test_kernel_scores_add_up_to_the_discrepancy() -> None:
    x, y = normal(80, 3, seed=0), normal(90, 3, seed=1) + 0.5
    h = median_distance(x)
    k = np.exp(-cdist(x, x, "sqeuclidean") / (2 * h**2))
    among = (k.sum() - len(x)) / (len(x) * (len(x) - 1))
    found = kernel_scores(x, y, bandwidth=h)
    assert found.shape == (80,)
    expected = maximum_mean_discrepancy(x, y, seed=0, permutations=2).statistic
    assert found.mean() + among == pytest.approx(expected, abs=1e-12)
    # Proper: the true law has the lowest mean score.
    true = kernel_scores(normal(4000, 3, seed=2), normal(2000, 3, seed=3), bandwidth=h)
    for wrong in (1.3 * normal(2000, 3, seed=4), normal(2000, 3, seed=5) + 0.3):
        gap = kernel_scores(normal(4000, 3, seed=2), wrong, bandwidth=h) - true
        assert gap.mean() > 4 * gap.std() / math.sqrt(len(gap))


def test_scrambling_keeps_each_number_and_breaks_their_dependence() -> None:
    common = normal(4000, 1, seed=0)
    x = (common + 0.5 * normal(4000, 6, seed=1)).reshape(4000, 1, 6)
    y = scrambled(x, seed=0)
    assert y.shape == x.shape
    np.testing.assert_array_equal(np.sort(y, axis=0), np.sort(x, axis=0))
    correlation = np.corrcoef(y.reshape(4000, 6).T)[np.triu_indices(6, k=1)]
    assert np.abs(correlation).max() < 4 / math.sqrt(4000)


def test_auroc_counts_pairs_and_needs_dependence() -> None:
    a, b = np.array([0.0, 1.0, 1.0, 3.0]), np.array([1.0, 2.0, 5.0])
    pairs = np.mean([[(v > u) + (v == u) / 2 for u in a] for v in b])
    assert auroc(a, b) == pytest.approx(pairs)
    cov = 0.6 + 0.4 * np.eye(5)
    x = np.random.default_rng(0).multivariate_normal(np.zeros(5), cov, size=4000)
    y = scrambled(x, seed=1)
    knows, ignores = (stats.multivariate_normal(np.zeros(5), c) for c in (cov, np.eye(5)))
    assert auroc(-knows.logpdf(x), -knows.logpdf(y)) > 0.6
    # Marginal laws say nothing of scrambling, in the mean.
    assert abs(ignores.logpdf(x).mean() - ignores.logpdf(y).mean()) < 1e-9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: maximum_mean_discrepancy(x, x[:, :1], seed=0), "one shape"),
        (lambda x: maximum_mean_discrepancy(x, x[:5], seed=0), "ten or more"),
        (lambda x: maximum_mean_discrepancy(x, x, seed=0, bandwidth=0.0), "bandwidth"),
        (lambda x: maximum_mean_discrepancy(x, np.full_like(x, np.nan), seed=0), "finite"),
        (lambda x: wasserstein_by_horizon(x, x, horizons=(3,)), "horizons"),
        (lambda x: kernel_scores(x, x, bandwidth=-1.0), "bandwidth"),
        (lambda x: kernel_scores(x, x[:, :1], bandwidth=1.0), "one shape"),
        (lambda x: auroc(x, np.full(3, np.inf)), "finite"),
        (lambda x: novelty(x, x, x), "later ones"),
        (lambda x: mode_coverage(x, [0.5, 0.6], true_log_densities=x), "summing to one"),
    ],
)
def test_what_cannot_be_scored_is_refused(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(normal(20, 2, seed=0))
