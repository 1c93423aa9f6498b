"""What a forecaster of many assets may know tonight about each of them, and about their market."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
from scipy.signal import lfilter

# Rows that tonight's features look back on: older ones weigh less than half a per cent.
MEMORY = 1000
HALF_LIVES = (3, 33, 125)
REFERENCE = 11  # half-life of the volatility that returns are divided by; RiskMetrics' 0.94
# A stock may not move for days: no volatility counts as less than this share of the slowest one.
LEAST_SHARE = 0.05


class Context(NamedTuple):
    """What is known at the end of each day, asset by asset.

    Attributes:
        features: Shape ``(n, S, C)``, free of units but for the logarithm of volatility, whose unit
            is an additive constant.
        scale: A volatility to divide tomorrow's return by, ``(n, S)``, in units of the returns.
    """

    features: np.ndarray
    scale: np.ndarray


class ContextMap(Protocol):
    """From returns to what is known each evening: row ``t`` uses the rows up to ``t`` and no other.

    Only the last `MEMORY` rows matter to a row, so that a daily forecast stays cheap.
    """

    def __call__(self, returns: pd.DataFrame, *, last: int | None = None) -> Context:
        """Context of the ``last`` days of the returns, or of each; one column an asset."""


def moving_volatility(values: np.ndarray, half_life: float) -> np.ndarray:
    r"""Root of the exponentially weighted mean square of the last `MEMORY` rows, today's included.

    .. math:: \sigma_t^2(h) = \sum_{i=0}^{m} \lambda^i x_{t-i}^2 \Big/ \sum_{i=0}^{m} \lambda^i,
        \qquad \lambda = 2^{-1/h}, \quad m = \min(t, M - 1)

    A finite memory :math:`M` makes tonight's value a function of a short history: what runs every
    evening need not go back to 1990. An infinite half-life gives the plain root mean square.

    Args:
        values: Shape ``(n, S)``, in time order.
        half_life: In rows.

    Returns:
        Shape as ``values``, and in their units.
    """
    decay = 0.5 ** (1 / half_life)
    total = lfilter([1.0], [1.0, -decay], np.square(values), axis=0)
    total[MEMORY:] -= decay**MEMORY * total[:-MEMORY].copy()
    weight = lfilter([1.0], [1.0, -decay], np.ones(len(values)))
    weight[MEMORY:] -= decay**MEMORY * weight[:-MEMORY].copy()
    # The difference of two sums may come out below zero by rounding where nothing moved.
    return np.sqrt(np.maximum(total, 0) / weight[:, None])


@dataclass(frozen=True)
class NoContext:
    """Nothing but the size of an asset: returns over their root mean square, no features.

    With it a conditional model becomes the unconditional one, the control of what context is worth.
    """

    def __call__(self, returns: pd.DataFrame, *, last: int | None = None) -> Context:
        scale = moving_volatility(returns.to_numpy(dtype=np.float64), np.inf)[_newest(last)]
        return Context(np.empty((*scale.shape, 0)), scale)


@dataclass(frozen=True)
class OwnContext:
    r"""Ten features of each asset, from its own past alone.

    Logarithms of the EWMA volatility of half-life 11 days, and of its ratios to those of 3, 33 and
    125 days; the last three returns, the sum of the last five and the absolute value of the last
    one, in units of that volatility; and its downside part,
    :math:`\sigma_t(\min(r, 0)) / \sigma_t(r)`. Volatility at several speeds is the idea of F. Corsi
    (2009), https://doi.org/10.1093/jjfinec/nbp001; the downside part that of A. J. Patton and
    K. Sheppard (2015), https://doi.org/10.1162/REST_a_00503. Chapter: risk forecasts.
    """

    def __call__(self, returns: pd.DataFrame, *, last: int | None = None) -> Context:
        columns, scale = _own(returns.to_numpy(dtype=np.float64), last)
        return Context(np.stack(columns, axis=-1), scale)


@dataclass(frozen=True)
class MarketContext:
    r"""Nineteen features: `OwnContext`, and nine of the market that all assets share.

    Of the market: its volatility at the same four speeds, its last two returns and the sum of the
    last five, its downside part, and the dispersion of returns over assets (EWMA of half-life
    three of their standard deviation on a day) over the market's volatility. A storm that reached
    other assets today reaches this one tomorrow. How far it reached is said by the **common
    shock**, if asked for: the logarithm of the EWMA, at each half-life given, of

    .. math:: q_t^2 = \frac1S \sum_s \min\Bigl(\frac{r_{t,s}^2}{\sigma_{t-1,s}^2},\; 50\Bigr),

    the mean over assets of squared moves over the variance that each was given the evening before.
    Chapter: risk forecasts.

    Args:
        index: Column that is the market; the mean of all columns if ``None``. One series is its
            own market: its features are those of `OwnContext`.
        shocks: Half-lives of the common shock, such as ``(1, 3)``; each adds a feature.
    """

    index: Hashable | None = None
    shocks: tuple[float, ...] = ()

    def __call__(self, returns: pd.DataFrame, *, last: int | None = None) -> Context:
        own = OwnContext()(returns, last=last)
        if returns.shape[1] == 1:
            return own
        if self.index is not None and self.index not in returns.columns:
            raise ValueError(
                f"the index {self.index!r} is no column of {list(returns.columns)}: name one, or "
                "None for the mean of all."
            )
        x = returns.to_numpy(dtype=np.float64)
        market = x.mean(axis=1) if self.index is None else returns[self.index].to_numpy(np.float64)
        columns, scale = _own(market[:, None], last)
        spread = moving_volatility(x.std(axis=1, keepdims=True), 3)[_newest(last)] / scale
        shock = [moving_volatility(_shock(x), pace)[_newest(last)] for pace in self.shocks]
        logs = np.log(np.maximum(np.concatenate([spread, *shock], axis=1), LEAST_SHARE))
        common = np.concatenate([*columns[:8], logs], axis=1)
        shared = np.broadcast_to(common[:, None], (*own.scale.shape, common.shape[1]))
        return Context(np.concatenate([own.features, shared], axis=2), own.scale)


def _own(x: np.ndarray, last: int | None) -> tuple[list[np.ndarray], np.ndarray]:
    """The ten features of `OwnContext`, each ``(last, S)``, and the volatility, never zero."""
    rows = _newest(last)
    *paces, pace, down = (
        moving_volatility(values, half_life)[rows]
        for values, half_life in (
            *((x, half_life) for half_life in (*HALF_LIVES, REFERENCE)),
            (np.minimum(x, 0), REFERENCE),
        )
    )
    least = np.maximum(LEAST_SHARE * paces[-1], np.finfo(float).tiny)
    scale = np.maximum(pace, least)
    ratios = [np.log(np.maximum(pace, least) / scale) for pace in paces]
    total = np.cumsum(x, axis=0)
    week = (total - _lagged(total, 5)) / np.sqrt(5)
    today, yesterday, before, week = (
        values[rows] / scale for values in (x, _lagged(x, 1), _lagged(x, 2), week)
    )
    return [
        np.log(scale),
        *ratios,
        today,
        yesterday,
        week,
        down / scale,
        np.abs(today),
        before,
    ], scale


def _shock(x: np.ndarray) -> np.ndarray:
    """Root of the mean over assets of squared returns over yesterday's variance, ``(n, 1)``."""
    sigma = moving_volatility(x, REFERENCE)
    # The first day has no yesterday. What moves after standing still is bounded with the rest.
    before = np.maximum(np.concatenate([sigma[:1], sigma[:-1]]), 1e-12)
    return np.sqrt(np.minimum(np.square(x / before), 50).mean(axis=1, keepdims=True))


def _newest(last: int | None) -> slice:
    return slice(None if last is None else -last, None)


def _lagged(x: np.ndarray, days: int) -> np.ndarray:
    """Rows of ``days`` ago; zero before the first one."""
    return np.concatenate([np.zeros_like(x[:days]), x[:-days]]) if days < len(x) else 0 * x
