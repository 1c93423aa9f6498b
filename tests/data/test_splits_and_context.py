"""Splits, windows, context features: exact values and clear refusals."""

import numpy as np
import pandas as pd
import pytest
import torch

from genfin_lib.data import chronological_split, volatility_context, window_ends, windows


@pytest.fixture
def returns():
    rng = np.random.default_rng(2)
    dates = pd.bdate_range("2020-01-01", periods=60, name="date")
    return pd.DataFrame(0.01 * rng.normal(size=(60, 2)), dates, ["A", "B"])


@pytest.mark.parametrize("kind", ["frame", "series", "array", "tensor"])
def test_split_keeps_type_and_loses_no_row(returns, kind):
    data = {
        "frame": returns,
        "series": returns["A"],
        "array": returns.to_numpy(),
        "tensor": torch.tensor(returns.to_numpy()),
    }[kind]
    pieces = chronological_split(data)
    assert [len(piece) for piece in pieces] == [42, 9, 9]
    assert all(type(piece) is type(data) for piece in pieces)
    np.testing.assert_array_equal(np.concatenate([np.asarray(p) for p in pieces]), np.asarray(data))


@pytest.mark.parametrize("fractions", [(0.7, 0.2, 0.2), (0.5, 0.5), (1.2, -0.1, -0.1), (1, 0, 0)])
def test_fractions_must_be_three_positive_and_sum_to_one(returns, fractions):
    with pytest.raises(ValueError, match="three positive numbers that sum to 1"):
        chronological_split(returns, fractions)


def test_impossible_splits_are_refused(returns):
    with pytest.raises(ValueError, match=r"gap 9 leave pieces of \[42, 0, 0\] rows"):
        chronological_split(returns, gap=9)
    with pytest.raises(ValueError, match="gap -1"):
        chronological_split(returns, gap=-1)
    with pytest.raises(ValueError, match="not in time order"):
        chronological_split(returns.iloc[::-1])
    with pytest.raises(ValueError, match="occurs more than once"):
        chronological_split(returns.iloc[[0, 0, 1, 2, 3, 4, 5, 6]])


@pytest.mark.parametrize("stride", [1, 2, 7])
def test_window_k_ends_on_its_dated_row(returns, stride):
    cut, ends = windows(returns, 5, stride=stride), window_ends(len(returns), 5, stride=stride)
    assert cut.shape == (len(ends), 5, 2)
    assert ends[-1] < len(returns) <= ends[-1] + stride
    for window, end in zip(cut, ends, strict=True):
        np.testing.assert_array_equal(window, returns.iloc[end - 4 : end + 1])


def test_windows_are_a_read_only_view():
    x = np.zeros((30, 2))
    assert np.shares_memory(windows(x, 5), x)
    assert not windows(x, 5).flags.writeable


def test_windows_of_one_series_have_width_one(returns):
    assert windows(returns["A"], 5).shape == (56, 5, 1)
    assert windows(returns["A"].to_numpy(), 60).shape == (1, 60, 1)


def test_impossible_windows_are_refused(returns):
    with pytest.raises(ValueError, match="60 rows cannot fill a window of 61"):
        windows(returns, 61)
    with pytest.raises(ValueError, match="length 0 and stride 1"):
        windows(returns, 0)
    with pytest.raises(ValueError, match="length 5 and stride 0"):
        windows(returns, 5, stride=0)
    with pytest.raises(ValueError, match=r"shape \(2, 3, 4\)"):
        windows(np.zeros((2, 3, 4)), 1)
    with pytest.raises(ValueError, match="NaN or infinite"):
        windows(returns.where(returns > 0), 5)


def test_context_equals_its_formula(returns):
    context = volatility_context(returns, (3, 11.5), lags=2)
    assert list(context.columns) == [
        f"{a}_{f}" for a in "AB" for f in ("lag1", "lag2", "vol3", "vol11.5")
    ]
    assert list(context.index) == list(returns.index[12:])  # warm-up: ceil(11.5) rows
    t = 40
    past = returns["B"].to_numpy()[:t][::-1]  # x_{t-1}, x_{t-2}, ..., x_0
    row = context.loc[returns.index[t]]
    assert (row["B_lag1"], row["B_lag2"]) == (past[0], past[1])
    for h in (3, 11.5):
        weights = 2.0 ** (-np.arange(t) / h)
        assert row[f"B_vol{h:g}"] == pytest.approx(np.sqrt(weights @ past**2 / weights.sum()))


def test_context_of_a_series_has_plain_names_and_no_nan(returns):
    context = volatility_context(returns["A"])
    assert list(context.columns) == ["lag1", "vol3", "vol11", "vol33"]
    assert len(context) == 60 - 33
    assert np.isfinite(context.to_numpy()).all()
    assert list(volatility_context(returns["A"], (), lags=1).columns) == ["lag1"]


def test_impossible_contexts_are_refused(returns):
    with pytest.raises(ValueError, match="first 33 are warm-up"):
        volatility_context(returns.iloc[:33])
    with pytest.raises(ValueError, match="NaN or infinite, first column 'B' on 2020-01-01"):
        volatility_context(returns.where(returns > 0))
    with pytest.raises(ValueError, match="not in time order"):
        volatility_context(returns.iloc[::-1])
    for half_lives, lags in (((0,), 1), ((3,), -1), ((), 0)):
        with pytest.raises(ValueError, match="at least one feature"):
            volatility_context(returns, half_lives, lags=lags)
