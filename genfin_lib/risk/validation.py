"""What every test and score asks of its input."""

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike


def fraction(value: float, name: str) -> float:
    """The value, if it lies strictly between 0 and 1."""
    if not 0 < value < 1:
        raise ValueError(f"{name} {value}: must lie strictly between 0 and 1; write 0.99, not 99.")
    return value


def finite(values: ArrayLike, name: str) -> np.ndarray:
    """The values as float64, if there are some and all are finite."""
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise ValueError(f"{name} of shape {array.shape}: there is nothing in it.")
    bad = ~np.isfinite(array)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{name} hold {int(bad.sum())} NaN or infinite values, first at position {where}: "
            "drop or repair them first, in every input alike."
        )
    return array


def aligned(**inputs: ArrayLike) -> list[np.ndarray]:
    """The inputs as arrays of the shape of the first; scalars are spread over it.

    Equal lengths are not enough: two pandas objects must also carry the same dates and columns.
    """
    (first, reference), *rest = inputs.items()
    index = getattr(reference, "index", None)
    arrays = [finite(reference, first)]
    for name, values in rest:
        array = finite(values, name)
        if array.ndim and array.shape != arrays[0].shape:
            raise ValueError(
                f"{first} of shape {arrays[0].shape} but {name} of shape {array.shape}: give one "
                "forecast for each return, or a single number for all."
            )
        if (
            isinstance(reference, pd.Series | pd.DataFrame)
            and isinstance(values, pd.Series | pd.DataFrame)
            and not values.index.equals(index)
        ):
            raise ValueError(f"{first} and {name} carry different dates: reindex one to the other.")
        if (
            isinstance(reference, pd.DataFrame)
            and isinstance(values, pd.DataFrame)
            and not values.columns.equals(reference.columns)
        ):
            raise ValueError(f"{first} and {name} have different columns, or in another order.")
        arrays.append(np.broadcast_to(array, arrays[0].shape))
    return arrays


def forecasts(level: float, **inputs: ArrayLike) -> list[np.ndarray]:
    """One series of returns with forecasts of their tail, checked for length and sign."""
    alpha = 1 - fraction(level, "level")
    arrays = aligned(**inputs)
    one_series(arrays[0], "returns", math.ceil(round(1 / alpha, 8)))
    losses(**dict(zip(list(inputs)[1:], arrays[1:], strict=True)))
    return arrays


def losses(**inputs: np.ndarray) -> None:
    """Refuse a VaR or ES that is not a loss, or an ES below the VaR."""
    var, es = inputs["var"], inputs.get("es")
    if (var < 0).any():
        raise ValueError(
            f"var is negative on {int((var < 0).sum())} days: a VaR is a loss >= 0 here, minus "
            "the quantile of the returns."
        )
    if es is not None and not ((es > 0).all() and (es >= var * (1 - 1e-12)).all()):
        raise ValueError("es must be a loss > 0 and never below var: are the two exchanged?")


def one_series(values: np.ndarray, name: str, least: int) -> None:
    """Refuse anything but one series of `least` or more."""
    if values.ndim != 1 or values.size < least:
        raise ValueError(
            f"{name} of shape {values.shape}: one series of {least} or more is needed; test "
            "several series one by one."
        )
