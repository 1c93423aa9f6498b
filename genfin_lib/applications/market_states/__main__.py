"""Everything that the chapters on Glow read: `make states`."""

import time

import numpy as np
import pandas as pd
from joblib import cpu_count

from genfin_lib.applications.market_states.densities import held_out, history_study
from genfin_lib.applications.market_states.evenings import Evenings, walk_states
from genfin_lib.applications.market_states.rules import HOLD, state_backtests
from genfin_lib.applications.results import write_results
from genfin_lib.applications.walkforward.baselines import BASELINES
from genfin_lib.data import load, log_returns, market_state_features
from genfin_lib.risk import backtest_forecasts, score_forecasts, walk_forward
from genfin_lib.trading import compare_backtests

DATASETS = ("sp500_ohlcv", "nasdaq_ohlcv")
FIRST = 2005
COMMAND = "make states"
CLASSICAL = ("historical simulation", "EWMA", "EWMA, FHS", "GJR skew-t")


def var_table(bars: pd.DataFrame, evenings: Evenings, *, n_jobs: int = 1) -> pd.DataFrame:
    """Scenario VaR and ES at each temperature beside classical forecasters, same days."""
    returns = 100 * log_returns(bars[["Close"]]).rename(columns={"Close": "index"})
    ours = evenings.forecasts
    start = str(ours["date"].min().date())
    tables = [
        walk_forward(model, returns, start=start, window=window, model=name, n_jobs=n_jobs)
        for name, (model, window) in ((name, BASELINES[name]) for name in CLASSICAL)
    ]
    everything = pd.concat([ours, *tables], ignore_index=True)
    keys = ["model", "level", "series"]
    means = score_forecasts(everything).groupby(keys, sort=False)[["hit", "pinball", "fz0"]].mean()
    tests = backtest_forecasts(everything, n_jobs=n_jobs)
    return means.join(tests).reset_index().drop(columns="series")


def main() -> None:
    """Train, judge, and write five tables."""
    began, jobs = time.perf_counter(), cpu_count()
    tables: dict[str, list[pd.DataFrame]] = {}

    def keep(name: str, table: pd.DataFrame, dataset: str) -> None:
        table.insert(0, "dataset", dataset)
        tables.setdefault(name, []).append(table)

    for dataset in DATASETS:
        bars = load(dataset)
        states = market_state_features(bars)
        evenings = walk_states(bars, first=FIRST, n_jobs=jobs)
        tests = state_backtests(evenings, np.exp(states["log_vol_21"]))
        compared = compare_backtests(tests, benchmark=HOLD, seed=0)
        keep("states_trading", compared.rename_axis("rule").reset_index(), dataset)
        keep("states_var", var_table(bars, evenings, n_jobs=jobs), dataset)
        keep("states_nll", held_out(states), dataset)
        keep("states_history", history_study(bars), dataset)
        keep("states_evenings", evenings.table.rename_axis("date").reset_index(), dataset)
    seconds = {"processes": jobs, "seconds": round(time.perf_counter() - began)}
    for name, parts in tables.items():
        table = pd.concat(parts, ignore_index=True)
        write_results(name, table, command=COMMAND, seed=0, inputs=DATASETS, facts=seconds)
        print(f"{name}\n{table.round(3).to_string(index=False, max_rows=60)}\n")


if __name__ == "__main__":
    main()
