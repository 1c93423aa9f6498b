"""Minimum-variance weights against closed forms and a general optimiser."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from genfin_lib.trading import minimum_variance


def covariance(assets: int, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((assets, 3))
    return x @ x.T + np.diag(np.linspace(0.2, 2.0, assets))


def test_two_assets_by_hand() -> None:
    sigma = np.array([[4.0, 1.0], [1.0, 2.0]])
    # w1 = (s22 - s12) / (s11 + s22 - 2 s12)
    assert minimum_variance(sigma) == pytest.approx([0.25, 0.75])


def test_a_short_position_becomes_zero_when_forbidden() -> None:
    sigma = np.array([[4.0, 3.0], [3.0, 2.5]])
    assert minimum_variance(sigma) == pytest.approx([-1.0, 2.0])
    assert minimum_variance(sigma, long_only=True) == pytest.approx([0.0, 1.0])


@pytest.mark.parametrize("seed", range(3))
def test_long_only_weights_are_those_of_a_general_optimiser(seed: int) -> None:
    sigma = covariance(8, seed)
    found = minimum_variance(sigma, long_only=True)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1.0)
    best = minimize(
        lambda w: w @ sigma @ w,
        np.full(8, 1 / 8),
        jac=lambda w: 2 * sigma @ w,
        bounds=[(0, 1)] * 8,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        tol=1e-12,
    )
    assert found @ sigma @ found <= best.fun + 1e-10
    assert found == pytest.approx(best.x, abs=1e-4)
    # Variances of daily returns are small numbers.
    assert minimum_variance(1e-6 * sigma, long_only=True) == pytest.approx(found)


def test_no_fully_invested_portfolio_has_less_variance() -> None:
    sigma, rng = covariance(6), np.random.default_rng(1)
    best = minimum_variance(sigma)
    others = best + rng.standard_normal((100, 6)) @ (np.eye(6) - np.full((6, 6), 1 / 6))
    assert (np.einsum("ni,ij,nj->n", others, sigma, others) >= best @ sigma @ best).all()


def test_a_frame_gives_a_series() -> None:
    names = list("ABC")
    found = minimum_variance(pd.DataFrame(covariance(3), names, names))
    assert list(found.index) == names


@pytest.mark.parametrize(
    ("sigma", "message"),
    [
        (np.ones((2, 3)), "square"),
        (np.full((2, 2), np.nan), "finite"),
        (np.array([[1.0, 0.5], [0.0, 1.0]]), "not symmetric"),
        (np.ones((2, 2)), "not positive definite"),
    ],
)
def test_bad_matrices_are_refused(sigma: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        minimum_variance(sigma)
