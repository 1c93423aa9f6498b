"""Forecasters without parameters: a window that moves a day each day."""

from typing import Self

import numpy as np
import pandas as pd
from arch.univariate import Normal

from genfin_lib.risk.forecasters.contract import values
from genfin_lib.risk.innovations import Empirical, Parametric
from genfin_lib.risk.predictive import LocationScale


class Gaussian:
    r"""Tomorrow is normal with the mean and variance of the window.

    .. math:: r_{t+1} \sim N(\bar r, s^2), \qquad
        s^2 = \frac{1}{n - 1} \sum_{i=0}^{n-1} (r_{t-i} - \bar r)^2

    The window is the history it is given. It fails twice: a crash is as likely as in calm times,
    and tails are thin. Chapter: forecasting risk.
    """

    def fit(self, history: pd.DataFrame) -> Self:
        values(history, least=2)
        return self

    def forecast(self, history: pd.DataFrame) -> LocationScale:
        x = values(history, least=2)
        normal = Parametric(Normal(), np.empty(0))
        return LocationScale(x.mean(axis=0), x.std(axis=0, ddof=1), [normal] * x.shape[1])


class HistoricalSimulation:
    r"""Tomorrow repeats a day of the window, each as likely as any other.

    .. math:: F_{t+1}(x) = \frac{1}{n} \#\{i < n : r_{t-i} \le x\}

    No shape is assumed and no volatility followed. No density, so no log-score. Source:
    M. Pritsker (2006), The hidden dangers of historical simulation, J. Banking & Finance 30,
    https://doi.org/10.1016/j.jbankfin.2005.04.013. Chapter: forecasting risk.
    """

    def fit(self, history: pd.DataFrame) -> Self:
        values(history, least=2)
        return self

    def forecast(self, history: pd.DataFrame) -> LocationScale:
        x = values(history, least=2)
        series = x.shape[1]
        return LocationScale(np.zeros(series), np.ones(series), [Empirical(r) for r in x.T])
