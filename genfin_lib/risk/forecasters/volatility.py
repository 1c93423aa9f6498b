"""Forecasters that follow volatility: a filter runs daily, its parameters move at refits only."""

from collections.abc import Hashable
from typing import NamedTuple, Protocol, Self

import numpy as np
import pandas as pd
from arch.univariate import GARCH as GarchVariance
from arch.univariate import ConstantMean, Normal
from arch.univariate.distribution import Distribution

from genfin_lib.risk.forecasters.contract import same_series, values
from genfin_lib.risk.innovations import Parametric
from genfin_lib.risk.predictive import LocationScale
from genfin_lib.risk.validation import fraction


class Filtered(NamedTuple):
    """History without its volatility, and the volatility of tomorrow.

    Attributes:
        residuals: Standardised past returns, ``(n, S)``.
        location: Mean of tomorrow's return, ``(S,)``.
        scale: Its standard deviation given today, ``(S,)``.
        past_scales: Standard deviation of each past return given its evening before, ``(n, S)``.
    """

    residuals: np.ndarray
    location: np.ndarray
    scale: np.ndarray
    past_scales: np.ndarray


class VolatilityFilter(Protocol):
    """A forecaster that can also take the volatility out of the past."""

    def fit(self, history: pd.DataFrame) -> Self:
        """Estimate the parameters of the filter."""

    def filter(self, history: pd.DataFrame) -> Filtered:
        """Run the filter over the history with its parameters as fitted."""


class Ewma:
    r"""Exponentially weighted volatility with normal innovations: RiskMetrics.

    .. math:: \sigma^2_{t+1} = \frac{\sum_{i \ge 0} \lambda^i r_{t-i}^2}{\sum_{i \ge 0} \lambda^i},
        \qquad r_{t+1} \sim N(0, \sigma^2_{t+1})

    The mean of a daily return is too small to matter and too hard to estimate. Nothing to fit:
    0.94 serves every asset, a half-life of 11 days. Source: J.P. Morgan (1996), RiskMetrics
    technical document, 4th ed., https://www.msci.com/documents/10199/5915b101-4206-4ba0-aee2-3449d5c7e95a.
    Chapter: forecasting risk.

    Args:
        decay: :math:`\lambda`, in (0, 1).
        burn_in: Rows whose residuals are left out, because their volatility rests on few returns.

    Raises:
        ValueError: decay outside (0, 1), burn-in below one; fewer than two rows after the burn-in,
            or a series that does not move in it.
    """

    def __init__(self, *, decay: float = 0.94, burn_in: int = 50) -> None:
        if burn_in < 1:
            raise ValueError(f"burn_in {burn_in}: the first volatility needs at least one return.")
        self.decay = fraction(decay, "decay")
        self.burn_in = burn_in

    def fit(self, history: pd.DataFrame) -> Self:
        values(history, least=self.burn_in + 2)
        return self

    def filter(self, history: pd.DataFrame) -> Filtered:
        x = values(history, least=self.burn_in + 2)
        variance = pd.DataFrame(x**2).ewm(alpha=1 - self.decay).mean().to_numpy()
        still = np.asarray(history.columns)[variance[self.burn_in - 1] == 0]
        if len(still):
            raise ValueError(
                f"{list(still)} do not move in the first {self.burn_in} rows: there is no "
                "volatility to divide by; start later or give a longer burn_in."
            )
        # The volatility of a day is known the evening before.
        scales = np.sqrt(variance[self.burn_in - 1 :])
        residuals = x[self.burn_in :] / scales[:-1]
        return Filtered(residuals, np.zeros(x.shape[1]), scales[-1], scales[:-1])

    def forecast(self, history: pd.DataFrame) -> LocationScale:
        _, location, scale, _ = self.filter(history)
        return LocationScale(location, scale, [Parametric(Normal(), np.empty(0))] * len(scale))


