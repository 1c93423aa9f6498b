"""Networks of the rivals."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, silu

from genfin_lib.nn import MLP


class TemporalConvNet(nn.Module):
    r"""Temporal convolutions: each output sees the present and the past, evenly over time.

    .. math:: y_t = f(x_{t-R+1}, \dots, x_t), \qquad R = 2^{L}

    A layer of dilation :math:`2^l` joins two times; :math:`L` of them, each added to what it was
    given, reach :math:`2^L` times. Nothing is padded, so that every output has the same law if the
    input is stationary: noise comes out as a stationary process. S. Bai, J. Z. Kolter and
    V. Koltun (2018), https://arxiv.org/abs/1803.01271.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        width: Channels of the hidden layers.
        levels: Number :math:`L` of layers.
    """

    def __init__(self, inputs: int, outputs: int, *, width: int = 32, levels: int = 6) -> None:
        super().__init__()
        self.reach = 2**levels
        self.first = nn.Conv1d(inputs, width, 1)
        self.layers = nn.ModuleList(
            nn.Conv1d(width, width, 2, dilation=2**level) for level in range(levels)
        )
        self.last = nn.Conv1d(width, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, inputs, T + R - 1)`` to ``(N, outputs, T)``."""
        h = self.first(x)
        for layer in self.layers:
            new = layer(leaky_relu(h, 0.2))
            h = new + h[..., -new.shape[2] :]
        y: Tensor = self.last(leaky_relu(h, 0.2))
        return y


class StepEmbedding(nn.Module):
    r"""A share of the way from 0 to 1 as waves: :math:`\sin, \cos(\pi 2^k s / 2)`, k = 0, 1, ...

    Args:
        waves: Number of frequencies; the output has twice as many numbers.
    """

    frequencies: Tensor

    def __init__(self, waves: int = 8) -> None:
        super().__init__()
        frequencies = math.pi / 2 * 2.0 ** torch.arange(waves)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, share: Tensor) -> Tensor:
        """``(N,)`` to ``(N, 2 * waves)``."""
        angle = share[:, None] * self.frequencies
        return torch.cat((angle.sin(), angle.cos()), dim=1)


class VectorDenoiser(nn.Module):
    """Perceptron of a row and the step; zero at the start.

    Args:
        features: Numbers in a row.
        hidden: Widths of the hidden layers.
    """

    def __init__(self, features: int, *, hidden: Sequence[int] = (128, 128)) -> None:
        super().__init__()
        self.embedding = StepEmbedding()
        inputs = features + 2 * len(self.embedding.frequencies)
        self.mlp = MLP(inputs, features, hidden=hidden, zero_init=True)

    def forward(self, x: Tensor, share: Tensor) -> Tensor:
        """Rows ``(N, features)`` and shares of the way ``(N,)`` to ``(N, features)``."""
        y: Tensor = self.mlp(torch.cat((x, self.embedding(share)), dim=1))
        return y


class WindowDenoiser(nn.Module):
    """Dilated convolutions over past and future, told the step in every layer; zero at the start.

    Args:
        channels: Series in a window.
        width: Channels of the hidden layers.
        levels: Layers, of dilation 1, 2, 4, ...; together they see ``2 ** (levels + 1) - 1`` times.
    """

    def __init__(self, channels: int, *, width: int = 32, levels: int = 6) -> None:
        super().__init__()
        self.embedding = StepEmbedding()
        told = 2 * len(self.embedding.frequencies)
        self.first = nn.Conv1d(channels, width, 1)
        self.layers = nn.ModuleList(
            nn.Conv1d(width, width, 3, dilation=2**level, padding=2**level)
            for level in range(levels)
        )
        self.steps = nn.ModuleList(nn.Linear(told, width) for _ in range(levels))
        self.last = nn.Conv1d(width, channels, 1)
        nn.init.zeros_(self.last.weight)
        if self.last.bias is not None:
            nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, share: Tensor) -> Tensor:
        """Windows ``(N, channels, T)`` and shares of the way ``(N,)`` to the same shape."""
        told = self.embedding(share)
        h = self.first(x)
        for layer, step in zip(self.layers, self.steps, strict=True):
            h = h + layer(silu(h + step(told)[:, :, None]))
        y: Tensor = self.last(silu(h))
        return y
