"""One law of paths read at several horizons, and positions sized by it."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from genfin_lib.risk import crps, expected_shortfall, value_at_risk


def score_paths(
    paths: np.ndarray, came: np.ndarray, *, horizons: Sequence[int], fall: float
) -> pd.DataFrame:
    """Scores of forecast paths at each horizon, a row a forecast.

    Args:
        paths: Returns by step, ``(N, draws, T)``.
        came: Returns that came, ``(N, T)``.
        horizons: Steps over which returns are summed.
        fall: The event of the Brier score: a sum over the last horizon below minus this.

    Returns:
        ``crps H`` and ``inside H`` for each horizon: how far the law is from what came, and
        whether that lies between its quantiles of 5 and 95 %; and ``brier``.

    Raises:
        ValueError: If paths and what came do not pair, or a horizon is longer than they are.
    """
    if paths.ndim != 3 or paths[:, 0].shape != came.shape:
        raise ValueError(
            f"paths of shape {paths.shape}, what came of shape {came.shape}: (N, draws, T) and "
            "(N, T) are needed"
        )
    if not 1 <= min(horizons) <= max(horizons) <= came.shape[1]:
        raise ValueError(f"horizons {list(horizons)} do not lie within {came.shape[1]} steps")
    table = {}
    for h in horizons:
        law, value = paths[:, :, :h].sum(axis=2), came[:, :h].sum(axis=1)
        low, high = np.quantile(law, (0.05, 0.95), axis=1)
        table[f"crps {h}"] = crps(value, law)
        table[f"inside {h}"] = ((low <= value) & (value <= high)).astype(float)
    table["brier"] = ((law < -fall).mean(axis=1) - (value < -fall)) ** 2
    return pd.DataFrame(table)


def hedged(
    returns: np.ndarray,
    forecasts: Mapping[str, np.ndarray],
    truth: np.ndarray | None = None,
    *,
    level: float = 0.99,
) -> pd.DataFrame:
    r"""What is left of the risk of the top when a position is sized to its forecast variance.

    .. math:: y_w = r_w / \hat\sigma_w, \qquad
        \mathrm{left} = \frac{\mathrm{Var} \log(\sigma_w^2 / \hat\sigma_w^2)}
        {\mathrm{Var} \log \sigma_w^2}

    The size is fixed before the window begins. All results are at equal volatility: only the shape
    of the law is a hedge's merit, its scale is the choice of leverage.

    Args:
        returns: Of each window, ``(N,)``.
        forecasts: :math:`\hat\sigma_w^2` by name, ``(N,)`` each, above zero.
        truth: :math:`\sigma_w^2`, the variance that the regime gives, where it is known.
        level: Of VaR and ES.

    Returns:
        Rows the forecasts; ``left`` (with ``truth``), excess ``kurtosis``, and ``VaR`` and ``ES``
        in standard deviations.
    """
    rows = {}
    for name, variance in forecasts.items():
        y = returns / np.sqrt(variance)
        y = y / y.std()
        row = {
            "kurtosis": float(stats.kurtosis(y)),
            "VaR": float(value_at_risk(y, level=level)),
            "ES": float(expected_shortfall(y, level=level)),
        }
        if truth is not None:
            row = {"left": np.log(truth / variance).var() / np.log(truth).var()} | row
        rows[name] = row
    return pd.DataFrame(rows).T
