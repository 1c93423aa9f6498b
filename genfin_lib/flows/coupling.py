"""Coupling layers: one half of the features moves, the other half says how."""

from collections.abc import Sequence

import torch
from torch import Tensor

from genfin_lib.flows.transform import Transform
from genfin_lib.nn import MLP, with_context


class Coupling(Transform):
    r"""What all couplings share: split, condition, move one part, join.

    .. math::
        z_a = x_a, \qquad z_b = g\bigl(x_b;\, \theta(x_a, c)\bigr)

    The Jacobian is block triangular: its determinant is that of :math:`\partial z_b/\partial x_b`
    alone, and the network :math:`\theta` is never inverted or differentiated for it. The parts
    are the leading and the trailing half, cut as views: picking columns by index would cost more
    than the arithmetic.

    Subclasses write :math:`g` and its inverse as ``move`` and ``move_back``.

    Args:
        features: Dimension :math:`D`, two or more.
        context: Dimension of the context.
        parameters: Parameters of :math:`g` for each moved feature.
        hidden: Widths of the network's hidden layers. Its last layer starts at zero.
        flip: Move the leading part instead of the trailing one.

    Raises:
        ValueError: If ``features`` is below two: nothing would be left to condition on.
    """

    def __init__(
        self,
        features: int,
        context: int = 0,
        *,
        parameters: int,
        hidden: Sequence[int] = (64, 64),
        flip: bool = False,
    ) -> None:
        super().__init__()
        if features < 2:
            raise ValueError(
                f"a coupling needs two or more features, got {features}: with one, there is no "
                "other half to condition on, and an affine flow would stay exactly Gaussian; "
                "add a feature, or use a one-dimensional monotone flow"
            )
        self.cut = features // 2
        self.flip = flip
        kept = features - self.cut if flip else self.cut
        self.network = MLP(
            kept + context, parameters * (features - kept), hidden=hidden, zero_init=True
        )

    def move(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the elementwise map; return the result and its log-determinant per row."""
        raise NotImplementedError

    def move_back(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Undo :meth:`move`; return the result and the log-determinant of the inverse."""
        raise NotImplementedError

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        leading, trailing = x[:, : self.cut], x[:, self.cut :]
        return (trailing, leading) if self.flip else (leading, trailing)

    def _join(self, kept: Tensor, moved: Tensor) -> Tensor:
        return torch.cat((moved, kept) if self.flip else (kept, moved), dim=1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, moved = self._split(x)
        moved, log_abs_det = self.move(moved, self.network(with_context(kept, context)))
        return self._join(kept, moved), log_abs_det

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, moved = self._split(z)
        moved, log_abs_det = self.move_back(moved, self.network(with_context(kept, context)))
        return self._join(kept, moved), log_abs_det


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
        super().__init__(features, context, parameters=1, hidden=hidden, flip=flip)

    def move(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return x + parameters, x.new_zeros(x.shape[0])

    def move_back(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return z - parameters, z.new_zeros(z.shape[0])


class AffineCoupling(Coupling):
    r"""Affine coupling of RealNVP: scales and shifts one half.

    .. math::
        z_a = x_a, \qquad z_b = x_b \odot e^{s} + t, \qquad \log|\det J| = \sum_j s_j,
        \qquad s = \kappa \tanh\bigl(\tilde s(x_a, c)/\kappa\bigr)

    The network gives :math:`(\tilde s, t)`. The bound :math:`\kappa` matters on financial data:
    a row far outside the training range would otherwise be scaled by
    :math:`e^{\text{large}}` and cost more nats than all others together. With
    :math:`\kappa = 1` one layer still sharpens or widens by a factor :math:`e`; layers multiply.

    Dinh, Sohl-Dickstein and Bengio (2017), https://arxiv.org/abs/1605.08803.

    Args:
        features: Dimension :math:`D`, two or more.
        context: Dimension of the context.
        hidden: Widths of the hidden layers.
        flip: Move the leading part instead of the trailing one.
        scale_bound: The bound :math:`\kappa` of the log-scale, above zero.

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
        super().__init__(features, context, parameters=2, hidden=hidden, flip=flip)
        if not scale_bound > 0:
            raise ValueError(f"scale_bound must be above 0, got {scale_bound}")
        self.scale_bound = scale_bound

    def _scale_and_shift(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = parameters.chunk(2, dim=1)
        return self.scale_bound * torch.tanh(raw / self.scale_bound), shift

    def move(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self._scale_and_shift(parameters)
        return torch.addcmul(shift, x, log_scale.exp()), log_scale.sum(dim=1)

    def move_back(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self._scale_and_shift(parameters)
        return (z - shift) * (-log_scale).exp(), -log_scale.sum(dim=1)
