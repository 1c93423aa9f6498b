"""Factor analysis and probabilistic principal component analysis, with or without gaps."""

from typing import Self

import torch
from torch import Tensor

from genfin_lib.latent.linear import LinearGaussian, Rows


class FactorAnalysis(LinearGaussian):
    r"""Factor analysis: each feature has a noise of its own.

    .. math:: x = \mu + \Lambda z + \epsilon, \qquad z \sim N(0, I_M), \quad
        \epsilon \sim N(0, \mathrm{diag}(\psi_1, \dots, \psi_D))

    A stock that moves alone is *noise* here, not a factor, however much it moves: the fit does not
    depend on the units of a feature. :math:`DM + D - M(M-1)/2` numbers instead of
    :math:`D(D+1)/2` describe the covariance, which has full rank. Rotating :math:`\Lambda` changes
    nothing: factors are known up to that. D. B. Rubin and D. T. Thayer (1982), EM algorithms for ML
    factor analysis, Psychometrika 47, https://doi.org/10.1007/BF02293851.
    Chapter: Factor models.
    """

    @classmethod
    def fit(
        cls,
        x: Tensor,
        factors: int,
        *,
        missing: bool = False,
        floor: float = 1e-4,
        iterations: int = 2000,
        tolerance: float = 1e-8,
    ) -> Self:
        """Maximum likelihood by EM, from the principal components of the standardised features.

        Args:
            x: Data, shape ``(N, D)``.
            factors: M, from 1 to D - 1.
            missing: Whether NaN marks a missing entry, missing for reasons that have nothing to do
                with its value.
            floor: Least noise as a share of the feature's variance. Without it one feature can
                become a factor, and its noise run to zero (a *Heywood case*).
            iterations: Most rounds of EM.
            tolerance: Nats per row that a round must gain for another to follow.

        Raises:
            ValueError: Too few rows, a constant column or one without two entries, NaN that was
                not announced, inf, or a number of factors outside the range.

        Warns:
            RuntimeWarning: If the last round still gained more than the tolerance.
        """
        rows, mean, variance = moments(x, factors, missing=missing)
        if not 0 < floor < 1:
            raise ValueError(f"floor {floor}: a share of the variance, between 0 and 1, is needed")
        scale = variance.sqrt()
        standard = (rows.x - mean) * rows.seen / scale
        correlation = standard.T @ standard / len(x)
        if len(rows.patterns) == 1 and len(x) > 2 * len(mean):
            # Without gaps EM sees mean and covariance only: as few rows as have these will do.
            values, vectors = torch.linalg.eigh(correlation)
            half = (vectors * (len(mean) * values.clamp(min=0)).sqrt()).T * scale  # (D, D)
            pairs = torch.cat((mean + half, mean - half))
            rows = Rows.of(pairs, features=len(mean), missing=False)
        loadings, _ = _components(correlation, factors)
        # Off the border: EM leaves it slowly.
        noise = (1 - loadings.square().sum(1)).clamp(min=max(floor, 0.05))
        start = cls(mean, loadings * scale[:, None], noise * variance)
        return start._climb(
            rows, floor=floor * variance, iterations=iterations, tolerance=tolerance
        )


class ProbabilisticPCA(LinearGaussian):
    r"""Probabilistic principal component analysis: the same noise in every feature.

    .. math:: x = \mu + \Lambda z + \epsilon, \qquad z \sim N(0, I_M), \quad
        \epsilon \sim N(0, \sigma^2 I_D)

    Maximum likelihood is a formula: with eigenvalues :math:`\ell_1 \ge \dots \ge \ell_D` and
    eigenvectors :math:`u_j` of the sample covariance,

    .. math:: \sigma^2 = \frac{1}{D - M} \sum_{j > M} \ell_j, \qquad
        \Lambda = U_M (\mathrm{diag}(\ell_1, \dots, \ell_M) - \sigma^2 I)^{1/2}

    As :math:`\sigma^2 \to 0` with :math:`\Lambda` held, the inferred factors become those of
    PCA. The noise belongs to the *units*: rescaling a feature changes the fit. M. E. Tipping and
    C. M. Bishop (1999), Probabilistic principal component analysis, J. R. Statist. Soc. B 61,
    https://doi.org/10.1111/1467-9868.00196. Chapter: Factor models.
    """

    @classmethod
    def fit(
        cls,
        x: Tensor,
        factors: int,
        *,
        missing: bool = False,
        iterations: int = 2000,
        tolerance: float = 1e-8,
    ) -> Self:
        """Maximum likelihood: by the formula if all entries are there, otherwise by EM.

        Arguments, errors and warning as for `FactorAnalysis.fit`; features that determine each
        other so that no noise is left are refused too.
        """
        rows, mean, _ = moments(x, factors, missing=missing)
        centred = (rows.x - mean) * rows.seen
        model = cls.of_moments(mean, centred.T @ centred / len(x), factors)
        if len(rows.patterns) == 1:
            return model
        return model._climb(
            rows, floor=mean.new_zeros(1), iterations=iterations, tolerance=tolerance
        )

    @classmethod
    def of_moments(
        cls, mean: Tensor, covariance: Tensor, factors: int, *, least: Tensor | float = 0.0
    ) -> Self:
        """The formula, from a sample's mean ``(D,)`` and covariance ``(D, D)``.

        Args:
            mean: Divisor N.
            covariance: Divisor N.
            factors: M.
            least: Floor of the noise variance.

        Raises:
            ValueError: If the factors leave no noise and there is no floor.
        """
        loadings, rest = _components(covariance, factors, least=least)
        if not rest > 1e-12 * loadings.square().sum():
            raise ValueError(f"{factors} factors leave no noise: x has lower rank; ask for fewer")
        return cls(mean, loadings, rest.expand(len(mean)))._canonical()

    @staticmethod
    def _pool(squares: Tensor, counts: Tensor) -> Tensor:
        return (squares.sum() / counts.sum()).expand(len(squares))


def moments(x: Tensor, factors: int, *, missing: bool) -> tuple[Rows, Tensor, Tensor]:
    """Sorted rows, and mean and variance ``(D,)`` of each feature over its seen entries.

    Raises:
        ValueError: As for `FactorAnalysis.fit`.
    """
    if x.ndim != 2 or len(x) <= factors + 1 or not 1 <= factors < x.shape[1]:
        raise ValueError(
            f"x of shape {tuple(x.shape)} and {factors} factors: two columns or more, 1 to D - 1 "
            "factors and more rows than factors are needed"
        )
    rows = Rows.of(x, features=x.shape[1], missing=missing)
    counts = rows.seen.sum(0)
    if (counts < 2).any():
        raise ValueError(f"column {int(counts.argmin())} has fewer than two entries; drop it")
    mean = rows.x.sum(0) / counts
    variance = (rows.seen * (rows.x - mean)).square().sum(0) / counts
    # A constant column leaves rounding errors, not zeros.
    if (variance <= 1e-20 * mean.square()).any():
        raise ValueError(f"column {int(variance.argmin())} of x is constant; drop it")
    return rows, mean, variance


def _components(
    covariance: Tensor, factors: int, *, least: Tensor | float = 0.0
) -> tuple[Tensor, Tensor]:
    """Loadings and noise variance by the formula of Tipping and Bishop."""
    values, vectors = torch.linalg.eigh(covariance)  # rising
    rest = values[:-factors].mean().clamp(min=least)
    return vectors[:, -factors:] * (values[-factors:] - rest).clamp(min=0).sqrt(), rest