class Garch:
    r"""GARCH(1,1), or GJR-GARCH when asymmetric, by maximum likelihood through ``arch``.

    .. math:: r_t = \mu + \sigma_t \varepsilon_t, \qquad
        \sigma^2_{t+1} = \omega + \bigl(a + \gamma\, 1\{\varepsilon_t < 0\}\bigr)
        (r_t - \mu)^2 + b\, \sigma_t^2

    Volatility returns to a mean, and with :math:`\gamma > 0` falls raise it more than
    rises: the leverage effect. Sources: T. Bollerslev (1986),
    https://doi.org/10.1016/0304-4076(86)90063-1; L. R. Glosten, R. Jagannathan and
    D. E. Runkle (1993), https://doi.org/10.1111/j.1540-6261.1993.tb05128.x. Every series has its
    own parameters, named as in ``arch``: ``alpha[1]`` is :math:`a`, ``beta[1]`` is :math:`b`.
    The variance of the first day of a history is guessed from its first shocks (the backcast of
    ``arch``). Chapter: forecasting risk.

    Args:
        innovations: An ``arch.univariate`` distribution class, such as ``Normal``, ``StudentsT``
            or ``SkewStudent``.
        asymmetric: Whether there is a :math:`\gamma`.

    Raises:
        ValueError: fewer than 100 rows, columns other than those fitted, not fitted, or a
            likelihood whose maximum was not found.
    """

    LEAST = 100

    def __init__(
        self, *, innovations: type[Distribution] = Normal, asymmetric: bool = False
    ) -> None:
        self.innovations = innovations
        self.asymmetric = asymmetric
        self.parameters = pd.DataFrame()

    def fit(self, history: pd.DataFrame) -> Self:
        x = values(history, least=self.LEAST)
        fitted = {
            series: self._fit_one(series, column)
            for series, column in zip(history.columns, x.T, strict=True)
        }
        self.parameters = pd.DataFrame(fitted).T
        return self

    def filter(self, history: pd.DataFrame) -> Filtered:
        x = values(history, least=self.LEAST)
        same_series(self.parameters.index, history)
        parameters = self.parameters
        mean = parameters["mu"].to_numpy()
        recursion = self._variance()
        rows = np.ascontiguousarray(parameters[recursion.parameter_names()])
        scales = np.stack(
            [_volatility(recursion, *pair) for pair in zip((x - mean).T, rows, strict=True)], axis=1
        )
        return Filtered((x - mean) / scales[:-1], mean, scales[-1], scales[:-1])

    def forecast(self, history: pd.DataFrame) -> LocationScale:
        _, location, scale, _ = self.filter(history)
        distribution = self.innovations()
        shapes = self.parameters[distribution.parameter_names()].to_numpy()
        return LocationScale(location, scale, [Parametric(distribution, row) for row in shapes])

    def _variance(self) -> GarchVariance:
        return GarchVariance(p=1, o=int(self.asymmetric), q=1)

    def _fit_one(self, series: Hashable, returns: np.ndarray) -> pd.Series:
        # Estimated in units of its own standard deviation: the optimiser is made for numbers near
        # one, and decimal returns have variances near 1e-4.
        unit = returns.std()
        model = ConstantMean(
            returns / unit,
            volatility=self._variance(),
            distribution=self.innovations(),
            rescale=False,
        )
        found = model.fit(disp="off", show_warning=False)
        if not np.isfinite(found.loglikelihood) or found.convergence_flag not in (0, 8):
            raise ValueError(
                f"the likelihood of {series!r} has no maximum that the optimiser can find (flag "
                f"{found.convergence_flag}): look at the series, or give a longer window."
            )
        units = pd.Series({"mu": unit, "omega": unit**2}, index=found.params.index)
        return found.params * units.fillna(1.0)


def _volatility(recursion: GarchVariance, shocks: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Volatility of each day and, last, of the day after."""
    # Tomorrow's shock is not known and does not enter tomorrow's variance: a zero holds its place.
    extended = np.append(shocks, 0.0)
    return np.sqrt(
        recursion.compute_variance(
            parameters,
            extended,
            np.empty_like(extended),
            recursion.backcast(shocks),
            np.tile((0.0, np.inf), (len(extended), 1)),
        )
    )
