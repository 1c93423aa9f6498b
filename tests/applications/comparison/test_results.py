"""What the chapter reads, computed again from scratch in three cells."""

from pathlib import Path

import pytest

from genfin_lib.applications import read_results
from genfin_lib.applications.comparison import ENTRIES, TASKS, Budget
from genfin_lib.applications.comparison.run import cell

# Clocks differ from machine to machine; the rest by rounding, or by training on another processor.
CLOCKS = {"seconds per 1000 draws", "seconds of training"}


@pytest.mark.parametrize(
    ("name", "slack"), [("block bootstrap", 1e-4), ("multivariate t", 1e-3), ("RealNVP", 0.1)]
)
def test_a_cell_computed_again_is_the_stored_one(name: str, slack: float, tmp_path: Path) -> None:
    again = cell(TASKS["cross-sections"](), name, ENTRIES[name], 0, Budget(), tmp_path)
    table = read_results("comparison")
    chosen = table.query("task == 'cross-sections' and model == @name and seed == 0")
    stored = chosen.set_index("score")["value"].drop(list(CLOCKS))
    found = {key: value for key, value in again["scores"].items() if key not in CLOCKS}
    assert set(stored.index) == set(found)
    # A trained judge and a count have steps of their own.
    for score, value in stored.drop(["discriminative", "copies"]).items():
        assert found[score] == pytest.approx(value, rel=slack, abs=slack / 10), score
    losses = read_results("comparison_losses")
    chosen = losses.query("task == 'cross-sections' and model == @name and seed == 0")
    for loss, part in chosen.groupby("loss"):
        assert again["each"][loss] == pytest.approx(part["value"].tolist(), rel=slack, abs=slack)


def test_each_row_is_on_every_task_that_it_is_for_with_all_its_seeds() -> None:
    table = read_results("comparison")
    found = table.groupby(["task", "model"])["seed"].nunique()
    for name, entry in ENTRIES.items():
        tasks = {"windows", "regimes"} if entry.windows is not None else set()
        tasks |= {"cross-sections"} if entry.rows is not None else set()
        assert tasks == {task for task, model in found.index if model == name}
    assert found.nunique() == 1
