"""Portfolios, bets and signals of dynamic factor models: the last step of ``make rvrae``."""

import pickle
from functools import partial

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from genfin_lib.applications.dynamic_factors.forecaster import DynamicFactors, FactorPath, informed
from genfin_lib.applications.dynamic_factors.inputs import Inputs, factor_inputs
from genfin_lib.applications.dynamic_factors.portfolios import (
    RULES,
    STEPS,
    chosen_step,
    dcc_covariances,
    equal_information,
    hold,
    rolling_covariances,
    wanted_weights,
)
from genfin_lib.applications.dynamic_factors.timing import YEAR, bets, joined, risk_shares, turned
from genfin_lib.applications.joint.designs import INPUTS, stock_returns
from genfin_lib.applications.protocol import REFIT_EVERY, START
from genfin_lib.applications.results import ROOT, write_results
from genfin_lib.risk import diebold_mariano
from genfin_lib.trading import Backtest

SELECTION = "2007-01-03"
MODELS = {
    "seed 0": DynamicFactors(),
    "seed 1": DynamicFactors(seed=1),
    "no recurrence": DynamicFactors(partial(informed, memory=False)),
}
# Of an exponential average over the covariances of the days before; the choice is the reader's.
SMOOTHING = (0.8, 0.9, 0.95)
# A general solver need not see these: they are there for the choice, and to be computed again.
FORMULA_ONLY = ("seed 0", *(f"smoothed {decay}" for decay in SMOOTHING))
PARTS = ROOT / "data" / "cache" / "dynamic_factors" / "paths"


def stretches(inputs: Inputs, start: str, stop: str | None) -> list[tuple[int, int]]:
    """Rows between two refits, from ``start`` to before ``stop``."""
    first = int(inputs.index.searchsorted(pd.Timestamp(start)))
    last = len(inputs.index) if stop is None else int(inputs.index.searchsorted(pd.Timestamp(stop)))
    return [(begin, min(begin + REFIT_EVERY, last)) for begin in range(first, last, REFIT_EVERY)]


def factor_path(name: str, inputs: Inputs, begin: int, end: int) -> FactorPath:
    """One stretch of a model fitted on the rows before it; read if it was found before."""
    place = PARTS / f"{name} {begin} {end}.pkl"
    if place.is_file():
        found: FactorPath = FactorPath(*pickle.loads(place.read_bytes()))
        return found
    found = MODELS[name].fit(inputs, begin).path(inputs, begin, end)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(pickle.dumps(tuple(found)))
    nll = np.log(found.own).mean()
    print(f"{name} {inputs.index[begin]:%Y-%m-%d}: mean log own variance {nll:.3f}", flush=True)
    return found


def forecasts(
    returns: pd.DataFrame, inputs: Inputs, start: str, stop: str | None
) -> tuple[dict[str, np.ndarray], FactorPath]:
    """Covariance of each week's first day by every model, ``(n, S, S)``; seed 0's path, daily."""
    parts = stretches(inputs, start, stop)
    paths = {name: joined([factor_path(name, inputs, *part) for part in parts]) for name in MODELS}
    laws = {name: path.covariances() for name, path in paths.items()}
    laws["dynamic factors"] = (laws.pop("seed 1") + laws["seed 0"]) / 2
    begin, end = parts[0][0], parts[-1][1]
    for decay in SMOOTHING:
        state = decay * laws["dynamic factors"][:1]
        laws[f"smoothed {decay}"] = lfilter(
            [1 - decay], [1, -decay], laws["dynamic factors"], axis=0, zi=state
        )[0]
    laws["equal information"] = equal_information(inputs, laws["no recurrence"], begin)
    known = returns.loc[inputs.index]
    laws["DCC"] = np.concatenate([dcc_covariances(known, *part) for part in parts])
    weekly = {name: law[::5] for name, law in laws.items()}
    weekly |= rolling_covariances(known.to_numpy(), range(begin, end, 5), begin)
    order = ["dynamic factors", "seed 0", "no recurrence", "equal information", "DCC"]
    return {name: weekly[name] for name in (*order, *weekly)}, paths["seed 0"]


