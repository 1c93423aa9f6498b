"""Flows of all series at once, given the state of the market."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from genfin_lib.applications.joint.contract import JointForecaster
from genfin_lib.applications.joint.correlation import CorrelationFilter
from genfin_lib.flows import Flow
from genfin_lib.flows.flow import Conditional
from genfin_lib.risk.forecasters.contract import same_series, values
from genfin_lib.risk.validation import finite
from genfin_lib.training import fit as train

BURN_IN = 50


class State(NamedTuple):
    """What is known of a market in the evening, as exponentially weighted means of squares.

    Attributes:
        variance: Of each series, ``(..., S)``.
        market: Of the equally weighted mean of the series, at each speed, ``(..., K)``.
    """

    variance: np.ndarray
    market: np.ndarray

    def context(self) -> np.ndarray:
        """Logarithms of market volatilities and of the mean volatility, ``(..., K + 1)``."""
        mean = np.log(self.variance).mean(axis=-1, keepdims=True)
        return 0.5 * np.concatenate([np.log(self.market), mean], axis=-1)


class FlowDistribution:
    r"""A flow of whitened returns as a law of returns.

    .. math:: r = \operatorname{diag}(\sigma)\, L\, y, \qquad y \sim \text{flow}(\cdot \mid c),
        \qquad \log p(r) = \log p(y \mid c) - \log\det L - \sum_j \log \sigma_j

    Args:
        flow: Conditional flow of ``S`` features.
        context: :math:`c`, ``(C,)``, standardised.
        root: :math:`\operatorname{diag}(\sigma) L`, lower triangular, ``(S, S)``.
    """

    def __init__(self, flow: Flow, context: np.ndarray, root: np.ndarray) -> None:
        self.flow, self.root = flow, root
        self.context = flow.like.new_tensor(context)[None]

    @torch.no_grad()
    def log_prob(self, x: ArrayLike) -> np.ndarray:
        x = np.atleast_2d(finite(x, "x"))
        y = self.flow.like.new_tensor(np.linalg.solve(self.root, x.T).T)
        inside = self.flow.log_prob(y, self.context.expand(len(y), -1))
        return inside.double().numpy() - np.log(np.diagonal(self.root)).sum()

    def sample(self, n: int, *, seed: int) -> np.ndarray:
        y = self.flow.sample(n, self.context, seed=seed)[0]
        return y.double().numpy() @ self.root.T


class FlowJointForecaster(JointForecaster):
    r"""One conditional flow for all series: volatility divided out, the market's state as context.

    .. math:: y_t = L_t^{-1} \operatorname{diag}(\sigma_t)^{-1} r_t, \qquad
        y_t \mid c_t \sim \text{flow}

    :math:`\sigma_t` is the exponentially weighted volatility of each series, known the evening
    before, and :math:`c_t` the logarithms of market volatility at several speeds. Without a
    correlation filter :math:`L_t = I` and the flow has to learn the dependence; with one, it starts
    from what the filter leaves. Chapter: portfolios.

    Args:
        build: Untrained flow from ``(features, context)``.
        correlation: Filter that whitens, or ``None``.
        decay: Of the volatility of each series.
        half_lives: Of the market volatilities in the context, in days.
        epochs: Of training.
        batch_size: Of training.
        learning_rate: Of training.
        seed: Of the training.

    Raises:
        ValueError: NaN, fewer than 100 rows, a series that does not move, columns other than those
            fitted, or not fitted.
    """

    def __init__(
        self,
        build: Callable[[int, int], Flow],
        *,
        correlation: CorrelationFilter | None = None,
        decay: float = 0.97,
        half_lives: tuple[float, ...] = (3, 11, 33),
        epochs: int = 20,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        seed: int = 0,
    ) -> None:
        self.build, self.correlation = build, correlation
        self.decay, self.half_lives = decay, half_lives
        self.epochs, self.batch_size = epochs, batch_size
        self.learning_rate, self.seed = learning_rate, seed
        self.flow: Flow | None = None
        self.columns: list = []

    def fit(self, history: pd.DataFrame) -> Self:
        x = values(history, least=2 * BURN_IN)
        states = self.states(x)
        still = np.asarray(history.columns)[states.variance[BURN_IN] == 0]
        if len(still):
            raise ValueError(
                f"{list(still)} do not move in the first {BURN_IN} rows: there is no volatility to "
                "divide by; start later."
            )
        y = x[BURN_IN:] / np.sqrt(states.variance[BURN_IN:-1])
        if self.correlation is not None:
            path = self.correlation.fit(y).path(y)
            y = np.linalg.solve(np.linalg.cholesky(path), y[..., None])[..., 0]
        context = State(*(part[BURN_IN:-1] for part in states)).context()
        self.centre, self.width = context.mean(axis=0), context.std(axis=0)
        flow = self.build(x.shape[1], context.shape[1])
        batch = Conditional(
            flow.like.new_tensor(y), flow.like.new_tensor(self.standardised(context))
        )
        train(
            flow,
            batch,
            seed=self.seed,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
        )
        self.flow, self.columns = flow, list(history.columns)
        return self

    def laws(self, history: pd.DataFrame, days: int) -> Iterator[FlowDistribution]:
        same_series(self.columns, history)
        if self.flow is None:
            raise ValueError("the model has no parameters yet: call fit(history) first.")
        x = values(history, least=2 * BURN_IN)
        states = self.states(x)
        scales = np.sqrt(states.variance[BURN_IN:-1])
        if self.correlation is None:
            roots = scales[-days:, :, None] * np.eye(x.shape[1])
        else:
            path = self.correlation.path(x[BURN_IN:] / scales)[-days:]
            roots = scales[-days:, :, None] * np.linalg.cholesky(path)
        contexts = State(*(part[-days - 1 : -1] for part in states)).context()
        for context, root in zip(contexts, roots, strict=True):
            yield FlowDistribution(self.flow, self.standardised(context), root)

    def standardised(self, context: np.ndarray) -> np.ndarray:
        """Context in units of its mean and standard deviation over the days of the fit."""
        return (context - self.centre) / self.width

    def states(self, x: np.ndarray) -> State:
        """State of the evening before each row, and of the last evening, ``n + 1`` rows."""
        market = x.mean(axis=1)
        decays = [2 ** (-1 / h) for h in self.half_lives]
        return State(
            _before(x, self.decay),
            np.stack([_before(market[:, None], decay)[:, 0] for decay in decays], axis=-1),
        )

    def update(self, state: State, returns: np.ndarray) -> State:
        """State after one more day of returns, ``(..., S)``."""
        decays = np.array([2 ** (-1 / h) for h in self.half_lives])
        market = np.square(returns.mean(axis=-1, keepdims=True))
        return State(
            self.decay * state.variance + (1 - self.decay) * np.square(returns),
            decays * state.market + (1 - decays) * market,
        )


def _before(x: np.ndarray, decay: float) -> np.ndarray:
    """Weighted mean square of the rows before each, and before the one that is to come."""
    mean = pd.DataFrame(x**2).ewm(alpha=1 - decay).mean().to_numpy()
    # Before the first day nothing is known; its place is never used, being in the burn-in.
    return np.concatenate([mean[:1], mean])
