"""The Student-t of unit variance, as a scale mixture of Gaussians; infinity is the Gaussian."""

import math

import numpy as np
from scipy import special


def mixing_variance(
    size: int | tuple[int, ...], *, degrees_of_freedom: float, rng: np.random.Generator
) -> np.ndarray:
    r"""Draws of :math:`w = (\nu - 2) / \chi^2_\nu`, of mean one: :math:`\sqrt{w}\,\epsilon` is t.

    Args:
        size: Shape of the draws.
        degrees_of_freedom: :math:`\nu > 2`; for infinity all draws are one.
        rng: Source of randomness.

    Returns:
        Positive, of shape `size`.
    """
    if math.isinf(degrees_of_freedom):
        return np.ones(size)
    return (degrees_of_freedom - 2) / rng.chisquare(degrees_of_freedom, size)


def log_density(
    squared: np.ndarray, *, degrees_of_freedom: float, dimension: int = 1
) -> np.ndarray:
    r"""Log-density of a unit-covariance t, from the squared (Mahalanobis) distance.

    .. math:: \log p = \log\Gamma\tfrac{\nu + D}{2} - \log\Gamma\tfrac{\nu}{2}
        - \tfrac{D}{2}\log \pi(\nu - 2)
        - \tfrac{\nu + D}{2} \log\Bigl(1 + \frac{\delta^2}{\nu - 2}\Bigr)

    :math:`\nu - 2` in place of :math:`\nu` makes the *covariance* and not the scale the identity.
    Subtract the log-determinant of the scale for other units.

    Args:
        squared: :math:`\delta^2 \ge 0`, any shape.
        degrees_of_freedom: :math:`\nu > 2`; infinity for the Gaussian.
        dimension: :math:`D`.

    Returns:
        Nats, the shape of `squared`.
    """
    nu, d = degrees_of_freedom, dimension
    if math.isinf(nu):
        return -0.5 * (squared + d * math.log(2 * math.pi))
    constant = special.gammaln((nu + d) / 2) - special.gammaln(nu / 2)
    constant -= 0.5 * d * math.log(math.pi * (nu - 2))
    return constant - 0.5 * (nu + d) * np.log1p(squared / (nu - 2))
