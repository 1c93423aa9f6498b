"""Several strategies side by side, with the errors that decide whether one is better."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from genfin_lib.trading.backtest import Backtest
from genfin_lib.trading.sharpe import (
    deflated_sharpe_ratio,
    probabilistic_sharpe_ratio,
    sharpe_interval,
)


def compare_backtests(
    tests: Mapping[str, Backtest],
    *,
    benchmark: str,
    seed: int,
    confidence: float = 0.95,
    block: int = 21,
    draws: int = 1000,
) -> pd.DataFrame:
    """Performance of each strategy, its lead over a benchmark, and what is left after selection.

    Args:
        tests: By name, over the same bars. *All* that were tried belong here: the deflated ratio
            counts them.
        benchmark: Name of the one to beat.
        seed: Of the bootstrap; the same resamples for every strategy.
        confidence: Of the intervals.
        block: Mean length of the bootstrap's blocks, in bars.
        draws: Resamples.

    Returns:
        A row for each strategy: the columns of `performance_metrics`; `sharpe_low` and
        `sharpe_high`, the interval of `sharpe_interval`; `lead`, `lead_low` and `lead_high`, the
        Sharpe ratio minus the benchmark's and its interval (NaN for the benchmark); `psr`, the
        probabilistic Sharpe ratio against zero; `dsr`, the deflated one, all strategies being
        trials.

    Raises:
        ValueError: an unknown benchmark, fewer than two strategies, or other bars or periods per
            year than the benchmark's.
    """
    if benchmark not in tests or len(tests) < 2:
        raise ValueError(f"benchmark {benchmark!r} among {list(tests)}: two or more, it among them")
    reference = tests[benchmark]
    years = reference.periods_per_year
    for name, test in tests.items():
        same = test.net_returns.index.equals(reference.net_returns.index)
        if not same or test.periods_per_year != years:
            raise ValueError(f"{name!r} has other bars than {benchmark!r}: compare equal periods")
    table = pd.DataFrame({name: test.metrics() for name, test in tests.items()}).T
    options: dict[str, Any] = {
        "periods_per_year": years,
        "seed": seed,
        "confidence": confidence,
        "block": block,
        "draws": draws,
    }
    rows = {}
    for name, test in tests.items():
        x = test.net_returns.to_numpy()
        low, high = sharpe_interval(x, **options)
        ahead = (np.nan, np.nan)
        if name != benchmark:
            ahead = sharpe_interval(x, benchmark=reference.net_returns, **options)
        rows[name] = {
            "sharpe_low": low,
            "sharpe_high": high,
            "lead": table.loc[name, "sharpe"] - table.loc[benchmark, "sharpe"],
            "lead_low": ahead[0],
            "lead_high": ahead[1],
            "psr": probabilistic_sharpe_ratio(x, periods_per_year=years),
            "dsr": deflated_sharpe_ratio(
                x, periods_per_year=years, trial_ratios=table["sharpe"].to_numpy()
            ),
        }
    table = table.join(pd.DataFrame(rows).T)
    table.loc[benchmark, "lead"] = np.nan
    return table
