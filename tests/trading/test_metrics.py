"""Trading metrics: by hand, against skfolio, and their errors by simulation."""

import math

import numpy as np
import pandas as pd
import pytest
from skfolio import measures

from genfin_lib.data import simulate_garch
from genfin_lib.trading import (
    deflated_sharpe_ratio,
    maximum_drawdown,
    performance_metrics,
    probabilistic_sharpe_ratio,
    sharpe_ratio,
    sortino_ratio,
    turnover,
)

HAND = np.array([0.10, -0.20, 0.05, 0.0, -0.10])  # mean -0.03


@pytest.fixture
def returns():
    return np.expm1(simulate_garch(1000, seed=0).returns)


def test_by_hand():
    """Wealth 1, 1.1, 0.88, 0.924, 0.924, 0.8316: the peak is 1.1."""
    table = performance_metrics(HAND, periods_per_year=10)
    assert table["maximum_drawdown"] == pytest.approx(1 - 0.8316 / 1.1)
    assert table["annual_return"] == pytest.approx(0.8316**2 - 1)
    assert table["calmar"] == pytest.approx((0.8316**2 - 1) / (1 - 0.8316 / 1.1))
    assert table["win_rate"] == pytest.approx(2 / 4)  # the day without a return is no loss
    assert table["sortino"] == pytest.approx(math.sqrt(10) * -0.03 / math.sqrt(0.05 / 5))
    spread = math.sqrt((0.13**2 + 0.17**2 + 0.08**2 + 0.03**2 + 0.07**2) / 4)
    assert table["annual_volatility"] == pytest.approx(math.sqrt(10) * spread)
    assert table["sharpe"] == pytest.approx(math.sqrt(10) * -0.03 / spread)
    assert math.isnan(table["turnover"])


def test_against_skfolio(returns):
    table = performance_metrics(returns, periods_per_year=252, risk_free=0.0001)
    excess = returns - 0.0001
    sharpe = measures.mean(excess) / measures.standard_deviation(returns)
    assert table["sharpe"] == pytest.approx(math.sqrt(252) * sharpe, rel=1e-12)
    downside = measures.semi_deviation(excess, min_acceptable_return=0.0, biased=True)
    sortino = math.sqrt(252) * measures.mean(excess) / downside
    assert table["sortino"] == pytest.approx(sortino, rel=1e-12)
    drawdown = measures.max_drawdown(measures.get_drawdowns(returns, compounded=True))
    assert table["maximum_drawdown"] == pytest.approx(drawdown, rel=1e-12)
    volatility = math.sqrt(252) * measures.standard_deviation(returns)
    assert table["annual_volatility"] == pytest.approx(volatility, rel=1e-12)


def test_probabilistic_and_deflated_ratios_against_skfolio(returns):
    """skfolio's kurtosis and skewness divide by another power of n: equal to O(1/n)."""
    ours = probabilistic_sharpe_ratio(returns, periods_per_year=252, benchmark=0.5)
    theirs = measures.probabilistic_sharpe_ratio(returns, 0.5 / math.sqrt(252))
    assert ours == pytest.approx(theirs, abs=1e-4)
    trials = np.array([-0.4, 0.1, 0.3, 0.9])
    ours = deflated_sharpe_ratio(returns, periods_per_year=252, trial_ratios=trials)
    theirs = measures.deflated_sharpe_ratio(returns, trials / math.sqrt(252))
    assert ours == pytest.approx(theirs, abs=1e-4)


def test_loss_on_the_first_day_is_a_drawdown():
    assert maximum_drawdown([-0.5, 0.1, 0.1]) == pytest.approx(0.5)
    assert maximum_drawdown([0.1, 0.1, 0.1]) == 0.0


def test_sortino_does_not_reward_equal_losses():
    """The standard deviation of the losing days would be zero here."""
    x = np.array([0.02, -0.01, 0.02, -0.01])
    assert sortino_ratio(x, periods_per_year=1) == pytest.approx(0.005 / math.sqrt(0.0002 / 4))
    assert math.isnan(sortino_ratio([0.01, 0.02, 0.0], periods_per_year=1))


