"""Files that hold the state of a run: whole, or not there at all."""

import os
from pathlib import Path
from typing import Any

import torch


def write(path: Path, state: dict[str, Any]) -> None:
    """Write to a temporary file, flush it to the disk, and rename.

    A process that dies at any moment leaves the previous checkpoint as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read(path: Path) -> dict[str, Any]:
    """Read what :func:`write` wrote; no code in the file is run.

    Raises:
        ValueError: If the file is damaged or something else.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path} is no checkpoint, or a damaged one; delete it") from error
