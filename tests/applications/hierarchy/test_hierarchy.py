"""Flat against hierarchical: sets that do not look ahead, a rival that is a density, the table."""

from itertools import islice

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from genfin_lib.applications.hierarchy import run
from genfin_lib.applications.hierarchy.garch import WindowGarch
from genfin_lib.applications.hierarchy.sets import (
    Sets,
    equity_windows,
    panel_windows,
    simulated_windows,
)
from genfin_lib.applications.results import read_results
from genfin_lib.data import load


@pytest.mark.parametrize("make", [equity_windows, panel_windows])
def test_training_windows_know_nothing_later(make, monkeypatch) -> None:
    before = make()
    prices = load("sp500_stocks")
    prices.loc["2011":] *= 1 + np.random.default_rng(0).random(prices["2011":].shape)
    monkeypatch.setattr("genfin_lib.applications.hierarchy.sets.load", lambda _: prices)
    after = make()
    assert torch.equal(before.train, after.train)
    assert not torch.equal(before.later, after.later)
    validation, test = np.split(before.times, [before.validation])
    assert "2011" < validation.min() < validation.max() < "2014" < test.min()


def test_simulated_windows_carry_their_density() -> None:
    sets = simulated_windows(2000, 400)
    iid = stats.norm.logpdf(sets.later.numpy()).mean()
    assert iid + 0.2 < sets.truth.mean() < iid + 0.6
    assert sets.train.std().item() == pytest.approx(1.0, abs=1e-4)


def test_window_garch_without_dynamics_is_a_mixture_over_the_first_variance() -> None:
    """One day: a Student-t whose variance is log-normal, by Monte Carlo."""
    garch = WindowGarch(torch.tensor([0.1]), torch.tensor([[2.0]]))
    x = torch.tensor([-3.0, 0.0, 1.0, 5.0])[:, None, None]
    nu, spread = 2 + np.exp(1.5), 1.0
    scale = 2 * np.exp((-0.7 + spread * np.random.default_rng(0).standard_normal(400_000)) / 2)
    expected = [stats.t(nu, 0.1, scale).pdf(v).mean() for v in x[:, 0, 0].numpy()]
    np.testing.assert_allclose(garch.log_prob(x).exp().detach(), expected, rtol=0.01)


def test_window_garch_of_two_series_integrates_to_one() -> None:
    factor = torch.tensor([[1.0, 0.0], [0.5, 0.8]])
    garch = WindowGarch(torch.zeros(2), factor)
    grid = torch.cartesian_prod(*[torch.linspace(-60, 60, 601)] * 2)[:, None]
    assert (garch.log_prob(grid).exp().sum() * 0.2**2).item() == pytest.approx(1, abs=0.02)


def test_window_garch_remembers_the_last_day() -> None:
    """Given a first day, the log-densities of two days differ by a t of the variance it left."""
    garch = WindowGarch(torch.zeros(1), torch.eye(1))
    with torch.no_grad():
        garch.raw[5] = -20.0  # the first variance is known
    omega, a, b, nu, first, _ = garch.raw.detach().double().exp().numpy()
    x = torch.tensor([[3.0, 1.0], [0.1, 1.0]])[:, :, None]
    both = garch.log_prob(x).detach().numpy()
    variance = omega + a * x[:, 0, 0].numpy() ** 2 + b * first
    t = stats.t(2 + nu)
    expected = t.logpdf(x[:, 0, 0] / first**0.5) - np.log(first) / 2
    expected += t.logpdf(1 / variance**0.5) - np.log(variance) / 2
    np.testing.assert_allclose(both, expected, atol=1e-4)


@pytest.mark.parametrize("part", list(run.PARTS))
def test_every_model_of_the_study_trains(part) -> None:
    length, channels = (32, 20) if part == "panel" else (64, 1)
    x = torch.randn(160, length, channels, generator=torch.Generator().manual_seed(0))
    sets = Sets(x, x[:8], np.array(["2012", "2014"]).repeat(4), 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "DRAWS", 2)
        patch.setattr(run, "baselines", lambda *_: [])
        table = run.study(part, sets, (0,), steps=2)
    assert len(table) == 2 * len(run.models(part, x))
    assert table["period"].tolist()[:2] == ["validation", "test"]
    assert np.isfinite(table[["nats", "kl_0", "seconds"]]).all(axis=None)


def test_a_piece_is_kept_and_another_one_is_not_taken_for_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(run, "DRAWS", 2)
    x = torch.randn(80, 64, 1, generator=torch.Generator().manual_seed(0))
    sets = Sets(x, x[:8], np.array(["2012", "2014"]).repeat(4), 4)
    build = run.models("simulator", x)["flat, 16, t"]
    settings = {"seed": 0, "steps": 2, "folder": tmp_path}
    first = run.piece("flat", build, sets, **settings)
    monkeypatch.setattr(run, "train", None)  # a second training would fail
    assert run.piece("flat", build, sets, **settings).equals(first)
    for change in ({"seed": 1}, {"steps": 3}):
        with pytest.raises(TypeError, match="callable"):
            run.piece("flat", build, sets, **settings | change)
    with pytest.raises(TypeError, match="callable"):
        run.piece("flat", build, sets._replace(later=x[8:16]), **settings)


def test_table_holds_what_a_new_run_gives() -> None:
    """A slice of seconds: the truth of the simulator, and the first baseline."""
    table = read_results("hierarchy_simulator")
    sets = simulated_windows()
    known = [*islice(run.baselines("simulator", sets), 1), ("truth", sets.truth)]
    for model, nats in known:
        stored = table[table["model"] == model].set_index("time")["nats"]
        again = pd.Series(nats).groupby(sets.times).mean()
        np.testing.assert_allclose(stored.to_numpy(), again.to_numpy(), atol=2e-3)
