"""From numbers that a network puts out to distributions: the last step of encoders and decoders."""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal, StudentT
from torch.nn.functional import softplus

from genfin_lib.distributions.bases import DegreesOfFreedom

# softplus of this is one: an untrained network starts with unit scales.
UNIT = math.log(math.e - 1)


class NormalHead(nn.Module):
    r"""Independent Gaussians of which a network gives mean and scale.

    .. math:: N(\mu, \sigma^2), \qquad \sigma = \sigma_{\min} + \operatorname{softplus}(r)

    The floor :math:`\sigma_{\min}` is no detail: a decoder that may put all its mass onto one
    point has an unbounded likelihood, and a single repeated price finds it.

    Args:
        floor: :math:`\sigma_{\min}`, in units of the data.

    Raises:
        ValueError: If ``floor`` is not above zero.
    """

    outputs = 2  # numbers that the network has to give for each feature

    def __init__(self, *, floor: float = 1e-3) -> None:
        super().__init__()
        self.floor = _positive(floor)

    def forward(self, raw: Tensor) -> Normal:
        """Distribution of batch shape ``(..., D)`` from numbers of shape ``(..., 2 D)``."""
        mean, scale = raw.chunk(2, dim=-1)
        return Normal(mean, self.floor + softplus(scale + UNIT), validate_args=False)


class StudentTHead(DegreesOfFreedom):
    r"""Independent Student-t variables: location and scale by a network, tails learned.

    .. math:: t_\nu(\mu, s), \qquad s = s_{\min} + \operatorname{softplus}(r)

    Args:
        features: Number of learned :math:`\nu`: one for each feature, or 1 shared by all.
        df: Initial :math:`\nu`, strictly between 1 and 100.
        floor: :math:`s_{\min}`, in units of the data.
        learnable: Whether training moves :math:`\nu`.

    Raises:
        ValueError: If ``df`` is outside (1, 100) or ``floor`` not above zero.
    """

    outputs = 2

    def __init__(
        self, features: int = 1, *, df: float = 8.0, floor: float = 1e-3, learnable: bool = True
    ) -> None:
        super().__init__(torch.full((features,), df), learnable=learnable)
        self.floor = _positive(floor)

    def forward(self, raw: Tensor) -> StudentT:
        """Distribution of batch shape ``(..., D)`` from numbers of shape ``(..., 2 D)``."""
        location, scale = raw.chunk(2, dim=-1)
        scale = self.floor + softplus(scale + UNIT)
        return StudentT(self.df.expand_as(scale), location, scale, validate_args=False)


class ConstantScaleHead(nn.Module):
    r"""Gaussian decoder of one scale for all examples: :math:`N(\mu(z), \sigma^2)`.

    With an affine :math:`\mu` and one :math:`\sigma` this is probabilistic PCA; with one for each
    feature, factor analysis. A network that sees volatility has no way to say so.

    Args:
        features: Number of learned :math:`\sigma`: one for each feature, or 1 shared by all.
        floor: Least :math:`\sigma`, in units of the data.

    Raises:
        ValueError: If ``floor`` is not above zero.
    """

    outputs = 1

    def __init__(self, features: int = 1, *, floor: float = 1e-3) -> None:
        super().__init__()
        self.floor = _positive(floor)
        self.raw_scale = nn.Parameter(torch.full((features,), UNIT))

    @property
    def scale(self) -> Tensor:
        """Standard deviation of the noise, ``(features,)``."""
        return self.floor + softplus(self.raw_scale)

    def forward(self, raw: Tensor) -> Normal:
        """Distribution of batch shape ``(..., D)`` from means of the same shape."""
        return Normal(raw, self.scale.expand_as(raw), validate_args=False)


class BernoulliHead(nn.Module):
    """Independent yes-or-no variables from their log-odds, ``(..., D)``: pixels, signs."""

    outputs = 1

    def forward(self, raw: Tensor) -> Bernoulli:
        """Distribution of batch shape ``(..., D)`` from log-odds of the same shape."""
        return Bernoulli(logits=raw, validate_args=False)


def _positive(floor: float) -> float:
    if not 0 < floor < math.inf:
        raise ValueError(f"floor must be above 0, got {floor}; it keeps the likelihood bounded")
    return floor
