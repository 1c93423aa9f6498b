"""The theorem of this package: changing the future changes nothing in the past."""

import numpy as np
import pandas as pd
import pytest

from genfin_lib.data import (
    Standardizer,
    Winsorizer,
    chronological_split,
    volatility_context,
    window_ends,
    windows,
)

ROWS = 200


@pytest.fixture
def returns():
    rng = np.random.default_rng(0)
    dates = pd.bdate_range("2020-01-01", periods=ROWS, name="date")
    return pd.DataFrame(0.01 * rng.standard_t(4, (ROWS, 3)), index=dates, columns=list("ABC"))


def corrupted(returns, start, seed):
    """The same history up to row `start - 1`, then large nonsense without NaN."""
    other = returns.copy()
    shape = (len(returns) - start, returns.shape[1])
    other.iloc[start:] = np.random.default_rng(seed).normal(100.0, 1000.0, shape)
    return other


def changes_past(feature, returns, seed, cuts=25):
    """Whether some feature dated t depends on returns dated t or later."""
    before = feature(returns)
    for start in np.random.default_rng(seed).integers(40, ROWS, cuts):
        after = feature(corrupted(returns, start, seed))
        known = before.index <= returns.index[start]  # row t may use rows before t only
        if not before[known].equals(after[known]):
            return True
    return False


@pytest.mark.parametrize("seed", range(4))
def test_context_of_a_day_ignores_that_day_and_later(returns, seed):
    assert not changes_past(lambda r: volatility_context(r, lags=2), returns, seed)


def test_the_check_catches_a_feature_that_peeks(returns):
    def peeking(r):
        return r.pow(2).ewm(halflife=3).mean()  # includes day t itself

    assert changes_past(peeking, returns, seed=0)


@pytest.mark.parametrize("seed", range(4))
def test_future_changes_no_past_context_of_a_series(returns, seed):
    def feature(r):
        return volatility_context(r["A"])

    assert not changes_past(feature, returns, seed)


@pytest.mark.parametrize("scaler", [Standardizer, Winsorizer])
@pytest.mark.parametrize("seed", range(4))
def test_future_changes_no_scaler(returns, scaler, seed):
    train, _, _ = chronological_split(returns)
    later, _, _ = chronological_split(corrupted(returns, len(train), seed))
    pd.testing.assert_frame_equal(
        scaler().fit(train).transform(train), scaler().fit(later).transform(later), rtol=0, atol=0
    )
    # The check can fail: a scaler that sees one corrupted row differs.
    leaky = corrupted(returns, len(train) - 1, seed).iloc[: len(train)]
    assert not scaler().fit(leaky).transform(train).equals(scaler().fit(train).transform(train))


@pytest.mark.parametrize("seed", range(4))
def test_future_changes_no_complete_window(returns, seed):
    start = int(np.random.default_rng(seed).integers(40, ROWS))
    ends = window_ends(ROWS, 20, stride=3)
    before, after = (windows(r, 20, stride=3) for r in (returns, corrupted(returns, start, seed)))
    np.testing.assert_array_equal(before[ends < start], after[ends < start])
    assert (before[ends >= start] != after[ends >= start]).any(axis=(1, 2)).all()


@pytest.mark.parametrize("gap", [0, 1, 19])
def test_pieces_are_in_order_in_time_and_apart_by_the_gap(gap):
    train, validation, test = chronological_split(np.arange(ROWS), gap=gap)
    assert validation[0] - train[-1] == gap + 1
    assert test[0] - validation[-1] == gap + 1
    assert (train[0], test[-1]) == (0, ROWS - 1)
    assert len(train) == 140


def test_purged_windows_share_no_row_across_a_split():
    length = 20
    rows = windows(np.arange(float(ROWS)), length)
    train, validation, test = chronological_split(rows, gap=length - 1)
    assert train.max() < validation.min()
    assert validation.max() < test.min()
    overlapping, other, _ = chronological_split(rows, gap=length - 2)
    assert overlapping.max() == other.min()  # one row less of a gap and a row is shared
