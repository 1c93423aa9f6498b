"""The half-moons are drawn from the density that they state."""

import math

import pytest
import torch

from genfin_lib.data import HalfMoons


def test_density_integrates_to_one_and_samples_follow_it() -> None:
    moons = HalfMoons(noise=0.1)
    step = 0.02
    x, y = torch.arange(-2, 3, step), torch.arange(-1.5, 2, step)
    points = torch.cartesian_prod(x, y)
    mass = moons.log_prob(points).double().exp() * step**2
    assert mass.sum().item() == pytest.approx(1.0, abs=1e-4)
    upper = mass[points[:, 1] > 0.5].sum().item()
    share = (moons.sample(100_000, seed=0)[:, 1] > 0.5).double().mean().item()
    assert share == pytest.approx(upper, abs=4 * math.sqrt(0.25 / 100_000) + 0.005)


def test_density_is_highest_on_the_arcs() -> None:
    log_p = HalfMoons().log_prob(torch.tensor([[0.0, 1.0], [1.0, -0.5], [0.5, 0.25]]))
    assert log_p[0].item() == pytest.approx(log_p[1].item(), abs=1e-4)  # tops of the two arcs
    assert log_p[2] < log_p[0] - 5  # between them


def test_noise_must_hide_the_centres() -> None:
    with pytest.raises(ValueError, match=r"0\.02 or more, got 0\.01"):
        HalfMoons(noise=0.01)
