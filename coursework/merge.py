"""From what a student handed in to what is run: the student's code, the course's tests."""

import copy
import json
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from coursework.sources import is_solution, is_test, mark

LARGEST = 5_000_000  # bytes; a notebook without its outputs has a hundredth of that


class UnreadableSubmission(ValueError):
    """A file that is no notebook; the message is for the student."""


def read_submission(path: Path) -> NotebookNode:
    """Read what was handed in.

    Raises:
        UnreadableSubmission: If it is too large, no JSON, or no notebook.
    """
    size = path.stat().st_size
    if size > LARGEST:
        raise UnreadableSubmission(
            f"the file has {size / 1e6:.0f} MB and may have {LARGEST / 1e6:.0f}; clear the outputs"
        )
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
        # nbformat takes a file without a version for one of the year 2013, and converts it.
        if not (isinstance(content, dict) and content.get("nbformat") == 4):
            raise UnreadableSubmission("the file is no notebook of format 4; save it anew")
        nbformat.validate(content)
        notebook: NotebookNode = nbformat.reads(text, as_version=4)
    except UnreadableSubmission:
        raise
    except Exception as error:  # whatever a file may do to its reader
        reason = str(getattr(error, "message", error))[:80] or type(error).__name__
        raise UnreadableSubmission(f"the file is no notebook ({reason})") from error
    return notebook


def merge(submission: NotebookNode, source: NotebookNode, blank: NotebookNode) -> NotebookNode:
    """Put the student's answers, and whatever cells the student added, between the course's own.

    Tests and given code come from ``source``, whatever became of them in the submission. An answer
    that was deleted is the empty one of ``blank``, and costs its own points only. Cells that the
    student added stay behind the cell that they follow.

    Args:
        submission: What was handed in.
        source: The assignment with solutions and hidden tests.
        blank: The version that students get.

    Returns:
        A notebook without outputs, to be run.
    """
    ours = {mark(cell)["grade_id"] for cell in source.cells if mark(cell)}
    answers: dict[str, NotebookNode] = {}
    added: dict[str | None, list[NotebookNode]] = {}
    last: str | None = None
    for cell in submission.cells:
        name = mark(cell).get("grade_id")
        # A copied cell keeps its mark: the first one is the answer, the others are additions.
        if name in ours and name not in answers:
            answers[name], last = cell, name
            continue
        if cell.cell_type == "code" and not _is_given(cell, source):
            added.setdefault(last, []).append(cell)
    merged = copy.deepcopy(source)
    merged.cells = [_plain(cell) for cell in added.get(None, [])]
    for cell, empty in zip(source.cells, blank.cells, strict=True):
        name = mark(cell).get("grade_id")
        if is_solution(cell):
            taken = answers.get(name, empty)
            body = taken.source if taken.cell_type == cell.cell_type else empty.source
            merged.cells.append(_like(cell, body))
        else:
            merged.cells.append(_like(cell, cell.source))
        merged.cells += [_plain(extra) for extra in added.get(name, [])] if name else []
    return merged


def _is_given(cell: NotebookNode, source: NotebookNode) -> bool:
    """Whether it is code of the assignment that nobody marked: imports and the like."""
    return any(cell.source == given.source for given in source.cells if not mark(given))


def _like(cell: NotebookNode, body: str) -> NotebookNode:
    taken = copy.deepcopy(cell)
    taken.source = body
    if taken.cell_type == "code":
        taken.outputs, taken.execution_count = [], None
    return taken


def _plain(cell: NotebookNode) -> NotebookNode:
    """A cell of the student's own, which can earn nothing."""
    return nbformat.v4.new_code_cell(cell.source)


def points(notebook: NotebookNode) -> dict[str, float]:
    """Points of each test by its name."""
    return {mark(c)["grade_id"]: float(mark(c)["points"]) for c in notebook.cells if is_test(c)}
