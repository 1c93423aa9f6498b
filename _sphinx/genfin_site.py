"""Local Sphinx extension: repairs of what the stock theme and its companions leave undone.

Three aims, each checked by ``tests/site``: a page asks no other host for anything, it has no
accessibility violation, and it reads well on a phone, on paper and in the dark.
"""

from __future__ import annotations

import io
import re
import shutil
from importlib import import_module
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy.typing
from docutils import nodes
from PIL import Image
from sphinx import addnodes
from sphinx.application import Sphinx

# All that tex-chtml.js can ask for while a page is read: its fonts, and TeX packages on first use.
MATHJAX = ("tex-chtml.js", "output/chtml/fonts/woff-v2", "input/tex/extensions")

# An icon in the theme's script: name, size, other names, code point, outline.
ICON = re.compile(
    r'(?:"([a-z0-9-]+)"|\b([a-z0-9]+)):'
    r'\[\d+,\d+,\[([^\]]*)\],"[0-9a-f]+",(?:"[^"]*"|\[[^\]]*\])\],?'
)
EMPTY_HEADER = re.compile(r"<th\b([^>]*)>(?:\s|&nbsp;)*</th>")
REPEATED_IDS = {"exercise-content", "proof-content", "solution-content"}


class fold(nodes.General, nodes.Element):
    """A block that opens on request."""


class fold_title(nodes.General, nodes.TextElement):
    """The line of it that stays visible."""


def visit_fold(translator: Any, node: fold) -> None:
    translator.body.append(translator.starttag(node, "details", CLASS="admonition"))


def depart_fold(translator: Any, node: fold) -> None:
    translator.body.append("</details>\n")


def visit_fold_title(translator: Any, node: fold_title) -> None:
    translator.body.append(translator.starttag(node, "summary", "", CLASS="admonition-title"))


def depart_fold_title(translator: Any, node: fold_title) -> None:
    translator.body.append("</summary>\n")


def fold_dropdowns(doctree: nodes.document) -> None:
    """Write blocks of class ``dropdown`` as the browser's own ``<details>``.

    The usual script (sphinx-togglebutton) fails on our solutions: their title is a link to the
    exercise, so a click on it leads away, and a click on emphasis in a title raises an exception.
    The native element has neither fault, answers the keyboard, and opens by itself when a search
    on the page finds something inside.
    """
    for block in list(doctree.findall(nodes.Admonition)):
        if "dropdown" not in block["classes"]:
            continue
        title, *content = block.children
        for link in list(title.findall(nodes.reference)):
            link.parent.replace(link, link.children)
        classes = [name for name in block["classes"] if name != "dropdown"]
        summary = fold_title("", "", *title.children)
        block.replace_self(fold("", summary, *content, ids=block["ids"], classes=classes))


def repair_tables(doctree: nodes.document) -> None:
    """The corner above a pandas index is a header without text, which a screen reader announces."""
    for output in doctree.findall(nodes.raw):
        if output.get("format") == "html":
            html = EMPTY_HEADER.sub(r"<td\1></td>", output.astext())
            output.children = [nodes.Text(html)]


def drop_repeated_ids(doctree: nodes.document) -> None:
    """sphinx-exercise and sphinx-proof give the body of each block the same id."""
    for section in doctree.findall(nodes.section):
        section["ids"] = [name for name in section["ids"] if name not in REPEATED_IDS]


def still_animations(doctree: nodes.document) -> None:
    """On paper a player would be the name of its class."""
    for output in list(doctree.findall(nodes.literal_block)):
        if output.astext().startswith("<IPython.core.display.HTML"):
            words = "An animation stands here in the electronic book."
            output.replace_self(nodes.paragraph("", "", nodes.emphasis("", words)))


def share_columns(doctree: nodes.document) -> None:
    """On paper the cells of a long table do not wrap: give each column its share of the line."""
    for table in doctree.findall(nodes.table):
        rows = [[cell.astext() for cell in row] for row in table.findall(nodes.row)]
        if len(rows) > 30 and "colwidths-given" not in table["classes"]:
            table["classes"].append("colwidths-given")
            columns = zip(*rows, strict=True)
            for spec, column in zip(table.findall(nodes.colspec), columns, strict=True):
                mean = sum(map(len, column)) / len(column)
                spec["colwidth"] = round(min(max(mean, 12), 48))


