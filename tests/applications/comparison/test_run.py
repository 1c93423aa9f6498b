"""The frame of the comparison at a tiny size: every row, resumed, blind to later data."""

import dataclasses
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch

from genfin_lib.applications.comparison import ENTRIES, Budget, Entry, Task, compare, leaderboard
from genfin_lib.applications.comparison.tasks import (
    REGIME_WEIGHTS,
    cross_sections,
    regime_log_densities,
    regime_windows,
    return_windows,
)
from genfin_lib.applications.protocol import protocol_returns

TINY = Budget(examples=60, batch_size=30)
CLOCKS = ("seconds per 1000 draws", "seconds of training")


def tiny_windows() -> Task:
    return regime_windows(sizes=(60, 20, 40), length=24)


def tiny_rows() -> Task:
    torch.manual_seed(0)
    law = torch.distributions.StudentT(torch.tensor(5.0))
    common = law.sample((260, 1))
    parts = (common + law.sample((260, 4))).split([100, 40, 120])
    return Task("rows", *parts)


def some(*names: str) -> dict[str, Entry]:
    return {name: ENTRIES[name] for name in names}


def without_clocks(table: pd.DataFrame) -> pd.DataFrame:
    return table[~table["score"].isin(CLOCKS)].reset_index(drop=True)


def unbuildable(task: Task, seed: int, budget: Budget) -> None:
    raise AssertionError("built again")


def test_every_row_runs_on_every_task_that_it_is_for(tmp_path: Path) -> None:
    tasks = [tiny_windows(), tiny_rows()]
    table, densities = compare(tasks, ENTRIES, seeds=[0], budget=TINY, folder=tmp_path)
    wide = table.pivot_table(index=["task", "model"], columns="score", values="value", sort=False)
    expected = {(task.name, name) for task in tasks for name, e in ENTRIES.items() if e.takes(task)}
    assert set(wide.index) == expected
    assert (wide["finite"] == 1).all()
    for (task, name), scores in wide.iterrows():
        dense = ENTRIES[name].likelihood != "none"
        assert np.isfinite(scores["nll"]) == dense, name
        assert scores[["MMD", "novelty", "copies"]].notna().all(), name
        assert scores["VaR ratio, 0.99"] > 0
        assert pd.notna(scores.get("missed")) == (task == "regimes")
        found = densities[(densities["task"] == task) & (densities["model"] == name)]
        assert len(found) == (dense and len(tasks[task == "rows"].later))
        if dense:
            assert -found["log_prob"].mean() == pytest.approx(scores["nll"], rel=1e-5)
    # Reciting is what the test of memorisation finds.
    assert wide.loc[("regimes", "recital"), "novelty"] == 0
    assert wide.loc[("regimes", "recital"), "copies"] == 1
    board = leaderboard(table)
    assert set(board.columns) == {"task", "score", "model", "mean", "spread"}


def test_kept_cells_are_not_computed_again(tmp_path: Path) -> None:
    tasks, models = [tiny_rows()], some("RealNVP", "block bootstrap")
    run = {"seeds": [0, 1], "budget": TINY, "folder": tmp_path}
    first, densities = compare(tasks, models, **run)
    assert len(list(tmp_path.iterdir())) == 4
    blocked = {n: dataclasses.replace(e, build=unbuildable) for n, e in models.items()}
    again, same = compare(tasks, blocked, **run)
    pd.testing.assert_frame_equal(first, again)
    pd.testing.assert_frame_equal(densities, same)
    # Another budget or seed is another cell.
    for other in ({"budget": Budget(examples=61)}, {"seeds": [2]}):
        with pytest.raises(AssertionError, match="built again"):
            compare(tasks, blocked, **run | other)


def test_a_run_cut_short_goes_on(tmp_path: Path) -> None:
    tasks, models = [tiny_rows()], some("block bootstrap", "multivariate t")
    broken = models | {"broken": Entry(unbuildable, "none")}
    with pytest.raises(AssertionError, match="built again"):
        compare(tasks, broken, seeds=[0], budget=TINY, folder=tmp_path)
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_runs_unchanged_on_a_dask_cluster(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    tasks, models = [tiny_rows()], some("RealNVP", "GAN")
    run = {"seeds": [0], "budget": TINY}
    alone, densities = compare(tasks, models, folder=tmp_path / "alone", **run)
    # One thread of this process: the scheduler and the serialisation are those of a cluster.
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        spread, same = compare(tasks, models, folder=tmp_path / "cluster", **run)
    pd.testing.assert_frame_equal(without_clocks(alone), without_clocks(spread))
    pd.testing.assert_frame_equal(densities, same)


@pytest.mark.parametrize("name", ["MAF", "GAN", "diffusion", "GARCH"])
def test_no_model_sees_the_later_data(name: str) -> None:
    task, entry = tiny_windows(), ENTRIES[name]
    corrupted = dataclasses.replace(task, later=1000 * torch.ones_like(task.later))
    drawn = [entry.build(t, 0, TINY).sample(5, seed=1) for t in (task, corrupted)]
    assert torch.equal(*drawn)


def test_windows_are_cut_within_periods_and_scaled_by_training_alone() -> None:
    task = return_windows(stride=256)
    returns = protocol_returns()
    train = returns[returns.index.year < 2011]
    scaled = returns / train.std()
    np.testing.assert_allclose(task.train[0, 0], scaled.iloc[:64, 0], rtol=1e-5)
    first = scaled[scaled.index.year >= 2014]
    np.testing.assert_allclose(task.later[:2].flatten(), first.iloc[:128, 0], rtol=1e-5)
    assert len(task.later) == 21 * (len(first) // 64)
    between = scaled[(scaled.index.year >= 2011) & (scaled.index.year < 2014)]
    assert len(task.validation) == 21 * ((len(between) - 64) // 256 + 1)


def test_cross_sections_are_the_stocks_day_by_day() -> None:
    task, stocks = cross_sections(), protocol_returns().drop(columns="SP500")
    assert task.train.shape[1] == 20
    pieces = torch.cat((task.train, task.validation, task.later))
    np.testing.assert_allclose(pieces, stocks, rtol=1e-5, atol=1e-6)


def test_regimes_are_told_apart_for_certain() -> None:
    task = regime_windows(sizes=(10, 10, 4000))
    joint = regime_log_densities(task.later.numpy()) + np.log(REGIME_WEIGHTS)
    share = (joint.argmax(axis=1) == 0).mean()
    assert share == pytest.approx(0.75, abs=4 * np.sqrt(0.75 * 0.25 / 4000))
    assert (np.abs(joint[:, 0] - joint[:, 1]) > 5).mean() > 0.99


def test_a_task_of_unequal_shapes_is_refused() -> None:
    x = torch.zeros(20, 3)
    with pytest.raises(ValueError, match="of one shape"):
        Task("mine", x, x, x[:, :2])
