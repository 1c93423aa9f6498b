"""Hierarchical VAE: exact on a linear one, each level at its own resolution, two posteriors."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal

from genfin_lib.distributions import fixed_seed
from genfin_lib.latent import ConstantScaleHead, HierarchicalVAE, LadderVAE, StudentTHead
from genfin_lib.training import fit

LEVELS = ((1, 2), (2, 1), (4, 1))


def perturbed(model: HierarchicalVAE, *, seed: int = 0, by: float = 0.2) -> HierarchicalVAE:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.add_(by * noise.to(parameter.dtype))
    return model.double()


def small(cls: type[HierarchicalVAE] = HierarchicalVAE, **kwargs) -> HierarchicalVAE:
    torch.manual_seed(0)
    settings = {"channels": 2, "levels": LEVELS, "width": 6} | kwargs
    return perturbed(cls(4, **settings))


def linear(cls: type[HierarchicalVAE]) -> tuple[HierarchicalVAE, MultivariateNormal]:
    """No ReLU is ever shut, no scale depends on the latents: x is Gaussian, its law known."""
    model = small(cls, channels=1, head=ConstantScaleHead())
    with torch.no_grad():
        model.head.raw_scale.fill_(2.0)  # x says little, so that a random posterior is not far off
        model.write_place += 50
        model.write.bias -= model.write.weight[:, :, 0] @ torch.full((6,), 50.0).double()
        for level in model.down:
            level.mix[-1].weight.zero_()
            level.posterior_net.weight *= 0.2
            level.posterior_net.bias.zero_()
            level.posterior_net.bias[level.units :] = 1.5 if cls is LadderVAE else 0.1
            if level.prior_net is not None:
                level.prior_net.weight[level.units :] = 0

    def mean(noise: Tensor) -> Tensor:  # of x, from standard normal noise of all levels
        latents: list[Tensor] = []
        for part, level in zip(noise.split([2, 2, 4]), model.down, strict=True):
            prior = model._down(1, given=latents, at_means=True)[0][len(latents)].prior
            latents.append(prior.loc + prior.scale * part.view(1, level.units, level.positions))
        return model.likelihood(latents).mean[0, :, 0]

    zero = torch.zeros(8, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(mean, zero)
    covariance = jacobian @ jacobian.T + model.head.scale.detach() ** 2 * torch.eye(4).double()
    return model, MultivariateNormal(mean(zero).detach(), covariance)


@pytest.mark.parametrize("cls", [HierarchicalVAE, LadderVAE])
def test_weights_are_unbiased_and_the_bound_rises_to_the_density(cls) -> None:
    model, law = linear(cls)
    torch.manual_seed(1)
    x = law.sample((6,))
    exact = law.log_prob(x)
    with torch.no_grad():
        rows = x[:, None, :, None].expand(-1, 5000, -1, -1).reshape(-1, 4, 1)
        weights = model.log_weights(rows).view(6, -1)
        relative = (weights - exact[:, None]).exp()
        error = relative.std(1) / math.sqrt(5000)
        assert ((relative.mean(1) - 1).abs() < 4 * error).all()
        bounds = [model.log_prob(rows[::5], draws=k, seed=0).mean().item() for k in (1, 4, 32)]
        assert bounds == sorted(bounds)
        assert bounds[-1] < exact.mean()
        torch.manual_seed(2)
        elbo = model.elbo(rows[::5]).bound.mean().item()
    assert elbo == pytest.approx(bounds[0], abs=0.1)


def test_samples_have_the_law_of_the_density() -> None:
    model, law = linear(HierarchicalVAE)
    x = model.sample(20_000, seed=0)[:, :, 0]
    torch.testing.assert_close(x.mean(0), law.mean, atol=0.05, rtol=0)
    torch.testing.assert_close(torch.cov(x.T), law.covariance_matrix, atol=0.08, rtol=0.05)


@pytest.mark.parametrize("cls", [HierarchicalVAE, LadderVAE])
def test_kl_of_each_level_is_the_mean_of_its_draws(cls) -> None:
    """The top's formula against draws; the others, given those above, against theirs."""
    model = small(cls)
    x = torch.randn(1, 4, 2, dtype=torch.float64).expand(5000, -1, -1)
    torch.manual_seed(0)
    with torch.no_grad():
        kl = model.elbo(x).kl
        steps, _ = model._infer(x)
        drawn = torch.stack(
            [(q.log_prob(z) - p.log_prob(z)).sum((1, 2)) for z, p, q in steps], dim=1
        )
    assert kl.shape == (5000, 3)
    assert (kl > 0).all()
    error = (drawn.var(0) + kl.var(0)).sqrt() / math.sqrt(5000)
    assert ((drawn.mean(0) - kl.mean(0)).abs() < 4 * error).all()


