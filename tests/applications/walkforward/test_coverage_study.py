"""Tables of laws, corrections that learn from the days before, and the study's published tables."""

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from genfin_lib.applications import read_results
from genfin_lib.applications.protocol import LEVELS, START, protocol_returns
from genfin_lib.applications.walkforward.baselines import BASELINES
from genfin_lib.applications.walkforward.coverage_study import (
    WINDOW,
    best,
    conformal,
    gjr_stretch,
    risk,
    untouched,
)
from genfin_lib.applications.walkforward.online_recalibration import (
    PRIOR,
    TAIL,
    beta_online,
    isotonic_online,
    tails_online,
)
from genfin_lib.applications.walkforward.tabulated import (
    GRID,
    Tabulated,
    linear_pool,
    quantile_average,
)
from genfin_lib.risk import walk_forward

CORRECTIONS = [beta_online, isotonic_online, tails_online]


def normal(scale: np.ndarray, came: np.ndarray) -> Tabulated:
    law = stats.norm(0, scale)
    return Tabulated(
        scale[:, None] * stats.norm.ppf(GRID), law.cdf(came), law.logpdf(came).astype(float)
    )


@pytest.fixture
def pair() -> tuple[np.ndarray, Tabulated, Tabulated]:
    rng = np.random.default_rng(0)
    came, scales = rng.standard_normal(40), rng.uniform(1, 4, (2, 40))
    return came, normal(scales[0], came), normal(scales[1], came)


def test_average_of_normal_tables_is_normal_with_the_mean_scale(pair) -> None:
    came, *laws = pair
    found = quantile_average(laws, (0.25, 0.75), came)
    scale = sum(w * law.quantiles[:, -1] for w, law in zip((0.25, 0.75), laws, strict=True))
    exact = normal(scale / stats.norm.ppf(GRID[-1]), came)
    for mine, expected in zip(found, exact, strict=True):
        np.testing.assert_allclose(mine, expected, atol=1e-4)


def test_pool_has_the_mean_distribution_function(pair) -> None:
    came, *laws = pair
    pool = linear_pool(laws, (0.3, 0.7))
    scales = [law.quantiles[:, -1] / stats.norm.ppf(GRID[-1]) for law in laws]
    parts = [w * stats.norm.pdf(came, 0, s) for w, s in zip((0.3, 0.7), scales, strict=True)]
    np.testing.assert_allclose(pool.log_prob, np.log(sum(parts)), rtol=1e-12)
    var = risk(pool, untouched(pool.pit).inverse)[0, :, 0]
    for day in (0, 17):

        def miss(x: float, day: int = day) -> float:
            return sum(
                w * stats.norm.cdf(x / s[day]) for w, s in zip((0.3, 0.7), scales, strict=True)
            )

        exact = optimize.brentq(lambda x: miss(x) - 0.01, -40, 0)
        np.testing.assert_allclose(-var[day], exact, rtol=5e-3)


def test_risk_of_a_normal_table_is_the_closed_form(pair) -> None:
    _, law, _ = pair
    var, es = risk(law, untouched(law.pit).inverse)
    scale = law.quantiles[:, -1] / stats.norm.ppf(GRID[-1])
    for k, level in enumerate(LEVELS):
        q = stats.norm.ppf(1 - level)
        np.testing.assert_allclose(var[:, k], -q * scale, rtol=1e-5)
        np.testing.assert_allclose(es[:, k], stats.norm.pdf(q) / (1 - level) * scale, rtol=1e-4)


@pytest.mark.parametrize("correct", CORRECTIONS)
def test_correction_is_a_distribution_with_its_density_and_inverse(correct) -> None:
    u = stats.beta(0.7, 0.9).rvs(400, random_state=1)
    last = np.linspace(1e-4, 1 - 1e-4, 4001)
    # What the last value is does not touch what is known about it: its law is swept out by it.
    found = [correct(np.append(u, v)) for v in last[::40]]
    pit, log_density = (
        np.array([getattr(c, name)[-1] for c in found]) for name in ("pit", "log_density")
    )
    assert (np.diff(pit) > 0).all()
    np.testing.assert_allclose(found[0].inverse(pit[None])[-1], last[::40], rtol=1e-6)
    grid = np.append(u, 0.5)
    inverse = correct(grid).inverse
    step = 1e-6
    middle = pit[10:-10:7]
    slope = 2 * step / (inverse(middle + step)[-1] - inverse(middle - step)[-1])
    np.testing.assert_allclose(slope, np.exp(log_density[10:-10:7]), rtol=1e-3)


@pytest.mark.parametrize("correct", CORRECTIONS)
def test_correction_knows_no_later_day(correct) -> None:
    u = np.random.default_rng(2).random(600)
    spoiled = u.copy()
    spoiled[300:] = 0.003
    before, after = correct(u), correct(spoiled)
    v = np.array([0.01, 0.5])
    # Newton's steps for all days end together, so that the last digits of the beta may differ.
    np.testing.assert_allclose(before.pit[:300], after.pit[:300], rtol=1e-9)
    np.testing.assert_allclose(before.inverse(v)[:301], after.inverse(v)[:301], rtol=1e-9)
    assert not np.allclose(before.inverse(v)[301:], after.inverse(v)[301:])


