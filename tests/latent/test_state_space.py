"""Kalman filter and dynamic linear model against the joint Gaussian and against statsmodels."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.linalg import solve_discrete_lyapunov
from statsmodels.tsa.statespace.dynamic_factor import DynamicFactor
from statsmodels.tsa.statespace.structural import UnobservedComponents

from genfin_lib.latent import DynamicLinearModel, Seasonal, StateSpace

RNG = np.random.default_rng(0)


def space(n: int = 3, features: int = 2) -> StateSpace:
    rng = np.random.default_rng(1)
    half, start = rng.standard_normal((2, n, n))
    return StateSpace(
        0.4 * rng.standard_normal((n, n)),
        half @ half.T,
        rng.standard_normal((features, n)),
        0.5 + rng.random(features),
        rng.standard_normal(n),
        start @ start.T,
    )


def joint(model: StateSpace, days: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean and covariance of all states and of all data, by brute force."""
    n, features = len(model.mean), len(model.noise)
    mean, covariance = np.zeros((days, n)), np.zeros((days, n, days, n))
    mean[0], covariance[0, :, 0] = model.mean, model.covariance
    for t in range(1, days):
        mean[t] = model.transition @ mean[t - 1]
        for s in range(t):
            covariance[t, :, s] = model.transition @ covariance[t - 1, :, s]
            covariance[s, :, t] = covariance[t, :, s].T
        covariance[t, :, t] = (
            model.transition @ covariance[t - 1, :, t - 1] @ model.transition.T + model.state_noise
        )
    seen = np.kron(np.eye(days), model.loadings)  # (days * D, days * n)
    states = covariance.reshape(days * n, days * n)
    noise = np.diag(np.tile(model.noise, days))
    assert seen.shape == (days * features, days * n)
    return mean.ravel(), states, seen, noise


def dlm(**changes) -> DynamicLinearModel:
    settings = {
        "noise_std": 0.3,
        "level_std": 0.2,
        "slope_std": 0.05,
        "seasonal": [Seasonal(5, 2, 0.1), Seasonal(11.5, 1, 0.05)],
        "ar": [0.6],
        "ar_std": 0.4,
        "prior_std": 2.0,
    }
    return DynamicLinearModel(**{**settings, **changes})


def series(days: int = 60, gaps: bool = True) -> np.ndarray:
    y = dlm().sample(1, days, seed=3)[0]
    if gaps:
        y[[0, 7, 8, 20]] = np.nan
    return y


MODELS = [
    (space(), RNG.standard_normal((9, 2))),
    (dlm().space, series(25, gaps=False)[:, None]),
    (dlm(ar=[0.5, -0.3, 0.1]).space, series(25)[:, None]),
]
MODELS[0][1][[2, 5], [0, 1]] = np.nan
MODELS[0][1][7] = np.nan


@pytest.mark.parametrize(("model", "y"), MODELS)
def test_filter_and_smoother_are_the_joint_gaussian(model: StateSpace, y: np.ndarray) -> None:
    days, n = len(y), len(model.mean)
    mean, states, seen, noise = joint(model, days)
    there = ~np.isnan(y.ravel())
    loadings = seen[there]
    covariance = loadings @ states @ loadings.T + noise[np.ix_(there, there)]
    law = stats.multivariate_normal(loadings @ mean, covariance)
    assert model.log_prob(y).sum() == pytest.approx(law.logpdf(y.ravel()[there]), abs=1e-8)
    gain = np.linalg.solve(covariance, loadings @ states).T
    expected = mean + gain @ (y.ravel()[there] - loadings @ mean)
    left = (states - gain @ loadings @ states).reshape(days, n, days, n)
    smoothed = model.smooth(y)
    np.testing.assert_allclose(smoothed.mean.ravel(), expected, atol=1e-8)
    for t in range(days):
        np.testing.assert_allclose(smoothed.covariance[t], left[t, :, t], atol=1e-8)
    filtered = model.filter(y)
    np.testing.assert_allclose(filtered.mean[-1], smoothed.mean[-1], atol=1e-8)
    np.testing.assert_allclose(filtered.covariance[-1], smoothed.covariance[-1], atol=1e-8)


