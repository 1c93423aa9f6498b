"""From a joint law to the risk of a portfolio, and to dependence beyond correlation."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from genfin_lib.data import portfolio_returns
from genfin_lib.risk import (
    expected_shortfall,
    expected_shortfall_standard_error,
    value_at_risk,
    var_confidence_interval,
)
from genfin_lib.risk.validation import finite, fraction


class SimulatedRisk(NamedTuple):
    """VaR and ES of draws, with their simulation errors; losses in units of the draws.

    Attributes:
        var: Value at risk.
        es: Expected shortfall.
        var_se: Standard error of ``var``.
        es_se: Standard error of ``es``.
    """

    var: float
    es: float
    var_se: float
    es_se: float


def risk_of_draws(draws: ArrayLike, *, level: float = 0.99) -> SimulatedRisk:
    """VaR and ES of independent draws; the error of VaR is that of its distribution-free interval.

    Args:
        draws: Returns of a portfolio, ``(n,)``.
        level: Coverage.

    Raises:
        ValueError: NaN, or too few draws for the level.
    """
    low, high = var_confidence_interval(draws, level=level, confidence=0.95)
    return SimulatedRisk(
        var=float(value_at_risk(draws, level=level)),
        es=float(expected_shortfall(draws, level=level)),
        var_se=(high - low) / (2 * float(ndtri(0.975))),
        es_se=float(expected_shortfall_standard_error(draws, level=level)),
    )


class PortfolioRisk(NamedTuple):
    """Risk of a portfolio beside the risk of its parts: losses in per cent, *simple* returns.

    Attributes:
        together: Of the portfolio.
        alone: Weighted sum of the assets' own VaR: what the portfolio would risk if all had their
            bad day together.
    """

    together: SimulatedRisk
    alone: float

    @property
    def diversification(self) -> float:
        """The share of risk that diversification takes away, one minus VaR over ``alone``."""
        return 1 - self.together.var / self.alone


def portfolio_risk(sample: ArrayLike, weights: ArrayLike, *, level: float = 0.99) -> PortfolioRisk:
    r"""VaR and ES of a portfolio from draws of the joint law of its assets.

    .. math:: R = \sum_j w_j \bigl(e^{r_j} - 1\bigr), \qquad
        1 - \frac{\mathrm{VaR}(R)}{\sum_j \mathrm{VaR}(w_j R_j)}

    Log returns are turned into simple ones first: only these add up over assets. VaR is not
    subadditive, so that the benefit may be negative. Chapter: portfolios.

    Args:
        sample: Draws of **percent log** returns, ``(n, S)``.
        weights: Fractions of wealth, ``(S,)``; negative for short positions.
        level: Coverage.

    Raises:
        ValueError: NaN, weights of another length, or too few draws for the level.
    """
    x = finite(sample, "sample")
    w = np.asarray(weights, dtype=np.float64)
    together = risk_of_draws(100 * portfolio_returns(x / 100, w), level=level)
    alone = value_at_risk(100 * np.expm1(x / 100) * w, level=level)
    return PortfolioRisk(together, float(np.sum(alone)))


def joint_exceedances(u: ArrayLike, *, share: float = 0.05) -> np.ndarray:
    r"""How many series have a bad day at once? Number of them in their tail, by row.

    .. math:: N_t = \#\{j : u_{tj} \le \alpha\}

    Each series alone is in its tail on a share :math:`\alpha` of days whatever joins them; the law
    of :math:`N` is dependence alone, and its upper end is what correlation does not see.

    Args:
        u: Probabilities, ``(n, S)``: of days seen, or drawn from a copula.
        share: :math:`\alpha`, of the tail.

    Returns:
        Counts, ``(n,)``.

    Raises:
        ValueError: NaN, or a share outside (0, 1).
    """
    return (finite(u, "u") <= fraction(share, "share")).sum(axis=-1)


def tail_coefficient(u: ArrayLike, *, share: float = 0.05) -> float:
    r"""Probability that a series is in its lower tail given that another one is, over all pairs.

    .. math:: \lambda(\alpha) = P(U_i \le \alpha \mid U_j \le \alpha)

    :math:`\alpha` itself for independent series, and for :math:`\alpha \to 0` the tail dependence.

    Args:
        u: Probabilities, ``(n, S)``.
        share: :math:`\alpha`.

    Raises:
        ValueError: NaN, a share outside (0, 1), one series, or no value in a tail.
    """
    counts = joint_exceedances(u, share=share)
    features = np.shape(u)[-1]
    if features < 2 or not counts.any():
        raise ValueError(
            f"{features} series with {int(counts.sum())} values below {share}: two series or more "
            "are needed, and some value in a tail."
        )
    return float((counts * (counts - 1)).sum() / (counts.sum() * (features - 1)))
