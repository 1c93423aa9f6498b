"""How often a fall beyond a fixed size was expected, and how often it came."""

import copy
from collections.abc import Sequence

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy import stats

from genfin_lib.applications.protocol import REFIT_EVERY, START
from genfin_lib.risk import Forecaster, block_standard_error
from genfin_lib.risk.walk_forward import stretches

FALLS = (3.0, 5.0, 10.0)  # per cent, log returns


def fall_probabilities(
    model: Forecaster,
    returns: pd.DataFrame,
    *,
    falls: Sequence[float] = FALLS,
    window: int | None = None,
    n_jobs: int | None = None,
) -> np.ndarray:
    """Probability of each fall, every evening of the test period, refits as in the protocol.

    Args:
        model: Forecaster, left as it is.
        returns: Percent log returns.
        falls: Sizes, per cent.
        window: Rows of history seen; ``None`` for all.
        n_jobs: Processes.

    Returns:
        Shape ``(days, falls, S)``.
    """
    points = -np.asarray(falls)[:, None]

    def stretch(begin: int, end: int) -> list[np.ndarray]:
        def history(today: int) -> pd.DataFrame:
            return returns.iloc[0 if window is None else today - window : today]

        fitted = copy.deepcopy(model).fit(history(begin))
        return [fitted.forecast(history(today)).cdf(points) for today in range(begin, end)]

    parts = stretches(returns, START, window=window or 1, refit_every=REFIT_EVERY)
    found = Parallel(n_jobs=n_jobs)(delayed(stretch)(*part) for part in parts)
    return np.stack([day for days in found for day in days])


def falls_table(
    probabilities: dict[str, np.ndarray],
    returns: pd.DataFrame,
    *,
    falls: Sequence[float] = FALLS,
    index: str = "SP500",
) -> pd.DataFrame:
    r"""Expected against observed number of falls, for the index and for the stocks together.

    Args:
        probabilities: Name of a model to its `fall_probabilities`.
        returns: Percent log returns, of which the last days are those of the probabilities.
        falls: Sizes, as for the probabilities.
        index: Column that is no stock.

    Returns:
        ``model, group, fall, days`` (times series), ``expected`` and ``observed`` numbers, ``low``
        and ``high`` (95 % interval of the number that a law with the observed share has on
        average: Clopper-Pearson for the index, by blocks of 21 days for the stocks, which fall
        together), and ``z``, the excess of observed over expected in standard errors by blocks.
    """
    days = len(next(iter(probabilities.values())))
    came = returns.to_numpy()[-days:, None, :] < -np.asarray(falls)[:, None]
    alone = np.asarray(returns.columns == index)
    rows = []
    for model, p in probabilities.items():
        for group, members in (("index", alone), ("stocks", ~alone)):
            n = days * int(members.sum())
            for k, fall in enumerate(falls):
                hit, expected = came[:, k, members], p[:, k, members]
                count = int(hit.sum())
                if group == "index":
                    low, high = stats.binomtest(count, n).proportion_ci()
                else:
                    spread = 1.96 * block_standard_error(hit.mean(axis=1))
                    low, high = hit.mean() - spread, hit.mean() + spread
                excess = (hit - expected).mean(axis=1)
                rows.append(
                    {
                        "model": model,
                        "group": group,
                        "fall": fall,
                        "days": n,
                        "expected": expected.sum(),
                        "observed": count,
                        "low": n * low,
                        "high": n * high,
                        "z": excess.mean() / block_standard_error(excess),
                    }
                )
    return pd.DataFrame(rows)
