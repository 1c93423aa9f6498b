"""Flow matching: the field of a continuous flow, trained by regression and without a solver."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from genfin_lib.distributions import fixed_seed
from genfin_lib.flows.continuous import Adaptive, Continuous, FixedSteps
from genfin_lib.flows.field import VectorField
from genfin_lib.flows.flow import Conditional, Flow
from genfin_lib.flows.linear import standardizing


class FlowMatching(Flow):
    r"""Continuous flow whose field is fitted to straight paths from latent to data.

    .. math::
        x_t = (1 - t)\, z + t\, x, \qquad
        \text{loss} = \frac{1}{D}\,
        \mathbb{E}_{t, z, x} \bigl\| v(x_t, t; c) - (x - z) \bigr\|^2

    with :math:`t` uniform and :math:`z` from the base, independent of :math:`x`. The minimiser is
    :math:`\mathbb{E}[x - z \mid x_t]`, the velocity that carries the base law to the law of the
    data. Given one :math:`x` the path is that of optimal transport from the base law to a
    point; the flow as a whole is *not* an optimal transport, and its paths bend.

    ``loss`` is a regression error, not a likelihood. ``log_prob`` is exact as in every continuous
    flow and takes a solve, as does ``sample``. A learnable base gets no gradient from the
    loss and stays as it is given; its variance must be finite (a Student-t's ``df`` above 2).

    Lipman et al. (2023), https://arxiv.org/abs/2210.02747; Liu, Gong and Liu (2023),
    https://arxiv.org/abs/2209.03003; Tong et al. (2024), https://arxiv.org/abs/2302.00482.

    Args:
        features: Dimension of the data, one or more.
        context: Dimension of the context, 0 for none.
        hidden: Widths of the two hidden layers of the field.
        base: Base distribution, standard normal if ``None``.
        standardize: Training rows, shape ``(N, D)``. Their mean and standard deviation become
            the first layer of the flow, with its Jacobian; paths are straight behind it.
        solver: See :class:`~genfin_lib.flows.continuous.Continuous`.
        seed: Seed of the initial weights.

    Raises:
        ValueError: If ``features`` is below one, or ``standardize`` has the wrong width, NaN, or a
            constant column.

    Chapter: continuous flows and flow matching.
    """

    def __init__(
        self,
        features: int,
        context: int = 0,
        *,
        hidden: Sequence[int] = (64, 64),
        base: nn.Module | None = None,
        standardize: Tensor | None = None,
        solver: Adaptive | FixedSteps | None = None,
        seed: int = 0,
    ) -> None:
        layers = standardizing(features, standardize)
        with fixed_seed(seed):
            field = VectorField(features, context, hidden=hidden)
        layers.append(Continuous(field, solver=solver))
        super().__init__(features, context, transforms=layers, base=base)

    def loss(
        self,
        x: Tensor | Conditional,
        context: Tensor | None = None,
        *,
        progress: float | None = None,
    ) -> Tensor:
        """Mean squared error of the velocity, of one draw of time and latent for each row.

        Args:
            x: Data, shape ``(N, D)``, or a :class:`~genfin_lib.flows.Conditional` batch.
            context: Shape ``(N, C)``, if ``x`` does not bring it.
            progress: Share of training done; ignored.

        Raises:
            ValueError: If ``x`` or ``context`` has the wrong shape or holds NaN or inf.
        """
        if isinstance(x, tuple):
            x, context = x
        self._check(x, context, name="x")
        end = x
        for layer in self.transform.transforms[:-1]:
            end, _ = layer(end)
        z = self.base().sample((len(end),))
        t = torch.rand_like(end[:, :1])
        return (self.field(torch.lerp(z, end, t), t, context) - (end - z)).square().mean()

    @property
    def field(self) -> VectorField:
        """The velocity, of standardized points."""
        return cast(Continuous, self.transform.transforms[-1]).field
