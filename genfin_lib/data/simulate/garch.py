"""Simulated GARCH(1,1) returns with Student-t innovations."""

import math
from dataclasses import dataclass

import numpy as np

from genfin_lib.data.simulate.checks import count, degrees, finite, positive
from genfin_lib.data.simulate.student import log_density, mixing_variance


@dataclass(frozen=True, eq=False)
class GarchSample:
    """Simulated returns and their truth; every array is `(n,)`.

    Attributes:
        returns: Simulated daily log returns, in the units of the volatility asked for (decimals).
        volatility: Conditional standard deviation of each return given those before it.
        innovations: Standardised, mean 0 and variance 1: `(returns - mean) / volatility`.
        log_likelihood: Log-density of each return given all before it and the first volatility,
            nats, exact.
    """

    returns: np.ndarray
    volatility: np.ndarray
    innovations: np.ndarray
    log_likelihood: np.ndarray


def simulate_garch(
    n: int,
    *,
    seed: int,
    volatility: float = 0.011,
    alpha: float = 0.09,
    beta: float = 0.90,
    leverage: float = 0.0,
    degrees_of_freedom: float = 6.0,
    mean: float = 0.0004,
    burn_in: int = 1000,
) -> GarchSample:
    r"""Simulate returns whose variance follows yesterday's square: GARCH(1,1), Student-t.

    .. math:: r_t = \mu + \sigma_t z_t, \qquad \sigma_{t+1}^2 = \omega
        + (\alpha + \gamma 1_{z_t < 0})\, \sigma_t^2 z_t^2 + \beta \sigma_t^2, \qquad
        \omega = \sigma^2 (1 - \alpha - \gamma / 2 - \beta)

    :math:`\omega` is set so that the unconditional variance is `volatility` squared. With
    :math:`\gamma = 0`, the default, this is the model of T. Bollerslev (1987), A conditionally
    heteroskedastic time series model for speculative prices and rates of return, Rev. Econ. Stat.
    69, https://doi.org/10.2307/1925546; :math:`\gamma > 0` is the leverage term of L. R. Glosten,
    R. Jagannathan and D. E. Runkle (1993), https://doi.org/10.1111/j.1540-6261.1993.tb05128.x.
    The defaults resemble daily returns of a US index. Their fourth moment is infinite (see
    `garch_kurtosis`), so a sample kurtosis of them settles nowhere.

    Args:
        n: Number of days.
        seed: Of the draws.
        volatility: Unconditional standard deviation, per day, decimal and not per cent.
        alpha: Weight of yesterday's squared shock.
        beta: Weight of yesterday's variance.
        leverage: :math:`\gamma`, extra weight after a fall.
        degrees_of_freedom: :math:`\nu > 2` of the innovations; infinity for the Gaussian.
        mean: :math:`\mu`, per day, decimal.
        burn_in: Days run from the unconditional variance and thrown away, so that the first
            volatility kept is a draw and not the average one.

    Returns:
        The simulated returns with volatility and log-likelihood.

    Raises:
        ValueError: a negative weight, :math:`\alpha + \gamma/2 + \beta \ge 1` (no finite
            variance), or another parameter outside its range.
    """
    n, nu = count(n, "n"), degrees(degrees_of_freedom)
    scale, mu = float(positive(volatility, "volatility")), float(finite(mean, "mean"))
    omega = scale**2 * (1 - _persistence(alpha, beta, leverage))
    if burn_in < 0:
        raise ValueError(f"burn_in must be 0 or more, got {burn_in!r}")
    rng, total = np.random.default_rng(seed), n + burn_in
    w = mixing_variance(total, degrees_of_freedom=nu, rng=rng)
    z = np.sqrt(w) * rng.standard_normal(total)
    # The recursion is linear in the variance but its coefficient is random, so a filter with
    # constant coefficients (scipy.signal.lfilter) does not apply: a loop, 0.02 s for 100,000.
    growth = (alpha + leverage * (z < 0)) * z**2 + beta
    variance = [scale**2]
    for g in growth[:-1].tolist():
        variance.append(omega + g * variance[-1])
    sigma, z = np.sqrt(variance)[burn_in:], z[burn_in:]
    density = log_density(z**2, degrees_of_freedom=nu) - np.log(sigma)
    return GarchSample(mu + sigma * z, sigma, z, density)


def garch_kurtosis(
    *, alpha: float, beta: float, leverage: float = 0.0, degrees_of_freedom: float = math.inf
) -> float:
    r"""Unconditional kurtosis of GARCH(1,1) returns, in closed form; infinite where it is.

    .. math:: K = \frac{k\,(1 - p^2)}{1 - k(\alpha^2 + \alpha\gamma + \gamma^2/2)
        - 2\beta(\alpha + \gamma/2) - \beta^2}, \qquad p = \alpha + \gamma/2 + \beta, \quad
        k = \frac{3(\nu - 2)}{\nu - 4}

    From :math:`E \sigma^4` in :math:`\sigma_{t+1}^2 = \omega + g_t \sigma_t^2`, where the
    denominator is :math:`1 - E g^2`. T. Bollerslev (1986), Generalized autoregressive conditional
    heteroskedasticity, J. Econometrics 31, https://doi.org/10.1016/0304-4076(86)90063-1.

    Args:
        alpha: As for `simulate_garch`.
        beta: As for `simulate_garch`.
        leverage: As for `simulate_garch`.
        degrees_of_freedom: As for `simulate_garch`.

    Returns:
        Fourth central moment over squared variance: 3 for the Gaussian, infinity for defaults.

    Raises:
        ValueError: as for `simulate_garch`.
    """
    nu, p = degrees(degrees_of_freedom), _persistence(alpha, beta, leverage)
    if nu <= 4:
        return math.inf
    k = 3.0 if math.isinf(nu) else 3 * (nu - 2) / (nu - 4)
    square = k * (alpha**2 + alpha * leverage + leverage**2 / 2)
    square += 2 * beta * (alpha + leverage / 2) + beta**2  # E g^2
    return k * (1 - p**2) / (1 - square) if square < 1 else math.inf


def _persistence(alpha: float, beta: float, leverage: float) -> float:
    finite((alpha, beta, leverage), "alpha, beta and leverage")
    if min(alpha, beta, alpha + leverage) < 0:
        raise ValueError(
            f"alpha, beta and alpha + leverage must be 0 or more, got alpha={alpha}, beta={beta}, "
            f"leverage={leverage}: the variance could become negative"
        )
    persistence = alpha + leverage / 2 + beta
    if persistence >= 1:
        raise ValueError(
            f"alpha + leverage/2 + beta = {persistence:.4g} must be below 1: there is no finite "
            "unconditional variance to start from"
        )
    return persistence
