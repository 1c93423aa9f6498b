"""Copulas: what joins the laws of single returns to the law of all."""

import math
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import gammaln, log_ndtr, ndtr, ndtri, stdtr, stdtrit

from genfin_lib.flows import Flow

# A double comes nearer to zero than to one. Within this range every quantile is finite.
SMALLEST, LARGEST = 1e-300, 1 - 2.0**-53


class Copula(Protocol):
    """Law of ``S`` dependent variables that are each uniform on (0, 1)."""

    def log_prob(self, u: ArrayLike) -> np.ndarray:
        """Log-density of each row of ``u``, ``(n, S)``, in nats, ``(n,)``."""

    def scores(self, u: np.ndarray) -> np.ndarray:
        """Increasing map of a probability to the scale on which the copula is written."""

    def sample_scores(self, n: int, *, seed: int) -> np.ndarray:
        """Draw ``n`` rows on that scale, shape ``(n, S)``."""

    def sample(self, n: int, *, seed: int) -> np.ndarray:
        """Draw ``n`` rows of probabilities, shape ``(n, S)``."""


def student_t_log_copula(u: ArrayLike, correlation: np.ndarray, *, df: float) -> np.ndarray:
    r"""Log-density of the Student-t copula, with a correlation of its own for every row if wanted.

    .. math:: \log c(u) = \log t_{R,\nu}(x) - \sum_{j=1}^{S} \log t_\nu(x_j), \qquad
        x_j = t_\nu^{-1}(u_j)

    Exact: a multivariate density over the product of its own marginals. Infinite degrees of freedom
    give the Gaussian copula. S. Demarta and A. J. McNeil (2005), The t copula and related copulas,
    https://doi.org/10.1111/j.1751-5823.2005.tb00254.x. Chapter: portfolios.

    Args:
        u: Probabilities, ``(n, S)``; 0 and 1 themselves count as the nearest number inside.
        correlation: :math:`R`, ``(S, S)`` or ``(n, S, S)``.
        df: Degrees of freedom, above zero; ``math.inf`` for the Gaussian.

    Returns:
        Nats, ``(n,)``.

    Raises:
        ValueError: NaN or values outside [0, 1], or a correlation that is not positive definite.
    """
    u = probabilities(u)
    x = ndtri(u) if math.isinf(df) else stdtrit(df, u)
    try:
        root = np.linalg.cholesky(correlation)
    except np.linalg.LinAlgError as error:
        raise ValueError(
            "a correlation matrix is not positive definite: give more rows than series, and no "
            "series that follows from the others."
        ) from error
    white = np.linalg.solve(root, x[..., None])[..., 0]  # (n, S)
    distance = np.square(white).sum(axis=-1)
    log_det = np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
    if math.isinf(df):
        return 0.5 * (np.square(x).sum(axis=-1) - distance) - log_det
    features = x.shape[-1]
    constant = gammaln((df + features) / 2) - gammaln(df / 2)
    constant -= features * (gammaln((df + 1) / 2) - gammaln(df / 2))
    kernels = (df + 1) / 2 * np.log1p(np.square(x) / df).sum(axis=-1)
    return constant - log_det + kernels - (df + features) / 2 * np.log1p(distance / df)


