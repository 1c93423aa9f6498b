"""Tests of expected shortfall: published critical values, closed forms, size and power."""

import math

import numpy as np
import pytest
from scipy import stats

from genfin_lib.risk import (
    acerbi_szekely,
    acerbi_szekely_critical_value,
    exceedance_residuals,
    gaussian_var_es,
    student_t_var_es,
)
from tests.risk.simulation import TAIL, binomial_slack, changing_volatility, rejection_rate

DRAWS = 199  # 200 ranks: a p-value of 0.05 is hit exactly


def normal_paths(days: int):
    return lambda k, generator: generator.normal(size=(k, days))


@pytest.mark.parametrize(("df", "published"), [(math.inf, -0.70), (5, -0.74), (3, -0.82)])
def test_critical_values_of_z2_are_the_published_ones(df, published) -> None:
    """Acerbi and Szekely (2014), table for 250 days at 2.5 %; rounding and 100,000 draws."""
    assert acerbi_szekely_critical_value(df=df) == pytest.approx(published, abs=0.015)


def test_critical_value_is_another_one_elsewhere() -> None:
    assert acerbi_szekely_critical_value(3000) > -0.25
    assert acerbi_szekely_critical_value(level=0.99) < -1.0


def test_critical_value_equals_that_of_whole_paths() -> None:
    var, es = gaussian_var_es(0.0, 1.0, level=0.975)
    x = np.random.default_rng(1).normal(size=(20_000, 250))
    z2 = 1 + np.where(x < -var, x / es, 0.0).sum(axis=1) / (250 * 0.025)
    # The density of Z2 at its 5 % quantile is about 0.25: error 0.006 in 20,000 paths.
    assert np.quantile(z2, 0.05) == pytest.approx(acerbi_szekely_critical_value(), abs=0.025)


def test_statistics_in_closed_form() -> None:
    """Two losses of 3 and 5 in 100 days, ES 2: Z1 = 1 - (3/2 + 5/2)/2, Z2 = 1 - 4/2.5."""
    returns = np.zeros(100)
    returns[[10, 60]] = -3.0, -5.0
    result = acerbi_szekely(returns, 1.0, 2.0, level=0.975, sampler=normal_paths(100))
    assert result.z1 == pytest.approx(-1.0)
    assert result.statistic == pytest.approx(-0.6)
    assert (result.hits, result.expected) == (2, pytest.approx(2.5))


def test_without_violations_z2_is_one_and_z1_is_nothing() -> None:
    result = acerbi_szekely(np.zeros(200), 1.0, 2.0, sampler=normal_paths(200))
    assert result.statistic == 1.0
    assert result.p_value == 1.0
    assert math.isnan(result.z1)
    assert math.isnan(result.z1_p_value)


def test_p_value_repeats_with_the_seed_and_agrees_with_the_critical_value() -> None:
    var, es = gaussian_var_es(0.0, 1.0, level=0.975)
    x = np.random.default_rng(5).normal(size=250)
    x[:3] = -3.7  # brings Z2 near -0.70
    arguments = {"level": 0.975, "sampler": normal_paths(250), "draws": 4000}
    result = acerbi_szekely(x, var, es, seed=1, **arguments)
    assert result == acerbi_szekely(x, var, es, seed=1, **arguments)
    below = result.statistic < acerbi_szekely_critical_value()
    assert (result.p_value < 0.05) == below


def shortfall_p_value(test, *, level=0.975, factor=1.0, days=1000):
    """Student-t returns of known scale; both measures times a factor."""
    var, es = student_t_var_es(0.0, 1.0, df=5, level=level)

    def draw(rng: np.random.Generator) -> float:
        x, scale = changing_volatility(rng, days)
        v, e = factor * var * scale, factor * es * scale
        seed = int(rng.integers(2**31))
        if test is exceedance_residuals:
            volatility = scale * TAIL.std()
            return test(x, v, e, volatility=volatility, level=level, draws=DRAWS, seed=seed).p_value

        def paths(k: int, generator: np.random.Generator) -> np.ndarray:
            return factor * scale * generator.standard_t(5, size=(k, days))

        result = test(x, v, e, level=level, sampler=paths, draws=DRAWS, seed=seed)
        return result.p_value

    return draw


