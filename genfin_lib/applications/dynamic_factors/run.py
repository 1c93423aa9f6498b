"""Dynamic factor models through the protocol, one ingredient at a time: ``make rvrae``."""

import argparse
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from genfin_lib.applications.dynamic_factors.forecaster import (
    DynamicFactors,
    informed,
    linear,
    plain,
)
from genfin_lib.applications.dynamic_factors.inputs import Inputs, factor_inputs
from genfin_lib.applications.joint.designs import INPUTS, stock_returns
from genfin_lib.applications.protocol import REFIT_EVERY, START
from genfin_lib.applications.results import FOLDER, ROOT, computed_once, write_results

SELECTION = "2007-01-03"
FULL, SCALED = "informed", "common scale"
# What is learned from nothing needs more steps than what starts from slow loadings.
from_nothing = partial(DynamicFactors, features=False, epochs=40)
MODELS = {
    SCALED: DynamicFactors(partial(informed, common_scale=0.2), batch_size=5),
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
# Tried on the years of choice, where the full model and these are all there is.
CANDIDATES = {
    "5000 days": DynamicFactors(days=5000),
    "20 epochs": DynamicFactors(epochs=20),
    "7 factors": DynamicFactors(factors=7),
    "3 factors": MODELS["3 factors"],
    "no recurrence": MODELS["no recurrence"],
    "smaller batches": DynamicFactors(batch_size=5),
    SCALED: MODELS[SCALED],
}
# Which seeds: the rest is compared with seed 0.
SEEDS = {FULL: (0, 1), SCALED: (0, 1, 2)}
PARTS = ROOT / "data" / "cache" / "dynamic_factors"


def stretch(name: str, seed: int, inputs: Inputs, begin: int, end: int) -> pd.DataFrame:
    """Fit a model on the rows before ``begin`` and judge it on those up to ``end``.

    Returns:
        ``date, model, seed, log_score``.
    """
    model = _forecaster(name)
    model.seed = seed
    model.fit(inputs, begin)
    return pd.DataFrame(
        {
            "date": inputs.index[begin:end],
            "model": name,
            "seed": seed,
            "log_score": model.log_scores(inputs, begin, end),
        }
    )


def walk(
    names: Sequence[str], returns: pd.DataFrame, *, start: str, parts: Path | None = PARTS
) -> pd.DataFrame:
    """Every model from ``start`` on, refitted on a schedule; stretches done before are read."""
    sizes = {_forecaster(name).factors for name in names}
    known = {size: factor_inputs(returns, factors=size) for size in sizes}
    tables = []
    for name in names:
        inputs = known[_forecaster(name).factors]
        first = int(inputs.index.searchsorted(pd.Timestamp(start)))
        for seed in SEEDS.get(name, (0,)):
            for begin in range(first, len(inputs.index), REFIT_EVERY):
                end = min(begin + REFIT_EVERY, len(inputs.index))
                job = partial(stretch, name, seed, inputs, begin, end)
                kept = f"{start} {name} {seed} {begin}.pkl"
                tables.append(job() if parts is None else computed_once(parts / kept, job))
                nll = -tables[-1]["log_score"].mean() / returns.shape[1]
                print(f"{start} {name} {seed} {begin}: {nll:.4f}", flush=True)
    return pd.concat(tables, ignore_index=True)


def daily_table(scores: pd.DataFrame, series: int) -> pd.DataFrame:
    """NLL per series of each day, one column a model; seeds side by side, gaps where not judged."""
    named = scores["model"] + scores["seed"].map(lambda seed: f", seed {seed}" if seed else "")
    losses = scores.assign(model=named, nll=-scores["log_score"] / series)
    return losses.pivot(index="date", columns="model", values="nll").reset_index()


def _forecaster(name: str) -> DynamicFactors:
    """What a name stands for."""
    return (MODELS | CANDIDATES)[name]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study and write its table; ``--select`` for the years of choice."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--select", action="store_true", help="2007-2010 instead of the protocol")
    parser.add_argument("--models", nargs="*", help="some only, no table")
    chosen = parser.parse_args(arguments)
    returns = stock_returns()
    if chosen.select:
        returns = returns[:"2010-12-31"]
    start = SELECTION if chosen.select else START
    every = [FULL, *CANDIDATES] if chosen.select else list(MODELS)
    scores = walk(chosen.models or every, returns, start=start)
    if chosen.models:
        return
    daily = daily_table(scores, returns.shape[1])
    write_results(
        "rvrae_selection" if chosen.select else "rvrae",
        daily,
        command="make rvrae",
        seed=0,
        inputs=INPUTS,
    )
    print(daily.drop(columns="date").mean().round(4).to_string())
    print(f"table in {os.path.relpath(FOLDER)}")
    for path in PARTS.glob(f"{start} *.pkl"):
        path.unlink()


if __name__ == "__main__":
    main()
