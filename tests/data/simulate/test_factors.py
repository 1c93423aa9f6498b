"""The factor simulator: joint density, covariances and recurrence are those it states."""

import numpy as np
import pytest
from scipy import stats

from genfin_lib.data import simulate_factors
from tests.data.simulate.test_regimes import assert_sums_over_all_paths

CHAIN = np.array([[0.99, 0.01], [0.02, 0.98]])


@pytest.mark.parametrize("nu", [5.0, np.inf])
def test_log_likelihood_is_the_sum_over_all_paths(nu):
    sample = simulate_factors(7, 4, seed=0, degrees_of_freedom=nu)
    densities = np.stack(
        [
            stats.multivariate_normal(cov=c).logpdf(sample.returns)
            if np.isinf(nu)
            else stats.multivariate_t(shape=c * (nu - 2) / nu, df=nu).logpdf(sample.returns)
            for c in sample.covariances
        ],
        axis=1,
    )
    assert_sums_over_all_paths(sample, densities, CHAIN)


def test_covariance_within_each_state_is_the_one_stated():
    sample = simulate_factors(40_000, 6, seed=1, degrees_of_freedom=np.inf)
    for state, covariance in enumerate(sample.covariances):
        x = sample.returns[sample.labels == state]
        diagonal = np.diag(covariance)
        error = np.sqrt((covariance**2 + np.outer(diagonal, diagonal)) / len(x))  # Wishart
        assert (np.abs(x.T @ x / len(x) - covariance) < 4 * error).all()


def test_returns_less_factors_are_idiosyncratic():
    sample = simulate_factors(20_000, 6, seed=2)
    part = np.einsum("tak,tk->ta", sample.loadings[sample.labels], sample.factors)
    noise = (sample.returns - part) / sample.idiosyncratic_volatility
    # One t factor scales all columns of a day: rank correlations see independence of signs.
    signs = np.sign(noise)
    off = (signs.T @ signs / len(signs))[np.triu_indices(6, 1)]
    assert np.abs(off).max() < 4 / np.sqrt(20_000)
    assert noise.var() == pytest.approx(1.0, abs=0.1)  # infinite eighth moment: a wide margin


def test_days_far_apart_in_one_state_share_their_loadings():
    """The space of the leading components returns with the state, and differs between states."""
    sample = simulate_factors(20_000, 20, seed=3)

    def space(rows):
        return np.linalg.eigh(np.cov(rows.T))[1][:, -3:]

    def overlap(a, b):
        return np.linalg.norm(a.T @ b) ** 2 / 3

    first, last = slice(0, 10_000), slice(10_000, None)
    calm = [space(sample.returns[part][sample.labels[part] == 0]) for part in (first, last)]
    wild = space(sample.returns[sample.labels == 1])
    assert overlap(*calm) > 0.9
    assert overlap(calm[0], wild) < 0.7


def test_one_state_has_constant_loadings():
    sample = simulate_factors(
        50, 5, seed=0, factor_volatilities=((0.01, 0.005),), transition=((1.0,),)
    )
    assert sample.loadings.shape == (1, 5, 2)
    np.testing.assert_allclose(sample.log_likelihood, sample.log_likelihood_given_labels)


def test_a_seed_repeats_and_another_does_not():
    one, two, other = (simulate_factors(50, 5, seed=s).returns for s in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"assets": 0}, "assets must be a whole number of 1 or more"),
        ({"factor_volatilities": ((0.01,),)}, r"\(states, factors\)"),
        ({"factor_volatilities": ((0.0,), (0.01,))}, "factor_volatilities must be finite"),
        ({"idiosyncratic_range": (0.02, 0.01)}, "idiosyncratic_range must rise"),
        ({"degrees_of_freedom": 2.0}, "above 2 for a finite variance"),
    ],
)
def test_bad_parameters_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        simulate_factors(10, seed=0, **change)