def test_turnover_counts_entry_and_both_legs():
    assert turnover([1.0, 1.0, -1.0, 0.0], periods_per_year=4) == pytest.approx(4.0)
    two = np.array([[0.5, 0.5], [1.0, 0.0]])
    assert turnover(two, periods_per_year=2) == pytest.approx(2.0)
    table = performance_metrics(HAND, periods_per_year=5, positions=np.ones(5))
    assert table["turnover"] == pytest.approx(1.0)


def test_standard_error_is_that_of_lo_for_gaussian_returns():
    """Skewness 0 and kurtosis 3 give sqrt(P (1 + s^2 / 2) / T)."""
    x = 0.001 + 0.01 * np.random.default_rng(0).standard_normal(200_000)
    _, error = sharpe_ratio(x, periods_per_year=252)
    assert error == pytest.approx(math.sqrt(252 * (1 + 0.1**2 / 2) / 200_000), rel=2e-3)


@pytest.mark.parametrize("skewed", [False, True])
def test_standard_error_is_the_spread_over_samples(skewed):
    """High ratios per period, so that skewness and kurtosis matter: 0.5, exponential."""
    rng = np.random.default_rng(1)
    noise = rng.exponential(size=(2000, 400)) - 1 if skewed else rng.normal(size=(2000, 400))
    pairs = np.array([sharpe_ratio(0.02 + 0.04 * x, periods_per_year=1) for x in noise])
    # Sampling error of a standard deviation from 2,000 samples is 1.6 %.
    assert pairs[:, 1].mean() == pytest.approx(pairs[:, 0].std(), rel=0.07)


def test_error_is_about_one_over_the_root_of_the_years():
    x = 0.0004 + 0.01 * np.random.default_rng(0).standard_normal(3 * 252)
    assert sharpe_ratio(x, periods_per_year=252)[1] == pytest.approx(1 / math.sqrt(3), rel=0.01)


def test_best_of_many_without_skill_is_deflated():
    rng = np.random.default_rng(2)
    chosen, plain = [], []
    for _ in range(200):
        x = 0.01 * rng.standard_normal((20, 252))
        ratios = np.array([sharpe_ratio(row, periods_per_year=252)[0] for row in x])
        best = x[ratios.argmax()]
        plain.append(probabilistic_sharpe_ratio(best, periods_per_year=252))
        chosen.append(deflated_sharpe_ratio(best, periods_per_year=252, trial_ratios=ratios))
    assert np.mean(np.array(plain) > 0.95) > 0.5  # twenty tries find "skill" in noise
    assert np.mean(np.array(chosen) > 0.95) < 0.05


def test_a_series_is_accepted(returns):
    series = pd.Series(returns, index=pd.date_range("2020", periods=1000))
    one, two = (performance_metrics(x, periods_per_year=252) for x in (series, returns))
    pd.testing.assert_series_equal(one, two)


@pytest.mark.parametrize(
    ("returns", "change", "message"),
    [
        ([0.1, 0.1, np.nan], {}, "NaN or inf"),
        ([0.1, 0.2], {}, "three or more"),
        (np.ones((4, 2)), {}, "one series of three or more"),
        ([0.1, -1.5, 0.2], {}, "decimals and not per cent"),
        ([0.1, 0.1, 0.1], {}, "do not vary"),
        ([0.1, 0.2, 0.3], {"periods_per_year": 0}, "periods_per_year must be above 0"),
        ([0.1, 0.2, 0.3], {"positions": [1.0]}, "3 returns but 1 rows of positions"),
        ([0.1, 0.2, 0.3], {"positions": [1.0, np.nan, 1]}, "finite shares of wealth"),
    ],
)
def test_bad_input_is_refused(returns, change, message):
    with pytest.raises(ValueError, match=message):
        performance_metrics(returns, **{"periods_per_year": 252, **change})


def test_one_trial_is_refused(returns):
    with pytest.raises(ValueError, match="two or more finite ratios"):
        deflated_sharpe_ratio(returns, periods_per_year=252, trial_ratios=[1.0])
