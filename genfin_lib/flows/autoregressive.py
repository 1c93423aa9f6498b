"""Autoregressive layers: each feature moves as the features before it say."""

from collections.abc import Sequence

import torch
from torch import Tensor

from genfin_lib.flows.elementwise import Elementwise
from genfin_lib.flows.transform import Transform
from genfin_lib.nn import MaskedMLP


class Autoregressive(Transform):
    r"""Masked autoregressive layer: every feature moves, told by those before it.

    .. math::
        z_j = g\bigl(x_j;\, \theta_j(x_1, \dots, x_{j-1}, c)\bigr), \qquad
        \log|\det J| = \sum_{j=1}^{D} \log \frac{\partial z_j}{\partial x_j}

    The Jacobian is triangular. All :math:`\theta_j` depend on the data alone, which ``forward``
    has: one pass of the network. ``inverse`` needs :math:`x_{j-1}` before it can find
    :math:`x_j`: as many steps as features. Wrapped in
    :class:`~genfin_lib.flows.transform.Inverse` the costs change places.

    Papamakarios, Pavlakou and Murray (2017), https://arxiv.org/abs/1705.07057.

    Args:
        elementwise: The map :math:`g`.
        features: Dimension :math:`D`, one or more. The first feature moves as the context says,
            or by constants if there is none.
        context: Dimension of the context.
        hidden: Widths of the masked network's hidden layers.
    """

    def __init__(
        self,
        elementwise: Elementwise,
        features: int,
        context: int = 0,
        *,
        hidden: Sequence[int] = (64, 64),
    ) -> None:
        super().__init__()
        self.elementwise = elementwise
        self.network = MaskedMLP(
            features, context, elementwise.parameters_per_feature, hidden=hidden
        )

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        parameters = self.network(self.elementwise.told(x), context)
        z, log_abs_det = self.elementwise.move(x.T, parameters)
        return z.T, log_abs_det

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        features, log_abs_dets = [], []

        def solve(j: int, parameters: Tensor) -> Tensor:
            feature, log_abs_det = self.elementwise.move_back(z.T[j : j + 1], parameters)
            features.append(feature)
            log_abs_dets.append(log_abs_det)
            return self.elementwise.told(feature)

        start = z.new_empty(0, z.shape[0]) if context is None else context.T
        self.network.unroll(solve, start)
        return torch.cat(features).T, torch.stack(log_abs_dets).sum(dim=0)
