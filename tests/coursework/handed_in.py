"""Notebooks as students hand them in."""

import copy
from functools import cache

import nbformat
from nbformat import NotebookNode

from coursework.release import student_version
from coursework.sources import mark, read, source_notebooks


@cache
def source(assignment: str) -> NotebookNode:
    return read(source_notebooks()[assignment])


@cache
def blank(assignment: str) -> NotebookNode:
    return student_version(source(assignment))


def hand_in(assignment: str, answers: dict[str, str], *, model: bool = True) -> NotebookNode:
    """The student's version with answers; other cells hold the model solution, or nothing."""
    notebook = copy.deepcopy(blank(assignment))
    solutions = {mark(cell).get("grade_id"): cell.source for cell in source(assignment).cells}
    for cell in notebook.cells:
        name = mark(cell).get("grade_id")
        if mark(cell).get("solution"):
            cell.source = answers.get(name, solutions[name] if model else cell.source).strip()
    unknown = set(answers) - set(solutions)
    assert not unknown, unknown
    return notebook


def write(notebook: NotebookNode, path: str) -> None:
    nbformat.write(notebook, path)
