"""Monotone splines: increasing maps of one feature that can take almost any shape."""

import math

import torch
from torch import Tensor

from genfin_lib.flows.elementwise import Elementwise


class RationalQuadratic(Elementwise):
    r"""Monotone rational-quadratic spline on :math:`[-B, B]`, the identity outside.

    Between the knots :math:`(x_k, y_k)` and :math:`(x_{k+1}, y_{k+1})` of a bin, with derivatives
    :math:`d_k, d_{k+1}` there, width :math:`w`, slope :math:`s = (y_{k+1} - y_k)/w` and
    :math:`\xi = (x - x_k)/w`,

    .. math::
        z = y_k + (y_{k+1} - y_k)\,
            \frac{s\,\xi^2 + d_k\,\xi(1-\xi)}{s + (d_k + d_{k+1} - 2s)\,\xi(1-\xi)}

    A ratio of quadratics is steep or flat where it has to be, and its inverse is the root of a
    quadratic: exact, no iteration. At :math:`\pm B` the derivative is that of the tails, one.

    Beyond the bound a feature stops to change the parameters of the others.

    The tails are straight: beyond the bound a flow of these layers has the tails of its base, so
    a heavy tail belongs into the base (:class:`~genfin_lib.distributions.StudentT`).

    Durkan, Bekasov, Murray and Papamakarios (2019), https://arxiv.org/abs/1906.04032.

    Args:
        bins: Number of bins :math:`K`. A feature has :math:`3K - 1` parameters: widths, heights,
            and the derivatives at the inner knots.
        bound: The bound :math:`B`.

    Raises:
        ValueError: If there are fewer than two bins, or so many that they would not fit, or
            ``bound`` is not above zero.
    """

    # Widths and heights take at least this share of the interval, derivatives lie between it and
    # its reciprocal: no parameters can make a likelihood explode.
    LOWEST = 1e-2

    cumulate: Tensor
    offset: Tensor

    def __init__(self, bins: int = 8, bound: float = 5.0) -> None:
        super().__init__()
        if not 2 <= bins < 1 / self.LOWEST:
            raise ValueError(f"bins must be from 2 to {1 / self.LOWEST - 1:.0f}, got {bins}")
        if not 0 < bound < math.inf:
            raise ValueError(f"bound must be above 0 and finite, got {bound}")
        self.bins = bins
        self.bound = bound
        # A network fed 40 standard deviations answers with bins of slopes from 1e-6 to 200, through
        # which single precision finds no way back. Any function of what is kept leaves the layer
        # invertible, this one too.
        self.reach = bound
        self.parameters_per_feature = 3 * bins - 1
        # Knots are cumulative sums of shares, as one product with a triangle of ones: faster than
        # cumsum along a first dimension. The outer rows are constant, so that the outer knots are
        # the bound to the bit.
        inner = torch.ones(bins + 1, bins).tril(-1)
        inner[-1] = 0
        self.register_buffer(
            "cumulate", 2 * bound * (1 - bins * self.LOWEST) * inner, persistent=False
        )
        offset = 2 * bound * self.LOWEST * torch.arange(bins + 1.0) - bound
        offset[-1] = bound
        self.register_buffer("offset", offset[:, None], persistent=False)

    def _knots(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Knots ``(K + 1, 2, F, N)``, x before y, and raw derivatives ``(K + 1, F, N)``."""
        shares = parameters[: 2 * self.bins].reshape(self.bins, -1).softmax(dim=0)
        knots = torch.addmm(self.offset, self.cumulate, shares)
        inner = parameters[2 * self.bins :]
        zeros = torch.zeros_like(inner[:1])
        return knots.view(-1, 2, *parameters.shape[1:]), torch.cat((zeros, inner, zeros))

    def _bin(self, value: Tensor, axis: int, parameters: Tensor) -> tuple[Tensor, ...]:
        """What the formula needs of the bin that holds ``value`` on the given axis."""
        knots, raw = self._knots(parameters)
        index = (value >= knots[1:-1, axis]).sum(dim=0, keepdim=True)
        ends = torch.cat((index, index + 1))
        x, y = knots.gather(0, ends[:, None].expand(-1, 2, -1, -1)).unbind(dim=1)
        # One where the raw derivative is zero, as it is at the ends.
        raw = raw.gather(0, ends)
        derivative = (raw / (1 + raw.abs() / -math.log(self.LOWEST))).exp()
        width, height = x[1] - x[0], y[1] - y[0]
        slope = height / width
        curvature = derivative[0] + derivative[1] - 2 * slope
        return x[0], y[0], width, height, slope, derivative[0], derivative[1], curvature

    def move(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        inside = x.clamp(-self.bound, self.bound)
        left, bottom, width, height, slope, first, second, curvature = self._bin(
            inside, 0, parameters
        )
        share = (inside - left) / width
        product = share * (1 - share)
        denominator = slope + curvature * product
        z = bottom + height * (slope * share.square() + first * product) / denominator
        log_derivative = self._log_derivative(share, product, slope, first, second, denominator)
        outside = x != inside
        return torch.where(outside, x, z), log_derivative.masked_fill(outside, 0).sum(dim=0)

    def move_back(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        inside = z.clamp(-self.bound, self.bound)
        left, bottom, width, height, slope, first, second, curvature = self._bin(
            inside, 1, parameters
        )
        # a share^2 + b share + c = 0; this root loses no digits where a is near zero.
        rise = inside - bottom
        a = height * (slope - first) + rise * curvature
        b = height * first - rise * curvature
        c = -slope * rise
        # Above zero but for rounding; at zero itself the square root has no gradient.
        root = (b.square() - 4 * a * c).clamp_min(torch.finfo(z.dtype).tiny).sqrt()
        share = -2 * c / (b + root)
        product = share * (1 - share)
        denominator = slope + curvature * product
        log_derivative = self._log_derivative(share, product, slope, first, second, denominator)
        outside = z != inside
        x = torch.where(outside, z, left + share * width)
        return x, -log_derivative.masked_fill(outside, 0).sum(dim=0)

    @staticmethod
    def _log_derivative(
        share: Tensor,
        product: Tensor,
        slope: Tensor,
        first: Tensor,
        second: Tensor,
        denominator: Tensor,
    ) -> Tensor:
        flat = second * share.square() + 2 * slope * product + first * (1 - share).square()
        return (flat * (slope / denominator).square()).log()
