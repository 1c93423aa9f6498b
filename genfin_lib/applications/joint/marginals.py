"""Laws of single series, day by day, and the probabilities that past returns had under them."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol, Self

import numpy as np
import pandas as pd

from genfin_lib.risk import LocationScale, PredictiveDistribution, VolatilityFilter


class Past(NamedTuple):
    """Past returns under the laws of their evenings before, all rows but a burn-in.

    Attributes:
        u: Distribution function at each return, ``(n, S)``.
        log_prob: Log-density of each return, in nats and in units of the returns, ``(n, S)``.
    """

    u: np.ndarray
    log_prob: np.ndarray


class Marginals(Protocol):
    """A forecaster of single series that also says how likely the past was."""

    def fit(self, history: pd.DataFrame) -> Self:
        """Estimate parameters from the rows given; return itself."""

    def past(self, history: pd.DataFrame) -> Past:
        """Each past return under the law of its evening before, parameters as fitted."""

    def laws(self, history: pd.DataFrame, days: int) -> Iterator[PredictiveDistribution]:
        """Laws of the last ``days`` rows, each given the rows before it."""


class FilteringForecaster(VolatilityFilter, Protocol):
    """A forecaster that is a volatility filter with a law of innovations: ``Garch``, ``Ewma``."""

    def forecast(self, history: pd.DataFrame) -> LocationScale:
        """Law of the row that follows ``history``."""


class FilteredMarginals:
    r"""The marginals of a volatility filter: ``Garch`` or ``Ewma`` with their innovations.

    .. math:: u_t = F_\varepsilon\bigl((r_t - \mu)/\sigma_t\bigr)

    Chapter: portfolios.

    Args:
        volatility: A forecaster that filters volatility and has a law of innovations.
    """

    def __init__(self, volatility: FilteringForecaster) -> None:
        self.volatility = volatility

    def fit(self, history: pd.DataFrame) -> Self:
        self.volatility.fit(history)
        return self

    def past(self, history: pd.DataFrame) -> Past:
        filtered = self.volatility.filter(history)
        innovations = self.volatility.forecast(history).innovations
        pairs = list(zip(innovations, filtered.residuals.T, strict=True))
        return Past(
            np.stack([law.cdf(column) for law, column in pairs], axis=1),
            np.stack([law.log_prob(column) for law, column in pairs], axis=1)
            - np.log(filtered.past_scales),
        )

    def laws(self, history: pd.DataFrame, days: int) -> Iterator[LocationScale]:
        filtered = self.volatility.filter(history)
        innovations = self.volatility.forecast(history).innovations
        for scale in filtered.past_scales[-days:]:
            yield LocationScale(filtered.location, scale, innovations)


class Shared:
    """Marginals that several copulas stand on: fitted and run over a history once.

    Args:
        marginals: What is shared. A copy of several forecasters that share it must be one
            ``deepcopy`` of all, as `walk_forward_joint` makes it.
    """

    def __init__(self, marginals: Marginals) -> None:
        self.marginals = marginals
        # Histories are kept beside the answers, so that no later one takes their identity.
        self._fitted: pd.DataFrame | None = None
        self._seen: list[tuple[pd.DataFrame, Past]] = []

    def fit(self, history: pd.DataFrame) -> Self:
        if self._fitted is not history:
            self.marginals.fit(history)
            self._fitted, self._seen = history, []
        return self

    def past(self, history: pd.DataFrame) -> Past:
        for seen, past in self._seen:
            if seen is history:
                return past
        # Two are enough: the rows of the fit, and those with the days after it.
        self._seen = [*self._seen[-1:], (history, self.marginals.past(history))]
        return self._seen[-1][1]

    def laws(self, history: pd.DataFrame, days: int) -> Iterator[PredictiveDistribution]:
        return self.marginals.laws(history, days)
