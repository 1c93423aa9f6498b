"""One conditional flow of one return, that bends its law no more than the data ask for."""

from collections.abc import Sequence

import torch
from torch import Tensor

from genfin_lib.distributions import TwoSidedT
from genfin_lib.flows import Conditional, Flow, maf, neural_spline_flow
from genfin_lib.flows.autoregressive import Autoregressive


class ReturnFlow(Flow):
    r"""Affine map, then spline, both told by the context; base with two t tails.

    .. math:: z = g\bigl(e^{s(c)} y + t(c);\, \theta(c)\bigr), \qquad
        z \sim \text{two-sided } t(\nu^-, \nu^+)

    The affine map moves and scales the law of a standardised return :math:`y`, the spline
    :math:`g` bends it, the base has its tails. There are few large losses to learn a bend from:
    the training loss adds :math:`\lambda\, \mathrm{E}\, \|\theta(c)\|^2`, which draws the spline
    towards the identity, :math:`\theta = 0`. ``log_prob`` is free of it. The degrees of
    freedom start at six, near what daily returns have once volatility is taken out. Splines:
    Durkan et al. (2019), https://arxiv.org/abs/1906.04032. Chapter: risk forecasts.

    Args:
        context: Number of context features, 0 for none.
        hidden: Widths of the hidden layers of both networks.
        bins: Bins of the spline; ``None`` for no spline, the control that has scale alone.
        penalty: :math:`\lambda`.
        seed: Of the initial weights.

    Raises:
        ValueError: a negative penalty, or bins out of range.
    """

    def __init__(
        self,
        context: int = 0,
        *,
        hidden: Sequence[int] = (16, 16),
        bins: int | None = 8,
        penalty: float = 0.3,
        seed: int = 0,
    ) -> None:
        if penalty < 0:
            raise ValueError(f"penalty {penalty}: zero for none, or above.")
        layers = [maf(1, context, transforms=1, hidden=hidden, seed=seed).transform]
        bend: Autoregressive | None = None
        if bins is not None:
            # Another seed, or the two networks would start with the same hidden units.
            other = int(torch.randint(2**31, (), generator=torch.Generator().manual_seed(seed)))
            spline = neural_spline_flow(
                1, context, transforms=1, hidden=hidden, bins=bins, seed=other
            )
            layers.append(spline.transform)
            (layer,) = spline.transform.transforms
            assert isinstance(layer, Autoregressive)
            bend = layer
        super().__init__(1, context, transforms=layers, base=TwoSidedT(1, left=6.0, right=6.0))
        self.penalty = penalty
        self.spline = bend

    def loss(
        self,
        x: Tensor | Conditional,
        context: Tensor | None = None,
        *,
        progress: float | None = None,
    ) -> Tensor:
        """Mean negative log-likelihood and penalty, what training minimises."""
        if isinstance(x, tuple):
            x, context = x
        likelihood = super().loss(x, context)
        if self.spline is None:
            return likelihood
        bend = self.spline.network(x, context)  # (P, 1, N); with one feature x does not matter
        return likelihood + self.penalty * bend.square().sum(dim=0).mean()
