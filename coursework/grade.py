"""Grade a folder of submissions: a line for each, a table of points, a page for each student."""

import argparse
import csv
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import escape
from pathlib import Path

from nbformat import NotebookNode

from coursework.feedback import feedback
from coursework.merge import UnreadableSubmission, merge, points, read_submission
from coursework.release import student_version
from coursework.run import Limits, Outcome, run
from coursework.sources import ROOT, read, source_notebooks


@dataclass(frozen=True)
class Grade:
    """Points of one submission.

    Attributes:
        student: Name of the student's folder.
        assignment: Name of the assignment.
        earned: Points of each test by its name.
        out_of: Points of the whole assignment.
        remarks: What a teacher should know.
        page: The feedback, HTML.
    """

    student: str
    assignment: str
    earned: dict[str, float]
    out_of: float
    remarks: list[str]
    page: str

    @property
    def points(self) -> float:
        """Points in all."""
        return sum(self.earned.values())

    def __str__(self) -> str:
        said = f"  ({'; '.join(self.remarks)})" if self.remarks else ""
        return f"{self.student:<20} {self.assignment:<20} {self.points:g} / {self.out_of:g}{said}"


def grade_one(
    path: Path, student: str, source: NotebookNode, *, forbidden: list[Path], limits: Limits
) -> Grade:
    """Grade one file; never raises for what is in it."""
    blank, worth = student_version(source), points(source)
    title = f"{path.stem}: {student}"
    try:
        merged = merge(read_submission(path), source, blank)
    except UnreadableSubmission as error:
        page = f"<!doctype html><title>{escape(title)}</title><p>{escape(str(error))}</p>"
        nothing = dict.fromkeys(worth, 0.0)
        return Grade(student, path.stem, nothing, sum(worth.values()), [str(error)], page)
    try:
        outcome = run(merged, forbidden=forbidden, limits=limits)
    except RuntimeError as error:  # the kernel did not even start
        outcome = Outcome(remarks=[f"could not be run: {error}"])
    earned = {name: value * (name in outcome.passed) for name, value in worth.items()}
    page = feedback(merged, blank, outcome, title)
    return Grade(student, path.stem, earned, sum(worth.values()), outcome.remarks, page)


def grade(
    submissions: Path,
    out: Path,
    *,
    sources: dict[str, Path] | None = None,
    limits: Limits | None = None,
    at_once: int = 1,
) -> list[Grade]:
    """Grade ``submissions/STUDENT/.../ASSIGNMENT.ipynb``, and write what came of it.

    Args:
        submissions: One folder a student, as nbgrader collects them.
        out: Gets ``grades.csv``, one row a submission, and ``feedback/STUDENT/ASSIGNMENT.html``.
        sources: Source notebook by the assignment's name; those of the book if ``None``.
        limits: Time, memory and processes of each.
        at_once: Submissions graded at the same time.

    Raises:
        ValueError: If the folder is missing or holds no notebook of a known name.
    """
    sources = source_notebooks() if sources is None else sources
    if not submissions.is_dir():
        raise ValueError(f"{submissions} is no folder; give one that holds a folder a student")
    files = [path for path in sorted(submissions.glob("*/**/*.ipynb")) if path.is_file()]
    # A link out of the folder could lead to the solution.
    files = [path for path in files if path.resolve().is_relative_to(submissions.resolve())]
    known = [path for path in files if path.stem in sources]
    for path in sorted(set(files) - set(known)):
        print(f"{path.relative_to(submissions)}: not an assignment ({', '.join(sources)})")
    if not known:
        raise ValueError(
            f"{submissions} holds no STUDENT/NAME.ipynb with NAME one of {', '.join(sources)}"
        )
    parsed = {name: read(path) for name, path in sources.items()}
    forbidden = [*{path.parent for path in sources.values()}, submissions, out, ROOT / "tests"]

    def one(path: Path) -> Grade:
        student = path.relative_to(submissions).parts[0]
        result = grade_one(
            path, student, parsed[path.stem], forbidden=forbidden, limits=limits or Limits()
        )
        print(result, flush=True)
        return result

    with ThreadPoolExecutor(at_once) as pool:
        grades = list(pool.map(one, known))
    _write(grades, out)
    return grades


def _write(grades: list[Grade], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with (out / "grades.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["student", "assignment", "points", "out_of", "tests", "remarks"])
        for each in grades:
            tests = " ".join(f"{name}={value:g}" for name, value in each.earned.items())
            said = "; ".join(each.remarks)
            table.writerow(
                [each.student, each.assignment, f"{each.points:g}", f"{each.out_of:g}", tests, said]
            )
    for each in grades:
        page = out / "feedback" / each.student / f"{each.assignment}.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(each.page, encoding="utf-8")


def main() -> None:
    """The command line of ``make grade``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("submissions", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=Limits.cell, help="for one cell")
    given = parser.parse_args()
    try:
        grades = grade(
            given.submissions,
            given.out,
            limits=Limits(cell=given.seconds),
            at_once=given.at_once,
        )
    except ValueError as error:
        sys.exit(str(error))
    print(f"{len(grades)} submissions: {given.out / 'grades.csv'}, {given.out / 'feedback'}")


if __name__ == "__main__":
    main()
