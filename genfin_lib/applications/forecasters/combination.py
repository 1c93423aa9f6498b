"""Several forecasters as one: the average of their quantiles."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import expit, logit, logsumexp

from genfin_lib.risk.forecasters.contract import Forecaster
from genfin_lib.risk.predictive import PredictiveDistribution, columns, uniform_draws
from genfin_lib.risk.validation import fraction


class AveragedLaw:
    r"""The law whose quantile function is the mean of quantile functions.

    .. math:: \bar Q(u) = \frac1K \sum_k Q_k(u), \qquad
        \bar f\bigl(\bar Q(u)\bigr) = \Bigl(\frac1K \sum_k \frac{1}{f_k(Q_k(u))}\Bigr)^{-1}

    A mean of increasing functions increases: this is a law like any other, and its VaR and ES are
    the means of theirs. The mixture, the mean of distribution *functions*, is wider than its
    parts; this law is not. It has a density where all of them have one. S. Ratcliff (1979), Group
    reaction time distributions and an analysis of distribution statistics,
    https://doi.org/10.1037/0033-2909.86.3.446; K. C. Lichtendahl, Y. Grushka-Cockayne and
    R. L. Winkler (2013), Is it better to average probabilities or quantiles?,
    https://doi.org/10.1287/mnsc.1120.1667.

    Args:
        laws: Predictive distributions of the same series.
    """

    STEPS = 60  # at most, towards the probability of a return; ten are the rule

    def __init__(self, laws: Sequence[PredictiveDistribution]) -> None:
        self.laws = laws
        self.series = len(laws[0].expected_shortfall(level=0.5))

    def quantile(self, u: ArrayLike) -> np.ndarray:
        return np.mean([law.quantile(u) for law in self.laws], axis=0)

    def expected_shortfall(self, *, level: float = 0.99) -> np.ndarray:
        fraction(level, "level")
        return np.mean([law.expected_shortfall(level=level) for law in self.laws], axis=0)

    def cdf(self, x: ArrayLike) -> np.ndarray:
        at = columns(x, self.series)
        inside = np.clip([law.cdf(at) for law in self.laws], np.finfo(float).tiny, 1 - 1e-16)
        # At the least of the probabilities every quantile is at most x, at the greatest at least.
        low, high = (logit(bound(inside, axis=0)) for bound in (np.min, np.max))
        below, above = (self.quantile(expit(end)) - at for end in (low, high))
        before = np.full_like(at, np.nan)
        for _ in range(self.STEPS):
            share = np.divide(below, below - above, out=np.full_like(at, 0.5), where=above > below)
            # Farther out than doubles reach, both ends lie on one side: stay at the nearer one.
            middle = low + (high - low) * np.clip(share, 0.0, 1.0)
            miss = self.quantile(expit(middle)) - at
            if np.abs(miss).max() <= 1e-10 * np.abs(at).max():
                break
            # Regula falsi; an end that stays for a second time loses half of its say (Illinois).
            left = miss < 0
            say = np.where(left == before, 0.5, 1.0)
            low, above = np.where(left, middle, low), np.where(left, above * say, miss)
            high, below = np.where(left, high, middle), np.where(left, miss, below * say)
            before = left
        return expit(middle)

    def log_prob(self, x: ArrayLike) -> np.ndarray:
        u = self.cdf(x)
        steep = [-law.log_prob(law.quantile(u)) for law in self.laws]
        return np.log(len(steep)) - logsumexp(steep, axis=0)

    def sample(self, n: int, *, seed: int) -> np.ndarray:
        return self.quantile(uniform_draws(n, self.series, seed=seed))


class QuantileAverage:
    """Forecasters of the same series, each fitted on the same history, and the mean of their laws.

    The errors of models of different make differ, and part of them cancels: a combination that was
    not tuned is hard to beat by one that was. J. M. Bates and C. W. J. Granger (1969), The
    combination of forecasts, https://doi.org/10.1057/jors.1969.103. Chapter: risk forecasts.

    Args:
        forecasters: Two or more; with a window for each, as many last rows of the history as it
            sees, ``None`` for all.

    Raises:
        ValueError: fewer than two forecasters.
    """

    def __init__(self, *forecasters: tuple[Forecaster, int | None]) -> None:
        if len(forecasters) < 2:
            raise ValueError(f"{len(forecasters)} forecasters: an average needs two or more.")
        self.forecasters = forecasters

    def fit(self, history: pd.DataFrame) -> Self:
        for forecaster, window in self.forecasters:
            forecaster.fit(_last(history, window))
        return self

    def forecast(self, history: pd.DataFrame) -> AveragedLaw:
        return AveragedLaw(
            [forecaster.forecast(_last(history, window)) for forecaster, window in self.forecasters]
        )


def _last(history: pd.DataFrame, window: int | None) -> pd.DataFrame:
    return history if window is None else history.iloc[-window:]
