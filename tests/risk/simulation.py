"""Worlds with a known truth in which the tests of forecasts are themselves tested."""

from collections.abc import Callable

import numpy as np
from scipy import signal, stats

TAIL = stats.t(5)


def changing_volatility(rng: np.random.Generator, days: int) -> tuple[np.ndarray, np.ndarray]:
    """Student-t returns and the scale, an autoregression in logs, that a right model knows."""
    log_scale = signal.lfilter([0.2], [1, -0.95], rng.normal(size=days + 200))[200:]
    scale = np.exp(log_scale)
    return scale * TAIL.rvs(days, random_state=rng), scale


def garch(rng: np.random.Generator, days: int) -> np.ndarray:
    """GARCH(1, 1) with unit variance and normal innovations."""
    noise = rng.normal(size=days + 200)
    returns, variance = np.empty(days + 200), 1.0
    for t, z in enumerate(noise):
        returns[t] = np.sqrt(variance) * z
        variance = 0.03 + 0.12 * returns[t] ** 2 + 0.85 * variance
    return returns[200:]


def rejection_rate(
    p_value: Callable[[np.random.Generator], float], runs: int, *, size: float = 0.05, seed: int = 0
) -> float:
    """Share of runs in which a test rejects at the given size."""
    rng = np.random.default_rng(seed)
    return float(np.mean([p_value(rng) <= size for _ in range(runs)]))


def binomial_slack(rate: float, runs: int) -> float:
    """Four standard errors of a share."""
    return 4 * np.sqrt(rate * (1 - rate) / runs)
