"""The multi-scale simulator: scales add up, and the density integrates what is hidden."""

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import logsumexp

from genfin_lib.data import simulate_multiscale
from genfin_lib.data.simulate.multiscale import _day_log_density


def test_day_density_is_the_integral_over_the_day():
    """Adaptive quadrature over the day's log-volatility, with SciPy's t."""
    nu, tau = 5.0, 0.35
    sample = simulate_multiscale(4, seed=0, days_per_regime=2)
    unit = np.sqrt((nu - 2) / nu)
    for day, regime in ((0, 0), (1, 1), (3, 0)):
        mean, sigma = ((0.0008, 0.007), (-0.0010, 0.020))[regime]

        def density(u, day=day, mean=mean, sigma=sigma):
            scale = sigma * np.exp(u) * sample.profile * unit
            steps = stats.t(nu, loc=mean / 8, scale=scale).logpdf(sample.returns[day]).sum()
            return np.exp(steps + stats.norm(-(tau**2), tau).logpdf(u) - 36)

        value = integrate.quad(density, -3, 3, epsabs=0, epsrel=1e-10)[0]
        given = sample.log_likelihood_given_regime[day, regime]
        assert given == pytest.approx(np.log(value) + 36, abs=1e-8)


@pytest.mark.parametrize("steps", [8, 78])
def test_quadrature_has_converged(steps):
    z = 0.1 * np.random.default_rng(0).standard_t(5, size=(50, steps))
    coarse, fine = (
        _day_log_density(z, tau=0.35, degrees_of_freedom=5.0, points=p) for p in (401, 1601)
    )
    np.testing.assert_allclose(coarse, fine, atol=1e-9)


def test_log_likelihood_of_blocks_and_of_days_agree():
    """Of one block both are the same; of many, days know the past and blocks do not."""
    one = simulate_multiscale(8, seed=1)
    assert one.log_likelihood.sum() == pytest.approx(one.block_log_likelihood[0], abs=1e-10)
    many = simulate_multiscale(8000, seed=1)
    assert many.block_log_likelihood.shape == (1000,)
    assert many.log_likelihood.sum() > many.block_log_likelihood.sum()
    memoryless = simulate_multiscale(80, seed=1, transition=((0.7, 0.3), (0.7, 0.3)))
    blocks = memoryless.log_likelihood.reshape(10, 8).sum(axis=1)
    np.testing.assert_allclose(blocks, memoryless.block_log_likelihood, atol=1e-10)


def test_block_log_likelihood_sums_over_the_regime():
    sample = simulate_multiscale(16, seed=2)
    by_block = sample.log_likelihood_given_regime.reshape(2, 8, 2).sum(axis=1)
    expected = logsumexp(by_block + np.log([5 / 7, 2 / 7]), axis=1)
    np.testing.assert_allclose(sample.block_log_likelihood, expected, rtol=1e-12)


@pytest.mark.parametrize("regime", [0, 1])
def test_variance_adds_up_from_steps_to_days_to_blocks(regime):
    mean, sigma = ((0.0008, 0.007), (-0.0010, 0.020))[regime]
    sample = simulate_multiscale(40_000, seed=3)
    of_regime = sample.returns[sample.regimes == regime] - mean / 8
    for width in (1, 8):  # a day, a block
        total = of_regime.sum(axis=1).reshape(-1, width).sum(axis=1)
        squares = total**2 / (width * sigma**2)
        error = squares.std() / np.sqrt(len(squares))
        assert squares.mean() == pytest.approx(1.0, abs=4 * error)
    by_step = (of_regime**2).mean(axis=0) / sigma**2
    np.testing.assert_allclose(by_step, sample.profile**2, rtol=0.12)  # heavy tails: slow


def test_levels_multiply_to_the_volatility_of_the_step():
    sample = simulate_multiscale(800, seed=4)
    mean, sigma = np.array([0.0008, -0.0010]), np.array([0.007, 0.020])
    level = np.log(sigma)[sample.regimes] + sample.day_log_volatility
    scale = np.exp(level[:, None] + sample.step_log_volatility) * sample.profile
    z = (sample.returns - mean[sample.regimes][:, None] / 8) / scale
    assert stats.kstest(z.ravel(), "norm").pvalue > 0.01


def test_expected_squares_of_the_latent_scales_are_one():
    sample = simulate_multiscale(80_000, seed=5)
    assert (sample.profile**2).sum() == pytest.approx(1.0)
    day, step = np.exp(2 * sample.day_log_volatility), np.exp(2 * sample.step_log_volatility)
    for x in (day, step.ravel()):
        assert x.mean() == pytest.approx(1.0, abs=4 * x.std() / np.sqrt(x.size))


def test_profile_is_a_u():
    profile = simulate_multiscale(8, seed=0).profile
    np.testing.assert_allclose(profile, profile[::-1])
    assert (np.diff(profile[:4]) < 0).all()
    flat = simulate_multiscale(8, seed=0, u_shape=0.0).profile
    np.testing.assert_allclose(flat, 1 / np.sqrt(8))


def test_regime_is_held_for_a_block():
    regimes = simulate_multiscale(800, seed=6).regimes.reshape(-1, 8)
    assert (regimes == regimes[:, :1]).all()
    assert set(regimes[:, 0]) == {0, 1}


def test_a_seed_repeats_and_another_does_not():
    one, two, other = (simulate_multiscale(16, seed=s).returns for s in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, other)


@pytest.mark.parametrize(
    ("days", "change", "message"),
    [
        (12, {}, "days = 12 must be a multiple of days_per_regime = 8"),
        (8, {"steps": 0}, "steps must be a whole number"),
        (8, {"day_spread": 0.0}, "day_spread must be finite and above 0"),
        (8, {"u_shape": -1.0}, "u_shape must be finite and 0 or more"),
        (8, {"means": (0.0,)}, "must agree in the number of regimes"),
        (8, {"degrees_of_freedom": 2.0}, "above 2 for a finite variance"),
    ],
)
def test_bad_parameters_are_refused(days, change, message):
    with pytest.raises(ValueError, match=message):
        simulate_multiscale(days, seed=0, **change)
