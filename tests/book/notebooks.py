"""What a stored notebook must be, beyond what nbval sees. Each check returns its complaints.

nbval executes and compares, but it passes a notebook that was never executed, a cell that nobody
marked for comparison, and an announced error that did not happen.
"""

import re
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

MAX_BYTES = 1_000_000
MAX_LINES = 40
COMPARED = "nbval-check-output"
# What a reader is promised of each chapter, by a mark that shows it is there.
SECTIONS = {
    "what you will learn": r"you will learn",
    "prerequisites": r"\*\*Needs\*\*",
    "difficulty": r"\*\*(Level|Difficulty)\*\*",
    "expected time": r"\*\*Takes\*\*",
    "plain words": r"^## In plain words",
    "what goes wrong": r"^## What goes wrong",
    "summary": r"^## Summary",
    "exercises": r"^## Exercises",
    "a folded solution": r"\{solution(-start)?\}",
    "references": r"^## References",
}


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def text_of(notebook: Path) -> Path:
    return notebook.with_suffix(".myst.md")


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def first_line(cell: NotebookNode) -> str:
    return cell.source.strip().splitlines()[0][:60]


def differs_from_text(path: Path) -> list[str]:
    """Cells that are not those of the text from which the notebook is made."""

    def contents(notebook: NotebookNode) -> list[tuple[str, str, dict[str, object]]]:
        return [(cell.cell_type, cell.source, dict(cell.metadata)) for cell in notebook.cells]

    stored, written = contents(read(path)), contents(jupytext.read(text_of(path)))
    different = [cell[1][:60] for cell in written if cell not in stored]
    if not different and stored != written:
        different = ["cells were added or moved"]
    return different


def not_run_in_order(notebook: NotebookNode) -> list[str]:
    counts = [cell.execution_count for cell in code_cells(notebook)]
    return [] if counts == list(range(1, len(counts) + 1)) else [f"execution counts {counts}"]


def unexpected_errors(notebook: NotebookNode) -> list[str]:
    """Errors that were not announced, announced ones that did not happen, words on stderr."""
    complaints = []
    for cell in code_cells(notebook):
        failed = any(output.output_type == "error" for output in cell.outputs)
        if failed != ("raises-exception" in tags(cell)):
            complaints.append(f"{'failed' if failed else 'did not fail'}: {first_line(cell)}")
        if any(output.get("name") == "stderr" for output in cell.outputs):
            complaints.append(f"wrote to stderr: {first_line(cell)}")
    return complaints


def shows_words(cell: NotebookNode) -> bool:
    """Whether a cell shows text, numbers or a table: pictures cannot be compared, these can."""
    for output in cell.outputs:
        data = output.get("data", {})
        drawn = any(kind.startswith("image/") for kind in data)
        player = "text/html" in data and "<table" not in data["text/html"]
        if not (drawn or player):
            return True
    return False


def not_compared(notebook: NotebookNode) -> list[str]:
    """Numbers that a reader sees and that no test would miss."""
    return [
        first_line(cell)
        for cell in code_cells(notebook)
        if shows_words(cell) and COMPARED not in tags(cell)
    ]


def figures_without_words(notebook: NotebookNode) -> list[str]:
    """Pictures without a caption, a name to refer to, or a text alternative."""
    complaints = []
    for cell in code_cells(notebook):
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            metadata = cell.metadata.get("mystnb", {})
            figure = metadata.get("figure", {})
            complete = (
                metadata.get("image", {}).get("alt")
                and figure.get("caption")
                and str(figure.get("name", "")).startswith("fig-")
            )
            if not complete:
                complaints.append(first_line(cell))
    return complaints


def misses_sections(notebook: NotebookNode) -> list[str]:
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return [
        name
        for name, mark in SECTIONS.items()
        if not re.search(mark, prose, re.IGNORECASE | re.MULTILINE)
    ]


def badly_shaped(notebook: NotebookNode) -> list[str]:
    """Parameters come first, so that a reader can change them; cells stay short enough to read."""
    cells = code_cells(notebook)
    complaints = [
        f"{cell.source.count(chr(10)) + 1} lines: {first_line(cell)}"
        for cell in cells
        if cell.source.count("\n") >= MAX_LINES
    ]
    if "parameters" not in tags(cells[0]):
        complaints.append("the first code cell is not the one of parameters")
    return complaints


def names_a_machine(notebook: NotebookNode) -> list[str]:
    """Folders of the machine that executed the notebook, in warnings and tracebacks."""
    outputs = [str(cell.outputs) for cell in code_cells(notebook)]
    return sorted(
        set(re.findall(r"(?:/home|/root|/tmp|/Users|[A-Z]:\\\\Users)[^\s'\"]*", "".join(outputs)))
    )
