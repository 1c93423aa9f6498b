from functools import partial

import numpy as np
import pandas as pd
import pytest

from genfin_lib.applications.dynamic_factors import (
    DynamicFactors,
    align,
    carried,
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


def test_axes_do_not_hang_on_how_the_first_days_come(returns) -> None:
    """Where eigenvalues are equal, eigenvectors are what a machine makes of rounding."""
    rng = np.random.default_rng(1)
    inputs = factor_inputs(returns, factors=2)
    found = principal_factors(ewma_correlation(inputs.y), 2)
    elsewhere = found.copy()
    elsewhere[:20] = found[:20] @ np.linalg.qr(rng.standard_normal((20, 2, 2)))[0]
    elsewhere[20:] *= np.sign(rng.standard_normal((len(found) - 20, 1, 2)))
    one, two = align(found), align(elsewhere)
    np.testing.assert_allclose(one, two, atol=1e-10)
    settled = one[250]
    np.testing.assert_allclose(settled.T @ settled, np.diag((settled**2).sum(axis=0)), atol=1e-10)
    assert (settled.sum(axis=0) > 0).all()


def test_carried_prices_keep_the_move_and_mark_the_steps_of_one(returns) -> None:
    closes = np.exp(returns.cumsum() / 100)
    closes.iloc[:3, 0] = np.nan  # a history that begins later
    closes.iloc[10:12, 1] = np.nan
    found, seen = carried(closes)
    assert found.index[0] == closes.index[4]
    gone = [(row + 4, column) for row, column in np.argwhere(~seen)]
    assert gone == [(10, 1), (11, 1), (12, 1)]
    np.testing.assert_allclose(found.to_numpy()[seen], returns.to_numpy()[4:][seen])
    assert (found.iloc[6:8, 1] == 0).all()
    np.testing.assert_allclose(found.iloc[8, 1], returns.iloc[10:13, 1].sum())
    for broken in (closes.assign(C=np.nan), closes.assign(C=-1.0)):
        with pytest.raises(ValueError, match="positive price"):
            carried(broken)


def test_gaps_are_left_out_of_training_and_of_scores(returns) -> None:
    hidden = np.random.default_rng(2).random(returns.shape) < 0.05
    hidden[0] = False
    hidden[950] = True
    returns_with_gaps, seen = carried(np.exp(returns.cumsum() / 100).mask(hidden))
    inputs = factor_inputs(returns_with_gaps, seen=seen, factors=2)
    np.testing.assert_array_equal(np.isnan(inputs.y), ~seen[1:])
    model = DynamicFactors(factors=2, days=500, epochs=2).fit(inputs, 900)
    scores = model.log_scores(inputs, 900, 1000)
    lost = ~seen[901:1001].any(axis=1)
    assert lost.sum() >= 2
    # No number, no evidence: what is left is the error of the draws.
    assert np.abs(scores[lost]).max() < 0.1
    whole = factor_inputs(returns, factors=2)
    full = DynamicFactors(factors=2, days=500, epochs=2).fit(whole, 900)
    one, two = model.covariances(inputs, 900, 1000), full.covariances(whole, 901, 1001)
    assert abs(np.log(np.einsum("tii->ti", one) / np.einsum("tii->ti", two)).mean()) < 0.1
    with pytest.raises(ValueError, match="shape"):
        factor_inputs(returns, seen=seen[1:])
    with pytest.raises(ValueError, match="NaN"):
        ewma_correlation(inputs.y)


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


def test_a_walk_cut_short_goes_on_where_it_was(returns, monkeypatch, tmp_path) -> None:
    small = {"informed": DynamicFactors(factors=2, days=400, epochs=1)}
    monkeypatch.setattr(run, "MODELS", small)
    monkeypatch.setattr(run, "REFIT_EVERY", 100)
    ask = {"names": ["informed"], "returns": returns, "start": "2009-04-01"}
    whole = walk(**ask, parts=tmp_path)
    kept = sorted(tmp_path.iterdir())
    kept[0].unlink()
    again = walk(**ask, parts=tmp_path)
    assert sorted(tmp_path.iterdir()) == kept
    pd.testing.assert_frame_equal(again, whole)

    def computes(*job: object) -> pd.DataFrame:
        raise AssertionError(f"{job} was kept already")

    monkeypatch.setattr(run, "stretch", computes)
    pd.testing.assert_frame_equal(walk(**ask, parts=tmp_path), whole)


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
