"""Windows that follow one another: the top level moves, whatever is below is drawn."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from genfin_lib.latent import HierarchicalVAE

_ROWS = 5000  # windows that one pass of the networks draws


class TopTransition(NamedTuple):
    r"""Where the top level is in the next window, given what is known of this one.

    .. math:: z_L^{(w+1)} = c + A\, s^{(w)} + e^{(w+1)}, \qquad e \sim N(0, \Omega)

    A model of windows knows no tomorrow: its windows are independent. With this it is a model of
    series. Chapter: Levels in time.

    Attributes:
        slope: :math:`(c, A)^\top`, ``(1 + states, units)``.
        rest: :math:`\Omega`, ``(units, units)``.
    """

    slope: np.ndarray
    rest: np.ndarray

    @classmethod
    def fit(cls, before: np.ndarray, after: np.ndarray) -> "TopTransition":
        """Least squares.

        Args:
            before: State :math:`s` of each window, ``(windows, states)``.
            after: Top of the window after it, ``(windows, units)``.

        Raises:
            ValueError: If there are no more windows than states, or rows do not pair.
        """
        if before.ndim != 2 or after.ndim != 2 or len(before) != len(after):
            raise ValueError(
                f"states of shape {before.shape}, next tops of shape {after.shape}: (N, states) "
                "and (N, units) are needed, a row a window"
            )
        if len(before) <= before.shape[1] + 1:
            raise ValueError(
                f"{len(before)} windows for {before.shape[1]} states: give more windows"
            )
        a = _with_ones(before)
        slope = np.linalg.lstsq(a, after)[0]
        return cls(slope, np.atleast_2d(np.cov((after - a @ slope).T)))

    def mean(self, state: np.ndarray) -> np.ndarray:
        """Expected next top, ``(N, units)``."""
        return _with_ones(state) @ self.slope

    def draw(self, state: np.ndarray, draws: int, *, seed: int) -> np.ndarray:
        """Next tops, ``(N, draws, units)``.

        Args:
            state: What is known now, ``(N, states)``.
            draws: For each.
            seed: Of the noise.
        """
        rng, units = np.random.default_rng(seed), len(self.rest)
        noise = rng.multivariate_normal(np.zeros(units), self.rest, (len(state), draws))
        return self.mean(state)[:, None] + noise


def next_windows(
    model: HierarchicalVAE, move: TopTransition, state: np.ndarray, *, draws: int, seed: int
) -> Tensor:
    """Draws of the window to come: one set of paths, from which all horizons are read.

    Args:
        model: Draws what is below the top.
        move: Law of the next top.
        state: What is known now, ``(N, states)``.
        draws: Paths for each.
        seed: Of tops and paths.

    Returns:
        ``(N, draws, length, channels)``, in the model's units.
    """
    tops = torch.tensor(move.draw(state, draws, seed=seed)).float()
    flat = tops.flatten(0, 1)[:, :, None]  # (N * draws, units, 1)
    parts = [
        model.sample(len(t), given=[t], seed=seed + k) for k, t in enumerate(flat.split(_ROWS))
    ]
    return torch.cat(parts).unflatten(0, (len(state), draws))


def qlike(variance: np.ndarray, realised: np.ndarray) -> np.ndarray:
    r"""Loss of forecasts of variance, :math:`\log \hat v + v / \hat v`; lower is better.

    A noisy, unbiased :math:`v` ranks forecasts as the true variance would. A. J. Patton (2011),
    Volatility forecast comparison using imperfect volatility proxies,
    https://doi.org/10.1016/j.jeconom.2010.03.034.

    Args:
        variance: Forecasts :math:`\hat v`, above zero.
        realised: What came, same shape.

    Raises:
        ValueError: If a forecast is not above zero.
    """
    if not (variance > 0).all():
        raise ValueError("a forecast of variance that is not above zero has no QLIKE")
    return np.log(variance) + realised / variance


def _with_ones(state: np.ndarray) -> np.ndarray:
    return np.column_stack((np.ones(len(state)), state))
