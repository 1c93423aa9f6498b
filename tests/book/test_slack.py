"""The slack that cells of trained networks ask for: numbers may move a little, words may not."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from chapters.conftest import TAG, agree
from tests.book.test_notebooks import NOTEBOOKS, ROOT, code_cells, tags


@pytest.mark.parametrize(
    ("new", "stored", "share", "same"),
    [
        ("NLL 10.15 nats", "NLL 10.19 nats", 0.01, True),
        ("NLL 10.15 nats", "NLL 10.30 nats", 0.01, False),
        ("NLL 10.15 nats", "nll 10.15 nats", 0.01, False),
        ("power 14%", "power 13%", 0.0, True),  # a unit of the last digit
        ("power 15%", "power 13%", 0.1, False),
        ("power 15%", "power 13%", 0.2, True),
        ("<td>-16</td>", "<td>+16</td>", 0.2, False),
        ("<td>-0.00</td>", "<td>0.01</td>", 0.0, True),
        ("12,345 rows", "12,300 rows", 0.01, True),
        ("12,345 rows", "345 rows", 0.01, False),
        ("   t\n-9.8\n", "    t\n-10.1\n", 0.05, True),
        ("1.2e-05", "1.3e-05", 0.0, True),
        ("1.2e-05", "1.2e-06", 0.5, False),
        ("1 2", "1 2 3", 1.0, False),
        ("GJR2", "GJR3", 1.0, False),  # a digit of a name is no number
    ],
)
def test_agreement(new: str, stored: str, share: float, same: bool) -> None:
    assert agree(new, stored, share) is same
    assert agree(stored, new, share) is same


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_slack_is_small_and_only_where_outputs_are_compared(path: Path) -> None:
    for cell in code_cells(path):
        slack = [tag for tag in tags(cell) if tag.startswith("within")]
        if slack:
            (tag,) = slack
            match = re.fullmatch(TAG, tag)
            assert match, tag
            assert int(match.group(1)) <= 25, cell.source
            assert "nbval-check-output" in tags(cell), cell.source


@pytest.mark.parametrize(("stored", "passes"), [("NLL 10.15", True), ("NLL 12.00", False)])
def test_nbval_grants_the_slack(tmp_path: Path, stored: str, passes: bool) -> None:
    """Through nbval itself, which passes outputs on in a form of its own."""
    outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"{stored}\n")]
    tag = {"tags": ["nbval-check-output", "within-1-percent"]}
    cell = nbformat.v4.new_code_cell(
        "print('NLL 10.19')", execution_count=1, outputs=outputs, metadata=tag
    )
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=kernel), tmp_path / "a.ipynb")
    shutil.copy(ROOT / "chapters" / "conftest.py", tmp_path)
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--rootdir", tmp_path, tmp_path]
    run = subprocess.run([*map(str, command), "-c", os.devnull], capture_output=True, text=True)
    assert (run.returncode == 0) is passes, run.stdout + run.stderr
