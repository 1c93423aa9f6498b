"""Ways into the book, made from the book: a map of its models, its best figures, its times.

Nothing here is written twice: figures and times come from the notebooks, times of long studies from
the records of their results.
"""

from __future__ import annotations

import base64
import html
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import model_map
from docutils import nodes
from docutils.statemachine import StringList
from PIL import Image
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

LOGGER = logging.getLogger(__name__)
PICTURES = "_images/gallery"
STATED = re.compile(r"\*\*Level\*\*: ([^.]+)\..*?\*\*Takes\*\*: (.+?) to read, (.+?) to run")
WIDTH = 560  # pixels of a small picture: twice its size on the page


class drawing(nodes.General, nodes.Element):
    """The map of models; its links wait until pages have their addresses."""


class gallery(nodes.General, nodes.Element):
    """Small pictures that lead to the figures of the chapters."""


def notebooks(app: Sphinx) -> Iterator[tuple[str, Path]]:
    """Names and files of the notebooks that are part of the site, in the order of their names."""
    for docname in sorted(app.env.found_docs):
        path = Path(app.env.doc2path(docname))
        if path.suffix == ".ipynb":
            yield docname, path


def prose(cells: list[dict[str, Any]]) -> str:
    return "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def figures(path: Path) -> dict[str, tuple[str, bytes]]:
    """Text alternative and picture of each figure of a notebook, by name."""
    found = {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        shown = cell["metadata"].get("mystnb", {})
        for output in cell.get("outputs", []):
            picture = "".join(output.get("data", {}).get("image/png", ""))
            if picture and "figure" in shown:
                alt = shown["image"]["alt"]
                found[shown["figure"]["name"]] = alt, base64.b64decode(picture)
    return found


def start(cells: list[dict[str, Any]]) -> dict[str, str]:
    """Title, level and times, as a notebook states them at its top."""
    text = " ".join(prose(cells).split())
    match = STATED.search(text)
    if match is None:
        raise ValueError("a notebook says at its top its **Level** and what it **Takes**")
    title = re.search(r"^# (.+)$", prose(cells), re.MULTILINE)
    return {
        "title": title.group(1) if title else "",
        "level": match.group(1),
        "read": match.group(2),
        "run": match.group(3),
    }


def studies(makefile: str, records: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Command, what it does and what it took, of every long run whose results are stored."""
    commands = dict(re.findall(r"^([a-z-]+):.*## (.+)$", makefile, re.MULTILINE))
    took: dict[str, str] = {}
    for record in records:
        match = re.fullmatch(r"make ([a-z-]+)", record["command"])
        if match and match.group(1) in commands:
            seconds = sum(record[key] for key in record if key.endswith("seconds"))
            minutes = f"{seconds / 60:.0f} minutes" if seconds else ""
            processes = record.get("processes")
            if minutes and processes:
                minutes += f", {processes} process{'es' if processes > 1 else ''}"
            took[match.group(1)] = max(took.get(match.group(1), ""), minutes)
    return [(f"make {name}", commands[name], took[name]) for name in sorted(took)]


class Markdown(SphinxDirective):
    """Text in the notation of the page around it."""

    def render(self, lines: list[str]) -> list[nodes.Node]:
        place = nodes.Element()
        self.state.nested_parse(StringList(lines, source=""), self.content_offset, place)
        return place.children


class Chapters(Markdown):
    """A table of the chapters with their level and times."""

    def run(self) -> list[nodes.Node]:
        lines = ["| Chapter | Level | To read | To run |", "|---|---|---|---|"]
        for docname, path in notebooks(self.env.app):
            self.env.note_dependency(str(path))
            about = start(json.loads(path.read_text(encoding="utf-8"))["cells"])
            link = f"[{about['title']}](/{docname})"
            lines.append(f"| {link} | {about['level']} | {about['read']} | {about['run']} |")
        return self.render(lines)


class Studies(Markdown):
    """A table of the long runs behind the stored results."""

    def run(self) -> list[nodes.Node]:
        root = Path(self.env.srcdir)
        records = sorted((root / "data" / "results").glob("*.json"))
        for path in (root / "Makefile", *records):
            self.env.note_dependency(str(path))
        rows = studies(
            (root / "Makefile").read_text(encoding="utf-8"),
            [json.loads(path.read_text(encoding="utf-8")) for path in records],
        )
        lines = ["| Command | What it does | Recorded time |", "|---|---|---|"]
        return self.render(lines + [f"| `{a}` | {b} | {c or 'not recorded'} |" for a, b, c in rows])


class ModelMap(SphinxDirective):
    """The models by latent variable and by time; their border says how the likelihood is known."""

    def run(self) -> list[nodes.Node]:
        printed = addnodes.only(expr="latex")
        items = nodes.bullet_list()
        for line in model_map.as_text():
            items += nodes.list_item("", nodes.paragraph("", line))
        printed += items
        return [drawing(), printed]


class Gallery(SphinxDirective):
    """Each line holds the name of a figure and a few words below it, with a colon between them."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        return [gallery(lines=[line.partition(": ")[::2] for line in self.content if line])]


def small(picture: bytes) -> bytes:
    """The picture in half its size, in few colours: a page of them stays light."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.thumbnail((WIDTH, 2 * WIDTH), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.quantize(96).save(file, "PNG", optimize=True)
    return file.getvalue()


def hang(app: Sphinx, docname: str, lines: list[tuple[str, str]]) -> str:
    """Write the pictures beside the pages, and return the wall that shows them."""
    sources = {
        name: (page, *figure)
        for page, path in notebooks(app)
        for name, figure in figures(path).items()
    }
    to_root = app.builder.get_relative_uri(docname, app.config.root_doc).rpartition("/")[0]
    folder = Path(app.outdir, PICTURES)
    folder.mkdir(parents=True, exist_ok=True)
    cards = []
    for name, words in lines:
        if name not in sources:
            LOGGER.warning("gallery: no notebook of the site has a figure %s", name)
            continue
        page, alt, picture = sources[name]
        (folder / f"{name}.png").write_bytes(small(picture))
        link = f"{app.builder.get_relative_uri(docname, page)}#{name}"
        source = "/".join(filter(None, (to_root, PICTURES, f"{name}.png")))
        cards.append(
            f'<li><a href="{link}"><img src="{source}" alt="{html.escape(alt)}" loading="lazy">'
            f"<span>{html.escape(words)}</span></a></li>"
        )
    return f'<ul class="gallery">{"".join(cards)}</ul>'


def resolve(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    def address(page: str) -> str | None:
        known = page in app.env.found_docs
        return app.builder.get_relative_uri(docname, page) if known else None

    for place in [*doctree.findall(drawing), *doctree.findall(gallery)]:
        if app.builder.format != "html":
            place.replace_self([])
        elif isinstance(place, gallery):
            wall = hang(app, docname, place["lines"])
            place.replace_self(nodes.raw("", wall, format="html"))
        else:
            place.replace_self(nodes.raw("", model_map.draw(address), format="html"))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(drawing)
    app.add_node(gallery)
    app.add_directive("chapters-table", Chapters)
    app.add_directive("studies-table", Studies)
    app.add_directive("model-map", ModelMap)
    app.add_directive("gallery", Gallery)
    app.connect("doctree-resolved", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