class StudentTCopula:
    r"""Student-t copula: one random scale common to all, so that extremes come together.

    Two series of correlation :math:`\rho` are extreme together with a probability that does not
    vanish in the limit, their **tail dependence**

    .. math:: \lambda = \lim_{u \to 0} P(U_2 < u \mid U_1 < u) = 2\, t_{\nu+1}\Bigl(
        -\sqrt{(\nu + 1)(1 - \rho)/(1 + \rho)}\Bigr)

    A Gaussian copula has none unless :math:`\rho = 1`. P. Embrechts, A. McNeil and D. Straumann
    (2002), Correlation and dependence in risk management,
    https://doi.org/10.1017/CBO9780511615337.008. Chapter: portfolios.

    Args:
        correlation: :math:`R`, ``(S, S)``.
        df: Degrees of freedom :math:`\nu`, above zero; ``math.inf`` for the Gaussian copula.

    Raises:
        ValueError: a matrix that is not a correlation of full rank, or df not above zero.
    """

    def __init__(self, correlation: ArrayLike, *, df: float) -> None:
        matrix = np.asarray(correlation, dtype=np.float64)
        if (
            matrix.ndim != 2
            or matrix.shape[0] != matrix.shape[1]
            or not np.allclose(np.diagonal(matrix), 1.0, rtol=0, atol=1e-9)
            or not np.allclose(matrix, matrix.T, rtol=0, atol=1e-9)
            or np.linalg.eigvalsh(matrix)[0] <= 0
        ):
            raise ValueError(
                f"correlation of shape {matrix.shape}: a symmetric, positive definite matrix with "
                "ones on its diagonal is needed."
            )
        if not df > 0:
            raise ValueError(f"df {df}: degrees of freedom above 0 are needed; math.inf is fine.")
        self.correlation, self.df = matrix, float(df)

    def log_prob(self, u: ArrayLike) -> np.ndarray:
        return student_t_log_copula(u, self.correlation, df=self.df)

    def scores(self, u: np.ndarray) -> np.ndarray:
        return ndtri(u) if math.isinf(self.df) else stdtrit(self.df, u)

    def sample_scores(self, n: int, *, seed: int) -> np.ndarray:
        generator = np.random.default_rng(seed)
        shape = (n, len(self.correlation))
        x = generator.standard_normal(shape) @ np.linalg.cholesky(self.correlation).T
        if math.isinf(self.df):
            return x
        return x / np.sqrt(generator.chisquare(self.df, (n, 1)) / self.df)

    def sample(self, n: int, *, seed: int) -> np.ndarray:
        x = self.sample_scores(n, seed=seed)
        return ndtr(x) if math.isinf(self.df) else stdtr(self.df, x)

    def tail_dependence(self) -> np.ndarray:
        """Tail dependence of each pair, ``(S, S)``, ones on the diagonal."""
        rho = self.correlation
        if math.isinf(self.df):
            return (rho > 1 - 1e-12).astype(np.float64)
        spread = np.sqrt((self.df + 1) * np.maximum(1 - rho, 0.0) / (1 + rho))
        return 2 * stdtr(self.df + 1, -spread)


class FlowCopula:
    r"""A flow for the normal scores of a correlation's leftovers.

    .. math:: \log c(u) = \log p\bigl(L^{-1} x\bigr) - \log\det L - \sum_j \log \varphi(x_j),
        \qquad x_j = \Phi^{-1}(u_j), \quad L L^\top = R

    With a standard normal flow it is the Gaussian copula. What a trained flow says of a single
    :math:`u_j` need not be uniform, so that strictly it is a density on the unit cube and corrects
    the marginals too; with any marginals before it the joint density still integrates to one.
    Chapter: portfolios.

    Args:
        flow: Density model of ``S`` features.
        correlation: :math:`R`, ``(S, S)``.
    """

    def __init__(self, flow: Flow, correlation: ArrayLike) -> None:
        self.flow = flow
        self.root = np.linalg.cholesky(np.asarray(correlation, dtype=np.float64))

    @torch.no_grad()
    def log_prob(self, u: ArrayLike) -> np.ndarray:
        x = ndtri(probabilities(u))
        white = self.flow.like.new_tensor(np.linalg.solve(self.root, x.T).T)
        normal = -0.5 * (np.square(x) + math.log(2 * math.pi)).sum(axis=-1)
        log_det = np.log(np.diagonal(self.root)).sum()
        return self.flow.log_prob(white).double().numpy() - log_det - normal

    def scores(self, u: np.ndarray) -> np.ndarray:
        return ndtri(u)

    def sample_scores(self, n: int, *, seed: int) -> np.ndarray:
        return self.flow.sample(n, seed=seed).double().numpy() @ self.root.T

    def sample(self, n: int, *, seed: int) -> np.ndarray:
        return np.exp(log_ndtr(self.sample_scores(n, seed=seed)))


def probabilities(u: ArrayLike) -> np.ndarray:
    """The rows, ``(n, S)``, moved inside (0, 1); NaN and what is no probability are refused."""
    u = np.atleast_2d(np.asarray(u, dtype=np.float64))
    outside = ~((u >= 0) & (u <= 1))
    if outside.any():
        raise ValueError(
            f"{int(outside.sum())} values of u are NaN or outside [0, 1]: probabilities are "
            "needed, the distribution function of each series at its return."
        )
    return np.clip(u, SMALLEST, LARGEST)
