"""Linear Gaussian state spaces: the Kalman filter, the smoother, forecasts and sample paths."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Filtered(NamedTuple):
    """What is known of the state on each day, before and after its data.

    Attributes:
        predicted_mean: Of the state given the days before, ``(T, n)``.
        predicted_covariance: The same, ``(T, n, n)``.
        mean: Of the state given the days up to this one, ``(T, n)``.
        covariance: The same, ``(T, n, n)``.
        log_prob: Log-density of the day's data given the days before, ``(T,)``; 0 without data.
        errors: Data minus their prediction, ``(T, D)``; NaN where missing.
        variances: Variances of the errors, ``(T, D)``.
        gains: Covariance of state and error, ``(T, D, n)``.
    """

    predicted_mean: np.ndarray
    predicted_covariance: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    log_prob: np.ndarray
    errors: np.ndarray
    variances: np.ndarray
    gains: np.ndarray


class Moments(NamedTuple):
    """Mean and (co)variance of something Gaussian, day by day."""

    mean: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class StateSpace:
    r"""A hidden state that moves linearly and is seen linearly, both with Gaussian noise.

    .. math:: s_{t+1} = T s_t + \eta_t, \quad \eta_t \sim N(0, Q), \qquad
        y_t = Z s_t + \epsilon_t, \quad \epsilon_t \sim N(0, \mathrm{diag}(h)), \qquad
        s_1 \sim N(m, P)

    Everything is jointly Gaussian, so that prediction, update and likelihood are exact. The data
    of a day are taken one number at a time, each with error :math:`v`, its variance :math:`F` and
    gain :math:`g = P z`:

    .. math:: m \leftarrow m + g v / F, \qquad P \leftarrow P - g g^\top / F, \qquad
        \log p \mathrel{+}= \log N(v; 0, F)

    No matrix is inverted, and a missing number (NaN) is one that is not taken. R. E. Kalman (1960),
    https://doi.org/10.1115/1.3662552; one at a time: S. J. Koopman and J. Durbin (2000),
    https://doi.org/10.1111/1467-9892.00186. Chapter: state spaces and recurrence.

    Args:
        transition: :math:`T`, ``(n, n)``.
        state_noise: :math:`Q`, ``(n, n)``, may be singular.
        loadings: :math:`Z`, ``(D, n)``.
        noise: Variances :math:`h`, ``(D,)``, zero or more.
        mean: :math:`m`, of the first state before any data, ``(n,)``.
        covariance: :math:`P`, the same, ``(n, n)``.

    Raises:
        ValueError: If shapes disagree, something is not finite, or a noise variance is negative.
    """

    transition: np.ndarray
    state_noise: np.ndarray
    loadings: np.ndarray
    noise: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray

    def __post_init__(self) -> None:
        n, features = len(self.mean), len(self.noise)
        parts = {
            "transition": (self.transition, (n, n)),
            "state_noise": (self.state_noise, (n, n)),
            "loadings": (self.loadings, (features, n)),
            "noise": (self.noise, (features,)),
            "mean": (self.mean, (n,)),
            "covariance": (self.covariance, (n, n)),
        }
        for name, (part, shape) in parts.items():
            if np.shape(part) != shape or not np.isfinite(part).all():
                raise ValueError(
                    f"{name} has shape {np.shape(part)}: {shape} and finite numbers are needed"
                )
        if (self.noise < 0).any():
            raise ValueError(f"noise variances must be zero or more, got {self.noise}")

    def filter(self, y: np.ndarray) -> Filtered:
        """Run through the days once; row t uses rows up to t and none later.

        Args:
            y: Data, ``(T, D)``, NaN where missing.

        Raises:
            ValueError: Another shape, no row, or inf.
        """
        y = self._checked(y)
        (days, features), n = y.shape, len(self.mean)
        out = Filtered(
            np.empty((days, n)),
            np.empty((days, n, n)),
            np.empty((days, n)),
            np.empty((days, n, n)),
            np.zeros(days),
            np.full((days, features), np.nan),
            np.full((days, features), np.nan),
            np.zeros((days, features, n)),
        )
        mean, covariance, seen = self.mean, self.covariance, ~np.isnan(y)
        for t, row in enumerate(y):
            out.predicted_mean[t], out.predicted_covariance[t] = mean, covariance
            for j in np.flatnonzero(seen[t]):
                z = self.loadings[j]
                gain = covariance @ z
                variance = z @ gain + self.noise[j]
                error = row[j] - z @ mean
                mean = mean + gain * (error / variance)
                covariance = covariance - gain[:, None] * (gain / variance)
                out.log_prob[t] -= 0.5 * (
                    math.log(2 * math.pi * variance) + error * error / variance
                )
                out.errors[t, j], out.variances[t, j], out.gains[t, j] = error, variance, gain
            out.mean[t], out.covariance[t] = mean, covariance
            mean = self.transition @ mean
            covariance = self.transition @ covariance @ self.transition.T + self.state_noise
        return out

    def log_prob(self, y: np.ndarray) -> np.ndarray:
        """Log-density of each day given the days before, ``(T,)``: the sum is that of the series.

        Arguments and errors as for `filter`.
        """
        return self.filter(y).log_prob

    def smooth(self, y: np.ndarray) -> Moments:
        r"""The state of each day given *all* days: for looking back, never for trading.

        Backwards in time, with :math:`L = I - g z^\top / F` for each number that was taken,

        .. math:: r \leftarrow z v / F + L^\top r, \quad N \leftarrow z z^\top / F + L^\top N L,
            \qquad \hat s_t = m_t + P_t r, \quad V_t = P_t - P_t N P_t,
            \qquad r \leftarrow T^\top r, \quad N \leftarrow T^\top N T

        P. de Jong (1989), https://doi.org/10.1080/01621459.1989.10478879. Arguments and errors as
        for `filter`.

        Returns:
            Means ``(T, n)`` and covariances ``(T, n, n)``.
        """
        f = self.filter(y)
        n, eye = len(self.mean), np.eye(len(self.mean))
        means, covariances = np.empty_like(f.mean), np.empty_like(f.covariance)
        r, information = np.zeros(n), np.zeros((n, n))
        for t in reversed(range(len(f.mean))):
            for j in np.flatnonzero(~np.isnan(f.errors[t]))[::-1]:
                z, variance = self.loadings[j], f.variances[t, j]
                keep = eye - np.outer(f.gains[t, j] / variance, z)
                r = keep.T @ r + z * (f.errors[t, j] / variance)
                information = keep.T @ information @ keep + np.outer(z, z / variance)
            before = f.predicted_covariance[t]
            means[t] = f.predicted_mean[t] + before @ r
            covariances[t] = before - before @ information @ before
            r = self.transition.T @ r
            information = self.transition.T @ information @ self.transition
        return Moments(means, covariances)

    def forecast(self, y: np.ndarray, horizon: int) -> Moments:
        """Law of the data 1, ..., ``horizon`` days after *each* day, known on that day.

        Args:
            y: As for `filter`.
            horizon: Days ahead, one or more.

        Returns:
            Means and variances, noise included, ``(T, horizon, D)``; ``[-1]`` is the latest.

        Raises:
            ValueError: As for `filter`, or a horizon below one.
        """
        if horizon < 1:
            raise ValueError(f"horizon must be 1 or more, got {horizon}")
        f = self.filter(y)
        mean, covariance, means, variances = f.mean, f.covariance, [], []
        for _ in range(horizon):
            mean = mean @ self.transition.T
            covariance = self.transition @ covariance @ self.transition.T + self.state_noise
            means.append(mean @ self.loadings.T)
            seen = np.einsum("di,tij,dj->td", self.loadings, covariance, self.loadings)
            variances.append(seen + self.noise)
        return Moments(np.stack(means, axis=1), np.stack(variances, axis=1))

    def sample(
        self, n: int, horizon: int, *, after: np.ndarray | None = None, seed: int
    ) -> np.ndarray:
        """Draw paths, ``(n, horizon, D)``: of the days after a series, or from the first state.

        Args:
            n: Number of paths.
            horizon: Days.
            after: Series that the paths continue, as for `filter`; none if ``None``.
            seed: Of the draws.
        """
        rng = np.random.default_rng(seed)
        mean, covariance = self.mean, self.covariance
        if after is not None:
            f = self.filter(after)
            mean = self.transition @ f.mean[-1]
            covariance = self.transition @ f.covariance[-1] @ self.transition.T + self.state_noise
        start, move = _root(covariance), _root(self.state_noise)
        states = mean + rng.standard_normal((n, len(mean))) @ start.T
        days = np.empty((n, horizon, len(self.noise)))
        for t in range(horizon):
            noise = rng.standard_normal((n, len(self.noise))) * np.sqrt(self.noise)
            days[:, t] = states @ self.loadings.T + noise
            states = states @ self.transition.T + rng.standard_normal(states.shape) @ move.T
        return days

    def _checked(self, y: np.ndarray) -> np.ndarray:
        y = np.asarray(y, dtype=np.float64)
        if y.ndim != 2 or y.shape[1] != len(self.noise) or len(y) == 0 or np.isinf(y).any():
            raise ValueError(
                f"data of shape {y.shape}, {int(np.isinf(y).sum())} of them inf: one row or more "
                f"of {len(self.noise)} numbers is needed, NaN where one is missing"
            )
        return y


def _root(covariance: np.ndarray) -> np.ndarray:
    """A matrix whose product with its transpose is the covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(values.clip(min=0))
