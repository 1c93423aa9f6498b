"""Diffusion: its forward process, what it is before training, and Gaussian data, solved exactly."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal

from genfin_lib.rivals import Diffusion, ScoreMatching, light_tails
from genfin_lib.training import fit
from tests.contracts.registry import perturb

SHAPES = (3, (2, 8))


def gaussian_data(n: int, *, seed: int = 0) -> tuple[MultivariateNormal, Tensor]:
    """Two features of variance 1.3 and 0.7, correlated by 0.8."""
    covariance = torch.tensor([[1.3, 0.763], [0.763, 0.7]])
    law = MultivariateNormal(torch.zeros(2), covariance)
    torch.manual_seed(seed)
    return law, law.sample((n,))


@pytest.fixture(scope="module")
def trained() -> tuple[MultivariateNormal, Diffusion]:
    law, x = gaussian_data(4000)
    model = Diffusion(2, steps=50, hidden=(64, 64))
    fit(model, x, seed=0, epochs=60, batch_size=250, learning_rate=3e-3, cosine=True)
    return law, model


def test_forward_process_has_its_closed_form_moments() -> None:
    model = Diffusion(1, steps=20).double()
    torch.manual_seed(0)
    start = torch.full((200_000, 1), 1.7, dtype=torch.float64)
    x = start
    for t in range(1, 13):  # step by step, as the definition says
        x = model.alpha[t].sqrt() * x + (1 - model.alpha[t]).sqrt() * torch.randn_like(x)
    step = torch.full((len(x),), 12)
    at_once = model.diffuse(start, step, torch.randn_like(x))
    mean, variance = 1.7 * math.exp(-(0.06 + 9.95 * 0.36) / 2), 1 - math.exp(-0.06 - 9.95 * 0.36)
    for sample in (x, at_once):
        assert sample.mean().item() == pytest.approx(mean, abs=5 / math.sqrt(len(x)))
        assert sample.var().item() == pytest.approx(variance, rel=5 * math.sqrt(2 / len(x)))


@pytest.mark.parametrize("shape", SHAPES)
def test_untrained_it_is_the_standard_normal_to_the_last_digit(shape: int | tuple) -> None:
    model = Diffusion(shape, steps=15, width=8).double()
    x = torch.randn(5, *model.shape, dtype=torch.float64)
    exact = Normal(0.0, 1.0).log_prob(x).flatten(1).sum(dim=1)
    # Forward and backward are one process run both ways, so each single path has the right weight.
    torch.testing.assert_close(model.log_prob(x, seed=0), exact)
    drawn = model.sample(2000, seed=1)
    assert drawn.mean().item() == pytest.approx(0, abs=0.06)
    assert drawn.std().item() == pytest.approx(1, abs=0.04)


def test_score_steps_have_the_law_that_gaussians_give_in_closed_form() -> None:
    # Of N(0, 1) each step multiplies by the cosine of the angle between two unit vectors.
    model = ScoreMatching(2, steps=40).double()
    keep, noise = model.alpha_bar.sqrt(), (1 - model.alpha_bar).sqrt()
    factor = (keep[1:] * keep[:-1] + noise[1:] * noise[:-1]).prod()
    torch.manual_seed(0)
    start = torch.randn(5, 2, dtype=torch.float64)
    torch.testing.assert_close(model.sample(5, seed=0), factor * start)
    assert 0.95 < factor < 1


def test_untrained_score_is_that_of_the_standard_normal() -> None:
    model = Diffusion((2, 8), steps=10)
    x = torch.randn(4, 2, 8)
    torch.testing.assert_close(model.score(x, torch.tensor([1, 4, 7, 10])), -x)


def test_learned_score_of_gaussian_data_is_the_exact_one(trained: tuple) -> None:
    law, model = trained
    for t in (5, 15, 30):
        alpha_bar = model.alpha_bar[t]
        covariance = alpha_bar * law.covariance_matrix + (1 - alpha_bar) * torch.eye(2)
        x = MultivariateNormal(torch.zeros(2), covariance).sample((2000,))
        exact = -torch.linalg.solve(covariance, x.T).T
        with torch.no_grad():
            error = model.score(x, torch.full((2000,), t)) - exact
        # The standard normal's score, which it starts from, has an error of 0.3 to 2.
        assert error.square().mean() < 0.01 * exact.square().mean() + 0.002


def test_log_prob_is_a_bound_that_more_draws_tighten(trained: tuple) -> None:
    law, model = trained
    x = law.sample((1000,))
    exact = law.log_prob(x).mean().item()
    one, many = (model.log_prob(x, draws=k, seed=0).mean().item() for k in (1, 16))
    assert one < many < exact + 0.02
    assert exact - one < 0.15


@pytest.mark.parametrize("kind", [Diffusion, ScoreMatching])
def test_samples_have_the_moments_of_the_data(trained: tuple, kind: type[Diffusion]) -> None:
    law, diffusion = trained
    model = kind(2, steps=50, hidden=(64, 64))
    model.load_state_dict(diffusion.state_dict())
    drawn = model.sample(8000, seed=3)
    torch.testing.assert_close(drawn.mean(dim=0), torch.zeros(2), atol=0.08, rtol=0)
    torch.testing.assert_close(torch.cov(drawn.T), law.covariance_matrix, atol=0.1, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_bound_holds_for_any_weights(shape: int | tuple) -> None:
    """With weights moved at random: the mean of the importance weights integrates to one."""
    model = perturb(Diffusion(shape, steps=4, hidden=(8,), width=4).double(), size=0.1)
    torch.manual_seed(0)
    # x from the standard normal: E p(x) / N(x) = 1 for any density p.
    x = torch.randn(20_000, *model.shape, dtype=torch.float64)
    normal = Normal(0.0, 1.0).log_prob(x).flatten(1).sum(dim=1)
    ratio = (model.log_prob(x, seed=1) - normal).exp()
    error = ratio.std() / math.sqrt(len(x))
    assert error < 0.1
    assert ratio.mean().item() == pytest.approx(1, abs=5 * error.item())


def test_transform_counts_in_density_and_samples() -> None:
    torch.manual_seed(0)
    x = (3 + 0.01 * torch.distributions.StudentT(4.0).sample((3000, 2))).double()
    plain = Diffusion(2, steps=5).double()
    model = Diffusion(2, steps=5, transform=light_tails(x)).double()
    z, log_abs_det = model.standard(x[:7])
    expected = plain.log_prob(z, seed=0) + log_abs_det
    torch.testing.assert_close(model.log_prob(x[:7], seed=0), expected)
    torch.testing.assert_close(model.from_standard(z), x[:7])
    assert model.sample(1000, seed=1).mean().item() == pytest.approx(3, abs=0.01)


def test_same_seed_same_draws_and_the_global_state_stays() -> None:
    model = perturb(Diffusion((1, 8), steps=5, width=4))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert torch.equal(model.sample(3, seed=4), model.sample(3, seed=4))
    assert not torch.equal(model.sample(3, seed=4), model.sample(3, seed=5))
    assert torch.equal(torch.get_rng_state(), before)
    same, other = Diffusion(2, seed=1), Diffusion(2, seed=2)
    assert torch.equal(Diffusion(2, seed=1).network.mlp[0].weight, same.network.mlp[0].weight)
    assert not torch.equal(other.network.mlp[0].weight, same.network.mlp[0].weight)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.loss(torch.full((3, 2), math.nan)), "NaN"),
        (lambda m: m.loss(torch.zeros(3, 5)), r"\(N, 2\)"),
        (lambda m: m.loss(torch.zeros(0, 2)), "N of 1"),
        (lambda m: m.log_prob(torch.zeros(3, 2, dtype=torch.float64)), "float64"),
        (lambda m: m.log_prob(torch.zeros(3, 2), draws=0), "draws"),
        (lambda m: m.sample(0), "n must be 1"),
        (lambda m: Diffusion(2, steps=0), "steps"),
        (lambda m: Diffusion((1, 0)), "shape"),
    ],
)
def test_what_cannot_be_done_is_refused(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(Diffusion(2))
