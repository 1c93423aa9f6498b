"""Comparing forecasts, with errors that respect dependence in time."""

import numpy as np
from numpy.typing import ArrayLike


def block_standard_error(values: ArrayLike, *, length: int = 21) -> float:
    r"""Standard error of the mean of a series that is dependent over short times.

    .. math:: \widehat{\mathrm{se}}(\bar v) = \frac{s_B}{\sqrt{B}}

    with :math:`s_B` the standard deviation of the means :math:`b_1, \dots, b_B` of
    :math:`B = \lfloor n / \text{length} \rfloor` consecutive blocks. Days within a month may
    depend on each other as they like; the usual :math:`s/\sqrt{n}` counts them as independent and
    is too small when violations or losses cluster. Longer blocks allow longer dependence and
    leave fewer of them. Carlstein (1986), https://doi.org/10.1214/aos/1176350057.

    Args:
        values: Series in time order, shape ``(n,)``: losses, differences of losses, hits.
        length: Days in a block; 21 is a month.

    Returns:
        Standard error, in units of the values.

    Raises:
        ValueError: If there are NaN, or too few values for ten blocks.
    """
    series = np.asarray(values, dtype=float)
    if series.ndim != 1 or series.size < 10 * length:
        raise ValueError(
            f"values of shape {series.shape}: one series of {10 * length} or more is needed for "
            f"ten blocks of {length}"
        )
    if not np.isfinite(series).all():
        raise ValueError("values hold NaN or inf; drop those days first")
    blocks = np.array([block.mean() for block in np.array_split(series, series.size // length)])
    return float(blocks.std(ddof=1) / np.sqrt(blocks.size))
