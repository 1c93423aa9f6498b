"""Gaussian data that are linear in Gaussian factors: density, inference and EM, gaps allowed."""

import math
import warnings
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from genfin_lib.distributions import fixed_seed


@dataclass(frozen=True)
class Rows:
    """Data with gaps, sorted by which entries are there.

    Everything that depends on the *pattern* of gaps alone is computed once for each. Complete
    rows share one, written in a single column that stands for all features.

    Attributes:
        x: Data, zero where missing, `(N, D)`.
        seen: 1 where there is an entry, `(N, D)`, or `(N, 1)` if all are there.
        patterns: The different rows of `seen`, `(P, D)` or `(1, 1)`.
        which: The pattern of each row, `(N,)`.
    """

    x: Tensor
    seen: Tensor
    patterns: Tensor
    which: Tensor

    @classmethod
    def of(cls, x: Tensor, *, features: int, missing: bool) -> Self:
        """Check data and sort them.

        Raises:
            ValueError: Another shape, inf, or NaN where gaps are not announced.
        """
        if x.ndim != 2 or x.shape[1] != features or not x.is_floating_point():
            raise ValueError(
                f"x must have shape (N, {features}) and a floating type, got {tuple(x.shape)} of "
                f"{x.dtype}"
            )
        gaps = x.isnan()
        if x.isinf().any() or (gaps.any() and not missing):
            raise ValueError(
                f"x holds {int(gaps.sum())} NaN and {int(x.isinf().sum())} inf; if NaN marks "
                "missing entries say so with missing=True, and drop inf"
            )
        if not gaps.any():
            one = x.new_ones(1, 1)
            zeros = torch.zeros(len(x), dtype=torch.long, device=x.device)
            return cls(x, one.expand(len(x), 1), one, zeros)
        seen = (~gaps).to(x)
        patterns, which = seen.unique(dim=0, return_inverse=True)
        return cls(x.nan_to_num(0.0), seen, patterns, which)


