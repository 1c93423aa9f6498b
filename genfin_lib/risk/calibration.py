"""Is the whole forecast density right? Tests of the probability integral transform."""

from dataclasses import dataclass

from numpy.typing import ArrayLike
from scipy import stats

from genfin_lib.risk.validation import finite, one_series


@dataclass(frozen=True)
class UniformityTest:
    """Result of `pit_uniformity`.

    Attributes:
        statistic: Largest distance between the two distribution functions.
        p_value: Probability of one at least as large if the PIT is uniform and independent.
        observations: Number of values.
    """

    statistic: float
    p_value: float
    observations: int


def pit_uniformity(pit: ArrayLike) -> UniformityTest:
    r"""Kolmogorov-Smirnov test that the probability integral transform is uniform.

    .. math:: D = \sup_u |F_n(u) - u|, \qquad u_t = F_t(x_t)

    If :math:`F_t` is the distribution of :math:`x_t` given the past, the :math:`u_t` are uniform
    and independent: the whole density is judged, not one quantile. D is most sensitive in
    the middle and hardly at all in the tails, so it complements the tests of VaR.

    **Only for forecasts.** Of a model fitted to these same returns the PIT is too uniform and
    the p-value far too large (Lilliefors). Serial dependence makes it wrong the other way.
    Source: F. X. Diebold, T. A. Gunther and A. S. Tay (1998), Evaluating density forecasts,
    International Economic Review 39, https://doi.org/10.2307/2527342.

    Args:
        pit: Forecast distribution functions at the returns that came, in [0, 1], `(n,)`.

    Returns:
        The distance and its p-value.

    Raises:
        ValueError: values outside [0, 1], NaN, or fewer than 20.
    """
    u = finite(pit, "pit")
    one_series(u, "pit", 20)
    if u.min() < 0 or u.max() > 1:
        raise ValueError("pit outside [0, 1]: give cdf values, not returns or percent.")
    result = stats.kstest(u, "uniform")
    return UniformityTest(float(result.statistic), float(result.pvalue), u.size)
