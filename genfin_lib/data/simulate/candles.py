"""Simulated candles: what an exchange would send of a market whose law is known."""

import numpy as np
import pandas as pd

from genfin_lib.data.simulate.checks import count, positive
from genfin_lib.data.simulate.garch import simulate_garch

_STEPS = 12  # of the path inside a candle


def simulate_candles(
    n: int,
    *,
    seed: int,
    start: str | pd.Timestamp = "2023-01-01",
    timeframe: str = "1h",
    price: float = 20_000.0,
    volatility: float = 0.006,
) -> pd.DataFrame:
    r"""Simulate open, high, low, close and volume, close to close a GARCH(1,1) with leverage.

    .. math:: \log C_t = \log C_{t-1} + r_t, \qquad O_t = C_{t-1}, \qquad
        B_s = r_t \tfrac{s}{m} + \sigma_t \bigl(W_s - \tfrac{s}{m} W_m\bigr) / \sqrt{m}

    Inside a candle the logarithm of the price is the Brownian bridge :math:`B` of :math:`m = 12`
    steps from the open to the close, so that the high and the low are those of a path. Volume is
    lognormal and grows with :math:`\sigma_t`. Chapter: the live pipeline.

    Args:
        n: Number of candles.
        seed: Of the draws.
        start: Start of the first candle, UTC.
        timeframe: Length of a candle as exchanges write it: `"1h"`, `"15m"`, `"1d"`.
        price: Open of the first candle.
        volatility: Unconditional standard deviation of a candle's log return, decimal.

    Returns:
        The simulated candles, `(n, 5)`: Open, High, Low, Close, Volume; index `date`, the start of
        each.

    Raises:
        ValueError: fewer than one candle, or a price or volatility that is not positive.
    """
    n, price = count(n, "n"), float(positive(price, "price"))
    sample = simulate_garch(n, seed=seed, volatility=volatility, leverage=0.04, alpha=0.06, mean=0)
    rng = np.random.default_rng([seed, 1])
    walk = rng.standard_normal((n, _STEPS)).cumsum(axis=1) / np.sqrt(_STEPS)  # (n, steps)
    share = np.arange(1, _STEPS + 1) / _STEPS
    bridge = walk - share * walk[:, -1:]
    path = sample.returns[:, None] * share + sample.volatility[:, None] * bridge
    close = price * np.exp(sample.returns.cumsum())
    opened = np.append(price, close[:-1])
    volume = 100 * (sample.volatility / volatility) ** 1.5 * rng.lognormal(0, 0.5, n)
    # The last step of the bridge is the close up to rounding; the close itself is exact.
    candles = {
        "Open": opened,
        "High": np.maximum(opened * np.exp(path.max(axis=1)), np.maximum(opened, close)),
        "Low": np.minimum(opened * np.exp(path.min(axis=1)), np.minimum(opened, close)),
        "Close": close,
        "Volume": volume,
    }
    step = pd.Timedelta(timeframe.replace("m", "min").replace("d", "D"))  # pandas' own letters
    dates = pd.date_range(start, periods=n, freq=step, name="date")
    return pd.DataFrame(candles, index=dates)
