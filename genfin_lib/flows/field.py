"""The vector field of a continuous flow, and its divergence."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from genfin_lib.distributions import fixed_seed
from genfin_lib.nn import with_context


class VectorField(nn.Module):
    r"""Velocity :math:`v(x, t; c)` of a point: a multilayer perceptron with smooth hidden units.

    .. math:: h_0 = (x, t, c), \qquad h_i = \tanh(W_i h_{i-1} + b_i), \qquad v = W_L h_{L-1} + b_L

    Smooth, so that a solver of high order gains from its order and the divergence has a gradient.
    Bounded, so that no row, however far out, travels farther than the weights of the last
    layer add up to. Lipschitz, so that solutions exist and are unique: paths never cross. The
    price: far out nothing is stretched, and the tails of the data are those of the base.

    The last layer starts at zero: an untrained field moves nothing.

    Args:
        features: Dimension :math:`D` of :math:`x`.
        context: Dimension of the context :math:`c`.
        hidden: Widths of the hidden layers, one or more.

    Raises:
        ValueError: If ``features`` is below one or there is no hidden layer.
    """

    def __init__(
        self, features: int, context: int = 0, *, hidden: Sequence[int] = (64, 64)
    ) -> None:
        super().__init__()
        if features < 1 or not hidden:
            raise ValueError(
                f"a vector field needs one or more features and hidden layers, got "
                f"features={features}, hidden={tuple(hidden)}"
            )
        self.features = features
        widths = pairwise((features + 1 + context, *hidden))
        inner = nn.ModuleList(nn.Linear(*width) for width in widths)
        self.inner = cast(Sequence[nn.Linear], inner)
        self.last = nn.Linear(hidden[-1], features)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        """Velocity, shape ``(N, D)``, at points ``(N, D)`` and times ``(N, 1)``."""
        return self.with_hidden(x, t, context)[0]

    def with_hidden(
        self, x: Tensor, t: Tensor, context: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Velocity, and the hidden units, a tensor ``(N, H)`` for each layer."""
        below, hidden = with_context(torch.cat((x, t), dim=1), context), []
        for layer in self.inner:
            below = torch.tanh(layer(below))
            hidden.append(below)
        return self.last(below), hidden


# Hidden units, (N, H) for each layer, to the divergence of the field at each point, (N,).
Trace = Callable[[Sequence[Tensor]], Tensor]


class ExactTrace:
    r"""Exact divergence of a field with two hidden layers, without taking a derivative.

    .. math::
        \nabla\!\cdot v
        = \operatorname{tr}\bigl(
        W_3 \operatorname{diag}(a_2') W_2 \operatorname{diag}(a_1') W_x\bigr)
        = a_2'^\top \bigl(W_2 \odot (W_x W_3)^\top\bigr)\, a_1'

    :math:`W_x` holds the columns of :math:`W_1` that meet :math:`x`, and the
    :math:`a_i' = 1 - h_i^2` are the slopes of the hidden units. The trace is cyclic, so the small
    matrix :math:`W_x W_3` can be formed first, once for all rows. A row then costs one product
    with an :math:`H \times H` matrix, whatever the dimension :math:`D`; automatic differentiation
    takes :math:`D` backward passes.
    """

    def __call__(self, field: VectorField, x: Tensor) -> Trace:
        """Return the function of the hidden units that is the divergence."""
        first, second = field.inner

        def trace(hidden: Sequence[Tensor]) -> Tensor:
            # Formed anew in each call: the adjoint looks for the parameters' gradients in here.
            mixed = second.weight * (first.weight[:, : field.features] @ field.last.weight).T
            one, two = (1 - units.square() for units in hidden)
            return ((two @ mixed) * one).sum(dim=1)

        return trace

    @staticmethod
    def check(field: VectorField) -> None:
        """Refuse a field of another depth.

        Raises:
            ValueError: If the field has other than two hidden layers.
        """
        if len(field.inner) != 2:
            raise ValueError(
                f"the exact trace needs a field with two hidden layers, got {len(field.inner)}; "
                "give it two, or, in continuous_flow, divergence=HutchinsonTrace()"
            )


class HutchinsonTrace:
    r"""Unbiased estimate of the divergence of a field of any depth.

    .. math::
        \nabla\!\cdot v = \mathbb{E}\bigl[\varepsilon^\top J \varepsilon\bigr], \qquad
        J = \partial v/\partial x, \quad
        \varepsilon_j = \pm 1 \text{ with equal probability}

    The noise is drawn once for a solve: the solver then sees a smooth function, and
    ``log_prob`` stays unbiased. (The density, its exponential, does not.) The product
    :math:`J\varepsilon` runs through the layers and costs what the velocity costs. With two hidden
    layers this saves nothing against :class:`ExactTrace`; it is meant for deeper fields.

    Hutchinson (1990), https://doi.org/10.1080/03610919008812866; Grathwohl et al. (2019),
    https://arxiv.org/abs/1810.01367.

    Args:
        seed: Seed of the noise, the same for each solve. ``None`` uses torch's global generator.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def __call__(self, field: VectorField, x: Tensor) -> Trace:
        """Draw the noise of a solve from ``x``; return the function of the hidden units."""
        with fixed_seed(self.seed):
            noise = 2 * torch.randint_like(x, 2) - 1

        def trace(hidden: Sequence[Tensor]) -> Tensor:
            pushed = noise @ field.inner[0].weight[:, : field.features].T
            for units, layer in zip(hidden, [*field.inner[1:], field.last], strict=True):
                pushed = (pushed * (1 - units.square())) @ layer.weight.T
            return (pushed * noise).sum(dim=1)

        return trace
