"""Positions from one-day densities, walked forward: `make signals` (chapter: signals)."""

import os
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
from joblib import Parallel, cpu_count, delayed

from genfin_lib.applications.features import MarketContext
from genfin_lib.applications.forecasters import FlowForecaster
from genfin_lib.applications.protocol import INPUTS, REFIT_EVERY, START, protocol_returns
from genfin_lib.applications.results import FOLDER, write_results
from genfin_lib.risk.walk_forward import stretches
from genfin_lib.trading import (
    Backtest,
    backtest,
    compare_backtests,
    contrarian_signal,
    kelly_position,
    no_trade_band,
    var_sizing,
    volatility_target,
)

FIRST = "2007-01-03"  # first evening of the selection period, which ends before START
LEVELS = (0.99, 0.975, 0.95, 0.90)
YEAR = 252
CAP = 1.5
COST = 0.0005
BAND = 0.1
HOLD = "buy and hold"
# Midpoints of equal slices of probability: moments are means of quantiles over them.
SLICES = (np.arange(400) + 0.5) / 400


def evening_forecasts(
    returns: pd.DataFrame,
    *,
    start: str = FIRST,
    refit_every: int = REFIT_EVERY,
    seed: int = 0,
    n_jobs: int = 1,
) -> pd.DataFrame:
    """What a pooled flow, refitted on a schedule, says each evening of the day to come.

    Everything in a row is known at the close of its date.

    Args:
        returns: Percent log returns, one column a series, the first one the market.
        start: First evening, or the first trading day after it.
        refit_every: Days between refits.
        seed: Of the flow.
        n_jobs: Processes, one for each stretch between refits.

    Returns:
        Long table: `date` of the evening, `series`; `percentile` of that day's return under the
        forecast that had been made for it; and of the *next simple return*, decimals: `mean`,
        `volatility`, `p_up`, the probability that it is above zero, and `var_0.99` to `var_0.9`,
        positive losses.

    Raises:
        ValueError: as for `FlowForecaster`, or no evening from ``start`` on.
    """
    tables = Parallel(n_jobs=n_jobs)(
        delayed(_stretch)(returns.iloc[:end], begin, seed)
        for begin, end in stretches(returns, start, window=1, refit_every=refit_every)
    )
    table = pd.concat(tables)
    # A forecast belongs to the evening before its day; the percentile had to wait for the return.
    ahead = list(table.columns.drop("percentile"))
    table[ahead] = table.groupby(level="series", sort=False)[ahead].shift(-1)
    return table.dropna().reset_index()


def _stretch(returns: pd.DataFrame, begin: int, seed: int) -> pd.DataFrame:
    """Laws of the days from `begin` on, dated by the day forecast."""
    forecaster = FlowForecaster(context=MarketContext(index=returns.columns[0]), seed=seed)
    forecaster.fit(returns.iloc[:begin])
    days = returns.iloc[begin:]
    rows = []
    for law, came in zip(forecaster.laws(returns, len(days)), days.to_numpy(), strict=True):
        simple = np.expm1(law.quantile(SLICES[:, None]) / 100)  # (slices, S)
        var = -np.expm1(law.quantile(1 - np.array(LEVELS)[:, None]) / 100)
        rows.append(
            [law.cdf(came), simple.mean(axis=0), simple.std(axis=0), 1 - law.cdf(0.0), *var]
        )
    index = pd.MultiIndex.from_product([days.index, days.columns], names=["date", "series"])
    names = ["percentile", "mean", "volatility", "p_up", *(f"var_{level:g}" for level in LEVELS)]
    numbers = np.array(rows).transpose(0, 2, 1).reshape(-1, len(names))  # (days * S, numbers)
    return pd.DataFrame(numbers, index=index, columns=names)


