"""Does the VaR cover as often as it says, on every kind of day? Tests of the violations."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.special import xlogy

from genfin_lib.risk.validation import forecasts


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

    Args:
        returns: As for `violations`.
        var: As for `violations`.
        level: Coverage of the VaR.
    """
    return float(violations(returns, var, level=level).mean())


def kupiec(returns: ArrayLike, var: ArrayLike, *, level: float = 0.99) -> CoverageTest:
    r"""Unconditional coverage: is the number of violations :math:`N` that of the level?

    .. math:: \mathrm{LR}_{uc} = 2 \log \frac{(1 - N/n)^{n - N} (N/n)^N}
        {(1 - \alpha)^{n - N} \alpha^N} \sim \chi^2_1, \qquad \alpha = 1 - \text{level}

    The likelihood ratio of a coin: it sees how many, not when. With :math:`0 \log 0 = 0` it
    exists without any violation too. Few are expected, so its size jumps: at level 0.99
    a nominal 5 % is 9.5 % of right models for 250 days, 5.5 % for 1,000. Source: P. H. Kupiec
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
    returns: ArrayLike,
    var: ArrayLike,
    *,
    level: float = 0.99,
    lags: int = 4,
    draws: int = 0,
    seed: int = 0,
) -> CoverageTest:
    r"""Can earlier violations or the VaR itself foretell a violation?

    .. math:: \mathrm{DQ} = \frac{H^\top X (X^\top X)^{-1} X^\top H}{\alpha (1 - \alpha)}
        \sim \chi^2_{\operatorname{rank} X}, \qquad H_t = I_t - \alpha, \quad
        X_t = (1, H_{t-1}, \dots, H_{t-L}, \mathrm{VaR}_t)

    A regression of violations on what was known before, whose coefficients must all be zero:
    count, clustering and a VaR that errs on calm or wild days in one test. The variance is the
    known one of a coin. A VaR that never changes is no regressor beside the constant, nor
    are lags without a violation: the degrees of freedom are the rank. At level 0.99 it
    rejects right models far too often (measured at 1,000 days: 10 % for a nominal 5 %, and 5 % for
    1 %), because two close violations weigh a lot. With `draws` the p-value comes instead from
    coin throws on the same path of the VaR, and has its size. Source: R. F. Engle and S.
    Manganelli (2004), CAViaR, J. Business & Economic Statistics 22, https://doi.org/10.1198/073500104000000370.

    Args:
        returns: Signed returns in time order, `(n,)`, without gaps.
        var: VaR forecasts, losses >= 0 in the same unit; `(n,)` or one number.
        level: Coverage of the VaR.
        lags: How many earlier violations are regressors.
        draws: Simulated series of violations for the p-value; 0 for the chi-squared one.
        seed: For the simulation.

    Returns:
        The statistic, its p-value, violations found and expected on all days.

    Raises:
        ValueError: as for `violations`; lags negative, or so many that fewer than ten days a
            regressor are left.
    """
    x, v = forecasts(level, returns=returns, var=var)
    if lags < 0 or x.size - lags < 10 * (lags + 2):
        raise ValueError(f"lags {lags} for {x.size} days: between 0 and a tenth of the days.")
    hit = x < -v
    statistic, rank = _dynamic_quantile(hit[None], v, level, lags)
    result = CoverageTest(
        *_chi2(float(statistic[0]), int(rank[0])),
        int(hit.sum()),
        x.size * (1 - level),
        int(rank[0]),
    )
    if draws == 0:
        return result
    generator, larger = np.random.default_rng(seed), 0
    for start in range(0, draws, 50):  # 50 regressions of 3,000 days are 7 MB
        throws = generator.random((min(50, draws - start), x.size)) < 1 - level
        simulated, _ = _dynamic_quantile(throws, v, level, lags)
        larger += int((simulated >= result.statistic * (1 - 1e-9)).sum())
    return replace(result, p_value=(1 + larger) / (1 + draws))


def _dynamic_quantile(
    hits: np.ndarray, var: np.ndarray, level: float, lags: int
) -> tuple[np.ndarray, np.ndarray]:
    """Statistic and rank for each row of hits `(paths, days)`."""
    centred, days = hits - (1 - level), hits.shape[1] - lags
    # Centred and scaled the VaR spans the same space with the constant, whatever its unit.
    v = var[lags:] - var[lags:].mean()
    v = v / v.std() if v.std() > 1e-9 * var.max() else np.zeros(days)
    past = [centred[:, lags - lag : lags - lag + days] for lag in range(1, lags + 1)]
    constant = np.ones_like(centred[:, lags:])
    regressors = np.stack([constant, *past, constant * v], axis=1)  # (paths, lags + 2, days)
    size, basis = np.linalg.eigh(regressors @ regressors.transpose(0, 2, 1))
    kept = size > 1e-10 * size[:, -1:]
    moments = (regressors @ centred[:, lags:, None]).transpose(0, 2, 1) @ basis
    explained = moments[:, 0] ** 2 / np.where(kept, size, np.inf)
    return explained.sum(axis=1) / (level * (1 - level)), kept.sum(axis=1)


def _log_likelihood(none: int, some: int, probability: float) -> float:
    return float(xlogy(none, 1 - probability) + xlogy(some, probability))


def _chi2(statistic: float, degrees_of_freedom: int) -> tuple[float, float]:
    # Rounding may leave -1e-16 where the two likelihoods are equal.
    statistic = max(statistic, 0.0)
    return statistic, float(stats.chi2.sf(statistic, degrees_of_freedom))
