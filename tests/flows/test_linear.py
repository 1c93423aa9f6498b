"""Facts about linear flow layers that the common contract does not state."""

import math

import pytest
import torch

from genfin_lib.flows.linear import BatchNorm, Permutation, Standardize


def test_standardize_gives_mean_zero_and_population_variance_one() -> None:
    x = 5.0 + 3.0 * torch.randn(1000, 4, dtype=torch.float64)
    z, log_abs_det = Standardize.fit(x)(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(4).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(z.var(0, correction=0), torch.ones(4).double())
    torch.testing.assert_close(log_abs_det[0], -x.std(0, correction=0).log().sum())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (torch.randn(1, 2), "two or more rows"),
        (torch.randn(5), "two or more rows"),
        (torch.tensor([[1.0, 2.0], [1.0, 3.0]]), r"columns \[0\] are constant"),
        (torch.tensor([[1.0, 2.0], [float("nan"), 3.0]]), "NaN or inf"),
        (torch.full((1000, 1), 0.1), r"columns \[0\] are constant"),  # its computed std is 7e-9
    ],
)
def test_standardize_refuses_rows_it_cannot_scale(rows: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Standardize.fit(rows)


def test_permutation_must_name_each_feature_once() -> None:
    with pytest.raises(ValueError, match="each once"):
        Permutation(torch.tensor([0, 0, 2]))


def test_batch_norm_in_training_uses_batch_moments_and_their_jacobian() -> None:
    x = 2.0 + 3.0 * torch.randn(64, 3, dtype=torch.float64)
    layer = BatchNorm(3).double().train()
    z, log_abs_det = layer(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(3).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(z.var(0, correction=0), torch.ones(3).double())
    # The Jacobian of one row with the batch's moments held fixed, as in RealNVP.
    torch.testing.assert_close(log_abs_det, -0.5 * x.var(0, correction=0).log().sum().expand(64))


def test_batch_norm_gradient_passes_through_the_moments() -> None:
    x = torch.randn(16, 1, dtype=torch.float64, requires_grad=True)
    BatchNorm(1).double().train()(x)[0].sum().backward()
    # The normalised batch sums to zero whatever x is; with moments held fixed this were 1 / std.
    torch.testing.assert_close(x.grad, torch.zeros_like(x), atol=1e-12, rtol=0)


def test_batch_norm_momentum_and_floor() -> None:
    layer = BatchNorm(1, momentum=0.25, floor=0.04).double().train()
    x = torch.tensor([[3.0], [3.0]]).double()
    z, log_abs_det = layer(x)
    assert layer.running_mean.item() == pytest.approx(0.25 * 3.0)
    assert layer.running_var.item() == pytest.approx(0.75 * 1.0)
    assert log_abs_det[0].item() == pytest.approx(-0.5 * math.log(0.04))
    assert z.isfinite().all()


def test_standardize_keeps_no_gradient() -> None:
    layer = Standardize.fit(torch.randn(9, 2, requires_grad=True))
    assert not layer.mean.requires_grad


def test_batch_norm_running_averages_approach_the_moments_of_the_data() -> None:
    x = 2.0 + 3.0 * torch.randn(4096, 2, dtype=torch.float64)
    layer = BatchNorm(2).double().train()
    for batch in x.repeat(4, 1).split(256):
        layer(batch)
    torch.testing.assert_close(layer.running_mean, x.mean(0), atol=0.3, rtol=0)
    torch.testing.assert_close(layer.running_var, x.var(0), atol=0, rtol=0.15)


def test_batch_norm_in_training_refuses_a_batch_of_one() -> None:
    with pytest.raises(ValueError, match="two or more rows, got one"):
        BatchNorm(2).train()(torch.zeros(1, 2))


def test_batch_norm_is_not_moved_by_inverse_or_evaluation() -> None:
    layer = BatchNorm(2).train()
    layer.inverse(torch.randn(8, 2))
    layer.eval()(torch.randn(8, 2))
    assert torch.equal(layer.running_mean, torch.zeros(2))
    assert torch.equal(layer.running_var, torch.ones(2))
