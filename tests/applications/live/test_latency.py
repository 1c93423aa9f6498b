"""The recorded latencies keep the promise, and measuring again measures the same things."""

from genfin_lib.applications import read_record, read_results
from genfin_lib.applications.live.latency import BATCHES, THREADS, measure


def test_recorded_decisions_take_less_than_five_milliseconds():
    table = read_results("latency")
    assert set(zip(table["batch"], table["threads"], strict=True)) == {
        (batch, threads) for batch in BATCHES for threads in THREADS
    }
    one = table.query("batch == 1 and threads == 1 and stage == 'total'")
    assert (one["p95"] < 5).all()
    assert (table["decisions"] >= 1000).all()
    assert read_record("latency")["command"] == "make latency"


def test_measuring_again_gives_the_same_stages():
    table = measure(1, threads=1, decisions=30, rounds=1)
    recorded = read_results("latency").query("batch == 1 and threads == 1")
    assert list(table["stage"]) == list(recorded["stage"])
    assert list(table.columns) == list(recorded.columns)
    # Within a factor of a hundred, whatever else this machine is doing.
    total = table["p50"].iloc[-1] / recorded["p50"].iloc[-1]
    assert 0.01 < total < 100
