"""The stored comparison is what its code computes; a slice of it anew."""

import math

import pytest
import torch

from genfin_lib.applications import cross_section
from genfin_lib.applications.results import read_record, read_results
from genfin_lib.distributions import fixed_seed
from genfin_lib.latent import VAE, StudentTHead


@pytest.fixture(scope="module")
def days() -> cross_section.Days:
    return cross_section.market_days()


def test_days_are_scaled_by_the_past_alone(days: cross_section.Days) -> None:
    torch.testing.assert_close(days.train.mean(0), torch.zeros(20), atol=1e-4, rtol=0)
    torch.testing.assert_close(days.train.std(0), torch.ones(20), atol=1e-3, rtol=0)
    assert (days.test.std(0) - 1).abs().max() > 0.1


def test_closed_form_rows_are_the_stored_ones(days: cross_section.Days) -> None:
    stored = read_results("cross_section").set_index("model")
    again = cross_section.compare(cross_section.CLOSED, days).set_index("model")
    for column in ("validation", "test", "lead", "error"):
        for name in again.index:
            assert again.loc[name, column] == pytest.approx(
                stored.loc[name, column], rel=1e-3, abs=1e-3
            )


def test_every_model_is_stored_with_its_seeds() -> None:
    rows = read_results("cross_section").groupby("model")["seed"].apply(list)
    assert all(rows[name] == [0] for name in cross_section.CLOSED)
    assert all(rows[name] == [0, 1, 2] for name in cross_section.TRAINED)
    assert read_record("cross_section")["command"] == "make cross-section"


def test_eight_draws_are_a_tighter_loss_than_one(days: cross_section.Days) -> None:
    x = days.train[:400]
    with fixed_seed(0):
        model = cross_section.ImportanceWeightedVAE(20, 8, hidden=(8,))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
        with fixed_seed(2):
            loss = model.loss(x)
        torch.testing.assert_close(loss, -model.log_prob(x, draws=8, seed=2).mean())
        with fixed_seed(2):
            assert loss < VAE.loss(model, x) - 0.1


def test_a_short_training_beats_the_start(days: cross_section.Days) -> None:
    part = cross_section.Days(days.train[:1500], days.validation[:200], days.test)
    levels = []
    for epochs in (1, 6):
        model = cross_section.train_vae(
            part.train, StudentTHead(20, floor=0.05), seed=0, epochs=epochs
        )
        levels.append(cross_section.score(model, part))
    assert levels[1]["test"] < levels[0]["test"] - 1
    assert levels[1]["test"] < levels[1]["elbo"]  # more draws, tighter
    assert math.isfinite(levels[1]["error"])
