"""The bridge to PyTorch."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from genfin_lib.data import load, log_returns, to_tensor, windows


@pytest.fixture
def frame():
    dates = pd.bdate_range("2020-01-01", periods=3, name="date")
    return pd.DataFrame({"A": [1.0, 2.0, 3.0], "B": [4.0, 5.0, 6.0]}, index=dates)


def test_tensor_holds_the_values_and_shares_no_memory(frame):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns about read-only arrays
        tensor = to_tensor(frame, dtype=torch.float64)
    np.testing.assert_array_equal(tensor.numpy(), frame.to_numpy())
    tensor.zero_()
    assert frame.loc["2020-01-01", "A"] == 1.0
    array = np.ones((2, 2))
    to_tensor(array, dtype=torch.float64).zero_()
    assert array.all()


def test_default_is_single_precision_and_columns_last(frame):
    assert to_tensor(frame).dtype == torch.float32
    assert to_tensor(frame["A"]).shape == (3, 1)
    assert to_tensor(np.zeros(3)).shape == (3, 1)
    assert to_tensor(windows(frame, 2)).shape == (2, 2, 2)
    assert to_tensor(windows(frame, 2)).is_contiguous()


def test_real_returns_arrive_unchanged():
    x = log_returns(load("sp500_stocks"))
    np.testing.assert_array_equal(to_tensor(x, dtype=torch.float64).numpy(), x.to_numpy())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_first_bad_cell_is_named(frame, value):
    frame.loc["2020-01-02":, "B"] = value
    with pytest.raises(
        ValueError, match="2 of 6 values: NaN or infinite, first column 'B' on 2020-01-02"
    ):
        to_tensor(frame)
    with pytest.raises(ValueError, match=r"position \(1, 1\)"):
        to_tensor(frame.to_numpy())
    with pytest.raises(ValueError, match="column 'B' row 1"):
        to_tensor(frame.reset_index(drop=True))


def test_values_too_large_for_the_type_are_refused(frame):
    with pytest.raises(
        ValueError, match=r"3 of 6 values: too large for torch.float32, first column 'B'"
    ):
        to_tensor(frame * 1e38)


def test_empty_and_integer_types_are_refused(frame):
    with pytest.raises(ValueError, match=r"shape \(0, 2\), but at least one row"):
        to_tensor(frame.iloc[:0])
    with pytest.raises(ValueError, match=r"a floating type such as torch.float32"):
        to_tensor(frame, dtype=torch.int64)
    with pytest.raises(ValueError, match="given list"):
        to_tensor([1.0, 2.0])
