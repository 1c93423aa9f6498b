"""The contract that every layer of a flow keeps, and the composition of layers.

The direction is decided here, once, for the whole book: ``forward`` maps data ``x`` to latent
``z`` (the normalizing direction), ``inverse`` maps latent back to data. Both return the logarithm
of the absolute Jacobian determinant *of the map that was applied*, one number per row.
"""

from collections.abc import Iterable, Sequence
from typing import cast

from torch import Tensor, nn


class Transform(nn.Module):
    r"""An invertible, differentiable map :math:`z = f(x; c)` with a tractable Jacobian.

    A subclass gives both directions. For every ``x`` and ``context``:

    .. math::
        f^{-1}(f(x; c); c) = x, \qquad
        \log\left|\det \frac{\partial f^{-1}}{\partial z}\right|_{z = f(x)}
        = -\log\left|\det \frac{\partial f}{\partial x}\right|

    The second identity cannot see a sign error made in both directions. The tests therefore
    compare each log-determinant with the full Jacobian from automatic differentiation.
    """

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        r"""Map data to latent.

        Args:
            x: Data, shape ``(N, D)``.
            context: What the map is conditioned on, shape ``(N, C)``.

        Returns:
            ``z`` with shape ``(N, D)`` and :math:`\log|\det \partial z/\partial x|`, shape
            ``(N,)``.
        """
        raise NotImplementedError

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        r"""Map latent to data.

        Args:
            z: Latent, shape ``(N, D)``.
            context: What the map is conditioned on, shape ``(N, C)``.

        Returns:
            ``x`` with shape ``(N, D)`` and :math:`\log|\det \partial x/\partial z|`, shape
            ``(N,)``.
        """
        raise NotImplementedError

    def generate(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Map latent to data, without the log-determinant: what sampling needs."""
        return self.inverse(z, context)[0]


class Compose(Transform):
    r"""Several transforms, applied one after the other from data to latent.

    .. math::
        f = f_K \circ \dots \circ f_1, \qquad
        \log|\det J_f(x)| = \sum_{k=1}^{K} \log|\det J_{f_k}(x_{k-1})|, \quad x_k = f_k(x_{k-1})

    Args:
        transforms: The layers, first applied first.
    """

    def __init__(self, transforms: Iterable[Transform]) -> None:
        super().__init__()
        self.transforms = cast(Sequence[Transform], nn.ModuleList(transforms))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(x.shape[0])
        for transform in self.transforms:
            x, log_abs_det = transform(x, context)
            total = total + log_abs_det
        return x, total

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = z.new_zeros(z.shape[0])
        for transform in reversed(self.transforms):
            z, log_abs_det = transform.inverse(z, context)
            total = total + log_abs_det
        return z, total

    def generate(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        for transform in reversed(self.transforms):
            z = transform.generate(z, context)
        return z


class Inverse(Transform):
    """A transform with its directions exchanged, and their costs with them.

    Args:
        transform: The transform whose ``inverse`` becomes ``forward``.
    """

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform.inverse(x, context)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_abs_det = self.transform(z, context)
        return z, log_abs_det
