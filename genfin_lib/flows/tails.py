"""A layer that gives a light-tailed flow heavy tails, each side its own."""

import math

import torch
from torch import Tensor, nn

from genfin_lib.flows.transform import Transform


class TailTransform(Transform):
    r"""Makes heavy-tailed data light-tailed; learnable tail weights, left and right.

    .. math::
        z = x \sqrt{\frac{\log(1 + \lambda x^2)}{\lambda x^2}}, \qquad
        x = z \sqrt{\frac{e^{\lambda z^2} - 1}{\lambda z^2}}, \qquad
        \log \frac{dz}{dx} = \tfrac12 \log\frac{\lambda x^2}{\log(1 + \lambda x^2)}
        - \log(1 + \lambda x^2)

    with :math:`\lambda = \lambda_j^-` for :math:`x_j < 0` and :math:`\lambda_j^+` above. Far out
    :math:`z^2/2 = \log(x)/\lambda + \text{const}`: if :math:`z` is standard normal, then
    :math:`P(X > x) \propto x^{-1/\lambda}/\sqrt{\log x}`, of **tail index** :math:`1/\lambda`. Near
    zero and for :math:`\lambda \to 0` the map is the identity; at zero the two sides join with
    two equal derivatives.

    The layer stands next to the data, so that those behind it see light tails: the tail transform
    flow of Hickling and Prangle (2025, https://arxiv.org/abs/2406.16971). Their map is made of
    ``erfc`` and a power. This one, a close relative of Tukey's h (Goerg, 2011,
    https://doi.org/10.1214/11-AOAS457), has the same range of tails with logarithms alone, and its
    inverse in closed form. Layers behind it that have slope :math:`a` far out change the index to
    :math:`a^2/\lambda`; splines have :math:`a = 1` there.

    Weights stay below one, for at one the mean ceases to exist. Data should be standardized
    first; :math:`\lambda x^2` may not overflow, so \|x\| stays below 1e18 in single precision.

    Args:
        features: Dimension :math:`D`.
        weight: Initial :math:`\lambda` of all tails, strictly between 0 and 1.

    Raises:
        ValueError: If ``weight`` is outside (0, 1).
    """

    def __init__(self, features: int, *, weight: float = 0.1) -> None:
        super().__init__()
        if not 0 < weight < 1:
            raise ValueError(
                f"weight must lie strictly between 0 and 1, got {weight}; it is the reciprocal of "
                "the tail index: 0.25 stands for an index of four"
            )
        self.raw_weight = nn.Parameter(
            torch.full((2, features), math.log(weight / (1 - weight)))  # (left and right, D)
        )

    @property
    def weight(self) -> Tensor:
        """Tail weights, left then right, shape ``(2, features)``; tail indices are reciprocals."""
        return torch.sigmoid(self.raw_weight)

    def _of_side(self, value: Tensor) -> Tensor:
        left, right = self.weight
        return torch.where(value < 0, left, right)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        w = self._of_side(x) * x.square()
        log = torch.log1p(w)
        # log(1 + w) / w by its series where the quotient, or its gradient, would lose all digits.
        near = w < 1e-5
        ratio = torch.where(near, 1 - w / 2 + w.square() / 3, log / w.masked_fill(near, 1))
        return x * ratio.sqrt(), (-0.5 * ratio.log() - log).sum(dim=1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v = self._of_side(z) * z.square()
        near = v < 1e-5
        # (e^v - 1) / v = e^v times this, which does not overflow.
        ratio = torch.where(
            near, 1 - v / 2 + v.square() / 6, -torch.expm1(-v) / v.masked_fill(near, 1)
        )
        return z * (v / 2).exp() * ratio.sqrt(), (v / 2 - 0.5 * ratio.log()).sum(dim=1)
