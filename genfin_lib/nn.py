"""Neural networks shared by every model of the book. No probability here."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class MLP(nn.Sequential):
    r"""Multilayer perceptron: affine maps with a ReLU between them.

    .. math:: h_0 = x, \qquad h_{i} = \max(0, W_i h_{i-1} + b_i), \qquad y = W_L h_{L-1} + b_L

    Args:
        inputs: Number of input features.
        outputs: Number of output features.
        hidden: Width of each hidden layer.
        zero_init: Start with :math:`W_L = 0, b_L = 0`, so that the untrained network returns
            zero. A flow layer built on it starts as the identity, which keeps a deep stack
            trainable from the first step (Kingma and Dhariwal, 2018).

    Chapter: change of variables, NICE and RealNVP.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        hidden: Sequence[int] = (64, 64),
        zero_init: bool = False,
    ) -> None:
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise((inputs, *hidden)):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        last = nn.Linear(hidden[-1] if hidden else inputs, outputs)
        if zero_init:
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        super().__init__(*layers, last)


def with_context(x: Tensor, context: Tensor | None) -> Tensor:
    """Put the context beside the features: ``(N, D)`` and ``(N, C)`` to ``(N, D + C)``."""
    return x if context is None else torch.cat((x, context), dim=1)
