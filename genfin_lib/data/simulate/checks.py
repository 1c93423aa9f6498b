"""What the simulators ask of their parameters, and how they complain."""

import numpy as np
from numpy.typing import ArrayLike


def count(value: int, name: str) -> int:
    """A whole number of at least one, or a `ValueError` that names the parameter."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be a whole number of 1 or more, got {value!r}")
    return int(value)


def positive(value: ArrayLike, name: str) -> np.ndarray:
    """Finite numbers above zero as float64, or a `ValueError` that names the parameter."""
    x = np.asarray(value, dtype=np.float64)
    if not (np.isfinite(x) & (x > 0)).all():
        raise ValueError(f"{name} must be finite and above 0, got {value!r}")
    return x


def finite(value: ArrayLike, name: str) -> np.ndarray:
    """Finite numbers as float64, or a `ValueError` that names the parameter."""
    x = np.asarray(value, dtype=np.float64)
    if not np.isfinite(x).all():
        raise ValueError(f"{name} must be finite, got {value!r}")
    return x


def transition_matrix(value: ArrayLike) -> np.ndarray:
    """A matrix of transition probabilities with one stationary law, `(states, states)`.

    Raises:
        ValueError: not square, a negative entry, a row that does not add up to one, or a chain
            that falls apart into parts which never meet, so that no law is *the* stationary one.
    """
    matrix = np.asarray(value, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise ValueError(f"transition of shape {matrix.shape}: (states, states) is needed")
    if not (matrix >= 0).all() or not np.allclose(matrix.sum(axis=1), 1.0, rtol=0, atol=1e-12):
        raise ValueError(f"each row of transition must be probabilities with sum 1, got {value!r}")
    eigenvalues = np.linalg.eigvals(matrix)
    if (np.abs(eigenvalues - 1) < 1e-9).sum() > 1:
        raise ValueError("transition falls into parts that never meet: no single stationary law")
    return matrix


def degrees(value: float) -> float:
    """Degrees of freedom with a finite variance: above 2, infinity for the Gaussian."""
    if not value > 2:
        raise ValueError(
            f"degrees_of_freedom must be above 2 for a finite variance (infinity: Gaussian), "
            f"got {value!r}"
        )
    return float(value)
