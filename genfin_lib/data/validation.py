"""What every function of this package asks of its input, and how it complains."""

import numpy as np
import pandas as pd


def matrix(data: pd.DataFrame | pd.Series | np.ndarray, *, what: str = "data") -> np.ndarray:
    """The values as float64 with the columns on the last axis, none missing or infinite.

    Args:
        data: `(rows, columns)` frame, `(rows,)` series or `(..., columns)` array.
        what: What the data is called in the error message.

    Returns:
        float64; a series becomes `(rows, 1)`, an array keeps its shape.

    Raises:
        ValueError: another type, no rows, or a value that is NaN or infinite.
    """
    known = isinstance(data, pd.DataFrame | pd.Series | np.ndarray)
    if not known:
        raise ValueError(
            f"{what}: given {type(data).__name__}, but a pandas DataFrame or Series or a NumPy "
            "array is needed: convert first, for example with tensor.numpy()."
        )
    values = np.asarray(data, dtype=np.float64)
    if isinstance(data, pd.Series):
        values = values[:, None]  # (T,) -> (T, 1)
    if values.size == 0:
        raise ValueError(f"{what}: given shape {values.shape}, but at least one row is needed.")
    refuse(~np.isfinite(values), data, what=what, problem="NaN or infinite")
    return values


def refuse(bad: np.ndarray, data: object, *, what: str, problem: str) -> None:
    """Raise if any cell is bad, naming the first one by column and date.

    Args:
        bad: Boolean, `(..., columns)`.
        data: Where `bad` came from; its labels are used if it has any.
        what: What the data is called in the message.
        problem: What is wrong: `"NaN or infinite"`.

    Raises:
        ValueError: at least one cell is bad.
    """
    if not bad.any():
        return
    cell = np.unravel_index(int(bad.argmax()), bad.shape)
    if isinstance(data, pd.DataFrame | pd.Series):
        name = data.columns[cell[1]] if isinstance(data, pd.DataFrame) else data.name
        row = data.index[cell[0]]
        when = f"on {row:%Y-%m-%d}" if hasattr(row, "year") else f"row {row}"
        where = f"column {name!r} {when}"
    else:
        where = f"position {tuple(int(i) for i in cell)}"
    raise ValueError(
        f"{what}: {int(bad.sum())} of {bad.size} values: {problem}, first {where}: "
        "drop or repair these rows first."
    )


def require_dates_in_order(data: pd.DataFrame | pd.Series, *, what: str = "data") -> None:
    """Time runs downwards and no date comes twice.

    Args:
        data: Rows indexed by time.
        what: What the data is called in the message.

    Raises:
        ValueError: the index is unsorted or has duplicates.
    """
    index = data.index
    if index.has_duplicates:
        first = index[index.duplicated()][0]
        raise ValueError(f"{what}: index {first} occurs more than once: keep one row per date.")
    if not index.is_monotonic_increasing:
        raise ValueError(f"{what}: the index is not in time order: call .sort_index() first.")
