"""Cross references between chapters and library, read off the code cells.

A class or function says in the reference which chapters use it; a chapter ends with what it uses.
"""

from __future__ import annotations

import ast
import json
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils import nodes
from genfin_front import notebooks, start
from sphinx.application import Sphinx

LIBRARY = "genfin_lib"
SHOWN = 6  # chapters named for one object; the rest are counted


def home(described: object) -> str | None:
    """Where a class or function of the library was defined: its one name among several."""
    module, name = (getattr(described, key, None) for key in ("__module__", "__qualname__"))
    if isinstance(module, str) and module.startswith(LIBRARY) and name:
        return f"{module}.{name}"
    return None


def look_up(module: str, name: str) -> Any:
    found = getattr(import_module(module), name, None)
    return import_module(f"{module}.{name}") if found is None else found


def used(code: str) -> set[str]:
    """Homes of the library's classes and functions that a program names."""
    tree, names, found = ast.parse(code), {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(LIBRARY):
            for alias in node.names:
                names[alias.asname or alias.name] = look_up(str(node.module), alias.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in names:
            found.add(home(names[node.id]))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = names.get(node.value.id)
            if isinstance(owner, ModuleType):
                found.add(home(getattr(owner, node.attr, None)))
    return {name for name in found if name}


def read(path: Path) -> tuple[str, set[str]]:
    """Title of a notebook, and what it uses."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    lines = "\n".join(code).splitlines()
    return start(cells)["title"], used("\n".join(x for x in lines if not x.startswith(("%", "!"))))


def usage(app: Sphinx) -> dict[str, tuple[str, set[str]]]:
    """What each notebook of the site is called and uses, read once a build."""
    if not hasattr(app, "genfin_usage"):
        app.genfin_usage = {page: read(path) for page, path in notebooks(app)}
    return app.genfin_usage


def say_where_used(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    if what not in {"class", "function"}:
        return
    own = home(obj)
    pages = [(page, title) for page, (title, names) in usage(app).items() if own in names]
    if pages:
        links = [f":doc:`{title} </{page}>`" for page, title in pages]
        rest = f", and {len(links) - SHOWN} more" if len(links) > SHOWN else ""
        lines += ["", f":Used in: {', '.join(links[:SHOWN])}{rest}", ""]


def described(app: Sphinx) -> dict[str, tuple[str, str, str]]:
    """Page, anchor and full name of each object of the reference, by its home."""
    found = {}
    for name, entry in app.env.domains["py"].objects.items():
        if entry.objtype in {"class", "function"}:
            module, _, last = name.rpartition(".")
            found[home(look_up(module, last))] = entry.docname, entry.node_id, name
    return found


def list_what_is_used(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Add to a chapter a folded list of the classes and functions in its code, with links."""
    _, names = usage(app).get(docname, ("", set()))
    sections = [node for node in doctree.children[:1] if isinstance(node, nodes.section)]
    if app.builder.format != "html" or not names or not sections:
        return
    places = described(app)
    links: list[nodes.Node] = []
    for name in sorted(names & set(places), key=lambda n: places[n][2]):
        page, anchor, full = places[name]
        address = f"{app.builder.get_relative_uri(docname, page)}#{anchor}"
        link = nodes.reference("", "", internal=True, refuri=address)
        link += nodes.literal("", full.removeprefix(f"{LIBRARY}."))
        links += [link, nodes.Text(", ")]
    if links:
        block = nodes.admonition(classes=["dropdown", "library-used"])
        block += nodes.title("", "The library in this chapter")
        block += nodes.paragraph("", "", *links[:-1])
        sections[0] += block


def setup(app: Sphinx) -> dict[str, bool]:
    # After napoleon, whose sections are fields by then; before genfin_site folds what drops down.
    app.connect("autodoc-process-docstring", say_where_used, priority=900)
    app.connect("doctree-resolved", list_what_is_used, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
