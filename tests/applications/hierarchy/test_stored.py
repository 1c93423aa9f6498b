"""Stored tables of generated windows and of levels: a slice of each, computed anew."""

import numpy as np
import pandas as pd
import pytest

from genfin_lib.applications.hierarchy import scales, seeds
from genfin_lib.applications.hierarchy.horizons import hedged
from genfin_lib.applications.hierarchy.market import Market
from genfin_lib.applications.hierarchy.panel import StockPanel
from genfin_lib.applications.hierarchy.sets import equity_windows
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


def test_scales_hold_what_a_new_run_gives() -> None:
    """A slice of seconds: what is measured of the test windows themselves."""
    table = read_results("hierarchy_scales")
    assert set(table["seed"]) == set(scales.SEEDS)
    sets = equity_windows()
    real = sets.later[sets.validation :][:, :, 0].double().numpy()
    edge = np.quantile(sets.train[:, :, 0].double().numpy().std(axis=1), 0.75)
    again = scales.described(real, real, scales=scales.SCALES["equity"], edge=edge)
    some = table[(table["part"] == "equity") & (table["model"] == "test")]
    stored = some.set_index(["statistic", "scale"])["value"]
    assert len(stored) == len(again)
    for key, value in again.items():
        assert stored[key] == pytest.approx(value, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("part", ["simulator", "equity"])
def test_bounds_of_the_same_models_are_in_order(part) -> None:
    """The importance-weighted bound, of another table, is above the ELBO of each model and seed."""
    table = read_results("hierarchy_scales")
    elbo = table[(table["part"] == part) & (table["statistic"] == "elbo")]
    tighter = read_results(f"hierarchy_{part}")
    tighter = tighter[tighter["period"] == "test"]
    nats = tighter.groupby(["model", "seed"])["nats"].mean()
    elbo = elbo.set_index(["model", "seed"])["value"]
    assert len(elbo) == 3 * len(scales.COMPARED[part])
    assert (nats.loc[elbo.index] > elbo).all()
