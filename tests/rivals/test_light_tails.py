"""The way to standard units: tails tamed, and given back."""

import math

import pytest
import torch
from scipy import stats

from genfin_lib.risk import hill_index
from genfin_lib.rivals import light_tails


def student(n: int, *shape: int, df: float = 4.0, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.distributions.StudentT(torch.tensor(df).double()).sample((n, *shape))


def test_heavy_tails_become_gaussian_ones_and_come_back() -> None:
    x = 0.01 * student(20_000, 1) + 0.0005
    transform = light_tails(x)
    z = transform(x)[0]
    assert stats.kurtosis(x.flatten()) > 3
    assert abs(stats.kurtosis(z.flatten())) < 0.3
    assert z.square().mean().item() == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(transform.generate(z), x)
    # Gaussian noise through the way back has a tail like that of the data.
    torch.manual_seed(1)
    drawn = transform.generate(torch.randn_like(x))
    (mine, error), (theirs, _) = (hill_index(-v.flatten(), tail=0.02) for v in (drawn, x))
    assert mine == pytest.approx(theirs, abs=4 * error)


def test_gaussian_data_are_only_standardised() -> None:
    torch.manual_seed(0)
    x = 2 + 3 * torch.randn(5000, 2, dtype=torch.float64)
    z = light_tails(x)(x)[0]
    torch.testing.assert_close(z, (x - x.mean(dim=0)) / x.std(dim=0), atol=0.05, rtol=0.02)


def test_log_determinant_is_that_of_autograd() -> None:
    x = student(500, 3)
    transform = light_tails(x)
    point = x[:1]
    jacobian = torch.autograd.functional.jacobian(lambda v: transform(v[None])[0][0], point[0])
    torch.testing.assert_close(transform(point)[1][0], torch.linalg.slogdet(jacobian)[1])


def test_times_of_a_window_share_their_moments() -> None:
    x = student(400, 2, 8) * torch.tensor([1.0, 5.0])[:, None].double()
    transform = light_tails(x)
    standardize = transform.transforms[0]
    assert torch.equal(standardize.std[:8], standardize.std[:1].expand(8))
    assert standardize.std[8] > 3 * standardize.std[0]
    # A value is sent to the same place on whatever day it stands.
    row = torch.zeros(1, 16, dtype=torch.float64)
    row[:, :8] = 1.3
    assert transform(row)[0][0, :8].unique().numel() == 1


def test_nothing_is_left_to_train() -> None:
    assert not any(p.requires_grad for p in light_tails(student(50, 2)).parameters())


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(5), "train must be"),
        (torch.ones(5, 2), "constant"),
        (torch.full((5, 2), math.nan), "NaN"),
    ],
)
def test_bad_data_are_refused(x: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        light_tails(x)
