"""Forecasts as they would have been made: each day knows only the days before it."""

import copy
from collections.abc import Sequence

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from genfin_lib.risk.forecasters.contract import Forecaster
from genfin_lib.risk.validation import finite, fraction


def walk_forward(
    forecaster: Forecaster,
    returns: pd.DataFrame,
    *,
    start: str | pd.Timestamp,
    window: int | None = None,
    refit_every: int = 250,
    levels: Sequence[float] = (0.99, 0.975, 0.95),
    model: str | None = None,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    r"""One-step forecasts of every day from ``start``, refitted on a schedule.

    For day :math:`t` the forecaster sees rows :math:`t - w, \dots, t - 1` and nothing else. On
    every ``refit_every``-th day it is fitted anew; between, its parameters stand still and its
    filter moves daily. Stretches between refits do not depend on each other and run in parallel
    through joblib; the table is the same for any number of workers. To run on a cluster, choose
    joblib's backend around the call::

        with joblib.parallel_config(backend="dask"):
            walk_forward(...)

    Args:
        forecaster: Left as it is: each refit works on a copy.
        returns: Signed returns, one column a series, in order of time.
        start: Day of the first forecast, or the first trading day after it.
        window: Rows of history seen; ``None`` for all of it.
        refit_every: Days between refits.
        levels: Of VaR and ES.
        model: Name in the table; the class's own if ``None``.
        n_jobs: Processes; ``None`` leaves it to joblib (one, unless a backend is chosen).

    Returns:
        Long table, one row for each day forecast, series and level: ``date`` (of the day that is
        forecast), ``series``, ``model``, ``level``, ``var`` and ``es`` (losses, in units of the
        returns), ``log_score`` (log-density of the return that came, in nats), ``pit``
        (distribution function at it), ``realized`` (that return). The last three repeat over
        levels.

    Raises:
        ValueError: no frame with dates, NaN, dates out of order or double, a series twice, no or
            too little history before ``start``, nothing after it, a level outside (0, 1) or twice,
            or none.
    """
    _check(returns, levels)
    least = 1 if window is None else window
    parts = stretches(returns, start, window=least, refit_every=refit_every)
    tables = Parallel(n_jobs=n_jobs)(
        delayed(_stretch)(
            forecaster,
            returns.iloc[0 if window is None else begin - window : end],
            end - begin,
            window,
            levels,
        )
        for begin, end in parts
    )
    table = pd.concat(tables, ignore_index=True)
    table.insert(2, "model", model or type(forecaster).__name__)
    return table


def stretches(
    returns: pd.DataFrame, start: str | pd.Timestamp, *, window: int, refit_every: int
) -> list[tuple[int, int]]:
    """First row of each stretch between two refits, and the first row after it.

    Args:
        returns: Rows by date.
        start: Day of the first forecast, or the first trading day after it.
        window: Rows needed before it.
        refit_every: Rows of a stretch; the last one may be shorter.

    Raises:
        ValueError: dates out of order or double, too little history before ``start``, nothing
            after it, or a window or stretch of less than a day.
    """
    if refit_every < 1 or window < 1:
        raise ValueError(
            f"refit_every {refit_every}, window {window}: at least one day is needed for each."
        )
    if not (returns.index.is_monotonic_increasing and returns.index.is_unique):
        raise ValueError("returns are not in order of time, or a day is there twice: sort them.")
    first = int(returns.index.searchsorted(pd.Timestamp(start)))
    if first == len(returns):
        raise ValueError(f"no return on or after {start}: the last is of {returns.index[-1]:%F}.")
    if first < window:
        raise ValueError(
            f"{first} returns before {start} and a window of {window} days: start later or give "
            "a smaller window."
        )
    return [
        (begin, min(begin + refit_every, len(returns)))
        for begin in range(first, len(returns), refit_every)
    ]


def _stretch(
    forecaster: Forecaster,
    returns: pd.DataFrame,
    days: int,
    window: int | None,
    levels: Sequence[float],
) -> pd.DataFrame:
    """Fit once, then forecast each of the last ``days`` rows."""
    past = len(returns) - days
    fitted = copy.deepcopy(forecaster).fit(returns.iloc[:past])
    rows = []
    for today in range(past, len(returns)):
        law = fitted.forecast(returns.iloc[0 if window is None else today - window : today])
        came = returns.iloc[today].to_numpy()
        var = -law.quantile(1 - np.asarray(levels)[:, None])
        es = np.stack([law.expected_shortfall(level=level) for level in levels])
        repeated = np.broadcast_to(
            [law.log_prob(came), law.cdf(came), came], (len(levels), 3, len(came))
        )
        rows.append(np.concatenate([var[:, None], es[:, None], repeated], axis=1))
    numbers = np.stack(rows).transpose(0, 3, 1, 2)  # (days, series, levels, 5)
    index = pd.MultiIndex.from_product(
        [returns.index[past:], returns.columns, levels], names=["date", "series", "level"]
    )
    columns = ["var", "es", "log_score", "pit", "realized"]
    return pd.DataFrame(numbers.reshape(-1, 5), index=index, columns=columns).reset_index()


def _check(returns: pd.DataFrame, levels: Sequence[float]) -> None:
    if not (isinstance(returns, pd.DataFrame) and isinstance(returns.index, pd.DatetimeIndex)):
        raise ValueError(
            f"returns are a {type(returns).__name__} with a {type(returns.index).__name__}: a "
            "DataFrame with dates is needed; a series becomes one by to_frame()."
        )
    finite(returns, "returns")
    if not returns.columns.is_unique:
        raise ValueError(f"a series is there twice in {list(returns.columns)}: drop one.")
    if not levels or len(set(levels)) < len(levels):
        raise ValueError(f"levels {levels}: one or more, each once.")
    for level in levels:
        fraction(level, "level")