@pytest.mark.parametrize("correct", CORRECTIONS)
def test_correction_mends_a_tail_that_is_too_thin_and_leaves_a_right_one(correct) -> None:
    right = np.random.default_rng(3).random(20_000)
    asked = correct(right).inverse(np.array([0.01, 0.99]))[-1]
    np.testing.assert_allclose(asked, [0.01, 0.99], atol=1.5e-3)
    # Eight degrees of freedom for what has three: too many probabilities near zero and one.
    thin = stats.t(8).cdf(stats.t(3).rvs(20_000, random_state=3))
    mended = correct(thin)
    for alpha in (0.01, 0.025):
        raw, now = (abs((u[2000:] < alpha).mean() - alpha) for u in (thin, mended.pit))
        assert now < raw / 3
    assert mended.log_density[2000:].mean() > 0


def test_tail_exponent_is_that_of_the_probabilities() -> None:
    rng, n = np.random.default_rng(4), 50_000
    u = rng.uniform(TAIL, 1, n)
    beyond = rng.random(n) < 0.2
    u[beyond] = TAIL * np.exp(-1.5 * rng.exponential(size=beyond.sum()))
    share, power = 0.2, 1.5
    v = np.array([0.001, 0.01])
    expected = TAIL * (v / share) ** power
    np.testing.assert_allclose(tails_online(u).inverse(v)[-1], expected, rtol=0.1)
    assert n / 50 > PRIOR


def test_conformal_level_falls_after_a_hit(pair) -> None:
    _, law, _ = pair
    hit = law._replace(pit=np.where(np.arange(40) == 20, 0.001, 0.5))
    calm = law._replace(pit=np.full(40, 0.5))
    asked, other = conformal(hit)[0, :, 0], conformal(calm)[0, :, 0]
    np.testing.assert_array_equal(asked[:21], other[:21])
    assert (asked[21:] > other[21:]).all()


def test_zero_to_one_is_needed() -> None:
    with pytest.raises(ValueError, match="probabilities of one series"):
        tails_online(np.array([0.2, 1.2]))


def test_choice_is_a_density_that_covers_the_index_if_any_does_and_most_series() -> None:
    table = pd.DataFrame(
        {
            "model": ["a", "b", "c", "d", "e"],
            "nll": [1.7, 1.7, np.nan, 1.7, 1.7],
            "covered": [18, 21, 20, 19, 19],
            "index": [False, True, True, False, False],
            "fz0_99": [1.0, 1.0, 1.0, 1.7, 1.6],
        }
    )
    assert best(table) == "b"
    assert best(table[table["model"] != "b"]) == "e"
    assert best(table.assign(index=False)) == "b"


def test_tables_of_gjr_are_the_forecasts_of_its_forecasters() -> None:
    """Recomputed from prices, two ways: tabulated and corrected by tails, and law by law."""
    days, rows, returns = 6, slice(None), protocol_returns().iloc[:, :3]
    begin = returns.index.searchsorted(pd.Timestamp(START))
    few = returns.iloc[: begin + days]
    mine = gjr_stretch(few, begin)
    names = ("GJR skew-t", "GJR, EVT", "GJR, FHS")
    theirs = pd.concat(
        walk_forward(
            BASELINES[name][0],
            few,
            start=START,
            window=WINDOW,
            refit_every=days,
            levels=LEVELS,
            model=name,
            n_jobs=1,
        )
        for name in names
    ).set_index(["model", "series", "level", "date"])
    for s, series in enumerate(few.columns):
        for k, level in enumerate(LEVELS):
            plain, evt, fhs = (theirs.loc[(name, series, level, rows)] for name in names)
            var = risk(mine.of(s), lambda u: u * np.ones((days, 1)))[:, :, k]
            np.testing.assert_allclose(var.T, plain[["var", "es"]], rtol=2e-3)
            for m, frame in ((0, evt), (2, fhs)):
                found = mine.tails[:, m : m + 2, s, k]
                np.testing.assert_allclose(found, frame[["var", "es"]], rtol=1e-6)
        np.testing.assert_allclose(mine.pit[:, s], plain["pit"], atol=1e-8)
        np.testing.assert_allclose(mine.lp[:, s], plain["log_score"], atol=1e-8)


def test_published_tables_agree_with_those_of_the_walk_forward() -> None:
    """Two ways to the same figures: tabulated laws, and laws asked one by one."""
    mine = read_results("coverage").set_index("model")
    panel = read_results("walkforward_panel").set_index(["model", "level"])["fz0"].unstack()
    found = mine.loc["flow", [f"fz0_{100 * level:g}" for level in LEVELS]].astype(float)
    np.testing.assert_allclose(found, panel.loc["flow, seed 0", list(LEVELS)], atol=3e-4)
    assert set(read_results("coverage_selection")["model"]) == set(mine.index)
