"""The mill of forecasts: each number is that of the function behind it, and its size is right."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from genfin_lib.risk import (
    backtest_forecasts,
    christoffersen,
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
    p = backtest_forecasts(forecasts, draws=50)
    one = forecasts.query("series == 's1' and level == 0.99")
    row = p.loc[("truth", 0.99, "s1")]
    assert row["kupiec"] == kupiec(one["realized"], one["var"], level=0.99).p_value
    assert row["christoffersen"] == christoffersen(one["realized"], one["var"], level=0.99).p_value
    assert row["pit"] == pit_uniformity(one["pit"]).p_value
    shuffled = backtest_forecasts(forecasts.sample(frac=1, random_state=0), draws=50, n_jobs=2)
    pd.testing.assert_frame_equal(p, shuffled.loc[p.index])


def test_size_under_the_null_and_joint_verdict() -> None:
    runs = 120
    p = backtest_forecasts(table(1000, runs), draws=199)
    for test in ("dynamic_quantile", "acerbi_szekely", "exceedance_residuals", "pit"):
        rate = (p.loc[("truth", 0.975), test] <= 0.05).mean()
        assert rate == pytest.approx(0.05, abs=binomial_slack(0.05, runs)), test
    passed = joint_coverage(p, size=0.01)["truth"].mean()
    assert passed == pytest.approx(0.93, abs=binomial_slack(0.93, runs))


def test_normal_tails_under_heavy_ones_are_found() -> None:
    p = backtest_forecasts(table(3000, 10, normal=True), draws=199)
    assert (p.loc[("normal", 0.99), "acerbi_szekely"] < 0.01).mean() >= 0.8
    assert joint_coverage(p)["normal"].mean() <= 0.2


def test_one_failed_test_of_the_eight_is_enough() -> None:
    p = backtest_forecasts(table(1000, 3), draws=49)
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
    with pytest.raises(ValueError, match=r"no level \[0\.95\]"):
        joint_coverage(p, levels=(0.95,))


def test_tables_that_are_none_are_refused() -> None:
    forecasts = table(200, 1)
    with pytest.raises(ValueError, match=r"lack the columns \['es', 'pit'\]"):
        score_forecasts(forecasts.drop(columns=["es", "pit"]))
    with pytest.raises(ValueError, match="400 forecasts are there twice"):
        backtest_forecasts(pd.concat([forecasts, forecasts]))
