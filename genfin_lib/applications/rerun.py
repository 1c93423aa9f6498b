"""A chapter over again on the reader's own market: ``make notebook NB=... SYMBOL=BTC/USDT``.

The committed notebook is read and not written: the copy lies with the fetched data, which stay on
the reader's machine.
"""

import argparse
import ast
import sys
from pathlib import Path
from typing import Any

import nbclient
import nbformat
from nbclient.exceptions import CellExecutionError

from genfin_lib.data import provenance
from genfin_lib.data.exchange.fetch import cache_folder


def rerun(notebook: Path, parameters: dict[str, Any], *, folder: Path, timeout: int = 900) -> Path:
    """Execute a copy of a notebook with other parameters.

    A cell with the new values follows the parameter cell, so that the copy shows both. It ends
    before the exercises, whose solutions are about the chapter's own data.

    Args:
        notebook: An `.ipynb` whose first code cell is tagged `parameters`.
        parameters: Values for names that this cell assigns.
        folder: Where the copy goes, under the notebook's name.
        timeout: Seconds for one cell.

    Returns:
        The copy, executed to its end.

    Raises:
        FileNotFoundError: no such notebook.
        ValueError: no parameter cell, or a name that it does not assign.
        CellExecutionError: a cell failed; the copy up to there is written.
    """
    book, position = _opened(notebook)
    known = assigned(book.cells[position].source)
    if unknown := sorted(set(parameters) - set(known)):
        raise ValueError(
            f"{notebook.name} has no parameter {', '.join(unknown)}: its first cell sets "
            f"{', '.join(known)}."
        )
    new = nbformat.v4.new_code_cell(
        "\n".join(f"{name} = {value!r}" for name, value in parameters.items()),
        metadata={"tags": ["injected-parameters"]},
    )
    told = ", ".join(f"`{name} = {value!r}`" for name, value in parameters.items())
    note = nbformat.v4.new_markdown_cell(
        f"**This is a copy, run with {told}.** The text was written for other data: believe "
        "the numbers that the cells print, not those in the sentences. Exercises are left out."
    )
    end = next(
        (n for n, cell in enumerate(book.cells) if "## Exercises" in cell.source), len(book.cells)
    )
    book.cells = [note, *book.cells[: position + 1], new, *book.cells[position + 1 : end]]
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / notebook.name
    try:
        nbclient.NotebookClient(
            book, timeout=timeout, kernel_name="python3", record_timing=False
        ).execute()
    finally:
        nbformat.write(book, copy)
    return copy


def assigned(source: str) -> list[str]:
    """Names that a cell assigns, in order."""
    return [
        target.id
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]


def for_market(notebook: Path, name: str, extra: str = "") -> dict[str, Any]:
    """Parameters that put a fetched data set in place of a chapter's own.

    Args:
        notebook: The chapter.
        name: As for `genfin_lib.data.load`.
        extra: Further ones, as Python: `"end_of_past = '2024'; seed = 1"`.

    Returns:
        `dataset`; where the chapter has them, `dropped`, empty, and `index`, the first symbol; and
        what `extra` says.

    Raises:
        ValueError: the chapter has no `dataset`, or `extra` is no list of assignments of literals.
        FileNotFoundError: not fetched yet, or no such notebook.
    """
    book, position = _opened(notebook)
    known = assigned(book.cells[position].source)
    if "dataset" not in known:
        raise ValueError(
            f"{notebook.name} has no parameter dataset, only {', '.join(known)}: it is about fixed "
            "data and cannot be run on others."
        )
    values = {"dataset": name, "dropped": [], "index": provenance(name)["columns"][0]}
    chosen = {key: value for key, value in values.items() if key in known}
    for node in ast.parse(extra).body:
        if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
            raise ValueError(f'SET={extra!r}: assignments such as SET="seed = 1" are needed.')
        chosen[node.targets[0].id] = ast.literal_eval(node.value)
    return chosen


def _opened(notebook: Path) -> tuple[nbformat.NotebookNode, int]:
    """A chapter and the place of its parameter cell."""
    if not notebook.is_file():
        raise FileNotFoundError(
            f"there is no {notebook}: NB=chapters/02_flows/01_name is the form."
        )
    book = nbformat.read(notebook, as_version=4)
    first = next((n for n, cell in enumerate(book.cells) if cell.cell_type == "code"), None)
    if first is None or "parameters" not in book.cells[first].metadata.get("tags", []):
        raise ValueError(
            "the first code cell is not tagged parameters: this is no chapter of the book."
        )
    return book, first


def main(arguments: list[str] | None = None) -> int:
    """Run the chapter, and say where the copy is; the exit status."""
    parser = argparse.ArgumentParser(prog="make notebook", description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--symbol", required=True)
    parser.add_argument("--timeframe", default="1h")
    parser.add_argument("--exchange", default="bybit")
    parser.add_argument("--set", default="")
    asked = parser.parse_args(arguments)
    name = f"{asked.exchange}:{asked.symbol}:{asked.timeframe}"
    folder = cache_folder() / "notebooks" / name.replace("/", "-").replace(":", "_")
    try:
        chosen = for_market(asked.notebook, name, asked.set)
        print(f"{rerun(asked.notebook, chosen, folder=folder)} is the copy, run with {chosen}")
    except CellExecutionError as error:
        print(
            f"A cell of the chapter does not work on these data; {folder / asked.notebook.name} "
            f"shows how far it came.\n{error.ename}: {error.evalue}",
            file=sys.stderr,
        )
        return 1
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