def test_kl_by_place_sums_to_that_of_the_bound_and_knows_the_place() -> None:
    model, x = small(), torch.randn(6, 4, 2).double()
    places = model.kl_by_place(x, draws=1, seed=0)
    assert [k.shape for k in places] == [(6, 1), (6, 2), (6, 4)]
    with fixed_seed(0):
        whole = model.elbo(x).kl
    torch.testing.assert_close(torch.stack([k.sum(1) for k in places], dim=1), whole)
    # Kernels of one step: what is put in at the end cannot be seen at the second level's start.
    model = small(kernel=1)
    strange = x.clone()
    strange[:, -1] += 5
    moved = [
        (a - b).abs().amax(0)
        for a, b in zip(
            model.kl_by_place(x, draws=1, seed=0),
            model.kl_by_place(strange, draws=1, seed=0),
            strict=True,
        )
    ]
    assert moved[0] > 1e-3
    assert moved[1][1] > moved[1][0]


def test_a_posterior_without_deltas_is_the_prior() -> None:
    model = small()
    for level in model.down:
        torch.nn.init.zeros_(level.posterior_net.weight)
        torch.nn.init.zeros_(level.posterior_net.bias)
    x = torch.randn(3, 4, 2).double()
    assert model.elbo(x).kl.abs().max() == 0
    assert all(not z.any() for z in model.innovations(x))


def test_innovations_are_what_the_prior_did_not_expect() -> None:
    model, x = small(), torch.randn(6, 4, 2).double()
    means, found = model.latents(x), model.innovations(x)
    torch.testing.assert_close(found[0], means[0])  # the prior of the top has mean zero
    with torch.no_grad():
        steps, _ = model._down(6, given=means)  # priors given the posterior means above
    for z, step, innovation in zip(means, steps, found, strict=True):
        torch.testing.assert_close(innovation, z - step.prior.mean)
    assert found[1].abs().min() > 0


def test_ladder_posterior_is_a_product_of_gaussians_and_never_wider() -> None:
    level = small(LadderVAE).down[1]
    torch.manual_seed(0)
    state, features = torch.randn(2, 5, 6, 2, dtype=torch.float64)
    prior = level.prior(state)
    q = level.posterior(prior, state, features)
    seen = level.posterior_net(torch.cat((torch.zeros_like(state), features), dim=1))
    other = Normal(seen[:, :1], (4 * (seen[:, 1:] / 4).tanh()).exp())
    z = torch.randn(7, 5, 1, 2, dtype=torch.float64)
    rest = q.log_prob(z) - prior.log_prob(z) - other.log_prob(z)
    torch.testing.assert_close(rest, rest[:1].expand_as(rest))
    assert (q.scale < prior.scale).all()


