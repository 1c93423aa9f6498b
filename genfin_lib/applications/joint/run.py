"""Joint densities of the 20 stocks and risk of their portfolio, whole protocol: ``make joint``."""

import argparse
import math
import os
import time
from collections.abc import Sequence
from functools import partial

import pandas as pd
from arch.univariate import SkewStudent
from joblib import cpu_count
from scipy.special import logsumexp

from genfin_lib.applications.joint.designs import (
    FLOW_COPULA,
    INPUTS,
    POOLED,
    REFERENCE,
    WHITENED,
    equal_weights,
    flow_models,
    joint_models,
    pooled_models,
    stock_returns,
)
from genfin_lib.applications.joint.walk import Model, walk_forward_joint
from genfin_lib.applications.protocol import (
    LEVELS,
    REFIT_EVERY,
    START,
    panel_table,
    series_table,
)
from genfin_lib.applications.results import FOLDER, ROOT, computed_once, write_results
from genfin_lib.risk import (
    Forecaster,
    Garch,
    PeaksOverThreshold,
    diebold_mariano,
    walk_forward,
)

SELECTION = "2007-01-01"  # to the end of 2010: where designs were chosen
# Every design runs with seed 0, the best on the years of selection with the other too.
SEEDS = (0, 1)
BEST = (POOLED, FLOW_COPULA, WHITENED)
DRAWS = 3000
# Those whose portfolio is simulated.
PORTFOLIOS = (
    "Gaussian",
    "multivariate t",
    REFERENCE,
    WHITENED,
    POOLED,
)
# Of a run that is not finished.
PARTS = ROOT / "data" / "cache" / "joint"


def with_mixtures(scores: pd.DataFrame) -> pd.DataFrame:
    r"""Add equal mixtures of densities, :math:`\frac1K \sum_k p_k`, over seeds and over designs.

    Args:
        scores: ``date, model, log_score, seed`` of all models.

    Returns:
        The same, with the mixtures under seed -1.
    """
    wide = scores.pivot(index="date", columns=["model", "seed"], values="log_score")
    groups = {f"{name}, mixture of seeds": [name] for name in BEST}
    groups["mixture of the three"] = list(BEST)
    parts = [scores]
    for name, members in groups.items():
        logs = wide[members]
        mixed = pd.Series(logsumexp(logs, axis=1) - math.log(logs.shape[1]), index=wide.index)
        table = mixed.rename("log_score").reset_index().assign(model=name, seed=-1)
        parts.append(table[scores.columns])
    return pd.concat(parts, ignore_index=True)


def nll_table(scores: pd.DataFrame, *, series: int) -> pd.DataFrame:
    """Negative log-likelihood per series and day, by model and seed, over all days and by year.

    Args:
        scores: ``date, model, log_score, seed``; models without chance have seed 0.
        series: Number of series.

    Returns:
        ``model, seed, nll, nll_dm`` (Diebold-Mariano against the reference; negative: better) and
        one column for each year.
    """
    daily = {
        key: -part.set_index("date")["log_score"] / series
        for key, part in scores.groupby(["model", "seed"], sort=False)
    }
    reference = daily[REFERENCE, 0]
    rows = []
    for (model, seed), loss in daily.items():
        against = math.nan if model == REFERENCE else diebold_mariano(loss, reference).statistic
        by_year = loss.groupby(loss.index.year).mean()
        rows.append(
            {"model": model, "seed": seed, "nll": loss.mean(), "nll_dm": against}
            | {str(year): value for year, value in by_year.items()}
        )
    return pd.DataFrame(rows)


def univariate_forecasts(returns: pd.DataFrame, *, n_jobs: int) -> pd.DataFrame:
    """Forecasts of the portfolio by models that see it as one series."""
    skew = Garch(innovations=SkewStudent, asymmetric=True)
    alone: dict[str, Forecaster] = {
        "portfolio: GJR skew-t": skew,
        "portfolio: GJR, EVT": PeaksOverThreshold(skew),
    }
    tables = [
        walk_forward(
            model,
            equal_weights(returns).to_frame(),
            start=START,
            window=1000,
            refit_every=REFIT_EVERY,
            levels=LEVELS,
            model=name,
            n_jobs=n_jobs,
        )
        for name, model in alone.items()
    ]
    return pd.concat(tables, ignore_index=True)


