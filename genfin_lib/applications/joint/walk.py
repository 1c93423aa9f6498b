"""Joint forecasts day by day: the density of what came, and the risk of a portfolio."""

import copy
import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from genfin_lib.applications.joint.contract import JointForecaster
from genfin_lib.applications.joint.portfolio import risk_of_draws
from genfin_lib.data import portfolio_returns
from genfin_lib.risk.validation import finite
from genfin_lib.risk.walk_forward import stretches


class Model(NamedTuple):
    """A joint forecaster and how much it sees.

    Attributes:
        forecaster: What is fitted and asked.
        window: Rows before a refit that it sees; ``None`` for all of the past.
    """

    forecaster: JointForecaster
    window: int | None = 1000


def walk_forward_joint(
    models: Mapping[str, Model],
    returns: pd.DataFrame,
    *,
    start: str | pd.Timestamp,
    refit_every: int = 250,
    portfolios: Collection[str] = (),
    weights: np.ndarray | None = None,
    levels: Sequence[float] = (0.99, 0.975, 0.95),
    draws: int = 5000,
    seed: int = 0,
    n_jobs: int | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One-day joint forecasts from ``start`` on, refitted on a schedule.

    As `genfin_lib.risk.walk_forward`: for day ``t`` a model knows rows up to ``t - 1``, and what is
    fitted stands still between refits. The models of one refit are copied together, so that those
    that stand on the same `Shared` marginals fit them once.

    Args:
        models: Name to model.
        returns: Percent log returns, in order of time.
        start: Day of the first forecast.
        refit_every: Days between refits.
        portfolios: Names of the models whose portfolio risk is wanted too.
        weights: Of the portfolio; equal if ``None``.
        levels: Of VaR and ES.
        draws: Draws behind each day's VaR and ES.
        seed: Of the draws.
        n_jobs: Processes, one stretch between refits each.

    Returns:
        Scores, ``date, model, log_score`` (joint log-density of the day that came, in nats); and
        the portfolio, a table as of `walk_forward` with the simulation errors ``var_se`` and
        ``es_se`` besides. Its returns are *simple*, in per cent; ``log_score`` is NaN.

    Raises:
        ValueError: NaN, days out of order, a name in ``portfolios`` that is no model, or too little
            history for a window.
    """
    finite(returns, "returns")
    unknown = set(portfolios) - set(models)
    if unknown:
        raise ValueError(f"portfolios of {sorted(unknown)}, but the models are {list(models)}.")
    longest = max(model.window or 1 for model in models.values())
    parts = stretches(returns, start, window=longest, refit_every=refit_every)
    w = np.full(returns.shape[1], 1 / returns.shape[1]) if weights is None else weights
    tables = Parallel(n_jobs=n_jobs)(
        delayed(_stretch)(
            dict(models), returns.iloc[:end], begin, set(portfolios), w, levels, draws, seed
        )
        for begin, end in parts
    )
    scores, risks = (pd.concat(found, ignore_index=True) for found in zip(*tables, strict=True))
    return scores, risks


def _stretch(
    models: dict[str, Model],
    returns: pd.DataFrame,
    begin: int,
    portfolios: set[str],
    weights: np.ndarray,
    levels: Sequence[float],
    draws: int,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit every model on the rows before ``begin`` and forecast all rows from there on."""
    # One copy of all: marginals shared before are shared after. And one frame for each window, so
    # that they see that it is the same history.
    fitted, days = copy.deepcopy(models), len(returns) - begin
    firsts = {window: 0 if window is None else begin - window for _, window in fitted.values()}
    seen = {window: returns.iloc[row:begin] for window, row in firsts.items()}
    longer = {window: returns.iloc[row:] for window, row in firsts.items()}
    dates = returns.index[begin:]
    scores, risks = [], []
    for name, (model, window) in fitted.items():
        model.fit(seen[window])
        log_scores = model.log_scores(longer[window], days)
        scores.append(pd.DataFrame({"date": dates, "model": name, "log_score": log_scores}))
        if name not in portfolios:
            continue
        for date, law in zip(dates, model.laws(longer[window], days), strict=True):
            # Draws of a day are independent of those of another day and of another model.
            key = [seed, date.toordinal(), zlib.crc32(name.encode())]
            child = int(np.random.SeedSequence(key).generate_state(1)[0])
            drawn = 100 * portfolio_returns(law.sample(draws, seed=child) / 100, weights)
            came = 100 * float(portfolio_returns(returns.loc[date].to_numpy() / 100, weights))
            # Of the rank among the draws: never 0 or 1.
            pit = ((drawn <= came).sum() + 0.5) / (draws + 1)
            for level in levels:
                risk = risk_of_draws(drawn, level=level)
                row = (risk.var, risk.es, np.nan, pit, came, risk.var_se, risk.es_se)
                risks.append((date, "portfolio", name, level, *row))
    columns = ["date", "series", "model", "level"]
    columns += ["var", "es", "log_score", "pit", "realized", "var_se", "es_se"]
    table = pd.DataFrame(risks, columns=columns)
    # Without rows every column would be of objects, and stay so when joined to others.
    return pd.concat(scores), table.astype(dict.fromkeys(columns[3:], np.float64))
