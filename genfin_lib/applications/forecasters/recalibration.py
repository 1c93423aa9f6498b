"""A forecaster corrected by its own past: the law of its PIT, series by series."""

from typing import Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from genfin_lib.applications.joint.marginals import Marginals
from genfin_lib.risk.forecasters.contract import Forecaster
from genfin_lib.risk.predictive import (
    PredictiveDistribution,
    columns,
    mean_beyond,
    uniform_draws,
)

# Shapes of a beta law beyond these say that the forecaster is broken, not that it is off a little.
LEAST, MOST = 0.2, 5.0


def beta_shapes(u: np.ndarray, *, prior: float) -> tuple[np.ndarray, np.ndarray]:
    r"""Beta law of probabilities, column by column, drawn towards the uniform one.

    .. math:: \max_{a, b}\; \sum_t \bigl[(a - 1) \log u_t + (b - 1) \log(1 - u_t)
        - \log B(a, b)\bigr] + n_0\, \mathrm{E}_{v \sim U} \bigl[(a - 1) \log v
        + (b - 1) \log(1 - v) - \log B(a, b)\bigr]

    :math:`n_0` imagined uniform days weigh against chance. Newton's method on a concave function.

    Args:
        u: Probabilities, shape ``(n, S)``.
        prior: :math:`n_0`.

    Returns:
        :math:`a` and :math:`b`, each ``(S,)``; one and one leave everything as it is.
    """
    inside = np.clip(u, 1e-12, 1 - 1e-12)
    total = len(u) + prior
    # A uniform variable has E log v = -1.
    means = (np.stack([np.log(inside), np.log1p(-inside)]).sum(axis=1) - prior) / total
    a, b = beta_from_means(means)
    return a, b


def beta_from_means(means: np.ndarray) -> np.ndarray:
    """Shapes of the beta laws with the given means of log u and log(1 - u), ``(2, ...)`` each."""
    shapes = np.ones_like(means)
    for _ in range(50):
        both = shapes.sum(axis=0)
        gradient = means - special.digamma(shapes) + special.digamma(both)
        own, joint = special.polygamma(1, shapes), special.polygamma(1, both)
        determinant = own[0] * own[1] - joint * own.sum(axis=0)
        step = (own[::-1] * gradient - joint * (gradient - gradient[::-1])) / determinant
        shapes = np.clip(shapes + step, shapes / 2, shapes * 2)
        if np.abs(step).max() < 1e-10:
            break
    return np.clip(shapes, LEAST, MOST)


class RecalibratedLaw:
    r"""A law seen through the law of its own probabilities.

    .. math:: \tilde F(x) = G\bigl(F(x)\bigr), \quad
        \tilde F^{-1}(v) = F^{-1}\bigl(G^{-1}(v)\bigr), \quad
        \tilde f(x) = f(x)\, g\bigl(F(x)\bigr), \qquad G = \text{Beta}(a, b)

    Args:
        law: The law to correct, of ``S`` series.
        a: First shape of each series, ``(S,)``; below one moves probability to large losses.
        b: Second shape; below one moves probability to large gains.
    """

    def __init__(self, law: PredictiveDistribution, a: np.ndarray, b: np.ndarray) -> None:
        self.law, self.a, self.b = law, a, b

    def cdf(self, x: ArrayLike) -> np.ndarray:
        return special.betainc(self.a, self.b, self.law.cdf(x))

    def quantile(self, u: ArrayLike) -> np.ndarray:
        probability = special.betaincinv(self.a, self.b, columns(u, len(self.a)))
        return self.law.quantile(np.clip(probability, 1e-300, 1 - 1e-16))

    def expected_shortfall(self, *, level: float = 0.99) -> np.ndarray:
        return mean_beyond(self.quantile, level=level)

    def log_prob(self, x: ArrayLike) -> np.ndarray:
        u = np.clip(self.law.cdf(x), 1e-300, 1 - 1e-16)
        slope = special.xlogy(self.a - 1, u) + special.xlog1py(self.b - 1, -u)
        return self.law.log_prob(x) + slope - special.betaln(self.a, self.b)

    def sample(self, n: int, *, seed: int) -> np.ndarray:
        return self.quantile(uniform_draws(n, len(self.a), seed=seed))


class Reviewing(Marginals, Forecaster, Protocol):
    """A forecaster that can say what it would have thought of the past."""


class Recalibrated:
    """A forecaster whose probabilities are corrected by those of its past, series by series.

    If a pooled model gives the index too thin a tail, its past probabilities show it: too many are
    near zero. Their beta law is estimated at each fit, from the last days of the history alone,
    and applied to every forecast after it. A. H. Murphy and R. L. Winkler (1977) on reliability;
    M. Kull, T. Silva Filho and P. Flach (2017), Beta calibration,
    https://proceedings.mlr.press/v54/kull17a.html. Chapter: risk forecasts.

    Args:
        forecaster: One that has ``past``, such as `FlowForecaster`.
        days: Last days whose probabilities count.
        prior: Imagined uniform days against chance.

    Raises:
        ValueError: fewer than one day, a negative prior; not fitted.
    """

    def __init__(self, forecaster: Reviewing, *, days: int = 2500, prior: float = 500) -> None:
        if days < 1 or prior < 0:
            raise ValueError(f"days {days}, prior {prior}: at least one day, and no negative days.")
        self.forecaster, self.days, self.prior = forecaster, days, prior
        self.shapes: tuple[np.ndarray, np.ndarray] | None = None

    def fit(self, history: pd.DataFrame) -> Self:
        self.forecaster.fit(history)
        u = self.forecaster.past(history).u[-self.days :]
        self.shapes = beta_shapes(u, prior=self.prior)
        return self

    def forecast(self, history: pd.DataFrame) -> RecalibratedLaw:
        if self.shapes is None:
            raise ValueError("the model has no parameters yet: call fit(history) first.")
        return RecalibratedLaw(self.forecaster.forecast(history), *self.shapes)