def rules(evenings: pd.DataFrame, returns: pd.Series) -> pd.DataFrame:
    """Every rule of the chapter as positions of one series: all that was tried.

    Budgets are what the series itself did before `FIRST`: its volatility and its quantiles over all
    days. So an unchanged market would be held fully on average, more in calm and less in storm.

    Args:
        evenings: Rows of `evening_forecasts` of the series, indexed by date.
        returns: Its percent log returns, from before `FIRST` on.

    Returns:
        Shares of the capital, one column a rule.
    """
    past = np.expm1(returns[returns.index < FIRST] / 100)
    ewma = np.sqrt((returns / 100).pow(2).ewm(alpha=0.06).mean()).reindex(evenings.index)
    target = {"target": past.std() * YEAR**0.5, "periods_per_year": YEAR, "cap": CAP}
    kelly = kelly_position(evenings["mean"], evenings["volatility"], cap=CAP, fraction=0.5)
    sized = {
        level: var_sizing(evenings[f"var_{level:g}"], budget=-np.quantile(past, 1 - level), cap=CAP)
        for level in LEVELS
    }
    found = {
        HOLD: pd.Series(1.0, evenings.index),
        "volatility target, EWMA": volatility_target(ewma, **target),
        "volatility target, flow": volatility_target(evenings["volatility"], **target),
        "contrarian 5/95, history": contrarian_signal(
            returns.expanding().rank(pct=True).reindex(evenings.index)
        ),
        "contrarian 5/95, flow": contrarian_signal(evenings["percentile"]),
        "sign of the flow's mean": np.sign(evenings["mean"]),
        "half Kelly": kelly,
        "half Kelly, long only": kelly.clip(lower=0),
        **{f"VaR {100 * (1 - level):g} %": held for level, held in sized.items()},
        "VaR 2.5 %, band": no_trade_band(sized[0.975], band=BAND),
    }
    return pd.DataFrame(found)


def portfolio_backtests(
    evenings: pd.DataFrame,
    returns: pd.DataFrame,
    *,
    start: str,
    end: str | None = None,
    cost: float = COST,
    delay: int = 1,
) -> dict[str, Backtest]:
    """Each rule on each series with an equal share of the capital, as one portfolio.

    Args:
        evenings: Table of `evening_forecasts`.
        returns: Percent log returns of the series to hold, from before `FIRST` on.
        start: First evening on which a position is decided.
        end: Last day of a return; the end of the data if `None`.
        cost: As for `backtest`.
        delay: As for `backtest`.

    Returns:
        Backtests by name of the rule.

    Raises:
        ValueError: no series in common, or evenings missing between `start` and `end`.
    """
    by_series = {
        name: rules(part.set_index("date"), returns[name])
        for name, part in evenings.groupby("series", sort=False)
        if name in returns.columns
    }
    if not by_series:
        raise ValueError(f"no evenings of {list(returns.columns)}: forecast these series first")
    positions = pd.concat(by_series, axis=1) / len(by_series)  # columns (series, rule)
    simple = np.expm1(returns[list(by_series)] / 100)
    window = simple.loc[start:end].index
    decided = positions.reindex(window)
    decided.iloc[-1] = 0.0  # nothing earns after the last day, so nothing is decided on it
    if decided.isna().to_numpy().any():
        day = decided.index[decided.isna().any(axis=1)][0]
        raise ValueError(f"no forecast on the evening of {day:%Y-%m-%d}: start later, or fill it")
    return {
        rule: backtest(
            decided.xs(rule, axis=1, level=1),
            simple.loc[window],
            periods_per_year=YEAR,
            cost=cost,
            delay=delay,
        )
        for rule in positions.columns.unique(level=1)
    }


def _judged(evenings: pd.DataFrame, returns: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Tables of the selection period and of the test period."""
    before = str(returns.index[returns.index < START][-1].date())
    for period, start, end in (("selection", FIRST, before), ("test", before, None)):
        tests = portfolio_backtests(evenings, returns, start=start, end=end)
        table = compare_backtests(tests, benchmark=HOLD, seed=0)
        table.insert(0, "period", period)
        yield table.rename_axis("rule").reset_index()


def main() -> None:
    """Forecast every evening, keep the index's, and judge the rules on the stocks."""
    began = time.perf_counter()
    returns, jobs = protocol_returns(), cpu_count()
    evenings = evening_forecasts(returns, n_jobs=jobs)
    evenings.to_parquet(FOLDER / "signals_forecasts.parquet", index=False)
    seconds = {"processes": jobs, "forecast_seconds": round(time.perf_counter() - began)}
    index, *stocks = returns.columns
    tables = {
        "signals_index": evenings[evenings["series"] == index].drop(columns="series"),
        "signals_stocks": pd.concat(_judged(evenings, returns[stocks])),
    }
    for name, table in tables.items():
        write_results(name, table, command="make signals", seed=0, inputs=INPUTS, facts=seconds)
    print(tables["signals_stocks"].round(2).to_string(index=False))
    print(f"{len(evenings)} evenings in {os.path.relpath(FOLDER)}; {seconds}")


if __name__ == "__main__":
    main()
