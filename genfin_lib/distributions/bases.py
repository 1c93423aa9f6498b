"""Bases of independent features: standard normal, Student-t, and one with two different tails."""

import math
from collections.abc import Callable

import torch
from scipy.special import stdtr, stdtrit
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.distributions import StudentT as UnivariateStudentT
from torch.types import _size


class StandardNormal(nn.Module):
    r"""Independent standard normal variables.

    .. math:: \log p(z) = -\tfrac12 \sum_{j=1}^{D} \left(z_j^2 + \log 2\pi\right)

    Args:
        features: Dimension :math:`D`.
    """

    zero: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("zero", torch.zeros(features), persistent=False)

    def forward(self) -> Independent:
        """Return the distribution, with event shape ``(features,)``."""
        normal = Normal(self.zero, torch.ones_like(self.zero), validate_args=False)
        return Independent(normal, 1, validate_args=False)

    def cdf(self, z: Tensor) -> Tensor:
        """Distribution function of each feature, shape as ``z``."""
        # ndtr itself loses all digits below -5 in single precision.
        return torch.special.log_ndtr(z).exp()

    def icdf(self, u: Tensor) -> Tensor:
        """Quantile of each feature at levels ``u`` in (0, 1), shape as ``u``."""
        return torch.special.ndtri(u)


class DegreesOfFreedom(nn.Module):
    """Degrees of freedom between 1 and 100, as a parameter without bounds.

    Below 1 the mean, and with it the expected shortfall, does not exist; above 100 the law is
    Gaussian in the bulk, and ``lgamma`` in single precision begins to lose digits.

    Args:
        df: Initial values, each strictly between 1 and 100.
        learnable: Whether training moves them.

    Raises:
        ValueError: If a value is outside (1, 100).
    """

    LOWEST, HIGHEST = 1.0, 100.0

    raw_df: Tensor

    def __init__(self, df: Tensor, *, learnable: bool) -> None:
        super().__init__()
        if not ((df > self.LOWEST) & (df < self.HIGHEST)).all():
            raise ValueError(
                f"df must lie strictly between {self.LOWEST:g} and {self.HIGHEST:g}, got "
                f"{df.unique().tolist()}; below, the mean does not exist; above, use StandardNormal"
            )
        raw = torch.logit((df - self.LOWEST) / (self.HIGHEST - self.LOWEST))
        if learnable:
            self.raw_df = nn.Parameter(raw)
        else:
            self.register_buffer("raw_df", raw)

    @property
    def df(self) -> Tensor:
        """Degrees of freedom: shape ``(features,)``, or ``(2, features)``, left before right."""
        return self.LOWEST + (self.HIGHEST - self.LOWEST) * torch.sigmoid(self.raw_df)


class StudentT(DegreesOfFreedom):
    r"""Independent Student-t variables, one for each feature, with learnable degrees of freedom.

    .. math::
        \log p(z) = \sum_{j=1}^{D} \log\Gamma\!\left(\tfrac{\nu_j+1}{2}\right)
        - \log\Gamma\!\left(\tfrac{\nu_j}{2}\right) - \tfrac12\log(\pi\nu_j)
        - \tfrac{\nu_j+1}{2}\log\!\left(1 + \tfrac{z_j^2}{\nu_j}\right)

    The density falls like :math:`|z|^{-(\nu+1)}`. A flow whose layers are bounded affine maps
    cannot change that rate, so a heavy tail has to be put into the base
    (Jaini, Kobyzev, Yu and Brubaker, 2020, https://proceedings.mlr.press/v119/jaini20a.html).

    Degrees of freedom are kept between 1 and 100: below 1 the mean, and with it the expected
    shortfall, does not exist; above 100 the law is Gaussian but for its farthest tail.

    Args:
        features: Dimension :math:`D`.
        df: Initial degrees of freedom, strictly between 1 and 100.
        learnable: Whether training moves them.

    Raises:
        ValueError: If ``df`` is outside (1, 100).
    """

    def __init__(self, features: int, *, df: float = 5.0, learnable: bool = True) -> None:
        super().__init__(torch.full((features,), df), learnable=learnable)

    def forward(self) -> Independent:
        """Return the distribution, with event shape ``(features,)``."""
        return Independent(UnivariateStudentT(self.df, validate_args=False), 1, validate_args=False)

    # torch has neither function for Student-t; SciPy's carry no gradient, nor does inference
    # need one.
    @torch.no_grad()
    def cdf(self, z: Tensor) -> Tensor:
        """Distribution function of each feature, shape as ``z``."""
        return _by_scipy(stdtr, self.df, z)

    @torch.no_grad()
    def icdf(self, u: Tensor) -> Tensor:
        """Quantile of each feature at levels ``u`` in (0, 1), shape as ``u``."""
        return _by_scipy(stdtrit, self.df, u)


