"""Simulated candles: prices in order inside each, and returns of the law that is stated."""

import numpy as np
import pandas as pd
import pytest

from genfin_lib.data import log_returns, simulate_candles


def test_prices_of_a_candle_are_those_of_one_path():
    candles = simulate_candles(5000, seed=0)
    opened, high, low, close, volume = candles.to_numpy().T
    assert (low > 0).all()
    assert (low <= np.minimum(opened, close)).all()
    assert (high >= np.maximum(opened, close)).all()
    np.testing.assert_array_equal(opened[1:], close[:-1])
    assert (volume > 0).all()
    assert (candles.index.to_series().diff().dropna() == pd.Timedelta("1h")).all()


def test_returns_have_the_volatility_asked_for():
    returns = log_returns(simulate_candles(200_000, seed=1, volatility=0.006)["Close"])
    assert returns.std() == pytest.approx(0.006, rel=0.08)  # heavy tails: 3 % standard error


def test_range_is_that_of_a_path_of_twelve_steps():
    """Parkinson: E[range^2] = 4 log 2 sigma^2 of a Brownian path; of twelve steps it is less."""
    candles = simulate_candles(100_000, seed=2)
    spread = np.log(candles["High"] / candles["Low"]) ** 2
    squared = log_returns(candles["Close"]) ** 2
    paths = np.random.default_rng(0).standard_normal((100_000, 12)).cumsum(axis=1) / np.sqrt(12)
    paths = np.pad(paths, ((0, 0), (1, 0)))
    expected = (np.ptp(paths, axis=1) ** 2).mean()
    assert spread.mean() / squared.mean() == pytest.approx(expected, rel=0.1)


def test_minutes_are_minutes_and_seeds_are_seeds():
    quarter = simulate_candles(3, seed=5, timeframe="15m", start="2024-02-29")
    assert quarter.index[1] == pd.Timestamp("2024-02-29 00:15")
    pd.testing.assert_frame_equal(
        quarter, simulate_candles(3, seed=5, timeframe="15m", start="2024-02-29")
    )
    with pytest.raises(ValueError, match="price"):
        simulate_candles(3, seed=5, price=0.0)
