"""A chapter on the reader's own market: a copy, with other parameters, beside the committed one."""

from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient.exceptions import CellExecutionError

from genfin_lib.applications.rerun import for_market, main, rerun
from genfin_lib.data import fetch_ohlcv, simulate_candles
from genfin_lib.data.exchange import BybitReplay, Exchange

BTC = "BTC/USDT"
CHAPTERS = Path(__file__).parents[2] / "chapters"


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """Cache with two years of simulated days of a market, fetched through ccxt."""
    monkeypatch.setenv("GENFIN_CACHE", str(tmp_path / "cache"))
    days = simulate_candles(800, seed=1, timeframe="1d", start="2022-01-01", volatility=0.03)
    with BybitReplay({BTC: days}) as server:
        fetch_ohlcv(BTC, "1d", "2022-01-01", exchange=Exchange(base_url=server.url))
    return days


def notebook(folder, *cells, tag="parameters"):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    book.cells[0].metadata["tags"] = [tag]
    path = folder / "short.ipynb"
    nbformat.write(book, path)
    return path


def printed(path):
    cells = nbformat.read(path, as_version=4).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


def test_copy_runs_on_the_fetched_market(fetched, tmp_path, capsys):
    path = notebook(
        tmp_path,
        'dataset = "sp500_index"\nindex = "SP500"\nseed = 0',
        "from genfin_lib.data import load, log_returns",
        "r = log_returns(load(dataset)[index])\nprint(len(r), round(r.std(), 6), seed)",
        "# ## Exercises\nprint('about the SP500')",
    )
    before = path.read_bytes()
    assert main([str(path), "--symbol", BTC, "--timeframe", "1d", "--set", "seed = 7"]) == 0
    copy = tmp_path / "cache/notebooks/bybit_BTC-USDT_1d/short.ipynb"
    assert str(copy) in capsys.readouterr().out
    volatility = np.log(fetched["Close"]).diff().std()
    assert printed(copy).split() == ["799", f"{round(volatility, 6)}", "7"]
    assert path.read_bytes() == before


def test_parameters_of_the_committed_chapters_are_found(fetched):
    chapter = CHAPTERS / "02_flows/01_change_of_variables.ipynb"
    assert for_market(chapter, f"{BTC}:1d", "seed = 3") == {
        "dataset": f"{BTC}:1d",
        "dropped": [],
        "seed": 3,
    }


def test_cell_that_fails_is_told_and_the_copy_kept(fetched, tmp_path, capsys):
    path = notebook(tmp_path, 'dataset = "x"', "print('so far')", "1 / 0", "print('never')")
    assert main([str(path), "--symbol", BTC, "--timeframe", "1d"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert printed(tmp_path / "cache/notebooks/bybit_BTC-USDT_1d/short.ipynb") == "so far\n"
    with pytest.raises(CellExecutionError):
        rerun(path, {}, folder=tmp_path / "other")


def test_refusals_say_what_is_missing(fetched, tmp_path, capsys):
    path = notebook(tmp_path, "seed = 0")
    assert main([str(path), "--symbol", BTC, "--timeframe", "1d"]) == 1
    assert "no parameter dataset, only seed" in capsys.readouterr().err
    path = notebook(tmp_path, 'dataset = ""')
    assert main([str(path), "--symbol", "ETH/USDT", "--timeframe", "1d"]) == 1
    assert "make data SYMBOL=ETH/USDT TIMEFRAME=1d" in capsys.readouterr().err
    assert main([str(tmp_path / "none.ipynb"), "--symbol", BTC]) == 1
    with pytest.raises(ValueError, match=r"no parameter index: .* sets dataset"):
        rerun(path, {"index": 1}, folder=tmp_path / "copy")
    with pytest.raises(ValueError, match="assignments"):
        for_market(path, f"{BTC}:1d", "print(1)")
    with pytest.raises(ValueError, match="not tagged parameters"):
        rerun(notebook(tmp_path, "seed = 0", tag="other"), {}, folder=tmp_path / "copy")


@pytest.mark.slow
def test_flow_chapter_runs_on_a_fetched_market(fetched, tmp_path):
    chapter = CHAPTERS / "02_flows/01_change_of_variables.ipynb"
    copy = rerun(chapter, for_market(chapter, f"{BTC}:1d"), folder=tmp_path / "copy")
    assert "NLL" in printed(copy)
