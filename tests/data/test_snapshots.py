"""The committed snapshots: equal to their sources, verified, found when installed."""

import gzip
import json
import sysconfig
import tomllib
from pathlib import Path

import arch.data.frenchdata
import arch.data.nasdaq
import arch.data.sp500
import numpy as np
import pandas as pd
import pytest
import skfolio.datasets

import genfin_lib
from genfin_lib.data import catalogue, load, provenance, snapshots

ROOT = Path(__file__).parents[2]
SOURCES = {
    "sp500_index": skfolio.datasets.load_sp500_index,
    "sp500_stocks": skfolio.datasets.load_sp500_dataset,
    "style_factors": skfolio.datasets.load_factors_dataset,
    "sp500_ohlcv": arch.data.sp500.load,
    "nasdaq_ohlcv": arch.data.nasdaq.load,
    "fama_french": arch.data.frenchdata.load,
}
NAMES = list(SOURCES)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """`load` reads a copy of the snapshots that the test may spoil."""
    folder = tmp_path / "share" / "genfin_lib"
    folder.mkdir(parents=True)
    for file in (ROOT / "data").glob("*.*"):
        (folder / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(
        snapshots, "__file__", str(tmp_path / "lib" / "genfin_lib" / "data" / "s.py")
    )
    monkeypatch.setattr(sysconfig, "get_path", lambda *args: str(tmp_path))
    snapshots.folder_of_data.cache_clear()
    yield folder
    snapshots.folder_of_data.cache_clear()


@pytest.mark.parametrize("name", NAMES)
def test_snapshot_equals_its_source_exactly(name):
    snapshot, source = load(name), SOURCES[name]()
    np.testing.assert_array_equal(snapshot.to_numpy(), source.to_numpy(dtype="float64"))
    assert list(snapshot.columns) == list(source.columns)
    if name == "fama_french":  # the source holds yyyymm read as nanoseconds
        months = snapshot.index.year * 100 + snapshot.index.month
        assert list(months) == list(source.index.astype("int64"))
        assert snapshot.index.is_month_end.all()
    else:
        assert list(snapshot.index) == list(source.index)


@pytest.mark.parametrize("name", NAMES)
def test_load_returns_sorted_float64_with_dates(name):
    frame = load(name)
    assert isinstance(frame.index, pd.DatetimeIndex)
    assert frame.index.name == "date"
    assert frame.index.is_unique
    assert frame.index.is_monotonic_increasing
    assert (frame.dtypes == "float64").all()
    assert np.isfinite(frame.to_numpy()).all()


@pytest.mark.parametrize("name", NAMES)
def test_record_describes_the_file(name):
    frame, record = load(name), provenance(name)
    assert record["rows"] == len(frame)
    assert record["columns"] == list(frame.columns)
    assert [record["first"], record["last"]] == [str(d.date()) for d in frame.index[[0, -1]]]
    for field in ("title", "what", "units", "source", "publisher", "licence", "retrieved"):
        assert record[field], field


def test_catalogue_lists_every_data_set():
    assert list(catalogue().index) == NAMES


def test_changed_file_is_refused(elsewhere):
    load("sp500_index")
    path = elsewhere / "sp500_index.csv.gz"
    text = gzip.decompress(path.read_bytes()).replace(b"359.69", b"359.70")
    path.write_bytes(gzip.compress(text))  # a valid file with one changed price
    with pytest.raises(ValueError, match=r"sp500_index.csv.gz has SHA-256 .* is damaged or was ch"):
        load("sp500_index")


def test_missing_file_is_named(elsewhere):
    (elsewhere / "sp500_index.csv.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"sp500_index.csv.gz is missing"):
        load("sp500_index")


def test_missing_snapshots_are_explained(elsewhere):
    (elsewhere / "snapshots.json").unlink()
    with pytest.raises(FileNotFoundError, match="reinstall genfin-lib"):
        load("sp500_index")


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="no data set is called 'spx': choose one of sp500_index"):
        load("spx")


def test_wheel_carries_every_file_and_the_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["data-files"]["share/genfin_lib"]
    shipped = {path.name for pattern in patterns for path in ROOT.glob(pattern)}
    records = json.loads((ROOT / "data" / "snapshots.json").read_text())
    needed = {record["file"] for record in records.values()} | {"snapshots.json", "LICENSES.txt"}
    assert needed <= shipped
    results = project["tool"]["setuptools"]["data-files"]["share/genfin_lib/results"]
    shipped = {path for pattern in results for path in ROOT.glob(pattern)}
    assert shipped == set((ROOT / "data" / "results").glob("*.[cj]s*"))
    assert project["project"]["version"] == genfin_lib.__version__
