"""The multivariate Student-t, fitted in closed steps: what flows have to beat."""

import math

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn
from torch.distributions import Gamma

from genfin_lib.distributions.seeds import fixed_seed


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
                lambda log_df: (
                    -cls.fit(x, df=math.exp(log_df), iterations=iterations)
                    .log_prob(x)
                    .mean()
                    .item()
                ),
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