def portfolio_tables(
    laws: dict[str, np.ndarray],
    simple: pd.DataFrame,
    begin: int,
    steps: dict[tuple[str, str], float],
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Backtest]]:
    """Daily net returns in per cent; risk, trades and a t of the first model at every step.

    Args:
        laws: Weekly covariances by model.
        simple: Simple returns up to the last day.
        begin: Row of the first day.
        steps: Step of each rule and model; chosen here, and kept in it, where there is none yet.
    """
    daily, rows, kept = {}, [], {}
    for rule, every in RULES.items():
        first: dict[float, Backtest] = {}
        for name, law in laws.items():
            if name in FORMULA_ONLY and not rule.startswith("minimum"):
                continue
            dates = range(begin, len(simple), every)
            wanted = wanted_weights(rule, law[:: every // 5], simple, dates)
            if (rule, name) not in steps:
                steps[rule, name] = chosen_step(wanted, simple, begin, every=every)
            for step in STEPS:
                found = hold(wanted, simple, begin, every=every, step=step)
                t = variance_t(first.setdefault(step, found), found)
                chosen = step == steps[rule, name]
                rows.append((rule, name, step, chosen, *_figures(found), t))
                if chosen:
                    daily[f"{rule} | {name}"] = found.net_returns
                    kept[f"{rule} | {name}"] = found
    equal = np.full((len(range(begin, len(simple), 20)), simple.shape[1]), 1 / simple.shape[1])
    kept["equal weight"] = found = hold(equal, simple, begin, every=20)
    daily["equal weight"] = found.net_returns
    t = variance_t(kept[f"{next(iter(RULES))} | {next(iter(laws))}"], found)
    rows.append(("equal weight", "equal weight", 1.0, True, *_figures(found), t))
    columns = ["rule", "model", "step", "chosen", "volatility", "turnover", "net", "sharpe", "t"]
    table = (100 * pd.DataFrame(daily)).round(3).rename_axis("date").reset_index()
    return table, pd.DataFrame(rows, columns=columns), kept


def variance_t(one: Backtest, two: Backtest) -> float:
    """Difference of the variances before costs in Newey-West errors; below zero: one is calmer."""
    if one is two:
        return float("nan")
    squares = [np.square(found.gross_returns - found.gross_returns.mean()) for found in (one, two)]
    return diebold_mariano(*squares).statistic


def _figures(found: Backtest) -> tuple[float, float, float, float]:
    """Volatility before costs and net mean in per cent, trades, net Sharpe ratio; a year."""
    volatility = YEAR**0.5 * found.gross_returns.std()
    net = found.net_returns
    ratio = YEAR**0.5 * net.mean() / net.std()
    # The purchase of the first day is none of the strategy's doing.
    trades = YEAR * found.turnover.iloc[1:].mean()
    return 100 * volatility, trades, 100 * YEAR * net.mean(), ratio


def monthly_risk(
    path: FactorPath, x: np.ndarray, index: pd.DatetimeIndex, held: dict[str, np.ndarray]
) -> pd.DataFrame:
    """By month and portfolio: mean shares of risk, and the return taken apart by factor.

    Args:
        path: Daily.
        x: Percent returns of the same days.
        index: The days.
        held: Weights of the days, ``(n, S)``.

    Returns:
        ``month, portfolio``, ``share_1 ... share_own`` and ``earned_1 ... earned_own``, per cent.
    """
    factors = [str(m + 1) for m in range(path.factors.shape[1])]
    tables = []
    for name, weights in held.items():
        moves = np.einsum("tsm,ts->tm", path.exposures, weights) * path.factors
        rest = (weights * x).sum(axis=1, keepdims=True) - moves.sum(axis=1, keepdims=True)
        parts = {"share": risk_shares(path, weights), "earned": np.hstack([moves, rest])}
        columns = {
            f"{part}_{label}": column
            for part, values in parts.items()
            for label, column in zip([*factors, "own"], values.T, strict=True)
        }
        table = pd.DataFrame(columns, index)
        how = {column: "mean" if column.startswith("share") else "sum" for column in table}
        month = table.resample("MS").agg(how).rename_axis("month").reset_index()
        tables.append(month.assign(portfolio=name))
    return pd.concat(tables, ignore_index=True)


def evenings(path: FactorPath, index: pd.DatetimeIndex) -> pd.DataFrame:
    """What was known in the evening of each day: factors, KL, distance, tomorrow's volatility.

    ``volatility`` is the forecast for the row's own day, of the equally weighted portfolio, in per
    cent; that for tomorrow stands one row below.
    """
    series = path.own.shape[1]
    table = pd.DataFrame(
        path.factors, index, columns=[f"factor_{m + 1}" for m in range(path.factors.shape[1])]
    )
    table["kl"], table["distance"] = path.kl, path.distance
    table["volatility"] = np.sqrt(path.covariances().sum(axis=(1, 2))) / series
    return table.round(4).rename_axis("date").reset_index()


def main() -> None:
    """Run the study and write its tables."""
    returns = stock_returns()
    inputs = factor_inputs(returns)
    x = returns.loc[inputs.index]
    simple = np.expm1(x / 100)
    steps: dict[tuple[str, str], float] = {}
    dailies, summaries, paths = [], [], []
    kept: dict[str, Backtest] = {}
    for period, start, stop in (("choice", SELECTION, START), ("test", START, None)):
        laws, path = forecasts(returns, inputs, start, stop)
        begin = int(inputs.index.searchsorted(pd.Timestamp(start)))
        known = simple.iloc[: begin + len(path.own)]
        daily, summary, kept = portfolio_tables(laws, known, begin, steps)
        dailies.append(daily)
        summaries.append(summary.assign(period=period))
        paths.append(path)
        print(summary[summary["chosen"]].round(3).to_string(), flush=True)
    whole = turned(joined(paths))
    days = len(paths[-1].own)
    test = FactorPath(*(part[-days:] for part in whole))
    first = int(inputs.index.searchsorted(pd.Timestamp(SELECTION)))
    rows = x.to_numpy()
    held = {
        name: kept[name].positions.to_numpy()
        for name in ("equal weight", "minimum variance, long-only | dynamic factors")
    }
    tables = {
        "": dailies[-1],
        "_summary": pd.concat(summaries, ignore_index=True),
        "_bets": bets(whole, rows[first:], simple.iloc[first - 1 :]),
        "_risk": monthly_risk(test, rows[-days:], inputs.index[-days:], held),
        "_evenings": evenings(whole, inputs.index[first:]),
    }
    for suffix, table in tables.items():
        write_results(
            f"rvrae_portfolios{suffix}", table, command="make rvrae", seed=0, inputs=INPUTS
        )
    for place in PARTS.glob("*.pkl"):
        place.unlink()


if __name__ == "__main__":
    main()
