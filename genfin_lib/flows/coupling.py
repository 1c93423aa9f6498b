"""Coupling layers: one half of the features moves, the other half says how."""

from collections.abc import Sequence

import torch
from torch import Tensor

from genfin_lib.flows.elementwise import Additive, Affine, Elementwise
from genfin_lib.flows.transform import Transform
from genfin_lib.nn import MLP


class Coupling(Transform):
    r"""Coupling layer: split, condition, move one part, join.

    .. math::
        z_a = x_a, \qquad z_b = g\bigl(x_b;\, \theta(x_a, c)\bigr)

    The Jacobian is block triangular: its determinant is that of :math:`\partial z_b/\partial x_b`
    alone, and the network :math:`\theta` is never inverted or differentiated for it. The parts
    are the leading and the trailing half, cut as views: picking columns by index would cost more
    than the arithmetic.

    Args:
        elementwise: The map :math:`g`.
        features: Dimension :math:`D`, two or more.
        context: Dimension of the context.
        hidden: Widths of the network's hidden layers. Its last layer starts at zero.
        flip: Move the leading part instead of the trailing one.

    Raises:
        ValueError: If ``features`` is below two: nothing would be left to condition on.
    """

    def __init__(
        self,
        elementwise: Elementwise,
        features: int,
        context: int = 0,
        *,
        hidden: Sequence[int] = (64, 64),
        flip: bool = False,
    ) -> None:
        super().__init__()
        if features < 2:
            raise ValueError(
                f"a coupling needs two or more features, got {features}: with one, there is no "
                "other half to condition on, and an affine flow would stay exactly Gaussian; "
                "add a feature, or use neural_spline_flow, which also works in one dimension"
            )
        self.elementwise = elementwise
        self.cut = features // 2
        self.flip = flip
        kept = features - self.cut if flip else self.cut
        outputs = elementwise.parameters_per_feature * (features - kept)
        self.network = MLP(kept + context, outputs, hidden=hidden, zero_init=True)

    def move(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the elementwise map to the moved part, feature-major."""
        return self.elementwise.move(x, parameters)

    def move_back(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Undo :meth:`move`."""
        return self.elementwise.move_back(z, parameters)

    def _apply_to_part(
        self, inverse: bool, x: Tensor, context: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        # Rows of x.T are contiguous when the layer before left them so: halves are then free to
        # take, and free to join.
        leading, trailing = x.T[: self.cut], x.T[self.cut :]
        kept, moved = (trailing, leading) if self.flip else (leading, trailing)
        told = self.elementwise.told(kept)
        told = told if context is None else torch.cat((told, context.T))
        raw = self.network.columns(told)
        parameters = raw.view(self.elementwise.parameters_per_feature, *moved.shape)
        moved, log_abs_det = (self.move_back if inverse else self.move)(moved, parameters)
        return torch.cat((moved, kept) if self.flip else (kept, moved)).T, log_abs_det

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._apply_to_part(False, x, context)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._apply_to_part(True, z, context)


class AdditiveCoupling(Coupling):
    r"""Additive coupling of NICE: shifts one half, keeps the volume.

    .. math:: z_a = x_a, \qquad z_b = x_b + t(x_a, c), \qquad \log|\det J| = 0

    Dinh, Krueger and Bengio (2015), https://arxiv.org/abs/1410.8516.

    Args:
        features: Dimension :math:`D`, two or more.
        context: Dimension of the context.
        hidden: Widths of the hidden layers of :math:`t`.
        flip: Move the leading part instead of the trailing one.
    """

    def __init__(
        self,
        features: int,
        context: int = 0,
        *,
        hidden: Sequence[int] = (64, 64),
        flip: bool = False,
    ) -> None:
        super().__init__(Additive(), features, context, hidden=hidden, flip=flip)


class AffineCoupling(Coupling):
    r"""Affine coupling of RealNVP: scales and shifts one half.

    .. math::
        z_a = x_a, \qquad z_b = x_b \odot e^{s} + t, \qquad \log|\det J| = \sum_j s_j

    The network gives :math:`t` and, before it is bounded, :math:`s`: see
    :class:`~genfin_lib.flows.elementwise.Affine`. Dinh, Sohl-Dickstein and Bengio (2017),
    https://arxiv.org/abs/1605.08803.

    Args:
        features: Dimension :math:`D`, two or more.
        context: Dimension of the context.
        hidden: Widths of the hidden layers.
        flip: Move the leading part instead of the trailing one.
        scale_bound: Bound of the log-scale, above zero.

    Raises:
        ValueError: If ``features`` is below two or ``scale_bound`` is not above zero.
    """

    def __init__(
        self,
        features: int,
        context: int = 0,
        *,
        hidden: Sequence[int] = (64, 64),
        flip: bool = False,
        scale_bound: float = 1.0,
    ) -> None:
        super().__init__(Affine(scale_bound), features, context, hidden=hidden, flip=flip)
