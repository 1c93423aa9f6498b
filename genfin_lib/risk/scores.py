"""Scores of forecasts: lower is better, and the truth is best on average."""

import math

import numpy as np
from numpy.typing import ArrayLike

from genfin_lib.risk.validation import aligned, finite, fraction, losses


def pinball_loss(returns: ArrayLike, var: ArrayLike, *, level: float = 0.99) -> np.ndarray:
    r"""Quantile score of the VaR, for each observation.

    .. math:: L(x, v) = (\alpha - 1\{x < v\})(x - v), \qquad
        v = -\mathrm{VaR}, \; \alpha = 1 - \text{level}

    On *signed returns*: a violation costs :math:`1 - \alpha` per unit, a quiet day :math:`\alpha`
    per unit of caution. Its mean is smallest at the true quantile, so it cannot be won by a VaR
    that is only high; counting violations can. Source: R. Koenker and G. Bassett (1978),
    Regression quantiles, Econometrica 46, https://doi.org/10.2307/1913643.

    Args:
        returns: Signed returns, `(n,)` or any shape such as `(days, series)`.
        var: VaR forecasts, losses in the same unit (not the quantile, which has the other sign);
            the same shape, or one number.
        level: Coverage; below one half the VaR is a gain and negative.

    Returns:
        Losses in the unit of the returns, of their shape.

    Raises:
        ValueError: level outside (0, 1), NaN, or shapes or dates that differ.
    """
    alpha = 1 - fraction(level, "level")
    x, loss = aligned(returns=returns, var=var)
    return (alpha - (x < -loss)) * (x + loss)


def fz0_loss(
    returns: ArrayLike, var: ArrayLike, es: ArrayLike, *, level: float = 0.99
) -> np.ndarray:
    r"""Score of VaR and ES together, for each observation.

    .. math:: L(x, v, e) = -\frac{1}{\alpha e} 1\{x \le v\}(v - x) + \frac{v}{e} + \log(-e) - 1,
        \qquad v = -\mathrm{VaR}, \; e = -\mathrm{ES}, \; \alpha = 1 - \text{level}

    ES alone has no score that the truth minimises; the pair has (Fissler and Ziegel 2016). Of
    those, this one has differences that do not depend on the unit: returns in percent add
    :math:`\log 100` to every loss of every model. State the unit beside a value. Source:
    A. J. Patton, J. F. Ziegel and R. Chen (2019), Dynamic semiparametric models for expected
    shortfall (and value-at-risk), J. Econometrics 211,
    https://doi.org/10.1016/j.jeconom.2018.10.008.

    Args:
        returns: Signed returns, `(n,)` or any shape such as `(days, series)`.
        var: VaR forecasts, losses >= 0 in the same unit; the same shape, or one number.
        es: ES forecasts, losses > 0 at or above `var`; the same shape, or one number.
        level: Coverage of both.

    Returns:
        Losses without unit, of the shape of the returns; they may be negative.

    Raises:
        ValueError: level outside (0, 1), NaN, shapes or dates that differ, a negative VaR, or an
            ES below the VaR.
    """
    alpha = 1 - fraction(level, "level")
    x, var_, es_ = aligned(returns=returns, var=var, es=es)
    losses(var=var_, es=es_)
    v, e = -var_, -es_
    return np.maximum(v - x, 0.0) / (-alpha * e) + v / e + np.log(-e) - 1


def crps(returns: ArrayLike, sample: ArrayLike) -> np.ndarray:
    r"""Continuous ranked probability score of forecasts known by a sample.

    .. math:: \mathrm{CRPS}(F, x) = \int (F(u) - 1\{x \le u\})^2\, du
        \approx \frac{1}{m} \sum_i |y_i - x| - \frac{1}{m (m - 1)} \sum_{i < j} |y_i - y_j|

    Twice the pinball loss averaged over all levels: a score of the whole distribution that needs
    no density. The divisor :math:`m - 1` makes it unbiased in the number of draws, so models
    with different numbers compare fairly. Source: T. Gneiting and A. E. Raftery (2007), Strictly
    proper scoring rules, J. American Statistical Association 102,
    https://doi.org/10.1198/016214506000001437.

    Args:
        returns: Signed returns that came, `(n,)`.
        sample: Draws from the forecast for each, `(n, m)` with `m` at least 2.

    Returns:
        Scores in the unit of the returns, `(n,)`.

    Raises:
        ValueError: NaN, or another shape.
    """
    x, y = finite(returns, "returns"), np.sort(finite(sample, "sample"), axis=-1)
    if x.ndim != 1 or y.ndim != 2 or len(x) != len(y) or y.shape[1] < 2:
        raise ValueError(
            f"returns of shape {x.shape}, sample of shape {y.shape}: (n,) and (n, m > 1) needed."
        )
    m = y.shape[1]
    # Sorted, y_(i) is the larger of i - 1 pairs and the smaller of m - i.
    pairs = (y * (2 * np.arange(m) - m + 1)).sum(axis=1)
    return np.abs(y - x[:, None]).mean(axis=1) - pairs / (m * (m - 1))


def bits_per_dimension(nll: ArrayLike, features: int) -> np.ndarray:
    r"""Negative log-likelihood in bits for each feature.

    .. math:: \mathrm{bpd} = \frac{\mathrm{NLL}}{D \log 2}

    Comparable between data of different width. For a density it depends on the unit of the data
    (percent adds :math:`\log_2 100`) and may be negative: only differences mean something. Source:
    L. Theis, A. van den Oord and M. Bethge (2016), A note on the evaluation of generative models,
    ICLR, https://arxiv.org/abs/1511.01844.

    Args:
        nll: Negative log-likelihood in nats, summed over features; any shape.
        features: Number of features D.

    Returns:
        Bits per dimension, of the shape of `nll`.

    Raises:
        ValueError: NaN, or features below 1.
    """
    if features < 1:
        raise ValueError(f"features {features}: at least 1.")
    return finite(nll, "nll") / (features * math.log(2))