class TwoSidedT(DegreesOfFreedom):
    r"""Independent variables with a Student-t tail on each side, of different weight.

    .. math::
        \log p(z) = \sum_{j=1}^{D} -\tfrac12\log(2\pi)
        - \tfrac{\nu+1}{2}\log\!\left(1 + \tfrac{z_j^2}{\nu s_\nu^2}\right),
        \qquad s_\nu = \sqrt{2\pi}\,f_\nu(0), \qquad
        \nu = \begin{cases} \nu_j^- & z_j < 0 \\ \nu_j^+ & z_j \ge 0 \end{cases}

    Each side is half of a Student-t, scaled by :math:`s_\nu`, its density :math:`f_\nu` at zero
    over that of the standard normal. So each side holds **one half** of the probability, zero is
    the median and the mode, the halves join with equal density and slope, and with many degrees
    of freedom on both sides the law is the standard normal. Losses of a market often have a
    heavier tail than its gains; one number for both would be wrong about both.

    Fernandez and Steel (1998, https://doi.org/10.1080/01621459.1998.10474117) join halves of
    different scale; here scale follows from the tail.

    Args:
        features: Dimension :math:`D`.
        left: Initial degrees of freedom below zero, strictly between 1 and 100.
        right: The same above zero.
        learnable: Whether training moves them.

    Raises:
        ValueError: If ``left`` or ``right`` is outside (1, 100).
    """

    def __init__(
        self, features: int, *, left: float = 5.0, right: float = 5.0, learnable: bool = True
    ) -> None:
        super().__init__(torch.tensor([[left], [right]]).repeat(1, features), learnable=learnable)

    def forward(self) -> Independent:
        """Return the distribution, with event shape ``(features,)``."""
        return Independent(_TwoSidedT(self.df), 1, validate_args=False)

    @torch.no_grad()
    def cdf(self, z: Tensor) -> Tensor:
        """Distribution function of each feature, shape as ``z``."""
        df, scale = (_of_side(z < 0, value) for value in _with_scale(self.df))
        return _by_scipy(stdtr, df, z / scale)

    @torch.no_grad()
    def icdf(self, u: Tensor) -> Tensor:
        """Quantile of each feature at levels ``u`` in (0, 1), shape as ``u``."""
        df, scale = (_of_side(u < 0.5, value) for value in _with_scale(self.df))
        return scale * _by_scipy(stdtrit, df, u)


class _TwoSidedT(Distribution):
    """What :class:`TwoSidedT` returns; ``df`` has shape ``(2, features)``."""

    def __init__(self, df: Tensor) -> None:
        self.df, self.scale = _with_scale(df)
        super().__init__(df.shape[1:], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        df, scale = (_of_side(value < 0, part) for part in (self.df, self.scale))
        distance = (value / scale).square() / df
        return -0.5 * ((df + 1) * distance.log1p() + math.log(2 * math.pi))

    @torch.no_grad()
    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:  # noqa: B008, as in torch
        both = self.scale * UnivariateStudentT(self.df, validate_args=False).sample(sample_shape)
        left, right = both.abs().unbind(dim=-2)
        return torch.where(torch.rand_like(left) < 0.5, -left, right)


def _by_scipy(function: Callable, df: Tensor, value: Tensor) -> Tensor:
    # Always in double precision: SciPy's single precision is wrong far out, in silence.
    return value.new_tensor(function(df.double().cpu().numpy(), value.double().cpu().numpy()))


def _with_scale(df: Tensor) -> tuple[Tensor, Tensor]:
    """Degrees of freedom, and the density of their Student-t at zero over that of a normal."""
    return df, (2 / df).sqrt() * (torch.lgamma((df + 1) / 2) - torch.lgamma(df / 2)).exp()


def _of_side(is_left: Tensor, value: Tensor) -> Tensor:
    return torch.where(is_left, value[0], value[1])
