"""Portfolios and bets of dynamic factors: exact where there is a formula, blind to the future."""

import numpy as np
import pandas as pd
import pytest

from genfin_lib.applications.dynamic_factors import DynamicFactors, FactorPath, factor_inputs
from genfin_lib.applications.dynamic_factors.portfolios import (
    RULES,
    chosen_step,
    dcc_covariances,
    hold,
    optimal_weights,
    principal_covariance,
    rolling_covariances,
    wanted_weights,
)
from genfin_lib.applications.dynamic_factors.timing import (
    bets,
    factor_bets,
    risk_shares,
    trend,
    turned,
)
from genfin_lib.applications.joint.designs import stock_returns
from genfin_lib.applications.results import read_results
from genfin_lib.data import simulate_factors
from genfin_lib.trading import minimum_variance

LONG, FREE, PARITY, MEAN = RULES


@pytest.fixture(scope="module")
def returns() -> pd.DataFrame:
    """Simulated percent log returns."""
    sample = simulate_factors(1300, 6, seed=0)
    days = pd.bdate_range("2005-01-03", periods=1300)
    return pd.DataFrame(100 * sample.returns, days, columns=list("ABCDEF"))


@pytest.fixture(scope="module")
def path() -> FactorPath:
    """Days of eight series and three factors, any numbers."""
    rng = np.random.default_rng(0)
    own = rng.uniform(0.5, 2.0, (40, 8))
    exposures = rng.standard_normal((40, 8, 3))
    return FactorPath(exposures, own, rng.standard_normal((40, 3)), own[:, 0], own[:, 0])


def test_path_takes_the_forecast_apart_and_does_not_see_its_future(returns) -> None:
    model = DynamicFactors(factors=2, days=500, epochs=1)
    inputs = factor_inputs(returns, factors=2)
    model.fit(inputs, 900)
    before = model.path(inputs, 1000, 1200)
    whole = model.covariances(inputs, 1000, 1200)
    np.testing.assert_allclose(before.covariances(), whole, rtol=1e-5, atol=1e-8)
    later = returns.copy()
    later.iloc[1100:] *= 7.0
    after = model.path(factor_inputs(later, factors=2), 1000, 1200)
    # Row 1099 of the inputs is row 1100 of the returns, the first that changed.
    for name, until in (("exposures", 100), ("own", 100), ("factors", 99), ("distance", 99)):
        one, two = getattr(before, name), getattr(after, name)
        np.testing.assert_allclose(one[:until], two[:until], rtol=1e-3, atol=1e-4)
        assert not np.allclose(one[until:], two[until:], rtol=0.1)


def test_a_bet_moves_with_its_factor_alone_at_the_least_variance(path) -> None:
    x = np.random.default_rng(1).standard_normal((40, 8))
    found = factor_bets(path, x)
    exposure = path.exposures.swapaxes(1, 2) @ found.weights
    np.testing.assert_allclose(exposure, np.broadcast_to(np.eye(3), exposure.shape), atol=1e-10)
    np.testing.assert_allclose(found.returns[5, 1], found.weights[5, :, 1] @ x[5])
    # Any other portfolio of the same exposures differs by one without any, and is riskier.
    blind = np.linalg.svd(path.exposures[0].T)[2][3:]
    w, law = found.weights[0, :, 0], path.covariances()[0]
    for direction in blind:
        for other in (w + 0.1 * direction, w - 0.1 * direction):
            assert other @ law @ other > w @ law @ w


def test_turned_factors_are_the_same_law_on_steady_axes(path) -> None:
    found = turned(path)
    np.testing.assert_allclose(found.covariances(), path.covariances())
    moves = [np.einsum("tsm,tm->ts", p.exposures, p.factors) for p in (path, found)]
    np.testing.assert_allclose(*moves)
    # The first day's axes are principal ones, and no rotation of a later day is nearer to them.
    first = found.exposures[0]
    np.testing.assert_allclose(first.T @ first, np.diag(np.square(first).sum(axis=0)), atol=1e-9)
    rng = np.random.default_rng(6)
    for day in found.exposures[1:5]:
        q = np.linalg.qr(np.eye(3) + 0.1 * rng.standard_normal((3, 3)))[0]
        q = q * np.sign(np.diag(q))
        assert np.linalg.norm(day - first) < np.linalg.norm(day @ q - first)
    # A path on other axes every day is brought back to the same ones.
    q = np.linalg.qr(rng.standard_normal((40, 3, 3)))[0]
    other = path._replace(
        exposures=path.exposures @ q, factors=np.einsum("tm,tmk->tk", path.factors, q)
    )
    np.testing.assert_allclose(turned(other).exposures, found.exposures)


def test_shares_of_risk_are_the_parts_of_the_variance(path) -> None:
    w = np.random.default_rng(2).dirichlet(np.ones(8), 40)
    shares = risk_shares(path, w)
    variance = np.einsum("ts,tsr,tr->t", w, path.covariances(), w)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    first = np.einsum("ts,ts->t", path.exposures[..., 0], w) ** 2
    np.testing.assert_allclose(shares[:, 0] * variance, first)


