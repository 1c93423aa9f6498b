"""Is the loss beyond the VaR as large as the ES says? Tests of expected shortfall."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from genfin_lib.risk.measures import student_t_var_es
from genfin_lib.risk.validation import aligned, finite, forecasts, fraction

# Fewer exceedance residuals have no t-statistic worth comparing.
LEAST_VIOLATIONS = 5


@dataclass(frozen=True)
class ShortfallTest:
    """Result of a one-sided test of ES.

    Attributes:
        statistic: Value of the test statistic.
        p_value: Small when the ES is too small.
        hits: Days on which the loss exceeded the VaR.
        expected: Days on which it should have: `(1 - level) * n`.
    """

    statistic: float
    p_value: float
    hits: int
    expected: float


@dataclass(frozen=True)
class AcerbiSzekelyTest(ShortfallTest):
    """Result of `acerbi_szekely`; `statistic` and `p_value` are those of Z2.

    Attributes:
        z1: The first statistic, which takes the VaR as right; NaN without violations.
        z1_p_value: Its p-value among simulated paths with violations; NaN without.
    """

    z1: float
    z1_p_value: float


def acerbi_szekely(
    returns: ArrayLike,
    var: ArrayLike,
    es: ArrayLike,
    *,
    sampler: Callable[[int, np.random.Generator], np.ndarray],
    level: float = 0.99,
    draws: int = 1000,
    seed: int = 0,
) -> AcerbiSzekelyTest:
    r"""Number and size of the losses beyond VaR together (Z2), and the size alone (Z1).

    .. math:: Z_1 = 1 + \frac{1}{N} \sum_t \frac{x_t I_t}{\mathrm{ES}_t}, \qquad
        Z_2 = 1 + \frac{1}{n \alpha} \sum_t \frac{x_t I_t}{\mathrm{ES}_t}, \qquad
        I_t = 1\{x_t < -\mathrm{VaR}_t\}, \; N = \sum_t I_t

    Both have mean zero if the forecasts are right and turn *negative* when ES is too small; too
    much caution is not held against a model. Their distribution depends on the forecast tail, so
    the p-value is the share of paths drawn from the forecasts themselves with a statistic as low:
    :math:`(1 + \#\{Z^* \le Z\}) / (1 + \text{draws})`. For common tails a table will do:
    `acerbi_szekely_critical_value`. Source: C. Acerbi and B. Szekely (2014), Backtesting expected
    shortfall, Risk, December,
    https://www.msci.com/www/research-paper/research-insight-backtesting/0128184734.

    Args:
        returns: Signed returns, `(n,)`.
        var: VaR forecasts, losses >= 0 in the same unit; `(n,)` or one number.
        es: ES forecasts, losses at or above `var`; `(n,)` or one number.
        sampler: `sampler(k, generator)` draws `k` paths of returns, `(k, n)`, each day from its
            own forecast distribution: the one that `var` and `es` belong to.
        level: Coverage of both.
        draws: Number of paths.
        seed: For the paths.

    Returns:
        Both statistics, their p-values, violations found and expected.

    Raises:
        ValueError: level outside (0, 1), NaN, lengths or dates that differ, a negative VaR, an ES
            below the VaR, fewer than `1 / (1 - level)` days, or paths of another shape.
    """
    x, v, e = forecasts(level, returns=returns, var=var, es=es)
    generator = np.random.default_rng(seed)
    expected = x.size * (1 - level)
    drawn = [_z_statistics(*_hit_sums(x[None], v, e), expected)]
    for start in range(0, draws, 200):  # 200 paths of 3,000 days are 5 MB
        count = min(200, draws - start)
        paths = finite(sampler(count, generator), "paths")
        if paths.shape != (count, x.size):
            raise ValueError(f"paths of shape {paths.shape}: ({count}, {x.size}) are needed.")
        drawn.append(_z_statistics(*_hit_sums(paths, v, e), expected))
    z1, z2 = (np.concatenate(z) for z in zip(*drawn, strict=True))
    usable = z1[~np.isnan(z1)]  # paths without a violation say nothing about its size
    return AcerbiSzekelyTest(
        float(z2[0]),
        float((z2 <= z2[0]).mean()),
        int((x < -v).sum()),
        expected,
        float(z1[0]),
        math.nan if math.isnan(z1[0]) else float((usable <= z1[0]).mean()),
    )


def acerbi_szekely_critical_value(
    observations: int = 250,
    *,
    level: float = 0.975,
    size: float = 0.05,
    df: float = math.inf,
    draws: int = 100_000,
    seed: int = 0,
) -> float:
    r"""The Z2 below which `size` of right models fall, for Student-t or normal tails.

    It is about -0.70 for 250 days at level 0.975 and size 5 %, whatever the tail
    (normal -0.70, five degrees of freedom -0.74, three -0.82); at other lengths and
    levels it is another number. Only returns beyond VaR enter, so only those are drawn: their
    number is binomial, their size the quantile function at a uniform below :math:`\alpha`.
    Source: Acerbi and Szekely (2014), as for `acerbi_szekely`.

    Args:
        observations: Days in the backtest.
        level: Coverage of VaR and ES.
        size: Probability of rejecting a right model.
        df: Degrees of freedom of the returns, above 1; `math.inf` for the normal.
        draws: Simulated backtests.
        seed: For the simulation.

    Returns:
        Critical value: reject when Z2 lies below it.

    Raises:
        ValueError: level or size outside (0, 1), fewer than `1 / (1 - level)` days, df not
            above 1, or fewer than `10 / size` draws.
    """
    alpha = 1 - fraction(level, "level")
    if draws * fraction(size, "size") < 10:
        raise ValueError(
            f"{draws} draws are too few for size {size}: {math.ceil(10 / size)} needed."
        )
    if observations < round(1 / alpha, 8):
        raise ValueError(f"{observations} days have no violation at level {level}: take more.")
    _, es = student_t_var_es(0.0, 1.0, df=df, level=level)
    generator = np.random.default_rng(seed)
    counts = generator.binomial(observations, alpha, draws)
    law = stats.norm() if math.isinf(df) else stats.t(df)
    # A table of the tail, evenly spaced in probability, is as good as ppf at each draw, and fast.
    tail = law.ppf(alpha * (np.arange(20_000) + 0.5) / 20_000) / es
    picked = tail[generator.integers(tail.size, size=counts.sum())]
    sums = np.bincount(np.repeat(np.arange(draws), counts), picked, minlength=draws)
    return float(np.quantile(1 + sums / (observations * alpha), size))


def exceedance_residuals(
    returns: ArrayLike,
    var: ArrayLike,
    es: ArrayLike,
    *,
    volatility: ArrayLike | None = None,
    level: float = 0.99,
    draws: int = 2000,
    seed: int = 0,
) -> ShortfallTest:
    r"""Do losses beyond VaR exceed the ES on average?

    .. math:: r_t = \frac{-x_t - \mathrm{ES}_t}{\sigma_t} \quad\text{on days with }
        x_t < -\mathrm{VaR}_t, \qquad H_0: \mathrm{E}\, r = 0, \quad H_1: \mathrm{E}\, r > 0

    Division by the volatility makes the residuals alike on calm and wild days; any scale known
    the day before keeps their mean at zero, and without `volatility` the ES itself is taken.
    The t-statistic is compared with those of samples drawn from the centred residuals, because a
    few skewed numbers have no normal mean. It sees the size of losses, not their number, and with
    heavy tails errs on the side of the model (measured for five degrees of freedom, 1,000 days,
    level 0.975: 3.5 % for a nominal 5 %). Source: A. J. McNeil and R. Frey (2000), Estimation of
    tail-related risk measures for heteroscedastic financial time series, J. Empirical Finance 7,
    https://doi.org/10.1016/S0927-5398(00)00012-8.

    Args:
        returns: Signed returns, `(n,)`.
        var: VaR forecasts, losses >= 0 in the same unit; `(n,)` or one number.
        es: ES forecasts, losses at or above `var`; `(n,)` or one number.
        volatility: Forecast standard deviations, positive; `(n,)` or one number.
        level: Coverage of both.
        draws: Bootstrap samples.
        seed: For the bootstrap.

    Returns:
        The t-statistic, its one-sided p-value, violations found and expected.

    Raises:
        ValueError: as for `acerbi_szekely`; a volatility that is not positive; fewer than five
            violations, which have no distribution to draw from.
    """
    x, v, e = forecasts(level, returns=returns, var=var, es=es)
    scale = e if volatility is None else aligned(returns=returns, volatility=volatility)[1]
    if not (scale > 0).all():
        raise ValueError("volatility must be positive on every day.")
    hit = x < -v
    count = int(hit.sum())
    if count < LEAST_VIOLATIONS:
        raise ValueError(
            f"{count} violations at level {level}: at least {LEAST_VIOLATIONS} are needed. Take a "
            "longer period or a lower level, or `acerbi_szekely`, whose Z2 needs none."
        )
    residuals = ((-x - e) / scale)[hit]
    picks = np.random.default_rng(seed).integers(count, size=(draws, count))
    centred = residuals - residuals.mean()
    statistic = float(_t_statistic(residuals))
    as_large = (_t_statistic(centred[picks]) >= statistic).sum()
    return ShortfallTest(
        statistic, float((1 + as_large) / (1 + draws)), count, x.size * (1 - level)
    )


def _hit_sums(x: np.ndarray, var: np.ndarray, es: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    hit = x < -var
    return np.where(hit, x / es, 0.0).sum(axis=1), hit.sum(axis=1)


def _z_statistics(
    sums: np.ndarray, counts: np.ndarray, expected: float
) -> tuple[np.ndarray, np.ndarray]:
    z1 = np.where(counts > 0, 1 + sums / np.maximum(counts, 1), np.nan)
    return z1, 1 + sums / expected


def _t_statistic(values: np.ndarray) -> np.ndarray:
    """Along the last axis; infinite where a bootstrap sample repeats one value."""
    mean = values.mean(axis=-1)
    error = values.std(axis=-1, ddof=1) / math.sqrt(values.shape[-1])
    return mean / np.maximum(error, 1e-300)
