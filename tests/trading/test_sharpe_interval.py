"""Bootstrap intervals of the Sharpe ratio: their width, their coverage, and pairs."""

import math

import numpy as np
import pytest

from genfin_lib.trading import sharpe_interval, sharpe_ratio


def width(interval: tuple[float, float]) -> float:
    return interval[1] - interval[0]


def test_width_is_that_of_the_standard_error_for_independent_returns():
    x = 0.0005 + 0.01 * np.random.default_rng(0).standard_normal(2000)
    _, error = sharpe_ratio(x, periods_per_year=252)
    interval = sharpe_interval(x, periods_per_year=252, seed=0, draws=2000)
    assert width(interval) == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_blocks_see_dependence_that_single_days_miss():
    """Of an AR(1) at 0.5 the mean has an error sqrt(3) times that of independent days."""
    rng = np.random.default_rng(1)
    noise = 0.01 * rng.standard_normal(4000)
    x = np.zeros(4000)
    for t in range(1, 4000):
        x[t] = 0.5 * x[t - 1] + noise[t]
    wide, narrow = (
        width(sharpe_interval(x, periods_per_year=252, seed=0, block=b)) for b in (30, 1)
    )
    assert wide / narrow == pytest.approx(math.sqrt(3), rel=0.15)


def test_interval_covers_the_truth():
    rng = np.random.default_rng(2)
    covered = 0
    for seed in range(200):
        x = 0.02 + 0.1 * rng.standard_normal(250)
        low, high = sharpe_interval(x, periods_per_year=1, seed=seed, block=5, draws=200)
        covered += low < 0.2 < high
    assert covered / 200 == pytest.approx(0.95, abs=0.05)  # 3 standard errors: 0.046


def test_lead_over_oneself_levered_is_nothing():
    x = 0.001 + 0.01 * np.random.default_rng(3).standard_normal(500)
    low, high = sharpe_interval(x, benchmark=2 * x, periods_per_year=252, seed=0, draws=100)
    assert low == pytest.approx(0, abs=1e-12)
    assert high == pytest.approx(0, abs=1e-12)


def test_pairs_of_the_same_days_make_the_lead_sharper():
    rng = np.random.default_rng(4)
    market = 0.0004 + 0.01 * rng.standard_normal(2000)
    other = market + 0.0003 + 0.001 * rng.standard_normal(2000)
    paired = sharpe_interval(other, benchmark=market, periods_per_year=252, seed=0)
    assert width(paired) < width(sharpe_interval(other, periods_per_year=252, seed=0)) / 3
    assert paired[0] > 0


def test_seed_decides():
    x = 0.01 * np.random.default_rng(5).standard_normal(100)
    same = [sharpe_interval(x, periods_per_year=252, seed=s, draws=50) for s in (1, 1, 2)]
    assert same[0] == same[1] != same[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"benchmark": [0.1, 0.2, 0.3]}, "the same days"),
        ({"confidence": 95}, "between 0 and 1"),
        ({"block": 0}, "block 0 for 4 returns"),
        ({"benchmark": [0.1] * 4, "block": 2}, "do not vary"),
        ({"returns": [0.1, np.nan, 0.1, 0.2]}, "NaN or inf"),
    ],
)
def test_bad_input_is_refused(change, message):
    given = {"returns": [0.1, -0.1, 0.2, 0.0], "periods_per_year": 252, "seed": 0}
    with pytest.raises(ValueError, match=message):
        sharpe_interval(**{**given, **change})
