"""Dynamic factor models fitted on a stretch of days and asked about the days after it."""

from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor, nn

from genfin_lib.applications.dynamic_factors.inputs import Inputs
from genfin_lib.distributions import fixed_seed
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


class FactorPath(NamedTuple):
    r"""What a model linear in its factors said of each day, and of the factors afterwards.

    .. math:: \mathrm{Var}(x_t \mid h_{t-1}) = E_t E_t^\top + \mathrm{diag}(d_t), \qquad
        x_t \approx E_t f_t + \text{own noise}

    Attributes:
        exposures: :math:`E`, the move of each series when a factor moves by one standard deviation,
            in units of the returns, ``(n, S, M)``; known the evening before.
        own: :math:`d`, variance of own noise, ``(n, S)``; known the evening before.
        factors: :math:`f`, filtered factors in standard deviations, ``(n, M)``; known with the day.
        kl: What the day taught about its factors, nats, ``(n,)``; known with the day.
        distance: Of the state after the day from the nearest of three centres of the training days'
            states, coordinates in standard deviations, ``(n,)``.
    """

    exposures: np.ndarray
    own: np.ndarray
    factors: np.ndarray
    kl: np.ndarray
    distance: np.ndarray

    def covariances(self) -> np.ndarray:
        """Covariance of each day's returns given the days before, ``(n, S, S)``."""
        shared = self.exposures @ self.exposures.swapaxes(1, 2)
        found: np.ndarray = shared + self.own[..., None] * np.eye(self.own.shape[1])
        return found


class NoMemory(nn.Module):
    """A cell that forgets: what a recurrent model would be without its recurrence."""

    def forward(self, _: Tensor, state: Tensor) -> Tensor:
        """The state of zeros, whatever came."""
        return torch.zeros_like(state)


def plain(series: int, factors: int, own: int, context: int, *, hidden: int = 16) -> RVRAE:
    """The sources' form: networks for encoder, prior and decoder, Gaussian noise.

    Args:
        series: Number of series.
        factors: Number of factors.
        own: Number of features of each series (not used).
        context: Number of features that all share.
        hidden: Width of the state.
    """
    return RVRAE(series, factors, context=context, hidden=hidden)


def linear(series: int, factors: int, own: int, context: int, *, hidden: int = 16) -> RVRAE:
    """Linear in the factors; loadings, scales of noise and of factors from the state; t tails.

    Args:
        series: Number of series.
        factors: Number of factors.
        own: Number of features of each series (not used).
        context: Number of features that all share.
        hidden: Width of the state.
    """
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
    common_scale: float = 0.0,
) -> RVRAE:
    """Slow loadings and features given, t noise of each series; the state moves factor scales.

    Args:
        series: Number of series.
        factors: Number of factors.
        own: Number of features of each series.
        context: Number of features that all share.
        hidden: Width of the state.
        df: Degrees of freedom of the noise at the start; none for Gaussian noise.
        memory: Whether the state remembers; else it is zero.
        common_scale: Initial spread of the logarithm of a day's size; none if zero.
    """
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
        common_scale=common_scale,
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
        batch_size: Stretches a step.
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
        batch_size: int = 20,
        epochs: int = 10,
        learning_rate: float = 3e-3,
        seed: int = 0,
    ) -> None:
        self.factors = factors
        self.build, self.features, self.rescaled = build, features, rescaled
        self.days, self.window, self.epochs = days, window, epochs
        self.batch_size = batch_size
        self.learning_rate, self.seed = learning_rate, seed

    def fit(self, inputs: Inputs, stop: int) -> Self:
        """Train on the ``days`` rows before row ``stop``.

        Raises:
            ValueError: fewer rows than one window.
        """
        self.stop, first = stop, max(0, stop - self.days)
        known = inputs.features[first:stop]
        self.centre, self.spread = known.mean(axis=(0, 1)), known.std(axis=(0, 1)) + 1e-8
        self.size = np.nanstd(inputs.y[first:stop] * inputs.scale[first:stop], axis=0)
        series, own = inputs.y.shape[1], known.shape[-1] if self.features else 0
        torch.manual_seed(self.seed)
        self.model = self.build(series, self.factors, own, min(own, MARKET))
        fit(
            self.model,
            self.panel(inputs, first, stop).windows(self.window),
            seed=self.seed,
            epochs=self.epochs,
            batch_size=self.batch_size,
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
        """Log-density of the returns seen in rows ``first`` to ``stop``, given the rows before."""
        panel, early, scale = self._asked(inputs, first, stop)
        scores = self.model.log_scores(panel, draws=draws, seed=seed)[0, early:]
        units = np.where(np.isnan(inputs.y[first:stop]), 0.0, np.log(scale))
        return scores.double().numpy() - units.sum(axis=1)

    def covariances(self, inputs: Inputs, first: int, stop: int) -> np.ndarray:
        """Covariance of the returns of each row given the rows before, ``(n, S, S)``."""
        panel, early, scale = self._asked(inputs, first, stop)
        covariance = self.model.predict(panel)[1][0, early:].double().numpy()
        found: np.ndarray = covariance * scale[:, :, None] * scale[:, None, :]
        return found

    @torch.no_grad()
    def path(
        self, inputs: Inputs, first: int, stop: int, *, draws: int = 32, seed: int = 0
    ) -> FactorPath:
        """Forecasts of rows ``first`` to ``stop`` taken apart by factor, and the factors found.

        Args:
            inputs: Those of `fit`, or longer.
            first: First row.
            stop: Row after the last.
            draws: Behind the KL, which has no closed form for t factors.
            seed: Of the draws.

        Raises:
            ValueError: a decoder that is not linear in the factors.
        """
        decoder = self.model.decoder
        if not isinstance(decoder, LinearDecoder):
            raise ValueError(f"{type(decoder).__name__}: a decoder linear in its factors is needed")
        panel, early, scale = self._asked(inputs, first, stop)
        found = self.model.filter(panel)
        terms = decoder.terms(found.before, panel)
        exposures = (terms.loadings * found.prior.stddev[..., None, :])[0, early:]
        exposures = exposures.double().numpy() * scale[..., None]
        variances = np.einsum("tii->ti", self.covariances(inputs, first, stop))
        with fixed_seed(seed):
            kl = self.model.elbo(Panel._make(part.expand(draws, *part.shape[1:]) for part in panel))
        trained = self.model.filter(self.panel(inputs, max(0, self.stop - self.days), self.stop))
        known = trained.before[0].numpy()
        centre, spread = known.mean(axis=0), known.std(axis=0) + 1e-8
        clusters = KMeans(3, n_init=5, random_state=seed).fit((known - centre) / spread)
        states = torch.cat((found.before[0, early + 1 :], found.state)).numpy()
        return FactorPath(
            exposures,
            variances - np.square(exposures).sum(axis=-1),
            (found.factors / found.prior.stddev)[0, early:].double().numpy(),
            kl.kl.mean(dim=0)[early:].double().numpy(),
            clusters.transform((states - centre) / spread).min(axis=1),
        )
