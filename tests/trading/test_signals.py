"""From forecasts to positions: each rule against its defining property."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from genfin_lib.trading import (
    contrarian_signal,
    kelly_position,
    no_trade_band,
    var_sizing,
    volatility_target,
)


def series(*values: float) -> pd.Series:
    return pd.Series(values, pd.date_range("2020-01-01", periods=len(values)), dtype=float)


def test_contrarian_rule_of_five_and_ninety_five_percent():
    u = series(0.0, 0.049, 0.05, 0.5, 0.95, 0.951, 1.0)
    assert list(contrarian_signal(u)) == [1, 1, 0, 0, 0, -1, -1]
    assert list(contrarian_signal(u, low=0.5, high=0.99)) == [1, 1, 1, 0, 0, 0, -1]


def test_contrarian_rule_trades_a_tenth_of_the_time_under_a_right_forecast():
    u = pd.DataFrame(np.random.default_rng(0).random((20_000, 2)))
    signal = contrarian_signal(u)
    assert signal.abs().mean().to_numpy() == pytest.approx(0.10, abs=4 * 0.0022)
    assert signal.mean().to_numpy() == pytest.approx(0.0, abs=4 * 0.0023)


def test_kelly_position_maximises_expected_log_growth():
    """A quadrature of E log(1 + w r) over a grid of w, for small Gaussian returns."""
    mean, volatility = 0.0005, 0.01
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    r = mean + volatility * nodes
    grid = np.linspace(0, 10, 2001)
    growth = np.log1p(np.outer(grid, r)) @ (weights / weights.sum())
    best = kelly_position(series(mean), series(volatility), cap=100).iloc[0]
    assert best == pytest.approx(5.0)
    assert grid[growth.argmax()] == pytest.approx(best, abs=0.1)
    half = kelly_position(series(mean), series(volatility), cap=100, fraction=0.5).iloc[0]
    kept = np.interp(half, grid, growth) / growth.max()
    assert kept == pytest.approx(0.75, abs=0.01)
    assert list(kelly_position(series(1, -1), series(0.1, 0.1), cap=2)) == [2, -2]


def test_volatility_target_makes_the_position_as_volatile_as_asked():
    sigma = series(0.01, 0.02, 0.001)
    held = volatility_target(sigma, target=0.10, periods_per_year=252, cap=1.5)
    assert (held * sigma * np.sqrt(252)).to_numpy()[:2] == pytest.approx([0.1, 0.1])
    assert held.iloc[2] == 1.5


def test_var_sizing_spends_the_budget_in_the_share_of_days_of_the_level():
    """Volatility changes daily and the forecast knows it: 1 % of days lose more than 2 %."""
    rng = np.random.default_rng(1)
    sigma = pd.Series(rng.uniform(0.005, 0.03, 100_000))
    returns = sigma * rng.standard_normal(sigma.size)
    held = var_sizing(-stats.norm.ppf(0.01) * sigma, budget=0.02, cap=10)
    assert (held * returns < -0.02).mean() == pytest.approx(0.01, abs=4 * 0.0003)
    # Little risk, or no loss at the level at all: the cap.
    assert list(var_sizing(series(0.001, 0.0, -0.1), budget=0.02, cap=1.5)) == [1.5] * 3


def test_no_trade_band_by_hand():
    wanted = series(1.0, 1.1, 1.2, 1.05, 0.0)
    assert list(no_trade_band(wanted, band=0.15)) == [1.0, 1.0, 1.2, 1.2, 0.0]
    pd.testing.assert_series_equal(no_trade_band(wanted, band=0.0), wanted)


def test_no_trade_band_stays_within_reach_and_treats_assets_alone():
    rng = np.random.default_rng(2)
    wanted = pd.DataFrame(rng.normal(size=(200, 2)).cumsum(axis=0) / 10, columns=["a", "b"])
    held = no_trade_band(wanted, band=0.1)
    assert (held - wanted).abs().max().max() <= 0.1
    pd.testing.assert_series_equal(held["b"], no_trade_band(wanted["b"], band=0.1))
    changed = wanted.copy()
    changed.iloc[150:] = 0.0
    pd.testing.assert_frame_equal(no_trade_band(changed, band=0.1).iloc[:150], held.iloc[:150])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: contrarian_signal(series(5.0, 95.0)), r"write 0\.05, not 5"),
        (lambda: contrarian_signal(series(0.5, np.nan)), "percentile is empty or holds NaN"),
        (lambda: contrarian_signal(series(0.5), low=0.9, high=0.1), "0 <= low < high <= 1"),
        (lambda: contrarian_signal(np.ones(3)), "Series or DataFrame is needed"),
        (lambda: kelly_position(series(0.1), series(0.0), cap=1), "volatility down to 0"),
        (lambda: kelly_position(series(0.1), series(0.1, 0.1), cap=1), "one of each"),
        (lambda: kelly_position(series(0.1), series(0.1), cap=0), "cap 0"),
        (lambda: var_sizing(series(np.nan), budget=0.02, cap=1), "value_at_risk is empty or holds"),
        (lambda: var_sizing(series(0.02), budget=0, cap=1), "budget 0"),
        (
            lambda: volatility_target(series(np.inf), target=0.1, periods_per_year=252, cap=1),
            "NaN or inf",
        ),
        (
            lambda: volatility_target(series(0.1), target=-1, periods_per_year=252, cap=1),
            "target -1",
        ),
        (lambda: no_trade_band(series(0.1), band=-1), "band -1"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
