"""Every notebook keeps the rules of the book: pairing, a clean run, arc, length, alt texts."""

import re
from pathlib import Path

import jupytext
import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(
    path
    for path in (ROOT / "chapters").rglob("*.ipynb")
    if not {".ipynb_checkpoints", "assignment"} & set(path.parts)
)
ARC = ["You will learn", "In plain words", "What goes wrong", "Summary", "Exercises", "References"]

pytestmark = pytest.mark.parametrize(
    "path", NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT / "chapters"))
)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def prose(path: Path) -> str:
    return "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def test_notebook_equals_its_text_source(path: Path) -> None:
    text = jupytext.read(path.with_name(path.stem + ".myst.md"))
    stored = read(path)
    expected = [(c.cell_type, c.source.strip(), dict(c.metadata)) for c in text.cells]
    found = [(c.cell_type, c.source.strip(), dict(c.metadata)) for c in stored.cells]
    assert found == expected, f"run make notebook NB={path.relative_to(ROOT)}"


def test_notebook_holds_one_clean_run(path: Path) -> None:
    cells = code_cells(path)
    counts = [cell.execution_count for cell in cells]
    assert counts == list(range(1, len(cells) + 1))
    for cell in cells:
        for output in cell.outputs:
            assert output.get("name") != "stderr", output.text
            wanted = "raises-exception" in tags(cell)
            assert (output.output_type == "error") <= wanted, output.get("evalue")
        if "raises-exception" in tags(cell):
            assert any(output.output_type == "error" for output in cell.outputs), cell.source


def test_every_printed_number_is_compared(path: Path) -> None:
    """Text and tables are compared by nbval; only pictures and players are not."""
    compared = 0
    for cell in code_cells(path):
        kinds = {key for output in cell.outputs for key in output.get("data", {})}
        player = any('class="player"' in str(o.get("data", {})) for o in cell.outputs)
        prints = any(o.output_type in ("stream", "error") for o in cell.outputs)
        if prints or (kinds and not player and "image/png" not in kinds):
            assert "nbval-check-output" in tags(cell), cell.source
            compared += 1
    assert compared >= 5


def test_no_figure_cell_prints_the_object_it_returns(path: Path) -> None:
    for cell in code_cells(path):
        kinds = [set(output.get("data", {})) for output in cell.outputs]
        if any("image/png" in kind for kind in kinds):
            assert {"text/plain"} not in kinds, "end the cell with plt.show()"


def test_parameters_come_first_and_imports_second(path: Path) -> None:
    first, second = code_cells(path)[:2]
    assert "parameters" in tags(first)
    assert second.source.startswith(("import", "from"))


def test_arc_is_complete_and_in_order(path: Path) -> None:
    positions = [prose(path).find(heading) for heading in ARC]
    assert -1 not in positions, ARC[positions.index(-1)]
    assert positions == sorted(positions)


def test_each_exercise_has_an_executed_solution(path: Path) -> None:
    text = prose(path)
    exercises = re.findall(r":label: (ex-[\w-]+)", text)
    solutions = re.findall(r"\{solution-start\} (ex-[\w-]+)", text)
    assert 3 <= len(exercises) <= 6
    assert solutions == exercises


def test_length_is_that_of_one_sitting(path: Path) -> None:
    cells = read(path).cells
    start = next(i for i, cell in enumerate(cells) if "## Exercises" in cell.source)
    words = sum(len(cell.source.split()) for cell in cells[:start] if cell.cell_type == "markdown")
    shown = [
        line
        for cell in cells[:start]
        if cell.cell_type == "code" and "hide-input" not in tags(cell)
        for line in cell.source.splitlines()
        if line.strip()
    ]
    assert 1300 <= words <= 2500
    assert len(shown) <= 240
    assert all(len(cell.source.splitlines()) <= 40 for cell in code_cells(path))
    assert path.stat().st_size < 1_000_000


def test_every_figure_has_caption_name_and_alternative_text(path: Path) -> None:
    for cell in code_cells(path):
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            figure = cell.metadata["mystnb"]["figure"]
            assert figure["caption"]
            assert figure["name"].startswith("fig-")
            assert len(cell.metadata["mystnb"]["image"]["alt"]) > 40


def test_no_cell_asks_the_network_or_installs(path: Path) -> None:
    for cell in code_cells(path):
        assert not re.search(r"pip install|^\s*[!%]|https?://|requests\.", cell.source, re.M)
