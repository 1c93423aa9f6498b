"""How long a decision takes after the fetch: ``make latency``, on an otherwise idle machine."""

import os
import platform
import time

import pandas as pd
import torch

from genfin_lib.applications.forecasters import FlowForecaster
from genfin_lib.applications.live.pipeline import RiskPipeline
from genfin_lib.applications.results import write_results
from genfin_lib.data import simulate_candles

SEED = 0
BATCHES = (1, 20)  # symbols in one decision
THREADS = (1, 2)
ROUNDS = 4
PAST = 2000  # candles fitted on


def measure(
    symbols: int, *, threads: int, decisions: int = 1000, rounds: int = ROUNDS
) -> pd.DataFrame:
    """Latency of a pipeline with a fitted `FlowForecaster`, on simulated hourly candles.

    Args:
        symbols: In one decision.
        threads: Of torch.
        decisions: How many to time in a round.
        rounds: How often all is timed again: what other programs do to the machine shows between
            rounds, what the pipeline does within each.

    Returns:
        The medians over rounds of the quantiles of `RiskPipeline.latency`, with `device`,
        `threads` and `batch` in front; `p95_worst`, that of the worst round; and `rounds`. The
        device is the CPU: to ask a network of 16 hidden units about one row, a GPU takes longer
        to be told than the CPU to answer.
    """
    columns = {
        f"simulated {n}": simulate_candles(PAST + 20 + decisions, seed=SEED + n)["Close"]
        for n in range(symbols)
    }
    closes = pd.DataFrame(columns)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        pipeline = RiskPipeline(FlowForecaster(seed=SEED)).fit(closes[:PAST])
        history = closes[PAST + 1 - pipeline.window :]
        found = [pipeline.latency(history) for _ in range(rounds)]
    finally:
        torch.set_num_threads(before)
    by_stage = pd.concat(found).groupby(level="stage", sort=False)
    table = by_stage.median().assign(p95_worst=by_stage["p95"].max(), rounds=rounds).reset_index()
    for place, (name, value) in enumerate(
        {"device": "cpu", "threads": threads, "batch": symbols}.items()
    ):
        table.insert(place, name, value)
    return table


def main() -> None:
    """Measure all, and write the table."""
    began = time.perf_counter()
    busy = os.getloadavg()[0]
    table = pd.concat(
        [measure(symbols, threads=threads) for symbols in BATCHES for threads in THREADS],
        ignore_index=True,
    )
    facts: dict[str, float | str] = {
        "processor": platform.machine(),
        "cores": os.cpu_count() or 1,
        "torch": torch.__version__,
        "load_before": round(busy, 2),
        "priority": -os.nice(0),  # above 0: of first claim on a core, on a machine that is not idle
        "seconds": round(time.perf_counter() - began),
    }
    write_results("latency", table, command="make latency", seed=SEED, inputs=(), facts=facts)
    print(table.round(2).to_string(index=False))
    print(facts)


if __name__ == "__main__":
    main()
