from functools import partial

import numpy as np
import pandas as pd
import pytest

from genfin_lib.applications.dynamic_factors import (
    DynamicFactors,
    align,
    ewma_correlation,
    factor_inputs,
    informed,
    plain,
    principal_factors,
    run,
)
from genfin_lib.applications.dynamic_factors.run import daily_table, stretch, walk
from genfin_lib.applications.joint.designs import stock_returns
from genfin_lib.applications.results import read_results
from genfin_lib.data import simulate_factors


@pytest.fixture(scope="module")
def returns() -> pd.DataFrame:
    """Simulated percent log returns."""
    sample = simulate_factors(1300, 6, seed=0)
    days = pd.bdate_range("2005-01-03", periods=1300)
    return pd.DataFrame(100 * sample.returns, days, columns=list("ABCDEF"))


def test_inputs_of_a_day_do_not_see_it(returns) -> None:
    before = factor_inputs(returns, factors=2)
    later = returns.copy()
    later.iloc[1000:] *= 7.0
    after = factor_inputs(later, factors=2)
    # Row 999 is day 1000 of the returns, the first that changed.
    for name in ("scale", "loadings", "features"):
        one, two = getattr(before, name), getattr(after, name)
        np.testing.assert_array_equal(one[:1000], two[:1000])
        assert not np.allclose(one[1000:], two[1000:])
    np.testing.assert_array_equal(before.y[:999], after.y[:999])
    np.testing.assert_allclose(before.y * before.scale, returns.to_numpy()[1:])


def test_forecasts_do_not_see_their_future(returns) -> None:
    model = DynamicFactors(factors=2, days=500, epochs=1)
    inputs = factor_inputs(returns, factors=2)
    model.fit(inputs, 900)
    later = returns.copy()
    later.iloc[1100:] *= 7.0
    changed = factor_inputs(later, factors=2)
    one, two = (model.covariances(found, 1000, 1200) for found in (inputs, changed))
    np.testing.assert_allclose(one[:100], two[:100], rtol=1e-5)
    assert not np.allclose(one[100:], two[100:], rtol=0.1)
    scores = [model.log_scores(found, 1000, 1200) for found in (inputs, changed)]
    np.testing.assert_allclose(scores[0][:99], scores[1][:99], rtol=1e-4)


def test_log_scores_are_densities_of_the_returns_themselves(returns) -> None:
    """A Gaussian model with one constant scale: density by hand, volatility accounted for."""
    inputs = factor_inputs(returns, factors=2)
    for rescaled in (True, False):
        build = partial(informed, df=None)
        model = DynamicFactors(build, factors=2, days=500, epochs=1, rescaled=rescaled).fit(
            inputs, 900
        )
        found = model.log_scores(inputs, 900, 950, draws=200)
        covariance = model.covariances(inputs, 900, 950)
        x = returns.to_numpy()[901:951]
        root = np.linalg.cholesky(covariance)
        white = np.linalg.solve(root, x[..., None])[..., 0]
        normal = -0.5 * (np.square(white) + np.log(2 * np.pi)).sum(1)
        normal -= np.log(np.diagonal(root, axis1=1, axis2=2)).sum(1)
        # The prior has t tails, so that only the middle agrees.
        assert abs(np.median(found - normal)) < 0.6


def test_principal_factors_recover_a_factor_model() -> None:
    rng = np.random.default_rng(0)
    loadings = rng.uniform(0.2, 0.6, (9, 2)) * np.array([1, 1])
    loadings[:4, 1] *= -1
    correlation = loadings @ loadings.T
    np.fill_diagonal(correlation, 1.0)
    found = principal_factors(correlation[None], 2, rounds=200)[0]
    np.testing.assert_allclose(found @ found.T, loadings @ loadings.T, atol=1e-6)


def test_alignment_undoes_rotations() -> None:
    rng = np.random.default_rng(0)
    first = rng.standard_normal((7, 3))
    turned = [first]
    for _ in range(20):
        q, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        turned.append(first @ q)
    aligned = align(np.array(turned))
    np.testing.assert_allclose(aligned, np.broadcast_to(aligned[0], aligned.shape), atol=1e-10)


def test_ewma_correlation_is_the_recursion() -> None:
    y = np.random.default_rng(0).standard_normal((30, 3))
    y[4, 1] = 50.0
    q, cut = np.eye(3), np.clip(y, -8, 8)
    for row in cut:
        q = 0.9 * q + 0.1 * np.outer(row, row)
    size = np.sqrt(np.diagonal(q))
    np.testing.assert_allclose(ewma_correlation(y, decay=0.9)[-1], q / size / size[:, None])


def test_walk_scores_each_day_once(returns, monkeypatch) -> None:
    small = {
        "informed": DynamicFactors(factors=2, days=400, epochs=1),
        "no features": DynamicFactors(factors=2, features=False, days=400, epochs=1),
        "network, raw": DynamicFactors(
            plain, factors=2, features=False, rescaled=False, days=400, epochs=1
        ),
    }
    monkeypatch.setattr(run, "MODELS", small)
    monkeypatch.setattr(run, "REFIT_EVERY", 100)
    scores = walk(list(small), returns, start="2009-04-01", parts=None)
    table = daily_table(scores, 6)
    assert list(table) == ["date", "informed", "informed, seed 1", "network, raw", "no features"]
    assert not table.isna().any(axis=None)
    assert list(table["date"]) == list(returns["2009-04-01":].index)
    assert abs(table["informed"].mean() - table["informed, seed 1"].mean()) < 0.1


def test_slow_loadings_find_the_space_of_constant_ones() -> None:
    """Constant loadings, simulated: the slow factors find their space."""
    sample = simulate_factors(
        1500, 10, seed=1, transition=((1.0,),), factor_volatilities=((0.012, 0.008),)
    )
    days = pd.bdate_range("2005-01-03", periods=1500)
    inputs = factor_inputs(pd.DataFrame(100 * sample.returns, days), factors=2)
    found = np.linalg.qr(inputs.loadings[-1])[0]
    scaled = sample.loadings[0] / np.sqrt(np.diagonal(sample.covariances[0]))[:, None]
    truth = np.linalg.qr(scaled)[0]
    assert np.linalg.svd(found.T @ truth)[1].min() > 0.9


def test_the_first_stretch_of_the_stored_table_comes_again() -> None:
    stored = read_results("rvrae_selection").set_index("date")["no recurrence"].iloc[:250]
    returns = stock_returns()[: stored.index[-1]]
    inputs = factor_inputs(returns)
    end = len(inputs.index)
    found = stretch("no recurrence", 0, inputs, end - 250, end)
    assert list(found["date"].astype(str)) == list(stored.index)
    assert abs(-found["log_score"].mean() / 20 - stored.mean()) < 0.003
