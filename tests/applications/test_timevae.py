"""The TimeVAE study: its parts mean what they say, and a slice of the stored table comes again."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from genfin_lib import data
from genfin_lib.applications import read_results, timevae
from genfin_lib.applications.generation_scores import predictive_score
from genfin_lib.latent import TimeVAE


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    return timevae.bar_windows(data.load(timevae.DATASET))


def test_the_published_loss_is_an_elbo_up_to_a_constant() -> None:
    torch.manual_seed(0)
    model = TimeVAE(2, 6, 3, widths=(4,), head=timevae.published_head(3.0))
    x = torch.rand(50, 6, 2)
    torch.manual_seed(1)
    z = model.posterior(x).rsample()
    torch.manual_seed(1)
    rest = model.elbo(x).log_likelihood + 3 * (x - model.decoder(z)).square().sum((1, 2))
    torch.testing.assert_close(rest, rest.mean().expand(50))
    assert not model.head.raw_scale.requires_grad


def test_the_unit_scale_fills_the_unit_interval(windows: np.ndarray) -> None:
    x = timevae.unit_scale(windows)(windows)
    torch.testing.assert_close(x.amin((0, 1)), torch.zeros(5))
    torch.testing.assert_close(x.amax((0, 1)), torch.ones(5))


def test_sines_are_sines() -> None:
    """Each obeys the recurrence of a sine of its own frequency."""
    x = 2 * timevae.sines(200, seed=0).double() - 1
    twice_cosine = (x[:, 2:] + x[:, :-2]) / x[:, 1:-1]
    frequency = torch.acos((twice_cosine[:, 5:] / 2).clamp(-1, 1))
    assert frequency.max() < 0.102  # single precision
    torch.testing.assert_close(frequency.std(dim=1).mean().item(), 0.0, atol=0.01, rtol=0)


def test_each_rung_generates_on_the_unit_scale(
    windows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timevae.train, "__kwdefaults__", {"epochs": 1})
    monkeypatch.setattr(timevae.market_model, "__kwdefaults__", {"epochs": 1})
    part = windows[:200]
    made: dict[str, torch.Tensor] = {}
    for rung in (timevae.PLAIN, timevae.HEADS, timevae.PRIOR, timevae.COPIES):
        made |= timevae.generate(rung, part, seed=0)
    assert len(made) == 5
    assert all(x.shape == (200, 24, 5) and x.isfinite().all() for x in made.values())
    real = timevae.unit_scale(part)(part)
    same = (made[timevae.COPIES][:, None] == real).all(dim=3).all(dim=2)
    assert same.any(dim=1).all()


def test_pieces_that_were_done_are_not_done_again(
    windows: np.ndarray, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = []

    def piece(windows: np.ndarray, kind: str, rung: str, training: int) -> pd.DataFrame:
        calls.append((kind, rung, training))
        row = {"data": kind, "model": rung, "training": training, "repeat": 0, "score": "h24"}
        return pd.DataFrame([row | {"value": 0.1}])

    monkeypatch.setattr(timevae, "CACHE", tmp_path)
    monkeypatch.setattr(timevae, "_piece", piece)
    first = timevae.study(windows[:30])
    second = timevae.study(windows[:30])
    pd.testing.assert_frame_equal(first, second)
    assert len(calls) == len(set(calls)) == len(first)
    timevae.study(windows[:31])  # other data
    assert len(calls) == 2 * len(first)


def test_the_stored_table_comes_again(windows: np.ndarray) -> None:
    stored = read_results("timevae").set_index(["data", "model", "training", "score", "repeat"])
    real = timevae.unit_scale(windows)(windows)
    copies = timevae.generate(timevae.COPIES, windows, seed=0)[timevae.COPIES]
    found = predictive_score(real, copies, seed=0, **timevae.FORECAST)  # type: ignore[arg-type]
    expected = stored.loc["bars", timevae.COPIES, 0, "predictive", 0]["value"]
    assert found == pytest.approx(expected, abs=1e-4)


def test_the_last_rung_is_told_a_fifth_as_well_as_the_plain_model() -> None:
    table = read_results("timevae")
    means = table.groupby(["data", "model", "score"])["value"].mean()
    assert means["bars", timevae.PRIOR, "h24"] <= means["bars", timevae.PLAIN, "h24"] / 5


def test_foreign_columns_are_refused() -> None:
    table = pd.DataFrame(np.ones((30, 2)), columns=["Open", "Close"])
    with pytest.raises(ValueError, match="High"):
        timevae.bar_windows(table)
