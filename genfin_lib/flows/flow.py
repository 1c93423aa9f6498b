"""A density model made of a transform and a base distribution."""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from genfin_lib.distributions import StandardNormal, fixed_seed
from genfin_lib.flows.transform import Compose, Transform

# Rows inverted at a time when sampling: hidden layers of this many rows stay in the cache, and
# a million draws cost time but no memory.
CHUNK = 4096


class Conditional(NamedTuple):
    """Rows of data with the context each is conditioned on, as one batch for training.

    Attributes:
        x: Data, shape ``(N, D)``.
        context: Context, shape ``(N, C)``.
    """

    x: Tensor
    context: Tensor


class Flow(nn.Module):
    r"""Normalizing flow: the law of :math:`x` when :math:`z = f(x; c)` follows a simple base law.

    .. math:: \log p(x \mid c) = \log p_z\bigl(f(x; c)\bigr)
              + \log\left|\det \frac{\partial f(x; c)}{\partial x}\right|

    The sign of the last term follows from the direction: :math:`f` maps data to latent. Papers
    that write :math:`x = g(z)` subtract :math:`\log|\det \partial g/\partial z|` instead, which
    is the same number. Rezende and Mohamed (2015), https://arxiv.org/abs/1505.05770;
    Papamakarios et al. (2021), https://jmlr.org/papers/v22/19-1028.html.

    Args:
        features: Dimension :math:`D` of the data.
        context: Dimension of the context, 0 for none.
        transforms: Layers of :math:`f`, the one nearest to the data first.
        base: Module whose call returns a distribution over ``(D,)``; standard normal if ``None``.

    Raises:
        ValueError: If the base is not of dimension ``features``.
    """

    like: Tensor

    def __init__(
        self,
        features: int,
        context: int = 0,
        *,
        transforms: Iterable[Transform],
        base: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.features = features
        self.context = context
        self.transform = Compose(transforms)
        self.base = StandardNormal(features) if base is None else base
        if self.base().event_shape != (features,):
            raise ValueError(
                f"the base has event shape {tuple(self.base().event_shape)}, and the flow needs "
                f"({features},); build it with {features} features"
            )
        # Follows the parameters through .double() and .to(device).
        self.register_buffer("like", torch.empty(0), persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data to latent: ``z`` of shape ``(N, D)`` and the log-determinant, ``(N,)``.

        Raises:
            ValueError: If ``x`` or ``context`` has the wrong shape or holds NaN or inf.
        """
        self._check(x, context, name="x")
        z, log_abs_det = self.transform(x, context)
        return z, log_abs_det

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map latent to data: ``x`` and the log-determinant of the inverse map.

        Raises:
            ValueError: If ``z`` or ``context`` has the wrong shape or holds NaN or inf.
        """
        self._check(z, context, name="z")
        return self.transform.inverse(z, context)

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Log-density of each row, in nats and in the units of the data, shape ``(N,)``.

        Raises:
            ValueError: If ``x`` or ``context`` has the wrong shape or holds NaN or inf.
        """
        z, log_abs_det = self(x, context)
        return self.base().log_prob(z) + log_abs_det

    @torch.no_grad()
    def sample(
        self,
        n: int,
        context: Tensor | None = None,
        *,
        temperature: float = 1.0,
        seed: int | None = None,
    ) -> Tensor:
        r"""Draw ``n`` points, or ``n`` for each row of ``context``.

        With a temperature :math:`\tau` other than one, :math:`x = f^{-1}(\tau z)`: draws nearer to
        the middle of the latent space, or farther out. They follow **another law than the
        model's**, of density :math:`p_z(f(x)/\tau)\, \tau^{-D}\, |\det J_f(x)|`.

        Args:
            n: Number of draws.
            context: Shape ``(N, C)``, for a conditional flow.
            temperature: The factor :math:`\tau`, above zero.
            seed: Makes the draws repeatable. ``None`` uses torch's global generator.

        Returns:
            Shape ``(n, D)``, or ``(N, n, D)`` with a context.

        Raises:
            ValueError: If ``n`` is below one, ``temperature`` not above zero, or ``context``
                missing, not wanted, or of the wrong shape.
        """
        if n < 1:
            raise ValueError(f"n must be 1 or more, got {n}")
        if not 0 < temperature < math.inf:
            raise ValueError(f"temperature must be above 0 and finite, got {temperature}")
        rows = 1 if context is None else context.shape[0]
        with fixed_seed(seed):
            z = temperature * self.base().sample((rows * n,))
        if context is None:
            return torch.cat([self._generate(part, None) for part in z.split(CHUNK)])
        parts = zip(z.split(CHUNK), context.repeat_interleave(n, dim=0).split(CHUNK), strict=True)
        x = torch.cat([self._generate(part, condition) for part, condition in parts])
        return x.reshape(rows, n, self.features)

    @torch.no_grad()
    def cdf(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        r"""Distribution function of a flow with one feature, exact.

        .. math:: P(X \le x \mid c) = F_z\bigl(f(x; c)\bigr)

        since every layer of the library increases in a single feature. No gradient is kept.

        Args:
            x: Data, shape ``(N, 1)``.
            context: Shape ``(N, C)``, for a conditional flow.

        Returns:
            Probabilities, shape ``(N,)``.

        Raises:
            ValueError: If the flow has several features, or as in :meth:`forward`.
        """
        base_cdf = self._of_base("cdf")
        z, _ = self(x, context)
        return base_cdf(z).squeeze(1)

    @torch.no_grad()
    def quantile(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        r"""Quantile of a flow with one feature: the inverse of :meth:`cdf`, exact.

        The value at risk at level 0.99 of a flow of returns is ``-quantile(0.01)``.

        Args:
            u: Probabilities strictly between 0 and 1, shape ``(N,)``.
            context: Shape ``(N, C)``, for a conditional flow.

        Returns:
            Points of the data, shape ``(N, 1)``.

        Raises:
            ValueError: If the flow has several features, ``u`` is not inside (0, 1), or as in
                :meth:`inverse`.
        """
        base_icdf = self._of_base("icdf")
        if u.ndim != 1 or not ((u > 0) & (u < 1)).all():
            raise ValueError(
                "u must hold probabilities strictly between 0 and 1, shape (N,), got "
                f"{u.tolist() if u.numel() <= 5 else tuple(u.shape)}"
            )
        return self.inverse(base_icdf(u[:, None]), context)[0]

    def loss(
        self,
        x: Tensor | Conditional,
        context: Tensor | None = None,
        *,
        progress: float | None = None,
    ) -> Tensor:
        """Mean negative log-likelihood in nats, what :func:`genfin_lib.training.fit` minimises.

        Args:
            x: Data, shape ``(N, D)``, or a :class:`Conditional` batch.
            context: Shape ``(N, C)``, if ``x`` does not bring it.
            progress: Share of training done; a flow needs no warm-up and ignores it.
        """
        if isinstance(x, tuple):
            x, context = x
        return -self.log_prob(x, context).mean()

    def _generate(self, z: Tensor, context: Tensor | None) -> Tensor:
        self._check(z, context, name="z")
        return self.transform.generate(z, context)

    def _of_base(self, name: str) -> Callable[[Tensor], Tensor]:
        """``cdf`` or ``icdf`` of the base, if this is a flow that may use it."""
        if self.features != 1:
            raise ValueError(
                f"cdf and quantile need one feature, this flow has {self.features}: the law of "
                "several has no closed form; count samples, or fit a flow to the one series (the "
                "return of the portfolio, say) that the question is about"
            )
        if not hasattr(self.base, name):
            raise ValueError(
                f"the base {type(self.base).__name__} has no {name}; use StandardNormal, "
                "StudentT, TwoSidedT or GaussianMixture"
            )
        function: Callable[[Tensor], Tensor] = getattr(self.base, name)
        return function

    def _check(self, x: Tensor, context: Tensor | None, *, name: str) -> None:
        if x.ndim != 2 or x.shape[1] != self.features:
            raise ValueError(f"{name} must have shape (N, {self.features}), got {tuple(x.shape)}")
        if len(x) == 0:
            raise ValueError(f"{name} has no row; give one or more")
        if x.dtype != self.like.dtype:
            raise ValueError(
                f"{name} is {x.dtype} and the flow is {self.like.dtype}; convert one of them, as "
                f"in {name}.to({self.like.dtype})"
            )
        if not torch.isfinite(x).all():
            raise ValueError(f"{name} holds NaN or inf; drop or fill those rows first")
        if self.context == 0:
            if context is not None:
                raise ValueError("this flow was built without context; build it with context=C")
            return
        if context is None or context.shape != (x.shape[0], self.context):
            given = None if context is None else tuple(context.shape)
            raise ValueError(f"context must have shape ({x.shape[0]}, {self.context}), got {given}")
        if context.dtype != self.like.dtype:
            raise ValueError(
                f"context is {context.dtype} and the flow is {self.like.dtype}; convert one of them"
            )
        if not torch.isfinite(context).all():
            raise ValueError("context holds NaN or inf; drop or fill those rows first")
