"""Stored tables of levels: a slice computed anew."""

import pandas as pd
import pytest

from genfin_lib.applications.hierarchy import seeds
from genfin_lib.applications.hierarchy.horizons import hedged
from genfin_lib.applications.hierarchy.market import Market
from genfin_lib.applications.hierarchy.panel import StockPanel
from genfin_lib.applications.results import read_results
from genfin_lib.data import load


def test_levels_hold_what_a_new_run_gives() -> None:
    """A slice of seconds: what needs no network, and the dates of all forecasts."""
    stored = read_results("hierarchy_levels")
    assert set(stored["seed"]) == set(seeds.SEEDS)
    market = Market.simulate(seed=1)
    came = market.x[market.past + 1 :, :, 0].numpy().sum(axis=1)
    truth = market.variances[market.wild[market.past + 1 :].astype(int)]
    exact = market.odds[market.past : -1] @ market.variances
    table = hedged(came, {"exact filter": exact, "regime known": truth}, truth)
    some = stored[stored["seed"] == 1].set_index(["what", "of"])["value"]
    for name, row in table.iterrows():
        for what, value in row.items():
            assert some[f"hedged, {what}", name] == pytest.approx(value, rel=1e-3, abs=1e-6)
    dates = read_results("hierarchy_forecasts")["date"]
    panel = StockPanel(load("sp500_stocks"))
    expected = panel.returns.index[seeds.origins(panel)].strftime("%Y-%m-%d")
    assert pd.Index(dates.unique()).equals(pd.Index(expected))
