"""Imports point one way, files stay small enough to read."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "genfin_lib").rglob("*.py"))

# What each part of the library may import of the library, besides itself.
ALLOWED = {
    "nn": set(),
    "batches": set(),
    "checkpoints": set(),
    "distributions": set(),
    "training": {"batches", "checkpoints", "distributions"},
    "data": set(),
    "risk": set(),
    "trading": set(),
    "plotting": {"training"},
    "flows": {"nn", "distributions"},
    "latent": {"nn", "distributions", "flows"},
    "rivals": {"nn", "batches", "distributions", "flows", "training"},
    "applications": {
        "checkpoints",
        "data",
        "distributions",
        "flows",
        "latent",
        "nn",
        "risk",
        "rivals",
        "trading",
        "training",
    },
}


def part(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports(path: Path) -> set[str]:
    """Parts of the library that a file imports, wherever in the file it does so."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {part(name) for name in names if name.startswith("genfin_lib.")}
    return found


def name_of(path: Path) -> str:
    return path.relative_to(ROOT / "genfin_lib").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    own = name_of(path)
    if own == "__init__":
        assert imports(path) == set()
        return
    assert own in ALLOWED, f"{own} is new: say in ALLOWED what it may import"
    assert imports(path) <= ALLOWED[own] | {own}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_file_is_short_enough_to_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_nothing_is_imported_from_chapters_or_tests() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in ("chapters", "tests"), path
