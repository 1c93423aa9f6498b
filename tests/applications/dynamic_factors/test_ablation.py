"""Ablations of the plain recurrent model: what can be known, a cell, the published table."""

import math

import numpy as np
import pytest
import torch

from genfin_lib.applications import read_results
from genfin_lib.applications.dynamic_factors.ablation import (
    VARIANTS,
    LongShortCell,
    ablate,
    best_known,
    explained,
)
from genfin_lib.data import simulate_factors


@pytest.fixture(scope="module")
def world():
    return simulate_factors(20_000, 8, seed=1, degrees_of_freedom=math.inf)


def test_what_can_be_known_leaves_an_error_that_no_return_explains(world) -> None:
    """The conditional mean of a Gaussian: what is left is uncorrelated with the returns."""
    left = world.factors - best_known(world)
    for state in (0, 1):
        days = world.labels == state
        both = np.corrcoef(left[days].T, world.returns[days].T)
        assert np.abs(both[:3, 3:]).max() < 4 / math.sqrt(days.sum())


def test_no_turn_of_the_factors_changes_what_they_explain(world) -> None:
    known, later = best_known(world), slice(10_000, None)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((2, 3, 3)))[0][world.labels]
    turned = np.einsum("tij,tj->ti", turn, known)
    straight = explained(world, known, later)
    np.testing.assert_allclose(explained(world, turned, later), straight, atol=1e-10)
    assert (straight > 0.1).all()
    assert np.abs(explained(world, np.zeros_like(known), later)).max() < 0.01


def test_long_memory_keeps_both_halves_of_its_state() -> None:
    cell, state = LongShortCell(5, 16), torch.randn(3, 16)
    inputs = torch.randn(3, 5)
    h, c = cell.lstm(torch.relu(cell.extract(inputs)), (state[:, :8], state[:, 8:]))
    torch.testing.assert_close(cell(inputs, state), torch.cat((h, c), dim=1))


def test_published_row_is_found_again() -> None:
    table = read_results("rvrae_ablation").set_index(["model", "seed"])
    assert set(table.index.get_level_values(0)) == set(VARIANTS)
    found = ablate("no recurrence", 0)
    for name in ("gap", "r2_1", "r2_2", "best_1", "best_3"):
        # Trained in single precision: another processor differs in the second digit.
        assert found[name] == pytest.approx(table.loc[("no recurrence", 0), name], rel=0.15)
