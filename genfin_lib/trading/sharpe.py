"""The Sharpe ratio, and how sure one can be of it."""

import math

import numpy as np
from arch.bootstrap import StationaryBootstrap
from numpy.typing import ArrayLike
from scipy import stats


def sharpe_ratio(
    returns: ArrayLike, *, periods_per_year: float, risk_free: float = 0.0
) -> tuple[float, float]:
    r"""Annualised Sharpe ratio and its standard error.

    .. math:: S = \sqrt{P}\, s, \quad s = \frac{\bar r - r_f}{\hat\sigma}, \qquad
        \mathrm{se}(S) = \sqrt{\frac{P}{T}\Bigl(1 - \gamma_3 s
        + \frac{\gamma_4 - 1}{4} s^2\Bigr)}

    with skewness :math:`\gamma_3` and kurtosis :math:`\gamma_4` of the returns. For Gaussian
    returns the bracket is :math:`1 + s^2/2`, the error of A. W. Lo (2002), The statistics of
    Sharpe ratios, Financial Analysts J. 58, https://doi.org/10.2469/faj.v58.n4.2453; the general
    form is that of D. H. Bailey and M. López de Prado (2012), The Sharpe ratio efficient
    frontier, J. Risk 15, https://doi.org/10.21314/JOR.2012.255. It is close to
    :math:`1/\sqrt{\text{years}}` whatever the frequency: three years leave ±1.1. Both
    :math:`\sqrt{P}` and the error hold for returns *without autocorrelation*.

    Args:
        returns: Simple returns per period, decimals, `(T,)`.
        periods_per_year: :math:`P`.
        risk_free: :math:`r_f` per *period*, decimal.

    Returns:
        The ratio and its standard error, both per square root of a year.

    Raises:
        ValueError: fewer than three returns, NaN, a return of -1 or less, or no variation.
    """
    excess = checked_returns(returns) - risk_free
    require_years(periods_per_year)
    ratio, bracket = _per_period(excess)
    error = math.sqrt(periods_per_year * bracket / excess.size)
    return math.sqrt(periods_per_year) * ratio, error


def probabilistic_sharpe_ratio(
    returns: ArrayLike, *, periods_per_year: float, benchmark: float = 0.0
) -> float:
    r"""Probability that the true Sharpe ratio exceeds a benchmark, for a flat prior.

    .. math:: \Phi\Bigl(\frac{(s - s^*)\sqrt{T - 1}}
        {\sqrt{1 - \gamma_3 s + \tfrac14 (\gamma_4 - 1) s^2}}\Bigr)

    with the symbols of `sharpe_ratio`, :math:`s^*` the benchmark per period; for returns without
    autocorrelation. D. H. Bailey and M. López de Prado (2012),
    https://doi.org/10.21314/JOR.2012.255.

    Args:
        returns: Simple returns per period above the risk-free rate, decimals, `(T,)`.
        periods_per_year: To turn the annualised benchmark into one per period.
        benchmark: Annualised Sharpe ratio to beat.

    Returns:
        Between 0 and 1.

    Raises:
        ValueError: as for `sharpe_ratio`.
    """
    x = checked_returns(returns)
    require_years(periods_per_year)
    ratio, bracket = _per_period(x)
    gap = ratio - benchmark / math.sqrt(periods_per_year)
    return float(stats.norm.cdf(gap * math.sqrt((x.size - 1) / bracket)))


def deflated_sharpe_ratio(
    returns: ArrayLike, *, periods_per_year: float, trial_ratios: ArrayLike
) -> float:
    r"""Probability that a strategy chosen as the best of several has skill at all.

    .. math:: S^* = \hat\sigma_S \Bigl((1 - \gamma)\, \Phi^{-1}\bigl(1 - \tfrac1N\bigr)
        + \gamma\, \Phi^{-1}\bigl(1 - \tfrac{1}{N e}\bigr)\Bigr)

    is about the largest Sharpe ratio to expect of :math:`N` *independent* strategies without skill
    (:math:`\gamma` is Euler's constant, :math:`\hat\sigma_S` the standard deviation of the trials'
    ratios); the result is the probabilistic ratio against it. All trials must be listed, the failed
    ones too; those that resemble each other are fewer than they number. D. H. Bailey and M.
    López de Prado (2014), The deflated Sharpe ratio, J. Portfolio Management 40,
    https://doi.org/10.3905/jpm.2014.40.5.094.

    Args:
        returns: Of the strategy chosen, as for `probabilistic_sharpe_ratio`.
        periods_per_year: :math:`P`.
        trial_ratios: Annualised Sharpe ratios of all trials, the chosen one among them, `(N,)`.

    Returns:
        Between 0 and 1.

    Raises:
        ValueError: as for `sharpe_ratio`, or fewer than two trials.
    """
    trials = np.asarray(trial_ratios, dtype=np.float64)
    if trials.ndim != 1 or trials.size < 2 or not np.isfinite(trials).all():
        raise ValueError(f"trial_ratios of shape {trials.shape}: two or more finite ratios, (N,)")
    tail = 1 / trials.size
    expected = (1 - np.euler_gamma) * stats.norm.isf(tail)
    expected += np.euler_gamma * stats.norm.isf(tail / math.e)
    return probabilistic_sharpe_ratio(
        returns,
        periods_per_year=periods_per_year,
        benchmark=float(trials.std(ddof=1) * expected),
    )


