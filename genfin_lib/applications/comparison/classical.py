"""Rows of the comparison that need no network: a block bootstrap and GARCH on windows."""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import StudentT

from genfin_lib.distributions import fixed_seed


class BlockBootstrap:
    r"""Windows put together from pieces of training windows; rows drawn again from rows.

    Every piece is a run of ``block`` times at a random place of a random window: dependence lives
    within a piece and dies at its end, and no value is new. H. R. Künsch (1989),
    https://doi.org/10.1214/aos/1176347265.

    Args:
        train: Windows ``(N, channels, length)``, or rows ``(N, D)``.
        block: Times of a piece; as long as a window at the most.

    Raises:
        ValueError: If ``block`` is out of range.
    """

    def __init__(self, train: Tensor, *, block: int = 16) -> None:
        self.train = train
        self.block = block
        if train.ndim == 3 and not 1 <= block <= train.shape[2]:
            raise ValueError(f"block must lie between 1 and {train.shape[2]}, got {block}")

    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        """Draw ``n`` windows or rows."""
        rng = np.random.default_rng(seed)
        if self.train.ndim == 2:
            return self.train[torch.from_numpy(rng.integers(len(self.train), size=n))]
        length = self.train.shape[2]
        pieces = math.ceil(length / self.block)
        window = rng.integers(len(self.train), size=(n, pieces)).repeat(self.block, axis=1)
        start = rng.integers(length - self.block + 1, size=(n, pieces)).repeat(self.block, axis=1)
        time = start + np.tile(np.arange(self.block), pieces)
        at = (torch.from_numpy(part[:, :length]) for part in (window, time))
        drawn = self.train.transpose(1, 2)[tuple(at)]  # (n, length, C)
        return drawn.transpose(1, 2).contiguous()


class WindowGarch(nn.Module):
    r"""GARCH with leverage and t innovations for windows that begin at an unknown volatility.

    .. math::
        \begin{aligned}
        r_t &= \mu + e_t, \qquad e_t = \sigma_t z_t \\
        \sigma_{t+1}^2 &= \omega + (\alpha + \gamma 1_{e_t < 0})\, e_t^2 + \beta \sigma_t^2 \\
        \log \sigma_1^2 &\sim N(m, s^2)
        \end{aligned}

    A window says nothing of the days before it, so its first variance is a latent variable, summed
    out by Gauss-Hermite quadrature: ``log_prob`` is that of the whole window, to be laid beside
    those of flows and bounds. Without it GARCH would look worse than it is, or be told more than
    its rivals. T. Bollerslev (1987), https://doi.org/10.2307/1925546; L. R. Glosten, R. Jagannathan
    and D. E. Runkle (1993), https://doi.org/10.1111/j.1540-6261.1993.tb05128.x.

    Args:
        nodes: Of the quadrature.
    """

    nodes: Tensor
    log_weights: Tensor

    def __init__(self, *, nodes: int = 12) -> None:
        super().__init__()
        points, weights = np.polynomial.hermite_e.hermegauss(nodes)
        dtype = torch.get_default_dtype()
        self.register_buffer("nodes", torch.tensor(points, dtype=dtype))
        log_weights = np.log(weights / weights.sum())
        self.register_buffer("log_weights", torch.tensor(log_weights, dtype=dtype))
        self.mean = nn.Parameter(torch.zeros(()))
        # Shares of alpha, gamma / 2, beta, and of what is missing to a persistence of one.
        self.shares = nn.Parameter(torch.tensor([0.05, 0.03, 0.90, 0.02]).log())
        self.log_variance = nn.Parameter(torch.zeros(()))
        self.start = nn.Parameter(torch.tensor([-0.3, -0.3]))  # m and log s
        self.raw_df = nn.Parameter(torch.tensor(1.0))

    @property
    def df(self) -> Tensor:
        """Degrees of freedom, above two."""
        return 2 + self.raw_df.exp()

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density of each window ``(N, 1, length)``, in nats, ``(N,)``.

        Raises:
            ValueError: If the shape is another, or there are NaN or inf.
        """
        if x.ndim != 3 or x.shape[1] != 1 or not torch.isfinite(x).all():
            raise ValueError(f"x must be finite, of shape (N, 1, length), got {(*x.shape,)}")
        shock = (x[:, 0] - self.mean)[:, None, :]  # (N, 1, length)
        first = self.start[0] + self.start[1].exp() * self.nodes
        variance = first.exp().expand(len(x), -1)
        path = [variance]
        for t in range(x.shape[2] - 1):
            variance = self._next(shock[..., t], variance)
            path.append(variance)
        law = self._innovations()
        variances = torch.stack(path, dim=2)  # (N, nodes, length)
        density = law.log_prob(shock / variances.sqrt()) - variances.log() / 2
        return (density.sum(dim=2) + self.log_weights).logsumexp(dim=1)

    def loss(self, x: Tensor, *, progress: float | None = None) -> Tensor:
        """Mean negative log-likelihood."""
        return -self.log_prob(x).mean()

    @torch.no_grad()
    def sample(self, n: int, *, length: int = 64, seed: int | None = None) -> Tensor:
        """Draw ``n`` windows, ``(n, 1, length)``."""
        with fixed_seed(seed):
            first = self.start[0] + self.start[1].exp() * torch.randn(n).to(self.start)
            innovations = self._innovations().sample((n, length))
        variance, path = first.exp(), []
        for t in range(length):
            shock = variance.sqrt() * innovations[:, t]
            path.append(self.mean + shock)
            variance = self._next(shock, variance)
        return torch.stack(path, dim=1)[:, None]

    def _next(self, shock: Tensor, variance: Tensor) -> Tensor:
        alpha, half_leverage, beta, rest = self.shares.softmax(dim=0)
        weight = alpha + 2 * half_leverage * (shock < 0)
        return rest * self.log_variance.exp() + weight * shock.square() + beta * variance

    def _innovations(self) -> StudentT:
        """Of unit variance."""
        scale = ((self.df - 2) / self.df).sqrt()
        return StudentT(self.df, 0.0, scale)
