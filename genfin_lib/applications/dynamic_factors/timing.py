"""What dynamic factors say beside a covariance: bets on factors, and risk by factor."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from genfin_lib.applications.dynamic_factors.forecaster import FactorPath
from genfin_lib.trading import backtest

YEAR, COST = 252, 0.0005
# Days whose sum gives the side of a bet.
MOMENTUM, REVERSION = (21, 63, 126, 252), (1, 5)
BET_VOLATILITY = 0.10


class FactorBets(NamedTuple):
    """Portfolios that move with one factor each, and what they earned.

    Attributes:
        weights: Known the evening before, ``(n, S, M)``.
        returns: Of each day, in standard deviations of the factor, ``(n, M)``.
    """

    weights: np.ndarray
    returns: np.ndarray


def factor_bets(path: FactorPath, x: np.ndarray) -> FactorBets:
    r"""Portfolios of least variance that move one for one with a factor and not with the others.

    .. math:: W = D^{-1} E\,(E^\top D^{-1} E)^{-1}, \qquad E^\top W = I

    with exposures :math:`E` and own variances :math:`D` of the evening before: a factor itself
    cannot be bought, and the filtered factor of a day is known only after it. G. Connor and
    R. A. Korajczyk (1988), https://doi.org/10.1016/0304-405X(88)90062-1. Chapter: portfolios and
    warnings.

    Args:
        path: Of the days asked about.
        x: Returns of these days, units of the path's, ``(n, S)``.
    """
    weighted = path.exposures / path.own[..., None]
    weights = weighted @ np.linalg.inv(path.exposures.swapaxes(1, 2) @ weighted)
    return FactorBets(weights, np.einsum("tsm,ts->tm", weights, x))


def trend(returns: np.ndarray, days: int) -> np.ndarray:
    """Sign of the sum of the ``days`` rows before each row; zero where there are none."""
    total = np.cumsum(np.concatenate([np.zeros_like(returns[:1]), returns]), axis=0)
    rows = np.arange(len(returns))
    found: np.ndarray = np.sign(total[rows] - total[np.maximum(rows - days, 0)])
    return found


def bets(path: FactorPath, x: np.ndarray, simple: pd.DataFrame) -> pd.DataFrame:
    """Net daily per cent of bets on factors: trends of several lengths, both ways; and all long.

    Args:
        path: Daily.
        x: Percent log returns of its days.
        simple: Simple returns of the same days and the one before.
    """
    found = factor_bets(path, x)
    sides = {"long": np.ones_like(found.returns)}
    sides |= {f"momentum {days}": trend(found.returns, days) for days in MOMENTUM}
    sides |= {f"reversion {days}": -trend(found.returns, days) for days in REVERSION}
    covariances, columns = path.covariances(), {}
    for name, side in sides.items():
        weights = np.einsum("tsm,tm->ts", found.weights, side)
        variance = np.einsum("ts,tsr,tr->t", weights, covariances, weights)
        size = 100 * BET_VOLATILITY / np.sqrt(YEAR * np.maximum(variance, 1e-12))
        weights = weights * size[:, None]
        decided = pd.DataFrame(
            np.concatenate([weights, weights[-1:]]), simple.index, simple.columns
        )
        result = backtest(decided, simple, periods_per_year=YEAR, cost=COST)
        columns[name] = 100 * result.net_returns
        columns[f"{name}, trades"] = result.turnover
    return pd.DataFrame(columns).round(4).reset_index(names="date")


def risk_shares(path: FactorPath, weights: np.ndarray) -> np.ndarray:
    r"""Share of each factor, and last of own noise, in the forecast variance of a portfolio.

    .. math:: w^\top (E E^\top + D)\, w = \sum_m (E^\top w)_m^2 + \sum_i d_i w_i^2

    Factors of one day are uncorrelated before it, so that the parts need no covariances between
    them. They are shares of *these* factors: turn the factors and the shares are others, the sum
    is not.

    Args:
        path: Of the days asked about.
        weights: ``(S,)``, or of each day ``(n, S)``.

    Returns:
        ``(n, M + 1)``, rows that sum to one.
    """
    w = np.broadcast_to(weights, path.own.shape)
    parts = np.square(np.einsum("tsm,ts->tm", path.exposures, w))
    own = (path.own * np.square(w)).sum(axis=1, keepdims=True)
    every = np.concatenate([parts, own], axis=1)
    shares: np.ndarray = every / every.sum(axis=1, keepdims=True)
    return shares


def turned(path: FactorPath) -> FactorPath:
    r"""The same law on axes that stay near those of the first day, its principal ones.

    .. math:: \min_{Q^\top Q = I} \|E_t Q - U S\|, \qquad E_1 = U S V^\top

    then :math:`E Q` and :math:`Q^\top f`: covariances and :math:`E f` are the same. The slow
    loadings have the axes of an old correlation, and what a fitted model adds, scales of factors
    and a correction, is not in them. Here the axes are those of the exposures: the first is where
    all stocks move most, the market. P. H. Schoenemann (1966), https://doi.org/10.1007/BF02289451.

    Args:
        path: Daily.
    """
    u, s, _ = np.linalg.svd(path.exposures[0], full_matrices=False)
    measure = u * s * np.where(u.sum(axis=0) < 0, -1.0, 1.0)
    left, _, right = np.linalg.svd(path.exposures.swapaxes(1, 2) @ measure)
    q = left @ right
    factors = np.einsum("tm,tmk->tk", path.factors, q)
    return path._replace(exposures=path.exposures @ q, factors=factors)


def joined(paths: list[FactorPath]) -> FactorPath:
    """Stretches one below the other."""
    return FactorPath(*(np.concatenate(parts) for parts in zip(*paths, strict=True)))
