"""Standardisation and winsorisation."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from genfin_lib.data import Standardizer, Winsorizer


@pytest.fixture
def frame():
    rng = np.random.default_rng(1)
    dates = pd.bdate_range("2020-01-01", periods=50, name="date")
    return pd.DataFrame(rng.normal([0.0, 5.0], [0.01, 3.0], (50, 2)), dates, ["A", "B"])


def test_training_part_has_mean_zero_and_unit_variance(frame):
    z = Standardizer().fit(frame).transform(frame)
    np.testing.assert_allclose(z.mean(), 0.0, atol=1e-13)
    np.testing.assert_allclose(z.std(ddof=0), 1.0, rtol=1e-13)


def test_inverse_undoes_transform_and_keeps_labels(frame):
    scaler = Standardizer().fit(frame)
    pd.testing.assert_frame_equal(scaler.inverse(scaler.transform(frame)), frame, rtol=1e-13)
    series = Standardizer().fit(frame["A"]).transform(frame["A"])
    assert series.name == "A"
    assert series.index.equals(frame.index)
    windows = frame.to_numpy().reshape(10, 5, 2)
    np.testing.assert_array_equal(
        scaler.transform(windows).reshape(50, 2), scaler.transform(frame).to_numpy()
    )


def test_log_density_in_data_units_is_that_of_scipy(frame):
    """log p(x) = log p(z) - sum of log sigma; without the sum it is off by about 3.5."""
    scaler = Standardizer().fit(frame)
    z = scaler.transform(frame).to_numpy()
    expected = stats.norm.logpdf(frame, scaler.mean, scaler.scale).sum(axis=1)
    log_p = stats.norm.logpdf(z).sum(axis=1) + scaler.log_abs_det
    np.testing.assert_allclose(log_p, expected, rtol=1e-12)
    assert abs(scaler.log_abs_det) > 1


def test_constant_column_is_named(frame):
    with pytest.raises(ValueError, match=r"training column 'B' is constant at 0.1: drop it"):
        Standardizer().fit(frame.assign(B=0.1))
    with pytest.raises(ValueError, match="training column 1 is constant"):
        Standardizer().fit(frame.assign(B=0.1).to_numpy())


def test_unfitted_scalers_say_so(frame):
    for scaler in (Standardizer(), Winsorizer()):
        with pytest.raises(ValueError, match=r"izer is not fitted: call fit\(training_part\)"):
            scaler.transform(frame)
    with pytest.raises(ValueError, match="not fitted"):
        _ = Standardizer().log_abs_det
    with pytest.raises(ValueError, match="not fitted"):
        Standardizer().inverse(frame)


def test_other_columns_are_refused(frame):
    scaler = Standardizer().fit(frame)
    with pytest.raises(ValueError, match=r"columns \['B', 'A'\], but fitted on \['A', 'B'\]"):
        scaler.transform(frame[["B", "A"]])
    with pytest.raises(ValueError, match=r"shape \(50, 1\), but fitted on 2 columns"):
        scaler.transform(frame[["A"]])


def test_unfit_training_data_are_refused(frame):
    with pytest.raises(ValueError, match="at least two rows"):
        Standardizer().fit(frame.iloc[:1])
    with pytest.raises(ValueError, match=r"write x\[:, None\]"):
        Standardizer().fit(frame["A"].to_numpy())
    with pytest.raises(ValueError, match="NaN or infinite, first column 'A' on 2020-01-02"):
        Standardizer().fit(frame.assign(A=frame["A"].where(frame.index != "2020-01-02")))
    with pytest.raises(ValueError, match=r"given Tensor, .* tensor.numpy\(\)"):
        Standardizer().fit(torch.zeros(3, 2))
    with pytest.raises(ValueError, match=r"shape \(0, 2\), but at least one row"):
        Standardizer().fit(frame.iloc[:0])


def test_winsorizer_clips_to_training_quantiles_exactly(frame):
    train, later = frame.iloc[:40], frame.iloc[40:] * 100
    scaler = Winsorizer(0.1, 0.9).fit(train)
    low, high = train.quantile(0.1), train.quantile(0.9)
    pd.testing.assert_frame_equal(scaler.transform(later), later.clip(low, high, axis=1))
    inside = (train >= low) & (train <= high)
    assert scaler.transform(train)[inside].equals(train[inside])
    assert int((~inside).sum().sum()) == 16  # 10 % of 40 rows, two sides, two columns


def test_winsorised_losses_have_no_tail(frame):
    """Why it must not touch modelled returns (X13): the limit becomes the worst loss."""
    scaler = Winsorizer(0.01, 0.99).fit(frame)
    crash = frame.iloc[-1:] - 1e6
    assert (scaler.transform(crash).to_numpy() == scaler.lower_limit).all()


@pytest.mark.parametrize("limits", [(0.9, 0.1), (-0.1, 0.5), (0.5, 1.1), (0.5, 0.5)])
def test_winsorizer_limits_must_be_ordered_probabilities(limits):
    with pytest.raises(ValueError, match="0 <= lower < upper <= 1 is needed"):
        Winsorizer(*limits)
