"""Whatever is handed in, the course's own tests are run."""

import copy
import json
from pathlib import Path

import nbformat
import pytest

from coursework.merge import LARGEST, UnreadableSubmission, merge, read_submission
from coursework.sources import is_test, mark
from tests.coursework.handed_in import blank, hand_in, source

NAME = "markets"


def merged(submission: nbformat.NotebookNode) -> nbformat.NotebookNode:
    return merge(submission, source(NAME), blank(NAME))


def cell_of(notebook: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    return next(cell for cell in notebook.cells if mark(cell).get("grade_id") == name)


def test_changed_tests_are_put_back() -> None:
    submission = hand_in(NAME, {})
    for cell in submission.cells:
        if is_test(cell):
            cell.source = "assert True"
            cell.metadata["nbgrader"]["points"] = 1000
    result = merged(submission)
    for ours, theirs in zip(source(NAME).cells, result.cells, strict=True):
        assert ours.source == theirs.source
        assert ours.metadata == theirs.metadata


def test_deleted_cells_come_back_empty() -> None:
    submission = hand_in(NAME, {})
    submission.cells = [c for c in submission.cells if mark(c).get("grade_id") != "kupiec"]
    result = merged(submission)
    assert "NotImplementedError" in cell_of(result, "kupiec").source
    assert "NotImplementedError" not in cell_of(result, "walk").source
    submission.cells = []
    assert [c.source for c in merged(submission).cells if mark(c).get("solution")] == [
        c.source for c in blank(NAME).cells if mark(c).get("solution")
    ]


def test_own_cells_stay_where_they_were() -> None:
    submission = hand_in(NAME, {})
    place = next(i for i, c in enumerate(submission.cells) if mark(c).get("grade_id") == "scaler")
    submission.cells.insert(place + 1, nbformat.v4.new_code_cell("helper = 1"))
    submission.cells.insert(0, nbformat.v4.new_code_cell("first = 1"))
    sources = [cell.source for cell in merged(submission).cells]
    assert sources[0] == "first = 1"
    assert sources.index("helper = 1") == 1 + sources.index(cell_of(submission, "scaler").source)
    assert len(sources) == len(source(NAME).cells) + 2


def test_a_copied_cell_counts_once() -> None:
    submission = hand_in(NAME, {})
    again = copy.deepcopy(cell_of(submission, "risk"))
    again.source = "second = 1"
    submission.cells.append(again)
    result = merged(submission)
    assert "def value_at_risk" in cell_of(result, "risk").source
    assert sum(mark(cell).get("grade_id") == "risk" for cell in result.cells) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "no notebook"),
        ("{]", "no notebook"),
        ('"text"', "no notebook"),
        (json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": 3}), "no notebook"),
        (json.dumps({"cells": [{"cell_type": "code"}]}), "no notebook"),
        ("[" * 100_000, "no notebook"),
        (" " * (LARGEST + 1), "MB"),
    ],
    ids=["empty", "broken", "text", "no cells", "half a cell", "deep", "huge"],
)
def test_what_is_no_notebook_is_said_to_be_none(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "markets.ipynb"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UnreadableSubmission, match=says):
        read_submission(path)
