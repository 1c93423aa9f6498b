"""What a dynamic factor model is given: returns over their volatility, slow loadings, features."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from genfin_lib.applications.features import LEAST_SHARE, MarketContext, moving_volatility
from genfin_lib.risk.validation import finite, fraction

# Per cent: before a series has moved at all there is no volatility to go by.
LEAST = 1e-3
# In units of volatility: one day of one stock may not decide a correlation.
LARGEST_MOVE = 8.0
# Communality of a series: its own noise keeps a twentieth of the variance.
LARGEST_SHARED = 0.95


class Inputs(NamedTuple):
    """Day by day; of row ``t`` everything but ``y`` is known the evening before.

    Attributes:
        index: The days.
        scale: Volatility, ``(n, S)``, in units of the returns.
        y: Returns over ``scale``, ``(n, S)``.
        loadings: Of the slow correlation, ``(n, S, M)``, turned to fit the day before.
        features: Of each series, ``(n, S, A)``; the market's nine come last.
    """

    index: pd.Index
    scale: np.ndarray
    y: np.ndarray
    loadings: np.ndarray
    features: np.ndarray


def factor_inputs(
    returns: pd.DataFrame,
    *,
    factors: int = 5,
    volatility_decay: float = 0.97,
    correlation_decay: float = 0.995,
) -> Inputs:
    """Inputs of all days but the first, which has no evening before.

    Args:
        returns: Percent log returns, in order of time, one column a series.
        factors: Number of slow factors.
        volatility_decay: Of the EWMA of squares, a day.
        correlation_decay: Of the EWMA of products, a day.

    Raises:
        ValueError: NaN, or a decay outside (0, 1).
    """
    x = finite(returns, "returns")
    half_life = np.log(0.5) / np.log(fraction(volatility_decay, "volatility_decay"))
    slow = moving_volatility(x, 125)
    least = np.maximum(LEAST_SHARE * slow, LEAST)
    scale = np.maximum(moving_volatility(x, half_life), least)[:-1]
    y = x[1:] / scale
    correlation = ewma_correlation(y, decay=correlation_decay)
    loadings = align(principal_factors(correlation, factors))
    # Row t of the correlation has seen day t: tomorrow's model gets it.
    before = np.concatenate([np.zeros_like(loadings[:1]), loadings[:-1]])
    return Inputs(returns.index[1:], scale, y, before, MarketContext()(returns).features[:-1])


def ewma_correlation(y: np.ndarray, *, decay: float = 0.995) -> np.ndarray:
    r"""Exponentially weighted correlation of each day, that day included, ``(n, S, S)``.

    .. math:: Q_t = \lambda Q_{t-1} + (1 - \lambda)\, y_t y_t^\top, \qquad Q_0 = I

    Args:
        y: Returns over their volatility, ``(n, S)``; cut at eight.
        decay: :math:`\lambda`.

    Raises:
        ValueError: a decay outside (0, 1).
    """
    fraction(decay, "decay")
    cut = np.clip(y, -LARGEST_MOVE, LARGEST_MOVE)
    products = cut[:, :, None] * cut[:, None, :]
    start = decay * np.eye(y.shape[1])[None]
    q, _ = lfilter([1 - decay], [1.0, -decay], products, axis=0, zi=start)
    size = np.sqrt(np.einsum("tii->ti", q))
    correlation: np.ndarray = q / (size[:, :, None] * size[:, None, :])
    return correlation


def principal_factors(correlation: np.ndarray, factors: int, *, rounds: int = 3) -> np.ndarray:
    r"""Loadings of principal factors, ``(n, S, M)``: principal components of what is shared.

    .. math:: B = V_M\, \ell_M^{1/2}, \qquad V \ell V^\top = R - \mathrm{diag}(1 - c), \qquad
        c_i = \|B_i\|^2

    The communalities :math:`c` are one at first, which is principal components, and follow from
    the loadings in each round. Harman (1976), Modern Factor Analysis, ISBN 0226316521.

    Args:
        correlation: ``(n, S, S)``.
        factors: :math:`M`.
        rounds: Rounds after the first.
    """
    shared = np.ones(correlation.shape[:2])
    one = np.eye(correlation.shape[-1])
    for _ in range(rounds + 1):
        values, vectors = np.linalg.eigh(correlation - one * (1 - shared)[:, None, :])
        top = np.maximum(values[:, None, : -factors - 1 : -1], 0)
        loadings: np.ndarray = vectors[:, :, : -factors - 1 : -1] * np.sqrt(top)
        shared = np.minimum(np.square(loadings).sum(axis=-1), LARGEST_SHARED)
    return loadings


def align(loadings: np.ndarray) -> np.ndarray:
    r"""Turn the loadings of each day towards those of the day before.

    .. math:: \min_{Q^\top Q = I} \|B_t Q - B_{t-1}\|, \qquad Q = U V^\top, \quad
        B_t^\top B_{t-1} = U D V^\top

    Factors are known up to a rotation; unless it is fixed, their path is that of the eigenvectors'
    signs. P. H. Schoenemann (1966), https://doi.org/10.1007/BF02289451.

    Args:
        loadings: ``(n, S, M)``; the first day keeps its axes, signs such that columns sum above 0.
    """
    turned = loadings * np.where(loadings[:1].sum(axis=1, keepdims=True) < 0, -1.0, 1.0)
    for t in range(1, len(turned)):
        u, _, v = np.linalg.svd(turned[t].T @ turned[t - 1])
        turned[t] = turned[t] @ (u @ v)
    return turned
