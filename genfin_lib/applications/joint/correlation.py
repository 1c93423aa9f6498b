"""Correlations that move: filters over scores of mean zero and variance one."""

from typing import Protocol, Self

import numpy as np
from scipy.optimize import minimize
from scipy.signal import lfilter

from genfin_lib.risk.validation import finite, fraction


class CorrelationFilter(Protocol):
    """Correlation of each row of scores, given all before it."""

    def fit(self, scores: np.ndarray) -> Self:
        """Estimate parameters from scores, ``(n, S)``."""

    def path(self, scores: np.ndarray) -> np.ndarray:
        """Correlation of each row given the rows before it, ``(n, S, S)``."""


class DynamicConditionalCorrelation:
    r"""DCC: correlations that follow the products of yesterday's shocks and return to a mean.

    .. math:: Q_{t+1} = (1 - a - b)\, \bar Q + a\, z_t z_t^\top + b\, Q_t, \qquad
        R_{t+1} = \mathrm{diag}(Q_{t+1})^{-1/2}\, Q_{t+1}\, \mathrm{diag}(Q_{t+1})^{-1/2}

    :math:`\bar Q` is the mean of :math:`z z^\top` over the rows of the fit, and :math:`a, b`
    maximise the Gaussian likelihood of the scores. R. Engle (2002), Dynamic conditional
    correlation, https://doi.org/10.1198/073500102288618487. Chapter: portfolios.

    Raises:
        ValueError: NaN, fewer rows than twice the series, or not fitted.
    """

    def __init__(self) -> None:
        self.shock = self.memory = 0.0
        self.mean = np.empty((0, 0))

    def fit(self, scores: np.ndarray) -> Self:
        z = _scores(scores)
        self.mean = z.T @ z / len(z)

        def objective(raw: np.ndarray) -> float:
            self.shock, self.memory = _weights(raw)
            root = np.linalg.cholesky(self.path(z))
            white = np.linalg.solve(root, z[..., None])[..., 0]
            log_det = np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
            return float(np.mean(log_det + 0.5 * np.square(white).sum(axis=1)))

        # From a = 0.01 and b = 0.97, about what daily stocks have.
        start = np.array([np.log(0.98 / 0.02), np.log(0.97 / 0.01)])
        found = minimize(
            objective, start, method="Nelder-Mead", options={"xatol": 0.02, "fatol": 1e-5}
        )
        self.shock, self.memory = _weights(found.x)
        return self

    def path(self, scores: np.ndarray) -> np.ndarray:
        z = self._check(scores)
        a, b = self.shock, self.memory
        inputs = (1 - a - b) * self.mean + a * z[:-1, :, None] * z[:-1, None, :]
        rest, _ = lfilter([1.0], [1.0, -b], inputs, axis=0, zi=b * self.mean[None])
        return _normalised(np.concatenate([self.mean[None], rest]))

    def _check(self, scores: np.ndarray) -> np.ndarray:
        if not self.mean.size:
            raise ValueError("the correlation has no parameters yet: call fit(scores) first.")
        return finite(scores, "scores")


class EwmaCorrelation(DynamicConditionalCorrelation):
    r"""Exponentially weighted correlation: DCC with :math:`a = 1 - \lambda`, :math:`b = \lambda`.

    It returns to no mean and has nothing to fit but where it starts, the mean product over the
    rows of the fit. 0.997 is a half-life of 231 days, a slow one: chosen on 2007-2010.
    Chapter: portfolios.

    Args:
        decay: :math:`\lambda`, in (0, 1).

    Raises:
        ValueError: decay outside (0, 1), NaN, fewer rows than twice the series, or not fitted.
    """

    def __init__(self, *, decay: float = 0.997) -> None:
        super().__init__()
        self.memory = fraction(decay, "decay")
        self.shock = 1 - self.memory

    def fit(self, scores: np.ndarray) -> Self:
        z = _scores(scores)
        self.mean = z.T @ z / len(z)
        return self


def _weights(raw: np.ndarray) -> tuple[float, float]:
    """Persistence a + b and the share b / (a + b) from two numbers without bounds."""
    persistence, share = 1 / (1 + np.exp(-raw))
    return float(persistence * (1 - share)), float(persistence * share)


def _normalised(q: np.ndarray) -> np.ndarray:
    scale = np.sqrt(np.diagonal(q, axis1=-2, axis2=-1))
    correlation = q / (scale[..., :, None] * scale[..., None, :])
    diagonal = np.arange(q.shape[-1])
    correlation[..., diagonal, diagonal] = 1.0
    return correlation


def _scores(scores: np.ndarray) -> np.ndarray:
    z = finite(scores, "scores")
    if z.ndim != 2 or len(z) < 2 * z.shape[1]:
        raise ValueError(
            f"scores of shape {z.shape}: a correlation needs (rows, series), at least twice as "
            "many rows as series."
        )
    return z
