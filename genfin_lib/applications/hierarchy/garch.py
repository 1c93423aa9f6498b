"""The classical rival of a model of windows."""

import math

import numpy as np
import torch
from torch import Tensor, nn


class WindowGarch(nn.Module):
    r"""GARCH(1, 1) of separate windows, Student-t, the first variance drawn from a log-normal.

    .. math::
        x_t = \mu + \sigma_t L \epsilon_t, \qquad
        \sigma_{t+1}^2 = \omega + a\, \|L^{-1}(x_t - \mu)\|^2 / C + b\, \sigma_t^2, \qquad
        \log \sigma_1^2 \sim N(m, s^2)

    A window does not know the days before it, and neither does a model of windows: a fair rival
    must infer the first variance. It is integrated out on 15 Gauss-Hermite nodes. With :math:`C`
    series one scalar moves the whole matrix :math:`L L^\top`, which is held.

    Args:
        mean: :math:`\mu`, ``(C,)``.
        factor: :math:`L`, ``(C, C)``.
    """

    mean: Tensor
    factor: Tensor
    nodes: Tensor
    log_mass: Tensor

    def __init__(self, mean: Tensor, factor: Tensor) -> None:
        super().__init__()
        nodes, mass = np.polynomial.hermite_e.hermegauss(15)
        self.register_buffer("mean", mean)
        self.register_buffer("factor", factor)
        self.register_buffer("nodes", torch.tensor(nodes).float())
        self.register_buffer("log_mass", torch.tensor(mass / mass.sum()).log().float())
        # log omega, log a, log b, log(nu - 2), m, log s
        self.raw = nn.Parameter(torch.tensor([-4.0, -2.7, -0.1, 1.5, -0.7, 0.0]))

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact but for the quadrature, ``(N,)``."""
        omega, a, b, nu, _, spread = self.raw.exp()
        nu = 2 + nu
        c = x.shape[2]
        y = torch.linalg.solve_triangular(self.factor, (x - self.mean).mT, upper=False)
        squares = y.square().mean(1)  # (N, T)
        variance = (self.raw[4] + spread * self.nodes).exp().expand(len(x), -1)
        total = x.new_zeros(variance.shape)  # (N, nodes)
        for square in squares.T[:, :, None]:
            distance = (c * square / (nu * variance)).log1p()
            total = total - (nu + c) / 2 * distance - c / 2 * variance.log()
            variance = omega + a * square + b * variance
        constant = torch.lgamma((nu + c) / 2) - torch.lgamma(nu / 2) - c / 2 * (nu * math.pi).log()
        constant = constant - self.factor.diagonal().log().sum()
        return (total + self.log_mass).logsumexp(1) + x.shape[1] * constant

    def loss(self, x: Tensor, *, progress: float = 1.0) -> Tensor:
        """Mean negative log-density."""
        return -self.log_prob(x).mean()
