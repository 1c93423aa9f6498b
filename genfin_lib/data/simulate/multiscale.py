"""Simulated intraday returns with a truth at three scales: regime, day and step."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from genfin_lib.data.simulate.checks import count, degrees, finite, positive, transition_matrix
from genfin_lib.data.simulate.markov import forward_filter, markov_path, stationary_law
from genfin_lib.data.simulate.student import log_density, mixing_variance


@dataclass(frozen=True, eq=False)
class MultiscaleSample:
    """Simulated intraday returns and the truth at each scale.

    Attributes:
        returns: Simulated log returns of each step, decimals, `(days, steps)`.
        regimes: Regime of each day, constant over a block of days, `(days,)`.
        day_log_volatility: What the day adds to the regime's log-volatility, `(days,)`.
        step_log_volatility: What the step adds to that, the intraday shape aside,
            `(days, steps)`.
        profile: Share of each step in the day's volatility, squares sum to one, `(steps,)`.
        log_likelihood: Log-density of each whole day given those before it, all that is hidden
            integrated out, nats, `(days,)`.
        log_likelihood_given_regime: Of each day in each regime, `(days, regimes)`.
        filtered: Probability of each regime given all steps up to the end of the day,
            `(days, regimes)`.
        block_log_likelihood: Log-density of each block of days on its own, the regime drawn
            from its stationary law, `(blocks,)`: the truth for a model of separate windows.
    """

    returns: np.ndarray
    regimes: np.ndarray
    day_log_volatility: np.ndarray
    step_log_volatility: np.ndarray
    profile: np.ndarray
    log_likelihood: np.ndarray
    log_likelihood_given_regime: np.ndarray
    filtered: np.ndarray
    block_log_likelihood: np.ndarray


def simulate_multiscale(
    days: int,
    *,
    seed: int,
    steps: int = 8,
    days_per_regime: int = 8,
    means: ArrayLike = (0.0008, -0.0010),
    volatilities: ArrayLike = (0.007, 0.020),
    transition: ArrayLike = ((0.90, 0.10), (0.25, 0.75)),
    day_spread: float = 0.35,
    degrees_of_freedom: float = 5.0,
    u_shape: float = 1.0,
) -> MultiscaleSample:
    r"""Simulate steps within days within regimes, each scale with a volatility of its own.

    .. math:: r_{dk} = \frac{\mu_{s_d}}{m} + \sigma_{s_d}\, e^{u_d}\, c_k\, e^{v_{dk}}
        \epsilon_{dk}, \qquad u_d \sim \mathcal{N}(-\tau^2, \tau^2), \qquad
        e^{2 v_{dk}} = (\nu - 2) / \chi^2_\nu

    with :math:`m` steps a day, :math:`\epsilon` standard normal and everything independent, but
    for the regime :math:`s_d`: it is held for a block of days and then moves as a Markov chain. The
    means are chosen so that :math:`E e^{2u} = E e^{2v} = \sum_k c_k^2 = 1`: given the regime, a
    day's return has mean :math:`\mu_s` and variance :math:`\sigma_s^2`, and both add up over
    days. The step's variance makes a Student-t and is integrated in closed form; the day's is
    integrated by the trapezoidal rule on 401 points, whose error falls geometrically; the regime
    is summed by the forward filter. A hierarchical model should find three scales in this. The
    design is this book's own.

    Args:
        days: Number of days, a multiple of `days_per_regime`.
        seed: Of the draws.
        steps: :math:`m`, steps in a day.
        days_per_regime: Days in a block.
        means: :math:`\mu`, per day, decimals, `(regimes,)`.
        volatilities: :math:`\sigma`, per day, decimals, `(regimes,)`.
        transition: From block to block, rows sum to one, `(regimes, regimes)`.
        day_spread: :math:`\tau`, standard deviation of the day's log-volatility.
        degrees_of_freedom: :math:`\nu > 2`; infinity for steps without volatility of their own.
        u_shape: :math:`c_k` is proportional to `1 + u_shape * (2 * x - 1) ** 2` at the middle
            :math:`x` of each step: 1 makes the edges of the day twice as wild as noon.

    Returns:
        The simulated returns with latent values and log-likelihoods at each scale.

    Raises:
        ValueError: lengths that differ, days that fill no whole block, or a parameter outside
            its range.
    """
    days, steps = count(days, "days"), count(steps, "steps")
    hold, nu = count(days_per_regime, "days_per_regime"), degrees(degrees_of_freedom)
    if days % hold:
        raise ValueError(f"days = {days} must be a multiple of days_per_regime = {hold}")
    mu, sigma = finite(means, "means"), positive(volatilities, "volatilities")
    chain, tau = transition_matrix(transition), float(positive(day_spread, "day_spread"))
    if not mu.shape == sigma.shape == chain.shape[:1]:
        raise ValueError(
            f"means {mu.shape}, volatilities {sigma.shape} and transition {chain.shape} must "
            "agree in the number of regimes"
        )
    profile = _profile(steps, u_shape)
    rng = np.random.default_rng(seed)
    regimes = np.repeat(markov_path(days // hold, transition=chain, rng=rng), hold)
    u = -(tau**2) + tau * rng.standard_normal(days)
    w = mixing_variance((days, steps), degrees_of_freedom=nu, rng=rng)
    scale = (sigma[regimes] * np.exp(u))[:, None] * profile * np.sqrt(w)  # (days, steps)
    returns = (mu[regimes] / steps)[:, None] + scale * rng.standard_normal((days, steps))
    by_regime = np.stack(
        [
            _day_log_density((returns - m / steps) / (s * profile), tau=tau, degrees_of_freedom=nu)
            - np.log(s * profile).sum()
            for m, s in zip(mu, sigma, strict=True)
        ],
        axis=1,
    )
    log_likelihood, filtered = forward_filter(by_regime, transition=chain, hold=hold)
    blocks = by_regime.reshape(-1, hold, len(sigma)).sum(axis=1)  # (blocks, regimes)
    return MultiscaleSample(
        returns=returns,
        regimes=regimes,
        day_log_volatility=u,
        step_log_volatility=0.5 * np.log(w),
        profile=profile,
        log_likelihood=log_likelihood,
        log_likelihood_given_regime=by_regime,
        filtered=filtered,
        block_log_likelihood=logsumexp(blocks, axis=1, b=stationary_law(chain)),
    )


def _profile(steps: int, u_shape: float) -> np.ndarray:
    if not 0 <= u_shape < math.inf:
        raise ValueError(f"u_shape must be finite and 0 or more, got {u_shape!r}")
    middle = (np.arange(steps) + 0.5) / steps
    shape = 1 + u_shape * (2 * middle - 1) ** 2
    return shape / np.sqrt((shape**2).sum())


def _day_log_density(
    z: np.ndarray, *, tau: float, degrees_of_freedom: float, points: int = 401
) -> np.ndarray:
    """Log-density of days `z`, `(days, steps)`, the day's log-volatility integrated, `(days,)`."""
    standard = np.linspace(-9, 9, points)
    log_weight = -0.5 * standard**2 - 0.5 * math.log(2 * math.pi) + math.log(18 / (points - 1))
    total = np.full(len(z), -np.inf)
    for s, weight in zip(standard, log_weight, strict=True):  # a loop keeps the memory at (days, m)
        u = -(tau**2) + tau * s
        squared = z**2 * math.exp(-2 * u)
        day = log_density(squared, degrees_of_freedom=degrees_of_freedom) - u
        total = np.logaddexp(total, day.sum(axis=1) + weight)
    return total
