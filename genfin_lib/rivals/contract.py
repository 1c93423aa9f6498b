"""What both rivals share: the shape of the data, and the way to standard units and back."""

import math
from abc import ABC, abstractmethod

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from genfin_lib.flows.linear import Standardize
from genfin_lib.flows.tails import TailTransform
from genfin_lib.flows.transform import Compose, Transform

Shape = int | tuple[int, int]


class Rival(nn.Module, ABC):
    """A generator of rows or windows that works behind a fixed transform of the data.

    Args:
        shape: Number of features, or ``(channels, length)`` of windows.
        transform: From data to what the networks see, as rows of all numbers of an example:
            :func:`light_tails`, say. The identity if ``None``.

    Raises:
        ValueError: If a size is below one.
    """

    like: Tensor

    def __init__(self, shape: Shape, *, transform: Transform | None = None) -> None:
        super().__init__()
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        if len(self.shape) > 2 or min(self.shape) < 1:
            raise ValueError(f"shape must be D or (channels, length), 1 or more each, got {shape}")
        self.transform = Compose([]) if transform is None else transform
        self.transform.requires_grad_(False)
        # Follows the parameters through .double() and .to(device).
        self.register_buffer("like", torch.empty(0), persistent=False)

    @abstractmethod
    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        """Draw ``n`` examples, in data units, shape ``(n, *shape)``."""

    def standard(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Data in the networks' units, and the log-determinant of the way there, ``(N,)``.

        Raises:
            ValueError: If ``x`` has another shape or type, no row, NaN or inf.
        """
        if x.shape[1:] != self.shape or len(x) == 0:
            wanted = ", ".join(str(size) for size in ("N", *self.shape))
            raise ValueError(f"x must have shape ({wanted}) with N of 1 or more, got {(*x.shape,)}")
        if x.dtype != self.like.dtype:
            raise ValueError(
                f"x is {x.dtype} and the model {self.like.dtype}: convert, x.to({self.like.dtype})"
            )
        if not torch.isfinite(x).all():
            raise ValueError("x holds NaN or inf; drop or fill those rows first")
        z, log_abs_det = self.transform(x.flatten(1))
        return z.unflatten(1, self.shape), log_abs_det

    def from_standard(self, z: Tensor) -> Tensor:
        """Back to data units, ``(N, *shape)``."""
        return self.transform.generate(z.flatten(1)).unflatten(1, self.shape)

    def noise(self, n: int, *shape: int) -> Tensor:
        """Standard normal numbers, ``(n, *shape)``.

        Raises:
            ValueError: If ``n`` is below one.
        """
        if n < 1:
            raise ValueError(f"n must be 1 or more, got {n}")
        return torch.randn(n, *shape, dtype=self.like.dtype, device=self.like.device)


def light_tails(train: Tensor) -> Transform:
    r"""Standardised data without heavy tails: what a network of Gaussian noise can learn.

    .. math:: x \;\to\; u = \frac{x - \mu}{\sigma} \;\to\; z = T_\lambda(u) \;\to\; z / s

    with :math:`T_\lambda` the :class:`~genfin_lib.flows.TailTransform`, one weight for all
    tails, and :math:`\lambda, s` of largest Gaussian likelihood of :math:`z / s` over all numbers
    pooled. Moments of each channel of windows are shared by its times, so that what is stationary
    stays so. *Why:* a Lipschitz function of Gaussian noise has Gaussian tails, whatever the network
    learned; generated losses would be too small. Quant GANs send returns through Lambert's W for
    the same reason: M. Wiese, R. Knobloch, R. Korn and P. Kretschmer (2020),
    https://arxiv.org/abs/1907.06673.

    Args:
        train: Training data, ``(N, D)`` or ``(N, channels, length)``; never later ones.

    Raises:
        ValueError: If there are NaN or inf, fewer than two rows, or a constant column.
    """
    if train.ndim not in (2, 3):
        raise ValueError(f"train must be (N, D) or (N, channels, length), got {(*train.shape,)}")
    length = train.shape[2] if train.ndim == 3 else 1
    each = Standardize.fit(train.transpose(1, 2).flatten(0, 1) if train.ndim == 3 else train)
    spread = Standardize(*(part.repeat_interleave(length) for part in (each.mean, each.std)))
    u = spread(train.flatten(1))[0].reshape(-1, 1)

    @torch.no_grad()
    def loss(log_weight: float) -> float:
        z, log_slope = TailTransform(1, weight=math.exp(log_weight)).to(u)(u)
        return (z.square().mean().log() / 2 - log_slope.mean()).item()

    bounds = (math.log(1e-3), math.log(0.9))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-3})
    tails = TailTransform(spread.mean.numel(), weight=math.exp(found.x)).to(u)
    with torch.no_grad():
        scale = TailTransform(1, weight=math.exp(found.x)).to(u)(u)[0].square().mean().sqrt()
    ones = torch.ones_like(spread.mean)
    return Compose([spread, tails, Standardize(0 * ones, scale * ones)]).requires_grad_(False)
