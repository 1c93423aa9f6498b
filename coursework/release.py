"""Students' versions of the assignments: no solution, no hidden test, no output."""

import copy
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearOutput,
    ClearSolutions,
    LockCells,
)

from coursework.sources import read, source_notebooks

STEPS = (CheckCellMetadata, LockCells, ClearSolutions, ClearHiddenTests, ClearOutput)
FOLDER = "student"


def student_version(source: NotebookNode) -> NotebookNode:
    """The notebook that students get.

    Raises:
        ValueError: If a mark that begins a solution or a hidden test is never ended.
    """
    notebook, resources = copy.deepcopy(source), {}
    try:
        for step in STEPS:
            notebook, resources = step().preprocess(notebook, resources)
    except RuntimeError as error:
        raise ValueError(f"{error}; close each '### BEGIN ...' by its '### END ...'") from error
    return notebook


def student_path(source: Path) -> Path:
    """Where the student's version of a source notebook is written."""
    return source.parent / FOLDER / source.name


def main() -> None:
    """Write the student's version of each assignment."""
    for name, path in source_notebooks().items():
        text = nbformat.writes(student_version(read(path))) + "\n"
        target = student_path(path)
        target.parent.mkdir(exist_ok=True)
        # A file that would not change keeps its time, so that the site is not built again.
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")
        print(f"{name}: {target.parent.parent.parent.name}/assignment/{FOLDER}/{target.name}")


if __name__ == "__main__":
    main()
