"""Tests of violations: published regions, closed forms, size and power."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from genfin_lib.risk import (
    christoffersen,
    dynamic_quantile,
    kupiec,
    pit_uniformity,
    violation_rate,
    violations,
)
from tests.risk.simulation import (
    TAIL,
    binomial_slack,
    changing_volatility,
    garch,
    rejection_rate,
)

# Kupiec (1995): at a test size of 5 %, do not reject while low < N < high violations.
PUBLISHED = {
    (0.99, 255): (None, 7),
    (0.99, 510): (1, 11),
    (0.99, 1000): (4, 17),
    (0.975, 255): (2, 12),
    (0.975, 510): (6, 21),
    (0.975, 1000): (15, 36),
    (0.95, 255): (6, 21),
    (0.95, 510): (16, 36),
    (0.95, 1000): (37, 65),
    (0.925, 255): (11, 28),
    (0.925, 510): (27, 51),
    (0.925, 1000): (59, 92),
    (0.9, 255): (16, 36),
    (0.9, 510): (38, 65),
    (0.9, 1000): (81, 120),
}


def with_violations(pattern) -> np.ndarray:
    """Returns that exceed a VaR of 1 where the pattern says so."""
    return np.where(np.asarray(pattern, dtype=bool), -2.0, 0.0)


def counted(hits: int, days: int) -> np.ndarray:
    return with_violations(np.arange(days) < hits)


@pytest.mark.parametrize(("case", "region"), PUBLISHED.items())
def test_kupiec_regions_are_the_published_ones(case, region) -> None:
    (level, days), (low, high) = case, region
    accepted = [
        n for n in range(high + 10) if kupiec(counted(n, days), 1.0, level=level).p_value > 0.05
    ]
    # The table has no lower end at 255 days and 99 %; the ratio does reject N = 0: 5.13 > 3.84.
    assert accepted == list(range(1 if low is None else low + 1, high))


def test_kupiec_without_a_violation_is_the_probability_of_none() -> None:
    result = kupiec(np.zeros(255), 1.0)
    assert result.statistic == pytest.approx(-2 * 255 * np.log(0.99))
    assert (result.hits, result.expected) == (0, pytest.approx(2.55))


def test_kupiec_is_zero_at_the_expected_count() -> None:
    assert kupiec(counted(10, 1000), 1.0).statistic == pytest.approx(0, abs=1e-9)
    assert kupiec(counted(10, 1000), 1.0).p_value == pytest.approx(1, abs=1e-4)


def test_violation_is_a_loss_beyond_the_var_not_a_gain() -> None:
    returns = np.tile([-2.0, -1.0, 0.0, 2.0], 5)
    assert violations(returns, 1.0, level=0.9).tolist() == [True, False, False, False] * 5
    assert violation_rate(returns, 1.0, level=0.9) == 0.25


def test_christoffersen_in_closed_form() -> None:
    """Transitions counted by hand, more into violations than out of them."""
    pattern = [0, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1]
    result = christoffersen(with_violations(pattern), 1.0, level=0.9)
    assert result.transitions == ((8, 4), (3, 4))
    p0, p1, p = 4 / 12, 4 / 7, 8 / 19
    markov = 8 * np.log(1 - p0) + 4 * np.log(p0) + 3 * np.log(1 - p1) + 4 * np.log(p1)
    pooled = 11 * np.log(1 - p) + 8 * np.log(p)
    null = 11 * np.log(0.9) + 8 * np.log(0.1)
    assert result.independence_statistic == pytest.approx(2 * (markov - pooled))
    assert result.statistic == pytest.approx(2 * (markov - null))
    assert result.p_value == pytest.approx(np.exp(-result.statistic / 2))  # chi-squared, 2 df


def test_conditional_coverage_is_the_sum_of_its_parts() -> None:
    hits = np.random.default_rng(0).random(500) < 0.03
    result = christoffersen(with_violations(hits), 1.0)
    # Both parts are conditional on the first day.
    unconditional = kupiec(with_violations(hits[1:]), 1.0).statistic
    assert result.statistic == pytest.approx(unconditional + result.independence_statistic)


@pytest.mark.parametrize("pattern", [[0] * 200, [0] * 199 + [1]])
def test_independence_without_evidence_is_not_rejected(pattern) -> None:
    result = christoffersen(with_violations(pattern), 1.0)
    assert result.independence_statistic == pytest.approx(0, abs=1e-12)
    assert result.independence_p_value == pytest.approx(1, abs=1e-5)
    assert np.isfinite(result.statistic)


def test_violations_in_a_row_are_rejected_though_their_number_is_right() -> None:
    block = (np.arange(1000) >= 500) & (np.arange(1000) < 510)
    assert kupiec(with_violations(block), 1.0).p_value > 0.99
    assert christoffersen(with_violations(block), 1.0).independence_p_value < 1e-6
    assert dynamic_quantile(with_violations(block), 1.0).p_value < 1e-6


def test_dynamic_quantile_is_the_wald_test_of_a_regression() -> None:
    rng = np.random.default_rng(0)
    x, scale = changing_volatility(rng, 1000)
    var = 0.02 * 2.0 * scale  # in decimals: the statistic knows no unit
    hit = (0.02 * x < -var) - 0.05
    lagged = [hit[4 - lag : -lag] for lag in range(1, 5)]
    regressors = np.column_stack([np.ones(996), *lagged, var[4:]])
    fit = sm.OLS(hit[4:], regressors).fit()
    expected = fit.params @ regressors.T @ regressors @ fit.params / (0.05 * 0.95)
    result = dynamic_quantile(0.02 * x, var, level=0.95)
    assert result.statistic == pytest.approx(expected, rel=1e-9)
    assert result.degrees_of_freedom == 6
    assert result.p_value == pytest.approx(stats.chi2.sf(expected, 6))
    assert dynamic_quantile(x, var / 0.02, level=0.95).statistic == pytest.approx(expected)


def test_dynamic_quantile_counts_only_regressors_that_vary() -> None:
    hits = np.random.default_rng(0).random(1000) < 0.05
    assert dynamic_quantile(with_violations(hits), 1.0, level=0.95).degrees_of_freedom == 5
    assert dynamic_quantile(np.zeros(1000), 1.0, level=0.95).degrees_of_freedom == 1


def test_simulated_p_value_of_dynamic_quantile_has_its_size() -> None:
    """At 1 % test size the chi-squared one rejects five times as many right models."""

    def draw(rng: np.random.Generator) -> float:
        x, scale = changing_volatility(rng, 500)
        var, seed = -scale * TAIL.ppf(0.01), int(rng.integers(2**31))
        return dynamic_quantile(x, var, draws=99, seed=seed).p_value

    rate = rejection_rate(draw, 400)
    assert abs(rate - 0.05) < binomial_slack(0.05, 400)


def test_simulated_p_value_agrees_with_chi_squared_where_violations_abound() -> None:
    x, scale = changing_volatility(np.random.default_rng(3), 2000)
    var = 1.4 * scale
    simulated = dynamic_quantile(x, var, level=0.9, draws=1000, seed=1)
    assert simulated.p_value == pytest.approx(dynamic_quantile(x, var, level=0.9).p_value, abs=0.05)
    assert simulated == dynamic_quantile(x, var, level=0.9, draws=1000, seed=1)


def test_pit_uniformity_is_the_largest_distance() -> None:
    """Half the values at 0.25, half at 0.75: the step at 0.25 is half high."""
    result = pit_uniformity([0.25] * 10 + [0.75] * 10)
    assert result.statistic == pytest.approx(0.25)
    assert result.observations == 20
    for value in (0.1, 0.9):  # on either side
        assert pit_uniformity([value] * 20).statistic == pytest.approx(0.9)


# Size: at 5 %, shares of right models rejected in 8,000 runs of 1,000 days. Where it differs from
# 5 %, few violations make the chi-squared distribution a poor one; the docstrings say so.
SIZES = {
    (kupiec, 0.975): 0.047,
    (kupiec, 0.99): 0.058,
    (christoffersen, 0.975): 0.044,
    (christoffersen, 0.99): 0.028,
    (dynamic_quantile, 0.975): 0.070,
    (dynamic_quantile, 0.99): 0.102,
}


def coverage_p_value(test, level, factor=1.0):
    def draw(rng: np.random.Generator) -> float:
        x, scale = changing_volatility(rng, 1000)
        return test(x, -factor * scale * TAIL.ppf(1 - level), level=level).p_value

    return draw


@pytest.mark.parametrize(("test", "level"), SIZES)
def test_size_of_coverage_tests(test, level) -> None:
    runs, size = 1000, SIZES[test, level]
    rate = rejection_rate(coverage_p_value(test, level), runs)
    assert abs(rate - size) < binomial_slack(size, runs)


def test_size_of_kupiec_is_that_of_the_binomial_distribution() -> None:
    """Exact, because only the count matters: what its docstring states."""
    for days, stated in ((250, 0.0948), (1000, 0.0551)):
        counts = np.arange(50)
        p = np.array([kupiec(counted(n, days), 1.0).p_value for n in counts])
        accepted = stats.binom.pmf(counts[p > 0.05], days, 0.01).sum()
        assert 1 - accepted == pytest.approx(stated, abs=0.0006)


@pytest.mark.parametrize(
    ("test", "least"), [(kupiec, 0.9), (christoffersen, 0.85), (dynamic_quantile, 0.8)]
)
def test_power_against_a_var_that_is_a_fifth_too_small(test, least) -> None:
    assert rejection_rate(coverage_p_value(test, 0.975, factor=0.8), 300) > least


def test_power_of_kupiec_against_a_var_that_is_two_fifths_too_large() -> None:
    assert rejection_rate(coverage_p_value(kupiec, 0.975, factor=1.4), 300) > 0.8


def clustered_p_value(test):
    """A constant VaR with the right coverage in the long run, under GARCH."""
    var = -np.quantile(garch(np.random.default_rng(99), 200_000), 0.05)

    def draw(rng: np.random.Generator) -> float:
        result = test(garch(rng, 1000), var, level=0.95)
        return getattr(result, "independence_p_value", result.p_value)

    return draw


@pytest.mark.parametrize(("test", "least"), [(christoffersen, 0.3), (dynamic_quantile, 0.65)])
def test_power_against_clustered_violations(test, least) -> None:
    assert rejection_rate(clustered_p_value(test), 300) > least


def test_size_and_power_of_pit_uniformity() -> None:
    size = rejection_rate(lambda rng: pit_uniformity(rng.random(250)).p_value, 1000)
    assert abs(size - 0.05) < binomial_slack(0.05, 1000)

    def too_narrow(rng: np.random.Generator) -> float:
        return pit_uniformity(stats.norm.cdf(1.5 * rng.normal(size=500))).p_value

    def shifted(rng: np.random.Generator) -> float:
        return pit_uniformity(stats.norm.cdf(rng.normal(size=500) + 0.2)).p_value

    assert rejection_rate(too_narrow, 100) > 0.9
    assert rejection_rate(shifted, 100) > 0.9


def test_pit_of_a_fitted_model_is_too_uniform() -> None:
    """What the docstring warns of: a nominal 5 % is then nearly none."""

    def fitted(rng: np.random.Generator) -> float:
        x = rng.normal(size=250)
        return pit_uniformity(stats.norm.cdf((x - x.mean()) / x.std())).p_value

    assert rejection_rate(fitted, 500) < 0.005


@pytest.mark.parametrize("test", [violations, violation_rate, kupiec, christoffersen])
@pytest.mark.parametrize(
    ("returns", "var", "level", "message"),
    [
        (np.zeros(300), np.ones(300), 99, "write 0.99, not 99"),
        (np.zeros(300), np.ones(299), 0.99, r"shape \(300,\) but var of shape \(299,\)"),
        (np.zeros(99), np.ones(99), 0.99, "one series of 100 or more"),
        (np.zeros((300, 2)), np.ones((300, 2)), 0.99, "one by one"),
        (np.zeros(300), -np.ones(300), 0.99, "negative on 300 days"),
        (np.r_[np.zeros(299), np.nan], 1.0, 0.99, r"returns hold 1 NaN .* position \(299,\)"),
        (np.zeros(300), np.r_[np.inf, np.ones(299)], 0.99, r"var hold 1 NaN or infinite"),
        ([], [], 0.99, "nothing in it"),
    ],
)
def test_bad_input_is_refused(test, returns, var, level, message) -> None:
    with pytest.raises(ValueError, match=message):
        test(returns, var, level=level)
    with pytest.raises(ValueError, match=message):
        dynamic_quantile(returns, var, level=level)


def test_series_of_different_dates_are_refused() -> None:
    days = pd.bdate_range("2020-01-01", periods=301)
    returns, var = pd.Series(0.0, days[1:]), pd.Series(1.0, days[:-1])
    with pytest.raises(ValueError, match="different dates"):
        kupiec(returns, var)
    assert kupiec(returns, var.set_axis(days[1:])).hits == 0


def test_other_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="a tenth of the days"):
        dynamic_quantile(np.zeros(100), 1.0, lags=9)
    with pytest.raises(ValueError, match="cdf values"):
        pit_uniformity(np.linspace(0, 100, 50))
    with pytest.raises(ValueError, match="20 or more"):
        pit_uniformity([0.5])
