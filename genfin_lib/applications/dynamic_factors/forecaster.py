"""Dynamic factor models fitted on a stretch of days and asked about the days after it."""

from collections.abc import Callable
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from genfin_lib.applications.dynamic_factors.inputs import Inputs
from genfin_lib.latent import (
    RVRAE,
    GaussianPosterior,
    LinearDecoder,
    Panel,
    ScalePrior,
    SlowDecoder,
)
from genfin_lib.training import fit

# From numbers of series, of factors, of own and of shared features to a model.
Builder = Callable[[int, int, int, int], RVRAE]
BURN_IN = 250
MARKET = 9


class NoMemory(nn.Module):
    """A cell that forgets: what a recurrent model would be without its recurrence."""

    def forward(self, _: Tensor, state: Tensor) -> Tensor:
        """The state of zeros, whatever came."""
        return torch.zeros_like(state)


def plain(series: int, factors: int, own: int, context: int, *, hidden: int = 16) -> RVRAE:
    """The sources' form: networks for encoder, prior and decoder, Gaussian noise."""
    return RVRAE(series, factors, context=context, hidden=hidden)


def linear(series: int, factors: int, own: int, context: int, *, hidden: int = 16) -> RVRAE:
    """Linear in the factors; loadings, scales of noise and of factors from the state; t tails."""
    return RVRAE(
        series,
        factors,
        context=context,
        hidden=hidden,
        decoder=LinearDecoder(series, factors, hidden),
        prior=ScalePrior(factors, hidden, context),
        encoder=GaussianPosterior(),
        draws=4,
        warm_up=0.0,
    )


def informed(
    series: int,
    factors: int,
    own: int,
    context: int,
    *,
    hidden: int = 8,
    df: float | None = 5.0,
    memory: bool = True,
) -> RVRAE:
    """Slow loadings and features given, t noise of each series; the state moves factor scales."""
    return RVRAE(
        series,
        factors,
        context=context,
        hidden=hidden,
        decoder=SlowDecoder(series, factors, own, df=df),
        prior=ScalePrior(factors, hidden, context),
        encoder=GaussianPosterior(),
        cell=None if memory else NoMemory(),
        draws=8,
        warm_up=0.0,
    )


class DynamicFactors:
    """A dynamic factor model of returns, trained on the days before a refit.

    Chapter: dynamic factors.

    Args:
        build: From numbers of series, factors, own and shared features to a model.
        factors: Number of factors, that of the inputs' slow loadings.
        features: Whether the model is given the features; else none.
        rescaled: Whether it sees returns over yesterday's volatility; else over one constant.
        days: Days of training.
        window: Days of a stretch, over which gradients flow.
        epochs: Passes over the stretches.
        learning_rate: Initial one.
        seed: Of weights, order and draws.
    """

    def __init__(
        self,
        build: Builder = informed,
        *,
        factors: int = 5,
        features: bool = True,
        rescaled: bool = True,
        days: int = 2500,
        window: int = 25,
        epochs: int = 10,
        learning_rate: float = 3e-3,
        seed: int = 0,
    ) -> None:
        self.factors = factors
        self.build, self.features, self.rescaled = build, features, rescaled
        self.days, self.window, self.epochs = days, window, epochs
        self.learning_rate, self.seed = learning_rate, seed

    def fit(self, inputs: Inputs, stop: int) -> Self:
        """Train on the ``days`` rows before row ``stop``.

        Raises:
            ValueError: fewer rows than one window.
        """
        first = max(0, stop - self.days)
        known = inputs.features[first:stop]
        self.centre, self.spread = known.mean(axis=(0, 1)), known.std(axis=(0, 1)) + 1e-8
        self.size = (inputs.y[first:stop] * inputs.scale[first:stop]).std(axis=0)
        series, own = inputs.y.shape[1], known.shape[-1] if self.features else 0
        torch.manual_seed(self.seed)
        self.model = self.build(series, self.factors, own, min(own, MARKET))
        fit(
            self.model,
            self.panel(inputs, first, stop).windows(self.window),
            seed=self.seed,
            epochs=self.epochs,
            batch_size=20,
            learning_rate=self.learning_rate,
            cosine=True,
            clip_norm=1.0,
        )
        return self

    def panel(self, inputs: Inputs, first: int, stop: int) -> Panel:
        """Rows ``first`` to ``stop`` as one stretch of the model's panel."""
        rows = slice(first, stop)
        y, own = inputs.y[rows], inputs.features[rows]
        if not self.rescaled:
            y = y * inputs.scale[rows] / self.size
        own = np.clip((own - self.centre) / self.spread, -5, 5)
        own = own if self.features else own[..., :0]
        tensors = [
            torch.tensor(part, dtype=torch.float32)[None]
            for part in (y, own[:, 0, -MARKET:], own, inputs.loadings[rows])
        ]
        return Panel.of(tensors[0], context=tensors[1], own=tensors[2], loadings=tensors[3])

    def _asked(self, inputs: Inputs, first: int, stop: int) -> tuple[Panel, int, np.ndarray]:
        """The panel with days before it for the state, their number, and what returns are over."""
        early = min(first, BURN_IN)
        scale = inputs.scale[first:stop] if self.rescaled else np.tile(self.size, (stop - first, 1))
        return self.panel(inputs, first - early, stop), early, scale

    def log_scores(
        self, inputs: Inputs, first: int, stop: int, *, draws: int = 100, seed: int = 0
    ) -> np.ndarray:
        """Log-density of the returns of rows ``first`` to ``stop``, each given the rows before."""
        panel, early, scale = self._asked(inputs, first, stop)
        scores = self.model.log_scores(panel, draws=draws, seed=seed)[0, early:]
        return scores.double().numpy() - np.log(scale).sum(axis=1)

    def covariances(self, inputs: Inputs, first: int, stop: int) -> np.ndarray:
        """Covariance of the returns of each row given the rows before, ``(n, S, S)``."""
        panel, early, scale = self._asked(inputs, first, stop)
        covariance = self.model.predict(panel)[1][0, early:].double().numpy()
        found: np.ndarray = covariance * scale[:, :, None] * scale[:, None, :]
        return found
