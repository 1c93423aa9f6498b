"""Several scales: features that leave early, and windows folded from time into channels."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from genfin_lib.flows.elementwise import Elementwise
from genfin_lib.flows.transform import Compose, Transform
from genfin_lib.nn import ConvNet


class Scale(Transform):
    r"""One scale of a multi-scale flow: layers, then half of the channels are done.

    .. math:: h = f(x), \qquad z = \bigl(h_{1:k},\ g(h_{k+1:C})\bigr), \qquad k = \lfloor C/2\rfloor

    The first :math:`k` channels leave as latents, the other :math:`C - k` go on to the deeper
    scale :math:`g`. The latents of all scales stand side by side, so the map is still one from
    :math:`D` numbers to :math:`D` numbers, with one log-determinant per row.

    The *learned prior* of what leaves, given what stays, is the last layer of :math:`f`: a
    coupling that moves the leading channels. With a standard normal base and an affine coupling,
    :math:`h_{1:k} \mid h_{k+1:C}` is Gaussian with learned mean and scale, as in Glow; with a t
    base it is a t. Dinh, Sohl-Dickstein and Bengio (2017, section 3.6,
    https://arxiv.org/abs/1605.08803); Kingma and Dhariwal (2018, appendix A,
    https://arxiv.org/abs/1807.03039).

    Args:
        transforms: The layers :math:`f`, first applied first.
        deeper: The map :math:`g`; it returns ``(N, D')``.
        shape: Shape of a row of :math:`h`: ``(C,)``, or ``(C, L)`` for windows.
    """

    def __init__(
        self, transforms: Iterable[Transform], deeper: Transform, shape: Sequence[int]
    ) -> None:
        super().__init__()
        self.layers = Compose(transforms)
        self.deeper = deeper
        self.cut = shape[0] // 2
        self.leaving = (self.cut, *shape[1:])

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h, log_abs_det = self.layers(x, context)
        z, deeper = self.deeper(h[:, self.cut :], context)
        return torch.cat((h[:, : self.cut].flatten(1), z), dim=1), log_abs_det + deeper

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        done = z[:, : torch.Size(self.leaving).numel()]
        rest, deeper = self.deeper.inverse(z[:, done.shape[1] :], context)
        h = torch.cat((done.reshape(-1, *self.leaving), rest), dim=1)
        x, log_abs_det = self.layers.inverse(h, context)
        return x, log_abs_det + deeper


class Fold(Transform):
    r"""Squeeze: pairs of times become channels, ``(N, C, L)`` to ``(N, 2C, L/2)``.

    .. math:: z_{2c + p,\, t} = x_{c,\, 2t + p}, \qquad p \in \{0, 1\}

    A permutation, so no volume changes. Behind it a convolution of the same width sees twice as
    far, and there are channels to split.
    """

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        rows, channels, length = x.shape
        pairs = x.reshape(rows, channels, length // 2, 2).transpose(2, 3)  # (N, C, 2, L/2)
        return pairs.reshape(rows, 2 * channels, length // 2), x.new_zeros(rows)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        rows, channels, length = z.shape
        pairs = z.reshape(rows, channels // 2, 2, length).transpose(2, 3)  # (N, C, L, 2)
        return pairs.reshape(rows, channels // 2, 2 * length), z.new_zeros(rows)


class Flatten(Transform):
    """Windows of a fixed shape to vectors: where the deepest scale ends.

    Args:
        channels: Channels of a window.
        length: Times of a window.
    """

    def __init__(self, channels: int, length: int) -> None:
        super().__init__()
        self.shape = (channels, length)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x.flatten(1), x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z.reshape(-1, *self.shape), z.new_zeros(z.shape[0])


class WindowCoupling(Transform):
    r"""Coupling of windows: some channels move, a convolution over the others says how.

    .. math:: z_{a,t} = x_{a,t}, \qquad
        z_{b,t} = g\bigl(x_{b,t};\ \theta_t(x_{a,\,\cdot}, c)\bigr)

    What :class:`~genfin_lib.flows.coupling.Coupling` is for vectors; the network may look along
    time in both directions, for the density is one of whole windows.

    Args:
        elementwise: The map :math:`g`.
        channels: Number of channels, two or more.
        context: Dimension of the context, which all times share.
        width: Channels of the network's hidden layers.
        kernel: Times that the network's first and last layer see at once, an odd number.
        flip: Move the leading channels instead of the trailing ones.
    """

    def __init__(
        self,
        elementwise: Elementwise,
        channels: int,
        context: int = 0,
        *,
        width: int = 32,
        kernel: int = 3,
        flip: bool = False,
    ) -> None:
        super().__init__()
        self.elementwise = elementwise
        self.cut = channels // 2
        self.flip = flip
        kept = channels - self.cut if flip else self.cut
        outputs = elementwise.parameters_per_feature * (channels - kept)
        self.network = ConvNet(kept + context, outputs, width=width, kernel=kernel)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._apply_to_part(False, x, context)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._apply_to_part(True, z, context)

    def _apply_to_part(
        self, inverse: bool, x: Tensor, context: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        leading, trailing = x[:, : self.cut], x[:, self.cut :]
        kept, moved = (trailing, leading) if self.flip else (leading, trailing)
        told = self.elementwise.told(kept)
        if context is not None:
            told = torch.cat((told, context[:, :, None].expand(-1, -1, x.shape[2])), dim=1)
        rows, channels, length = moved.shape
        raw = self.network(told).unflatten(1, (self.elementwise.parameters_per_feature, channels))
        parameters = raw.permute(1, 2, 0, 3).flatten(2)  # (P, F, N * L): elementwise maps' layout
        columns = moved.transpose(0, 1).flatten(1)  # (F, N * L)
        move = self.elementwise.move_back if inverse else self.elementwise.move
        columns, log_abs_det = move(columns, parameters)
        moved = columns.unflatten(1, (rows, length)).transpose(0, 1)
        parts = (moved, kept) if self.flip else (kept, moved)
        return torch.cat(parts, dim=1), log_abs_det.view(rows, length).sum(dim=1)