def sharpe_interval(
    returns: ArrayLike,
    *,
    periods_per_year: float,
    seed: int,
    benchmark: ArrayLike | None = None,
    confidence: float = 0.95,
    block: int = 21,
    draws: int = 1000,
) -> tuple[float, float]:
    r"""Interval of the annualised Sharpe ratio, or of its lead over a benchmark's.

    Quantiles of the ratio over resamples of whole blocks of days, whose lengths are random with
    mean `block` (the stationary bootstrap): dependence over some weeks is kept, and with a
    benchmark that of the two on the same days, which makes the interval of their *difference* much
    shorter than their own suggest. D. N. Politis and J. P. Romano (1994), The stationary
    bootstrap, JASA 89, https://doi.org/10.1080/01621459.1994.10476870; O. Ledoit and M. Wolf
    (2008), Robust performance hypothesis testing with the Sharpe ratio, J. Empirical Finance 15,
    https://doi.org/10.1016/j.jempfin.2008.03.002.

    Args:
        returns: Simple returns per period above the risk-free rate, decimals, `(T,)`.
        periods_per_year: :math:`P`.
        seed: Of the bootstrap.
        benchmark: Returns of another strategy on the same days, `(T,)`.
        confidence: Of the interval.
        block: Mean length of a block, in periods.
        draws: Resamples.

    Returns:
        Lower and upper end, per square root of a year.

    Raises:
        ValueError: as for `sharpe_ratio`; a benchmark of another length; a confidence outside
            (0, 1), or a block outside [1, T].
    """
    x = checked_returns(returns)
    require_years(periods_per_year)
    series = [x] if benchmark is None else [x, checked_returns(benchmark)]
    if series[-1].size != x.size:
        raise ValueError(f"{x.size} returns and {series[-1].size} of the benchmark: the same days")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence}: must lie strictly between 0 and 1")
    if not 1 <= block <= x.size:
        raise ValueError(f"block {block} for {x.size} returns: between 1 and their number")
    for column in series:
        _per_period(column)

    def ratios(*columns: np.ndarray) -> float:
        found = [c.mean() / c.std(ddof=1) for c in columns]
        return float(found[0] - found[1]) if len(found) == 2 else float(found[0])

    sampled = StationaryBootstrap(block, *series, seed=seed).apply(ratios, draws)
    low, high = np.quantile(sampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return math.sqrt(periods_per_year) * float(low), math.sqrt(periods_per_year) * float(high)


def checked_returns(returns: ArrayLike) -> np.ndarray:
    """A series of simple returns as float64, `(T,)`, or a `ValueError`."""
    x = np.asarray(returns, dtype=np.float64)
    if x.ndim != 1 or x.size < 3:
        raise ValueError(f"returns of shape {x.shape}: one series of three or more is needed")
    if not np.isfinite(x).all():
        raise ValueError("returns hold NaN or inf; drop the rows before the strategy could trade")
    if (x <= -1).any():
        raise ValueError(
            f"a return of {x.min():.4g} loses all capital or more: give simple returns, decimals "
            "and not per cent"
        )
    return x


def require_years(periods_per_year: float) -> None:
    """Raise unless there is a number of periods in a year."""
    if not 0 < periods_per_year < math.inf:
        raise ValueError(f"periods_per_year must be above 0, got {periods_per_year!r}")


def _per_period(excess: np.ndarray) -> tuple[float, float]:
    """Sharpe ratio per period, and `T` times the variance of its estimate."""
    spread = excess.std(ddof=1)
    if not spread > 1e-12 * max(1e-12, float(np.abs(excess).max())):
        raise ValueError("returns do not vary: a Sharpe ratio needs some variation")
    ratio = float(excess.mean() / spread)
    bracket = 1 - stats.skew(excess) * ratio + stats.kurtosis(excess, fisher=False) * ratio**2 / 4
    return ratio, float(bracket - ratio**2 / 4)
