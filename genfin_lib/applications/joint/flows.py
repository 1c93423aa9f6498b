"""Flows of all series at once, given the state of the market."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from genfin_lib.applications.joint.contract import JointForecaster
from genfin_lib.applications.joint.correlation import CorrelationFilter
from genfin_lib.flows import Flow
from genfin_lib.flows.flow import Conditional
from genfin_lib.risk.forecasters.contract import same_series, values
from genfin_lib.risk.validation import finite
from genfin_lib.training import fit as train

BURN_IN = 50


class State(NamedTuple):
    """What is known of a market in the evening.

    Attributes:
        variance: Of the next return of each series, ``(..., S)``.
        market: Exponentially weighted mean square of the mean of the series, at each speed,
            ``(..., K)``.
    """

    variance: np.ndarray
    market: np.ndarray


class Whitened(NamedTuple):
    """Returns without volatility and correlation, and what was taken out; all rows but a burn-in.

    Attributes:
        y: What is left for a flow, ``(n, S)``.
        context: Logarithms of volatilities, standardised, ``(n, C)``.
        roots: Lower triangular, returns are ``roots @ y``, ``(n, S, S)``.
    """

    y: np.ndarray
    context: np.ndarray
    roots: np.ndarray


class FlowDistribution:
    r"""A flow of whitened returns as a law of returns.

    .. math:: r = A\, y, \quad y \sim \text{flow}(\cdot \mid c), \qquad
        \log p(r) = \log p\bigl(A^{-1} r \mid c\bigr) - \log\det A

    Args:
        flow: Flow of ``S`` features.
        root: :math:`A`, lower triangular, ``(S, S)``.
        context: :math:`c`, standardised, ``(C,)``; empty for a flow without context.
    """

    def __init__(self, flow: Flow, root: np.ndarray, context: np.ndarray) -> None:
        self.flow, self.root, self.given = flow, root, context
        self.context = flow.like.new_tensor(context)[None] if len(context) else None

    def density(self, x: Tensor) -> Tensor:
        """Log-density of rows ``(n, S)`` as torch sees it, with gradients."""
        root = x.new_tensor(self.root)
        y = torch.linalg.solve_triangular(root, x.T, upper=False).T.to(self.flow.like.dtype)
        context = None if self.context is None else self.context.expand(len(y), -1)
        return self.flow.log_prob(y, context).to(x.dtype) - root.diagonal().log().sum()

    @torch.no_grad()
    def log_prob(self, x: ArrayLike) -> np.ndarray:
        return self.density(torch.tensor(np.atleast_2d(finite(x, "x")))).numpy()

    def sample(self, n: int, *, seed: int) -> np.ndarray:
        y = self.flow.sample(n, self.context, seed=seed).reshape(n, -1)
        return y.double().numpy() @ self.root.T


class FlowJointForecaster(JointForecaster):
    r"""One flow for all series: volatility divided out, the market's state as context.

    .. math:: y_t = L_t^{-1} \operatorname{diag}(\sigma_t)^{-1} r_t, \qquad
        y_t \mid c_t \sim \text{flow}

    :math:`\sigma_t` is the exponentially weighted volatility of each series, known the evening
    before, and :math:`c_t` the logarithms of market volatility at several speeds and of the mean
    :math:`\sigma_t`. Without a correlation filter :math:`L_t = I` and the flow has to learn the
    dependence; with one, it starts from what the filter leaves. Chapter: portfolios.

    Args:
        build: Untrained flow from ``(features, context)``.
        correlation: Filter that whitens, or ``None``.
        decay: Of the volatility of each series; ``None`` leaves it in, as one number for each.
        half_lives: Of the market volatilities in the context, in days; may be none.
        epochs: Of training.
        batch_size: Of training.
        learning_rate: Of training.
        seed: Of the training.

    Raises:
        ValueError: NaN, fewer than 100 rows, a series that does not move in the first 50, columns
            other than those fitted, or not fitted.
    """

    def __init__(
        self,
        build: Callable[[int, int], Flow],
        *,
        correlation: CorrelationFilter | None = None,
        decay: float | None = 0.97,
        half_lives: tuple[float, ...] = (3, 11, 33),
        epochs: int = 20,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        seed: int = 0,
    ) -> None:
        self.build, self.correlation = build, correlation
        self.decay, self.decays = decay, np.array([0.5 ** (1 / h) for h in half_lives])
        self.epochs, self.batch_size = epochs, batch_size
        self.learning_rate, self.seed = learning_rate, seed
        self.flow: Flow | None = None
        self.columns: list = []

    def fit(self, history: pd.DataFrame) -> Self:
        x = values(history, least=2 * BURN_IN)
        still = np.asarray(history.columns)[~x[:BURN_IN].any(axis=0)]
        if len(still):
            raise ValueError(
                f"{list(still)} do not move in the first {BURN_IN} rows: there is no volatility to "
                "divide by; start later."
            )
        self.columns, self.variance = list(history.columns), x.var(axis=0)
        states = self._states(x)
        # Between these a path of draws is held.
        self.lowest = State(*(part.min(axis=0) for part in states))
        self.highest = State(*(part.max(axis=0) for part in states))
        raw = self._logarithms(states)[:-1]
        self.centre, self.width = raw.mean(axis=0), raw.std(axis=0)
        if self.correlation is not None:
            self.correlation.fit(x[BURN_IN:] / np.sqrt(states.variance[:-1]))
        rows = self.whitened(history)
        self.flow = self.build(x.shape[1], raw.shape[1])
        train(
            self.flow,
            batch_of(self.flow, rows),
            seed=self.seed,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
        )
        return self

    def laws(self, history: pd.DataFrame, days: int) -> Iterator[FlowDistribution]:
        flow, rows = self.fitted(), self.whitened(history)
        for context, root in zip(rows.context[-days:], rows.roots[-days:], strict=True):
            yield FlowDistribution(flow, root, context)

    def fitted(self) -> Flow:
        """The trained flow."""
        if self.flow is None:
            raise ValueError("the model has no parameters yet: call fit(history) first.")
        return self.flow

    def whitened(self, history: pd.DataFrame) -> Whitened:
        """What the filters leave of each row, by what was known the evening before."""
        same_series(self.columns, history)
        x = values(history, least=2 * BURN_IN)
        states = self._states(x)
        scales = np.sqrt(states.variance[:-1])
        y = x[BURN_IN:] / scales
        roots = scales[:, :, None] * np.eye(x.shape[1])
        if self.correlation is not None:
            root = np.linalg.cholesky(self.correlation.path(y))
            y = np.linalg.solve(root, y[..., None])[..., 0]
            roots = roots @ root
        return Whitened(y, self.context(states)[:-1], roots)

    def state(self, history: pd.DataFrame) -> State:
        """State on the evening of the last row."""
        states = self._states(values(history, least=2 * BURN_IN))
        return State(states.variance[-1], states.market[-1])

    def context(self, state: State) -> np.ndarray:
        """Context of the day after a state, in units of its spread in the fit, ``(..., C)``."""
        return (self._logarithms(state) - self.centre) / self.width

    def update(self, state: State, returns: np.ndarray) -> State:
        """State after one more day of returns, ``(..., S)``."""
        market = np.square(returns.mean(axis=-1, keepdims=True))
        moved = self.decays * state.market + (1 - self.decays) * market
        if self.decay is None:
            return State(state.variance, moved)
        return State(self.decay * state.variance + (1 - self.decay) * np.square(returns), moved)

    def _states(self, x: np.ndarray) -> State:
        """State of the evening before each row after the burn-in, and of the last evening."""
        market = x.mean(axis=1, keepdims=True)
        speeds = [_mean_square(market, decay) for decay in self.decays]
        if self.decay is None:
            variance = np.broadcast_to(self.variance, (len(x) - BURN_IN + 1, x.shape[1]))
        else:
            variance = _mean_square(x, self.decay)
        empty = np.empty((len(variance), 0))
        return State(variance, np.concatenate([empty, *speeds], axis=1))

    def _logarithms(self, state: State) -> np.ndarray:
        parts = [np.log(state.market)]
        if self.decay is not None:
            parts.append(np.log(state.variance).mean(axis=-1, keepdims=True))
        return 0.5 * np.concatenate(parts, axis=-1)


def batch_of(flow: Flow, rows: Whitened) -> Tensor | Conditional:
    """Whitened rows as a batch for training."""
    y = flow.like.new_tensor(rows.y)
    return Conditional(y, flow.like.new_tensor(rows.context)) if rows.context.size else y


def _mean_square(x: np.ndarray, decay: float) -> np.ndarray:
    """Weighted mean of the squares up to each row from the end of the burn-in on."""
    return pd.DataFrame(x**2).ewm(alpha=1 - decay).mean().to_numpy()[BURN_IN - 1 :]
