"""Base distributions of flows, priors of latent variable models, and elliptical baselines.

A base is a module (it may hold learnable parameters) whose call returns a
:class:`torch.distributions.Distribution` over vectors: ``base().log_prob(z)`` has shape ``(N,)``.
A base of independent features may also have ``cdf(z)`` and ``icdf(u)``, feature by feature: they
give one-dimensional flows their exact distribution function and quantiles.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from scipy.optimize import minimize_scalar
from scipy.special import stdtr, stdtrit
from torch import Tensor, nn
from torch.distributions import Gamma, Independent, Normal
from torch.distributions import StudentT as UnivariateStudentT


@contextmanager
def fixed_seed(seed: int | None) -> Iterator[None]:
    """Run a block from its own random state, and leave the caller's state as it was.

    ``torch.distributions`` draws from the global generator and accepts no other; this is how a
    function of this library takes a seed all the same.

    Args:
        seed: Seed of the block. ``None`` keeps the global generator, which then moves on.
    """
    if seed is None:
        yield
        return
    # Only a device in use: asking for the state of the others would start them.
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


class StandardNormal(nn.Module):
    r"""Independent standard normal variables.

    .. math:: \log p(z) = -\tfrac12 \sum_{j=1}^{D} \left(z_j^2 + \log 2\pi\right)

    Args:
        features: Dimension :math:`D`.
    """

    zero: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("zero", torch.zeros(features), persistent=False)

    def forward(self) -> Independent:
        """Return the distribution, with event shape ``(features,)``."""
        normal = Normal(self.zero, torch.ones_like(self.zero), validate_args=False)
        return Independent(normal, 1, validate_args=False)

    def cdf(self, z: Tensor) -> Tensor:
        """Distribution function of each feature, shape as ``z``."""
        return torch.special.ndtr(z)

    def icdf(self, u: Tensor) -> Tensor:
        """Quantile of each feature at levels ``u`` in (0, 1), shape as ``u``."""
        return torch.special.ndtri(u)


class StudentT(nn.Module):
    r"""Independent Student-t variables, one for each feature, with learnable degrees of freedom.

    .. math::
        \log p(z) = \sum_{j=1}^{D} \log\Gamma\!\left(\tfrac{\nu_j+1}{2}\right)
        - \log\Gamma\!\left(\tfrac{\nu_j}{2}\right) - \tfrac12\log(\pi\nu_j)
        - \tfrac{\nu_j+1}{2}\log\!\left(1 + \tfrac{z_j^2}{\nu_j}\right)

    The density falls like :math:`|z|^{-(\nu+1)}`. A flow whose layers are bounded affine maps
    cannot change that rate, so a heavy tail has to be put into the base
    (Jaini, Kobyzev, Yu and Brubaker, 2020, https://proceedings.mlr.press/v119/jaini20a.html).

    Degrees of freedom are kept between 1 and 100: below 1 the mean, and with it the expected
    shortfall, does not exist; above 100 the law is Gaussian for every practical purpose, and
    ``lgamma`` in single precision begins to lose digits.

    Args:
        features: Dimension :math:`D`.
        df: Initial degrees of freedom, strictly between 1 and 100.
        learnable: Whether training moves them.

    Raises:
        ValueError: If ``df`` is outside (1, 100).
    """

    LOWEST, HIGHEST = 1.0, 100.0

    raw_df: Tensor

    def __init__(self, features: int, *, df: float = 5.0, learnable: bool = True) -> None:
        super().__init__()
        if not self.LOWEST < df < self.HIGHEST:
            raise ValueError(
                f"df must lie strictly between {self.LOWEST:g} and {self.HIGHEST:g}, got {df}; "
                "below, the mean does not exist; above, use StandardNormal"
            )
        share = (df - self.LOWEST) / (self.HIGHEST - self.LOWEST)
        raw = torch.full((features,), math.log(share / (1 - share)))
        if learnable:
            self.raw_df = nn.Parameter(raw)
        else:
            self.register_buffer("raw_df", raw)

    @property
    def df(self) -> Tensor:
        """Degrees of freedom, shape ``(features,)``."""
        return self.LOWEST + (self.HIGHEST - self.LOWEST) * torch.sigmoid(self.raw_df)

    def forward(self) -> Independent:
        """Return the distribution, with event shape ``(features,)``."""
        return Independent(UnivariateStudentT(self.df, validate_args=False), 1, validate_args=False)

    # torch has neither function for Student-t; SciPy's carry no gradient, nor does inference
    # need one.
    @torch.no_grad()
    def cdf(self, z: Tensor) -> Tensor:
        """Distribution function of each feature, shape as ``z``."""
        return z.new_tensor(stdtr(self.df.cpu().numpy(), z.cpu().numpy()))

    @torch.no_grad()
    def icdf(self, u: Tensor) -> Tensor:
        """Quantile of each feature at levels ``u`` in (0, 1), shape as ``u``."""
        return u.new_tensor(stdtrit(self.df.cpu().numpy(), u.cpu().numpy()))


class MultivariateStudentT(nn.Module):
    r"""Multivariate Student-t, or Gaussian for infinite degrees of freedom: the honest baseline.

    .. math::
        \log p(x) = \log\frac{\Gamma(\frac{\nu+D}{2})}{\Gamma(\frac{\nu}{2})}
        - \tfrac{D}{2}\log(\pi\nu) - \log\det L
        - \tfrac{\nu+D}{2}\log\!\left(1 + \tfrac{1}{\nu}\|L^{-1}(x-\mu)\|^2\right)

    All coordinates share one mixing variable, so they are extreme together; independent t
    variables (:class:`StudentT`) are not. The scatter matrix :math:`L L^\top` is the covariance
    divided by :math:`\nu/(\nu-2)`.

    Args:
        mean: Location :math:`\mu`, shape ``(D,)``.
        scale_tril: Lower triangular :math:`L`, shape ``(D, D)``.
        df: Degrees of freedom :math:`\nu` above zero; ``math.inf`` gives the Gaussian.

    Raises:
        ValueError: If ``df`` is not above zero.
    """

    mean: Tensor
    scale_tril: Tensor
    df_buffer: Tensor

    def __init__(self, mean: Tensor, scale_tril: Tensor, *, df: float) -> None:
        super().__init__()
        if not df > 0:
            raise ValueError(f"df must be above 0, got {df}")
        self.register_buffer("mean", mean)
        self.register_buffer("scale_tril", scale_tril)
        # Fitted like the others, so saved like the others.
        self.register_buffer("df_buffer", torch.tensor(df, dtype=torch.float64))

    @property
    def df(self) -> float:
        """Degrees of freedom."""
        return self.df_buffer.item()

    @classmethod
    def fit(
        cls, x: Tensor, *, df: float | None = None, iterations: int = 50
    ) -> "MultivariateStudentT":
        """Maximum likelihood by expectation maximisation: rows far out get a small weight.

        Liu and Rubin (1995), https://www3.stat.sinica.edu.tw/statistica/oldpdf/A5n12.pdf.

        Args:
            x: Data, shape ``(N, D)``.
            df: Degrees of freedom; ``math.inf`` for the Gaussian, ``None`` to estimate them.
            iterations: Rounds of EM.

        Raises:
            ValueError: If there are NaN or inf, too few rows for a covariance of full rank, or
                columns that are constant or determine each other.
        """
        if x.ndim != 2 or x.shape[0] <= x.shape[1] or not torch.isfinite(x).all():
            raise ValueError(
                f"x must be finite, with more rows than columns, got shape {tuple(x.shape)}"
            )
        if torch.linalg.matrix_rank(x - x.mean(dim=0)) < x.shape[1]:
            raise ValueError("columns of x are constant or determine each other; drop some")
        if df is None:
            found = minimize_scalar(
                lambda log_df: -cls.fit(x, df=math.exp(log_df)).log_prob(x).mean().item(),
                bounds=(math.log(1.0), math.log(100.0)),
                method="bounded",
                options={"xatol": 1e-2},
            )
            return cls.fit(x, df=math.exp(found.x), iterations=iterations)
        fitted = cls(x.mean(dim=0), torch.linalg.cholesky(torch.cov(x.T, correction=0)), df=df)
        for _ in range(0 if math.isinf(df) else iterations):
            weight = (df + x.shape[1]) / (df + fitted._distance(x))
            mean = weight @ x / weight.sum()
            centred = x - mean
            scatter = (weight[:, None] * centred).T @ centred / x.shape[0]
            fitted = cls(mean, torch.linalg.cholesky(scatter), df=df)
        return fitted

    def _distance(self, x: Tensor) -> Tensor:
        """Squared Mahalanobis distance of each row."""
        whitened = torch.linalg.solve_triangular(self.scale_tril, (x - self.mean).T, upper=False)
        return whitened.square().sum(dim=0)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density of each row in nats, shape ``(N,)``.

        Raises:
            ValueError: If ``x`` has the wrong shape or holds NaN or inf.
        """
        features, log_det = self.mean.numel(), self.scale_tril.diagonal().log().sum()
        if x.ndim != 2 or x.shape[1] != features or not torch.isfinite(x).all():
            raise ValueError(f"x must be finite, of shape (N, {features}), got {tuple(x.shape)}")
        distance = self._distance(x)
        if math.isinf(self.df):
            return -0.5 * distance - 0.5 * features * math.log(2 * math.pi) - log_det
        half, half_df = (self.df + features) / 2, self.df / 2
        constant = math.lgamma(half) - math.lgamma(half_df)
        constant -= 0.5 * features * math.log(math.pi * self.df)
        return constant - log_det - half * torch.log1p(distance / self.df)

    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        """Draw ``n`` points, shape ``(n, D)``."""
        with fixed_seed(seed):
            normal = self.mean.new_empty(n, self.mean.numel()).normal_()
            if math.isfinite(self.df):
                half_df = self.mean.new_full((n, 1), self.df / 2)
                normal = normal * torch.rsqrt(Gamma(half_df, half_df).sample())
        return self.mean + normal @ self.scale_tril.T
