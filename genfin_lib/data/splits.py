"""Cutting a history by time: training, validation, test, and sliding windows."""

from typing import TypeVar

import numpy as np
import pandas as pd
import torch

from genfin_lib.data.validation import matrix, require_dates_in_order

Rows = TypeVar("Rows", pd.DataFrame, pd.Series, np.ndarray, torch.Tensor)


def chronological_split(
    data: Rows, fractions: tuple[float, float, float] = (0.70, 0.15, 0.15), *, gap: int = 0
) -> tuple[Rows, Rows, Rows]:
    r"""Training, validation and test pieces, in this order in time, never shuffled.

    With :math:`a = [f_1 T]` and :math:`b = [(f_1 + f_2) T]`, rounded, the pieces are
    the rows :math:`[0, a)`, :math:`[a + g, b)` and :math:`[b + g, T)`.

    The gap :math:`g` *purges* rows that look across a boundary. Split returns first
    and cut windows afterwards and none is needed; if each row already holds a window
    of `length` days, or a target `length` days ahead, take `gap=length - 1`. Source:
    M. López de Prado (2018), Advances in Financial Machine Learning, ch. 7,
    https://www.wiley.com/en-us/9781119482086.

    Args:
        data: `(T, ...)` in time order: frame, series, array or tensor.
        fractions: Of training, validation and test; positive, summing to one.
        gap: Rows dropped at the start of validation and of test.

    Returns:
        Three pieces of the type given; arrays and tensors are views.

    Raises:
        ValueError: fractions that are not three positive numbers summing to one, a
            negative gap, an index out of order, or a piece left without rows.
    """
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1.0) > 1e-9:
        raise ValueError(f"fractions {fractions}: three positive numbers that sum to 1 are needed.")
    if gap < 0:
        raise ValueError(f"gap {gap}: a number of rows, zero or more, is needed.")
    if isinstance(data, pd.DataFrame | pd.Series):
        require_dates_in_order(data)
    n = len(data)
    first, second = round(fractions[0] * n), round((fractions[0] + fractions[1]) * n)
    edges = ((0, first), (first + gap, second), (second + gap, n))
    sizes = [stop - start for start, stop in edges]
    if min(sizes) < 1:
        raise ValueError(
            f"{n} rows with fractions {fractions} and gap {gap} leave pieces of {sizes} rows: "
            "give more rows or a smaller gap."
        )
    rows = data.iloc if isinstance(data, pd.DataFrame | pd.Series) else data
    train, validation, test = (rows[start:stop] for start, stop in edges)
    return train, validation, test


def windows(
    data: pd.DataFrame | pd.Series | np.ndarray, length: int, *, stride: int = 1
) -> np.ndarray:
    r"""Sliding windows over time, oldest first.

    .. math:: W_k = (x_{ks}, \ldots, x_{ks + L - 1}), \quad k = 0, \ldots,
        \lfloor (T - L) / s \rfloor

    Window :math:`k` is complete at row :math:`ks + L - 1` (`window_ends`), and not
    before: a target must lie later than that. Neighbours share :math:`L - s` rows, so
    split in time first and cut windows inside each piece.

    Args:
        data: `(T, D)`, or `(T,)` for D = 1.
        length: Rows in a window, L.
        stride: Rows between the starts of neighbouring windows, s.

    Returns:
        `(N, L, D)` float64, a read-only view where the input is a float64 array.

    Raises:
        ValueError: NaN, length or stride below one, or fewer rows than one window.
    """
    values = matrix(data)
    if values.ndim == 1:
        values = values[:, None]  # (T,) -> (T, 1)
    if values.ndim != 2:
        raise ValueError(f"data of shape {values.shape}: (rows, columns) is needed.")
    starts = len(window_ends(len(values), length, stride=stride))
    view = np.lib.stride_tricks.sliding_window_view(values, length, axis=0)  # (T-L+1, D, L)
    return view[::stride].transpose(0, 2, 1)[:starts]  # (N, L, D)


def window_ends(rows: int, length: int, *, stride: int = 1) -> np.ndarray:
    """Position of the last row of each window that `windows` returns.

    ``returns.index[window_ends(len(returns), 20)]`` dates windows of 20 days: these
    are the days on which each is known.

    Args:
        rows: Rows of the data, T.
        length: Rows in a window.
        stride: Rows between the starts of neighbouring windows.

    Returns:
        `(N,)` integers, `k * stride + length - 1`.

    Raises:
        ValueError: length or stride below one, or fewer rows than one window.
    """
    if length < 1 or stride < 1:
        raise ValueError(f"length {length} and stride {stride}: both must be at least 1.")
    if rows < length:
        raise ValueError(f"{rows} rows cannot fill a window of {length}: give more rows.")
    return np.arange(length - 1, rows, stride)
