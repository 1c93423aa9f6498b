"""Simulated GARCH returns have the moments and the likelihood that the theory and arch state."""

import time

import numpy as np
import pytest
from arch.univariate import GARCH, StudentsT

from genfin_lib.data import simulate_garch
from genfin_lib.data.simulate.garch import garch_kurtosis

# Parameters under which moments up to the eighth exist, so that Monte Carlo errors do.
MILD = {"alpha": 0.10, "beta": 0.70, "degrees_of_freedom": 20.0, "mean": 0.0, "volatility": 0.011}


def mean_and_error(values, blocks=100):
    means = values.reshape(blocks, -1).mean(axis=1)
    return means.mean(), means.std(ddof=1) / np.sqrt(blocks)


@pytest.mark.parametrize("leverage", [0.0, 0.1])
def test_unconditional_variance_is_the_one_asked_for(leverage):
    sample = simulate_garch(200_000, seed=1, leverage=leverage, **MILD)
    mean, error = mean_and_error(sample.returns**2)
    assert mean == pytest.approx(0.011**2, abs=4 * error)
    assert error < 0.02 * 0.011**2


@pytest.mark.parametrize("leverage", [0.0, 0.1])
def test_kurtosis_matches_its_closed_form(leverage):
    sample = simulate_garch(400_000, seed=2, leverage=leverage, **MILD)
    mean, error = mean_and_error(sample.returns**4 / 0.011**4)
    expected = garch_kurtosis(alpha=0.1, beta=0.7, leverage=leverage, degrees_of_freedom=20.0)
    assert mean == pytest.approx(expected, abs=4 * error)
    assert error < 0.05 * expected


def test_kurtosis_of_known_cases():
    assert garch_kurtosis(alpha=0.0, beta=0.9) == pytest.approx(3.0)
    assert garch_kurtosis(alpha=0.0, beta=0.5, degrees_of_freedom=6) == pytest.approx(6.0)
    arch_one = 3 * (1 - 0.3**2) / (1 - 3 * 0.3**2)  # Engle (1982)
    assert garch_kurtosis(alpha=0.3, beta=0.0) == pytest.approx(arch_one)
    assert garch_kurtosis(alpha=0.09, beta=0.90, degrees_of_freedom=6) == np.inf
    assert garch_kurtosis(alpha=0.01, beta=0.5, degrees_of_freedom=4) == np.inf


@pytest.mark.parametrize("leverage", [0.0, 0.08])
def test_volatility_and_log_likelihood_are_those_of_arch(leverage):
    alpha, beta, nu = 0.05, 0.88, 6.0
    persistence = alpha + leverage / 2 + beta
    sample = simulate_garch(
        3000, seed=3, alpha=alpha, beta=beta, leverage=leverage, degrees_of_freedom=nu
    )
    omega = 0.011**2 * (1 - persistence)
    residuals = sample.returns - 0.0004
    # arch starts from omega + persistence * backcast: choose it so that the first variance agrees.
    backcast = (sample.volatility[0] ** 2 - omega) / persistence
    variance, bounds = np.empty(3000), np.tile([0.0, 1e6], (3000, 1))
    model = GARCH(p=1, o=1, q=1)
    parameters = np.array([omega, alpha, leverage, beta])
    model.compute_variance(parameters, residuals, variance, backcast, bounds)
    np.testing.assert_allclose(sample.volatility, np.sqrt(variance), rtol=1e-10)
    truth = StudentsT().loglikelihood([nu], residuals, variance, individual=True)
    np.testing.assert_allclose(sample.log_likelihood, truth, rtol=0, atol=1e-8)


def test_gaussian_is_the_limit_of_infinite_degrees_of_freedom():
    near = simulate_garch(100, seed=0, degrees_of_freedom=1e7, burn_in=0)
    far = simulate_garch(100, seed=0, degrees_of_freedom=np.inf, burn_in=0)
    assert far.log_likelihood.std() > 0.1
    z = near.innovations
    gauss = -0.5 * z**2 - 0.5 * np.log(2 * np.pi) - np.log(near.volatility)
    np.testing.assert_allclose(near.log_likelihood, gauss, atol=1e-4)  # O(z^4 / nu)


def test_innovations_have_unit_variance_and_no_memory():
    z = simulate_garch(200_000, seed=5).innovations
    assert z.var() == pytest.approx(1.0, abs=4 * np.sqrt(5 / 200_000))  # kurtosis 6
    lag = np.corrcoef(z[1:] ** 2, z[:-1] ** 2)[0, 1]
    assert abs(lag) < 4 / np.sqrt(200_000)


def test_start_without_burn_in_is_the_unconditional_volatility():
    assert simulate_garch(5, seed=0, burn_in=0).volatility[0] == pytest.approx(0.011)


def test_a_seed_repeats_and_another_does_not():
    one, two, other = (simulate_garch(50, seed=s).returns for s in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, other)


def test_a_hundred_thousand_days_take_less_than_a_second():
    start = time.process_time()
    simulate_garch(100_000, seed=0)
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 0.1, "beta": 0.9}, r"= 1 must be below 1: there is no finite"),
        ({"alpha": 0.05, "leverage": 0.12}, r"= 1\.01 must be below 1"),
        ({"alpha": -0.1}, "variance could become negative"),
        ({"alpha": np.nan}, "must be finite"),
        ({"degrees_of_freedom": 2.0}, "above 2 for a finite variance"),
        ({"volatility": 0.0}, "volatility must be finite and above 0"),
        ({"burn_in": -1}, "burn_in must be 0 or more"),
        ({"n": 0}, "n must be a whole number of 1 or more, got 0"),
        ({"n": 10.5}, "n must be a whole number"),
    ],
)
def test_bad_parameters_are_refused(change, message):
    n = change.pop("n", 10)
    with pytest.raises(ValueError, match=message):
        simulate_garch(n, seed=0, **change)
