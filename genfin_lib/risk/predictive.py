"""What a forecast of tomorrow's returns is: one law for each series."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from genfin_lib.risk.innovations import TAIL_NODES, TAIL_WEIGHTS, Innovation
from genfin_lib.risk.validation import fraction


class PredictiveDistribution(Protocol):
    """Law of the next return of each of ``S`` series, given everything up to now.

    Values and probabilities go in with the series along the *last* axis, ``(S,)`` or ``(n, S)``;
    one number, or ``(n, 1)``, stands for all series. Results are ``(S,)`` or ``(n, S)``.
    """

    def cdf(self, x: ArrayLike) -> np.ndarray:
        """Probability of a return of at most ``x``; at the return seen later, its PIT."""

    def quantile(self, u: ArrayLike) -> np.ndarray:
        """Return that is not exceeded with probability ``u``: VaR is ``-quantile(1 - level)``."""

    def expected_shortfall(self, *, level: float = 0.99) -> np.ndarray:
        """Mean loss in the worst ``1 - level`` of cases, shape ``(S,)``."""

    def log_prob(self, x: ArrayLike) -> np.ndarray:
        """Log-density of ``x`` in nats; NaN for a law without a density."""

    def sample(self, n: int, *, seed: int) -> np.ndarray:
        """Draw ``n`` returns of each series, shape ``(n, S)``."""


class LocationScale:
    r"""Each return is its mean plus its volatility times a standardised innovation.

    .. math:: r_s = \mu_s + \sigma_s \varepsilon_s, \qquad
        F(x) = F_\varepsilon\bigl((x - \mu)/\sigma\bigr), \quad
        \log p(x) = \log p_\varepsilon\bigl((x - \mu)/\sigma\bigr) - \log \sigma

    Draws of different series are independent: these are ``S`` marginal laws, not a joint one.

    Args:
        location: :math:`\mu`, shape ``(S,)``, in units of the returns.
        scale: :math:`\sigma`, shape ``(S,)``, above zero.
        innovations: Law of :math:`\varepsilon` of each series.

    Raises:
        ValueError: lengths that differ, a scale that is not positive, NaN.
    """

    def __init__(
        self, location: ArrayLike, scale: ArrayLike, innovations: Sequence[Innovation]
    ) -> None:
        location, scale = (np.asarray(a, dtype=np.float64) for a in (location, scale))
        if not len(location) == len(scale) == len(innovations):
            raise ValueError(
                f"{len(location)} locations, {len(scale)} scales and {len(innovations)} "
                "innovations: one of each is needed for every series."
            )
        if not (np.isfinite(location).all() and np.isfinite(scale).all() and (scale > 0).all()):
            raise ValueError(
                f"location {location} and scale {scale}: finite numbers and positive scales are "
                "needed; is a series constant over the window?"
            )
        self.location, self.scale, self.innovations = location, scale, innovations

    def cdf(self, x: ArrayLike) -> np.ndarray:
        standard = (columns(x, len(self.location)) - self.location) / self.scale
        return self._apply([law.cdf for law in self.innovations], standard)

    def quantile(self, u: ArrayLike) -> np.ndarray:
        probabilities = columns(u, len(self.location))
        if not ((probabilities > 0) & (probabilities < 1)).all():
            raise ValueError("u must lie strictly between 0 and 1; write 0.01, not 1.")
        standard = self._apply([law.quantile for law in self.innovations], probabilities)
        return self.location + self.scale * standard

    def expected_shortfall(self, *, level: float = 0.99) -> np.ndarray:
        fraction(level, "level")
        standard = np.array([law.expected_shortfall(level=level) for law in self.innovations])
        return -self.location + self.scale * standard

    def log_prob(self, x: ArrayLike) -> np.ndarray:
        standard = (columns(x, len(self.location)) - self.location) / self.scale
        return self._apply([law.log_prob for law in self.innovations], standard) - np.log(
            self.scale
        )

    def sample(self, n: int, *, seed: int) -> np.ndarray:
        return self.quantile(uniform_draws(n, len(self.location), seed=seed))

    @staticmethod
    def _apply(functions: Sequence, columns: np.ndarray) -> np.ndarray:
        return np.stack(
            [function(columns[..., s]) for s, function in enumerate(functions)], axis=-1
        )


def columns(values: ArrayLike, series: int) -> np.ndarray:
    """Values with the series along the last axis; one number, or ``(n, 1)``, goes to every series.

    Raises:
        ValueError: another last axis.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim and array.shape[-1] not in (1, series):
        raise ValueError(
            f"values of shape {array.shape} for {series} series: give one number, or the "
            f"series along the last axis, (..., {series})."
        )
    return np.broadcast_to(array, (*array.shape[:-1], series))


def uniform_draws(n: int, series: int, *, seed: int) -> np.ndarray:
    """Independent uniform numbers, ``(n, series)``: quantiles at them are draws of the law."""
    uniform = np.random.default_rng(seed).random((n, series))
    # 0 is a value of random(), and not a probability with a finite quantile.
    return np.maximum(uniform, np.finfo(float).tiny)


def mean_beyond(quantile: Callable[[np.ndarray], np.ndarray], *, level: float) -> np.ndarray:
    """Expected shortfall of each series from quantiles alone, by the rule of `Parametric`.

    Args:
        quantile: From probabilities ``(n, 1)`` to returns ``(n, S)``.
        level: Coverage.

    Returns:
        Losses, ``(S,)``.
    """
    alpha = 1 - fraction(level, "level")
    return -TAIL_WEIGHTS @ quantile(alpha * TAIL_NODES[:, None])
