"""Hidden Markov chains: a path, its stationary law, the likelihood of what it emits, and back."""

from bisect import bisect

import numpy as np


def stationary_law(transition: np.ndarray) -> np.ndarray:
    r"""The probabilities that the chain leaves unchanged: :math:`\pi P = \pi`, `(states,)`."""
    states = len(transition)
    equations = np.vstack((transition.T - np.eye(states), np.ones(states)))
    law = np.linalg.lstsq(equations, np.append(np.zeros(states), 1.0))[0]
    return np.clip(law, 0, None) / np.clip(law, 0, None).sum()


def expected_stays(transition: np.ndarray) -> np.ndarray:
    r"""Expected length of a stay in each state, :math:`1 / (1 - P_{ii})`, `(states,)`."""
    return 1 / (1 - transition.diagonal())


def markov_path(n: int, *, transition: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """States 0, 1, ... of a chain that starts in its stationary law, `(n,)`."""
    rows = [np.cumsum(row)[:-1].tolist() for row in transition]
    draws = rng.random(n).tolist()
    path = [bisect(np.cumsum(stationary_law(transition))[:-1].tolist(), draws[0])]
    for u in draws[1:]:  # each state needs the last: a loop, 0.05 s for 100,000 steps
        path.append(bisect(rows[path[-1]], u))
    return np.array(path, dtype=np.int64)


def forward_filter(
    log_densities: np.ndarray, *, transition: np.ndarray, hold: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    r"""Exact log-likelihood of the observations, the hidden states summed out.

    .. math:: p(x_t \mid x_{<t}) = \sum_j p(x_t \mid s_t = j) \sum_i P_{ij}\,
        p(s_{t-1} = i \mid x_{<t})

    A sum over :math:`K^T` paths in :math:`T K^2` operations. J. D. Hamilton (1989), A new
    approach to the economic analysis of nonstationary time series and the business cycle,
    Econometrica 57, https://doi.org/10.2307/1912559.

    Args:
        log_densities: :math:`\log p(x_t \mid s_t = j)`, `(n, states)`.
        transition: :math:`P_{ij} = P(s_t = j \mid s_{t-1} = i)`, `(states, states)`.
        hold: The chain moves only every `hold` steps, and first after `hold` of them.

    Returns:
        :math:`\log p(x_t \mid x_{<t})` in nats, `(n,)`, and the filtered probabilities
        :math:`p(s_t \mid x_{\le t})`, `(n, states)`.
    """
    largest = log_densities.max(axis=1)
    density = np.exp(log_densities - largest[:, None])  # (n, states), at most 1: no underflow
    log_likelihood, filtered = np.empty(len(density)), np.empty_like(density)
    belief = stationary_law(transition)
    for t, row in enumerate(density):
        if t > 0 and t % hold == 0:
            belief = belief @ transition
        joint = belief * row
        evidence = joint.sum()
        belief = joint / evidence
        log_likelihood[t], filtered[t] = evidence, belief
    return np.log(log_likelihood) + largest, filtered


def backward_smoother(
    filtered: np.ndarray, *, transition: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    r"""What all the days say of each: the filter run back from the end, and moves counted.

    .. math:: \gamma_t(i) = \sum_j \xi_t(i, j), \qquad \xi_t(i, j)
        = p(s_t = i \mid x_{\le t})\, P_{ij}\, \frac{\gamma_{t+1}(j)}{p(s_{t+1} = j \mid x_{\le t})}

    The smoothed :math:`\gamma_t` knows the days *after* :math:`t`: right for looking back and for
    learning :math:`P`, and no forecast. C.-J. Kim (1994), Dynamic linear models with
    Markov-switching, J. Econometrics 60, https://doi.org/10.1016/0304-4076(94)90036-1.

    Args:
        filtered: :math:`p(s_t \mid x_{\le t})` of `forward_filter`, `(n, states)`.
        transition: :math:`P`, the same as there.

    Returns:
        :math:`\gamma`, `(n, states)`, and the expected number of moves
        :math:`\sum_t \xi_t(i, j)`, `(states, states)`.
    """
    smoothed = filtered.copy()
    moves = np.zeros_like(transition)
    for t in range(len(filtered) - 2, -1, -1):
        predicted = filtered[t] @ transition
        # A state that cannot be reached has no share in what follows either: 0 / 0 means 0.
        ratio = np.divide(
            smoothed[t + 1], predicted, out=np.zeros(len(predicted)), where=predicted > 0
        )
        joint = filtered[t][:, None] * transition * ratio
        moves += joint
        smoothed[t] = joint.sum(axis=1)
    return smoothed, moves
