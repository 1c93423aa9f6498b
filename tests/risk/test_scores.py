"""Errors of means that respect dependence."""

import numpy as np
import pytest

from genfin_lib.risk import block_standard_error


def autoregression(rng: np.random.Generator, n: int, phi: float) -> np.ndarray:
    noise = rng.normal(size=n)
    series = np.empty(n)
    series[0] = noise[0] / np.sqrt(1 - phi**2)
    for t in range(1, n):
        series[t] = phi * series[t - 1] + noise[t]
    return series


@pytest.mark.parametrize("phi", [0.0, 0.7])
def test_error_is_that_of_the_mean_of_an_autoregression(phi: float) -> None:
    rng = np.random.default_rng(0)
    runs = [autoregression(rng, 2100, phi) for _ in range(400)]
    true = np.std([run.mean() for run in runs])
    estimated = np.sqrt(np.mean([block_standard_error(run) ** 2 for run in runs]))
    # Blocks cut the dependence across their ends: some 10 % are lost at phi = 0.7.
    assert estimated == pytest.approx(true, rel=0.15)


def test_independent_formula_is_far_too_small_under_dependence() -> None:
    run = autoregression(np.random.default_rng(1), 21_000, 0.7)
    assert block_standard_error(run) > 2 * run.std() / np.sqrt(run.size)


def test_blocks_of_one_day_give_the_usual_standard_error() -> None:
    values = np.random.default_rng(2).normal(size=500)
    assert block_standard_error(values, length=1) == pytest.approx(values.std(ddof=1) / 500**0.5)


@pytest.mark.parametrize(
    ("values", "message"),
    [(np.zeros(209), "210 or more"), (np.zeros((300, 2)), "one series"), ([np.nan] * 300, "NaN")],
)
def test_bad_series_are_refused(values, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        block_standard_error(values)
