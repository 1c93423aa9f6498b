"""The variational autoencoder against laws that are known exactly."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from genfin_lib.distributions import GaussianMixture, fixed_seed
from genfin_lib.flows import iaf
from genfin_lib.latent import (
    VAE,
    BernoulliHead,
    ConstantScaleHead,
    NormalHead,
    ProbabilisticPCA,
    StudentTHead,
)
from genfin_lib.latent.heads import UNIT

D, M = 4, 2


def unsoftplus(value: Tensor) -> Tensor:
    return value + torch.log(-torch.expm1(-value))


def linear(law: ProbabilisticPCA, **options: object) -> VAE:
    """The VAE whose decoder is `law`'s and whose posterior is its exact one."""
    torch.manual_seed(0)
    model = VAE(D, M, hidden=(), head=ConstantScaleHead(), **options).double()  # type: ignore[arg-type]
    posterior = law.posterior(torch.zeros(1, D, dtype=torch.float64))
    gain = posterior.covariance_matrix[0] @ law.loadings.T / law.noise  # (M, D)
    scale = posterior.covariance_matrix[0].diagonal().sqrt()
    with torch.no_grad():
        encoder, decoder = model.encoder[0], model.decoder[0]  # type: ignore[index]
        for parameter in model.encoder.parameters():
            parameter.zero_()
        encoder.weight[:M] = gain
        encoder.bias[:M] = -gain @ law.mean
        encoder.bias[M : 2 * M] = unsoftplus(scale - model.gaussian.floor) - UNIT
        decoder.weight.copy_(law.loadings)
        decoder.bias.copy_(law.mean)
        sigma = law.noise[:1].sqrt()
        model.head.raw_scale.copy_(unsoftplus(sigma - model.head.floor))  # type: ignore
    return model


