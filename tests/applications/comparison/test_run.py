"""The frame of the comparison at a tiny size: every row, resumed, blind to later data."""

import dataclasses
import math
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch

from genfin_lib.applications.comparison import (
    ENTRIES,
    Budget,
    Entry,
    Task,
    against,
    compare,
    leaderboard,
    scoring,
)
from genfin_lib.applications.comparison.run import by_block
from genfin_lib.applications.comparison.tasks import (
    REGIME_WEIGHTS,
    cross_sections,
    regime_log_densities,
    regime_windows,
    return_windows,
)
from genfin_lib.applications.protocol import protocol_returns

TINY = Budget(times=1e-9, batch_size=30)  # one epoch
WITH_LATENTS = {
    "factor analysis",
    "VAE",
    "recurrent VAE",
    "TimeVAE",
    "hierarchical VAE",
    "RVRAE",
}
CLOCKS = ("seconds per 1000 draws", "seconds of training")


@pytest.fixture(autouse=True)
def lazy_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(scoring.JUDGE, "steps", 2)
    monkeypatch.setattr(scoring, "FEW", 40)


def tiny_windows() -> Task:
    return regime_windows(sizes=(200, 20, 50), length=64)


def tiny_rows() -> Task:
    torch.manual_seed(0)
    law = torch.distributions.StudentT(torch.tensor(5.0))
    common = law.sample((340, 1))
    parts = (common + law.sample((340, 15))).split([200, 40, 100])
    return Task("rows", *parts)


def some(*names: str) -> dict[str, Entry]:
    return {name: ENTRIES[name] for name in names}


def without_clocks(table: pd.DataFrame) -> pd.DataFrame:
    return table[~table["score"].isin(CLOCKS)].reset_index(drop=True)


def unbuildable(task: Task, seed: int, training: object) -> None:
    raise AssertionError("built again")


def test_every_row_runs_on_every_task_that_it_is_for(tmp_path: Path) -> None:
    tasks = [tiny_windows(), tiny_rows()]
    table, losses = compare(tasks, ENTRIES, seeds=[0], budget=TINY, folder=tmp_path)
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
        assert np.isfinite(scores["AUROC"]) == dense, name
        found = losses[(losses["task"] == task) & (losses["model"] == name)]
        mean = found.groupby("loss")["value"].mean()
        assert set(mean.index) == {"kernel", "nll"} if dense else {"kernel"}
        # The blocks are of equal size here.
        if dense:
            assert mean["nll"] == pytest.approx(scores["nll"], rel=1e-5)
        assert np.isfinite(scores["reconstruction"]) == (name in WITH_LATENTS), name
    # Reciting is what the test of memorisation finds.
    assert wide.loc[("regimes", "recital"), "novelty"] == 0
    assert wide.loc[("regimes", "recital"), "copies"] == 1
    board = leaderboard(table)
    assert set(board.columns) == {"task", "score", "model", "mean", "spread"}


def test_draws_without_a_tail_are_scored_all_the_same() -> None:
    class Explodes:
        def sample(self, n: int, *, seed: int) -> torch.Tensor:
            drawn = task.later[:n].clone()
            drawn[0] = 1e4  # beside it the rest is one value
            return drawn

    task = tiny_windows()
    scores, losses = scoring.score(Explodes(), task, seed=0)
    assert scores["facts that agree"] == 0
    assert scores["Wasserstein, 1 days"] > 1
    assert set(losses) == {"kernel"}


def test_kept_cells_are_not_computed_again(tmp_path: Path) -> None:
    tasks, models = [tiny_rows()], some("RealNVP", "block bootstrap")
    how = {"seeds": [0, 1], "budget": TINY, "folder": tmp_path}
    first, losses = compare(tasks, models, **how)
    assert len(list(tmp_path.iterdir())) == 4
    blocked = {n: dataclasses.replace(e, builder=unbuildable) for n, e in models.items()}
    again, same = compare(tasks, blocked, **how)
    pd.testing.assert_frame_equal(first, again)
    pd.testing.assert_frame_equal(losses, same)
    # Another budget or seed is another cell.
    for other in ({"budget": Budget(times=2e-9)}, {"seeds": [2]}):
        with pytest.raises(AssertionError, match="built again"):
            compare(tasks, blocked, **how | other)