def test_latents_reach_as_far_as_their_place() -> None:
    model = small(kernel=1)
    latents = model.prior_sample(1, seed=0)
    before = model.likelihood(latents).mean
    for index, reach in ((0, [0, 1, 2, 3]), (1, [2, 3]), (2, [3])):
        moved = [z.clone() for z in latents]
        moved[index][:, 0, -1] += 1
        changed = (model.likelihood(moved).mean - before).abs().sum((0, 2)) > 1e-9
        assert changed.nonzero()[:, 0].tolist() == reach


def test_only_a_skip_carries_the_top_past_the_bottom() -> None:
    for skip in (True, False):
        model = small(skip=skip)
        latents = model.prior_sample(3, seed=0)
        moved = [latents[0] + 1, *latents[1:]]
        same = torch.equal(model.likelihood(moved).mean, model.likelihood(latents).mean)
        assert same is not skip
        above = [model._down(3, given=g, at_means=True)[0][1].prior for g in (latents, moved)]
        assert not torch.equal(above[0].loc, above[1].loc)  # the chain itself holds in both


def test_given_levels_are_kept_and_the_others_drawn() -> None:
    model = small(head=StudentTHead())
    first = model.prior_sample(5, seed=0)
    again = model.prior_sample(5, given=first[:2], seed=1)
    assert all(torch.equal(a, b) for a, b in zip(first[:2], again[:2], strict=True))
    assert not torch.equal(first[2], again[2])
    assert torch.equal(model.sample(5, given=first, seed=3), model.sample(5, given=first, seed=3))
    assert model.sample(5, given=first[:1]).shape == (5, 4, 2)


def test_rows_do_not_see_each_other() -> None:
    model = small()
    x = torch.randn(6, 4, 2, dtype=torch.float64)
    for whole, half in zip(model.latents(x), model.latents(x[:3]), strict=True):
        torch.testing.assert_close(whole[:3], half)
    torch.testing.assert_close(model.reconstruct(x)[:3], model.reconstruct(x[:3]))


def test_training_finds_the_volatility_of_a_window() -> None:
    """Simulated: calm and wild windows, otherwise noise. One latent of the top must tell them."""
    torch.manual_seed(0)
    wild = torch.arange(1000) % 2 == 1
    x = torch.randn(1000, 8, 1) * torch.where(wild, 2.0, 0.5)[:, None, None]
    model = HierarchicalVAE(8, levels=((1, 1), (8, 1)), width=8)
    fit(model, x, seed=0, epochs=12, batch_size=50, learning_rate=5e-3, cosine=True)
    z = model.latents(x)[0][:, 0, 0]
    assert abs(torch.corrcoef(torch.stack((z, wild.float())))[0, 1]) > 0.8
    with torch.no_grad():
        bound = model.log_prob(x, draws=20, seed=0).mean() / 8
    laws = [Normal(0.0, scale).log_prob(x).sum((1, 2)) / 8 for scale in (2.0, 0.5)]
    mixture = (8 * torch.stack(laws) + math.log(0.5)).logsumexp(0).mean() / 8
    alone = Normal(0.0, x.std()).log_prob(x).mean()
    assert (alone + mixture) / 2 < bound < mixture + 0.01


def test_bad_sizes_and_data_are_refused() -> None:
    for settings in ({"levels": ()}, {"levels": ((1, 0),)}, {"kernel": 2}, {"channels": 0}):
        with pytest.raises(ValueError, match="sizes"):
            HierarchicalVAE(4, **settings)
    for levels in (((2, 1), (3, 1), (12, 1)), ((1, 1), (3, 1))):
        with pytest.raises(ValueError, match="divide"):
            HierarchicalVAE(4, levels=levels)
    model = HierarchicalVAE(4, levels=LEVELS)
    with pytest.raises(ValueError, match="shape"):
        model.elbo(torch.zeros(3, 4))
    with pytest.raises(ValueError, match="NaN"):
        model.elbo(torch.full((3, 4, 1), math.nan))
    with pytest.raises(ValueError, match="free_nats"):
        HierarchicalVAE(4, levels=LEVELS, free_nats=-1)
