"""Dynamic factor models through the protocol, one ingredient at a time: ``make rvrae``."""

import argparse
import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.covariance import ledoit_wolf

from genfin_lib.applications.dynamic_factors.forecaster import (
    DynamicFactors,
    informed,
    linear,
    plain,
)
from genfin_lib.applications.dynamic_factors.inputs import (
    Inputs,
    ewma_correlation,
    factor_inputs,
)
from genfin_lib.applications.joint.designs import INPUTS, stock_returns
from genfin_lib.applications.protocol import REFIT_EVERY, START
from genfin_lib.applications.results import FOLDER, ROOT, write_results
from genfin_lib.trading import minimum_variance

SELECTION = "2007-01-03"
REBALANCE = 5
SHRINK = 0.2
FULL = "informed"
# What is learned from nothing needs more steps than what starts from slow loadings.
from_nothing = partial(DynamicFactors, features=False, epochs=40)
MODELS = {
    FULL: DynamicFactors(),
    "no recurrence": DynamicFactors(partial(informed, memory=False)),
    "Gaussian noise": DynamicFactors(partial(informed, df=None)),
    "3 factors": DynamicFactors(factors=3),
    "no features": DynamicFactors(features=False),
    "no features, no recurrence": DynamicFactors(partial(informed, memory=False), features=False),
    "linear, from the state": from_nothing(linear),
    "network, rescaled": from_nothing(plain),
    "network, raw": from_nothing(plain, rescaled=False),
}
# Which seeds: the rest is compared with seed 0.
SEEDS = {FULL: (0, 1)}
PARTS = ROOT / "data" / "cache" / "dynamic_factors"


def stretch(
    name: str, seed: int, returns: pd.DataFrame, inputs: Inputs, begin: int, end: int
) -> pd.DataFrame:
    """Fit a model on the rows before ``begin`` and judge it on those up to ``end``.

    Returns:
        ``date, model, seed, log_score``, and for the full model the covariances' portfolios.
    """
    model = MODELS[name]
    model.seed = seed
    model.fit(inputs, begin)
    table = pd.DataFrame(
        {
            "date": inputs.index[begin:end],
            "model": name,
            "seed": seed,
            "log_score": model.log_scores(inputs, begin, end),
        }
    )
    if name != FULL or seed:
        return table
    found = model.covariances(inputs, begin, end)
    size = np.sqrt(np.einsum("tii->ti", found))
    slow = ewma_correlation(inputs.y)[begin - 1 : end - 1]
    slow = (1 - SHRINK) * slow + SHRINK * np.eye(slow.shape[-1])
    laws = {"dynamic factors": found, "equal information": slow * size[:, :, None] * size[:, None]}
    return table.join(portfolios(returns, inputs, laws, begin, end))


def portfolios(
    returns: pd.DataFrame, inputs: Inputs, laws: dict[str, np.ndarray], begin: int, end: int
) -> pd.DataFrame:
    """Simple percent returns, and trades, of long-only least-variance portfolios, weekly anew."""
    x = returns.loc[inputs.index].to_numpy()
    simple, columns = 100 * np.expm1(x / 100), {}
    grid = range(begin, end, REBALANCE)
    covariances = {name: [law[row - begin] for row in grid] for name, law in laws.items()}
    covariances["Ledoit-Wolf"] = [ledoit_wolf(x[row - 250 : row])[0] for row in grid]
    weights = 0.99 ** np.arange(1000)[::-1]
    covariances["EWMA 0.99"] = [
        (x[row - 1000 : row] * weights[:, None]).T @ x[row - 1000 : row] / weights.sum()
        for row in grid
    ]
    for name, matrices in covariances.items():
        shares = np.array([minimum_variance(matrix, long_only=True) for matrix in matrices])
        trades = np.zeros(end - begin)
        trades[::REBALANCE][1:] = np.abs(np.diff(shares, axis=0)).sum(axis=1)
        held = np.repeat(shares, REBALANCE, axis=0)[: end - begin]
        columns[name] = (held * simple[begin:end]).sum(axis=1)
        columns[f"{name}, trades"] = trades
    columns["equal weight"] = simple[begin:end].mean(axis=1)
    return pd.DataFrame(columns)


def walk(
    names: Sequence[str], returns: pd.DataFrame, *, start: str, parts: Path | None = PARTS
) -> pd.DataFrame:
    """Every model from ``start`` on, refitted on a schedule; stretches done before are read."""
    known = {m: factor_inputs(returns, factors=m) for m in {MODELS[name].factors for name in names}}
    tables = []
    for name in names:
        inputs = known[MODELS[name].factors]
        first = int(inputs.index.searchsorted(pd.Timestamp(start)))
        for seed in SEEDS.get(name, (0,)):
            for begin in range(first, len(inputs.index), REFIT_EVERY):
                end = min(begin + REFIT_EVERY, len(inputs.index))
                path = None if parts is None else parts / f"{start} {name} {seed} {begin}.pkl"
                if path is not None and path.is_file():
                    tables.append(pd.read_pickle(path))
                    continue
                tables.append(stretch(name, seed, returns, inputs, begin, end))
                if path is not None:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    tables[-1].to_pickle(path)
                nll = -tables[-1]["log_score"].mean() / returns.shape[1]
                print(f"{start} {name} {seed} {begin}: {nll:.4f}", flush=True)
    return pd.concat(tables, ignore_index=True)


def daily_table(scores: pd.DataFrame, series: int) -> pd.DataFrame:
    """NLL per series of each day, one column a model; seeds side by side."""
    named = scores["model"] + scores["seed"].map(lambda seed: f", seed {seed}" if seed else "")
    losses = scores.assign(model=named, nll=-scores["log_score"] / series)
    return losses.pivot(index="date", columns="model", values="nll").reset_index()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study and write the tables; ``--select`` for the years of choice."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--select", action="store_true", help="2007-2010 instead of the protocol")
    parser.add_argument("--models", nargs="*", default=list(MODELS), help="some only, no tables")
    chosen = parser.parse_args(arguments)
    returns, began = stock_returns(), time.process_time()
    if chosen.select:
        returns = returns[:"2010-12-31"]
    start = SELECTION if chosen.select else START
    scores = walk(chosen.models, returns, start=start)
    if list(chosen.models) != list(MODELS):
        return
    name = "rvrae_selection" if chosen.select else "rvrae"
    daily = daily_table(scores, returns.shape[1])
    held = scores.dropna(axis=0).drop(columns=["model", "seed", "log_score"])
    for suffix, table in {"": daily, "_portfolios": held}.items():
        write_results(
            name + suffix,
            table,
            command="make rvrae",
            seed=0,
            inputs=INPUTS,
            facts={"seconds": round(time.process_time() - began)},
        )
    print(daily.drop(columns="date").mean().round(4).to_string())
    print(f"tables in {os.path.relpath(FOLDER)}")
    for path in PARTS.glob(f"{start} *.pkl"):
        path.unlink()


if __name__ == "__main__":
    main()