def test_a_run_cut_short_goes_on(tmp_path: Path) -> None:
    tasks, models = [tiny_rows()], some("block bootstrap", "multivariate t")
    broken = models | {"broken": Entry(unbuildable, "none")}
    with pytest.raises(AssertionError, match="built again"):
        compare(tasks, broken, seeds=[0], budget=TINY, folder=tmp_path)
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_runs_unchanged_on_a_dask_cluster(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    tasks, models = [tiny_rows()], some("RealNVP", "GAN")
    how = {"seeds": [0], "budget": TINY}
    alone, losses = compare(tasks, models, folder=tmp_path / "alone", **how)
    # One thread of this process: the scheduler and the serialisation are those of a cluster.
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        spread, same = compare(tasks, models, folder=tmp_path / "cluster", **how)
    pd.testing.assert_frame_equal(without_clocks(alone), without_clocks(spread))
    pd.testing.assert_frame_equal(losses, same)


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


def losses_of(*means: float, seeds: int = 3, blocks: int = 100) -> pd.DataFrame:
    """Models whose losses share a wild part and differ by noise and by these means."""
    rng = np.random.default_rng(0)
    shared = 5 * rng.standard_normal((seeds, blocks))
    rows = [
        {"model": f"{m}", "seed": seed, "block": block, "value": value}
        for m in means
        for (seed, block), value in np.ndenumerate(shared + m + rng.standard_normal(shared.shape))
    ]
    return pd.DataFrame(rows)


def test_a_difference_is_judged_by_pairs() -> None:
    found = against(losses_of(0.0, 1.0, 0.0001), "0.0")
    assert found.index.tolist() == ["0.0001", "1.0"]
    assert found.loc["1.0", "difference"] == pytest.approx(1.0, abs=4 * found.loc["1.0", "error"])
    # Three seeds of a hundred blocks of noise sqrt(2): the shared part, 5, has gone.
    assert found.loc["1.0", "error"] == pytest.approx(math.sqrt(2 / 300), rel=1.0)
    assert abs(found.loc["0.0001", "t"]) < 3.5


def test_seeds_that_disagree_are_no_evidence() -> None:
    losses = losses_of(0.0, 0.0001)
    shift = (losses["model"] == "0.0001") * losses["seed"].map({0: 0.0, 1: 3.0, 2: 6.0})
    found = against(losses.assign(value=losses["value"] + shift), "0.0")
    assert found.loc["0.0001", "error"] == pytest.approx(3 / math.sqrt(3), rel=0.1)


def test_blocks_are_means_in_order() -> None:
    assert by_block([1.0, 2.0, 5.0, 6.0], (0, 1, 0, 1)) == [3.0, 4.0]
    assert by_block([1.0] * 50 + [2.0] * 50, ()) == [1.0, 2.0]


def test_examples_of_a_block_are_of_the_same_days() -> None:
    task = return_windows(stride=256)
    of = np.array(task.block)
    assert len(of) == len(task.later)
    assert set(np.bincount(of)) == {21}
    # The index and a stock of the same days move together; of other days, they do not.
    sums = task.later[:, 0].sum(dim=1).numpy()
    index, stock = sums[: of.max() + 1], sums[21 * 0 + (of.max() + 1) : 2 * (of.max() + 1)]
    assert np.corrcoef(index, stock)[0, 1] > 0.3


def test_a_task_of_unequal_shapes_is_refused() -> None:
    x = torch.zeros(20, 3)
    with pytest.raises(ValueError, match="of one shape"):
        Task("mine", x, x, x[:, :2])
