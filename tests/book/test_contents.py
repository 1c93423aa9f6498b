"""The book as a whole: texts and notebooks pair, pages have a place, no machine is named."""

import re
from pathlib import Path

import pytest
import yaml

from tests.book.test_notebooks import NOTEBOOKS, ROOT, code_cells

CHAPTERS = ROOT / "chapters"
FOLDER_OF_A_MACHINE = re.compile(r"(?:/home|/root|/tmp|/Users|:\\+Users)[/\\][^\s'\"<]*")


def named_pages(contents: object) -> set[str]:
    """All values of ``file`` and ``root``, at whatever depth."""
    if isinstance(contents, list):
        return set().union(*map(named_pages, contents))
    if isinstance(contents, dict):
        names = {contents[key] for key in ("file", "root") if key in contents}
        return names.union(*map(named_pages, contents.values()))
    return set()


def test_each_text_has_its_notebook() -> None:
    texts = {path.with_name(f"{path.stem}.myst.md") for path in NOTEBOOKS}
    found = CHAPTERS.rglob("*.myst.md")
    # Assignments are not part of the site; their pairs are compared in tests/coursework.
    assert texts == {path for path in found if "assignment" not in path.parts}


def test_each_page_is_in_the_table_of_contents() -> None:
    """A page that is not listed is not built, and nothing else would say so."""
    listed = named_pages(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
    texts = {path for path in CHAPTERS.rglob("*.md") if not path.name.endswith(".myst.md")}
    pages = {str(path.relative_to(ROOT).with_suffix("")) for path in texts.union(NOTEBOOKS)}
    assert listed == pages | {"index"}


def test_the_syllabus_reads_first_what_a_chapter_needs() -> None:
    """Each chapter says so in its box, between *Needs* and *Takes*."""
    syllabus = (CHAPTERS / "appendix/instructors.md").read_text(encoding="utf-8")
    weeks = "".join(re.findall(r"(?m)^\| \d+ \| .*$", syllabus))
    read: list[Path] = []
    for link in re.findall(r"\{doc\}`/([^`]+)`", weeks):
        chapter = ROOT / link
        text = chapter.with_name(f"{chapter.name}.myst.md").read_text(encoding="utf-8")
        box = text[text.index("**Needs**") : text.index("**Takes**")]
        for need in re.findall(r"\{doc\}`(?:[^`<]*<)?([^`>]+)>?`", box):
            page = ROOT / need[1:] if need.startswith("/") else chapter.parent / need
            assert page in read, f"{link} needs {need}"
        read.append(chapter)
    assert len(read) > 12


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_name_no_folder_of_the_machine_that_ran_them(path: Path) -> None:
    outputs = str([cell.outputs for cell in code_cells(path)])
    assert FOLDER_OF_A_MACHINE.findall(outputs) == []


def test_a_folder_is_recognised() -> None:
    assert FOLDER_OF_A_MACHINE.findall("/home/me/x.py:1: UserWarning") == ["/home/me/x.py:1:"]
