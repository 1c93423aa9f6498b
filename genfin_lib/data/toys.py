"""Two-dimensional test distributions whose density is known."""

import math

import torch
from torch import Tensor


class HalfMoons:
    r"""Two interlocking half-circles, blurred by Gaussian noise; simulated, with known density.

    .. math:: p(x) = \frac{1}{1000} \sum_{k=1}^{1000} \mathcal{N}(x; c_k, \sigma^2 I)

    The centres :math:`c_k` stand at equal steps on the arcs :math:`(\cos\theta, \sin\theta)` and
    :math:`(1 - \cos\theta, \tfrac12 - \sin\theta)`, :math:`0 < \theta < \pi`, so densely that
    noise of 0.02 or more hides them. A Gaussian fails on it, by a gap that can be measured.

    Args:
        noise: Standard deviation :math:`\sigma` of the noise, 0.02 or more.

    Raises:
        ValueError: If ``noise`` is below 0.02.
    """

    def __init__(self, *, noise: float = 0.1) -> None:
        if not noise >= 0.02:
            raise ValueError(f"noise must be 0.02 or more, got {noise}")
        self.noise = noise
        angle = math.pi * (torch.arange(500) + 0.5) / 500
        upper = torch.stack((angle.cos(), angle.sin()), dim=1)
        lower = torch.stack((1 - angle.cos(), 0.5 - angle.sin()), dim=1)
        self.centres = torch.cat((upper, lower)).to(torch.get_default_dtype())  # (1000, 2)

    def sample(self, n: int, *, seed: int) -> Tensor:
        """Draw ``n`` points, shape ``(n, 2)``."""
        generator = torch.Generator().manual_seed(seed)
        centre = self.centres[torch.randint(len(self.centres), (n,), generator=generator)]
        return centre + self.noise * torch.randn(n, 2, generator=generator)

    def log_prob(self, x: Tensor) -> Tensor:
        """True log-density of each row in nats, shape ``(N,)``."""
        squared = torch.cdist(x, self.centres).square()  # (N, 1000)
        constant = math.log(len(self.centres)) + math.log(2 * math.pi * self.noise**2)
        return torch.logsumexp(-squared / (2 * self.noise**2), dim=1) - constant
