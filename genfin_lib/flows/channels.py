"""The layers of Glow that act on channels: activation normalisation and an invertible matrix.

A row is a vector of ``C`` features, or a window of ``C`` channels at ``L`` times. Both layers do
the same at each time, so the log-determinant of a window is ``L`` times that of a vector.
"""

import torch
from torch import Tensor, nn

from genfin_lib.flows.transform import Transform


class ActNorm(Transform):
    r"""Scale and shift of each channel that start from the first batch, then learn as any weight.

    .. math:: z = (x - b)\,e^{s}, \qquad \log|\det J| = L \sum_j s_j,
              \qquad b \leftarrow \bar x, \quad s \leftarrow -\log \hat\sigma_x

    with mean and *population* standard deviation of the first batch in training, which so comes
    out with mean zero and variance one. Unlike batch normalisation, a row's image never depends
    on the rest of its batch. The scale is an exponential: it cannot pass zero.

    That the layer is initialised is part of its state dict. A flag that is not saved makes the
    layer start anew on the first batch after loading, and moves every density. ``inverse`` and
    evaluation never initialise: latents, or one unusual day, are no sample of the data.

    Kingma and Dhariwal (2018), https://arxiv.org/abs/1807.03039, section 3.1.

    Args:
        channels: Number of channels :math:`C`.

    Raises:
        ValueError: In training, if the first batch has a single row.
    """

    initialized: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(channels))
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.register_buffer("initialized", torch.tensor(False))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if self.training and not self.initialized:
            self._initialize(x.detach())
        z = (x - per_channel(self.shift, x)) * per_channel(self.log_scale.exp(), x)
        return z, (times(x) * self.log_scale.sum()).expand(x.shape[0])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = z * per_channel((-self.log_scale).exp(), z) + per_channel(self.shift, z)
        return x, -(times(z) * self.log_scale.sum()).expand(z.shape[0])

    @torch.no_grad()
    def _initialize(self, x: Tensor) -> None:
        if x.shape[0] < 2:
            raise ValueError(
                "ActNorm takes its first scale from the first batch in training, and that has one "
                "row; use a larger batch, or call eval() first"
            )
        values = x.transpose(0, 1).flatten(1)  # (C, N) or (C, N * L)
        std = values.std(dim=1, correction=0)
        # A channel that happens to be constant in this batch is moved, and not scaled.
        scaled = std > 1e-6 * values.abs().amax(dim=1)
        self.shift.copy_(values.mean(dim=1))
        self.log_scale.copy_(-torch.where(scaled, std, torch.ones_like(std)).log())
        self.initialized.fill_(True)


class InvertibleLinear(Transform):
    r"""Invertible matrix over the channels, at each time: the 1x1 convolution of Glow.

    .. math:: z = W x, \qquad W = P\,L\,\bigl(U + \operatorname{diag}(\epsilon \odot e^{s})\bigr),
              \qquad \log|\det W| = \sum_j s_j

    with a fixed permutation :math:`P`, :math:`L` unit lower and :math:`U` strictly upper
    triangular, fixed signs :math:`\epsilon_j = \pm 1` and learned :math:`s`.

    The matrix starts as a random permutation, and learns how to mix. The paper starts from a random
    rotation, which suits pixels, alike as they are; it costs features that mean something each
    their meaning before the first step, and on market states most of a nat (see the chapter). A
    rotation keeps *signs and sizes of its diagonal*: with :math:`s = 0` and no signs it would start
    as another matrix. Only the determinant is cheap, :math:`O(C)`; multiplying is :math:`O(C^2)`,
    inverting :math:`O(C^3)` once, since the inverse is kept while the layer is evaluated.

    Kingma and Dhariwal (2018), https://arxiv.org/abs/1807.03039, section 3.2.

    Args:
        channels: Number of channels :math:`C`.
        rotate: Start as a random rotation.
    """

    order: Tensor
    sign: Tensor

    def __init__(self, channels: int, *, rotate: bool = False) -> None:
        super().__init__()
        # In double precision: QR and LU of a rotation then lose nothing that float32 could hold.
        start = torch.eye(channels, dtype=torch.float64)[torch.randperm(channels)]
        if rotate:
            start, _ = torch.linalg.qr(torch.randn(channels, channels, dtype=torch.float64))
        permutation, lower, upper = torch.linalg.lu(start)
        diagonal = upper.diagonal()
        packed = lower.tril(-1) + upper.triu(1) + diagonal.abs().log().diag()
        dtype = torch.get_default_dtype()
        # L below the diagonal, U above, s on it.
        self.packed = nn.Parameter(packed.to(dtype))
        self.register_buffer("order", permutation.argmax(dim=1))
        self.register_buffer("sign", diagonal.sign().to(dtype))
        self._kept: tuple[Tensor, Tensor] | None = None

    @property
    def log_diagonal(self) -> Tensor:
        """The :math:`s_j`, shape ``(C,)``."""
        return self.packed.diagonal()

    @property
    def weight(self) -> Tensor:
        """The matrix :math:`W`, shape ``(C, C)``."""
        lower, upper = self._triangles()
        return (lower @ upper)[self.order]

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return _apply(self.weight, x), (times(x) * self.log_diagonal.sum()).expand(x.shape[0])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = _apply(self._inverse_weight(), z)
        return x, -(times(z) * self.log_diagonal.sum()).expand(z.shape[0])

    def _triangles(self) -> tuple[Tensor, Tensor]:
        eye = torch.eye(len(self.sign), dtype=self.sign.dtype, device=self.sign.device)
        diagonal = (self.sign * self.log_diagonal.exp()).diag()
        return self.packed.tril(-1) + eye, self.packed.triu(1) + diagonal

    def _inverse_weight(self) -> Tensor:
        if self.training or torch.is_grad_enabled():
            return self._solve()
        # Compared by value: fused optimisers change weights without a trace in their version.
        kept = self._kept
        if kept is None or kept[0].dtype != self.packed.dtype or not kept[0].equal(self.packed):
            self._kept = kept = (self.packed.detach().clone(), self._solve())
        return kept[1]

    def _solve(self) -> Tensor:
        lower, upper = self._triangles()
        undone = torch.eye(len(self.sign), dtype=lower.dtype, device=lower.device)[self.order].T
        undone = torch.linalg.solve_triangular(lower, undone, upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(upper, undone, upper=True)


def per_channel(value: Tensor, x: Tensor) -> Tensor:
    """A value per channel, ``(C,)``, in a shape that goes with ``(N, C)`` or ``(N, C, L)``."""
    return value if x.ndim == 2 else value[:, None]


def times(x: Tensor) -> int:
    """The number of times in each row: 1 for a vector, ``L`` for a window."""
    return 1 if x.ndim == 2 else x.shape[2]


def _apply(matrix: Tensor, x: Tensor) -> Tensor:
    # Feature-major for vectors, as the couplings want it.
    return (matrix @ x.T).T if x.ndim == 2 else matrix @ x
