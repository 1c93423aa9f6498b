"""The forward filter is the sum over all paths; labels follow the matrix."""

import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from genfin_lib.data import simulate_regimes
from genfin_lib.data.simulate.checks import transition_matrix
from genfin_lib.data.simulate.markov import forward_filter, markov_path, stationary_law

THREE = np.array([[0.90, 0.06, 0.04], [0.10, 0.85, 0.05], [0.02, 0.08, 0.90]])


def all_paths(log_densities, transition, hold=1):
    """Log of the joint density of the first t rows and state at t, by enumeration, `(n, K)`."""
    n, states = log_densities.shape
    law, result = stationary_law(transition), []
    for t in range(n):
        terms = [[] for _ in range(states)]
        for path in itertools.product(range(states), repeat=t + 1):
            log_p = np.log(law[path[0]]) + log_densities[np.arange(t + 1), path].sum()
            for s in range(1, t + 1):
                moved = transition if s % hold == 0 else np.eye(states)
                with np.errstate(divide="ignore"):
                    log_p += np.log(moved[path[s - 1], path[s]])
            terms[path[-1]].append(log_p)
        result.append([logsumexp(x) for x in terms])
    return np.array(result)


def assert_sums_over_all_paths(sample, densities, transition):
    joint = all_paths(densities, transition)
    evidence = logsumexp(joint, axis=1)
    np.testing.assert_allclose(np.cumsum(sample.log_likelihood), evidence, rtol=1e-12)
    np.testing.assert_allclose(sample.filtered, np.exp(joint - evidence[:, None]), atol=1e-12)
    known = densities[np.arange(len(densities)), sample.labels]
    np.testing.assert_allclose(sample.log_likelihood_given_labels, known, rtol=1e-12)


@pytest.mark.parametrize("nu", [4.0, np.inf])
def test_log_likelihood_is_the_sum_over_all_paths(nu):
    means, sigma = np.array([0.001, 0.0, -0.002]), np.array([0.005, 0.01, 0.03])
    sample = simulate_regimes(
        7, seed=1, means=means, volatilities=sigma, transition=THREE, degrees_of_freedom=nu
    )
    unit = 1.0 if np.isinf(nu) else np.sqrt((nu - 2) / nu)
    law = stats.norm if np.isinf(nu) else stats.t(nu)
    densities = law.logpdf((sample.returns[:, None] - means) / (sigma * unit))
    densities -= np.log(sigma * unit)
    assert_sums_over_all_paths(sample, densities, THREE)


def test_filter_holds_the_state_within_a_block():
    densities = np.random.default_rng(0).normal(size=(6, 2))
    chain = np.array([[0.8, 0.2], [0.4, 0.6]])
    log_likelihood, _ = forward_filter(densities, transition=chain, hold=3)
    evidence = logsumexp(all_paths(densities, chain, hold=3), axis=1)
    np.testing.assert_allclose(np.cumsum(log_likelihood), evidence, rtol=1e-12)


def test_filter_survives_densities_that_underflow():
    densities = np.full((10, 2), -5000.0)
    log_likelihood, filtered = forward_filter(densities, transition=np.full((2, 2), 0.5))
    np.testing.assert_allclose(log_likelihood, -5000.0)
    np.testing.assert_allclose(filtered, 0.5)


def test_transition_frequencies_match_the_matrix():
    path = markov_path(100_000, transition=THREE, rng=np.random.default_rng(2))
    pairs = np.zeros((3, 3))
    np.add.at(pairs, (path[:-1], path[1:]), 1)
    visits = pairs.sum(axis=1, keepdims=True)
    error = np.sqrt(THREE * (1 - THREE) / visits)
    assert (np.abs(pairs / visits - THREE) < 4 * error).all()


def test_stationary_law_is_unchanged_by_the_chain():
    law = stationary_law(THREE)
    np.testing.assert_allclose(law @ THREE, law, rtol=1e-12)
    np.testing.assert_allclose(stationary_law(np.array([[0.99, 0.01], [0.03, 0.97]])), [0.75, 0.25])
    periodic = np.array([[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_allclose(stationary_law(transition_matrix(periodic)), 0.5)


def test_first_regime_follows_the_stationary_law():
    rng = np.random.default_rng(0)
    first = [markov_path(1, transition=THREE, rng=rng)[0] for _ in range(2000)]
    law = stationary_law(THREE)
    share = np.bincount(first, minlength=3) / 2000
    assert (np.abs(share - law) < 4 * np.sqrt(law * (1 - law) / 2000)).all()


def test_moments_within_each_regime_are_those_asked_for():
    sample = simulate_regimes(100_000, seed=3)
    for regime, (mean, sigma) in enumerate(((0.0008, 0.007), (-0.0010, 0.020))):
        x = sample.returns[sample.labels == regime]
        assert x.mean() == pytest.approx(mean, abs=4 * sigma / np.sqrt(len(x)))
        assert x.std() == pytest.approx(sigma, rel=4 / np.sqrt(2 * len(x)))


def test_filtered_probabilities_are_calibrated():
    sample = simulate_regimes(50_000, seed=4)
    p, hit = sample.filtered[:, 1], sample.labels == 1
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        inside = (p >= low) & (p < low + 0.2)
        assert hit[inside].mean() == pytest.approx(p[inside].mean(), abs=0.05)


def test_truth_beats_one_gaussian_and_loses_to_the_labels():
    sample = simulate_regimes(20_000, seed=5)
    gaussian = stats.norm(sample.returns.mean(), sample.returns.std()).logpdf(sample.returns)
    assert sample.log_likelihood.mean() > gaussian.mean() + 0.1
    assert sample.log_likelihood_given_labels.mean() > sample.log_likelihood.mean()


def test_a_seed_repeats_and_another_does_not():
    one, two, other = (simulate_regimes(50, seed=s).returns for s in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transition": ((0.9, 0.2), (0.5, 0.5))}, "each row of transition must be prob"),
        ({"transition": ((1.1, -0.1), (0.5, 0.5))}, "each row of transition must be prob"),
        ({"transition": np.eye(2)}, "parts that never meet"),
        ({"transition": (0.5, 0.5)}, r"\(states, states\) is needed"),
        ({"means": (0.0, 0.0, 0.0)}, "must agree in the number of regimes"),
        ({"means": (0.0, np.nan)}, "means must be finite"),
        ({"volatilities": (0.01, -0.01)}, "volatilities must be finite and above 0"),
        ({"degrees_of_freedom": 1.5}, "above 2 for a finite variance"),
    ],
)
def test_bad_parameters_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        simulate_regimes(10, seed=0, **change)
