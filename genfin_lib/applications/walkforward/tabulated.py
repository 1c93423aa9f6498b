r"""Predictive laws of many days as tables of quantiles, so that they can be averaged and corrected.

A walk-forward of flows takes minutes, an average of its laws or a correction of their
probabilities seconds: the laws are tabulated once, and what can be made of them is tried offline.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.special import expit, logit, logsumexp

# Even steps of the log-odds reach far into both tails: 3e-8 and as much below one.
LOGITS = np.linspace(-17.0, 17.0, 103)
GRID = expit(LOGITS)
STEP = LOGITS[1] - LOGITS[0]


class Tabulated(NamedTuple):
    """Laws of one series, one a day, and how they stood to what came.

    Attributes:
        quantiles: At the probabilities `GRID`, ``(days, len(GRID))``, increasing along the rows.
        pit: Distribution function of each day at its return, ``(days,)``.
        log_prob: Log-density of each day at its return, ``(days,)``.
    """

    quantiles: np.ndarray
    pit: np.ndarray
    log_prob: np.ndarray


def quantiles_at(table: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Quantiles between the tabulated ones, by cubic pieces in the log-odds.

    Args:
        table: Quantiles at `GRID`, ``(days, len(GRID))``.
        u: Probabilities of each day, ``(days, m)``.

    Returns:
        ``(days, m)``; beyond the ends of the table the last piece goes on.
    """
    return _piece(table, _slopes(table), logit(u))[0]


def quantile_average(
    laws: Sequence[Tabulated], weights: Sequence[float], came: np.ndarray
) -> Tabulated:
    """Mean of the quantile functions, as `AveragedLaw`, from tables.

    Args:
        laws: Laws of the same days.
        weights: Of each, summing to one.
        came: Return of each day, ``(days,)``.
    """
    table = np.tensordot(np.asarray(weights), np.stack([law.quantiles for law in laws]), axes=1)
    slopes = _slopes(table)
    # The first guess is linear in its piece; Newton's steps stay inside it.
    right = np.clip((table < came[:, None]).sum(axis=1), 1, len(GRID) - 1)
    rows = np.arange(len(table))
    low, high = table[rows, right - 1], table[rows, right]
    at = LOGITS[right - 1] + STEP * (came - low) / (high - low)
    for _ in range(8):
        value, slope = (part[:, 0] for part in _piece(table, slopes, at[:, None]))
        at = np.clip(at - (value - came) / slope, LOGITS[right - 1], LOGITS[right])
    u, slope = expit(at), _piece(table, slopes, at[:, None])[1][:, 0]
    return Tabulated(table, u, np.log(u) + np.log1p(-u) - np.log(slope))


def linear_pool(laws: Sequence[Tabulated], weights: Sequence[float]) -> Tabulated:
    r"""Mean of the distribution functions: a mixture, wider than its parts.

    .. math:: F(x) = \sum_k w_k F_k(x), \qquad f(x) = \sum_k w_k f_k(x)

    Args:
        laws: Laws of the same days.
        weights: Of each, summing to one.
    """
    share = np.asarray(weights)
    pit = np.tensordot(share, np.stack([law.pit for law in laws]), axes=1)
    log_prob = logsumexp([law.log_prob for law in laws], axis=0, b=share[:, None])
    rows = []
    for parts in zip(*(law.quantiles for law in laws), strict=True):
        # At every tabulated point of every part; between them the log-odds are taken as linear.
        x = np.sort(np.concatenate(parts))
        mass = share @ expit([np.interp(x, part, LOGITS) for part in parts])
        rows.append(np.interp(LOGITS, logit(mass), x))
    return Tabulated(np.stack(rows), pit, log_prob)


def _slopes(table: np.ndarray) -> np.ndarray:
    return CubicSpline(LOGITS, table, axis=1)(LOGITS, 1)


def _piece(table: np.ndarray, slopes: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Value and slope of the cubic Hermite interpolant at log-odds ``at``, ``(days, m)``."""
    left = np.clip(((at - LOGITS[0]) / STEP).astype(int), 0, len(LOGITS) - 2)
    s = (at - LOGITS[left]) / STEP
    (y0, y1), (d0, d1) = (
        (np.take_along_axis(a, left, 1), np.take_along_axis(a, left + 1, 1))
        for a in (table, slopes)
    )
    d0, d1, rise = STEP * d0, STEP * d1, y1 - y0
    c2, c3 = 3 * rise - 2 * d0 - d1, d0 + d1 - 2 * rise
    return y0 + s * (d0 + s * (c2 + s * c3)), (d0 + s * (2 * c2 + 3 * s * c3)) / STEP