class LinearGaussian(nn.Module):
    r"""Factors :math:`z \sim N(0, I_M)` and data that are linear in them, with independent noise.

    .. math:: x = \mu + \Lambda z + \epsilon, \quad \epsilon \sim N(0, \Psi), \qquad
        p(x) = N(x;\ \mu,\ \Lambda \Lambda^\top + \Psi), \quad \Psi = \mathrm{diag}(\psi)

    No :math:`D \times D` matrix is needed. With :math:`G = I + \Lambda^\top \Psi^{-1} \Lambda`,

    .. math:: z \mid x \sim N(\hat z,\ G^{-1}), \quad
        \hat z = G^{-1} \Lambda^\top \Psi^{-1} (x - \mu), \qquad
        \log\det \Sigma = \log\det G + \textstyle\sum_j \log \psi_j, \\
        (x - \mu)^\top \Sigma^{-1} (x - \mu) = \|\hat z\|^2
        + \textstyle\sum_j (x - \mu - \Lambda \hat z)_j^2 / \psi_j

    The last form, a sum of squares, keeps its digits when the noise is small, where that of
    Woodbury, a difference of large numbers, loses them. A missing entry is left out of the sums
    over features, which *is* the marginal density of what was seen.

    Args:
        mean: :math:`\mu`, shape ``(D,)``.
        loadings: :math:`\Lambda`, shape ``(D, M)``.
        noise: Noise *variances* :math:`\psi`, shape ``(D,)``.

    Raises:
        ValueError: If the shapes disagree, there are not 1 to D - 1 factors, something is not
            finite, or a variance is not above zero.
    """

    mean: Tensor
    loadings: Tensor
    noise: Tensor

    def __init__(self, mean: Tensor, loadings: Tensor, noise: Tensor) -> None:
        super().__init__()
        features = mean.numel()
        if loadings.ndim != 2 or not 1 <= loadings.shape[1] < features:
            raise ValueError(f"{features} features need 1 to {features - 1} factors, in columns")
        if mean.shape != (features,) or len(loadings) != features or noise.shape != (features,):
            raise ValueError(
                f"mean {tuple(mean.shape)}, loadings {tuple(loadings.shape)} and noise "
                f"{tuple(noise.shape)}: shapes (D,), (D, M) and (D,) are needed"
            )
        if not (torch.isfinite(torch.cat((mean, loadings.flatten()))).all() and (noise > 0).all()):
            raise ValueError(f"parameters must be finite and noise above 0, got {noise.tolist()}")
        self.register_buffer("mean", mean)
        self.register_buffer("loadings", loadings)
        self.register_buffer("noise", noise.clone())  # one number may stand for all

    @property
    def covariance(self) -> Tensor:
        r""":math:`\Sigma = \Lambda\Lambda^\top + \Psi`, of full rank, shape ``(D, D)``."""
        return self.systematic_covariance + torch.diag(self.noise)

    @property
    def systematic_covariance(self) -> Tensor:
        r""":math:`\Lambda\Lambda^\top`: what moves together; the rest is each feature's own."""
        return self.loadings @ self.loadings.T

    def log_prob(self, x: Tensor, *, missing: bool = False) -> Tensor:
        """Log-density of each row in nats, of its seen entries if some are missing, ``(N,)``.

        Args:
            x: Data, shape ``(N, D)``.
            missing: Whether NaN marks a missing entry; otherwise NaN is an error.

        Raises:
            ValueError: Another shape or type, inf, or NaN that was not announced.
        """
        return self._infer(self._rows(x, missing))[2]

    def posterior(self, x: Tensor, *, missing: bool = False) -> MultivariateNormal:
        """Law of the factors given each row: ``.mean`` is ``(N, M)``. Arguments as for `log_prob`.

        The covariance is that of what is *not known* of the factors; it is the same for all rows
        without gaps.
        """
        rows = self._rows(x, missing)
        mean, root, _ = self._infer(rows)
        covariance = torch.cholesky_inverse(root)[rows.which]
        return MultivariateNormal(mean, covariance, validate_args=False)

    def reconstruct(self, x: Tensor, *, missing: bool = False) -> Tensor:
        r"""Expected data given the inferred factors, :math:`\mu + \Lambda \hat z`, ``(N, D)``.

        For a missing entry it is the best guess from the others of its row. Arguments as for
        `log_prob`.
        """
        return self.mean + self._infer(self._rows(x, missing))[0] @ self.loadings.T

    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        """Draw ``n`` points, noise and all, shape ``(n, D)``."""
        with fixed_seed(seed):
            z = self.mean.new_empty(n, self.loadings.shape[1]).normal_()
            noise = self.mean.new_empty(n, self.mean.numel()).normal_()
        return self.mean + z @ self.loadings.T + noise * self.noise.sqrt()

    def em_step(self, x: Tensor, *, missing: bool = False, floor: float = 0.0) -> Self:
        r"""One round of expectation maximisation, which never lowers the likelihood.

        Each feature is regressed on the inferred factors and a constant. With :math:`\tilde z`
        the factors followed by a one and sums over the rows in which :math:`x_j` is seen,

        .. math:: (\lambda_j, \mu_j) = \Bigl(\sum_n \mathrm{E}\, \tilde z_n \tilde z_n^\top
            \Bigr)^{-1} \sum_n x_{nj}\, \mathrm{E}\, \tilde z_n, \qquad
            \psi_j = \frac{1}{N_j} \sum_n \mathrm{E}\, (x_{nj} - \mu_j - \lambda_j^\top z_n)^2

        Then :math:`\Lambda \leftarrow \Lambda\, \mathrm{chol}(A)`, :math:`\mu \leftarrow \mu +
        \Lambda a` with mean :math:`a` and covariance :math:`A` of the inferred factors, so that
        they are standard again: the parameter expansion of C. Liu, D. B. Rubin and Y. N. Wu (1998),
        https://doi.org/10.1093/biomet/85.4.755, which reaches the same place many times sooner. EM
        for factor analysis: D. B. Rubin and D. T. Thayer (1982),
        https://doi.org/10.1007/BF02293851.

        Args:
            x: Data, shape ``(N, D)``.
            missing: As for `log_prob`.
            floor: Least noise variance, in data units squared, ``(D,)`` or a number.

        Returns:
            A new model; this one stays.
        """
        return self._em_step(self._rows(x, missing), torch.as_tensor(floor).to(self.mean))[0]

    def _rows(self, x: Tensor, missing: bool) -> Rows:
        if x.dtype != self.mean.dtype:
            raise ValueError(f"x is {x.dtype} and the model is {self.mean.dtype}; convert one")
        return Rows.of(x, features=self.mean.numel(), missing=missing)

    def _infer(self, rows: Rows) -> tuple[Tensor, Tensor, Tensor]:
        """Posterior means ``(N, M)``, Cholesky roots of G by pattern ``(P, M, M)``, log-density."""
        factors = self.loadings.shape[1]
        weight = rows.patterns / self.noise  # (P, D)
        pairs = (self.loadings[:, :, None] * self.loadings[:, None, :]).flatten(1)  # (D, M * M)
        eye = torch.eye(factors).to(self.mean)
        root = torch.linalg.cholesky(eye + (weight @ pairs).view(-1, factors, factors))
        centred = rows.seen * (rows.x - self.mean)
        score = (centred / self.noise) @ self.loadings  # (N, M)
        if len(root) == 1:
            mean = torch.cholesky_solve(score.T, root[0]).T
        else:
            mean = torch.cholesky_solve(score[:, :, None], root[rows.which])[:, :, 0]
        rest = rows.seen * (centred - mean @ self.loadings.T)
        distance = mean.square().sum(1) + (rest.square() / self.noise).sum(1)
        constants = rows.patterns * (self.noise.log() + math.log(2 * math.pi))  # (P, D)
        log_det = 2 * root.diagonal(dim1=1, dim2=2).log().sum(1) + constants.sum(1)
        return mean, root, -0.5 * (distance + log_det[rows.which])

    def _em_step(self, rows: Rows, floor: Tensor) -> tuple[Self, float]:
        """The next model, and the mean log-likelihood of this one."""
        (n, features), factors = rows.x.shape, self.loadings.shape[1]
        mean, root, log_prob = self._infer(rows)
        unsure = torch.cholesky_inverse(root)  # (P, M, M)
        by_pattern = rows.which.bincount(minlength=len(root)).to(mean)[:, None]
        z = torch.cat((mean, mean.new_ones(n, 1)), dim=1)  # (N, M + 1)
        moments = (rows.seen.T @ (z[:, :, None] * z[:, None, :]).flatten(1)).unflatten(
            1, (factors + 1, factors + 1)
        )  # (D or 1, M + 1, M + 1)
        spread = ((by_pattern * rows.patterns).T @ unsure.flatten(1)).unflatten(
            1, (factors, factors)
        )  # (D or 1, M, M)
        moments[:, :factors, :factors] += spread
        targets = (rows.seen * rows.x).T @ z  # (D, M + 1)
        weights = torch.linalg.solve(moments, targets[:, :, None])[:, :, 0]
        loadings, shift = weights[:, :factors], weights[:, factors]
        rest = (rows.seen * (rows.x - z @ weights.T)).square().sum(0)  # (D,)
        rest = rest + torch.einsum(
            "jk,jkl,jl->j", loadings, spread.expand(features, -1, -1), loadings
        )
        noise = self._pool(rest, rows.seen.sum(0).expand(features))
        centre = mean.mean(0)
        covariance = torch.cov(mean.T, correction=0).view(factors, factors)
        covariance = covariance + (by_pattern[:, :, None] * unsure).sum(0) / n
        standard = type(self)(
            shift + loadings @ centre,
            loadings @ torch.linalg.cholesky(covariance),
            noise.maximum(floor),
        )
        return standard, log_prob.mean().item()

    @staticmethod
    def _pool(squares: Tensor, counts: Tensor) -> Tensor:
        """Noise variances from sums of squared residuals and numbers of entries, both ``(D,)``."""
        return squares / counts

    def _climb(self, rows: Rows, *, floor: Tensor, iterations: int, tolerance: float) -> Self:
        """EM until a round gains less than the tolerance."""
        model, before, gain = self, -math.inf, math.inf
        for _ in range(iterations):
            following, value = model._em_step(rows, floor)
            gain, before = value - before, value
            if gain < tolerance:
                return model._canonical()
            model = following
        warnings.warn(
            f"EM stopped after {iterations} rounds, the last of which gained {gain:.1e} nats a "
            "row; raise iterations or tolerance",
            RuntimeWarning,
            stacklevel=3,
        )
        return model._canonical()

    def _canonical(self) -> Self:
        r"""The same law, turned: :math:`\Lambda^\top\Psi^{-1}\Lambda` diagonal and falling.

        Any rotation of the factors gives the same density. In this one the inferred factors are
        independent, the strongest first, and each has a positive sum of loadings over noise.
        """
        scale = self.noise.sqrt()[:, None]
        left, size, _ = torch.linalg.svd(self.loadings / scale, full_matrices=False)
        turned = left * size
        turned = turned * torch.where(turned.sum(0) < 0, -1.0, 1.0)
        return type(self)(self.mean, turned * scale, self.noise)
