"""Each stylised fact as a function of means, so that resampling it is a matrix product."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy import integrate, stats


class Fact(NamedTuple):
    """One stylised fact of one sample.

    Attributes:
        name: What is measured.
        lag: Lag or horizon in steps; 0 where there is none.
        columns: What is averaged, `(rows, p)`; NaN where a row has no value, as at a path's end.
        value: From the means of the columns, `(..., p)`, to the fact, `(...)`.
        gaussian: Its value for independent Gaussian returns.
    """

    name: str
    lag: int
    columns: np.ndarray
    value: Callable[[np.ndarray], np.ndarray]
    gaussian: float


def all_facts(paths: np.ndarray, *, lags: Sequence[int], tail: float) -> Iterator[Fact]:
    """The facts of standardised `paths`, `(paths, T)`, in the order of the tables."""
    r = paths
    yield Fact("skewness", 0, powers(r, 3), skewness, 0.0)
    yield Fact("excess kurtosis", 0, powers(r, 4), excess_kurtosis, 0.0)
    for name, losses in (("left tail index", -r), ("right tail index", r)):
        yield Fact(name, 0, over_threshold(losses, tail), hill, gaussian_hill(tail))
    for name, x, y in (
        ("autocorrelation of returns", r, r),
        ("autocorrelation of absolute returns", np.abs(r), np.abs(r)),
        ("autocorrelation of squared returns", r**2, r**2),
        ("leverage: return and later square", r, r**2),
    ):
        for lag in lags:
            yield Fact(name, lag, products(x, later(y, lag)), correlation, 0.0)
    for horizon in lags:
        if horizon > 1:
            total = sums(r, horizon)
            yield Fact("excess kurtosis of sums", horizon, powers(total, 4), excess_kurtosis, 0.0)


def later(x: np.ndarray, lag: int) -> np.ndarray:
    """Values `lag` steps later, NaN past the end of a path, `(paths, T)`."""
    shifted = np.full_like(x, np.nan)
    shifted[:, :-lag] = x[:, lag:]
    return shifted


def sums(x: np.ndarray, horizon: int) -> np.ndarray:
    """Sums over the next `horizon` steps, NaN where the path is too short, `(paths, T)`."""
    total = np.full_like(x, np.nan)
    total[:, : 1 - horizon] = np.lib.stride_tricks.sliding_window_view(x, horizon, axis=1).sum(-1)
    return total


def powers(x: np.ndarray, highest: int) -> np.ndarray:
    """Powers one to `highest`, `(rows, highest)`."""
    return np.stack([x.ravel() ** k for k in range(1, highest + 1)], axis=1)


def products(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What a correlation is made of, only where both are known, `(rows, 5)`."""
    x = np.where(np.isnan(y), np.nan, x)
    return np.stack([a.ravel() for a in (x, y, x * x, y * y, x * y)], axis=1)


def over_threshold(x: np.ndarray, tail: float) -> np.ndarray:
    """Excess of the logarithm over the threshold and whether there is one, `(rows, 2)`."""
    flat = x.ravel()
    above = flat > tail_threshold(flat, tail)
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = np.log(flat / tail_threshold(flat, tail))
    return np.stack([np.where(above, excess, 0.0), above], axis=1).astype(np.float64)


def tail_threshold(x: np.ndarray, tail: float) -> float:
    """The order statistic below the largest `tail` of the values; must be positive."""
    count = math.floor(tail * x.size)
    threshold = float(np.partition(x, x.size - count - 1)[x.size - count - 1])
    if threshold <= 0:
        raise ValueError(
            f"the largest {tail:.0%} of the values start at {threshold:.3g}, but a tail index "
            "needs a positive threshold: use a smaller tail"
        )
    return threshold


def skewness(m: np.ndarray) -> np.ndarray:
    """Third standardised moment, from means of powers."""
    mean, square, cube = m[..., 0], m[..., 1], m[..., 2]
    return (cube - 3 * mean * square + 2 * mean**3) / (square - mean**2) ** 1.5


def excess_kurtosis(m: np.ndarray) -> np.ndarray:
    """Fourth standardised moment less three, from means of powers."""
    mean, square, cube, fourth = (m[..., k] for k in range(4))
    central = fourth - 4 * mean * cube + 6 * mean**2 * square - 3 * mean**4
    return central / (square - mean**2) ** 2 - 3


def correlation(m: np.ndarray) -> np.ndarray:
    """Correlation, from means of products."""
    x, y, xx, yy, xy = (m[..., k] for k in range(5))
    return (xy - x * y) / np.sqrt((xx - x**2) * (yy - y**2))


def hill(m: np.ndarray) -> np.ndarray:
    """Tail index: share above the threshold over mean log excess."""
    return m[..., 1] / m[..., 0]


def gaussian_hill(tail: float) -> float:
    """The limit of Hill's estimator on a Gaussian sample: finite, since `tail` is fixed."""
    u = stats.norm.isf(tail)
    excess = integrate.quad(lambda x: math.log(x / u) * stats.norm.pdf(x), u, 40)[0]
    return float(tail / excess)
