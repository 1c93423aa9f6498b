"""Regimes done right: a Markov chain over a flow, so that a day is judged with those before it."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from genfin_lib.data.simulate.markov import (
    backward_smoother,
    expected_stays,
    forward_filter,
    stationary_law,
)
from genfin_lib.flows import Flow
from genfin_lib.training import fit


@dataclass(frozen=True, eq=False)
class RegimePath:
    """What can be known of the regimes of a series, over ``n`` days and ``K`` regimes.

    Attributes:
        log_likelihood: Log-density of each row given those before it, nats, ``(n,)``.
        filtered: Probability of each regime given the rows up to and with the day: what was known
            in the evening, ``(n, K)``.
        smoothed: The same given *all* rows: for looking back only, ``(n, K)``.
        moves: Expected number of moves from regime to regime given all rows, ``(K, K)``.
    """

    log_likelihood: np.ndarray
    filtered: np.ndarray
    smoothed: np.ndarray
    moves: np.ndarray

    @classmethod
    def of(cls, log_densities: np.ndarray, *, transition: np.ndarray) -> Self:
        """Run a chain along a series from its stationary law, and back.

        Args:
            log_densities: Of each day in each regime, nats, ``(n, K)``.
            transition: Of the chain, rows sum to one, ``(K, K)``.
        """
        log_likelihood, filtered = forward_filter(log_densities, transition=transition)
        smoothed, moves = backward_smoother(filtered, transition=transition)
        return cls(log_likelihood, filtered, smoothed, moves)


class HiddenMarkovFlow(nn.Module):
    r"""A hidden Markov chain whose regimes have the densities of one conditional flow.

    .. math:: P(s_t = j \mid s_{t-1} = i) = P_{ij}, \qquad
        \log p(x_t \mid s_t = k) = \log p_z\bigl(f(x_t; e_k)\bigr)
        + \log\Bigl|\det \frac{\partial f(x_t; e_k)}{\partial x}\Bigr|

    The context of the flow is the regime as a unit vector :math:`e_k`, so the regimes share what
    they have in common, such as the degrees of freedom of a t base, and differ where the context
    reaches. An affine flow on a Gaussian base is the usual Gaussian hidden Markov model. Regimes
    that are Gaussian take every large return for a change of regime; heavy tails need not.

    Trained by expectation maximisation, each round an exact E step (filter and smoother) and some
    epochs of gradient steps on the flow. L. E. Baum, T. Petrie, G. Soules and N. Weiss (1970), A
    maximization technique occurring in the statistical analysis of probabilistic functions of
    Markov chains, https://doi.org/10.1214/aoms/1177697196; J. D. Hamilton (1989),
    https://doi.org/10.2307/1912559. Chapter "Regimes".

    Args:
        flow: Density of a row given its regime; its context is of the size of the number of
            regimes.
        stay: Initial probability of staying in a regime.

    Raises:
        ValueError: If the flow has no context for two regimes or more, or ``stay`` is not a
            probability.
    """

    transition: Tensor

    def __init__(self, flow: Flow, *, stay: float = 0.98) -> None:
        super().__init__()
        self.states = flow.context
        if self.states < 2:
            raise ValueError(
                f"the flow has a context of {self.states}; build it with context=K for K regimes"
            )
        if not 0 < stay < 1:
            raise ValueError(f"stay must lie strictly between 0 and 1, got {stay}")
        self.flow = flow
        move = (1 - stay) / (self.states - 1)
        chain = torch.full((self.states, self.states), move, dtype=torch.float64)
        self.register_buffer("transition", chain.fill_diagonal_(stay))

    def regime_log_prob(self, x: Tensor) -> Tensor:
        """Log-density of each row in each regime, nats, shape ``(N, K)``.

        Raises:
            ValueError: As for :meth:`genfin_lib.flows.Flow.log_prob`.
        """
        regimes = torch.eye(self.states, dtype=x.dtype, device=x.device)
        context = regimes.repeat(len(x), 1)  # (N * K, K)
        return self.flow.log_prob(x.repeat_interleave(self.states, dim=0), context).view(len(x), -1)

    def loss(self, batch: tuple[Tensor, Tensor], *, progress: float | None = None) -> Tensor:
        r"""What the flow's M step descends: the expected loss of a row over its regimes.

        .. math:: -\frac1n \sum_{t=1}^{n} \sum_k \gamma_t(k) \log p(x_t \mid s_t = k)

        Args:
            batch: Rows ``(N, D)`` and their probabilities of each regime ``(N, K)``.
            progress: Not used.
        """
        x, smoothed = batch
        return -(smoothed * self.regime_log_prob(x)).sum(dim=1).mean()

    @torch.no_grad()
    def filter(self, x: Tensor) -> RegimePath:
        """Run along a series, and back.

        The path starts from the chain's stationary law: give some months before the day that
        matters.

        Args:
            x: Rows in time order, shape ``(n, D)``.

        Raises:
            ValueError: As for :meth:`genfin_lib.flows.Flow.log_prob`.
        """
        densities = self.regime_log_prob(x).double().numpy(force=True)
        return RegimePath.of(densities, transition=self.transition.numpy(force=True))

    def fit(
        self,
        x: Tensor,
        *,
        seed: int,
        start: Tensor | None = None,
        rounds: int = 15,
        epochs: int = 6,
        learning_rate: float = 1e-2,
        batch_size: int = 512,
    ) -> list[float]:
        """Learn flow and chain from one series.

        EM finds the nearest local maximum, so the start decides which. By default days are sorted
        into regimes by the size of the rows around them, calm first, which is what financial
        regimes mostly are; regimes keep that order unless training exchanges them.

        Args:
            x: Rows in time order, shape ``(n, D)``, standardised or of about that size.
            seed: Of the shuffling.
            start: First guess of the regimes' probabilities, shape ``(n, K)``.
            rounds: Of expectation maximisation; in the second half the learning rate falls to a
                quarter.
            epochs: Passes of the flow over the data in each round.
            learning_rate: Of the flow.
            batch_size: Rows in a gradient step.

        Returns:
            Mean log-likelihood per row in each round, between the step of the flow and that of
            the chain, nats. With gradient steps it need not rise in every round.

        Raises:
            ValueError: Fewer than 21 rows for each regime, NaN, a start of another shape, or a
                regime that no day belongs to any more.
        """
        if x.ndim != 2 or len(x) < 21 * self.states or not torch.isfinite(x).all():
            raise ValueError(
                f"x of shape {tuple(x.shape)}: finite rows in time order, {21 * self.states} or "
                f"more for {self.states} regimes, are needed"
            )
        smoothed = _by_size(x, self.states) if start is None else start
        if smoothed.shape != (len(x), self.states):
            raise ValueError(
                f"start must have shape ({len(x)}, {self.states}), got {tuple(smoothed.shape)}"
            )
        found = []
        for step in range(rounds):
            fit(
                self,
                (x, smoothed),
                seed=seed + step,
                epochs=epochs,
                learning_rate=learning_rate / (1 if 2 * step < rounds else 4),
                batch_size=batch_size,
            )
            path = self.filter(x)
            found.append(float(path.log_likelihood.mean()))
            smoothed = torch.as_tensor(path.smoothed, dtype=x.dtype)
            leaving = path.moves.sum(axis=1, keepdims=True)
            if not (leaving > 0).all():
                raise ValueError(
                    f"regimes {np.flatnonzero(~(leaving[:, 0] > 0)).tolist()} have no day left "
                    "after some training; standardise the rows, or use fewer regimes"
                )
            chain = path.moves / leaving
            self.transition.copy_(torch.from_numpy(chain))
        return found

    @property
    def duration(self) -> np.ndarray:
        r"""Expected days of a stay in each regime, :math:`1 / (1 - P_{kk})`, ``(K,)``."""
        return expected_stays(self.transition.numpy(force=True))

    @property
    def shares(self) -> np.ndarray:
        """Long-run share of days in each regime, ``(K,)``."""
        return stationary_law(self.transition.numpy(force=True))


def _by_size(x: Tensor, states: int) -> Tensor:
    """Days sorted into equally many calm, ..., wild ones by the mean size of the 21 around them."""
    size = x.square().mean(dim=1).sqrt()
    around = torch.nn.functional.avg_pool1d(
        size[None], 21, stride=1, padding=10, count_include_pad=False
    )[0]
    edges = torch.quantile(around, torch.arange(1, states, dtype=x.dtype) / states)
    regimes = torch.eye(states, dtype=x.dtype)[torch.searchsorted(edges, around)]
    return 0.9 * regimes + 0.1 / states  # a hint, no verdict