def portfolio_table(forecasts: pd.DataFrame) -> pd.DataFrame:
    """Losses and tests of every model of the portfolio, and the simulation error of VaR and ES."""
    keys = ["model", "level"]
    table = series_table(forecasts).set_index(keys)
    against = panel_table(forecasts, reference="portfolio: GJR skew-t").set_index(keys)
    relative = forecasts.assign(
        var_error=forecasts["var_se"] / forecasts["var"],
        es_error=forecasts["es_se"] / forecasts["es"],
    )
    errors = relative.groupby(keys, sort=False)[["var_error", "es_error"]].mean()
    return table.join(against["fz0_dm"]).join(errors).reset_index()


def scored(
    returns: pd.DataFrame, *, start: str, seeds: Sequence[int], portfolios: bool, n_jobs: int
) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """Joint forecasts of every design, part by part; a run that was cut off takes up where it was.

    Returns:
        ``date, model, log_score, seed``, the portfolio's table of `walk_forward_joint`, and the
        seconds that all parts took.
    """
    classical = joint_models()
    if not portfolios:
        # Nothing was chosen among the others.
        classical = {REFERENCE: classical[REFERENCE]}
    parts = {"classical": classical, "flows": flow_models(0), "pooled": pooled_models(0)}
    for seed in seeds[1:]:
        again = flow_models(seed) | pooled_models(seed)
        parts[f"seed {seed}"] = {name: again[name] for name in BEST}
    scores, risks, total = [], [], 0.0
    for name, models in parts.items():
        seed = int(name.split()[1]) if name.startswith("seed") else 0
        wanted = [model for model in PORTFOLIOS if portfolios and seed == 0 and model in models]
        job = partial(_timed, models, returns, start=start, portfolios=wanted, n_jobs=n_jobs)
        table, drawn, seconds = computed_once(PARTS / f"{start} {name}.pkl", job)
        scores.append(table.assign(seed=seed))
        risks.append(drawn)
        total += seconds
        print(f"{name}: {seconds:.0f} s", flush=True)
    table = with_mixtures(pd.concat(scores, ignore_index=True))
    return table, pd.concat(risks, ignore_index=True), total


def _timed(
    models: dict[str, Model],
    returns: pd.DataFrame,
    *,
    start: str,
    portfolios: Sequence[str],
    n_jobs: int,
) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    began = time.perf_counter()
    scores, risks = walk_forward_joint(
        models,
        returns,
        start=start,
        refit_every=REFIT_EVERY,
        portfolios=portfolios,
        draws=DRAWS,
        n_jobs=n_jobs,
    )
    return scores, risks, time.perf_counter() - began


def main() -> None:
    """Run everything and write the tables; with ``--select``, the years before the test alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--select", action="store_true", help="only 2007-2010, where we chose")
    select = parser.parse_args().select
    returns, jobs = stock_returns(), cpu_count()
    if select:
        returns = returns[:"2010-12-31"]
        scores, _, _ = scored(
            returns, start=SELECTION, seeds=SEEDS[:1], portfolios=False, n_jobs=jobs
        )
        table = nll_table(scores, series=returns.shape[1])
        write_results("joint_selection", table, command="make joint", seed=0, inputs=INPUTS)
        print(table.iloc[:, :4].round(4).to_string(index=False))
        return
    scores, risks, seconds = scored(returns, start=START, seeds=SEEDS, portfolios=True, n_jobs=jobs)
    table = nll_table(scores, series=returns.shape[1])
    forecasts = pd.concat([risks, univariate_forecasts(returns, n_jobs=jobs)], ignore_index=True)
    portfolio = portfolio_table(forecasts)
    facts = {"seconds": round(seconds), "processes": jobs}
    write_results("joint", table, facts=facts, command="make joint", seed=0, inputs=INPUTS)
    write_results(
        "joint_portfolio", portfolio, facts=facts, command="make joint", seed=0, inputs=INPUTS
    )
    forecasts.to_parquet(FOLDER / "joint_portfolio_forecasts.parquet", index=False)
    scores.to_parquet(FOLDER / "joint_scores.parquet", index=False)
    for path in PARTS.glob(f"{START} *.pkl"):
        path.unlink()
    print(table.iloc[:, :4].round(4).to_string(index=False))
    print(portfolio.iloc[:, :7].round(4).to_string(index=False))
    print(f"tables in {os.path.relpath(FOLDER)}; {seconds:.0f} s")


if __name__ == "__main__":
    main()
