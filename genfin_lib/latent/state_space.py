"""Dynamic linear models: one series as a sum of components, each with a state of its own."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from scipy.linalg import block_diag, solve_discrete_lyapunov
from scipy.optimize import minimize

from genfin_lib.latent.kalman import Moments, StateSpace


class Seasonal(NamedTuple):
    """A pattern that repeats, as a sum of waves whose amplitudes may drift.

    Attributes:
        period: Rows after which it repeats, any number above 2 (about 261 weekdays a year).
        harmonics: Number of waves, of periods `period`, `period / 2`, ...; half the period at the
            most. Five weekdays need two.
        std: Standard deviation of the drift of each amplitude in a row, in units of the data.
    """

    period: float
    harmonics: int
    std: float = 0.0


class _Component(NamedTuple):
    """A part of the sum with a state of its own, of ``n`` numbers."""

    move: np.ndarray  # from one row to the next, (n, n)
    noise: np.ndarray  # variances of what each row adds, (n,)
    seen: np.ndarray  # weight in the data, (n,)
    prior: np.ndarray  # covariance of the first state, (n, n)


class DynamicLinearModel:
    r"""Level, slope, seasonal patterns and short memory, added up and seen through noise.

    .. math::
        y_t &= \mu_t + \textstyle\sum_k \gamma^{(k)}_t + a_t + \epsilon_t \\
        \mu_{t+1} &= \mu_t + \beta_t + N(0, \sigma_\mu^2), \qquad
        \beta_{t+1} = \beta_t + N(0, \sigma_\beta^2) \\
        a_{t+1} &= \phi_1 a_t + \dots + \phi_p a_{t-p+1} + N(0, \sigma_a^2), \qquad
        \epsilon_t \sim N(0, \sigma_\epsilon^2)

    Each :math:`\gamma` is a sum of waves: pairs of states that turn by the angle
    :math:`2 \pi h / \text{period}` a row, with noise of their own. A sum of linear models is a
    linear model: stack the states, and the Kalman filter tells them apart in the one series.
    Before any data the level is :math:`N(m, \kappa^2)`, slope and waves are
    :math:`N(0, \kappa^2)`, with a wide :math:`\kappa`; short memory has its stationary law. The
    likelihood is then a density of *all* the data, and depends on :math:`\kappa`: compare models
    of different components by their forecasts.

    M. West and J. Harrison (1997), Bayesian Forecasting and Dynamic Models,
    https://doi.org/10.1007/b98971; A. C. Harvey (1989), Forecasting, Structural Time Series Models
    and the Kalman Filter, https://doi.org/10.1017/CBO9781107049994.
    Chapter: state spaces and recurrence.

    Args:
        noise_std: :math:`\sigma_\epsilon`, in units of the data.
        level_std: :math:`\sigma_\mu`.
        slope_std: :math:`\sigma_\beta`; ``None`` for no slope.
        seasonal: Patterns, of different periods.
        ar: Coefficients :math:`\phi`; none for no short memory.
        ar_std: :math:`\sigma_a`.
        prior_mean: :math:`m`.
        prior_std: :math:`\kappa`. Some ten times the spread of the data is wide enough; a million
            times costs the smoother its digits in the first rows.

    Attributes:
        space: The same model as a :class:`~genfin_lib.latent.StateSpace`.

    Raises:
        ValueError: A negative or infinite standard deviation, a pattern out of range, or an ``ar``
            that is not stationary.
    """

    def __init__(
        self,
        *,
        noise_std: float,
        level_std: float,
        slope_std: float | None = None,
        seasonal: Sequence[Seasonal] = (),
        ar: Sequence[float] = (),
        ar_std: float = 0.0,
        prior_mean: float = 0.0,
        prior_std: float = 100.0,
    ) -> None:
        self.noise_std, self.level_std, self.slope_std = noise_std, level_std, slope_std
        self.seasonal, self.ar, self.ar_std = tuple(seasonal), tuple(ar), ar_std
        stds = [noise_std, level_std, slope_std or 0.0, ar_std, *(s.std for s in seasonal)]
        if not all(0 <= std < math.inf for std in (*stds, prior_std)):
            raise ValueError(f"standard deviations must be finite and not negative: {self}")
        parts = {"level": _level(level_std, slope_std, prior_std)}
        for pattern in self.seasonal:
            name = f"season {pattern.period:g}"
            if name in parts:
                raise ValueError(f"two patterns of period {pattern.period:g}; give each its own")
            parts[name] = _season(pattern, prior_std)
        if self.ar:
            parts["short memory"] = _short_memory(self.ar, ar_std)
        moves, noises, weights, priors = zip(*parts.values(), strict=True)
        loadings = np.concatenate(weights)
        self.space = StateSpace(
            block_diag(*moves),
            np.diag(np.concatenate(noises)),
            loadings[None],
            np.array([noise_std**2]),
            np.eye(len(loadings))[0] * prior_mean,
            block_diag(*priors),
        )
        # What of the state belongs to which component, one row each.
        picks = block_diag(*weights)
        names = list(parts)
        if slope_std is not None:
            names.append("slope")
            picks = np.vstack((picks, np.eye(len(loadings))[1]))
        self._picks = pd.DataFrame(picks, index=names)

    def __repr__(self) -> str:
        names = ("noise_std", "level_std", "slope_std", "seasonal", "ar", "ar_std")
        return f"DynamicLinearModel({', '.join(f'{n}={getattr(self, n)}' for n in names)})"

    @classmethod
    def fit(
        cls,
        y: pd.Series | np.ndarray,
        *,
        slope: bool = False,
        seasonal: Sequence[tuple[float, int]] = (),
        ar: int = 0,
        iterations: int = 200,
    ) -> Self:
        """Maximum likelihood of all standard deviations and of the short memory.

        The search runs over logarithms, between a millionth and ten times the standard deviation
        of the data, and over partial autocorrelations, in whose cube all stationary models lie
        (J. F. Monahan, 1984, https://doi.org/10.1093/biomet/71.2.403). A component that the data do
        not ask for to move ends at the lower bound: it stays, as a constant. The prior has the mean
        of the data and ten times their standard deviation.

        Args:
            y: The series, ``(T,)``, NaN where missing, evenly spaced: a holiday is a missing row.
            slope: Whether the level has a slope.
            seasonal: Pairs of period and harmonics.
            ar: Order of the short memory.
            iterations: Most steps of L-BFGS.

        Raises:
            ValueError: A constant series, or fewer numbers seen than there are states.
        """
        values = _column(y)
        seen = values[~np.isnan(values)]
        states = 1 + slope + 2 * sum(h for _, h in seasonal) + ar
        if len(seen) <= states or not np.ptp(seen) > 0:
            raise ValueError(
                f"{len(seen)} numbers for {states} states: more numbers than states, which are "
                "not all equal, are needed"
            )
        mean, unit = float(seen.mean()), float(seen.std())

        def settings(raw: np.ndarray) -> dict[str, Any]:
            stds = (unit * np.exp(raw[: len(raw) - ar])).tolist()
            waves = stds[2 + slope : 2 + slope + len(seasonal)]
            return {
                "noise_std": stds[0],
                "level_std": stds[1],
                "slope_std": stds[2] if slope else None,
                "seasonal": [Seasonal(*s, std) for s, std in zip(seasonal, waves, strict=True)],
                "ar": _stationary(np.tanh(raw[len(raw) - ar :])),
                "ar_std": stds[-1] if ar else 0.0,
                "prior_mean": mean,
                "prior_std": 10 * unit,
            }

        start = [-1.0, -3.0] + [-6.0] * slope + [-6.0] * len(seasonal) + [-1.0] * (ar > 0)
        bounds = [(math.log(1e-6), math.log(10.0))] * len(start) + [(-4.0, 4.0)] * ar
        found = minimize(
            lambda raw: -cls(**settings(raw)).log_prob(values).sum() / len(seen),
            start + [0.5] + [0.0] * (ar - 1) if ar else start,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": iterations},
        )
        return cls(**settings(found.x))

    def log_prob(self, y: pd.Series | np.ndarray) -> np.ndarray:
        """Log-density of each row given those before, ``(T,)``: 0 where missing."""
        return self.space.log_prob(_column(y)[:, None])

    def components(
        self, y: pd.Series | np.ndarray, *, smoothed: bool = True
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The components of each row, apart: means and standard deviations.

        Args:
            y: Series, NaN where missing: components are there all the same.
            smoothed: Given all rows, later ones too; otherwise given the rows so far.

        Returns:
            Columns ``level``, ``season 5``, ..., ``short memory``, as the model has them; their sum
            is the data without noise. Then ``slope``, a part of the level's next move.
        """
        column = _column(y)[:, None]
        law: Moments
        if smoothed:
            law = self.space.smooth(column)
        else:
            filtered = self.space.filter(column)
            law = Moments(filtered.mean, filtered.covariance)
        picks = self._picks.to_numpy()
        variance = np.einsum("ci,tij,cj->tc", picks, law.covariance, picks).clip(min=0)
        index = y.index if isinstance(y, pd.Series) else None
        means, stds = (
            pd.DataFrame(values, index=index, columns=self._picks.index)
            for values in (law.mean @ picks.T, np.sqrt(variance))
        )
        return means, stds

    def forecast(self, y: pd.Series | np.ndarray, horizon: int) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations of the data 1, ..., ``horizon`` rows after *each* row.

        Row t of both, of shape ``(T, horizon)``, is known at t; the last one is today's forecast.
        """
        mean, variance = self.space.forecast(_column(y)[:, None], horizon)
        return mean[:, :, 0], np.sqrt(variance[:, :, 0])

    def sample(
        self, n: int, horizon: int, *, after: pd.Series | np.ndarray | None = None, seed: int
    ) -> np.ndarray:
        """Paths ``(n, horizon)`` that continue a series, or start from the prior if ``None``."""
        past = None if after is None else _column(after)[:, None]
        return self.space.sample(n, horizon, after=past, seed=seed)[:, :, 0]


def _level(level_std: float, slope_std: float | None, prior_std: float) -> _Component:
    stds = [level_std] if slope_std is None else [level_std, slope_std]
    size = len(stds)
    move, seen = np.triu(np.ones((size, size))), np.eye(size)[0]
    return _Component(move, np.square(stds), seen, prior_std**2 * np.eye(size))


def _season(pattern: Seasonal, prior_std: float) -> _Component:
    move, noise = _waves(pattern), np.full(2 * pattern.harmonics, pattern.std**2)
    seen = np.tile([1.0, 0.0], pattern.harmonics)
    return _Component(move, noise, seen, prior_std**2 * np.eye(len(noise)))


def _short_memory(ar: tuple[float, ...], std: float) -> _Component:
    seen = np.eye(len(ar))[0]
    move = np.vstack((ar, np.eye(len(ar))[:-1]))
    if np.abs(np.linalg.eigvals(move)).max() >= 1:
        raise ValueError(f"ar {ar} is not stationary: it would grow or never return")
    noise = std**2 * seen
    return _Component(move, noise, seen, solve_discrete_lyapunov(move, np.diag(noise)))


def _waves(seasonal: Seasonal) -> np.ndarray:
    """Rotations by one row, one for each harmonic."""
    period, harmonics, _ = seasonal
    if not (period > 2 and 1 <= harmonics <= period / 2):
        raise ValueError(f"{seasonal}: a period above 2 and 1 to period / 2 harmonics are needed")
    angles = 2 * math.pi * np.arange(1, harmonics + 1) / period
    return block_diag(*([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]] for a in angles))


def _stationary(partial: np.ndarray) -> tuple[float, ...]:
    """Coefficients of a stationary autoregression from partial autocorrelations in (-1, 1)."""
    ar = np.zeros(0)
    for r in partial:
        ar = np.append(ar - r * ar[::-1], r)
    return tuple(ar.tolist())


def _column(y: pd.Series | np.ndarray) -> np.ndarray:
    values = np.asarray(y, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"data of shape {values.shape}: one series, (T,), is needed")
    return values
