"""Results keep their history, and do not let themselves be changed by hand."""

import json

import pandas as pd
import pytest

from genfin_lib.applications import read_record, read_results, write_results
from genfin_lib.applications.results import computed_once

TABLE = pd.DataFrame({"model": ["a", "NA"], "loss": [1.23456789, float("nan")]})


def written(folder):
    write_results(
        "x",
        TABLE,
        command="make x",
        seed=3,
        inputs=["sp500_index"],
        facts={"seconds": 5},
        folder=folder,
    )
    return folder


def test_results_come_back_with_their_record(tmp_path) -> None:
    back = read_results("x", folder=written(tmp_path))
    pd.testing.assert_frame_equal(back, TABLE.round(5))
    record = read_record("x", folder=tmp_path)
    assert record == json.loads((tmp_path / "x.json").read_text())
    assert record["command"] == "make x"
    assert record["seed"] == 3
    assert record["seconds"] == 5
    assert record["commit"] != ""
    assert record["rows"] == 2


def test_changed_table_is_refused(tmp_path) -> None:
    path = written(tmp_path) / "x.csv"
    path.write_text(path.read_text().replace("1.23457", "1.03457"))
    with pytest.raises(ValueError, match="run `make x` again"):
        read_results("x", folder=tmp_path)


def test_result_of_other_data_is_refused(tmp_path) -> None:
    path = written(tmp_path) / "x.json"
    record = json.loads(path.read_text())
    record["inputs"]["sp500_index"] = "0" * 64
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="another sp500_index"):
        read_results("x", folder=tmp_path)


def test_missing_and_empty_results(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no y\.csv"):
        read_results("y", folder=tmp_path)
    with pytest.raises(ValueError, match=r"facts \['seed'\]"):
        write_results("y", TABLE, command="", seed=0, inputs=[], facts={"seed": 1}, folder=tmp_path)
    with pytest.raises(ValueError, match="empty"):
        write_results("y", TABLE[:0], command="", seed=0, inputs=[], folder=tmp_path)


def test_a_part_is_computed_once_and_kept_whole_or_not_at_all(tmp_path) -> None:
    path = tmp_path / "parts" / "a.pkl"

    def fail() -> pd.DataFrame:
        raise RuntimeError("cut off")

    with pytest.raises(RuntimeError):
        computed_once(path, fail)
    assert not path.exists()
    pd.testing.assert_frame_equal(computed_once(path, lambda: TABLE), TABLE)
    pd.testing.assert_frame_equal(computed_once(path, fail), TABLE)
    assert [file.name for file in path.parent.iterdir()] == ["a.pkl"]
