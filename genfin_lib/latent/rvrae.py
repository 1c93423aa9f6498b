"""Dynamic factors: a few latent causes a day, and a recurrent state that remembers."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, kl_divergence

from genfin_lib.distributions import fixed_seed
from genfin_lib.latent.dynamic import (
    CommonScale,
    DynamicPrior,
    ExtractingCell,
    NetworkDecoder,
    NetworkEncoder,
)
from genfin_lib.latent.latent import Elbo, LatentVariableModel
from genfin_lib.latent.linear_factors import GaussianPosterior, LinearDecoder
from genfin_lib.latent.panel import Panel


class Filtered(NamedTuple):
    """One sweep over a panel.

    Attributes:
        before: State before each day, :math:`h_{t-1}`, ``(N, T, H)``.
        prior: Factors given the state before, batch shape ``(N, T, M)``.
        posterior: Factors given the day too; its mean is the filtered factors.
        state: State after the last day, ``(N, H)``; give it to the next call.
    """

    before: Tensor
    prior: Distribution
    posterior: Distribution
    state: Tensor

    @property
    def factors(self) -> Tensor:
        """Filtered factors, the posterior's mean, ``(N, T, M)``."""
        return self.posterior.mean


class RVRAE(LatentVariableModel):
    r"""Dynamic factors: latent causes of each day, and a recurrent state that carries the past.

    .. math::
        p(x_{1:T}) = \prod_t \int p(x_t \mid z_t, h_{t-1})\, p(z_t \mid h_{t-1})\, dz_t, \qquad
        h_t = \mathrm{GRU}\bigl(\varphi(x_t, \hat z_t, c_t), h_{t-1}\bigr), \qquad
        \hat z_t = \mathrm{E}_q[z_t \mid x_t, h_{t-1}]

    Prior and decoder read :math:`h_{t-1}`, which has not seen the day; only the encoder reads
    :math:`x_t`. A decoder that reads :math:`h_t` is shown what it has to forecast.

    :math:`\varphi` is an affine map with a ReLU: returns are symmetric, and what a state has to
    find in them, sizes and products, is not linear. :math:`c_t` was known the evening before.

    The state takes the filtered factors :math:`\hat z_t` and not a draw of them. So it is a
    function of the data alone: each day's forecast is one integral over :math:`z_t` and no mixture
    over paths, the bound holds day by day, and one observation at a time gives the numbers of the
    whole stretch. The variational recurrent network of J. Chung et al. (2015),
    https://arxiv.org/abs/1506.02216, carries the draw; conditional asset pricing with such factors:
    S. Gu, B. Kelly and D. Xiu (2021), https://doi.org/10.1016/j.jeconom.2020.07.009.
    Chapter: dynamic factors.

    With a :class:`CommonScale` each day is larger or smaller as a whole, all series at once.

    Examples are the stretches of a `Panel`, with gaps if need be.

    Args:
        features: Number :math:`D` of series.
        factors: Number :math:`M` of latent factors.
        context: Numbers known before each day that all series share.
        hidden: Size of the state.
        decoder: From factors and state to a law of the day; a network if ``None``.
        prior: Law of the factors given the state; Gaussian, mean and scale learned, if ``None``.
        encoder: Law of the factors given the day; a network if ``None``, or the closed form
            :class:`GaussianPosterior` where the decoder is linear in the factors.
        cell: Map of ``(inputs, state)`` to the next state; an :class:`ExtractingCell` if ``None``.
        draws: Draws of the importance-weighted bound in training; one is the ELBO.
        warm_up: Share of training over which the weight of the KL rises to one.
        common_scale: Initial spread of a :class:`CommonScale`; none if zero.

    Raises:
        ValueError: If the closed form is asked for beside a decoder that is not linear.
    """

    def __init__(
        self,
        features: int,
        factors: int = 3,
        *,
        context: int = 0,
        hidden: int = 16,
        decoder: nn.Module | None = None,
        prior: nn.Module | None = None,
        encoder: nn.Module | None = None,
        cell: nn.Module | None = None,
        draws: int = 1,
        warm_up: float = 0.3,
        common_scale: float = 0.0,
    ) -> None:
        super().__init__(warm_up=warm_up)
        self.features, self.factors, self.draws = features, factors, draws
        self.decoder: Any = decoder or NetworkDecoder(features, factors, hidden)
        self.prior: nn.Module = prior or DynamicPrior(factors, hidden, context)
        self.encoder: Any = encoder or NetworkEncoder(features, factors, hidden)
        self.cell: nn.Module = cell or ExtractingCell(features + factors + context, hidden)
        if isinstance(self.encoder, GaussianPosterior) and not isinstance(
            self.decoder, LinearDecoder
        ):
            raise ValueError(
                "GaussianPosterior is a formula for decoders linear in the factors; give "
                "LinearDecoder or SlowDecoder, or a NetworkEncoder"
            )
        self.initial = nn.Parameter(torch.zeros(hidden))
        self.scale = CommonScale(common_scale) if common_scale else None

    def filter(self, panel: Panel, state: Tensor | None = None) -> Filtered:
        """Sweep over the days: prior, posterior, next state.

        A single day with the state that the call before returned is the online form.

        The cell is fed zeros at gaps, and no mask beside them: to the state a gap looks like a
        series that did not move. Filtered factors, which it is fed too, leave gaps out.

        Args:
            panel: Stretches of days.
            state: State before the first day, ``(N, H)``; the learned first one if ``None``.

        Raises:
            ValueError: If the panel is of other series.
        """
        if panel.x.ndim != 3 or panel.x.shape[-1] != self.features:
            raise ValueError(
                f"a panel of shape {tuple(panel.x.shape)}: (stretches, days, {self.features}) are "
                "needed; Panel.of makes one"
            )
        state = self.initial.expand(len(panel.x), -1) if state is None else state
        decoder, encoder = self.decoder, self.encoder
        closed = isinstance(decoder, LinearDecoder) and isinstance(encoder, GaussianPosterior)
        # A closed form whose decoder reads no state is computed for all days at once.
        at_once = self._evidence(panel, state) if closed and not decoder.reads_state else None
        before = []
        for t in range(panel.x.shape[1]):
            day = Panel._make(part[:, t] for part in panel)
            seen = (part[:, t] for part in at_once) if at_once else self._evidence(day, state)
            factors = encoder.mean(self.prior(state, day.context), *seen)
            before.append(state)
            state = self.cell(torch.cat((day.x, factors, day.context), dim=-1), state)
        # What the loop needed of these laws was a mean; here they are in full, all days together.
        states = torch.stack(before, dim=1)
        prior = self.prior(states, panel.context)
        posterior = encoder(prior, *(at_once or self._evidence(panel, states)))
        return Filtered(states, prior, posterior, state)

    def _evidence(self, day: Panel, state: Tensor) -> tuple[Any, ...]:
        """What the encoder is told of a day, or of all days of a panel, beside the prior."""
        if isinstance(self.encoder, GaussianPosterior) and isinstance(self.decoder, LinearDecoder):
            return self.encoder.evidence(day, self.decoder.terms(state, day))
        return day, state

    def _terms(self, panel: Panel, draws: int) -> tuple[Tensor, Tensor, Filtered]:
        """Log-likelihood and log prior over posterior of each draw and day, ``(K, N, T)`` both."""
        path, x, volume = self.filter(panel), panel.x, torch.zeros(())
        z = path.posterior.rsample(torch.Size([draws]))  # (K, N, T, M)
        log_q = _joint(path.posterior, z)
        if self.scale is not None:
            # Of the day over its scale, the posterior's mean goes with the day, its spread stays.
            size = self.scale.draw(z.shape[:-1])
            z = z + path.posterior.mean * (1 / size - 1)
            x, volume = x / size, size[..., 0].log() * panel.seen.sum(-1)
        law = self.decoder(z, path.before, panel)
        log_likelihood = (law.log_prob(x) * panel.seen).sum(-1) - volume
        return log_likelihood, _joint(path.prior, z) - log_q, path

    def elbo(self, x: Any) -> Elbo:
        """Both terms for each stretch; ``kl`` by day, ``(N, T)``, exact between Gaussians."""
        log_likelihood, ratio, path = self._terms(x, 1)
        normal = isinstance(path.prior, Normal) and isinstance(path.posterior, Normal)
        if normal and self.scale is None:
            kl = kl_divergence(path.posterior, path.prior).sum(-1)
        else:
            kl = -ratio[0]
        return Elbo(log_likelihood[0].sum(-1), kl)

    def loss(self, x: Any, *, progress: float = 1.0) -> Tensor:
        r"""Negative bound per day, with ``draws`` draws; the KL's weight warms up."""
        if self.draws == 1:
            return super().loss(x, progress=progress) / x.x.shape[1]
        log_likelihood, ratio, _ = self._terms(x, self.draws)
        weights = log_likelihood + self.kl_weight(progress) * ratio
        return math.log(self.draws) - weights.logsumexp(0).mean()

    def log_weights(self, x: Any) -> Tensor:
        log_likelihood, ratio, _ = self._terms(x, 1)
        return (log_likelihood + ratio)[0].sum(-1)

    @torch.no_grad()
    def log_scores(self, panel: Panel, *, draws: int = 64, seed: int | None = None) -> Tensor:
        r"""Log-density of each day given the days before it, ``(N, T)``, in nats.

        .. math:: \log \frac1K \sum_k \frac{p(x_t \mid z_k, h_{t-1})\, p(z_k \mid h_{t-1})}
            {q(z_k \mid x_t, h_{t-1})}

        The density of the *prior* predictive law: the posterior is only where the draws are taken,
        and the weights undo that. Never above the truth in the mean.
        """
        with fixed_seed(seed):
            log_likelihood, ratio, _ = self._terms(panel, draws)
        return (log_likelihood + ratio).logsumexp(0) - math.log(draws)

    def log_prob(self, x: Any, *, draws: int = 64, seed: int | None = None) -> Tensor:
        """Sum of the bounds of all days, ``(N,)``: tighter than the bound on whole paths."""
        return self.log_scores(x, draws=draws, seed=seed).sum(-1)

    @torch.no_grad()
    def reconstruct(self, x: Any) -> Tensor:
        """Mean of the decoder at the filtered factors, ``(N, T, D)``: no forecast."""
        path = self.filter(x)
        mean: Tensor = self.decoder(path.factors, path.before, x).mean
        return mean

    @torch.no_grad()
    def predict(self, panel: Panel, *, draws: int = 256, seed: int = 0) -> tuple[Tensor, Tensor]:
        r"""Mean and covariance of each day given the days before it: ``(N, T, D)``, ``(.., D, D)``.

        .. math:: \mathrm{Var}(x_t \mid h_{t-1}) = \mathrm{E}\,\mathrm{Var}(x_t \mid z_t, h_{t-1})
            + \mathrm{Var}\,\mathrm{E}(x_t \mid z_t, h_{t-1}), \qquad z_t \sim p(z_t \mid h_{t-1})

        In closed form, :math:`\Lambda \Sigma_z \Lambda^\top + \Psi`, for a decoder linear in the
        factors; else from draws of the prior. The posterior's covariance of :math:`z_t` says how
        well the factors of a day *gone* are known and is no forecast.
        """
        path = self.filter(panel)
        if isinstance(self.decoder, LinearDecoder):
            mean, covariance = self.decoder.terms(path.before, panel).moments(path.prior)
        else:
            with fixed_seed(seed):
                law = self.decoder(path.prior.sample(torch.Size([draws])), path.before, panel)
            mean = law.mean.mean(0)
            centred = law.mean - mean  # (K, N, T, D)
            between = torch.einsum("kntd,knte->ntde", centred, centred) / (draws - 1)
            covariance = between + torch.diag_embed(law.variance.mean(0))
        return (mean, covariance) if self.scale is None else self.scale.moments(mean, covariance)

    @torch.no_grad()
    def forecast(self, panel: Panel, n: int, *, seed: int | None = None) -> Tensor:
        """Draws of each day given the days before it, ``(n, N, T, D)``."""
        path = self.filter(panel)
        with fixed_seed(seed):
            z = path.prior.sample(torch.Size([n]))
            draws: Tensor = self.decoder(z, path.before, panel).sample()
            return draws if self.scale is None else draws * self.scale.draw(draws.shape[:-1])

    @torch.no_grad()
    def sample(self, n: int, *, length: int = 64, seed: int | None = None) -> Tensor:
        """Paths of ``length`` days from the first state on, ``(n, length, D)``.

        Raises:
            ValueError: From the model's parts, if they need numbers known before the day; draws of
                a day of a panel come from :meth:`forecast`.
        """
        state, days = self.initial.expand(n, -1), []
        with fixed_seed(seed):
            for _ in range(length):
                day = Panel.of(state.new_zeros(n, 1, self.features))
                path = self.filter(day, state)
                x = self.decoder(path.prior.sample(), path.before, day).sample()
                x = x if self.scale is None else x * self.scale.draw(x.shape[:-1])
                state = self.filter(Panel.of(x), state).state
                days.append(x)
        return torch.cat(days, dim=1)

    def loadings(self, panel: Panel) -> Tensor:
        r"""How each series moves with each factor, :math:`\partial \hat x_t / \partial z_t`.

        The decoder's Jacobian at the prior's mean, ``(N, T, D, M)``. Known up to an invertible map
        of the factors and no further: align before comparing days or models.
        """
        with torch.no_grad():
            path = self.filter(panel)
        z = path.prior.mean.requires_grad_()
        with torch.enable_grad():
            mean = self.decoder(z, path.before, panel).mean
            rows = [
                torch.autograd.grad(mean[..., d].sum(), z, retain_graph=True)[0]
                for d in range(self.features)
            ]
        return torch.stack(rows, dim=-2)


def _joint(law: Distribution, z: Tensor) -> Tensor:
    """Log-density of all factors of a day together."""
    log_prob: Tensor = law.log_prob(z)
    return log_prob if law.event_shape else log_prob.sum(-1)
