"""Where assignments are, and what nbgrader's marks on their cells mean."""

from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]


def source_notebooks() -> dict[str, Path]:
    """Path of each source notebook by the assignment's name, in the order of the chapters."""
    found = sorted((ROOT / "chapters").glob("*/assignment/*.ipynb"))
    return {path.stem: path for path in found}


def read(path: Path) -> NotebookNode:
    """A notebook of today's format."""
    notebook: NotebookNode = nbformat.read(path, as_version=4)
    return notebook


def mark(cell: NotebookNode) -> dict[str, Any]:
    """What nbgrader knows of a cell; empty for a cell that it does not know."""
    found: dict[str, Any] = cell.metadata.get("nbgrader", {})
    return found


def is_test(cell: NotebookNode) -> bool:
    """Whether the cell holds tests that earn points."""
    return bool(mark(cell).get("grade")) and cell.cell_type == "code"


def is_solution(cell: NotebookNode) -> bool:
    """Whether the cell is for the student to fill."""
    return bool(mark(cell).get("solution"))