def same_count_p_value(test, *, level=0.975, days=1000):
    """A right VaR but the normal law's ES to it: too small for Student-t returns."""
    var, _ = student_t_var_es(0.0, 1.0, df=5, level=level)
    normal_var, normal_es = gaussian_var_es(0.0, 1.0, level=level)
    sd = var / normal_var

    def draw(rng: np.random.Generator) -> float:
        x, scale = changing_volatility(rng, days)
        v, e = var * scale, sd * normal_es * scale
        seed = int(rng.integers(2**31))
        if test is exceedance_residuals:
            return test(x, v, e, level=level, draws=DRAWS, seed=seed).p_value

        def paths(k: int, generator: np.random.Generator) -> np.ndarray:
            return sd * scale * generator.normal(size=(k, days))

        return test(x, v, e, level=level, sampler=paths, draws=DRAWS, seed=seed).z1_p_value

    return draw


def test_size_of_acerbi_szekely_is_exact() -> None:
    rate = rejection_rate(shortfall_p_value(acerbi_szekely, days=400), 400)
    assert abs(rate - 0.05) < binomial_slack(0.05, 400)


def test_size_of_exceedance_residuals() -> None:
    """3.5 % in 8,000 runs: 25 heavy-tailed residuals, whose largest also inflates the error."""
    rate = rejection_rate(shortfall_p_value(exceedance_residuals), 1000)
    assert abs(rate - 0.035) < binomial_slack(0.035, 1000)


def test_power_against_forecasts_a_fifth_too_small() -> None:
    """Scaled together, VaR and ES leave the mean excess almost as stated: Z2 sees the count."""
    assert rejection_rate(shortfall_p_value(acerbi_szekely, factor=0.8, days=400), 100) > 0.6


def test_power_against_a_normal_tail_beyond_a_right_var() -> None:
    assert rejection_rate(same_count_p_value(exceedance_residuals), 200) > 0.7
    assert rejection_rate(same_count_p_value(acerbi_szekely, days=400), 100) > 0.5


def test_residuals_in_closed_form() -> None:
    returns = np.zeros(200)
    returns[::40] = [-3.0, -4.0, -5.0, -6.0, -7.0]
    result = exceedance_residuals(returns, 1.0, 4.0, volatility=2.0)
    residuals = np.array([-0.5, 0.0, 0.5, 1.0, 1.5])
    assert result.statistic == pytest.approx(stats.ttest_1samp(residuals, 0).statistic)
    assert result.hits == 5
    # The t-statistic knows no scale: a constant volatility and a constant ES give the same.
    assert exceedance_residuals(returns, 1.0, 4.0).p_value == result.p_value


def test_residuals_are_divided_by_the_volatility_of_their_day() -> None:
    rng = np.random.default_rng(0)
    x, scale = changing_volatility(rng, 1000)
    var, es = student_t_var_es(0.0, 1.0, df=5, level=0.975)
    plain = exceedance_residuals(x / scale, var, es, level=0.975)
    moving = exceedance_residuals(x, var * scale, es * scale, volatility=scale, level=0.975)
    assert moving.statistic == pytest.approx(plain.statistic)
    assert moving.p_value == plain.p_value


def test_bad_input_is_refused() -> None:
    x = np.random.default_rng(0).normal(size=500)
    paths = normal_paths(500)
    for call in (
        lambda **k: exceedance_residuals(x, **{"var": 2.0, "es": 2.5} | k),
        lambda **k: acerbi_szekely(x, **{"var": 2.0, "es": 2.5, "sampler": paths} | k),
    ):
        for wrong, message in (
            ({"level": 99}, "write 0.99, not 99"),
            ({"es": 1.5}, "never below var"),
            ({"es": -2.5}, "a loss > 0"),
            ({"var": -2.0}, "negative on 500 days"),
            ({"es": np.full(499, 2.5)}, r"es of shape \(499,\)"),
            ({"var": np.nan}, "var hold 1 NaN"),
        ):
            with pytest.raises(ValueError, match=message):
                call(**wrong)
    with pytest.raises(ValueError, match=r"0 violations .* longer period or a lower level"):
        exceedance_residuals(x, 9.0, 10.0)
    with pytest.raises(ValueError, match="volatility must be positive"):
        exceedance_residuals(x, 1.0, 2.0, volatility=0.0)
    with pytest.raises(ValueError, match=r"\(200, 500\) are needed"):
        acerbi_szekely(x, 2.0, 2.5, sampler=normal_paths(499))
    with pytest.raises(ValueError, match="200 needed"):
        acerbi_szekely_critical_value(size=0.05, draws=199)
    with pytest.raises(ValueError, match="no violation at level"):
        acerbi_szekely_critical_value(30)
    with pytest.raises(ValueError, match="more than 1 degree"):
        acerbi_szekely_critical_value(df=1)
