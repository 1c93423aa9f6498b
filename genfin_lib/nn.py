"""Neural networks shared by every model of the book. No probability here."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

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

    def columns(self, x: Tensor) -> Tensor:
        """The same map with examples in columns: ``(inputs, N)`` to ``(outputs, N)``.

        A flow then takes and joins features as rows, which lie together in memory.
        """
        *hidden, last = (layer for layer in self if isinstance(layer, nn.Linear))
        for layer in hidden:
            x = affine_columns(layer.weight, layer.bias, x).relu_()
        return affine_columns(last.weight, last.bias, x)


class ConvNet(nn.Sequential):
    r"""Convolutions over time with a ReLU between them: wide, 1x1, wide.

    Padded with zeros, so that the length stays. The last layer starts at zero, as in
    :class:`MLP`.

    Args:
        inputs: Number of input channels.
        outputs: Number of output channels.
        width: Channels of the two hidden layers.
        kernel: Times seen at once by the first and the last layer, an odd number.

    Chapter: Glow.
    """

    def __init__(self, inputs: int, outputs: int, *, width: int = 32, kernel: int = 3) -> None:
        last = nn.Conv1d(width, outputs, kernel, padding="same")
        nn.init.zeros_(last.weight)
        nn.init.zeros_(cast(Tensor, last.bias))
        super().__init__(
            nn.Conv1d(inputs, width, kernel, padding="same"),
            nn.ReLU(),
            nn.Conv1d(width, width, 1),
            nn.ReLU(),
            last,
        )


class MaskedLinear(nn.Linear):
    r"""Affine map of which only some weights are used: :math:`y = (M \odot W)\,x + b`.

    The mask is applied at each call. Zeroing the weights once would be undone in silence by
    whatever writes to them later; the product costs a twentieth of the layer.

    Args:
        mask: Zeros and ones, shape ``(outputs, inputs)``.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.to(self.weight.dtype), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Examples in columns: ``(inputs, N)`` to ``(outputs, N)``."""
        return affine_columns(self.weight * self.mask, self.bias, x)


class MaskedMLP(nn.Module):
    r"""Masked perceptron (MADE): the outputs for feature j see the features before j only.

    .. math::
        \theta_j = \theta_j(x_1, \dots, x_{j-1}, c), \qquad j = 1, \dots, D

    Each hidden unit carries a degree :math:`m`: it sees the features :math:`1, \dots, m` and the
    context, and is seen by the features after :math:`m`. Units of degree 0 see the context alone;
    through them it reaches :math:`\theta_1` too. Units stand in order of their degree, so that
    whatever is known once :math:`x_1, \dots, x_m` are is the head of every layer: see
    :meth:`unroll`.

    Germain, Gregor, Murray and Larochelle (2015), https://proceedings.mlr.press/v37/germain15.html.

    Args:
        features: Number :math:`D` of features.
        context: Number of context features.
        outputs_per_feature: Number of outputs :math:`P` for each feature.
        hidden: Width of each hidden layer. The last layer starts at zero, as in :class:`MLP`.
            Layers narrower than the features lack units of some degrees: a single network then
            misses some of the dependences, which a stack in other orders has.

    Chapter: autoregressive and spline flows.
    """

    def __init__(
        self,
        features: int,
        context: int,
        outputs_per_feature: int,
        *,
        hidden: Sequence[int] = (64, 64),
    ) -> None:
        super().__init__()
        self.features = features
        self.outputs_per_feature = outputs_per_feature
        # Without context a unit of degree 0 would be a constant: only one feature needs any.
        lowest = 0 if context or features == 1 else 1
        span = features - lowest
        inputs = torch.cat((torch.zeros(context, dtype=torch.long), torch.arange(features) + 1))
        degrees = [inputs, *(lowest + torch.arange(width) * span // width for width in hidden)]
        masks = [after[:, None] >= before for before, after in pairwise(degrees)]
        # Output j sees degrees below j; the P outputs of a feature stand D apart.
        last = torch.arange(1, features + 1).repeat(outputs_per_feature)[:, None] > degrees[-1]
        layers = nn.ModuleList(MaskedLinear(mask) for mask in (*masks, last))
        self.layers = cast(Sequence[MaskedLinear], layers)
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)
        # How many units of each hidden layer are known with the first 0, 1, ..., D - 1 features.
        self.known = [
            torch.searchsorted(degree, torch.arange(features), right=True).tolist()
            for degree in degrees[1:]
        ]

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """All outputs in one pass.

        Args:
            x: Shape ``(N, D)``.
            context: Shape ``(N, C)``.

        Returns:
            Shape ``(P, D, N)``: feature-major, as elementwise maps want it.
        """
        units = x.T if context is None else torch.cat((context.T, x.T))
        *body, last = self.layers
        for layer in body:
            units = layer(units).relu_()
        outputs: Tensor = last(units)
        return outputs.view(self.outputs_per_feature, self.features, -1)

    def unroll(self, solve: Callable[[int, Tensor], Tensor], start: Tensor) -> Tensor:
        r"""Find features one after the other, each from outputs that depend on those before.

        .. math:: x_j = \operatorname{solve}\bigl(j,\, \theta_j(x_1, \dots, x_{j-1}, c)\bigr)

        Calling the network :math:`D` times would compute all units each time. Here each unit is
        computed once, when the features that it sees are known; no masked weight is touched.

        Args:
            solve: Takes ``j`` (from 0) and the outputs for feature ``j``, shape ``(P, 1, N)``,
                and returns the feature, shape ``(1, N)``.
            start: The context, transposed: ``(C, N)``, or ``(0, N)`` without one.

        Returns:
            The features, shape ``(D, N)``.
        """
        *body, last = self.layers
        heads = last.weight.view(self.outputs_per_feature, self.features, -1)
        biases = last.bias.view(self.outputs_per_feature, self.features, 1)
        # What each layer has put out so far; in front, what is known of the input.
        done = [start, *(start.new_empty(0, start.shape[1]) for _ in body)]
        for j in range(self.features):
            for index, layer in enumerate(body):
                first, end = done[index + 1].shape[0], self.known[index][j]
                if first < end:
                    weight = layer.weight[first:end, : done[index].shape[0]]
                    units = affine_columns(weight, layer.bias[first:end], done[index]).relu_()
                    done[index + 1] = torch.cat((done[index + 1], units))
            seen = heads[:, j, : done[-1].shape[0]]
            feature = solve(j, torch.addmm(biases[:, j], seen, done[-1])[:, None])
            done[0] = torch.cat((done[0], feature))
        return done[0][start.shape[0] :]


def with_context(x: Tensor, context: Tensor | None) -> Tensor:
    """Put the context beside the features: ``(N, D)`` and ``(N, C)`` to ``(N, D + C)``."""
    return x if context is None else torch.cat((x, context), dim=1)


def affine_columns(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    """Affine map of examples in columns, :math:`W x + b`: ``(inputs, N)`` to ``(outputs, N)``."""
    return torch.addmm(bias[:, None], weight, x)