@pytest.mark.parametrize(("model", "y"), MODELS)
def test_forecasts_are_the_smoother_of_missing_days(model: StateSpace, y: np.ndarray) -> None:
    later = np.vstack((y, np.full((4, y.shape[1]), np.nan)))
    means, variances = model.forecast(y, 4)
    states = model.smooth(later)
    for h in range(4):
        state = states.covariance[len(y) + h]
        expected = np.einsum("di,ij,dj->d", model.loadings, state, model.loadings) + model.noise
        np.testing.assert_allclose(means[-1, h], model.loadings @ states.mean[len(y) + h])
        np.testing.assert_allclose(variances[-1, h], expected)


def test_nothing_looks_ahead() -> None:
    y, model = series(), dlm()
    wrong = np.concatenate((y[:40], -100 * np.ones(20)))
    for honest in (
        lambda y: model.log_prob(y),
        lambda y: model.forecast(y, 5)[0],
        lambda y: model.forecast(y, 5)[1],
        lambda y: model.components(y, smoothed=False)[0],
    ):
        np.testing.assert_array_equal(honest(y)[:40], honest(wrong)[:40])
    smoothed = [model.components(v)[0].to_numpy()[39] for v in (y, wrong)]
    assert not np.allclose(*smoothed)


def unobserved(model: DynamicLinearModel, y: np.ndarray):
    theirs = UnobservedComponents(
        y,
        level="lltrend",
        freq_seasonal=[{"period": s.period, "harmonics": s.harmonics} for s in model.seasonal],
        autoregressive=1,
    )
    theirs.ssm.initialize_known(model.space.mean, model.space.covariance)
    theirs.loglikelihood_burn = 0
    stds = [model.noise_std, model.level_std, model.slope_std, *(s.std for s in model.seasonal)]
    return theirs, [*np.square([*stds, model.ar_std]), *model.ar]


def test_statsmodels_finds_the_same_numbers() -> None:
    y, model = series(120), dlm(prior_std=10.0)
    theirs, parameters = unobserved(model, y)
    result = theirs.smooth(parameters)
    ours = model.space.smooth(y[:, None])
    assert model.log_prob(y).sum() == pytest.approx(result.llf, abs=1e-8)
    np.testing.assert_allclose(ours.mean, result.states.smoothed, atol=1e-8)
    np.testing.assert_allclose(
        ours.covariance, np.moveaxis(result.smoothed_state_cov, -1, 0), atol=1e-8
    )
    ahead = result.get_forecast(6)
    mean, std = model.forecast(y, 6)
    np.testing.assert_allclose(mean[-1], ahead.predicted_mean, atol=1e-8)
    np.testing.assert_allclose(std[-1], ahead.se_mean, atol=1e-8)


def test_a_dynamic_factor_model_is_statsmodels_too() -> None:
    loadings, noise = np.array([[0.9, 0.0], [0.5, 0.0], [-0.4, 0.0]]), np.array([0.5, 0.8, 1.1])
    move = np.array([[0.7, 0.2], [1.0, 0.0]])
    y = RNG.standard_normal((80, 3))
    y[3, 1] = np.nan
    theirs = DynamicFactor(y, k_factors=1, factor_order=2)
    result = theirs.smooth([*loadings[:, 0], *noise, 0.7, 0.2])
    start = solve_discrete_lyapunov(move, np.diag([1.0, 0.0]))
    model = StateSpace(move, np.diag([1.0, 0.0]), loadings, noise, np.zeros(2), start)
    assert model.log_prob(y).sum() == pytest.approx(result.llf, abs=1e-8)
    smoothed = model.smooth(y).mean[:, 0]
    np.testing.assert_allclose(smoothed, result.states.smoothed[:, 0], atol=1e-8)


def test_components_add_up_and_are_told_apart() -> None:
    """Small noise: the sum of the components is the data; each one is near the truth."""
    t = np.arange(400)
    week, year = np.cos(2 * math.pi * t / 5), 2 * np.sin(2 * math.pi * t / 61.3)
    y = pd.Series(3 + 0.01 * t + week + year + 0.05 * RNG.standard_normal(400))
    model = DynamicLinearModel(
        noise_std=0.05,
        level_std=0.0,
        slope_std=0.0,
        prior_std=10.0,
        seasonal=[Seasonal(5, 2), Seasonal(61.3, 1)],
    )
    mean, std = model.components(y)
    assert list(mean.columns) == ["level", "season 5", "season 61.3", "slope"]
    assert (mean.index == y.index).all()
    np.testing.assert_allclose(mean.drop(columns="slope").sum(axis=1), y, atol=0.25)
    np.testing.assert_allclose(mean["season 5"], week, atol=0.02)
    np.testing.assert_allclose(mean["season 61.3"], year, atol=0.02)
    np.testing.assert_allclose(mean["slope"], 0.01, atol=1e-4)
    assert (std.drop(columns="slope") > 0).all(axis=None)
    assert (std < 0.05).all(axis=None)


