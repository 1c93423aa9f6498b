"""What was fetched, on disk: whole pages or nothing, and which times they answer for."""

import hashlib
import io
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

_PART = re.compile(r"(\d+)-(\d+)-([0-9a-f]{16})\.parquet")
_MANY = 64  # parts, after which a run merges them


class Store:
    """One series of an exchange as a folder of Parquet files, each never changed.

    A file is called `BEGIN-END-SHA.parquet`: it holds every row that exists in that stretch of
    milliseconds, end excluded, and its name holds the checksum of its bytes. It is written under
    another name, flushed to the disk and then renamed, so a process that is killed leaves either
    the whole page or nothing; and there is no index that could disagree with the files. A gap of
    the market is a stretch that is answered for and has no rows. Chapter: the live pipeline.

    Args:
        folder: Of this series alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def lock(self, *, patience: float) -> Iterator[None]:
        """Hold this while writing. The system lets go of it when its process dies.

        Args:
            patience: Seconds to wait for another process.

        Raises:
            TimeoutError: another process is still writing.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / "lock", timeout=patience):
                yield
        except Timeout as error:
            raise TimeoutError(
                f"another process has been writing to {self.folder} for {patience:g} s: wait for "
                "it or stop it."
            ) from error

    def covered(self) -> list[tuple[int, int]]:
        """Stretches answered for, in order, those that touch as one."""
        merged: list[tuple[int, int]] = []
        for begin, end, _ in sorted(self._parts()):
            if merged and begin <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((begin, end))
        return merged

    def open_stretches(self, start: int, end: int) -> list[tuple[int, int]]:
        """Parts of `[start, end)` that are not answered for."""
        found = []
        for begin, stop in self.covered():
            if start < min(begin, end):
                found.append((start, min(begin, end)))
            start = max(start, stop)
        return [*found, (start, end)] if start < end else found

    def write(self, begin: int, end: int, rows: pd.DataFrame) -> Path:
        """Keep a page, in one step; its file."""
        buffer = io.BytesIO()
        rows.to_parquet(buffer)
        raw = buffer.getvalue()
        name = f"{begin}-{end}-{hashlib.sha256(raw).hexdigest()[:16]}.parquet"
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f"{name}.tmp"
        with temporary.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        return temporary.replace(self.folder / name)

    def read(self) -> pd.DataFrame:
        """All rows, in order of time.

        Returns:
            Indexed by `time`, milliseconds; empty, without columns, if there are no files.

        Raises:
            ValueError: a file that is not what was written.
        """
        while True:
            try:
                return self._together(self._parts())
            except FileNotFoundError:
                continue  # another process has just merged the files: look again

    def tidy(self) -> None:
        """Merge many files into one for each stretch, and drop what a killed process left."""
        for leftover in self.folder.glob("*.tmp"):
            leftover.unlink()
        parts = self._parts()
        if len(parts) <= _MANY:
            return
        for begin, end in self.covered():
            inside = [part for part in parts if begin <= part[0] < end]
            if len(inside) > 1:
                # Killed between the two, both remain: the same rows twice, and read once.
                whole = self.write(begin, end, self._together(inside))
                for path in {path for _, _, path in inside} - {whole}:
                    path.unlink()

    def checksum(self) -> str:
        """One SHA-256 for everything stored."""
        names = sorted(path.name for _, _, path in self._parts())
        return hashlib.sha256("\n".join(names).encode()).hexdigest()

    def _parts(self) -> list[tuple[int, int, Path]]:
        found = ((_PART.fullmatch(path.name), path) for path in self.folder.glob("*.parquet"))
        return [(int(name[1]), int(name[2]), path) for name, path in found if name]

    @staticmethod
    def _together(parts: Iterable[tuple[int, int, Path]]) -> pd.DataFrame:
        tables = [_verified(path) for _, _, path in sorted(parts)]
        if not tables:
            return pd.DataFrame(index=pd.Index([], dtype="int64", name="time"))
        rows = pd.concat(tables)
        return rows[~rows.index.duplicated(keep="last")].sort_index()


def _verified(path: Path) -> pd.DataFrame:
    raw = path.read_bytes()
    if hashlib.sha256(raw).hexdigest()[:16] != path.stem.rsplit("-", 1)[1]:
        raise ValueError(
            f"{path} is damaged: its bytes do not give the checksum in its name. Delete this file "
            "and fetch again: only its stretch of time is asked for anew."
        )
    return pd.read_parquet(io.BytesIO(raw))
