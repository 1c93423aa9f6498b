"""Scores: the truth is best on average, and their values are those of the formulas."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, optimize, stats

from genfin_lib.risk import (
    bits_per_dimension,
    crps,
    fz0_loss,
    gaussian_var_es,
    pinball_loss,
    student_t_var_es,
)

# A law by 200,000 equally likely points: expectations to about 1e-4 without random error.
GRID = (np.arange(200_000) + 0.5) / 200_000
LAWS = [
    (stats.norm(0.1, 1.5), lambda level: gaussian_var_es(0.1, 1.5, level=level)),
    (stats.t(4, 0.1, 1.5), lambda level: student_t_var_es(0.1, 1.5, df=4, level=level)),
]


def test_pinball_by_hand() -> None:
    """Level 0.9: a violation by 2 costs 0.9 * 2, caution of 1 costs 0.1."""
    np.testing.assert_allclose(pinball_loss([-3.0, 0.0, -1.0], 1.0, level=0.9), [1.8, 0.1, 0.0])


@pytest.mark.parametrize("level", [0.9, 0.99])
@pytest.mark.parametrize(("law", "measures"), LAWS)
def test_pinball_is_least_at_the_true_quantile(law, measures, level) -> None:
    x, (var, _) = law.ppf(GRID), measures(level)
    best = optimize.minimize_scalar(
        lambda v: pinball_loss(x, v, level=level).mean(), bracket=(0.5 * var, var, 2 * var)
    )
    assert best.x == pytest.approx(var, rel=1e-3)


def test_fz0_by_hand() -> None:
    """v = -1, e = -2, alpha = 0.1: quiet day 1/2 + log 2 - 1; a loss of 3 adds 2/(0.1 * 2)."""
    quiet, violated = fz0_loss([0.0, -3.0], 1.0, 2.0, level=0.9)
    assert quiet == pytest.approx(0.5 + math.log(2) - 1)
    assert violated == pytest.approx(quiet + 10)


@pytest.mark.parametrize("level", [0.95, 0.975])
@pytest.mark.parametrize(("law", "measures"), LAWS)
def test_fz0_is_least_at_the_true_pair(law, measures, level) -> None:
    """Strict consistency: from a poor start the minimum leads to the true VaR and ES."""
    x, truth = law.ppf(GRID), measures(level)

    def expected(pair: np.ndarray) -> float:
        var, gap = np.exp(pair)  # keeps 0 < VaR < ES
        return float(fz0_loss(x, var, var + gap, level=level).mean())

    best = optimize.minimize(expected, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-5})
    var, gap = np.exp(best.x)
    assert var == pytest.approx(truth[0], rel=2e-3)
    assert var + gap == pytest.approx(truth[1], rel=2e-3)


def test_fz0_differences_do_not_depend_on_the_unit() -> None:
    x = np.random.default_rng(0).normal(size=100)
    shift = fz0_loss(100 * x, 200.0, 250.0) - fz0_loss(x, 2.0, 2.5)
    np.testing.assert_allclose(shift, math.log(100), rtol=1e-9)


def test_scores_of_a_panel_are_those_of_its_series() -> None:
    x = np.random.default_rng(0).normal(size=(50, 3))
    var, es = np.full((50, 3), 1.2), np.full((50, 3), 1.6)
    for column in range(3):
        one = slice(None), column
        np.testing.assert_array_equal(
            fz0_loss(x, var, es, level=0.9)[one], fz0_loss(x[one], 1.2, 1.6, level=0.9)
        )
        np.testing.assert_array_equal(pinball_loss(x, var)[one], pinball_loss(x[one], 1.2))


def test_crps_is_its_definition_for_a_sample() -> None:
    """The integral of the squared distance, plus what m - 1 for m changes."""
    y, x = np.array([-1.0, 0.5, 2.0]), 1.0
    integral, _ = integrate.quad(
        lambda u: ((y <= u).mean() - (x <= u)) ** 2, -2, 3, points=[-1, 0.5, 1, 2]
    )
    pairs = 1.5 + 1.5 + 3.0
    biased = np.abs(y - x).mean() - pairs / 9
    assert biased == pytest.approx(integral)
    assert crps([x], [y])[0] == pytest.approx(np.abs(y - x).mean() - pairs / 6)


def test_crps_of_a_normal_sample_is_the_closed_form_whatever_the_number_of_draws() -> None:
    """sigma (z (2 Phi(z) - 1) + 2 phi(z) - 1/sqrt(pi)), Gneiting and Raftery (2007), eq. 21."""
    z = 0.7
    exact = z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / math.sqrt(math.pi)
    for draws, repeats in ((2, 200_000), (50, 20_000)):
        sample = np.random.default_rng(draws).normal(size=(repeats, draws))
        scores = crps(np.full(repeats, z), sample)
        assert scores.mean() == pytest.approx(exact, abs=4 * scores.std() / math.sqrt(repeats))


def test_bits_per_dimension_of_a_uniform_byte_is_eight() -> None:
    assert bits_per_dimension(10 * math.log(256), 10) == pytest.approx(8)
    assert bits_per_dimension([0.0, math.log(2)], 1).tolist() == [0.0, 1.0]


def test_bad_input_is_refused() -> None:
    x, dates = np.zeros(10), pd.bdate_range("2020-01-01", periods=11)
    for call, message in (
        (lambda: pinball_loss(x, 1.0, level=99), "write 0.99, not 99"),
        (lambda: pinball_loss(x, np.ones(9)), r"var of shape \(9,\)"),
        (lambda: pinball_loss(np.full(10, np.nan), 1.0), "returns hold 10 NaN"),
        (lambda: pinball_loss(pd.Series(0.0, dates[1:]), pd.Series(1.0, dates[:-1])), "dates"),
        (
            lambda: pinball_loss(
                pd.DataFrame(0.0, dates, ["a", "b"]), pd.DataFrame(1.0, dates, ["b", "a"])
            ),
            "another order",
        ),
        (lambda: fz0_loss(x, 1.0, 2.0, level=0.0), "must lie strictly"),
        (lambda: fz0_loss(x, -1.0, 2.0), "minus the quantile"),
        (lambda: fz0_loss(x, 2.0, 1.0), "are the two exchanged"),
        (lambda: fz0_loss(x, 0.0, 0.0), "es must be a loss > 0"),
        (lambda: crps(x, np.zeros((9, 5))), r"sample of shape \(9, 5\)"),
        (lambda: crps(x, np.zeros((10, 1))), "m > 1"),
        (lambda: bits_per_dimension(1.0, 0), "at least 1"),
        (lambda: bits_per_dimension(np.inf, 1), "nll hold 1 NaN or infinite"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
