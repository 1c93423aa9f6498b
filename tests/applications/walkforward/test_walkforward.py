"""Flows over the protocol: kept fits, averages of tables, falls, and a slice from scratch."""

import numpy as np
import pandas as pd

from genfin_lib.applications import (
    FlowForecaster,
    QuantileAverage,
    protocol_returns,
    read_results,
)
from genfin_lib.applications.protocol import LEVELS, START
from genfin_lib.applications.walkforward.falls import falls_table
from genfin_lib.applications.walkforward.kept import KeptFlow
from genfin_lib.applications.walkforward.run import (
    DESIGNS,
    REFIT_EVERY,
    SEEDS,
    averaged,
    chosen,
    forecast,
    panel,
    stretch_table,
)
from genfin_lib.applications.walkforward.timing import timing_table
from genfin_lib.risk import Ewma, Garch, walk_forward
from tests.cluster import dask_cluster
from tests.contracts.forecasters import market

SMALL = {"hidden": (8,), "batch_size": 128}


def test_kept_flow_is_fitted_once_for_the_same_rows_and_settings(tmp_path) -> None:
    returns = market(400)
    first = KeptFlow(tmp_path, **SMALL).fit(returns)
    again = KeptFlow(tmp_path, **SMALL).fit(returns)
    assert len(list(tmp_path.iterdir())) == 1
    for model in (again, FlowForecaster(**SMALL).fit(returns)):
        np.testing.assert_array_equal(
            first.forecast(returns).quantile(0.01), model.forecast(returns).quantile(0.01)
        )
    KeptFlow(tmp_path, **SMALL, seed=1).fit(returns)
    KeptFlow(tmp_path, **SMALL).fit(returns.iloc[:-1])
    assert len(list(tmp_path.iterdir())) == 3


def test_flow_runs_unchanged_on_a_dask_cluster_of_two_workers() -> None:
    returns = market(420)
    run = {"start": returns.index[400], "refit_every": 10}
    alone = walk_forward(FlowForecaster(**SMALL), returns, **run)
    # Processes: torch has one random state for all threads of a process, and a fit needs its own.
    with dask_cluster(workers=2, processes=True):
        spread = walk_forward(FlowForecaster(**SMALL), returns, **run)
    pd.testing.assert_frame_equal(alone, spread)


def test_averaged_table_is_that_of_the_averaged_law() -> None:
    returns = market(440)
    run = {"start": returns.index[420], "refit_every": 250}
    parts = pd.concat(
        [walk_forward(model, returns, **run) for model in (Ewma(), Garch())], ignore_index=True
    )
    table = averaged(parts, ("Ewma", "Garch"), "both")
    law = walk_forward(QuantileAverage((Ewma(), None), (Garch(), None)), returns, **run)
    columns = ["date", "series", "level", "var", "es", "realized"]
    pd.testing.assert_frame_equal(table[columns], law[columns], rtol=1e-12)
    assert table[["log_score", "pit"]].isna().all(axis=None)
    assert law["log_score"].notna().all()


def test_means_over_seeds_are_models_of_their_own() -> None:
    returns = market(460)
    run = {"start": returns.index[400], "refit_every": 250}
    names = [f"{kind}, seed {seed}" for kind in ("flow", "no spline") for seed in SEEDS]
    names += ["GJR skew-t, 25 days", "GJR, FHS, 25 days", "GJR, EVT, 25 days"]
    tables = [
        walk_forward(Ewma(decay=0.9 + 0.01 * k), returns, model=name, **run)
        for k, name in enumerate(names)
    ]
    table = panel(pd.concat(tables, ignore_index=True), draws=200).set_index(["model", "level"])
    seeds = table.loc[[f"flow, seed {seed}" for seed in SEEDS]]
    mean = seeds.groupby("level")[["fz0", "nll", "hit_rate"]].mean()
    pd.testing.assert_frame_equal(
        mean, table.loc["flow, mean of seeds", mean.columns].sort_index(), check_names=False
    )
    assert np.isnan(table.loc[("GJR, EVT, 25 days", 0.99), "fz0_dm_evt"])
    assert np.isfinite(
        table.loc[("flow, seed 1", 0.99), ["fz0_dm", "fz0_dm_fhs"]].astype(float)
    ).all()


def test_falls_are_counted_and_compared() -> None:
    days = 1000
    returns = pd.DataFrame({"SP500": np.zeros(days), "A": 0.0, "B": 0.0})
    returns.iloc[:20, 0] = -4.0
    returns.iloc[::50, 1] = -6.0
    p = np.full((days, 2, 3), 0.02)
    table = falls_table({"m": p}, returns, falls=(3.0, 5.0)).set_index(["group", "fall"])
    assert table["observed"].to_list() == [20, 0, 20, 20]
    np.testing.assert_allclose(table["expected"], [20, 20, 40, 40])
    np.testing.assert_allclose(
        table.loc[("index", 3.0), ["low", "high"]].astype(float), [12.26, 30.72], atol=0.01
    )
    assert table.loc[("stocks", 3.0), "z"] < -3  # regular falls, half as many as expected


def test_timing_has_a_row_for_the_panel_and_one_for_a_single_series() -> None:
    table = timing_table({"Ewma": (Ewma, 200)}, market(400), days=20)
    assert table["series"].to_list() == [2, 1]
    assert (table[["p50", "p95", "p99"]].to_numpy() > 0).all()
    assert (table["p50"] <= table["p99"]).all()


def test_tables_are_complete_and_agree() -> None:
    table, means = read_results("walkforward"), read_results("walkforward_panel")
    for name in DESIGNS:
        assert len(table[table["model"] == name]) == 21 * len(LEVELS)
    keys, losses = ["model", "level"], ["hit_rate", "pinball", "fz0"]
    recomputed = table.groupby(keys)[losses].mean()
    published = means.set_index(keys)[losses].loc[recomputed.index]
    pd.testing.assert_frame_equal(recomputed, published, atol=2e-5, rtol=1e-4)


def test_first_stretch_of_the_flow_recomputed_from_prices_is_the_published_one(tmp_path) -> None:
    returns = protocol_returns()
    first = returns.index.searchsorted(pd.Timestamp(START))
    few = returns.iloc[: first + REFIT_EVERY]
    mine = forecast(chosen(tmp_path), "flow, seed 0", returns=few, start=START)
    keys = ["model", "level", "start"]
    table = stretch_table(mine).set_index(keys)
    published = read_results("walkforward_stretches").set_index(keys).loc[table.index]
    # Training in double precision; another processor may differ in the fifth digit.
    pd.testing.assert_frame_equal(table, published, rtol=2e-3)
