"""Forecasters that follow volatility: a filter runs daily, its parameters move at refits only."""

from typing import NamedTuple, Protocol, Self

import numpy as np
import pandas as pd
from arch.univariate import GARCH as GarchVariance
from arch.univariate import ConstantMean, Normal
from arch.univariate.distribution import Distribution

from genfin_lib.risk.forecasters.contract import values
from genfin_lib.risk.innovations import Parametric
from genfin_lib.risk.predictive import LocationScale
from genfin_lib.risk.validation import fraction


class Filtered(NamedTuple):
    """History without its volatility, and the volatility of tomorrow.

    Attributes:
        residuals: Standardised past returns, ``(n, S)``.
        location: Mean of tomorrow's return, ``(S,)``.
        scale: Its standard deviation given today, ``(S,)``.
    """

    residuals: np.ndarray
    location: np.ndarray
    scale: np.ndarray


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
        ValueError: decay outside (0, 1); history not longer than the burn-in.
    """

    def __init__(self, *, decay: float = 0.94, burn_in: int = 50) -> None:
        self.decay = fraction(decay, "decay")
        self.burn_in = burn_in

    def fit(self, history: pd.DataFrame) -> Self:
        values(history, least=self.burn_in + 2)
        return self

    def filter(self, history: pd.DataFrame) -> Filtered:
        x = values(history, least=self.burn_in + 2)
        variance = pd.DataFrame(x**2).ewm(alpha=1 - self.decay).mean().to_numpy()
        # The volatility of a day is known the evening before.
        residuals = x[self.burn_in :] / np.sqrt(variance[self.burn_in - 1 : -1])
        return Filtered(residuals, np.zeros(x.shape[1]), np.sqrt(variance[-1]))

    def forecast(self, history: pd.DataFrame) -> LocationScale:
        _, location, scale = self.filter(history)
        return LocationScale(location, scale, [Parametric(Normal(), np.empty(0))] * len(scale))


class Garch:
    r"""GARCH(1,1), or GJR-GARCH when asymmetric, by maximum likelihood through ``arch``.

    .. math:: r_t = \mu + \sigma_t \varepsilon_t, \qquad
        \sigma^2_{t+1} = \omega + \bigl(\alpha + \gamma\, 1\{\varepsilon_t < 0\}\bigr)
        (r_t - \mu)^2 + \beta \sigma_t^2

    Volatility returns to a mean, and with :math:`\gamma > 0` falls raise it more than
    rises: the leverage effect. Sources: T. Bollerslev (1986),
    https://doi.org/10.1016/0304-4076(86)90063-1; L. R. Glosten, R. Jagannathan and
    D. E. Runkle (1993), https://doi.org/10.1111/j.1540-6261.1993.tb05128.x. Every series has its
    own parameters. Chapter: forecasting risk.

    Args:
        innovations: An ``arch.univariate`` distribution class, such as ``Normal``, ``StudentsT``
            or ``SkewStudent``.
        asymmetric: Whether there is a :math:`\gamma`.

    Raises:
        ValueError: fewer than 100 rows, columns other than those fitted, or not fitted.
    """

    LEAST = 100

    def __init__(
        self, *, innovations: type[Distribution] = Normal, asymmetric: bool = False
    ) -> None:
        self.innovations = innovations
        self.asymmetric = asymmetric
        self.parameters: pd.DataFrame | None = None

    def fit(self, history: pd.DataFrame) -> Self:
        x = values(history, least=self.LEAST)
        fitted = [self._fit_one(column) for column in x.T]
        self.parameters = pd.DataFrame(fitted, index=pd.DataFrame(history).columns)
        return self

    def filter(self, history: pd.DataFrame) -> Filtered:
        x = values(history, least=self.LEAST)
        parameters = self._fitted(history)
        mean = parameters["mu"].to_numpy()
        recursion = self._variance()
        rows = np.ascontiguousarray(parameters[recursion.parameter_names()])
        scales = np.stack(
            [_volatility(recursion, *pair) for pair in zip((x - mean).T, rows, strict=True)], axis=1
        )
        return Filtered((x - mean) / scales[:-1], mean, scales[-1])

    def forecast(self, history: pd.DataFrame) -> LocationScale:
        _, location, scale = self.filter(history)
        distribution = self.innovations()
        shapes = self._fitted(history)[distribution.parameter_names()].to_numpy()
        return LocationScale(location, scale, [Parametric(distribution, row) for row in shapes])

    def _variance(self) -> GarchVariance:
        return GarchVariance(p=1, o=int(self.asymmetric), q=1)

    def _fit_one(self, returns: np.ndarray) -> pd.Series:
        # Estimated in units of its own standard deviation: the optimiser is made for numbers near
        # one, and decimal returns have variances near 1e-4.
        unit = returns.std()
        model = ConstantMean(
            returns / unit,
            volatility=self._variance(),
            distribution=self.innovations(),
            rescale=False,
        )
        parameters = model.fit(disp="off", show_warning=False).params
        return parameters * pd.Series(
            {"mu": unit, "omega": unit**2}, index=parameters.index
        ).fillna(1.0)

    def _fitted(self, history: pd.DataFrame) -> pd.DataFrame:
        if self.parameters is None:
            raise ValueError("the model has no parameters yet: call fit(history) first.")
        columns = pd.DataFrame(history).columns
        if not columns.equals(self.parameters.index):
            raise ValueError(
                f"fitted on {list(self.parameters.index)}, asked about {list(columns)}: give the "
                "same series in the same order."
            )
        return self.parameters


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
