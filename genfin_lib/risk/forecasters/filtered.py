"""Forecasters in two steps: take the volatility out, then look at what is left."""

from collections.abc import Hashable
from typing import Self

import pandas as pd

from genfin_lib.risk.forecasters.contract import same_series
from genfin_lib.risk.forecasters.volatility import VolatilityFilter
from genfin_lib.risk.innovations import Empirical, ParetoTails
from genfin_lib.risk.predictive import LocationScale


class FilteredHistoricalSimulation:
    r"""The volatility of tomorrow times a standardised return of the window.

    .. math:: r_{t+1} = \mu + \sigma_{t+1}\, \hat\varepsilon_J, \qquad
        J \text{ uniform on the days of the window}

    Historical simulation mended: a calm past is scaled up before it is replayed in a storm. Source:
    G. Barone-Adesi, K. Giannopoulos and L. Vosper (1999), VaR without correlations for portfolios
    of derivative securities, J. Futures Markets 19,
    https://doi.org/10.1002/(SICI)1096-9934(199908)19:5%3C583::AID-FUT5%3E3.0.CO;2-S.
    Chapter: forecasting risk.

    Args:
        volatility: What takes the volatility out: ``Ewma()`` or a ``Garch``.
    """

    def __init__(self, volatility: VolatilityFilter) -> None:
        self.volatility = volatility

    def fit(self, history: pd.DataFrame) -> Self:
        self.volatility.fit(history)
        return self

    def forecast(self, history: pd.DataFrame) -> LocationScale:
        residuals, location, scale, _ = self.volatility.filter(history)
        return LocationScale(location, scale, [Empirical(column) for column in residuals.T])


class PeaksOverThreshold:
    r"""Conditional extreme value theory: a generalised Pareto tail on standardised returns.

    .. math:: r_{t+1} = \mu + \sigma_{t+1} \varepsilon, \qquad
        P(\varepsilon < -u - y) = \frac{k}{n} \Bigl(1 + \frac{\xi y}{\beta}\Bigr)^{-1/\xi}

    Tails are fitted at refits, volatility follows daily. Source: A. J. McNeil and R. Frey (2000),
    Estimation of tail-related risk measures for heteroscedastic financial time series, J. Empirical
    Finance 7, https://doi.org/10.1016/S0927-5398(00)00012-8. Chapter: forecasting risk.

    Args:
        volatility: What takes the volatility out: ``Ewma()`` or a ``Garch``.
        share: Share of residuals in each tail.

    Raises:
        ValueError: fewer than 20 residuals in a tail, not fitted, or fitted on other series.
    """

    def __init__(self, volatility: VolatilityFilter, *, share: float = 0.1) -> None:
        self.volatility = volatility
        self.share = share
        self.tails: dict[Hashable, ParetoTails] = {}

    def fit(self, history: pd.DataFrame) -> Self:
        residuals = self.volatility.fit(history).filter(history).residuals
        self.tails = {
            series: ParetoTails(column, share=self.share)
            for series, column in zip(history.columns, residuals.T, strict=True)
        }
        return self

    def forecast(self, history: pd.DataFrame) -> LocationScale:
        same_series(self.tails, history)
        _, location, scale, _ = self.volatility.filter(history)
        return LocationScale(location, scale, list(self.tails.values()))
