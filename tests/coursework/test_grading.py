"""Right answers get all points, typical errors lose theirs, hostile ones do no harm."""

import csv
from importlib import import_module
from pathlib import Path

import pytest

from coursework.grade import Grade, grade
from coursework.run import Limits
from coursework.sources import source_notebooks
from tests.coursework.handed_in import hand_in, source, write
from tests.coursework.submissions import Submission

LIMITS = Limits(cell=30, grace=5, total=180, memory=2 * 2**30)
CASES = [
    (name, submission)
    for name in source_notebooks()
    for submission in (
        Submission("the model solution", {}),
        *import_module(f"tests.coursework.submissions.{name}").SUBMISSIONS,
    )
]


def graded(folder: Path, name: str, notebook: object, limits: Limits = LIMITS) -> Grade:
    target = folder / "in" / "student" / f"{name}.ipynb"
    target.parent.mkdir(parents=True)
    write(notebook, target)
    (found,) = grade(folder / "in", folder / "out", limits=limits)
    return found


@pytest.mark.parametrize(("name", "submission"), CASES, ids=lambda value: str(value)[:60])
def test_points(tmp_path: Path, name: str, submission: Submission) -> None:
    found = graded(tmp_path, name, hand_in(name, submission.answers))
    assert {test for test, points in found.earned.items() if not points} == submission.loses
    assert found.remarks == []


def test_an_empty_submission_earns_nothing(tmp_path: Path) -> None:
    found = graded(tmp_path, "markets", hand_in("markets", {}, model=False))
    assert found.points == 0
    assert found.out_of == 20


READS_SOLUTION = """
from pathlib import Path
import genfin_lib
root = Path(genfin_lib.__file__).parents[1]
text = (root / "chapters/01_markets/assignment/markets.ipynb").read_text()
"""
HOSTILE = {
    "endless loop": ("while True:\n    pass", "stopped after"),
    "loop that cannot be interrupted": (
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    pass",
        "did not stop",
    ),
    "memory": (
        "kept = []\nwhile True:\n    kept.append(np.ones(10_000_000))",
        "memory",
    ),
    "sys.exit": ("import sys\nsys.exit()", ""),
    "os._exit": ("import os\nos._exit(0)", "died"),
    "processes": ("import os\nwhile True:\n    os.fork()", ""),
    "programs": ("import subprocess\nsubprocess.run(['ls'])", ""),
    "reads the solution": (READS_SOLUTION, ""),
    "reads the submissions": ("import os\nprint(os.listdir(FOLDER))", ""),
    "writes elsewhere": ("open(FOLDER + '/harm', 'w')", ""),
    "kills the grader": ("import os\nos.kill(os.getppid(), 9)", ""),
    "much output": ("for _ in range(3000):\n    print('x' * 1000)", ""),
    "replaces the tests' functions": ("np.allclose = lambda *a, **k: True", "numpy.allclose"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_cells_cost_at_most_their_own_points(tmp_path: Path, kind: str) -> None:
    """The hostile cell stands in the first answer; what comes after is graded if it can be."""
    code, says = HOSTILE[kind]
    code = code.replace("FOLDER", repr(str(tmp_path / "in")))
    limits = Limits(cell=8, grace=6, total=120, memory=2**30)
    found = graded(tmp_path, "markets", hand_in("markets", {"portfolio": code}), limits)
    assert found.earned["portfolio-wealth"] == 0
    assert says in "; ".join(found.remarks)
    gone = {"loop that cannot be interrupted", "memory", "os._exit"}
    assert found.points == (0 if kind in gone else 16)
    assert not (tmp_path / "in" / "harm").exists()
    page = (tmp_path / "out" / "feedback" / "student" / "markets.html").read_text()
    assert len(page) < 2_000_000


def test_functions_replaced_during_a_test_do_not_help(tmp_path: Path) -> None:
    answer = """
def portfolio_log_returns(x, weights):
    np.allclose = lambda *a, **k: True
    return x[:, 0]
"""
    found = graded(tmp_path, "markets", hand_in("markets", {"portfolio": answer}))
    assert found.earned["portfolio-wealth"] == 0
    assert "numpy.allclose" in "; ".join(found.remarks)
    assert found.points == 16


def test_a_class_is_graded_to_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken file, a folder too deep, a foreign notebook, a link to the solution, a good one."""
    for student in ("ada", "bea", "cem", "dov"):
        (tmp_path / "in" / student / "markets").mkdir(parents=True)
    write(hand_in("markets", {}), tmp_path / "in" / "ada" / "markets" / "markets.ipynb")
    (tmp_path / "in" / "bea" / "markets.ipynb").write_text("{")
    write(hand_in("markets", {}), tmp_path / "in" / "cem" / "diary.ipynb")
    (tmp_path / "in" / "dov" / "markets.ipynb").symlink_to(source_notebooks()["markets"])
    grade(tmp_path / "in", tmp_path / "out", limits=LIMITS)
    with (tmp_path / "out" / "grades.csv").open() as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert {name: row["points"] for name, row in rows.items()} == {"ada": "20", "bea": "0"}
    assert "no notebook" in rows["bea"]["remarks"]
    assert "diary.ipynb" in capsys.readouterr().out
    page = (tmp_path / "out" / "feedback" / "ada" / "markets.html").read_text()
    assert "20 of 20 points" in page
    hidden = [
        line.strip()
        for cell in source("markets").cells
        for part in cell.source.split("### BEGIN HIDDEN TESTS")[1:]
        for line in part.splitlines()
        if len(line) > 40 and "=" in line and '"' not in line
    ]
    assert len(hidden) >= 2
    assert [line for line in hidden if line in page] == []


def test_an_empty_folder_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no folder"):
        grade(tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(ValueError, match=r"STUDENT/NAME\.ipynb"):
        grade(tmp_path, tmp_path / "out")
