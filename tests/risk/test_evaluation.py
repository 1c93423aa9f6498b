"""The mill of forecasts: each number is that of the function behind it, and its size is right."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from genfin_lib.risk import (
    backtest_forecasts,
    christoffersen,
    evaluation,
    fz0_loss,
    gaussian_var_es,
    joint_coverage,
    kupiec,
    pinball_loss,
    pit_uniformity,
    score_forecasts,
    student_t_var_es,
)
from genfin_lib.risk.evaluation import JOINT
from tests.risk.simulation import binomial_slack

DF = 5.0
LEVELS = (0.99, 0.975)


def table(days: int, series: int, *, normal: bool = False, seed: int = 0) -> pd.DataFrame:
    """Independent t returns and the true forecast of them, or the normal one of equal variance."""
    rng = np.random.default_rng(seed)
    x = stats.t.rvs(DF, size=(series, days), random_state=rng)
    sd = np.sqrt(DF / (DF - 2))
    law = stats.norm(scale=sd) if normal else stats.t(DF)
    parts = []
    for level in LEVELS:
        var, es = (
            gaussian_var_es(0.0, sd, level=level)
            if normal
            else student_t_var_es(0.0, 1.0, df=DF, level=level)
        )
        parts += [
            pd.DataFrame(
                {
                    "date": pd.bdate_range("2001-01-01", periods=days),
                    "series": f"s{s}",
                    "model": "normal" if normal else "truth",
                    "level": level,
                    "var": var,
                    "es": es,
                    "log_score": law.logpdf(x[s]),
                    "pit": law.cdf(x[s]),
                    "realized": x[s],
                }
            )
            for s in range(series)
        ]
    return pd.concat(parts, ignore_index=True)


def test_scores_are_those_of_the_functions() -> None:
    forecasts = table(300, 2)
    scored = score_forecasts(forecasts)
    pd.testing.assert_frame_equal(scored[forecasts.columns], forecasts)
    part = scored[scored["level"] == 0.975]
    x, var, es = part["realized"], part["var"], part["es"]
    np.testing.assert_array_equal(part["fz0"], fz0_loss(x, var, es, level=0.975))
    np.testing.assert_array_equal(part["pinball"], pinball_loss(x, var, level=0.975))
    np.testing.assert_array_equal(part["hit"], x < -var)
    np.testing.assert_array_equal(part["nll"], -part["log_score"])


def test_p_values_are_those_of_the_functions_whatever_the_order_of_rows() -> None:
    forecasts = table(400, 2)
    p = backtest_forecasts(forecasts, draws=200)
    one = forecasts.query("series == 's1' and level == 0.99")
    row = p.loc[("truth", 0.99, "s1")]
    assert row["kupiec"] == kupiec(one["realized"], one["var"], level=0.99).p_value
    assert row["christoffersen"] == christoffersen(one["realized"], one["var"], level=0.99).p_value
    assert row["pit"] == pit_uniformity(one["pit"]).p_value
    shuffled = backtest_forecasts(forecasts.sample(frac=1, random_state=0), draws=200, n_jobs=2)
    pd.testing.assert_frame_equal(p, shuffled.loc[p.index])


def test_size_under_the_null_and_joint_verdict() -> None:
    runs = 120
    p = backtest_forecasts(table(1000, runs), draws=200)
    for test in ("dynamic_quantile", "acerbi_szekely", "exceedance_residuals", "pit"):
        rate = (p.loc[("truth", 0.975), test] <= 0.05).mean()
        assert rate == pytest.approx(0.05, abs=binomial_slack(0.05, runs)), test
    passed = joint_coverage(p, size=0.01)["truth"].mean()
    assert passed == pytest.approx(0.93, abs=binomial_slack(0.93, runs))


def test_normal_tails_under_heavy_ones_are_found() -> None:
    p = backtest_forecasts(table(3000, 10, normal=True), draws=200)
    assert (p.loc[("normal", 0.99), "acerbi_szekely"] < 0.01).mean() >= 0.8
    assert joint_coverage(p)["normal"].mean() <= 0.2


def test_one_failed_test_of_the_eight_is_enough() -> None:
    p = backtest_forecasts(table(1000, 3), draws=200)
    p[:] = 0.5
    assert joint_coverage(p)["truth"].all()
    for test in JOINT:
        for level in LEVELS:
            spoiled = p.copy()
            spoiled.loc[("truth", level, "s2"), test] = 0.005
            assert joint_coverage(spoiled)["truth"].tolist() == [True, True, False]
    # Kupiec's count is inside conditional coverage, and the PIT is not about the tail.
    p["kupiec"] = p["pit"] = 0.0
    assert joint_coverage(p)["truth"].all()
    with pytest.raises(ValueError, match=r"not every model and series has the levels \[0\.95\]"):
        joint_coverage(p, levels=(0.95,))


def p_table(value: float) -> pd.DataFrame:
    index = pd.MultiIndex.from_product([["m"], LEVELS, ["a"]], names=["model", "level", "series"])
    return pd.DataFrame(value, index=index, columns=list(JOINT))


def test_joint_verdict_is_at_one_per_cent_and_only_residuals_may_be_missing() -> None:
    assert joint_coverage(p_table(0.01))["m"].all()
    assert not joint_coverage(p_table(0.009))["m"].any()
    p = p_table(0.5)
    p.iloc[0, JOINT.index("exceedance_residuals")] = np.nan
    assert joint_coverage(p)["m"].all()
    p.iloc[0, JOINT.index("acerbi_szekely")] = np.nan
    with pytest.raises(ValueError, match="a p-value is missing"):
        joint_coverage(p)
    with pytest.raises(ValueError, match="not every model and series"):
        joint_coverage(p_table(0.5).iloc[:1])


def test_hit_is_a_loss_beyond_var_and_rows_keep_their_order() -> None:
    row = {"series": "a", "model": "m", "var": 1.0, "es": 2.0, "log_score": 0.0, "pit": 0.5}
    days = zip(pd.bdate_range("2020-01-01", periods=3), (-1.0, -1.1, 0.0), strict=True)
    forecasts = pd.DataFrame(
        [{**row, "date": d, "level": q, "realized": r} for d, r in days for q in (0.99, 0.95)],
        index=[0, 1, 0, 1, 0, 1],
    )
    scored = score_forecasts(forecasts)
    assert scored["hit"].tolist() == [False, False, True, True, False, False]
    pd.testing.assert_frame_equal(scored[forecasts.columns], forecasts)


@pytest.mark.parametrize(("hits", "missing"), [(4, True), (5, False)])
def test_exceedance_residuals_need_five_hits(hits: int, missing: bool) -> None:
    days = 200
    x = np.zeros(days)
    x[20 : 20 + 20 * hits : 20] = -1.2 - 0.3 * np.arange(hits)
    forecasts = pd.DataFrame(
        {
            "date": pd.bdate_range("2020-01-01", periods=days),
            **{"series": "a", "model": "m", "level": 0.99, "var": 1.0, "es": 1.5},
            **{"log_score": 0.0, "pit": np.linspace(0, 1, days), "realized": x},
        }
    )
    p = backtest_forecasts(forecasts, draws=200)
    assert p["exceedance_residuals"].isna().all() == missing


def test_null_of_z2_has_the_forecast_probability_and_excess_of_every_day() -> None:
    odd = np.arange(2000) % 2
    var, es = np.where(odd, 1.0, 10.0), np.where(odd, 1.3, 16.0)
    paths = evaluation._sampler(var, es, 0.99)(500, np.random.default_rng(0))
    for day in (0, 1):
        x = paths[:, day::2]
        hit = x < -var[day]
        slack = 4 * np.sqrt(0.0099 / hit.size)
        assert hit.mean() == pytest.approx(0.01, abs=slack)
        law = stats.genpareto(0.2, scale=0.8 * (es[day] - var[day]))
        assert stats.kstest(-x[hit] - var[day], law.cdf).pvalue > 0.01
    one = np.ones(400)  # ES equal to VaR is still a hit
    drawn = evaluation._sampler(one, one, 0.95)(50, np.random.default_rng(0))
    assert (drawn < -1).mean() == pytest.approx(0.05, abs=0.01)


def test_simulated_p_values_have_paths_of_their_own() -> None:
    forecasts = table(400, 2)
    twin = forecasts[forecasts["series"] == "s0"].assign(series="twin")
    p = backtest_forecasts(pd.concat([forecasts, twin]), draws=200).loc[("truth", 0.975)]
    same = p.loc["s0"] == p.loc["twin"]
    assert same[["kupiec", "christoffersen", "pit"]].all()
    assert not same[["dynamic_quantile", "acerbi_szekely"]].all()
    # Multiples of 1/201: simulated, not read from a chi-squared table.
    np.testing.assert_allclose(201 * p["dynamic_quantile"] % 1, 0, atol=1e-9)
    with pytest.raises(ValueError, match="draws 99"):
        backtest_forecasts(forecasts, draws=99)


def test_tables_that_are_none_are_refused() -> None:
    forecasts = table(200, 1)
    with pytest.raises(ValueError, match=r"lack the columns \['es', 'pit'\]"):
        score_forecasts(forecasts.drop(columns=["es", "pit"]))
    with pytest.raises(ValueError, match="400 forecasts are there twice"):
        backtest_forecasts(pd.concat([forecasts, forecasts]))
    with pytest.raises(ValueError, match="empty"):
        score_forecasts(forecasts[:0])


def test_model_of_var_and_es_alone_has_no_test_of_its_pit() -> None:
    forecasts = table(400, 1)
    full = backtest_forecasts(forecasts, draws=200)
    bare = backtest_forecasts(forecasts.assign(pit=np.nan, log_score=np.nan), draws=200)
    assert bare["pit"].isna().all()
    pd.testing.assert_frame_equal(bare.drop(columns="pit"), full.drop(columns="pit"))
