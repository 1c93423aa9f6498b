"""Scores of generated windows: zero for the same law, one half for another, the known optimum."""

import pytest
import torch
from torch import Tensor

from genfin_lib.applications.generation_scores import discriminative_score, predictive_score


def walks(n: int, slope: float, seed: int) -> Tensor:
    """Simulated: the second series repeats the first one a step later, times a slope."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.rand(n, 10, 1, generator=generator)
    second = torch.cat((torch.full((n, 1, 1), 0.5), slope * (first[:, :-1] - 0.5) + 0.5), dim=1)
    return torch.cat((first, second), dim=2)


def test_the_same_law_cannot_be_told() -> None:
    score = discriminative_score(walks(500, 1, 0), walks(500, 1, 1), seed=0, hidden=8, steps=100)
    assert score < 0.12  # two errors of an accuracy on 200 windows are 0.07


def test_another_law_is_told_by_enough_units() -> None:
    """Only the sign of a dependence over time differs: means and variances are the same."""
    settings = {"steps": 300, "learning_rate": 1e-2, "cosine": True, "seed": 0}
    score = discriminative_score(walks(500, 1, 0), walks(500, -1, 1), hidden=24, **settings)
    assert score > 0.45


def test_forecasts_learned_from_the_right_law_reach_the_optimum() -> None:
    settings = {"steps": 250, "learning_rate": 2e-2, "cosine": True, "seed": 0, "hidden": 8}
    real = walks(400, 1, 0)
    right = predictive_score(real, walks(400, 1, 1), **settings)
    wrong = predictive_score(real, walks(400, -1, 1), **settings)
    assert right < 0.04  # the next value is known from what was seen
    assert wrong == pytest.approx(0.5, abs=0.06)  # |x - (1 - x)| of a uniform x


def test_scores_repeat_and_leave_the_generator_alone() -> None:
    a, b = walks(50, 1, 0), walks(50, 1, 1)
    state = torch.get_rng_state()
    first = discriminative_score(a, b, seed=3, steps=5)
    assert discriminative_score(a, b, seed=3, steps=5) == first
    assert predictive_score(a, b, seed=3, steps=5) == predictive_score(a, b, seed=3, steps=5)
    assert torch.equal(torch.get_rng_state(), state)


def test_bad_windows_are_refused() -> None:
    a = walks(50, 1, 0)
    with pytest.raises(ValueError, match="ten windows"):
        discriminative_score(a[:5], a[:5], seed=0)
    with pytest.raises(ValueError, match="equal times"):
        predictive_score(a, a[:, :5], seed=0)
    with pytest.raises(ValueError, match="as many"):
        discriminative_score(a, a[:30], seed=0)
    with pytest.raises(ValueError, match="one channel"):
        predictive_score(a[..., :1], a[..., :1], seed=0)
