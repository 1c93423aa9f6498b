"""Parts of dynamic factor models: laws of the factors before and after a day, and decoders."""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Normal, StudentT

from genfin_lib.distributions.bases import DegreesOfFreedom
from genfin_lib.latent.heads import NormalHead
from genfin_lib.latent.panel import Panel
from genfin_lib.nn import MLP


class StandardPrior(nn.Module):
    """Factors that know nothing of the past: :math:`N(0, I)` every day, the control.

    Args:
        factors: Number of factors.
    """

    def __init__(self, factors: int) -> None:
        super().__init__()
        self.factors = factors

    def forward(self, state: Tensor, context: Tensor) -> Normal:
        """Law of batch shape ``(..., M)``, the same for every state."""
        zero = state.new_zeros(*state.shape[:-1], self.factors)
        return Normal(zero, torch.ones_like(zero), validate_args=False)


class DynamicPrior(nn.Module):
    r"""Gaussian factors whose mean and scale the state knows, :math:`p(z_t \mid h_{t-1}, c_t)`.

    Args:
        factors: Number of factors.
        hidden: Size of the state.
        context: Numbers known before the day.
    """

    def __init__(self, factors: int, hidden: int, context: int = 0) -> None:
        super().__init__()
        self.net = MLP(hidden + context, 2 * factors, hidden=(), zero_init=True)
        self.head = NormalHead(floor=0.05)

    def forward(self, state: Tensor, context: Tensor) -> Normal:
        """Law of batch shape ``(..., M)``."""
        law: Normal = self.head(self.net(torch.cat((state, context), dim=-1)))
        return law


class ScalePrior(nn.Module):
    r"""Factors of mean zero with t tails, whose *scale* the state knows.

    .. math:: z_t \sim t_\nu(0, s_t), \qquad \log s_t = \ell + 2\tanh\bigl((W[h_{t-1}, c_t])/2\bigr)

    Daily returns have next to no mean that a network could find; their size can be forecast. The
    bound keeps a state never seen in training from giving a scale never seen.

    Args:
        factors: Number of factors.
        hidden: Size of the state.
        context: Numbers known before the day.
        df: Initial degrees of freedom, shared by the factors.
    """

    def __init__(self, factors: int, hidden: int, context: int = 0, *, df: float = 8.0) -> None:
        super().__init__()
        self.net = MLP(hidden + context, factors, hidden=(), zero_init=True)
        self.tails = DegreesOfFreedom(torch.tensor([df]), learnable=True)
        self.log_level = nn.Parameter(torch.full((factors,), 0.5 * math.log((df - 2) / df)))

    def forward(self, state: Tensor, context: Tensor) -> StudentT:
        """Law of batch shape ``(..., M)``."""
        raw = self.net(torch.cat((state, context), dim=-1))
        scale = (self.log_level + 2 * torch.tanh(raw / 2)).exp()
        df = self.tails.df.expand_as(scale)
        return StudentT(df, torch.zeros_like(scale), scale, validate_args=False)


class CommonScale(nn.Module):
    r"""A size that all series of a day share, not known the evening before.

    .. math:: x_t = e^{c_t} x'_t, \qquad c_t \sim N(0, \tau^2)

    with :math:`x'_t` the day that the rest of a model describes. Independent t noises do not know
    that quiet and wild days are so for most stocks together. Chapter: dynamic factors.

    Args:
        spread: Initial :math:`\tau`, learned.
    """

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.log_spread = nn.Parameter(torch.tensor(spread).log())

    def draw(self, shape: torch.Size) -> Tensor:
        """Draws of :math:`e^{c_t}`, one for each day, ``(*shape, 1)``."""
        noise = torch.randn(*shape, 1, dtype=self.log_spread.dtype)
        return (self.log_spread.exp() * noise).exp()

    def moments(self, mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and covariance of :math:`x_t` from those of :math:`x'_t`."""
        spread = (2 * self.log_spread).exp()
        outer = mean[..., :, None] * mean[..., None, :]
        second = (2 * spread).exp() * (covariance + outer)
        return (spread / 2).exp() * mean, second - spread.exp() * outer


class NetworkEncoder(nn.Module):
    r"""A network's Gaussian :math:`q(z_t \mid x_t, h_{t-1})`; the prior on days without data.

    Args:
        features: Number of series.
        factors: Number of factors.
        hidden: Size of the state.
        width: Units of its one hidden layer.
    """

    def __init__(self, features: int, factors: int, hidden: int, *, width: int = 32) -> None:
        super().__init__()
        self.net = MLP(2 * features + hidden, 2 * factors, hidden=(width,))
        self.head = NormalHead(floor=0.02)

    def forward(self, prior: Normal, day: Panel, state: Tensor) -> Normal:
        """Law of batch shape ``(..., M)`` from the day and the state before it."""
        law = self.head(self.net(torch.cat((day.x, day.seen, state), dim=-1)))
        any_seen = day.seen.any(dim=-1, keepdim=True)
        return Normal(
            torch.where(any_seen, law.mean, prior.mean),
            torch.where(any_seen, law.stddev, prior.stddev),
            validate_args=False,
        )

    def mean(self, prior: Normal, day: Panel, state: Tensor) -> Tensor:
        """The mean alone."""
        return self(prior, day, state).mean


class NetworkDecoder(nn.Module):
    r"""The plain form: a network gives mean and scale of each series.

    .. math:: x_t \sim N\bigl(\mu(z_t, h_{t-1}),\; \mathrm{diag}\,\sigma^2(z_t, h_{t-1})\bigr)

    Args:
        features: Number of series.
        factors: Number of factors.
        hidden: Size of the state.
        width: Units of its one hidden layer.
        floor: Least scale, in units of the data.
    """

    reads_state = True

    def __init__(
        self, features: int, factors: int, hidden: int, *, width: int = 32, floor: float = 0.05
    ) -> None:
        super().__init__()
        self.net = MLP(factors + hidden, 2 * features, hidden=(width,))
        self.head = NormalHead(floor=floor)

    def forward(self, z: Tensor, state: Tensor, day: Panel) -> Normal:
        """Law of batch shape ``(..., D)``; the draws of ``z`` stand in front."""
        state = state.expand(*z.shape[:-1], state.shape[-1])
        law: Normal = self.head(self.net(torch.cat((z, state), dim=-1)))
        return law


class ExtractingCell(nn.Module):
    r"""Gated recurrent unit fed with features of its inputs, :math:`\mathrm{GRU}(\varphi(u), h)`.

    Args:
        inputs: Number of inputs :math:`u`.
        hidden: Size of the state.
        width: Units of :math:`\varphi`, an affine map with a ReLU.
    """

    def __init__(self, inputs: int, hidden: int, *, width: int = 32) -> None:
        super().__init__()
        self.extract = nn.Linear(inputs, width)
        self.gru = nn.GRUCell(width, hidden)

    def forward(self, inputs: Tensor, state: Tensor) -> Tensor:
        """State after the day, ``(N, H)``."""
        after: Tensor = self.gru(torch.relu(self.extract(inputs)), state)
        return after
