"""Base distributions of flows and priors of latent variable models.

Each class is a module (it may hold learnable parameters) whose call returns a
:class:`torch.distributions.Distribution` over vectors: ``base().log_prob(z)`` has shape ``(N,)``.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal
from torch.distributions import StudentT as UnivariateStudentT


@contextmanager
def fixed_seed(seed: int | None) -> Iterator[None]:
    """Run a block from its own random state, and leave the caller's state as it was.

    ``torch.distributions`` draws from the global generator and accepts no other; this is how a
    function of this library takes a seed all the same.

    Args:
        seed: Seed of the block. ``None`` keeps the global generator, which then moves on.
    """
    if seed is None:
        yield
        return
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


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


class StudentT(nn.Module):
    r"""Independent Student-t variables, one for each feature, with learnable degrees of freedom.

    .. math::
        \log p(z) = \sum_{j=1}^{D} \log\Gamma\!\left(\tfrac{\nu_j+1}{2}\right)
        - \log\Gamma\!\left(\tfrac{\nu_j}{2}\right) - \tfrac12\log(\pi\nu_j)
        - \tfrac{\nu_j+1}{2}\log\!\left(1 + \tfrac{z_j^2}{\nu_j}\right)

    The density falls like :math:`|z|^{-(\nu+1)}`. A flow whose layers are bounded affine maps
    cannot change that rate, so a heavy tail has to be put into the base
    (Jaini, Kobyzev, Yu and Brubaker, 2020, https://proceedings.mlr.press/v119/jaini20a.html).

    Degrees of freedom are kept between 1 and 100: below 1 the mean, and with it the expected
    shortfall, does not exist; above 100 the law is Gaussian for every practical purpose, and
    ``lgamma`` in single precision begins to lose digits.

    Args:
        features: Dimension :math:`D`.
        df: Initial degrees of freedom, strictly between 1 and 100.
        learnable: Whether training moves them.

    Raises:
        ValueError: If ``df`` is outside (1, 100).
    """

    LOWEST, HIGHEST = 1.0, 100.0

    raw_df: Tensor

    def __init__(self, features: int, *, df: float = 5.0, learnable: bool = True) -> None:
        super().__init__()
        if not self.LOWEST < df < self.HIGHEST:
            raise ValueError(
                f"df must lie strictly between {self.LOWEST:g} and {self.HIGHEST:g}, got {df}; "
                "below, the mean does not exist; above, use StandardNormal"
            )
        share = (df - self.LOWEST) / (self.HIGHEST - self.LOWEST)
        raw = torch.full((features,), math.log(share / (1 - share)))
        if learnable:
            self.raw_df = nn.Parameter(raw)
        else:
            self.register_buffer("raw_df", raw)

    @property
    def df(self) -> Tensor:
        """Degrees of freedom, shape ``(features,)``."""
        return self.LOWEST + (self.HIGHEST - self.LOWEST) * torch.sigmoid(self.raw_df)

    def forward(self) -> Independent:
        """Return the distribution, with event shape ``(features,)``."""
        return Independent(
            UnivariateStudentT(self.df, validate_args=False), 1, validate_args=False
        )
