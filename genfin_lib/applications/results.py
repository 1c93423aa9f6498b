"""Results of long runs: a small table, and a record of how it came about."""

import hashlib
import io
import json
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from genfin_lib.data import provenance
from genfin_lib.data.snapshots import folder_of_data

Result = TypeVar("Result")

ROOT = Path(__file__).parents[2]
FOLDER = folder_of_data() / "results"


def write_results(
    name: str,
    table: pd.DataFrame,
    *,
    command: str,
    seed: int,
    inputs: Iterable[str],
    facts: Mapping[str, float | str] | None = None,
    folder: Path = FOLDER,
) -> None:
    """Write `NAME.csv`, rounded to six digits, and `NAME.json`.

    The record names the command, the commit, the seed, the SHA-256 of every snapshot that went in
    and of the table that came out.

    Args:
        name: Of both files.
        table: Result; its index is not written.
        command: What a reader types to get it again.
        seed: Of everything random in it.
        inputs: Data sets, names as for `genfin_lib.data.load`.
        facts: Anything else worth keeping, such as seconds taken.
        folder: Where to.

    Raises:
        ValueError: an empty table, an unknown data set, or a fact with a name of the record's own.
    """
    taken = {"command", "commit", "seed", "inputs", "rows", "sha256"} & set(facts or {})
    if taken:
        raise ValueError(f"facts {sorted(taken)}: these names belong to the record; choose others.")
    if table.empty:
        raise ValueError(f"the table of {name} is empty: there is no result to keep.")
    text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode()
    record = {
        "command": command,
        "commit": _commit(),
        "seed": seed,
        "inputs": {data: provenance(data)["sha256"] for data in inputs},
        **(facts or {}),
        "rows": len(table),
        "sha256": hashlib.sha256(text).hexdigest(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.csv").write_bytes(text)
    (folder / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def read_results(name: str, *, folder: Path = FOLDER) -> pd.DataFrame:
    """Read a table of results, if it is the recorded one and its inputs are still the same.

    Args:
        name: Of the result.
        folder: Where from.

    Returns:
        The table as written.

    Raises:
        FileNotFoundError: no such result.
        ValueError: the table was changed by hand, or a snapshot is another one than then.
    """
    path, record = folder / f"{name}.csv", read_record(name, folder=folder)
    text = path.read_bytes()
    if hashlib.sha256(text).hexdigest() != record["sha256"]:
        raise ValueError(f"{path.name} is not the recorded one: run `{record['command']}` again.")
    for data, digest in record["inputs"].items():
        if provenance(data)["sha256"] != digest:
            raise ValueError(
                f"{path.name} was computed from another {data}: run `{record['command']}` again."
            )
    # A series may be called NA.
    return pd.read_csv(io.BytesIO(text), keep_default_na=False, na_values=[""])


def read_record(name: str, *, folder: Path = FOLDER) -> dict[str, Any]:
    """How a result came about: command, commit, seed, checksums, and what else was kept.

    Args:
        name: Of the result.
        folder: Where from.

    Raises:
        FileNotFoundError: no such result.
    """
    path = folder / f"{name}.json"
    if not (path.is_file() and path.with_suffix(".csv").is_file()):
        raise FileNotFoundError(
            f"no {name}.csv with its record in {folder}: results come with a checkout of the book."
        )
    return json.loads(path.read_text(encoding="utf-8"))


def computed_once(path: Path, compute: Callable[[], Result]) -> Result:
    """Part of a long run: read if it is there, else computed and kept, whole or not at all.

    Args:
        path: A pickle; delete it to compute anew.
        compute: Gives the part.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        pd.to_pickle(compute(), unfinished)
        unfinished.replace(path)
    return pd.read_pickle(path)


def _commit() -> str:
    """The commit that the code was at, marked when files differed from it."""
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "unknown"
