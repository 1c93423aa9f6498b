"""The slack that cells of trained networks ask for: numbers may move a little, words may not."""

import re

import pytest

from chapters.conftest import TAG, agree
from tests.book.test_notebooks import NOTEBOOKS, code_cells, tags


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
def test_slack_is_small_and_only_where_outputs_are_compared(path: object) -> None:
    for cell in code_cells(path):
        slack = [tag for tag in tags(cell) if tag.startswith("within")]
        if slack:
            (tag,) = slack
            match = re.fullmatch(TAG, tag)
            assert match, tag
            assert int(match.group(1)) <= 25, cell.source
            assert "nbval-check-output" in tags(cell), cell.source
