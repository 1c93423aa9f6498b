"""Filters of correlation: closed forms equal recursions, and known dynamics are recovered."""

import numpy as np
import pytest

from genfin_lib.applications.joint import DynamicConditionalCorrelation, EwmaCorrelation


def recursion(z: np.ndarray, a: float, b: float, mean: np.ndarray) -> np.ndarray:
    q, out = mean, []
    for row in z:
        scale = np.sqrt(np.diag(q))
        out.append(q / np.outer(scale, scale))
        q = (1 - a - b) * mean + a * np.outer(row, row) + b * q
    return np.stack(out)


def simulated_dcc(n: int, a: float, b: float, *, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    mean = np.array([[1.0, 0.5, 0.2], [0.5, 1.0, 0.3], [0.2, 0.3, 1.0]])
    q, rows = mean, []
    for _ in range(n):
        scale = np.sqrt(np.diag(q))
        root = np.linalg.cholesky(q / np.outer(scale, scale))
        rows.append(root @ generator.standard_normal(3))
        q = (1 - a - b) * mean + a * np.outer(rows[-1], rows[-1]) + b * q
    return np.stack(rows)


@pytest.mark.parametrize("model", [DynamicConditionalCorrelation(), EwmaCorrelation(decay=0.95)])
def test_path_is_the_recursion(model: DynamicConditionalCorrelation) -> None:
    z = simulated_dcc(300, 0.05, 0.9, seed=0)
    model.fit(z)
    by_hand = recursion(z, model.shock, model.memory, model.mean)
    np.testing.assert_allclose(model.path(z), by_hand, rtol=1e-10)


def test_ewma_is_dcc_that_returns_to_no_mean() -> None:
    model = EwmaCorrelation(decay=0.97)
    assert model.shock + model.memory == pytest.approx(1)


def test_known_dynamics_are_recovered() -> None:
    model = DynamicConditionalCorrelation().fit(simulated_dcc(4000, 0.06, 0.88, seed=1))
    assert model.shock == pytest.approx(0.06, abs=0.02)
    assert model.memory == pytest.approx(0.88, abs=0.05)


def test_constant_correlation_is_seen_as_constant() -> None:
    generator = np.random.default_rng(2)
    root = np.linalg.cholesky([[1.0, 0.6], [0.6, 1.0]])
    z = generator.standard_normal((3000, 2)) @ root.T
    path = DynamicConditionalCorrelation().fit(z).path(z)
    assert path[:, 0, 1].std() < 0.03
    assert path[:, 0, 1].mean() == pytest.approx(0.6, abs=0.04)


def test_path_knows_no_later_row() -> None:
    z = simulated_dcc(200, 0.05, 0.9, seed=3)
    model = DynamicConditionalCorrelation().fit(z)
    spoiled = z.copy()
    spoiled[150:] = 9.0
    before, after = model.path(z), model.path(spoiled)
    np.testing.assert_array_equal(before[:151], after[:151])
    assert not np.allclose(before[151], after[151])


def test_bad_scores_are_refused() -> None:
    with pytest.raises(ValueError, match=r"call fit\(scores\) first"):
        EwmaCorrelation().path(np.zeros((9, 2)))
    with pytest.raises(ValueError, match="twice as many rows"):
        EwmaCorrelation().fit(np.ones((5, 3)))
    with pytest.raises(ValueError, match="1 NaN"):
        DynamicConditionalCorrelation().fit(np.array([[1.0, 2.0], [np.nan, 1.0]] * 1))
    with pytest.raises(ValueError, match="decay 97"):
        EwmaCorrelation(decay=97)
