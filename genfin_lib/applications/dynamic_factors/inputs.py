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
# Days after which a correlation has axes of its own.
SETTLED = 250
# Communality of a series: its own noise keeps a twentieth of the variance.
LARGEST_SHARED = 0.95


class Inputs(NamedTuple):
    """Day by day; of row ``t`` everything but ``y`` is known the evening before.

    Attributes:
        index: The days.
        scale: Volatility, ``(n, S)``, in units of the returns.
        y: Returns over ``scale``, ``(n, S)``; NaN where there was none.
        loadings: Of the slow correlation, ``(n, S, M)``, on steady axes. (The axes are those of one
            day, a year after the first.)
        features: Of each series, ``(n, S, A)``; the market's nine come last.
    """

    index: pd.Index
    scale: np.ndarray
    y: np.ndarray
    loadings: np.ndarray
    features: np.ndarray


class Carried(NamedTuple):
    """Returns of series that do not always trade.

    Attributes:
        returns: Percent log returns; zero over a gap, and the whole move when it ends.
        seen: Whether a price stood at both ends of the step, ``(n, S)``.
    """

    returns: pd.DataFrame
    seen: np.ndarray


def carried(closes: pd.DataFrame) -> Carried:
    """Returns where the last price stands until the next one; which of them are of one step.

    A portfolio is valued so, and averages of squares over a gap are right with it: a step of zero,
    then a move of two steps. A law of *one* step may be judged by neither of them.

    Args:
        closes: One column a series, NaN where it did not trade; every moment of the clock a row.
            Rows before all series have begun are left out.

    Raises:
        ValueError: a series without a price, or a price that is not positive.
    """
    standing = closes.ffill().dropna()
    if standing.empty or not (standing > 0).all(axis=None):
        raise ValueError("closes: a positive price of each series is needed, NaN where none was")
    there = closes.loc[standing.index].notna().to_numpy()
    returns = 100 * np.log(standing).diff().iloc[1:]
    return Carried(returns, there[1:] & there[:-1])


def factor_inputs(
    returns: pd.DataFrame,
    *,
    seen: np.ndarray | None = None,
    factors: int = 5,
    volatility_decay: float = 0.97,
    correlation_decay: float = 0.995,
) -> Inputs:
    """Inputs of all days but the first, which has no evening before.

    Args:
        returns: Percent log returns, in order of time, one column a series.
        seen: Where they are returns of one step, from `carried`; the rest is no day to judge or to
            learn from, and NaN in ``y``. Everywhere if ``None``.
        factors: Number of slow factors.
        volatility_decay: Of the EWMA of squares, a day.
        correlation_decay: Of the EWMA of products, a day.

    Raises:
        ValueError: NaN, ``seen`` of another shape, or a decay outside (0, 1).
    """
    x = finite(returns, "returns")
    seen = np.ones(x.shape, dtype=bool) if seen is None else seen
    if seen.shape != x.shape:
        raise ValueError(f"seen of shape {seen.shape}: that of the returns, {x.shape}, is needed")
    half_life = np.log(0.5) / np.log(fraction(volatility_decay, "volatility_decay"))
    slow = moving_volatility(x, 125)
    least = np.maximum(LEAST_SHARE * slow, LEAST)
    scale = np.maximum(moving_volatility(x, half_life), least)[:-1]
    y = x[1:] / scale
    correlation = ewma_correlation(y, decay=correlation_decay)
    loadings = align(principal_factors(correlation, factors))
    # Row t of the correlation has seen day t: tomorrow's model gets it.
    before = np.concatenate([np.zeros_like(loadings[:1]), loadings[:-1]])
    y = np.where(seen[1:], y, np.nan)
    return Inputs(returns.index[1:], scale, y, before, MarketContext()(returns).features[:-1])


def ewma_correlation(y: np.ndarray, *, decay: float = 0.995) -> np.ndarray:
    r"""Exponentially weighted correlation of each day, that day included, ``(n, S, S)``.

    .. math:: Q_t = \lambda Q_{t-1} + (1 - \lambda)\, y_t y_t^\top, \qquad Q_0 = I

    Args:
        y: Returns over their volatility, ``(n, S)``; cut at eight.
        decay: :math:`\lambda`.

    Raises:
        ValueError: NaN, or a decay outside (0, 1).
    """
    fraction(decay, "decay")
    cut = np.clip(finite(y, "y"), -LARGEST_MOVE, LARGEST_MOVE)
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


def align(loadings: np.ndarray, *, settled: int = SETTLED) -> np.ndarray:
    r"""Turn the loadings of each day towards those of the day before.

    .. math:: \min_{Q^\top Q = I} \|B_t Q - B_{t-1}\|, \qquad Q = U V^\top, \quad
        B_t^\top B_{t-1} = U D V^\top

    Factors are known up to a rotation; unless it is fixed, their path is that of the eigenvectors'
    signs. The first axes cannot be those of the first day: a correlation one day old is nearly the
    identity, the spaces of the first days hardly overlap, and rounding turns what follows. So one
    day a year on keeps its principal axes, signs such that columns sum above 0, and days before it
    are turned towards the day after. P. H. Schoenemann (1966), https://doi.org/10.1007/BF02289451.

    Args:
        loadings: ``(n, S, M)``.
        settled: Row of the day that keeps its axes; the last one if there are not so many.
    """
    settled = min(settled, len(loadings) - 1)
    signs = np.where(loadings[settled].sum(axis=0) < 0, -1.0, 1.0)
    turned = loadings * signs
    later = ((t, t - 1) for t in range(settled + 1, len(turned)))
    earlier = ((t, t + 1) for t in reversed(range(settled)))
    for t, known in (*later, *earlier):
        u, _, v = np.linalg.svd(turned[t].T @ turned[known])
        turned[t] = turned[t] @ (u @ v)
    return turned
