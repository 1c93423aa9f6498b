"""Coordinates of bars: a bijection from possible bars, onto which any numbers lead back."""

import numpy as np
import pytest

from genfin_lib import data
from genfin_lib.data import BarCoordinates


@pytest.fixture(scope="module")
def bars() -> np.ndarray:
    table = data.load("sp500_ohlcv").drop(columns="Adj Close")
    return data.windows(table.loc["2007":"2009"], 24)


def test_there_and_back(bars: np.ndarray) -> None:
    map_ = BarCoordinates().fit(bars)
    z = map_.transform(bars)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=1e-9)
    np.testing.assert_allclose(map_.inverse(z), bars, rtol=1e-12)


def test_back_and_there_but_for_the_sign_of_shadows(bars: np.ndarray) -> None:
    map_ = BarCoordinates().fit(bars)
    raw = 0.1 * np.random.default_rng(0).standard_normal((50, 24, 5))
    z = (raw - map_.mean) / map_.scale
    back = map_.transform(map_.inverse(z)) * map_.scale + map_.mean
    raw[..., 2:4] = np.abs(raw[..., 2:4])
    np.testing.assert_allclose(back, raw, atol=1e-7)  # roots of rounding errors


def test_any_numbers_are_possible_bars(bars: np.ndarray) -> None:
    map_ = BarCoordinates().fit(bars)
    z = 2 * np.random.default_rng(0).standard_t(3, (500, 24, 5)).clip(-20, 20)
    opened, high, low, close, volume = np.moveaxis(map_.inverse(z), -1, 0)
    assert (low <= np.minimum(opened, close)).all()
    assert (high >= np.maximum(opened, close)).all()
    assert (low > 0).all()
    assert (volume > 0).all()


def test_coordinates_mean_what_they_say(bars: np.ndarray) -> None:
    map_ = BarCoordinates().fit(bars)
    raw = map_.transform(bars) * map_.scale + map_.mean
    close = np.log(bars[..., 3])
    np.testing.assert_allclose(np.diff(close, axis=1), raw[:, 1:, :2].sum(axis=2), atol=1e-12)
    np.testing.assert_allclose(raw[:, 0, 0], np.log(bars[:, 0, 0]), atol=1e-12)


def test_bad_bars_are_refused(bars: np.ndarray) -> None:
    map_ = BarCoordinates().fit(bars)
    for column, value, problem in ((1, 1.0, "high"), (2, 1e9, "low"), (4, 0.0, "not positive")):
        wrong = bars.copy()
        wrong[3, 2, column] = value
        with pytest.raises(ValueError, match=problem):
            map_.transform(wrong)
    with pytest.raises(ValueError, match="adjusted"):
        map_.transform(np.ones((3, 24, 6)))
    with pytest.raises(ValueError, match="fitted on"):
        map_.transform(bars[:, :10])
    with pytest.raises(ValueError, match="not fitted"):
        BarCoordinates().transform(bars)
    with pytest.raises(ValueError, match="never varies"):
        BarCoordinates().fit(np.repeat(bars[:1], 3, axis=0))
    with pytest.raises(ValueError, match="NaN"):
        map_.inverse(np.full((2, 24, 5), np.nan))
