"""From a covariance to shares of the capital."""

import numpy as np
import pandas as pd
from scipy.linalg import solve_triangular
from scipy.optimize import nnls


def minimum_variance(
    covariance: pd.DataFrame | np.ndarray, *, long_only: bool = False
) -> pd.Series | np.ndarray:
    r"""The fully invested portfolio of least variance.

    .. math:: \min_w\; w^\top \Sigma w \quad \text{with} \quad \textstyle\sum_j w_j = 1, \qquad
        w = \frac{\Sigma^{-1} 1}{1^\top \Sigma^{-1} 1}

    and with :math:`w \ge 0` if `long_only`: then :math:`w` is proportional to the non-negative
    :math:`v` that makes :math:`v^\top\Sigma v - 2\sum_j v_j = \|L^\top v - L^{-1} 1\|^2` + constant
    least, :math:`\Sigma = LL^\top`, a least-squares problem that is solved exactly. No expected
    return is needed, so the realised variance of the portfolio judges the covariance and
    nothing else. H. Markowitz (1952), Portfolio selection, J. Finance 7,
    https://doi.org/10.1111/j.1540-6261.1952.tb01525.x; why the constraint helps: R. Jagannathan and
    T. Ma (2003), J. Finance 58, https://doi.org/10.1111/1540-6261.00580.

    Args:
        covariance: Of simple returns, positive definite, `(assets, assets)`.
        long_only: Whether short positions are forbidden.

    Returns:
        Weights that sum to one, `(assets,)`; a series for a frame.

    Raises:
        ValueError: a matrix that is not square, finite, symmetric and positive definite.
    """
    sigma = np.asarray(covariance, dtype=np.float64)
    if sigma.ndim != 2 or sigma.shape[0] != sigma.shape[1] or not np.isfinite(sigma).all():
        raise ValueError(f"covariance of shape {sigma.shape}: a finite square matrix is needed")
    if not np.allclose(sigma, sigma.T, rtol=1e-8, atol=1e-10 * np.abs(sigma).max()):
        raise ValueError("covariance is not symmetric: give (S + S.T) / 2 if that is what is meant")
    try:
        root = np.linalg.cholesky(sigma)
    except np.linalg.LinAlgError:
        raise ValueError(
            "covariance is not positive definite: fewer rows than assets, or assets that determine "
            "each other; shrink it or use a factor model"
        ) from None
    target = solve_triangular(root, np.ones(len(sigma)), lower=True)
    weights = nnls(root.T, target)[0] if long_only else solve_triangular(root.T, target)
    weights = weights / weights.sum()
    if isinstance(covariance, pd.DataFrame):
        return pd.Series(weights, index=covariance.index, name="weight")
    return weights
