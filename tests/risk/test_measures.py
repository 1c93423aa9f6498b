"""Value at risk and expected shortfall: axioms, closed forms, sampling error."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from genfin_lib.risk import (
    expected_shortfall,
    expected_shortfall_standard_error,
    gaussian_var_es,
    student_t_var_es,
    value_at_risk,
    var_confidence_interval,
)

LEVELS = [0.9, 0.95, 0.975, 0.99]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_var_is_the_order_statistic_of_its_definition(rng):
    """Rank 10 of 1000 at 99 %: 1000 * (1 - 0.99) exceeds 10 in floating point."""
    x = rng.normal(size=1000)
    assert value_at_risk(x, level=0.99) == -np.sort(x)[9]
    assert value_at_risk(x[:101], level=0.99) == -np.sort(x[:101])[1]  # ceil(1.01) = 2
    assert value_at_risk(x[:100], level=0.99) == -x[:100].min()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [100, 101, 777, 1000])
def test_var_inverts_the_empirical_distribution(rng, level, n):
    x = np.round(rng.normal(size=n), 1)  # with ties
    q = -value_at_risk(x, level=level)
    slack = 1e-9  # of the product n * (1 - level)
    assert (x <= q).sum() >= n * (1 - level) - slack
    assert (x < q).sum() < n * (1 - level) - slack


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [100, 137, 1000])
def test_es_is_the_mean_of_var_over_the_tail(rng, level, n):
    """ES = (1/alpha) * integral of VaR_u over u in (0, alpha): Acerbi and Tasche."""
    x = np.sort(rng.standard_t(3, n))
    alpha = 1 - level
    edges = np.append(np.arange(0, alpha, 1 / n), alpha)  # VaR_u is constant on (i/n, (i+1)/n)
    middles = (edges[1:] + edges[:-1]) / 2
    quantiles = x[np.ceil(n * middles).astype(int) - 1]
    expected = -(np.diff(edges) * quantiles).sum() / alpha
    assert expected_shortfall(x, level=level) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("level", LEVELS)
def test_es_is_subadditive_and_never_below_var(rng, level):
    for _ in range(200):
        n = int(rng.integers(100, 400))
        x, y = np.round(rng.standard_t(2, (2, n)), 1) * rng.exponential(size=(2, 1))
        together = expected_shortfall(x + y, level=level)
        apart = expected_shortfall(x, level=level) + expected_shortfall(y, level=level)
        assert together <= apart + 1e-12
        assert expected_shortfall(x, level=level) >= value_at_risk(x, level=level) - 1e-12


def test_var_is_not_subadditive_for_two_loans():
    """Each loan defaults with 4 %, independently: one of two with 7.84 %, above 5 %."""
    loan = np.where(np.arange(100) < 4, -100.0, 2.0)
    first, second = (m.ravel() for m in np.meshgrid(loan, loan))  # the exact joint distribution
    alone = value_at_risk(first, level=0.95)
    assert alone == -2.0
    assert value_at_risk(first + second, level=0.95) == 98.0 > 2 * alone
    shortfall = expected_shortfall(first, level=0.95)
    assert shortfall == pytest.approx((0.04 * 100 - 0.01 * 2) / 0.05)
    assert expected_shortfall(first + second, level=0.95) <= 2 * shortfall


def test_mean_beyond_var_is_not_subadditive_but_es_is():
    """Why the boundary observation is weighted: with atoms the plain tail mean fails."""

    def tail_mean(x):
        return -x[x <= -value_at_risk(x, level=0.95)].mean()

    loan = np.where(np.arange(100) < 4, -100.0, 2.0)
    first, second = (m.ravel() for m in np.meshgrid(loan, loan))
    assert tail_mean(first + second) > 2 * tail_mean(first)


@pytest.mark.parametrize("measure", [value_at_risk, expected_shortfall])
def test_scale_and_translation_equivariance(rng, measure):
    x = rng.standard_t(4, 1234)
    assert measure(3 * x) == pytest.approx(3 * measure(x), rel=1e-12)
    assert measure(x + 0.5) == pytest.approx(measure(x) - 0.5, rel=1e-12)


@pytest.mark.parametrize("measure", [value_at_risk, expected_shortfall])
def test_monotone_and_invariant_to_order(rng, measure):
    x = rng.normal(size=500)
    assert measure(x - rng.exponential(size=500)) >= measure(x)
    assert measure(rng.permutation(x)) == measure(x)


@pytest.mark.parametrize(
    "measure", [value_at_risk, expected_shortfall, expected_shortfall_standard_error]
)
def test_columns_are_measured_one_by_one(rng, measure):
    x = rng.normal(size=(300, 3))
    expected = [measure(column) for column in x.T]
    # NumPy sums a row and a column in different orders: a few units in the last place.
    np.testing.assert_allclose(measure(x), expected, rtol=1e-13)
    np.testing.assert_allclose(measure(x.T, axis=1), expected, rtol=1e-13)


@pytest.mark.parametrize("level", LEVELS)
def test_large_samples_agree_with_the_closed_forms(rng, level):
    """Within four standard errors, themselves below 1 % of the value."""
    n = 200_000
    mean, sd, df = 0.0005, 0.01, 5.0
    samples = {
        gaussian_var_es(mean, sd, level=level): stats.norm(mean, sd),
        student_t_var_es(mean, sd, df=df, level=level): stats.t(df, mean, sd),
    }
    for (var, es), law in samples.items():
        x = law.rvs(n, random_state=rng)
        var_error = np.sqrt(level * (1 - level) / n) / law.pdf(-var)
        es_error = expected_shortfall_standard_error(x, level=level)
        assert es_error < 0.01 * es
        assert abs(value_at_risk(x, level=level) - var) < 4 * var_error
        assert abs(expected_shortfall(x, level=level) - es) < 4 * es_error


@pytest.mark.parametrize("level", [0.5, *LEVELS])
def test_closed_forms_equal_numerical_integration(level):
    for (var, es), law in (
        (gaussian_var_es(0.1, 2.0, level=level), stats.norm(0.1, 2.0)),
        (student_t_var_es(0.1, 2.0, df=3.5, level=level), stats.t(3.5, 0.1, 2.0)),
    ):
        assert law.cdf(-var) == pytest.approx(1 - level)
        tail, _ = integrate.quad(lambda x, law=law: -x * law.pdf(x), -np.inf, -var)
        assert es == pytest.approx(tail / (1 - level), rel=1e-7)


def test_student_t_tends_to_the_gaussian():
    limit = student_t_var_es(0.0, 1.0, df=1e7)
    assert limit == pytest.approx(gaussian_var_es(0.0, 1.0), rel=1e-5)


def test_closed_forms_broadcast():
    var, es = gaussian_var_es(0.0, [0.01, 0.02])
    np.testing.assert_allclose(var, [0.0232634787, 0.0465269575], rtol=1e-8)
    assert es.shape == (2,)


@pytest.mark.parametrize(("level", "n"), [(0.99, 1000), (0.95, 250), (0.05, 250)])
def test_var_interval_covers_the_truth_as_often_as_stated(rng, level, n):
    """4000 trials; slack of four binomial errors, upper bound from the exact ranks."""
    trials, confidence = 4000, 0.90
    truth = gaussian_var_es(0.0, 1.0, level=level)[0]
    ends = np.array(
        [
            var_confidence_interval(x, level=level, confidence=confidence)
            for x in rng.normal(size=(trials, n))
        ]
    )
    covered = ((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean()
    low, high = stats.binom.ppf([0.05, 0.95], n, 1 - level)
    exact = stats.binom.cdf(high, n, 1 - level) - stats.binom.cdf(low - 1, n, 1 - level)
    assert exact >= confidence
    assert abs(covered - exact) < 4 * np.sqrt(exact * (1 - exact) / trials)


def test_var_interval_contains_the_estimate_and_narrows(rng):
    x = rng.normal(size=5000)
    low, high = var_confidence_interval(x)
    assert low < value_at_risk(x) < high
    shorter = var_confidence_interval(x[:1000])
    assert high - low < shorter[1] - shorter[0]


def test_var_interval_says_how_many_returns_it_needs(rng):
    """(1 - 0.01)^n <= 0.025 from n = 368 on: the lowest return is then an end."""
    x = rng.normal(size=368)
    assert var_confidence_interval(x)[1] == -x.min()
    with pytest.raises(ValueError, match=r"367 returns are too few .* at least 368 are needed"):
        var_confidence_interval(x[:367])


def test_es_standard_error_is_the_spread_over_repetitions(rng):
    x = rng.normal(size=(2000, 4000))
    spread = expected_shortfall(x, level=0.95, axis=1).std(ddof=1)
    stated = expected_shortfall_standard_error(x, level=0.95, axis=1).mean()
    # 4000 repetitions would know the spread to 1.6 %; the formula is asymptotic.
    assert stated == pytest.approx(spread, rel=0.06)


@pytest.mark.parametrize("level", [99, 1.0, 0.0, -0.5, float("nan")])
def test_level_must_be_a_fraction(rng, level):
    x = rng.normal(size=1000)
    calls = [
        lambda: value_at_risk(x, level=level),
        lambda: expected_shortfall(x, level=level),
        lambda: var_confidence_interval(x, level=level),
        lambda: gaussian_var_es(0.0, 1.0, level=level),
        lambda: student_t_var_es(0.0, 1.0, df=4.0, level=level),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"strictly between 0 and 1; write 0.99, not 99"):
            call()


@pytest.mark.parametrize("measure", [value_at_risk, expected_shortfall])
def test_samples_that_cannot_answer_are_refused(rng, measure):
    with pytest.raises(ValueError, match=r"99 returns have none beyond level 0.99: at least 100"):
        measure(rng.normal(size=99))
    x = rng.normal(size=(200, 2))
    x[17, 1] = np.nan
    with pytest.raises(ValueError, match=r"1 NaN or infinite values, first at position \(17, 1\)"):
        measure(x)
    with pytest.raises(ValueError, match=r"shape \(0,\)"):
        measure([])
    with pytest.raises(ValueError, match=r"shape \(\)"):
        measure(1.0)


def test_other_arguments_are_checked(rng):
    x = rng.normal(size=1000)
    with pytest.raises(ValueError, match="confidence 95: must lie strictly"):
        var_confidence_interval(x, confidence=95)
    with pytest.raises(ValueError, match=r"one series of shape \(n,\)"):
        var_confidence_interval(x.reshape(500, 2))
    with pytest.raises(ValueError, match="a positive sd needed"):
        gaussian_var_es(0.0, 0.0)
    with pytest.raises(ValueError, match="a positive scale needed"):
        student_t_var_es(np.nan, 1.0, df=4.0)
    with pytest.raises(ValueError, match="df 1: more than 1 degree"):
        student_t_var_es(0.0, 1.0, df=1)


def test_student_t_of_infinite_degrees_of_freedom_is_gaussian():
    t = student_t_var_es(0.1, 2.0, df=math.inf, level=0.975)
    assert t == gaussian_var_es(0.1, 2.0, level=0.975)
