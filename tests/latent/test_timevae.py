"""TimeVAE: shapes at any length, exact bounds where theory has them, parts that add up."""

import pytest
import torch
from torch import Tensor

from genfin_lib.latent import (
    ConstantScaleHead,
    InterpretableTimeVAE,
    NormalHead,
    StudentTHead,
    TimeVAE,
    fit_prior,
)
from genfin_lib.training import fit


def perturbed(model: TimeVAE, size: float = 0.1) -> TimeVAE:
    torch.manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(size * torch.randn_like(p))
    return model.eval()


def windows(n: int, length: int = 12, channels: int = 2) -> Tensor:
    """Simulated: one random level for each window, and noise."""
    torch.manual_seed(0)
    return 2 * torch.randn(n, 1, channels).sign() + 0.5 * torch.randn(n, length, channels)


@pytest.mark.parametrize("length", [1, 5, 24])
@pytest.mark.parametrize("head", [NormalHead(), StudentTHead(3), ConstantScaleHead(3)])
def test_any_length_and_head(length: int, head: torch.nn.Module) -> None:
    model = perturbed(TimeVAE(3, length, 4, widths=(8, 6), head=head))
    x = torch.randn(7, length, 3)
    assert model.reconstruct(x).shape == x.shape
    assert model.sample(5, seed=0).shape == (5, length, 3)
    assert model.elbo(x).kl.shape == (7, 4)
    torch.testing.assert_close(model.sample(5, seed=0), model.sample(5, seed=0))


def test_every_time_and_channel_reaches_the_latents_and_is_reached() -> None:
    model = perturbed(TimeVAE(2, 12, 3, widths=(8, 6)))
    x = torch.randn(1, 12, 2, requires_grad=True)
    model.posterior(x).mean.sum().backward()
    assert (x.grad != 0).all()  # type: ignore[union-attr]
    z = torch.zeros(1, 3, requires_grad=True)
    jacobian = torch.autograd.functional.jacobian(lambda z: model.likelihood(z).mean, z)
    assert (jacobian != 0).any(dim=-1).all()


def test_bound_is_below_an_estimate_with_many_draws() -> None:
    model = perturbed(TimeVAE(2, 12, 3, widths=(8, 6)))
    x = windows(20)
    low, high = (model.log_prob(x, draws=k, seed=2).mean().item() for k in (1, 500))
    assert low < high


def test_sampling_without_noise_is_smoother() -> None:
    model = TimeVAE(2, 12, 3, widths=(8, 6))
    noisy, smooth = (model.sample(500, noise=n, seed=0) for n in (True, False))
    assert smooth.std() < 0.5 * noisy.std()


def interpretable(**settings: object) -> InterpretableTimeVAE:
    model = InterpretableTimeVAE(
        2, 12, 3, widths=(8, 6), degree=2, seasons=[(3, 1), (2, 6)], **settings
    )
    perturbed(model, 0.3)
    return model


@pytest.mark.parametrize("residual", [True, False])
def test_parts_add_up_to_the_mean(residual: bool) -> None:
    model = interpretable(residual=residual, head=StudentTHead(2))
    z = torch.randn(9, 3)
    parts = model.components(z)
    assert list(parts) == ["trend", "season 1", "season 2", *(["residual"] if residual else [])]
    torch.testing.assert_close(sum(parts.values()), model.likelihood(z).mean)


def test_parts_are_what_their_names_say() -> None:
    parts = interpretable().components(torch.randn(9, 3))
    third_difference = parts["trend"].diff(n=3, dim=1)
    torch.testing.assert_close(third_difference, torch.zeros(9, 9, 2), atol=1e-5, rtol=0)
    assert parts["trend"].diff(n=2, dim=1).abs().max() > 1e-3
    first, second = parts["season 1"], parts["season 2"]
    torch.testing.assert_close(first[:, 3:], first[:, :-3])
    torch.testing.assert_close(second[:, :6], second[:, :1].expand(-1, 6, -1))
    for season in (first, second):
        torch.testing.assert_close(season.sum(dim=1), torch.zeros(9, 2), atol=1e-5, rtol=0)
        assert season.std(dim=1).min() > 1e-4


def test_a_prior_of_the_latents_raises_the_bound_and_finds_the_clusters() -> None:
    x = windows(400)
    torch.manual_seed(0)
    model = TimeVAE(2, 12, 2, widths=(8, 6))
    fit(model, x, seed=0, epochs=60, batch_size=100, learning_rate=5e-3, cosine=True)
    torch.manual_seed(3)
    before = model.elbo(x.repeat(5, 1, 1)).bound.mean().item()
    weights = [p.clone() for p in model.encoder.parameters()]
    prior = fit_prior(model, x, components=4, seed=0)
    assert model.prior is prior
    after = model.elbo(x.repeat(5, 1, 1)).bound.mean().item()
    assert after > before + 0.1
    assert all(torch.equal(a, b) for a, b in zip(weights, model.encoder.parameters(), strict=True))
    # Four combinations of signs, each in a quarter of the windows.
    levels = model.sample(4000, seed=0).mean(dim=1).sign()
    share = (levels[:, 0] > 0).double().mean() * (levels[:, 1] > 0).double().mean()
    assert share.item() == pytest.approx(0.25, abs=0.08)
    # EM ends with the moments of its data. Two components for four clusters: they have to lean.
    prior = fit_prior(model, x, components=2, draws=50, seed=0)
    torch.manual_seed(4)
    z = model.posterior(x).sample((200,)).flatten(0, 1)
    mean = prior.weights @ prior.means
    within = torch.einsum("k,kij,klj->il", prior.weights, prior.scale_tril, prior.scale_tril)
    between = (prior.means - mean).T @ (prior.weights[:, None] * (prior.means - mean))
    torch.testing.assert_close(mean, z.mean(0), atol=0.02, rtol=0)
    torch.testing.assert_close(within + between, z.T.cov(), atol=0.02, rtol=0.01)


def test_bad_settings_are_refused() -> None:
    for wrong in ({"channels": 0}, {"length": 0}, {"latents": 0}, {"widths": ()}, {"widths": (0,)}):
        with pytest.raises(ValueError, match="1 or more"):
            TimeVAE(**{"channels": 2, "length": 12, "latents": 3, **wrong})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one round"):
        InterpretableTimeVAE(2, 12, 3, seasons=[(5, 3)])
    with pytest.raises(ValueError, match="degree"):
        InterpretableTimeVAE(2, 12, 3, degree=-1)
    with pytest.raises(ValueError, match="shape"):
        TimeVAE(2, 12, 3).elbo(torch.randn(4, 2, 12))
    with pytest.raises(ValueError, match="components"):
        fit_prior(TimeVAE(2, 12, 3), windows(10), components=20, seed=0)
