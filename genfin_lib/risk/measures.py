"""Value at risk and expected shortfall of samples and of two textbook distributions.

Signed returns in, losses out: a VaR of 0.02 is a loss of 2 % (or of 0.02 in whatever
unit the returns have). A negative VaR is a gain even in the bad case; it is returned as
it is, because clipping at zero would break translation equivariance.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from genfin_lib.risk.validation import finite, fraction


def value_at_risk(returns: ArrayLike, *, level: float = 0.99, axis: int = 0) -> float | np.ndarray:
    r"""The loss that is exceeded with probability `1 - level` at most: an empirical quantile.

    .. math:: \mathrm{VaR} = -\inf\{x : F_n(x) \ge \alpha\} = -x_{(\lceil n \alpha \rceil)},
        \qquad \alpha = 1 - \text{level}

    The lower quantile of the returns, by the inverse of the empirical distribution function:
    an observation and not an interpolation between two, so that it is the VaR *of the
    empirical distribution* and never exceeds `expected_shortfall`. VaR is not subadditive:
    two risks together can show more of it than apart. Source: C. Acerbi and D. Tasche (2002),
    On the coherence of expected shortfall, J. Banking & Finance 26,
    https://doi.org/10.1016/S0378-4266(02)00283-2.

    Args:
        returns: Sample of signed returns, `(n,)` or more dimensions.
        level: Coverage, 0.99 for the loss exceeded on one day in a hundred.
        axis: The axis of the sample: 0 for `(n, assets)`, 1 for draws `(days, n)`.

    Returns:
        Loss in units of the returns: a float, or an array without `axis`.

    Raises:
        ValueError: level outside (0, 1), NaN, or fewer than `1 / (1 - level)` returns.
    """
    ordered, rank, _ = _tail(returns, level, axis)
    return -ordered[rank - 1]


def expected_shortfall(
    returns: ArrayLike, *, level: float = 0.99, axis: int = 0
) -> float | np.ndarray:
    r"""The mean loss in the worst `1 - level` of cases.

    .. math:: \mathrm{ES} = -\frac{1}{n\alpha} \Bigl(\sum_{i=1}^{k-1} x_{(i)}
        + (n\alpha - k + 1)\, x_{(k)}\Bigr), \quad k = \lceil n\alpha \rceil, \;
        \alpha = 1 - \text{level}

    The observation on the boundary counts with the fraction of it that lies in the
    tail. The mean of all returns below :math:`-\mathrm{VaR}` has no such fraction; with
    ties or atoms it is not subadditive, and this is. Never below `value_at_risk`.
    Source: C. Acerbi and D. Tasche (2002), On the coherence of expected shortfall,
    J. Banking & Finance 26, https://doi.org/10.1016/S0378-4266(02)00283-2.

    Args:
        returns: Sample of signed returns, `(n,)` or more dimensions.
        level: Coverage, 0.99 for the mean of the worst 1 %.
        axis: The axis of the sample.

    Returns:
        Loss in units of the returns: a float, or an array without `axis`.

    Raises:
        ValueError: as for `value_at_risk`.
    """
    ordered, rank, mass = _tail(returns, level, axis)
    boundary = (mass - rank + 1) * ordered[rank - 1]
    return -(ordered[: rank - 1].sum(axis=0) + boundary) / mass


def var_confidence_interval(
    returns: ArrayLike, *, level: float = 0.99, confidence: float = 0.95
) -> tuple[float, float]:
    r"""Distribution-free confidence interval of the VaR, from two order statistics.

    The number of returns below the true quantile is :math:`B \sim \mathrm{Bin}(n,
    \alpha)` whatever the continuous distribution, so

    .. math:: P(x_{(r)} \le q_\alpha < x_{(s)}) = P(r \le B \le s - 1)

    and :math:`r, s` are the closest ranks that leave at most half of `1 - confidence` on
    each side. It holds for *independent* returns: clustered volatility makes the
    true uncertainty larger. Source: H. A. David and H. N. Nagaraja (2003), Order
    Statistics, 3rd ed., section 7.1, https://doi.org/10.1002/0471722162.

    Args:
        returns: Sample of signed returns, `(n,)`.
        level: Coverage of the VaR.
        confidence: Of the interval; reached or exceeded.

    Returns:
        Lower and upper end, losses in units of the returns.

    Raises:
        ValueError: level or confidence outside (0, 1), NaN, more than one dimension, or
            a sample too small to have an order statistic on either side.
    """
    alpha, half = 1 - fraction(level, "level"), (1 - fraction(confidence, "confidence")) / 2
    x = _sample(returns, 0)
    if x.ndim != 1:
        raise ValueError(f"returns of shape {x.shape}: give one series of shape (n,) at a time.")
    lowest, highest = (int(stats.binom.ppf(u, len(x), alpha)) for u in (half, 1 - half))
    if lowest < 1 or highest + 1 > len(x):
        rarer = min(alpha, 1 - alpha)
        needed = math.ceil(math.log(half) / math.log1p(-rarer))
        raise ValueError(
            f"{len(x)} returns are too few for a {confidence:.0%} interval of the VaR at level "
            f"{level}: at least {needed} are needed, or a smaller level or confidence."
        )
    # Ranks count from 1: r = lowest, s = highest + 1; the sign turns the order around.
    return -float(x[highest]), -float(x[lowest - 1])


def expected_shortfall_standard_error(
    returns: ArrayLike, *, level: float = 0.99, axis: int = 0
) -> float | np.ndarray:
    r"""Standard error of `expected_shortfall` for a large independent sample.

    .. math:: \mathrm{se} = \frac{1}{\alpha \sqrt{n}} \,
        \mathrm{sd}\bigl(\max(q - x, 0)\bigr), \qquad q = -\mathrm{VaR}

    The error of the estimated quantile drops out to first order, because ES is the
    minimum over it (Rockafellar & Uryasev 2000). Needs a finite variance of the tail: with
    few observations beyond the VaR, or degrees of freedom near 2, it is too small. Source:
    B. J. Manistre and G. H. Hancock (2005), Variance of the CTE estimator, North
    American Actuarial J. 9, https://doi.org/10.1080/10920277.2005.10596207.

    Args:
        returns: Sample of signed returns, `(n,)` or more dimensions.
        level: Coverage of the expected shortfall.
        axis: The axis of the sample.

    Returns:
        Standard error in units of the returns: a float, or an array without `axis`.

    Raises:
        ValueError: as for `value_at_risk`.
    """
    ordered, rank, mass = _tail(returns, level, axis)
    excess = np.maximum(ordered[rank - 1] - ordered, 0.0)
    return excess.std(axis=0, ddof=1) * math.sqrt(len(ordered)) / mass


def gaussian_var_es(
    mean: ArrayLike, sd: ArrayLike, *, level: float = 0.99
) -> tuple[float | np.ndarray, float | np.ndarray]:
    r"""VaR and ES of normal returns, exactly.

    .. math:: \mathrm{VaR} = -(\mu + \sigma z), \quad
        \mathrm{ES} = -\mu + \sigma\, \varphi(z) / \alpha, \quad
        z = \Phi^{-1}(\alpha), \; \alpha = 1 - \text{level}

    Source: A. J. McNeil, R. Frey and P. Embrechts (2015), Quantitative Risk Management,
    revised ed., section 2.3, https://press.princeton.edu/books/hardcover/9780691166278.

    Args:
        mean: Mean of the returns; scalar or any shape.
        sd: Their standard deviation, positive; shapes broadcast.
        level: Coverage.

    Returns:
        VaR and ES, losses in units of the returns.

    Raises:
        ValueError: level outside (0, 1), or sd not positive, or NaN.
    """
    alpha = 1 - fraction(level, "level")
    mu, sigma = _location_scale(mean, sd, "sd")
    z = stats.norm.ppf(alpha)
    return -(mu + sigma * z), -mu + sigma * stats.norm.pdf(z) / alpha


def student_t_var_es(
    location: ArrayLike, scale: ArrayLike, *, df: float, level: float = 0.99
) -> tuple[float | np.ndarray, float | np.ndarray]:
    r"""VaR and ES of Student-t returns :math:`\mu + \sigma T_\nu`, exactly.

    .. math:: \mathrm{VaR} = -(\mu + \sigma t), \quad
        \mathrm{ES} = -\mu + \sigma\, \frac{f_\nu(t)}{\alpha}\,
        \frac{\nu + t^2}{\nu - 1}, \quad t = F_\nu^{-1}(\alpha)

    Source: McNeil, Frey and Embrechts (2015), as for `gaussian_var_es`.

    Args:
        location: :math:`\mu`; scalar or any shape.
        scale: :math:`\sigma`, positive; *not* the standard deviation, which is
            :math:`\sigma \sqrt{\nu / (\nu - 2)}`.
        df: Degrees of freedom :math:`\nu`, above 1 (below it ES is infinite); `math.inf` for the
            Gaussian.
        level: Coverage.

    Returns:
        VaR and ES, losses in units of the returns.

    Raises:
        ValueError: level outside (0, 1), scale not positive, NaN, or df not above 1.
    """
    alpha = 1 - fraction(level, "level")
    if math.isinf(df):
        return gaussian_var_es(location, scale, level=level)
    mu, sigma = _location_scale(location, scale, "scale")
    if not df > 1:
        raise ValueError(f"df {df}: more than 1 degree of freedom is needed for a finite ES.")
    t = stats.t.ppf(alpha, df)
    shortfall = stats.t.pdf(t, df) / alpha * (df + t**2) / (df - 1)
    return -(mu + sigma * t), -mu + sigma * shortfall


def _tail(returns: ArrayLike, level: float, axis: int) -> tuple[np.ndarray, int, float]:
    """Sorted returns with the sample first, rank of the quantile, and n * (1 - level)."""
    alpha = 1 - fraction(level, "level")
    ordered = _sample(returns, axis)
    # 1000 * (1 - 0.99) is 10.000000000000009 in floating point: its ceiling would be 11.
    mass = round(len(ordered) * alpha, 8)
    if mass < 1:
        raise ValueError(
            f"{len(ordered)} returns have none beyond level {level}: at least "
            f"{math.ceil(round(1 / alpha, 8))} are needed, or a smaller level."
        )
    return ordered, math.ceil(mass), mass


def _sample(returns: ArrayLike, axis: int) -> np.ndarray:
    x = np.asarray(returns, dtype=np.float64)
    if x.ndim == 0 or x.size == 0:
        raise ValueError(f"returns of shape {x.shape}: a sample of shape (n, ...) is needed.")
    x = finite(x, "returns")
    return np.sort(np.moveaxis(x, axis, 0), axis=0)


def _location_scale(
    location: ArrayLike, scale: ArrayLike, name: str
) -> tuple[np.ndarray, np.ndarray]:
    mu, sigma = np.asarray(location, dtype=np.float64), np.asarray(scale, dtype=np.float64)
    if not (np.isfinite(mu).all() and np.isfinite(sigma).all() and (sigma > 0).all()):
        raise ValueError(
            f"location {location!r}, {name} {scale!r}: finite numbers and a positive {name} needed."
        )
    return mu, sigma
