"""Does the VaR cover as often as it says, on every kind of day? Tests of the violations."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.special import xlogy

from genfin_lib.risk.validation import finite, forecasts, one_series


@dataclass(frozen=True)
class CoverageTest:
    """Result of a test of violations.

    Attributes:
        statistic: Value of the test statistic.
        p_value: Probability of one at least as large if the forecasts are right.
        hits: Days on which the loss exceeded the VaR.
        expected: Days on which it should have: `(1 - level) * n`.
        degrees_of_freedom: Of the chi-squared distribution the p-value comes from.
    """

    statistic: float
    p_value: float
    hits: int
    expected: float
    degrees_of_freedom: int


@dataclass(frozen=True)
class MarkovTest(CoverageTest):
    """Result of `christoffersen`; `statistic` and `p_value` are those of conditional coverage.

    Attributes:
        independence_statistic: Likelihood ratio of independence alone.
        independence_p_value: Its p-value, chi-squared with one degree of freedom.
        transitions: `[[n00, n01], [n10, n11]]`: days by violation yesterday and today.
    """

    independence_statistic: float
    independence_p_value: float
    transitions: tuple[tuple[int, int], tuple[int, int]]


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


def violations(returns: ArrayLike, var: ArrayLike, *, level: float = 0.99) -> np.ndarray:
    r"""Days on which the loss exceeds the VaR.

    .. math:: I_t = 1\{x_t < -\mathrm{VaR}_t\}

    If the VaR is right, :math:`I_t` given the past is 1 with probability :math:`1 - \text{level}`,
    so the violations are independent coin throws: everything in this module tests that.

    Args:
        returns: Signed returns in time order, `(n,)`.
        var: VaR forecast for the same days, losses >= 0 in the same unit; `(n,)` or one number.
        level: Coverage of the VaR; it only decides how many days are enough.

    Returns:
        Booleans, `(n,)`; their mean is the violation rate.

    Raises:
        ValueError: level outside (0, 1), NaN, lengths or dates that differ, a negative VaR, or
            fewer than `1 / (1 - level)` days.
    """
    x, v = forecasts(level, returns=returns, var=var)
    return x < -v


def violation_rate(returns: ArrayLike, var: ArrayLike, *, level: float = 0.99) -> float:
    """Share of days on which the loss exceeds the VaR; `1 - level` if it is right.

    Arguments and errors as for `violations`.
    """
    return float(violations(returns, var, level=level).mean())


def kupiec(returns: ArrayLike, var: ArrayLike, *, level: float = 0.99) -> CoverageTest:
    r"""Unconditional coverage: is the number of violations :math:`N` that of the level?

    .. math:: \mathrm{LR}_{uc} = 2 \log \frac{(1 - N/n)^{n - N} (N/n)^N}
        {(1 - \alpha)^{n - N} \alpha^N} \sim \chi^2_1, \qquad \alpha = 1 - \text{level}

    The likelihood ratio of a coin: it sees how many, not when. With :math:`0 \log 0 = 0` it
    exists without any violation too. Few are expected, so its size jumps: at level 0.99
    a nominal 5 % is 9.1 % of right models for 250 days, 5.5 % for 1,000. Source: P. H. Kupiec
    (1995), Techniques for verifying the accuracy of risk measurement models, J. Derivatives 3,
    https://doi.org/10.3905/jod.1995.407942.

    Args:
        returns: Signed returns in time order, `(n,)`.
        var: VaR forecasts, losses >= 0 in the same unit; `(n,)` or one number.
        level: Coverage of the VaR.

    Returns:
        The statistic, its p-value, violations found and expected.

    Raises:
        ValueError: as for `violations`.
    """
    hit = violations(returns, var, level=level)
    n, count, alpha = hit.size, int(hit.sum()), 1 - level
    ratio = 2 * (
        _log_likelihood(n - count, count, count / n) - _log_likelihood(n - count, count, alpha)
    )
    return CoverageTest(*_chi2(ratio, 1), count, n * alpha, 1)


def christoffersen(returns: ArrayLike, var: ArrayLike, *, level: float = 0.99) -> MarkovTest:
    r"""Conditional coverage: the right number of violations, and none that calls the next.

    .. math:: \mathrm{LR}_{cc} = 2 \log
        \frac{\prod_{i} (1 - \pi_i)^{n_{i0}} \pi_i^{n_{i1}}}
        {(1 - \alpha)^{n_{00} + n_{10}} \alpha^{n_{01} + n_{11}}}
        = \mathrm{LR}_{uc} + \mathrm{LR}_{ind} \sim \chi^2_2, \qquad
        \pi_i = \frac{n_{i1}}{n_{i0} + n_{i1}}

    where :math:`n_{ij}` counts days with :math:`I_{t-1} = i, I_t = j`. A VaR that ignores
    volatility may have the right count and all of it in one month. The alternative is a Markov
    chain, so dependence at longer lags goes unseen: see `dynamic_quantile`. Given the
    first day, both parts use the same `n - 1` days, which makes the sum exact.

    Convention: :math:`0 \log 0 = 0`. Without violations, or with one only on the last day, the two
    models of :math:`\mathrm{LR}_{ind}` coincide: statistic 0, p-value 1, *no evidence* rather than
    independence shown. Source: P. F. Christoffersen (1998), Evaluating interval forecasts,
    International Economic Review 39, https://doi.org/10.2307/2527341.

    Args:
        returns: Signed returns in time order, `(n,)`, without gaps: neighbours count.
        var: VaR forecasts, losses >= 0 in the same unit; `(n,)` or one number.
        level: Coverage of the VaR.

    Returns:
        Conditional coverage, and independence alone beside it.

    Raises:
        ValueError: as for `violations`.
    """
    hit = violations(returns, var, level=level).astype(int)
    counts = np.bincount(2 * hit[:-1] + hit[1:], minlength=4).reshape(2, 2)
    none, some = counts.sum(axis=0)
    markov = sum(_log_likelihood(a, b, b / max(a + b, 1)) for a, b in counts)
    pooled = _log_likelihood(none, some, some / (none + some))
    null = _log_likelihood(none, some, 1 - level)
    (n00, n01), (n10, n11) = counts.tolist()
    return MarkovTest(
        *_chi2(2 * (markov - null), 2),
        int(hit.sum()),
        hit.size * (1 - level),
        2,
        *_chi2(2 * (markov - pooled), 1),
        ((n00, n01), (n10, n11)),
    )


def dynamic_quantile(
    returns: ArrayLike, var: ArrayLike, *, level: float = 0.99, lags: int = 4
) -> CoverageTest:
    r"""Can earlier violations or the VaR itself foretell a violation?

    .. math:: \mathrm{DQ} = \frac{H^\top X (X^\top X)^{-1} X^\top H}{\alpha (1 - \alpha)}
        \sim \chi^2_{\operatorname{rank} X}, \qquad H_t = I_t - \alpha, \quad
        X_t = (1, H_{t-1}, \dots, H_{t-L}, \mathrm{VaR}_t)

    A regression of violations on what was known before, whose coefficients must all be zero:
    count, clustering and a VaR that errs on calm or wild days in one test. The variance is the
    known one of a coin. A VaR that never changes is no regressor beside the constant, nor
    are lags without a violation: the degrees of freedom are the rank. At level 0.99 it
    rejects right models too often (measured: 9 % at 1,000 days for a nominal 5 %), because
    two close violations weigh a lot. Source: R. F. Engle and S. Manganelli (2004), CAViaR,
    J. Business & Economic Statistics 22, https://doi.org/10.1198/073500104000000370.

    Args:
        returns: Signed returns in time order, `(n,)`, without gaps.
        var: VaR forecasts, losses >= 0 in the same unit; `(n,)` or one number.
        level: Coverage of the VaR.
        lags: How many earlier violations are regressors.

    Returns:
        The statistic, its p-value, violations found and expected on all days.

    Raises:
        ValueError: as for `violations`; lags negative, or so many that fewer than ten days a
            regressor are left.
    """
    x, v = forecasts(level, returns=returns, var=var)
    if lags < 0 or x.size - lags < 10 * (lags + 2):
        raise ValueError(f"lags {lags} for {x.size} days: between 0 and a tenth of the days.")
    hit = (x < -v) - (1 - level)
    days = x.size - lags
    past = [hit[lags - lag : lags - lag + days] for lag in range(1, lags + 1)]
    # In its own unit a VaR of 0.02 would fall under the tolerance of the rank: scale it.
    regressors = np.column_stack([np.ones(days), *past, v[lags:] / max(v.max(), 1e-300)])
    basis, size, _ = np.linalg.svd(regressors, full_matrices=False)
    rank = int((size > 1e-10 * size[0]).sum())
    statistic = ((basis[:, :rank].T @ hit[lags:]) ** 2).sum() / (level * (1 - level))
    return CoverageTest(
        *_chi2(float(statistic), rank), int((x < -v).sum()), x.size * (1 - level), rank
    )


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


def _log_likelihood(none: int, some: int, probability: float) -> float:
    return float(xlogy(none, 1 - probability) + xlogy(some, probability))


def _chi2(statistic: float, degrees_of_freedom: int) -> tuple[float, float]:
    # Rounding may leave -1e-16 where the two likelihoods are equal.
    statistic = max(statistic, 0.0)
    return statistic, float(stats.chi2.sf(statistic, degrees_of_freedom))