def test_sides_and_bets_of_a_day_do_not_see_it(path) -> None:
    x = np.random.default_rng(3).standard_normal((40, 8))
    later = x.copy()
    later[30:] *= -5.0
    one, two = (factor_bets(path, rows).returns for rows in (x, later))
    np.testing.assert_array_equal(trend(one, 5)[:31], trend(two, 5)[:31])
    assert (trend(one, 5)[31:] != trend(two, 5)[31:]).any()
    np.testing.assert_array_equal(trend(np.ones((4, 1)), 2)[:, 0], [0, 1, 1, 1])
    days = pd.bdate_range("2020-01-01", periods=41)
    tables = [
        bets(path, rows, pd.DataFrame(np.vstack([0 * rows[:1], rows]) / 1000, days))
        for rows in (x, later)
    ]
    pd.testing.assert_frame_equal(tables[0][:30], tables[1][:30])
    assert not tables[0][30:].equals(tables[1][30:])


def test_optimiser_agrees_with_formulas(path, returns) -> None:
    law = path.covariances()[0] / 1e4
    simple = pd.DataFrame(np.random.default_rng(4).standard_normal((300, 8)) / 100)
    for rule, alone in ((LONG, True), (FREE, False)):
        found = optimal_weights(rule, law, simple)
        np.testing.assert_allclose(found, minimum_variance(law, long_only=alone), atol=2e-3)
    w = optimal_weights(PARITY, law, simple)
    np.testing.assert_allclose(w * (law @ w) / (w @ law @ w), 1 / 8, rtol=1e-2)
    w = optimal_weights(MEAN, law, simple)
    assert w.sum() == pytest.approx(1)
    assert w.min() > -1e-6
    assert w.max() < 0.2 + 1e-6
    with pytest.raises(ValueError, match="one of"):
        optimal_weights("most return", law, simple)


def test_weights_drift_between_dates_and_go_part_of_the_way_on_them() -> None:
    rng = np.random.default_rng(5)
    simple = pd.DataFrame(
        rng.standard_normal((21, 3)) / 50, pd.bdate_range("2020-01-01", periods=21)
    )
    wanted = rng.dirichlet(np.ones(3), 4)
    found = hold(wanted, simple, 1, every=5, step=0.25, cost=0.001)
    assert list(np.flatnonzero(found.turnover > 1e-12)) == [0, 5, 10, 15]
    grown = wanted[0] * (1 + simple.to_numpy()[1:6]).prod(axis=0)
    drifted = grown / grown.sum()
    then = found.positions.to_numpy()[5]
    np.testing.assert_allclose(then, drifted + 0.25 * (wanted[1] - drifted))
    np.testing.assert_allclose(found.turnover.iloc[5], np.abs(then - drifted).sum())
    # Where wanted weights say nothing, whoever trades least pays least.
    noisy = pd.DataFrame(
        np.tile(rng.standard_normal((301, 1)) / 100, 3), pd.bdate_range("2020-01-01", periods=301)
    )
    assert chosen_step(rng.dirichlet(np.ones(3), 60), noisy, 1, every=5) == 0.1


def test_rivals_do_not_see_their_future(returns) -> None:
    later = returns.copy()
    later.iloc[1150:] *= 7.0
    rows = range(1100, 1300, 50)
    one, two = (rolling_covariances(x.to_numpy(), rows, 1100) for x in (returns, later))
    for name, found in one.items():
        np.testing.assert_array_equal(found[:2], two[name][:2])
        assert name == "static PCA" or not np.allclose(found[2:], two[name][2:])
    one, two = (dcc_covariances(x, 1100, 1200) for x in (returns, later))
    np.testing.assert_allclose(one[:51], two[:51])
    assert not np.allclose(one[51:], two[51:])


def test_principal_covariance_keeps_variances_and_needs_all_factors_for_the_rest(returns) -> None:
    x = returns.to_numpy()
    sample = np.cov(x.T, bias=True)
    np.testing.assert_allclose(np.diag(principal_covariance(x, 2)), np.diag(sample))
    np.testing.assert_allclose(principal_covariance(x, 6), sample)
    assert np.linalg.matrix_rank(principal_covariance(x, 2)) == 6


def test_a_slice_of_the_stored_table_comes_again() -> None:
    stored = read_results("rvrae_portfolios").set_index("date").iloc[:250]
    summary = read_results("rvrae_portfolios_summary").set_index(["period", "rule", "model"])
    known = stock_returns().iloc[1:]
    simple = np.expm1(known / 100)
    begin = int(known.index.searchsorted(pd.Timestamp(stored.index[0])))
    dates = range(begin, begin + 250, 5)
    laws = rolling_covariances(known.to_numpy(), dates, begin)
    for rule, name in ((LONG, "Ledoit-Wolf"), (FREE, "static PCA")):
        table = summary.loc[("test", rule, name)]
        step = table.loc[table["chosen"], "step"].iloc[0]
        wanted = wanted_weights(rule, laws[name], simple, dates)
        found = hold(wanted, simple.iloc[: begin + 250], begin, every=5, step=step).net_returns
        np.testing.assert_allclose(100 * found, stored[f"{rule} | {name}"], atol=6e-4)
