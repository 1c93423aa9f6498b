"""Simulated days are draws of the flow once the filters have run over them."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from genfin_lib.applications.joint import EwmaCorrelation, FlowJointForecaster, simulate_paths
from genfin_lib.flows import Flow, real_nvp
from tests.applications.joint.test_joint_forecasters import joined


def still(features: int, context: int) -> Flow:
    """A flow that starts as the identity on standard normals, and is hardly trained."""
    return real_nvp(features, context, transforms=2, hidden=(4,)).double()


def fitted(**options) -> tuple[FlowJointForecaster, pd.DataFrame]:
    history = joined()
    model = FlowJointForecaster(still, epochs=1, learning_rate=1e-9, **options)
    return model.fit(history), history


@pytest.mark.parametrize("decay", [0.94, None])
def test_filters_run_over_a_path_give_back_the_draws(decay: float | None) -> None:
    model, history = fitted(decay=decay, half_lives=(3, 20) if decay else ())
    path = simulate_paths(model, history, steps=500, paths=2, seed=0, bounded=False)[1]
    index = history.index[-1] + pd.to_timedelta(np.arange(1, 501), unit="D")
    longer = pd.concat([history, pd.DataFrame(path, index=index, columns=history.columns)])
    y = model.whitened(longer).y[-500:]
    for column in y.T:
        assert stats.kstest(column, "norm").pvalue > 1e-3
    # And volatility did move: a filter that stood still would not give back normals.
    if decay:
        raw = path / path.std(axis=0)
        assert stats.kurtosis(raw.ravel()) > 0.3


def test_paths_start_from_the_state_of_their_evening() -> None:
    model, history = fitted()
    calm, wild = history.copy(), history.copy()
    calm.iloc[-30:] *= 0.2
    wild.iloc[-30:] *= 3
    for frame in (calm, wild):
        first = simulate_paths(model, frame, steps=1, paths=20_000, seed=1)[:, 0]
        scale = np.sqrt(model.state(frame).variance)
        np.testing.assert_allclose(first.std(axis=0), scale, rtol=0.03)


def test_correlation_of_the_evening_holds_along_the_path() -> None:
    model, history = fitted(correlation=EwmaCorrelation(decay=0.99))
    law = model.forecast(history)
    covariance = law.root @ law.root.T
    expected = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    for step in (0, 4):
        day = simulate_paths(model, history, steps=5, paths=20_000, seed=2)[:, step]
        # Volatilities that differ by path mix normals, and leave the rank correlation about as is.
        tau = stats.kendalltau(day[:4000, 0], day[:4000, 1]).statistic
        assert tau == pytest.approx(2 / np.pi * np.arcsin(expected), abs=0.04)


def test_volatility_is_held_within_the_days_of_the_fit() -> None:
    model, history = fitted()
    edges = np.sqrt([model.lowest.variance, model.highest.variance])
    free, held = (
        simulate_paths(model, history, steps=1500, paths=40, seed=3, bounded=bounded)
        for bounded in (False, True)
    )
    # Over the last days of many paths: the root mean square cannot leave the edges, but for noise.
    spread = np.sqrt(np.square(held[:, -200:]).mean(axis=1))
    assert (spread < 1.3 * edges[1]).all()
    assert (spread > 0.7 * edges[0]).all()
    left_alone = np.sqrt(np.square(free[:, -200:]).mean(axis=1))
    assert ((left_alone > 1.3 * edges[1]) | (left_alone < 0.7 * edges[0])).any()


def test_seed_decides_and_bad_sizes_are_refused() -> None:
    model, history = fitted()
    one, two = (simulate_paths(model, history, steps=3, paths=2, seed=7) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.shape == (2, 3, 2)
    with pytest.raises(ValueError, match="steps 0"):
        simulate_paths(model, history, steps=0, paths=1, seed=0)
    with pytest.raises(ValueError, match="call fit"):
        simulate_paths(FlowJointForecaster(still), history, steps=1, paths=1, seed=0)
