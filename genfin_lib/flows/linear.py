"""Linear layers of flows: standardisation, permutation, diagonal scale, batch normalisation."""

import torch
from torch import Tensor, nn

from genfin_lib.flows.transform import Transform


class Standardize(Transform):
    r"""Fixed standardisation, with its Jacobian counted.

    .. math:: z = (x - \mu) / \sigma, \qquad \log|\det J| = -\sum_{j} \log \sigma_j

    As a layer of the flow, and not a step before it, it leaves ``log_prob`` and ``sample`` in the
    units of the data: a value at risk comes out as a return, not in standard deviations.

    Args:
        mean: Location, shape ``(D,)``.
        std: Positive scale, shape ``(D,)``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.clone())
        self.register_buffer("std", std.clone())

    @classmethod
    def fit(cls, x: Tensor) -> "Standardize":
        """Take mean and standard deviation from training rows, shape ``(N, D)``.

        Raises:
            ValueError: If there are fewer than two rows, a value is not finite, or a column is
                constant.
        """
        if x.ndim != 2 or x.shape[0] < 2:
            raise ValueError(
                f"Standardize.fit needs a matrix with two or more rows, got {tuple(x.shape)}"
            )
        if not torch.isfinite(x).all():
            raise ValueError("Standardize.fit got NaN or inf; drop or fill those rows first")
        x = x.detach()
        # Not by the standard deviation: rounding leaves that of a constant column above zero.
        constant = x.amax(dim=0) == x.amin(dim=0)
        if constant.any():
            columns = constant.nonzero().flatten().tolist()
            raise ValueError(f"columns {columns} are constant and have no density; drop them")
        return cls(x.mean(dim=0), x.std(dim=0, correction=0))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return (x - self.mean) / self.std, -self.std.log().sum().expand(x.shape[0])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z * self.std + self.mean, self.std.log().sum().expand(z.shape[0])


class Permutation(Transform):
    r"""Fixed reordering of the features, :math:`z_j = x_{\pi(j)}`; the volume is kept.

    Couplings move half of the features at a time. Reordering between them lets every feature
    meet every other.

    Args:
        order: The permutation :math:`\pi`, a tensor of the integers ``0 .. D - 1``.

    Raises:
        ValueError: If ``order`` is not a permutation.
    """

    order: Tensor
    inverse_order: Tensor

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        if order.ndim != 1 or not torch.equal(order.sort().values, torch.arange(order.numel())):
            raise ValueError(f"order must hold 0 .. D-1, each once, got {order.tolist()}")
        self.register_buffer("order", order.clone())
        self.register_buffer("inverse_order", order.argsort())

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        # Couplings and autoregressive layers leave features, not rows, contiguous: reorder those.
        return x.T.index_select(0, self.order).T, x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z.T.index_select(0, self.inverse_order).T, z.new_zeros(z.shape[0])


class DiagonalScale(Transform):
    r"""Learned positive scale of each feature, the last layer of NICE.

    .. math:: z_j = e^{s_j} x_j, \qquad \log|\det J| = \sum_j s_j

    Additive couplings keep the volume; without this layer NICE could not spread or shrink
    (Dinh, Krueger and Bengio, 2015, section 3.3, https://arxiv.org/abs/1410.8516).

    Args:
        features: Dimension :math:`D`.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x * self.log_scale.exp(), self.log_scale.sum().expand(x.shape[0])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z * (-self.log_scale).exp(), -self.log_scale.sum().expand(z.shape[0])


class BatchNorm(Transform):
    r"""Batch normalisation as a flow layer, its Jacobian counted.

    .. math::
        z = \frac{x - m}{\sqrt{v}}, \qquad \log|\det J| = -\tfrac12 \sum_j \log v_j

    In training :math:`m, v` are the moments of the batch, through which gradients pass; in
    evaluation they are running averages, and only then is the layer a fixed map with an exact
    density. Dinh, Sohl-Dickstein and Bengio (2017, appendix E, https://arxiv.org/abs/1605.08803)
    use running averages in training too; plain moments are simpler and serve batches of our size.
    There is no learned scale and shift behind it: the next coupling has both.

    ``inverse`` always uses the running averages: a batch of latents is no sample of the data.

    Args:
        features: Dimension :math:`D`.
        momentum: Weight of the newest batch in the running averages.
        floor: Smallest variance. A floor, and not a term added to the variance, leaves the
            untrained layer exactly the identity.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, features: int, *, momentum: float = 0.1, floor: float = 1e-5) -> None:
        super().__init__()
        self.momentum = momentum
        self.floor = floor
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        mean, var = self.running_mean, self.running_var
        if self.training:
            if x.shape[0] < 2:
                raise ValueError(
                    "BatchNorm in training needs a batch of two or more rows, got one; "
                    "use a larger batch, or call eval() first"
                )
            mean, var = x.mean(dim=0), x.var(dim=0, correction=0)
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(var, self.momentum)
        var = var.clamp_min(self.floor)
        return (x - mean) * var.rsqrt(), -0.5 * var.log().sum().expand(x.shape[0])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        var = self.running_var.clamp_min(self.floor)
        return z * var.sqrt() + self.running_mean, 0.5 * var.log().sum().expand(z.shape[0])


def standardizing(features: int, rows: Tensor | None) -> list[Transform]:
    """Return the first layers of a flow: a `Standardize` fitted to training rows, or none.

    Args:
        features: Dimension of the data.
        rows: Training rows, shape ``(N, features)``, or ``None``.

    Raises:
        ValueError: If the rows have the wrong width, NaN, or a constant column.
    """
    if rows is None:
        return []
    if rows.ndim != 2 or rows.shape[1] != features:
        raise ValueError(
            f"standardize takes training rows of shape (N, {features}), got {tuple(rows.shape)}"
        )
    # Fitted in the precision of the rows, kept in that of the weights.
    return [Standardize.fit(rows).to(torch.get_default_dtype())]
