"""Simulated returns of a market that switches between hidden regimes."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from genfin_lib.data.simulate.checks import count, degrees, finite, positive, transition_matrix
from genfin_lib.data.simulate.markov import forward_filter, markov_path
from genfin_lib.data.simulate.student import log_density, mixing_variance


@dataclass(frozen=True, eq=False)
class RegimeSample:
    """Simulated returns and their truth, over `n` days and `states` regimes.

    Attributes:
        returns: Simulated daily log returns, decimals, `(n,)`.
        labels: The regime of each day, 0, 1, ..., `(n,)`.
        log_likelihood: Log-density of each return given those before it, regimes summed out, nats,
            exact, `(n,)`. No model that sees only returns has a higher expectation.
        log_likelihood_given_labels: The same, the regime known, `(n,)`.
        filtered: Probability of each regime given the returns up to and with the day,
            `(n, states)`: what the best observer knows.
    """

    returns: np.ndarray
    labels: np.ndarray
    log_likelihood: np.ndarray
    log_likelihood_given_labels: np.ndarray
    filtered: np.ndarray


def simulate_regimes(
    n: int,
    *,
    seed: int,
    means: ArrayLike = (0.0008, -0.0010),
    volatilities: ArrayLike = (0.007, 0.020),
    transition: ArrayLike = ((0.99, 0.01), (0.03, 0.97)),
    degrees_of_freedom: float = math.inf,
) -> RegimeSample:
    r"""Simulate returns with a mean and a volatility that follow a hidden Markov chain.

    .. math:: P(s_t = j \mid s_{t-1} = i) = P_{ij}, \qquad
        r_t = \mu_{s_t} + \sigma_{s_t} z_t

    with :math:`z_t` independent of unit variance, Gaussian or Student-t. The default is a calm
    market, three days of four, and a falling one of almost three times the volatility. With
    constant rows in `transition` the days are independent draws from a mixture; with means
    several volatilities apart its density has two modes. J. D. Hamilton (1989),
    https://doi.org/10.2307/1912559.

    Args:
        n: Number of days.
        seed: Of the draws.
        means: :math:`\mu`, per day, decimals, `(states,)`.
        volatilities: :math:`\sigma`, per day, decimals, `(states,)`.
        transition: :math:`P`, rows sum to one, `(states, states)`. The first regime is drawn from
            its stationary law.
        degrees_of_freedom: :math:`\nu > 2` of :math:`z`; infinity, the default, for the Gaussian.

    Returns:
        The simulated returns with labels, log-likelihood and filtered probabilities.

    Raises:
        ValueError: lengths that differ, or a parameter outside its range.
    """
    n, nu, chain = count(n, "n"), degrees(degrees_of_freedom), transition_matrix(transition)
    mu, sigma = finite(means, "means"), positive(volatilities, "volatilities")
    if not mu.shape == sigma.shape == chain.shape[:1]:
        raise ValueError(
            f"means {mu.shape}, volatilities {sigma.shape} and transition {chain.shape} must "
            "agree in the number of regimes"
        )
    rng = np.random.default_rng(seed)
    labels = markov_path(n, transition=chain, rng=rng)
    z = np.sqrt(mixing_variance(n, degrees_of_freedom=nu, rng=rng)) * rng.standard_normal(n)
    returns = mu[labels] + sigma[labels] * z
    squared = ((returns[:, None] - mu) / sigma) ** 2  # (n, states)
    densities = log_density(squared, degrees_of_freedom=nu) - np.log(sigma)
    log_likelihood, filtered = forward_filter(densities, transition=chain)
    known = densities[np.arange(n), labels]
    return RegimeSample(returns, labels, log_likelihood, known, filtered)