@pytest.fixture(scope="module")
def law() -> ProbabilisticPCA:
    """Turned so that the exact posterior is diagonal."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(500, M, generator=generator) @ torch.randn(M, D, generator=generator)
    return ProbabilisticPCA.fit((x + 0.7 * torch.randn(500, D, generator=generator)).double(), M)


def perturbed(model: VAE, size: float = 0.2) -> VAE:
    with torch.no_grad(), fixed_seed(5):
        for parameter in model.encoder.parameters():
            parameter += size * torch.randn_like(parameter)
        if model.flow is not None:
            for parameter in model.flow.parameters():
                parameter += size * torch.randn_like(parameter)
    return model


@torch.no_grad()
def test_a_linear_vae_with_the_exact_posterior_is_ppca(law: ProbabilisticPCA) -> None:
    x = law.sample(50, seed=1)
    torch.testing.assert_close(linear(law).log_prob(x, draws=1, seed=0), law.log_prob(x))


@torch.no_grad()
def test_the_elbo_misses_the_kl_to_the_exact_posterior(law: ProbabilisticPCA) -> None:
    x, model = law.sample(4, seed=1), perturbed(linear(law))
    q = model.posterior(x)
    diagonal = MultivariateNormal(q.mean, torch.diag_embed(q.variance))
    gap = torch.distributions.kl_divergence(diagonal, law.posterior(x))
    with fixed_seed(2):
        bounds = model.elbo(x.repeat(20_000, 1)).bound.view(-1, len(x)).mean(0)
    assert (gap > 0.05).all()
    torch.testing.assert_close(bounds, law.log_prob(x) - gap, atol=0.06, rtol=0)


@pytest.mark.parametrize("context", [0, 3])
@torch.no_grad()
def test_a_flow_posterior_leaves_the_evidence_unbiased(law: ProbabilisticPCA, context: int) -> None:
    """E w = p(x) whatever q is, if the log-density of q is the right one."""
    flow = iaf(M, context, transforms=2, hidden=(8,))
    model = perturbed(linear(law, flow=flow), 0.1)
    model.encoder[0].bias.data[M : 2 * M] += 1.5  # type: ignore[index, union-attr]
    x = law.sample(3, seed=1)
    with fixed_seed(0):
        z, log_q = model.propose(x)
    with fixed_seed(0):
        start = model.posterior(x).rsample()
    assert (z - start).abs().max() > 0.1  # wide, and the flow moves
    assert (log_q - model.posterior(x).log_prob(start)).abs().max() > 0.05
    found = model.log_prob(x, draws=20_000, seed=0)
    torch.testing.assert_close(found, law.log_prob(x), atol=0.05, rtol=0)
    assert model.reconstruct(x).shape == x.shape


@torch.no_grad()
def test_another_prior_gives_another_law(law: ProbabilisticPCA) -> None:
    """Components pushed through an affine decoder are Gaussians again."""
    means = torch.tensor([[-1.0, 0.0], [1.0, 0.5]], dtype=torch.float64)
    prior = GaussianMixture(M, 2, means=means)
    model = linear(law, prior=prior)
    x = law.sample(5, seed=1)
    exact = torch.stack(
        [
            MultivariateNormal(
                law.mean + law.loadings @ mean,
                law.loadings @ tril @ tril.T @ law.loadings.T + torch.diag(law.noise),
            ).log_prob(x)
            for mean, tril in zip(prior.means, prior.scale_tril, strict=True)
        ]
    ).logsumexp(0) - math.log(2)
    found = model.log_prob(x, draws=20_000, seed=0)
    torch.testing.assert_close(found, exact, atol=0.05, rtol=0)
    terms = model.elbo(x.repeat(4000, 1))
    assert terms.kl.shape == (20_000, 1)
    weights = model.log_weights(x.repeat(4000, 1)).view(-1, 5).mean(0)
    torch.testing.assert_close(terms.bound.view(-1, 5).mean(0), weights, atol=0.05, rtol=0)


def test_samples_carry_the_noise_of_the_decoder(law: ProbabilisticPCA) -> None:
    draws = linear(law).sample(40_000, seed=0)
    torch.testing.assert_close(torch.cov(draws.T), law.covariance, atol=0.05, rtol=0.05)


def test_reconstruction_is_the_decoded_posterior_mean(law: ProbabilisticPCA) -> None:
    x = law.sample(5, seed=1)
    torch.testing.assert_close(linear(law).reconstruct(x), law.reconstruct(x))


@pytest.mark.parametrize("head", [NormalHead(), StudentTHead(), BernoulliHead()])
def test_gradients_reach_every_weight(head: nn.Module) -> None:
    torch.manual_seed(0)
    model = VAE(6, 3, hidden=(8,), head=head, flow=iaf(3, 2, transforms=2, hidden=(8,)))
    model.loss((torch.rand(32, 6) > 0.5).float()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.head.parameters())
    for part in (model.encoder, model.decoder):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())


class Steps(nn.Module):
    """From latents ``(N, M)`` to numbers by step, ``(N, T, P)``."""

    def __init__(self, latents: int, steps: int, numbers: int) -> None:
        super().__init__()
        self.map = nn.Linear(latents, steps * numbers)
        self.steps = steps

    def forward(self, z: Tensor) -> Tensor:
        return self.map(z).unflatten(1, (self.steps, -1))


def test_examples_of_several_dimensions_take_networks_of_their_own() -> None:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(24 * 6, 8))
    model = VAE((24, 6), 4, encoder=encoder, decoder=Steps(4, 24, 12))
    x = torch.randn(10, 24, 6)
    terms = model.elbo(x)
    assert terms.log_likelihood.shape == (10,)
    assert terms.kl.shape == (10, 4)
    assert model.sample(3, seed=0).shape == (3, 24, 6) == model.reconstruct(x[:3]).shape
    by_feature = model.likelihood(model.posterior(x).mean).log_prob(x)
    assert by_feature.shape == x.shape


def test_free_nats_take_the_pressure_away_in_training_only(law: ProbabilisticPCA) -> None:
    x = law.sample(200, seed=1)
    model = linear(law, free_nats=10.0, warm_up=0.0)
    with fixed_seed(0):
        terms = model.elbo(x)
    assert terms.kl.mean(0).max() < 10
    for training, kl in ((True, 10.0 * M), (False, terms.kl.sum(1).mean().item())):
        model.train(training)
        with fixed_seed(0):
            loss = model.loss(x)
        assert loss.item() == pytest.approx(kl - terms.log_likelihood.mean().item())


def test_bad_input_is_refused() -> None:
    model = VAE(D, M)
    for x in (torch.zeros(3, D + 1), torch.zeros(D), torch.zeros(3, D).double()):
        with pytest.raises(ValueError, match="x "):
            model.elbo(x)
    with pytest.raises(ValueError, match="NaN"):
        model.log_prob(torch.full((2, D), math.nan))
    with pytest.raises(ValueError, match="encoder and a decoder"):
        VAE((24, 6), 4)
    with pytest.raises(ValueError, match="2 dimensions"):
        VAE(D, M, prior=GaussianMixture(M + 1, 2))
    with pytest.raises(ValueError, match="2 dimensions"):
        VAE(D, M, flow=iaf(M + 1))
    with pytest.raises(ValueError, match="free_nats"):
        VAE(D, M, free_nats=-1.0)
