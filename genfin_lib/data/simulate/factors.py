"""Simulated returns of many assets with factor loadings that recur with a hidden state."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solve_triangular

from genfin_lib.data.simulate.checks import count, degrees, positive, transition_matrix
from genfin_lib.data.simulate.markov import forward_filter, markov_path
from genfin_lib.data.simulate.student import log_density, mixing_variance


@dataclass(frozen=True, eq=False)
class FactorSample:
    """Simulated returns of `assets` over `n` days, and their truth.

    Attributes:
        returns: Simulated daily returns, decimals, `(n, assets)`.
        labels: Hidden state of each day, 0, 1, ..., `(n,)`.
        factors: Factor returns, decimals, `(n, factors)`.
        loadings: Loadings of each state, `(states, assets, factors)`; those of a day are
            `loadings[labels]`. Identified up to rotation within a state only: compare the spaces.
        idiosyncratic_volatility: Per day, decimals, `(assets,)`.
        covariances: Covariance of the returns in each state, `(states, assets, assets)`.
        log_likelihood: Joint log-density of each day given those before it, states summed out,
            nats, exact, `(n,)`.
        log_likelihood_given_labels: The same, the state known, `(n,)`.
        filtered: Probability of each state given returns up to and with the day, `(n, states)`.
    """

    returns: np.ndarray
    labels: np.ndarray
    factors: np.ndarray
    loadings: np.ndarray
    idiosyncratic_volatility: np.ndarray
    covariances: np.ndarray
    log_likelihood: np.ndarray
    log_likelihood_given_labels: np.ndarray
    filtered: np.ndarray


def simulate_factors(
    n: int,
    assets: int = 20,
    *,
    seed: int,
    factor_volatilities: ArrayLike = ((0.008, 0.005, 0.004), (0.016, 0.008, 0.006)),
    transition: ArrayLike = ((0.99, 0.01), (0.02, 0.98)),
    idiosyncratic_range: tuple[float, float] = (0.008, 0.016),
    degrees_of_freedom: float = 5.0,
) -> FactorSample:
    r"""Simulate a factor model that returns to old loadings whenever an old state returns.

    .. math:: r_t = \sqrt{w_t}\,(B_{s_t} f_t + \Psi^{1/2} \epsilon_t), \qquad
        f_t \sim \mathcal{N}(0, \mathrm{diag}\,\phi_{s_t}^2), \qquad
        r_t \mid s_t \sim t_\nu(0,\; B_{s_t} \mathrm{diag}\,\phi_{s_t}^2 B_{s_t}^\top + \Psi)

    A model with memory can recognise the state and recall its loadings; a rolling window must
    learn them anew each time. One mixing variance :math:`w_t` a day, shared by all assets, gives
    heavy tails, bad days for all, and a density in closed form; :math:`w_t` is contained in
    the factors returned. Loadings are drawn once from the seed: on the first factor, the market,
    uniform on (0.6, 1.4), on others standard normal. Split *one* sample in time for training and
    test: another seed is another market.

    Args:
        n: Number of days.
        assets: Number of assets.
        seed: Of loadings, noise levels, states and draws.
        factor_volatilities: :math:`\phi`, per day, decimals, `(states, factors)`.
        transition: Of the hidden state, `(states, states)`. `((1.0,),)` with one row of factor
            volatilities gives constant loadings.
        idiosyncratic_range: The assets' :math:`\Psi^{1/2}` are uniform between these, per day.
        degrees_of_freedom: :math:`\nu > 2` of the joint t; infinity for the Gaussian.

    Returns:
        The simulated returns with states, factors, loadings, covariances and log-likelihoods.

    Raises:
        ValueError: shapes that differ, or a parameter outside its range.
    """
    n, assets, nu = count(n, "n"), count(assets, "assets"), degrees(degrees_of_freedom)
    phi, chain = positive(factor_volatilities, "factor_volatilities"), transition_matrix(transition)
    if phi.ndim != 2 or len(phi) != len(chain):
        raise ValueError(
            f"factor_volatilities {phi.shape} and transition {chain.shape}: (states, factors) and "
            "(states, states) are needed"
        )
    low, high = positive(idiosyncratic_range, "idiosyncratic_range")
    if low > high:
        raise ValueError(f"idiosyncratic_range must rise, got {idiosyncratic_range!r}")
    rng = np.random.default_rng(seed)
    loadings = rng.standard_normal((len(chain), assets, phi.shape[1]))
    loadings[:, :, 0] = rng.uniform(0.6, 1.4, (len(chain), assets))
    psi = rng.uniform(low, high, assets)
    labels = markov_path(n, transition=chain, rng=rng)
    root = np.sqrt(mixing_variance((n, 1), degrees_of_freedom=nu, rng=rng))
    factors = root * phi[labels] * rng.standard_normal((n, phi.shape[1]))
    returns = root * psi * rng.standard_normal((n, assets))
    for state, matrix in enumerate(loadings):
        returns[labels == state] += factors[labels == state] @ matrix.T
    scaled = loadings * phi[:, None, :]  # (states, assets, factors)
    covariances = scaled @ scaled.transpose(0, 2, 1) + np.diag(psi**2)
    densities = _log_densities(returns, covariances=covariances, degrees_of_freedom=nu)
    log_likelihood, filtered = forward_filter(densities, transition=chain)
    return FactorSample(
        returns=returns,
        labels=labels,
        factors=factors,
        loadings=loadings,
        idiosyncratic_volatility=psi,
        covariances=covariances,
        log_likelihood=log_likelihood,
        log_likelihood_given_labels=densities[np.arange(n), labels],
        filtered=filtered,
    )


def _log_densities(
    returns: np.ndarray, *, covariances: np.ndarray, degrees_of_freedom: float
) -> np.ndarray:
    """Log-density of each day in each state, `(n, states)`."""
    columns = []
    for covariance in covariances:
        root = np.linalg.cholesky(covariance)
        whitened = solve_triangular(root, returns.T, lower=True)  # (assets, n)
        density = log_density(
            (whitened**2).sum(axis=0),
            degrees_of_freedom=degrees_of_freedom,
            dimension=len(covariance),
        )
        columns.append(density - np.log(np.diag(root)).sum())
    return np.stack(columns, axis=1)
