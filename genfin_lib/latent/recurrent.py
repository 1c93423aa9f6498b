"""Variational autoencoders of sequences: one latent vector a window, networks that read in time."""

from typing import cast

import torch
from torch import Tensor, nn

from genfin_lib.latent.heads import NormalHead
from genfin_lib.latent.vae import VAE, Head


class RecurrentVAE(VAE):
    r"""Variational recurrent autoencoder: a GRU reads the window, another writes it.

    .. math::
        h_t = \operatorname{GRU}(h_{t-1}, x_t), \quad q(z \mid x) = N(m(h_T), \mathrm{diag}\,
        s^2(h_T)), \qquad g_t = \operatorname{GRU}(g_{t-1}, z), \quad
        p(x \mid z) = \prod_{t=1}^{T} p\bigl(x_t \mid \operatorname{head}(W g_t)\bigr)

    The last state of the encoder is all that it keeps; :math:`z` starts the decoder and is fed to
    it at each step. The decoder does not see the data: one that is fed :math:`x_{t-1}`, as in the
    paper, can do without :math:`z`, and then does. Given :math:`z` days are independent: a head
    with a scale is what lets wild days come together. O. Fabius and J. R. van Amersfoort (2015),
    https://arxiv.org/abs/1412.6581. Chapter: state spaces and recurrence.

    Args:
        channels: Number of series, D.
        length: Number of days, T.
        latents: Number of latents, M.
        width: Units of each GRU.
        head: See :class:`VAE`.
        prior: See :class:`VAE`.
        warm_up: See :class:`LatentVariableModel`.

    Raises:
        ValueError: If a number is below one.
    """

    def __init__(
        self,
        channels: int,
        length: int,
        latents: int,
        *,
        width: int = 32,
        head: Head | None = None,
        prior: nn.Module | None = None,
        warm_up: float = 0.3,
    ) -> None:
        head = NormalHead() if head is None else head
        encoder, decoder = self._networks(channels, length, latents, width, head.outputs)
        super().__init__(
            (length, channels),
            latents,
            head=head,
            encoder=encoder,
            decoder=decoder,
            prior=prior,
            warm_up=warm_up,
        )

    @staticmethod
    def _networks(
        channels: int, length: int, latents: int, width: int, outputs: int
    ) -> tuple[nn.Module, nn.Module]:
        _check(channels, length, latents, width)
        return (
            _GRUEncoder(channels, 2 * latents, width),
            _GRUDecoder(latents, length, channels * outputs, width),
        )


class TransformerVAE(RecurrentVAE):
    r"""The same model with attention in place of recurrence.

    .. math:: u_t = W x_t + e_t, \quad q(z \mid x) \text{ from the mean of }
        \operatorname{Attention}(u_1, \dots, u_T)_t, \qquad
        p(x_t \mid z) \text{ from } \operatorname{Attention}(V z + e'_1, \dots, V z + e'_T)_t

    Every day looks at every other in one step, where the GRU has to carry what it saw; that days
    have an order is told by learned vectors :math:`e_t`, for attention by itself would not know.
    Layers with normalisation first. A. Vaswani et al. (2017), https://arxiv.org/abs/1706.03762.

    Args and errors as for :class:`RecurrentVAE`; ``width`` is that of the vectors, a multiple of 4,
    the number of heads.
    """

    @staticmethod
    def _networks(
        channels: int, length: int, latents: int, width: int, outputs: int
    ) -> tuple[nn.Module, nn.Module]:
        _check(channels, length, latents, width)
        if width % 4:
            raise ValueError(f"width {width} must be a multiple of 4, the number of heads")
        return (
            _AttentionEncoder(channels, length, 2 * latents, width),
            _AttentionDecoder(latents, length, channels * outputs, width),
        )


class _GRUEncoder(nn.Module):
    def __init__(self, channels: int, outputs: int, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(channels, width, batch_first=True)
        self.last = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.last(self.gru(x)[1][0]))  # (N, T, D) -> (N, outputs)


class _GRUDecoder(nn.Module):
    def __init__(self, latents: int, length: int, outputs: int, width: int) -> None:
        super().__init__()
        self.length = length
        self.start = nn.Linear(latents, width)
        self.gru = nn.GRU(latents, width, batch_first=True)
        self.last = nn.Linear(width, outputs)

    def forward(self, z: Tensor) -> Tensor:
        repeated = z[:, None].expand(-1, self.length, -1)  # (N, T, M)
        states = self.gru(repeated, self.start(z).tanh()[None])[0]
        return cast(Tensor, self.last(states))  # (N, T, outputs)


class _Attention(nn.Module):
    """Two layers of self-attention over vectors that know their place."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.place = nn.Parameter(0.1 * torch.randn(length, width))
        layer = nn.TransformerEncoderLayer(
            width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(
            layer, 2, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.layers(x + self.place))  # (N, T, width)


class _AttentionEncoder(nn.Module):
    def __init__(self, channels: int, length: int, outputs: int, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(channels, width)
        self.attention = _Attention(length, width)
        self.last = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.last(self.attention(self.first(x)).mean(dim=1)))


class _AttentionDecoder(nn.Module):
    def __init__(self, latents: int, length: int, outputs: int, width: int) -> None:
        super().__init__()
        self.length = length
        self.first = nn.Linear(latents, width)
        self.attention = _Attention(length, width)
        self.last = nn.Linear(width, outputs)

    def forward(self, z: Tensor) -> Tensor:
        vectors = self.first(z)[:, None].expand(-1, self.length, -1)  # (N, T, width)
        return cast(Tensor, self.last(self.attention(vectors)))


def _check(*numbers: int) -> None:
    if min(numbers) < 1:
        raise ValueError(f"channels, length, latents, width {numbers}: each must be 1 or more")
