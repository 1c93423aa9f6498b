"""Students' versions give nothing away, and sources keep the rules of assignments."""

import ast
import re
from pathlib import Path

import jupytext
import pytest

from coursework.merge import points
from coursework.sources import ROOT, is_solution, is_test, mark, source_notebooks
from tests.coursework.handed_in import blank, source

ASSIGNMENTS = list(source_notebooks().items())

pytestmark = pytest.mark.parametrize(
    ("name", "path"), ASSIGNMENTS, ids=[name for name, _ in ASSIGNMENTS]
)


def between(text: str, kind: str) -> list[str]:
    found = re.findall(rf"### BEGIN {kind}\n(.*?)### END {kind}", text, re.S)
    return [line.strip() for part in found for line in part.splitlines() if line.strip()]


def test_students_get_no_solution_and_no_hidden_test(name: str, path: Path) -> None:
    given = "\n".join(cell.source for cell in blank(name).cells)
    assert "BEGIN" not in given
    secrets = [
        line
        for cell in source(name).cells
        for kind in ("SOLUTION", "HIDDEN TESTS")
        for line in between(cell.source, kind)
    ]
    assert len(secrets) > 20
    # Short lines such as `else:` are nobody's secret.
    assert [line for line in secrets if len(line) > 30 and line in given] == []


def test_students_get_no_output(name: str, path: Path) -> None:
    assert not any(cell.get("outputs") for cell in blank(name).cells)


def test_what_is_to_be_done_is_left_open(name: str, path: Path) -> None:
    for cell in blank(name).cells:
        if is_solution(cell):
            assert "raise NotImplementedError()" in cell.source


def test_points_are_twenty_and_partly_hidden(name: str, path: Path) -> None:
    assert sum(points(source(name)).values()) == 20
    tests = [cell.source for cell in source(name).cells if is_test(cell)]
    assert any("BEGIN HIDDEN TESTS" in test for test in tests)
    assert all("assert" in cell.source for cell in blank(name).cells if is_test(cell))


def test_every_message_teaches(name: str, path: Path) -> None:
    """A visible test says in words which property failed; each question says where to read."""
    for cell in blank(name).cells:
        if is_test(cell):
            for statement in ast.walk(ast.parse(cell.source)):
                if isinstance(statement, ast.Assert):
                    assert statement.msg is not None, ast.unparse(statement)
    assert "\n".join(cell.source for cell in blank(name).cells).count("Read:") >= 3


def test_source_equals_its_text(name: str, path: Path) -> None:
    text = jupytext.read(path.with_suffix(".myst.md"))
    expected = [(c.cell_type, c.source.strip(), dict(c.metadata)) for c in text.cells]
    found = [(c.cell_type, c.source.strip(), dict(c.metadata)) for c in source(name).cells]
    assert found == expected, f"run make notebook NB={path.with_suffix('')}"


def test_no_question_is_judged_by_the_answer_to_another(name: str, path: Path) -> None:
    """Else a missing answer, or a right one with other names, would cost points twice."""
    answered: dict[str, str] = {}  # name to the question that defines it
    question = ""
    for cell in source(name).cells:
        if is_solution(cell):
            question = mark(cell)["grade_id"]
            body = ast.parse(cell.source).body
            answered |= {part.name: question for part in body if hasattr(part, "name")}
        elif is_test(cell):
            used = {part.id for part in ast.walk(ast.parse(cell.source)) if hasattr(part, "id")}
            others = {word for word in used & set(answered) if answered[word] != question}
            assert not others, f"{mark(cell)['grade_id']} uses {sorted(others)}"


def test_each_assignment_goes_out_after_its_chapters_and_comes_in(name: str, path: Path) -> None:
    """By the syllabus: all chapters that it stands on are read by the week in which it goes out."""
    appendix = ROOT / "chapters/appendix"
    table = (appendix / "assignments.md").read_text(encoding="utf-8")
    syllabus = (appendix / "instructors.md").read_text(encoding="utf-8")
    line = re.search(rf"(?m)^\| (\d)\. .*`{name}\.ipynb .*$", table)
    assert line is not None
    weeks = re.findall(r"(?m)^\| \d+ \| .*$", syllabus)
    out, due = (
        next(i for i, week in enumerate(weeks) if f"{line[1]} {word}" in week.rsplit("|", 2)[1])
        for word in ("out", "in")
    )
    stands_on = re.findall(r"\{doc\}`([^`]+)`", line[0])
    assert stands_on
    assert [chapter for chapter in stands_on if chapter not in "".join(weeks[: out + 1])] == []
    assert out < due
