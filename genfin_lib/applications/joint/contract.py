"""The one interface of everything that forecasts the returns of many series together."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from genfin_lib.risk.validation import finite


class JointDistribution(Protocol):
    """Law of a day's returns of ``S`` series together."""

    def log_prob(self, x: ArrayLike) -> np.ndarray:
        """Log-density of rows ``(n, S)`` in nats and in units of the returns, ``(n,)``."""

    def sample(self, n: int, *, seed: int) -> np.ndarray:
        """Draw ``n`` days, shape ``(n, S)``."""


class JointForecaster(ABC):
    """As a `genfin_lib.risk.Forecaster`, but what it forecasts is one law of all series.

    A child gives the laws of *past* days, each from the rows before it, in one sweep: parameters
    stand still, so that a filter need run only once over a stretch between two refits.
    """

    @abstractmethod
    def fit(self, history: pd.DataFrame) -> Self:
        """Estimate parameters from the rows given; return itself."""

    @abstractmethod
    def laws(self, history: pd.DataFrame, days: int) -> Iterator[JointDistribution]:
        """Laws of the last ``days`` rows, each given the rows before it."""

    def log_scores(self, history: pd.DataFrame, days: int) -> np.ndarray:
        """Log-density in nats of each of the last ``days`` rows given the rows before it."""
        rows = finite(history, "returns")[-days:]
        laws = self.laws(history, days)
        return np.concatenate([law.log_prob(row) for law, row in zip(laws, rows, strict=True)])

    def forecast(self, history: pd.DataFrame) -> JointDistribution:
        """Law of the row that follows ``history``, parameters as fitted."""
        # A row of zeros holds the place of tomorrow, and enters no law of itself.
        tomorrow = history.index[-1:] + pd.Timedelta(days=1)
        place = pd.DataFrame(0.0, index=tomorrow, columns=history.columns)
        return next(iter(self.laws(pd.concat([history, place]), 1)))
