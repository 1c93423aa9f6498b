"""Sequence autoencoders: the contract holds with memory and with attention."""

import pytest
import torch
from torch import Tensor

from genfin_lib.distributions import fixed_seed
from genfin_lib.latent import RecurrentVAE, StudentTHead, TransformerVAE
from genfin_lib.training import fit

BOTH = pytest.mark.parametrize("cls", [RecurrentVAE, TransformerVAE])
LENGTH = 8


def model(cls: type[RecurrentVAE], latents: int = 2, **options: object) -> RecurrentVAE:
    with fixed_seed(0):
        built = cls(1, LENGTH, latents, width=8, **options).double()  # type: ignore[arg-type]
        with torch.no_grad():
            for parameter in built.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
    return built.eval()


def windows(n: int, seed: int = 1) -> Tensor:
    """Each window calm or wild as a whole."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.randn(n, 1, 1, generator=generator).exp()
    return (scale * torch.randn(n, LENGTH, 1, generator=generator)).double()


@BOTH
def test_the_bound_rises_to_the_evidence(cls: type[RecurrentVAE]) -> None:
    """One latent, so that the evidence is an integral on a grid."""
    net = model(cls, 1, head=StudentTHead())
    x = net.sample(10, seed=1)
    grid = torch.linspace(-7, 7, 2001, dtype=torch.float64)[:, None]
    with torch.no_grad():
        law = net.likelihood(grid)
        given = torch.stack([law.log_prob(row).sum((1, 2)) for row in x])  # (N, grid)
        joint = given + net.prior().log_prob(grid)
        evidence = joint.logsumexp(dim=1) + torch.log(grid[1, 0] - grid[0, 0])
        bounds = [
            net.log_prob(x.repeat(2000 // k, 1, 1), draws=k, seed=0).mean() for k in (1, 20, 2000)
        ]
    gaps = [(evidence.mean() - bound).item() for bound in bounds]
    assert gaps == sorted(gaps, reverse=True)
    assert abs(gaps[-1]) < 0.1 * gaps[0], gaps


@BOTH
def test_density_given_latents_is_that_of_samples(cls: type[RecurrentVAE]) -> None:
    net = model(cls)
    z = torch.tensor([[0.5, -1.0]]).double()
    law = net.likelihood(z)
    with fixed_seed(0):
        draws = law.sample((4000,))
    assert law.mean.shape == (1, LENGTH, 1)
    torch.testing.assert_close(draws.mean(0), law.mean, atol=0.1, rtol=0)
    torch.testing.assert_close(draws.std(0), law.stddev, rtol=0.1, atol=0)
    assert net.sample(3, seed=1).shape == (3, LENGTH, 1)
    assert torch.equal(net.sample(3, seed=1), net.sample(3, seed=1))


@BOTH
def test_every_day_moves_the_posterior_and_every_latent_every_day(cls: type[RecurrentVAE]) -> None:
    net, x = model(cls), windows(3).requires_grad_()
    (slope,) = torch.autograd.grad(net.posterior(x).mean.sum(), x)
    assert (slope.abs() > 1e-8).all()
    z = torch.zeros(1, 2).double().requires_grad_()
    for t in range(LENGTH):
        (slope,) = torch.autograd.grad(net.likelihood(z).stddev[0, t, 0], z)
        assert (slope.abs() > 1e-8).all()


@BOTH
def test_order_matters(cls: type[RecurrentVAE]) -> None:
    net, x = model(cls), windows(5)
    gap = net.posterior(x).mean - net.posterior(x.flip(1)).mean
    assert gap.abs().min() > 1e-6


@BOTH
def test_examples_do_not_see_each_other(cls: type[RecurrentVAE]) -> None:
    net, x = model(cls).train(), windows(6)
    alone = torch.cat([net.posterior(row[None]).mean for row in x])
    torch.testing.assert_close(net.posterior(x).mean, alone)


@BOTH
def test_training_finds_that_windows_differ_in_scale(cls: type[RecurrentVAE]) -> None:
    """A scale drawn for the whole window: its logarithm is the latent, up to sign."""
    net = model(cls, 1).float()
    x, later = windows(400).float(), windows(300, seed=2).float()
    constant = torch.distributions.Normal(0.0, x.std()).log_prob(later).sum((1, 2)).mean()
    fit(net, x, seed=0, epochs=25, batch_size=50, learning_rate=5e-3, cosine=True)
    with torch.no_grad():
        gain = net.log_prob(later, draws=50, seed=0).mean() - constant
        pair = torch.stack((net.posterior(later).mean[:, 0], later.std(dim=1)[:, 0].log()))
    assert gain > 2.0
    assert torch.corrcoef(pair)[0, 1].abs() > 0.8


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="each must be 1 or more"):
        RecurrentVAE(1, 0, 2)
    with pytest.raises(ValueError, match="multiple of 4"):
        TransformerVAE(1, 8, 2, width=6)
    with pytest.raises(ValueError, match=r"shape \(N, 8, 1\)"):
        model(RecurrentVAE).posterior(torch.zeros(3, 7, 1).double())