def test_fit_recovers_the_truth_and_beats_it_in_sample() -> None:
    truth = DynamicLinearModel(noise_std=0.2, level_std=0.05, ar=[0.7], ar_std=0.3, prior_std=1.0)
    y = truth.sample(1, 1000, seed=5)[0]
    y[::50] = np.nan
    found = DynamicLinearModel.fit(y, ar=1)
    assert found.ar[0] == pytest.approx(0.7, abs=0.1)
    assert found.ar_std == pytest.approx(0.3, abs=0.06)
    assert found.level_std == pytest.approx(0.05, abs=0.03)
    # Same states, so that likelihoods of the same prior may be compared.
    wide = DynamicLinearModel(
        noise_std=0.2,
        level_std=0.05,
        ar=[0.7],
        ar_std=0.3,
        prior_mean=float(np.nanmean(y)),
        prior_std=10 * float(np.nanstd(y)),
    )
    gain = found.log_prob(y).sum() - wide.log_prob(y).sum()
    assert 0 < gain < 8  # half a chi-square with four degrees of freedom


def test_fit_does_not_depend_on_units() -> None:
    truth = DynamicLinearModel(noise_std=0.3, level_std=0.2, seasonal=[Seasonal(5, 1)], prior_std=2)
    y = truth.sample(1, 200, seed=3)[0]
    plain, scaled = (DynamicLinearModel.fit(c * y, seasonal=[(5, 1)]) for c in (1, 1000))
    assert scaled.noise_std == pytest.approx(1000 * plain.noise_std, rel=1e-2)
    assert scaled.level_std == pytest.approx(1000 * plain.level_std, rel=1e-2)


def test_paths_have_the_moments_of_the_forecast() -> None:
    y, model = series(), dlm(ar=[0.5, 0.2])
    paths = model.sample(20_000, 4, after=y, seed=0)
    mean, std = model.forecast(y, 4)
    np.testing.assert_allclose(paths.mean(axis=0), mean[-1], atol=5 * std[-1].max() / 20_000**0.5)
    np.testing.assert_allclose(paths.std(axis=0), std[-1], rtol=0.03)
    np.testing.assert_array_equal(paths, model.sample(20_000, 4, after=y, seed=0))


def test_short_memory_starts_stationary() -> None:
    model = DynamicLinearModel(
        noise_std=0.0, level_std=0.0, ar=[0.5, 0.3], ar_std=1.0, prior_std=0.0
    )
    spread = model.sample(40_000, 6, seed=1).std(axis=0)
    np.testing.assert_allclose(spread, spread.mean(), rtol=0.03)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise_std": -1.0}, "finite and not negative"),
        ({"seasonal": [Seasonal(5, 3)]}, "1 to period / 2 harmonics"),
        ({"seasonal": [Seasonal(5, 1), Seasonal(5, 2)]}, "two patterns of period 5"),
        ({"ar": [1.1]}, "not stationary"),
    ],
)
def test_bad_models_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dlm(**changes)


def test_bad_data_are_refused() -> None:
    with pytest.raises(ValueError, match="not all equal"):
        DynamicLinearModel.fit(np.ones(50))
    with pytest.raises(ValueError, match="3 numbers for 5 states"):
        DynamicLinearModel.fit(np.arange(3.0), seasonal=[(5, 2)])
    with pytest.raises(ValueError, match=r"one series, \(T,\)"):
        dlm().log_prob(np.zeros((4, 2)))
    with pytest.raises(ValueError, match="1 of them inf"):
        dlm().log_prob(np.array([1.0, np.inf]))
    with pytest.raises(ValueError, match="horizon"):
        dlm().forecast(series(), 0)
    with pytest.raises(ValueError, match="transition has shape"):
        StateSpace(*[np.eye(2)] * 3, np.ones(2), np.zeros(3), np.eye(3))
