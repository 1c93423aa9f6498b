"""Days linear in their factors: decoders with moving loadings, and the posterior in closed form."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal, Normal, StudentT

from genfin_lib.distributions.bases import DegreesOfFreedom
from genfin_lib.latent.panel import Panel
from genfin_lib.nn import MLP

# Share of the variance of a series that slow loadings leave to its own noise at the least.
LEAST_OWN = 0.05


class LinearTerms(NamedTuple):
    r"""A law linear in the factors, :math:`x = \mu + \Lambda z + s \odot \epsilon`.

    Attributes:
        mean: :math:`\mu`, ``(..., D)``.
        loadings: :math:`\Lambda`, ``(..., D, M)``.
        scale: :math:`s`, scale and not standard deviation of the noise, ``(..., D)``.
        df: Degrees of freedom of the noise, ``(D,)``; ``None`` if it is Gaussian.
    """

    mean: Tensor
    loadings: Tensor
    scale: Tensor
    df: Tensor | None

    def law(self, z: Tensor) -> Distribution:
        """Law given the factors, batch shape ``(..., D)``; draws of ``z`` stand in front."""
        mean = self.mean + apply(self.loadings, z)
        scale = self.scale.expand_as(mean)
        if self.df is None:
            return Normal(mean, scale, validate_args=False)
        return StudentT(self.df.expand_as(mean), mean, scale, validate_args=False)

    def moments(self, prior: Distribution) -> tuple[Tensor, Tensor]:
        r"""Mean, and covariance :math:`\Lambda \Sigma_z \Lambda^\top + \Psi`."""
        own = self.scale.square()
        if self.df is not None:
            own = own * self.df / (self.df - 2).clamp(min=0.1)
        scaled = self.loadings * prior.stddev[..., None, :]
        mean = self.mean + apply(self.loadings, prior.mean)
        return mean, scaled @ scaled.mT + torch.diag_embed(own)


class GaussianPosterior(nn.Module):
    r"""Closed-form encoder of a decoder linear in the factors: a precision-weighted regression.

    .. math:: q(z) = N(G^{-1} b,\; G^{-1}), \qquad G = S^{-1} + \Lambda^\top W \Lambda, \qquad
        b = S^{-1} m + \Lambda^\top W (x - \mu)

    with :math:`m` and :math:`S` mean and squared scale of the prior. Exact if noise and prior are
    Gaussian, :math:`W = \mathrm{diag}(1/s^2)`. Under t noise the weights are those of a robust
    regression, :math:`w_i = (\nu + 1) / (\nu s_i^2 + e_i^2)` with :math:`e` the residuals, found
    in a few rounds: a stock with news of its own says little about the market. K. L. Lange,
    R. J. A. Little and J. M. G. Taylor (1989), https://doi.org/10.1080/01621459.1989.10478852.

    Args:
        rounds: Rounds of reweighting under t noise.
    """

    def __init__(self, *, rounds: int = 2) -> None:
        super().__init__()
        self.rounds = rounds

    def evidence(self, day: Panel, terms: LinearTerms) -> tuple[Tensor, Tensor]:
        r"""What a day says, :math:`\Lambda^\top W \Lambda` and :math:`\Lambda^\top W (x - \mu)`."""
        rest, variance = day.x - terms.mean, terms.scale.square()
        weighted = terms.loadings * (day.seen / variance)[..., None]
        if terms.df is not None:
            unit = torch.eye(terms.loadings.shape[-1], dtype=rest.dtype)
            for _ in range(self.rounds):
                precision = unit + terms.loadings.mT @ weighted
                z = torch.linalg.solve(precision, apply(weighted.mT, rest))
                error = rest - apply(terms.loadings, z)
                weight = day.seen * (terms.df + 1) / (terms.df * variance + error.square())
                weighted = terms.loadings * weight[..., None]
        return terms.loadings.mT @ weighted, apply(weighted.mT, rest)

    def forward(
        self, prior: Normal | StudentT, precision: Tensor, pull: Tensor
    ) -> MultivariateNormal:
        """Law of event shape ``(M,)`` from the prior and the evidence of the day."""
        inverse = prior.scale.square().reciprocal()
        covariance = torch.linalg.inv(precision + torch.diag_embed(inverse))
        mean = apply(covariance, pull + inverse * prior.mean)
        root = torch.linalg.cholesky(covariance)
        return MultivariateNormal(mean, scale_tril=root, validate_args=False)

    def mean(self, prior: Normal | StudentT, precision: Tensor, pull: Tensor) -> Tensor:
        """The mean alone, cheaper."""
        inverse = prior.scale.square().reciprocal()
        return torch.linalg.solve(
            precision + torch.diag_embed(inverse), pull + inverse * prior.mean
        )


class LinearDecoder(nn.Module):
    r"""Linear in the factors; loadings and scales from the state before the day.

    .. math:: x_t = \Lambda(h_{t-1})\, z_t + s(h_{t-1}) \odot \epsilon_t

    Gaussian noise, or t with degrees of freedom for each series. The state may move the loadings
    anywhere, so loadings that *recur* can be recalled; the factors can be read, and density,
    covariance and posterior are formulas.

    Args:
        features: Number of series.
        factors: Number of factors.
        hidden: Size of the state.
        df: Initial degrees of freedom; ``None`` for Gaussian noise.
    """

    reads_state = True

    def __init__(self, features: int, factors: int, hidden: int, *, df: float | None = 8.0) -> None:
        super().__init__()
        self.features, self.factors = features, factors
        self.static = nn.Parameter(torch.randn(features, factors) / math.sqrt(factors))
        self.log_scale = nn.Parameter(torch.zeros(features))
        self.net = MLP(hidden, features * (factors + 1), hidden=(), zero_init=True)
        self.tails = (
            None if df is None else DegreesOfFreedom(torch.full((features,), df), learnable=True)
        )

    @property
    def df(self) -> Tensor | None:
        """Degrees of freedom of each series, or ``None``."""
        return None if self.tails is None else self.tails.df

    def terms(self, state: Tensor | None, day: Panel) -> LinearTerms:
        """The parts of the law, for any leading dimensions."""
        moves = self.net(state).unflatten(-1, (self.features, self.factors + 1))
        scale = (self.log_scale + 2 * torch.tanh(moves[..., -1] / 2)).exp()
        return LinearTerms(torch.zeros_like(day.x), self.static + moves[..., :-1], scale, self.df)

    def forward(self, z: Tensor, state: Tensor, day: Panel) -> Distribution:
        """Law of batch shape ``(..., D)``; the draws of ``z`` stand in front."""
        return self.terms(state, day).law(z)


class SlowDecoder(LinearDecoder):
    r"""Slow loadings given with the data, and scales from each series' own features.

    .. math:: x_{ti} = e^{m_{ti}} \bigl((B_t + C)_i z_t + \psi_{ti} e^{l_{ti}} \epsilon_{ti}\bigr),
        \qquad \psi_{ti}^2 = 1 - \|B_{ti}\|^2

    :math:`B_t` are loadings of a slow correlation, known the evening before; the static correction
    :math:`C` is learned. One small network for all series turns a series' features into
    :math:`m, l`, and a constant for each series is added to :math:`l`. What a state would have to
    learn of correlation and volatility is given; it is left the scale of the factors.

    Args:
        features: Number of series.
        factors: Number of factors.
        own: Number of features of each series; without any, :math:`m` and :math:`l` stay constant.
        width: Units of the network's hidden layer.
        df: Initial degrees of freedom; ``None`` for Gaussian noise.
    """

    reads_state = False

    def __init__(
        self, features: int, factors: int, own: int, *, width: int = 16, df: float | None = 5.0
    ) -> None:
        super().__init__(features, factors, 1, df=df)
        del self.net
        nn.init.zeros_(self.static)
        nn.init.constant_(self.log_scale, 0.0 if df is None else 0.5 * math.log((df - 2) / df))
        self.own = own
        if own:
            self.linear = MLP(own, 2, hidden=(), zero_init=True)
            self.bend = MLP(own, 2, hidden=(width,), zero_init=True)

    def terms(self, state: Tensor | None, day: Panel) -> LinearTerms:
        """The parts of the law; the state is not read.

        Raises:
            ValueError: If the panel's slow loadings are of another number of factors.
        """
        if day.loadings.shape[-2:] != self.static.shape:
            raise ValueError(
                f"slow loadings of shape {tuple(day.loadings.shape[-2:])} a day: "
                f"{tuple(self.static.shape)}, series and factors, are needed; see Panel.of"
            )
        moves = day.x.new_zeros(*day.x.shape, 2)
        if self.own:
            moves = self.linear(day.own) + self.bend(day.own)
        size, own = (2 * torch.tanh(moves / 2)).unbind(-1)
        rest = (1 - day.loadings.square().sum(-1)).clamp(min=LEAST_OWN)
        scale = (size + own + self.log_scale).exp() * rest.sqrt()
        loadings = size.exp()[..., None] * (day.loadings + self.static)
        return LinearTerms(torch.zeros_like(day.x), loadings, scale, self.df)


def apply(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Matrices ``(..., D, M)`` times vectors ``(..., M)``."""
    return (matrices @ vectors[..., None])[..., 0]
