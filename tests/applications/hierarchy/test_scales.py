"""Windows described scale by scale: persistence of known processes, sets that stay together."""

import numpy as np
import pytest
import torch

from genfin_lib.applications.hierarchy import scales
from genfin_lib.applications.hierarchy.models import models
from genfin_lib.applications.hierarchy.sets import Sets


def test_momentum_of_an_autoregression_by_scale() -> None:
    """Sums of h steps of an AR(1): correlation r (1-r^h)^2 / (h (1-r^2) - 2 r (1-r^h))."""
    rng, r = np.random.default_rng(0), 0.5
    x = np.zeros((20_000, 64))
    x[:, 0] = rng.standard_normal(20_000) / np.sqrt(1 - r**2)
    for t in range(1, 64):
        x[:, t] = r * x[:, t - 1] + rng.standard_normal(20_000)
    for h in (1, 4, 16):
        expected = r * (1 - r**h) ** 2 / (h * (1 - r**2) - 2 * r * (1 - r**h))
        assert scales.persistence(x, h)[0] == pytest.approx(expected, abs=0.01)


def test_clustering_without_momentum() -> None:
    rng = np.random.default_rng(0)
    wild = rng.choice([1.0, 5.0], (5000, 1)) * rng.standard_normal((5000, 64))
    for scale in (1, 8, 32):
        momentum, clustering = scales.persistence(wild, scale)
        assert abs(momentum) < 0.05
        assert clustering > 0.25
    momentum, clustering = scales.persistence(rng.standard_normal((5000, 64)), 8)
    assert max(abs(momentum), abs(clustering)) < 0.02
    with pytest.raises(ValueError, match="two sums of 40"):
        scales.persistence(wild, 40)


def test_regimes_are_those_of_volatility() -> None:
    rng = np.random.default_rng(0)
    scale = np.repeat([1.0, 4.0], [300, 100])[:, None]
    found = scales.by_regime(scale * rng.standard_normal((400, 64)), edge=2.0)
    assert found["wild share"] == 0.25
    assert found["volatility, wild"] == pytest.approx(4.0, rel=0.05)
    assert found["kurtosis, calm"] == pytest.approx(0.0, abs=0.15)


def test_sets_of_stocks_keep_their_dates_together() -> None:
    x = torch.arange(8.0)[:, None, None].repeat(1, 4, 1)
    times = np.array(["v", "v", "a", "a", "b", "b", "c", "c"])
    sets = Sets(x, x, times, 2)
    for drawn in scales.fresh("equity", sets, 5):
        first = drawn[:, 0].reshape(-1, 2)
        assert (first[:, 1] - first[:, 0] == 1).all()
        assert first.min() >= 2  # none of the validation windows


def test_study_describes_data_and_models_alike() -> None:
    x = torch.randn(300, 64, 1, generator=torch.Generator().manual_seed(0))
    sets = Sets(x, x[:40], np.repeat(["2012", "2014"], 20), 20)
    table = scales.study("simulator", sets, (0,), steps=2, draws=3)
    assert set(table["model"]) == {"test", "fresh", *scales.COMPARED["simulator"]}
    sizes = table.groupby("model").size()
    assert sizes["flat, 16, t"] == sizes["test"] + 2 == sizes["fresh"] + 2
    wide = table.set_index(["model", "statistic", "scale"])
    for name in scales.COMPARED["simulator"]:
        assert name in models("simulator", x)
        assert -10 < wide.loc[(name, "elbo", 0), "value"] < 0
        assert wide.loc[(name, "sampling", 0), "value"] > 0
    inside = table.dropna(subset=["low"])
    assert (inside["low"] <= inside["high"]).all()