def resolve_doctree(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    if app.builder.format == "html":
        fold_dropdowns(doctree)
        repair_tables(doctree)
        drop_repeated_ids(doctree)
    else:
        still_animations(doctree)
        share_columns(doctree)


def prepare_page(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    if page == app.config.root_doc:
        context["docstitle"] = ""  # the title of the front page is the title of the book
    if "body" in context:
        # docutils puts doc-biblioentry, which ARIA 1.3 withdraws, inside a list that may only
        # hold list items.
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def copy_mathjax(app: Sphinx) -> None:
    """Put MathJax beside the pages, and not below ``_static``: all of that becomes page assets."""
    if app.builder.format != "html":
        return
    with as_file(files("sphinx-mathjax-offline").joinpath("static", "mathjax")) as source:
        for part in MATHJAX:
            target = Path(app.outdir, "mathjax", part)
            target.parent.mkdir(parents=True, exist_ok=True)
            if (source / part).is_dir():
                shutil.copytree(source / part, target, dirs_exist_ok=True)
            else:
                shutil.copy(source / part, target)


def drop_unused_icons(app: Sphinx, exception: Exception | None) -> None:
    """Two thousand icons make half a megabyte on the wire; the pages show a dozen of them."""
    script = Path(app.outdir, "_static", "scripts", "fontawesome.js")
    if exception or not script.is_file():
        return
    users = [path for kind in ("*.html", "*.js") for path in Path(app.outdir).rglob(kind)]
    text = "\n".join(path.read_text("utf-8") for path in users if path != script)
    names = set(re.findall(r"\bfa-([a-z0-9-]+)", text))

    def keep(icon: re.Match[str]) -> str:
        known = {icon[1] or icon[2], *re.findall(r'"([a-z0-9-]+)"', icon[3])}
        return icon[0] if known & names else ""

    script.write_text(ICON.sub(keep, script.read_text("utf-8")), "utf-8")


def lighten_pictures(app: Sphinx, exception: Exception | None) -> None:
    """A figure has a few colours and their shades: 256 of them look the same at half the weight."""
    for path in [] if exception else Path(app.outdir, "_images").glob("*.png"):
        stored = Image.open(path)
        if stored.mode == "P":
            continue  # by an earlier build
        file, picture = io.BytesIO(), stored.convert("RGBA")
        if picture.getextrema()[3][0] < 255:
            continue  # it lets the page shine through
        few = picture.convert("RGB").quantize(
            256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
        )
        few.save(file, "PNG", optimize=True)
        if file.tell() < path.stat().st_size:
            path.write_bytes(file.getvalue())


def skip_tuple_fields(
    app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any
) -> bool:
    """Leave out the fields of a named tuple, which its docstring describes already."""
    return skip or (member.__doc__ or "").startswith("Alias for field number")


class ArrayLike:
    """Stands for numpy's, which Python writes out at import: eight lines of unions a parameter."""

    __module__ = "numpy.typing"


def remember_anchors(app: Sphinx, doctree: nodes.document) -> None:
    """Note the anchor of each described object, by the module that defines it."""
    anchors = vars(app.env).setdefault("genfin_anchors", {})
    for signature in doctree.findall(addnodes.desc_signature):
        module, name = signature.get("module"), signature.get("fullname")
        if module and name and signature["ids"]:
            described = getattr(import_module(module), name.partition(".")[0], None)
            home = getattr(described, "__module__", module)
            anchors.setdefault(home, {})[name] = signature["ids"][0]


def mend_backlinks(app: Sphinx, page: str, template: str, context: Any, doctree: Any) -> None:
    """Lead from a listing to where an object is described, whatever its neighbours are called.

    The stock extension takes all objects of a file to be described under the package or all under
    the module, whichever it meets first.
    """
    home = page.removeprefix("_modules/").replace("/", ".")
    for name, anchor in getattr(app.env, "genfin_anchors", {}).get(home, {}).items():
        wrong = re.compile(rf'(class="viewcode-back" href="[^"#]*)#[a-z0-9_.]+\.{re.escape(name)}"')
        context["body"] = wrong.sub(rf'\1#{anchor}"', context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(fold, html=(visit_fold, depart_fold))
    app.add_node(fold_title, html=(visit_fold_title, depart_fold_title))
    numpy.typing.ArrayLike = ArrayLike  # before autodoc imports the library
    app.connect("autodoc-skip-member", skip_tuple_fields)
    app.connect("build-finished", drop_unused_icons)
    app.connect("build-finished", lighten_pictures)
    app.connect("builder-inited", copy_mathjax)
    app.connect("doctree-read", remember_anchors)
    app.connect("doctree-resolved", resolve_doctree)
    app.connect("html-page-context", mend_backlinks)
    app.connect("html-page-context", prepare_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
