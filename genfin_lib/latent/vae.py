"""The variational autoencoder: a factor model whose maps are networks."""

from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, kl_divergence

from genfin_lib.distributions import StandardNormal, fixed_seed
from genfin_lib.flows import Flow
from genfin_lib.latent.heads import NormalHead
from genfin_lib.latent.latent import Elbo, LatentVariableModel
from genfin_lib.nn import MLP


class Head(Protocol):
    """What turns the numbers of a network into a distribution, feature by feature."""

    outputs: int

    def __call__(self, raw: Tensor) -> Distribution:
        """Distribution of batch shape ``(..., D)`` from numbers ``(..., outputs * D)``."""


class VAE(LatentVariableModel):
    r"""Variational autoencoder: latents of a simple law, a network each way.

    .. math:: z \sim p(z), \quad x \mid z \sim \operatorname{head}(\operatorname{decoder}(z)),
        \qquad q(z \mid x) = N\bigl(m(x),\, \mathrm{diag}\, s^2(x)\bigr), \quad
        (m, s) = \operatorname{encoder}(x)

    With ``hidden=()``, both maps affine, and a
    :class:`~genfin_lib.latent.ConstantScaleHead` this *is* probabilistic PCA (one scale) or factor
    analysis (a scale for each feature). A network in the decoder lets the mean bend and, with a
    head that has a scale, the noise depend on the latents. The noise is independent from feature to
    feature given :math:`z`: whatever moves together has to go through the latents.

    Against a standard normal prior the KL is a formula, one number a latent. Another prior, or a
    flow behind the Gaussian posterior, :math:`z = g(z_0; h(x))` with :math:`z_0` from the Gaussian
    and :math:`\log q(z \mid x) = \log q_0(z_0 \mid x) - \log|\det \partial g / \partial z_0|`,
    leaves one draw of it.

    D. P. Kingma and M. Welling (2014), https://arxiv.org/abs/1312.6114; D. J. Rezende, S. Mohamed
    and D. Wierstra (2014), https://proceedings.mlr.press/v32/rezende14.html; flows in the
    posterior: D. P. Kingma et al. (2016), https://arxiv.org/abs/1606.04934. Chapters: variational
    inference; the variational autoencoder.

    Args:
        features: Shape of an example: D, or ``(T, D)`` and the like with networks of your own.
        latents: Number :math:`M` of latents.
        hidden: Widths of the hidden layers of the encoder, and in reverse of the decoder.
        head: From the decoder's numbers to :math:`p(x \mid z)`; a
            :class:`~genfin_lib.latent.NormalHead` if ``None``. Standardise the data, so that its
            floor means something.
        encoder: Network in place of the perceptron: ``(N, *features)`` to ``(N, 2 M + C)``, C the
            context of ``flow``.
        decoder: Network in place of the perceptron: ``(N, M)`` to ``(N, ..., head.outputs * D)``.
        prior: Module whose call returns a law over ``(M,)``, as for the base of a flow; standard
            normal if ``None``.
        flow: :math:`g^{-1}`, a flow of M features whose draws are cheap
            (:func:`~genfin_lib.flows.iaf`); its context, if any, comes from the encoder.
        warm_up: See :class:`~genfin_lib.latent.LatentVariableModel`.
        free_nats: See :class:`~genfin_lib.latent.LatentVariableModel`.

    Raises:
        ValueError: If several dimensions come without networks for them, or prior or flow are not
            of M dimensions.
    """

    def __init__(
        self,
        features: int | Sequence[int],
        latents: int,
        *,
        hidden: Sequence[int] = (64, 64),
        head: Head | None = None,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
        prior: nn.Module | None = None,
        flow: Flow | None = None,
        warm_up: float = 0.3,
        free_nats: float = 0.0,
    ) -> None:
        super().__init__(warm_up=warm_up, free_nats=free_nats)
        self.shape = (features,) if isinstance(features, int) else tuple(features)
        self.latents = latents
        if len(self.shape) > 1 and (encoder is None or decoder is None):
            raise ValueError(f"examples of shape {self.shape} need an encoder and a decoder")
        self.head = cast(nn.Module, NormalHead() if head is None else head)
        self.prior = StandardNormal(latents) if prior is None else prior
        self.flow = flow
        sizes = self.prior().event_shape[-1], latents if flow is None else flow.features
        if sizes != (latents, latents):
            raise ValueError(f"prior and flow must be of {latents} dimensions, as the latents")
        if encoder is None:
            context = 0 if flow is None else flow.context
            encoder = MLP(self.shape[0], 2 * latents + context, hidden=hidden)
        if decoder is None:
            numbers = self.shape[0] * cast(Head, self.head).outputs
            decoder = MLP(latents, numbers, hidden=tuple(hidden)[::-1])
        self.encoder, self.decoder = encoder, decoder
        self.gaussian = NormalHead()

    def posterior(self, x: Tensor) -> Independent:
        r"""The Gaussian :math:`q_0(z \mid x)`, which is the posterior if there is no flow.

        Args:
            x: Examples, shape ``(N, *features)``.

        Returns:
            Law of batch shape ``(N,)`` over ``(M,)``; ``.mean`` is ``(N, M)``.

        Raises:
            ValueError: If ``x`` has another shape or type, or holds NaN or inf.
        """
        return self._infer(x)[0]

    def likelihood(self, z: Tensor) -> Distribution:
        r""":math:`p(x \mid z)` of each row of latents ``(N, M)``, feature by feature."""
        return cast(Distribution, self.head(self.decoder(z)))

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        r""":math:`\log p(x \mid z)` of each row, ``(N,)``.

        To be overridden where the decoder sees more than the latents, such as earlier features.
        """
        return self.likelihood(z).log_prob(x).flatten(1).sum(dim=1)

    def propose(self, x: Tensor) -> tuple[Tensor, Tensor]:
        r"""One draw from :math:`q(z \mid x)`, flow and all, ``(N, M)``; its log-density, ``(N,)``.

        Raises:
            ValueError: If ``x`` has another shape or type, or holds NaN or inf.
        """
        _, z, log_q = self._draw(x)
        return z, log_q

    def elbo(self, x: Tensor) -> Elbo:
        """Both terms from one draw: KL by latent ``(N, M)`` if a formula, else its draw ``(N, 1)``.

        Raises:
            ValueError: If ``x`` has another shape or type, or holds NaN or inf.
        """
        q, z, log_q = self._draw(x)
        prior = self.prior()
        if self.flow is None and isinstance(self.prior, StandardNormal):
            kl = kl_divergence(q.base_dist, prior.base_dist)
        else:
            kl = (log_q - prior.log_prob(z))[:, None]
        return Elbo(self.log_likelihood(x, z), kl)

    def log_weights(self, x: Tensor) -> Tensor:
        r"""One draw of :math:`\log p(x \mid z) + \log p(z) - \log q(z \mid x)`, ``(N,)``.

        Raises:
            ValueError: If ``x`` has another shape or type, or holds NaN or inf.
        """
        z, log_q = self.propose(x)
        return self.log_likelihood(x, z) + self.prior().log_prob(z) - log_q

    @torch.no_grad()
    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        """Draw ``n`` examples, the noise of the decoder included, shape ``(n, *features)``."""
        with fixed_seed(seed):
            return self.likelihood(self.prior().sample((n,))).sample()

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Mean of the decoder at the posterior's mean (with a flow, the image of the Gaussian's).

        Raises:
            ValueError: If ``x`` has another shape or type, or holds NaN or inf.
        """
        q, context = self._infer(x)
        z = q.mean if self.flow is None else self.flow.inverse(q.mean, context)[0]
        return self.likelihood(z).mean

    def _infer(self, x: Tensor) -> tuple[Independent, Tensor | None]:
        """The Gaussian posterior, and what the flow is told besides."""
        self._check(x)
        raw = self.encoder(x)
        # The flow's check refuses a context of the wrong width.
        context = raw[:, 2 * self.latents :] if raw.shape[1] > 2 * self.latents else None
        q = Independent(self.gaussian(raw[:, : 2 * self.latents]), 1, validate_args=False)
        return q, context

    def _draw(self, x: Tensor) -> tuple[Independent, Tensor, Tensor]:
        """The Gaussian posterior, a draw from the posterior ``(N, M)``, its log-density."""
        q, context = self._infer(x)
        z = q.rsample()
        log_q = q.log_prob(z)
        if self.flow is not None:
            z, log_abs_det = self.flow.inverse(z, context)
            log_q = log_q - log_abs_det
        return q, z, log_q

    def _check(self, x: Tensor) -> None:
        if x.ndim != len(self.shape) + 1 or x.shape[1:] != self.shape:
            wanted = ", ".join(map(str, self.shape))
            raise ValueError(f"x must have shape (N, {wanted}), got {tuple(x.shape)}")
        dtype = next(self.parameters()).dtype
        if x.dtype != dtype:
            raise ValueError(f"x is {x.dtype} and the model is {dtype}; convert one of them")
        if not torch.isfinite(x).all():
            raise ValueError("x holds NaN or inf; drop or fill those rows first")
