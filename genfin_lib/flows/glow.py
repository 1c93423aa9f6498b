"""Glow: activation normalisation, an invertible matrix, a coupling; several scales."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from genfin_lib.distributions import fixed_seed
from genfin_lib.flows.channels import ActNorm, InvertibleLinear
from genfin_lib.flows.coupling import AffineCoupling
from genfin_lib.flows.elementwise import Affine
from genfin_lib.flows.flow import Flow
from genfin_lib.flows.linear import Standardize, standardizing
from genfin_lib.flows.multiscale import Flatten, Fold, Scale, WindowCoupling
from genfin_lib.flows.transform import Compose, Inverse, Transform

# A coupling for so many channels; with True it moves the leading ones.
Couple = Callable[[int, bool], Transform]


class Glow(Flow):
    r"""Glow for vectors of two or more features.

    Each scale repeats a step :math:`K` times,

    .. math:: x \;\to\; \text{ActNorm} \;\to\; W x \;\to\; \text{affine coupling},

    then half of the features leave with a prior learned from those that stay
    (:class:`~genfin_lib.flows.multiscale.Scale`). Where :func:`~genfin_lib.flows.real_nvp`
    permutes, Glow learns what to mix. So **no latent belongs to a feature**: its sign and its place
    are arbitrary, and a direction of the market read off one of them is noise.

    Kingma and Dhariwal (2018), https://arxiv.org/abs/1807.03039. Chapter: Glow.

    Args:
        features: Dimension :math:`D` of the data, two or more.
        context: Dimension of the context, 0 for none.
        levels: Largest number of scales; there are fewer if less than two features would be left.
        steps: Steps :math:`K` of each scale.
        hidden: Widths of the hidden layers of each coupling's network.
        base: Base distribution, standard normal if ``None``;
            :class:`~genfin_lib.distributions.StudentT` for heavy tails.
        standardize: Training rows, shape ``(N, D)``. Their mean and standard deviation become
            the first layer of the flow, with its Jacobian.
        scale_bound: Bound of each coupling's log-scale.
        rotate: Start each matrix as a random rotation instead of a permutation.
        seed: Seed of the initial weights and rotations.

    Raises:
        ValueError: If ``features`` is below two, ``levels`` or ``steps`` below one, the base has
            another dimension, or ``standardize`` has the wrong width, NaN, or a constant column.
    """

    def __init__(
        self,
        features: int,
        context: int = 0,
        *,
        levels: int = 2,
        steps: int = 4,
        hidden: Sequence[int] = (64, 64),
        base: nn.Module | None = None,
        standardize: Tensor | None = None,
        scale_bound: float = 1.0,
        rotate: bool = False,
        seed: int = 0,
    ) -> None:
        _require_positive(levels=levels, steps=steps)

        def couple(width: int, flip: bool) -> Transform:
            return AffineCoupling(width, context, hidden=hidden, flip=flip, scale_bound=scale_bound)

        with fixed_seed(seed):
            body = _scales((features,), levels, steps, couple, rotate=rotate)
        super().__init__(
            features, context, transforms=[*standardizing(features, standardize), body], base=base
        )


class Glow1d(Flow):
    r"""Glow for windows of ``channels`` series over ``length`` times.

    As :class:`Glow`, with each scale folding pairs of times into channels first
    (:class:`~genfin_lib.flows.multiscale.Fold`) and couplings that convolve along time. Data have
    shape ``(N, channels, length)``, latents ``(N, channels * length)``, those of the finest scale
    first: `genfin_lib.data.windows` gives ``(N, length, channels)``, so transpose.

    Args:
        channels: Number of series.
        length: Times of a window, a multiple of :math:`2^{\text{levels}}`.
        context: Dimension of the context, 0 for none; all times share it.
        levels: Number of scales.
        steps: Steps of each scale.
        width: Channels of the hidden layers of each coupling's network.
        kernel: Times that those layers see at once, an odd number.
        base: Base distribution of ``channels * length`` features, standard normal if ``None``.
        standardize: Training windows, shape ``(N, channels, length)``. Mean and standard
            deviation of each channel become the first layer of the flow, with its Jacobian.
        scale_bound: Bound of each coupling's log-scale.
        rotate: Start each matrix as a random rotation instead of a permutation.
        seed: Seed of the initial weights and rotations.

    Raises:
        ValueError: If ``length`` is no multiple of :math:`2^{\text{levels}}`, another size is out
            of range, or ``standardize`` has the wrong shape, NaN, or a constant channel.
    """

    def __init__(
        self,
        channels: int,
        length: int,
        context: int = 0,
        *,
        levels: int = 2,
        steps: int = 4,
        width: int = 32,
        kernel: int = 3,
        base: nn.Module | None = None,
        standardize: Tensor | None = None,
        scale_bound: float = 1.0,
        rotate: bool = False,
        seed: int = 0,
    ) -> None:
        _require_positive(channels=channels, length=length, levels=levels, steps=steps)
        if length % 2**levels:
            raise ValueError(
                f"length {length} is no multiple of 2**levels = {2**levels}: each scale halves it; "
                "take other windows or fewer levels"
            )
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel must be an odd number of 1 or more, got {kernel}")
        self.shape = (channels, length)

        def couple(count: int, flip: bool) -> Transform:
            return WindowCoupling(
                Affine(scale_bound), count, context, width=width, kernel=kernel, flip=flip
            )

        first: list[Transform] = [Inverse(Flatten(channels, length))]
        if standardize is not None:
            if standardize.ndim != 3 or standardize.shape[1:] != self.shape:
                raise ValueError(
                    f"standardize takes training windows of shape (N, {channels}, {length}), got "
                    f"{tuple(standardize.shape)}"
                )
            each = Standardize.fit(standardize.transpose(1, 2).flatten(0, 1))
            spread = [value.repeat_interleave(length) for value in (each.mean, each.std)]
            first = [Standardize(*spread).to(torch.get_default_dtype()), *first]
        with fixed_seed(seed):
            body = _scales(self.shape, levels, steps, couple, rotate=rotate)
        super().__init__(channels * length, context, transforms=[*first, body], base=base)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map windows ``(N, channels, length)`` to ``z``, ``(N, D)``, and the log-determinant.

        Raises:
            ValueError: If ``x`` or ``context`` has the wrong shape or holds NaN or inf.
        """
        if x.ndim != 3 or x.shape[1:] != self.shape:
            raise ValueError(
                f"x must have shape (N, {self.shape[0]}, {self.shape[1]}), channels before time, "
                f"got {tuple(x.shape)}"
            )
        return super().forward(x.flatten(1), context)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map latents ``(N, D)`` to windows, and the log-determinant of the inverse map.

        Raises:
            ValueError: If ``z`` or ``context`` has the wrong shape or holds NaN or inf.
        """
        x, log_abs_det = super().inverse(z, context)
        return x.unflatten(1, self.shape), log_abs_det

    def sample(
        self,
        n: int,
        context: Tensor | None = None,
        *,
        temperature: float = 1.0,
        seed: int | None = None,
    ) -> Tensor:
        """Draw windows as :meth:`Flow.sample <genfin_lib.flows.Flow.sample>` draws rows.

        Returns:
            Shape ``(n, channels, length)``, or ``(N, n, channels, length)`` with a context.
        """
        x = super().sample(n, context, temperature=temperature, seed=seed)
        return x.unflatten(-1, self.shape)


def _scales(
    shape: Sequence[int], levels: int, steps: int, couple: Couple, *, rotate: bool
) -> Transform:
    """The scales from one of rows of this shape on: ``(C,)``, or ``(C, L)`` for windows."""
    channels, length = shape[0], [half // 2 for half in shape[1:]]
    layers: list[Transform] = []
    if length:
        channels = 2 * channels
        layers.append(Fold())
    for _ in range(steps):
        mixing = InvertibleLinear(channels, rotate=rotate)
        layers += [ActNorm(channels), mixing, couple(channels, False)]
    kept = channels - channels // 2
    if levels == 1 or kept < 2:
        return Compose([*layers, Flatten(channels, *length)] if length else layers)
    # The learned prior of the leading half, given the half that goes on.
    layers.append(couple(channels, True))
    deeper = _scales((kept, *length), levels - 1, steps, couple, rotate=rotate)
    return Scale(layers, deeper, (channels, *length))


def _require_positive(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be 1 or more, got {size}")
