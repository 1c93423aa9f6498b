"""Probabilities corrected day by day by those of the days before: beta, isotonic, Hill tails."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special

from genfin_lib.applications.forecasters.recalibration import beta_from_means

PRIOR = 500.0  # imagined days on which the forecaster was right
# Where the isotonic correction may bend: finer where risk is.
KNOTS = np.array([0, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5])
KNOTS = np.concatenate([KNOTS, 1 - KNOTS[-2::-1]])
TAIL = 0.1  # share of days that a tail correction learns from, on either side


class Correction(NamedTuple):
    r"""A law's own law of probabilities :math:`G_t`, as known on the evening before each day.

    .. math:: \tilde F_t = G_t \circ F_t, \qquad \log \tilde f_t = \log f_t + \log g_t(F_t)

    Attributes:
        pit: :math:`G_t(u_t)`, ``(days,)``.
        log_density: :math:`\log g_t(u_t)`, ``(days,)``.
        inverse: From probabilities ``(m,)`` or ``(days, m)`` to those to ask the law for,
            :math:`G_t^{-1}`, ``(days, m)``.
    """

    pit: np.ndarray
    log_density: np.ndarray
    inverse: Callable[[np.ndarray], np.ndarray]


def beta_online(u: np.ndarray) -> Correction:
    """The beta law of `beta_shapes`, estimated anew every day from all days before.

    Args:
        u: Probabilities of a forecaster at the returns that came, in order of time, ``(days,)``.
    """
    u = _inside(u)
    days = _before(np.ones_like(u)) + PRIOR
    # A uniform variable has E log u = -1.
    means = np.stack([_before(np.log(side)) - PRIOR for side in (u, 1 - u)]) / days
    a, b = beta_from_means(means)
    slope = special.xlogy(a - 1, u) + special.xlog1py(b - 1, -u) - special.betaln(a, b)
    return Correction(
        special.betainc(a, b, u),
        slope,
        lambda v: special.betaincinv(a[:, None], b[:, None], v),
    )


def isotonic_online(u: np.ndarray) -> Correction:
    r"""Empirical distribution of all days before, linear between `KNOTS`, drawn towards uniform.

    .. math:: G_t(k) = \frac{\#\{s < t : u_s \le k\} + n_0\, k}{t - 1 + n_0} \quad\text{at knots } k

    The isotonic regression of the indicators :math:`1\{u_s \le k\}` on :math:`k` is this function:
    it increases by itself. V. Kuleshov, N. Fenner and S. Ermon (2018), Accurate uncertainties for
    deep learning using calibrated regression, https://proceedings.mlr.press/v80/kuleshov18a.html.

    Args:
        u: As for `beta_online`.
    """
    u = _inside(u)
    cell = np.searchsorted(KNOTS, u) - 1
    widths, rows = np.diff(KNOTS), np.arange(len(u))
    days = _before(np.ones_like(u)) + PRIOR
    share = (_before(np.eye(len(widths))[cell]) + PRIOR * widths) / days[:, None]
    heights = np.concatenate([np.zeros((len(u), 1)), share.cumsum(axis=1)], axis=1)
    steep = share[rows, cell] / widths[cell]

    def inverse(v: np.ndarray) -> np.ndarray:
        asked = np.broadcast_to(v, (len(u), np.shape(v)[-1]))
        pairs = zip(asked, heights / heights[:, -1:], strict=True)
        return np.stack([np.interp(row, height, KNOTS) for row, height in pairs])

    return Correction(heights[rows, cell] + steep * (u - KNOTS[cell]), np.log(steep), inverse)


def tails_online(u: np.ndarray) -> Correction:
    r"""Share and Hill exponent of each tail, from all days before; linear in the middle.

    .. math:: G_t(u) = \pi_t\, (u / u_0)^{1/\beta_t} \quad (u < u_0), \qquad
        \pi_t = \frac{\#\{u_s < u_0\} + n_0 u_0}{t - 1 + n_0}, \quad
        \beta_t = \frac{\sum_{u_s < u_0} \log(u_0 / u_s) + n_0 u_0}{\#\{u_s < u_0\} + n_0 u_0}

    and likewise above. Below :math:`u_0` probabilities of a right law have :math:`\log(u_0/u)`
    exponential with mean one; :math:`\beta`, Hill's estimator on probabilities, is that mean. Above
    one the tail is heavier than the law said: a tail index :math:`\nu` becomes :math:`\nu/\beta`.
    B. M. Hill (1975), https://doi.org/10.1214/aos/1176343247. Chapter: risk forecasts.

    Args:
        u: As for `beta_online`.
    """
    u = _inside(u)
    days = _before(np.ones_like(u)) + PRIOR
    sides = []
    for side in (u, 1 - u):
        beyond = side < TAIL
        count = _before(beyond.astype(float)) + PRIOR * TAIL
        excess = np.log(TAIL / np.minimum(side, TAIL))
        sides.append((count / days, (_before(excess) + PRIOR * TAIL) / count))
    (low, a), (high, b) = sides
    middle = (1 - low - high) / (1 - 2 * TAIL)
    regions = [u < TAIL, u > 1 - TAIL]
    pit = [low * (u / TAIL) ** (1 / a), 1 - high * ((1 - u) / TAIL) ** (1 / b)]
    slope = [
        np.log(share / (TAIL * power)) + (1 / power - 1) * np.log(side / TAIL)
        for share, power, side in ((low, a, u), (high, b, 1 - u))
    ]

    def inverse(v: np.ndarray) -> np.ndarray:
        v = np.broadcast_to(v, (len(u), np.shape(v)[-1]))
        p, q, one, other = (part[:, None] for part in (low, high, a, b))
        lower, upper = TAIL * (v / p) ** one, 1 - TAIL * ((1 - v) / q) ** other
        return np.select([v < p, v > 1 - q], [lower, upper], TAIL + (v - p) / middle[:, None])

    return Correction(
        np.select(regions, pit, low + middle * (u - TAIL)),
        np.select(regions, slope, np.log(middle)),
        inverse,
    )


def _inside(u: np.ndarray) -> np.ndarray:
    u = np.asarray(u, dtype=np.float64)
    if u.ndim != 1 or not ((u >= 0) & (u <= 1)).all():
        raise ValueError(f"u of shape {u.shape}: probabilities of one series, in [0, 1], needed.")
    return np.clip(u, 1e-12, 1 - 1e-12)


def _before(x: np.ndarray) -> np.ndarray:
    """Sum over all days before each day: the day itself is not known yet."""
    return np.concatenate([np.zeros_like(x[:1]), x.cumsum(axis=0)[:-1]])
