"""Increasing maps of one feature at a time, whose parameters a network supplies.

Couplings and autoregressive layers differ in who tells whom how to move; what they do to a single
feature is written here, once. Tensors are *feature-major*: a value per feature and row is
``(F, N)``, its parameters are ``(P, F, N)``. Sums and softmax over the parameters then run along
contiguous memory, many times faster than over a last dimension of eight.
"""

import math

import torch
from torch import Tensor, nn


class Elementwise(nn.Module):
    r"""Contract: :math:`z_j = g(x_j; \theta_j)`, increasing, and the identity for zero parameters.

    Attributes:
        parameters_per_feature: The number :math:`P` of parameters of :math:`g`.
        reach: How far out a feature still makes a difference to the parameters of others.
    """

    parameters_per_feature: int
    reach: float = math.inf

    def told(self, x: Tensor) -> Tensor:
        """What the network that supplies the parameters gets to see of ``x``."""
        return x if math.isinf(self.reach) else x.clamp(-self.reach, self.reach)

    def move(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        r"""Apply the map.

        Args:
            x: Shape ``(F, N)``.
            parameters: Shape ``(P, F, N)``.

        Returns:
            ``z``, shape ``(F, N)``, and :math:`\sum_j \log \partial z_j/\partial x_j`, ``(N,)``.
        """
        raise NotImplementedError

    def move_back(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Undo :meth:`move`; the log-determinant is that of the inverse."""
        raise NotImplementedError


class Additive(Elementwise):
    """Shift: :math:`z = x + t`."""

    parameters_per_feature = 1

    def move(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return x + parameters[0], x.new_zeros(x.shape[1])

    def move_back(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return z - parameters[0], z.new_zeros(z.shape[1])


class Affine(Elementwise):
    r"""Scale and shift with a bounded log-scale.

    .. math:: z = x\,e^{s} + t, \qquad s = \kappa \tanh(\tilde s/\kappa)

    The bound :math:`\kappa` matters on financial data: a row far outside the training range would
    otherwise be scaled by :math:`e^{\text{large}}` and cost more nats than all others together.
    With :math:`\kappa = 1` one layer still sharpens or widens by a factor :math:`e`; layers
    multiply.

    Args:
        scale_bound: The bound :math:`\kappa` of the log-scale, above zero.

    Raises:
        ValueError: If ``scale_bound`` is not above zero.
    """

    parameters_per_feature = 2

    def __init__(self, scale_bound: float = 1.0) -> None:
        super().__init__()
        if not scale_bound > 0:
            raise ValueError(f"scale_bound must be above 0, got {scale_bound}")
        self.scale_bound = scale_bound

    def _log_scale(self, raw: Tensor) -> Tensor:
        return self.scale_bound * torch.tanh(raw / self.scale_bound)

    def move(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        log_scale = self._log_scale(parameters[0])
        return torch.addcmul(parameters[1], x, log_scale.exp()), log_scale.sum(dim=0)

    def move_back(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        log_scale = self._log_scale(parameters[0])
        return (z - parameters[1]) * (-log_scale).exp(), -log_scale.sum(dim=0)
