"""Links from the list of pitfalls to the very mistakes in the chapters, and not only to the pages.

A chapter numbers its mistakes, **1. Like this.**; the list says "mistake 1" after a link to it.
"""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx

PAGE = "chapters/appendix/pitfalls"
NUMBERED = re.compile(r"(\d)\. ")
NAMED = re.compile(r"(mistakes? )((?:\d(?:, | and )?)+)")


def anchor_mistakes(app: Sphinx, doctree: nodes.document) -> None:
    """Give each numbered mistake of a chapter an address of its own."""
    for section in doctree.findall(nodes.section):
        if "what-goes-wrong" not in section["ids"]:
            continue
        for bold in section.findall(nodes.strong):
            match = NUMBERED.match(bold.astext())
            if match:
                bold["ids"].append(f"mistake-{match.group(1)}")


def link_mistakes(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    if docname != PAGE or app.builder.format != "html":
        return
    for paragraph in doctree.findall(nodes.paragraph):
        page = ""
        for child in list(paragraph.children):
            if isinstance(child, nodes.reference):
                page = child.get("refuri", "")
            elif isinstance(child, nodes.Text) and page and NAMED.search(child):
                paragraph.replace(child, linked(child, page))


def linked(text: str, page: str) -> list[nodes.Node]:
    """The text with its numbers of mistakes turned into links."""
    parts: list[nodes.Node] = []
    place = 0
    for match in NAMED.finditer(text):
        for digit in re.finditer(r"\d", match.group(2)):
            at = match.start(2) + digit.start()
            # The word before a single number belongs to its link: a bare digit is a small target.
            start = match.start() if match.group(2).strip() == digit.group() else at
            parts.append(nodes.Text(text[place:start]))
            words = text[start : at + 1]
            address = f"{page.partition('#')[0]}#mistake-{digit.group()}"
            parts.append(nodes.reference("", words, internal=True, refuri=address))
            place = at + 1
    return [*parts, nodes.Text(text[place:])]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", anchor_mistakes)
    app.connect("doctree-resolved", link_mistakes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
