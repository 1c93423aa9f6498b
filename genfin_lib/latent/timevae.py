"""Variational autoencoders of windows of several series: TimeVAE, and its interpretable form."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from genfin_lib.distributions import fixed_seed
from genfin_lib.latent.heads import NormalHead
from genfin_lib.latent.vae import VAE, Head


class TimeVAE(VAE):
    r"""A VAE whose examples are windows: convolutions over time on both ways.

    .. math:: z \sim p(z) \in \mathbb{R}^M, \qquad
        x_{tc} \mid z \sim \operatorname{head}(f_{tc}(z)), \qquad t = 1, \dots, T

    One vector :math:`z` stands for the whole window. Each convolution of the encoder halves the
    number of times, each transposed one of the decoder doubles it; the last layer is dense, from
    all times to all times. (The paper's text says *time-distributed*, one map for every time; its
    code is dense, as here: a price window has a first day that is unlike the others.)

    A. Desai, C. Freeman, Z. Wang and I. Beaver (2021), TimeVAE: a variational auto-encoder for
    multivariate time series generation, https://arxiv.org/abs/2111.08095. Chapter: TimeVAE.

    Args:
        channels: Number of series, C.
        length: Number of times, T.
        latents: M.
        widths: Channels of the encoder's convolutions, and in reverse of the decoder's.
        head: From the decoder's numbers to :math:`p(x \mid z)`, see :class:`VAE`.
        prior: See :class:`VAE`; :func:`fit_prior` gives a better one after training.
        warm_up: See :class:`LatentVariableModel`.

    Raises:
        ValueError: If a number is below one, or there are no widths.
    """

    def __init__(
        self,
        channels: int,
        length: int,
        latents: int,
        *,
        widths: Sequence[int] = (32, 64, 128),
        head: Head | None = None,
        prior: nn.Module | None = None,
        warm_up: float = 0.3,
    ) -> None:
        if min(channels, length, latents, *widths, len(widths)) < 1:
            raise ValueError(
                f"{channels} channels, length {length}, {latents} latents and widths "
                f"{tuple(widths)}: each must be 1 or more, with one width at least"
            )
        head = NormalHead() if head is None else head
        super().__init__(
            (length, channels),
            latents,
            head=head,
            encoder=_Encoder(channels, length, 2 * latents, widths),
            decoder=_Decoder(latents, length, channels * head.outputs, widths),
            prior=prior,
            warm_up=warm_up,
        )

    @torch.no_grad()
    def sample(self, n: int, *, noise: bool = True, seed: int | None = None) -> Tensor:
        r"""Draw ``n`` windows, shape ``(n, T, C)``.

        Args:
            n: How many.
            noise: Whether to draw from :math:`p(x \mid z)`, as the model says. Without, these are
                decoder means: smoother than any data, right only where noise is what one wants
                to be rid of.
            seed: Of the draws.
        """
        with fixed_seed(seed):
            law = self.likelihood(self.prior().sample((n,)))
            return law.sample() if noise else law.mean


class InterpretableTimeVAE(TimeVAE):
    r"""TimeVAE whose decoder's mean is a sum of parts with names.

    .. math:: \mu_{tc}(z) = \underbrace{\sum_{p=0}^{P} a_{pc}(z)\, r_t^p}_{\text{trend}}
        + \sum_j \underbrace{s^{(j)}_{k_j(t),\,c}(z)}_{\text{season } j} + \rho_{tc}(z),
        \qquad r_t = \frac{2t}{T - 1} - 1, \quad
        k_j(t) = \lfloor t / \ell_j \rfloor \bmod m_j, \quad t = 0, \dots, T - 1

    Season :math:`j` has :math:`m_j` values, each held for :math:`\ell_j` times; their sum is zero,
    so that the level belongs to the trend (the paper leaves that open). The residual
    :math:`\rho` is the base decoder. Coefficients differ from window to window, as :math:`z` does;
    the calendar does not, so *windows must start at the same phase*: on Mondays, say. The head's
    other numbers (a scale, say) come from the base decoder. Source and chapter: :class:`TimeVAE`.

    Args:
        channels: See :class:`TimeVAE`.
        length: See :class:`TimeVAE`.
        latents: See :class:`TimeVAE`.
        degree: P, of the trend.
        seasons: Pairs :math:`(m_j, \ell_j)`: ``[(5, 1)]`` is a week of five days, of which
            ``(4, 5)`` counts four.
        residual: Whether there is :math:`\rho`. It can imitate the other parts.
        settings: See :class:`TimeVAE`.

    Raises:
        ValueError: As for :class:`TimeVAE`; if the degree is below zero, or a season has fewer
            than two values or is not run through once within a window.
    """

    def __init__(
        self,
        channels: int,
        length: int,
        latents: int,
        *,
        degree: int = 2,
        seasons: Sequence[tuple[int, int]] = (),
        residual: bool = True,
        **settings: object,
    ) -> None:
        for values, held in seasons:
            if values < 2 or held < 1 or values * held > length:
                raise ValueError(
                    f"season ({values}, {held}) in windows of {length}: two values or more, each "
                    "held once or more, and one round within the window are needed"
                )
        if degree < 0:
            raise ValueError(f"degree must be 0 or more, got {degree}")
        super().__init__(channels, length, latents, **settings)  # type: ignore[arg-type]
        base = cast(_Decoder, self.decoder)
        self.decoder = _Sum(base, latents, length, channels, degree, seasons, residual=residual)

    @torch.no_grad()
    def components(self, z: Tensor) -> dict[str, Tensor]:
        """The parts of the decoder's mean by name, each ``(N, T, C)``; they add up to it.

        Args:
            z: Latents ``(N, M)``; ``model.posterior(x).mean`` for those of windows ``x``.
        """
        decoder = cast(_Sum, self.decoder)
        return decoder.parts(z, decoder.base(z))


class _Encoder(nn.Module):
    """From windows ``(N, T, C)`` to numbers ``(N, outputs)``."""

    def __init__(self, channels: int, length: int, outputs: int, widths: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in widths:
            layers += [nn.Conv1d(channels, width, 3, stride=2, padding=1), nn.ReLU()]
            channels, length = width, (length + 1) // 2
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Linear(channels * length, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.dense(self.convolutions(x.transpose(1, 2)).flatten(1)))


class _Decoder(nn.Module):
    """From latents ``(N, M)`` to numbers of each time ``(N, T, outputs)``."""

    def __init__(self, latents: int, length: int, outputs: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.shape = length, outputs
        self.short = -(-length // 2 ** len(widths))  # doubled at each layer, it covers the length
        self.dense = nn.Linear(latents, widths[-1] * self.short)
        layers: list[nn.Module] = [nn.ReLU()]
        for i in range(len(widths) - 1, -1, -1):
            after = widths[max(i - 1, 0)]
            layers += [nn.ConvTranspose1d(widths[i], after, 4, stride=2, padding=1), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        self.last = nn.Linear(widths[0] * self.short * 2 ** len(widths), length * outputs)

    def forward(self, z: Tensor) -> Tensor:
        hidden = self.dense(z).unflatten(1, (-1, self.short))  # (N, width, short)
        return cast(Tensor, self.last(self.convolutions(hidden).flatten(1))).unflatten(
            1, self.shape
        )


class _Sum(nn.Module):
    """Trend, seasons and residual: the decoder of :class:`InterpretableTimeVAE`."""

    powers: Tensor

    def __init__(
        self,
        base: _Decoder,
        latents: int,
        length: int,
        channels: int,
        degree: int,
        seasons: Sequence[tuple[int, int]],
        *,
        residual: bool,
    ) -> None:
        super().__init__()
        self.base, self.channels, self.residual = base, channels, residual
        time = torch.arange(length)
        position = 2 * time / max(length - 1, 1) - 1
        powers = position[:, None] ** torch.arange(degree + 1)  # (T, P + 1)
        self.register_buffer("powers", powers, persistent=False)
        self.index = [time // held % values for values, held in seasons]
        # One hidden layer, as in the paper: a coefficient bends with the latents.
        self.trend = _coefficients(latents, degree + 1, channels)
        self.seasons = nn.ModuleList(_coefficients(latents, m, channels) for m, _ in seasons)

    def parts(self, z: Tensor, raw: Tensor) -> dict[str, Tensor]:
        found = {"trend": self.powers @ self.trend(z)}
        for j, (net, index) in enumerate(zip(self.seasons, self.index, strict=True), start=1):
            values = net(z)  # (N, m, C)
            found[f"season {j}"] = (values - values.mean(dim=1, keepdim=True))[:, index]
        if self.residual:
            found["residual"] = raw[..., : self.channels]
        return found

    def forward(self, z: Tensor) -> Tensor:
        raw = self.base(z)
        mean = torch.stack(tuple(self.parts(z, raw).values())).sum(dim=0)
        return torch.cat((mean, raw[..., self.channels :]), dim=-1)


def _coefficients(latents: int, rows: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(latents, 32),
        nn.ReLU(),
        nn.Linear(32, rows * channels),
        nn.Unflatten(1, (rows, channels)),
    )
