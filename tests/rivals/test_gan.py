"""The critic measures the Wasserstein distance, and the generator follows it."""

import math

import pytest
import torch
from torch import nn

from genfin_lib.rivals import TemporalConvNet, WassersteinGAN, fit_adversarial, light_tails
from genfin_lib.training import DivergenceError


def test_a_critic_of_slope_one_pays_no_penalty() -> None:
    gan = WassersteinGAN(3).double()
    gan.critic = nn.Linear(3, 1).double()
    direction = torch.tensor([[2.0, -1.0, 2.0]], dtype=torch.float64) / 3
    real, drawn = torch.randn(2, 10, 3, dtype=torch.float64)
    for slope in (1.0, 3.0):
        gan.critic.weight.data = slope * direction
        penalty = gan.gradient_penalty(real, drawn).item()
        assert penalty == pytest.approx((slope - 1) ** 2, abs=1e-12)


def test_penalty_is_taken_between_data_and_draws() -> None:
    gan = WassersteinGAN(1).double()
    gan.critic = Square()
    torch.manual_seed(0)
    real, drawn = torch.full((200_000, 1), 1.0).double(), torch.full((200_000, 1), 3.0).double()
    # f = x^2 has slope 2x, x uniform on [1, 3]: E (2x - 1)^2 = 4 E x^2 - 4 E x + 1.
    expected = 4 * (27 - 1) / 6 - 4 * 2 + 1
    assert gan.gradient_penalty(real, drawn).item() == pytest.approx(expected, rel=0.01)


class Square(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.square()


def test_the_critic_learns_the_wasserstein_distance_of_two_shifted_laws() -> None:
    """Kantorovich-Rubinstein: of N(0, I) and N(m, I) it is the length of m."""
    gan = WassersteinGAN(2, hidden=(32, 32), penalty=10.0)
    gan.generator = nn.Identity()
    shift = torch.tensor([1.2, -1.6])
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(gan.critic.parameters(), lr=3e-3, betas=(0.0, 0.9))
    for _ in range(400):
        gap, penalty = gan.critic_loss(shift + torch.randn(256, 2))
        optimizer.zero_grad()
        (gap + penalty).backward()
        optimizer.step()
    with torch.no_grad():
        z = torch.randn(20_000, 2)
        distance = (gan.criticise(shift + z) - gan.criticise(z)).mean().item()
    # The penalty lets the slope be 1 + distance / (2 lambda) at the optimum: 2.2.
    assert 1.9 < distance < 2.3


def test_generator_finds_a_correlated_gaussian() -> None:
    torch.manual_seed(0)
    z = torch.randn(4000, 2)
    x = torch.stack((z[:, 0], 0.8 * z[:, 0] + 0.6 * z[:, 1]), dim=1) + torch.tensor([2.0, -1.0])
    gan = WassersteinGAN(2, hidden=(32, 32), transform=light_tails(x))
    history = fit_adversarial(gan, x, seed=0, steps=500, batch_size=128, average=0.98)
    drawn = gan.sample(20_000, seed=1)
    torch.testing.assert_close(drawn.mean(dim=0), x.mean(dim=0), atol=0.2, rtol=0)
    torch.testing.assert_close(drawn.std(dim=0), x.std(dim=0), atol=0.2, rtol=0)
    assert torch.corrcoef(drawn.T)[0, 1].item() == pytest.approx(0.8, abs=0.1)
    assert len(history.distance) == len(history.penalty) == 500
    assert max(history.distance[:50]) > 0.5 > max(history.distance[-50:])


def test_convolutions_reach_back_exactly_as_far_as_they_say() -> None:
    torch.manual_seed(0)
    net = TemporalConvNet(2, 1, width=4, levels=3).double()
    x = torch.randn(1, 2, 20, dtype=torch.float64, requires_grad=True)
    y = net(x)
    assert y.shape == (1, 1, 20 - net.reach + 1)
    (gradient,) = torch.autograd.grad(y[0, 0, 4], x)  # the output at time 4 + R - 1
    seen = gradient.abs().sum(dim=(0, 1)).nonzero().flatten()
    assert seen.tolist() == list(range(4, 4 + net.reach))


def test_generated_windows_are_stationary() -> None:
    """Noise one step later gives the series one step later: the law does not know the date."""
    torch.manual_seed(0)
    gan = WassersteinGAN((2, 16), width=4).double()
    noise = torch.randn(5, *gan.latents, dtype=torch.float64)
    moved = torch.cat((noise[..., 1:], torch.randn(5, 3, 1, dtype=torch.float64)), dim=2)
    torch.testing.assert_close(gan.generator(moved)[..., :-1], gan.generator(noise)[..., 1:])
    assert gan.sample(7, seed=0).shape == (7, 2, 16)


def test_windows_train_and_seeds_repeat() -> None:
    torch.manual_seed(0)
    x = torch.randn(100, 1, 8)

    def run(seed: int) -> torch.Tensor:
        gan = WassersteinGAN((1, 8), width=4, seed=1)
        fit_adversarial(gan, x, seed=seed, steps=3, batch_size=16)
        return gan.sample(4, seed=2)

    before = torch.get_rng_state()
    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))
    assert torch.equal(torch.get_rng_state(), before)


def test_samples_come_from_averaged_weights() -> None:
    x = torch.randn(100, 2)
    gan = WassersteinGAN(2, hidden=(4,))
    first = [p.clone() for p in gan.generator.parameters()]
    fit_adversarial(gan, x, seed=0, steps=1, critic_steps=1, average=0.75)
    for start, last, mean in zip(
        first, gan.generator.parameters(), gan.averaged.parameters(), strict=True
    ):
        torch.testing.assert_close(mean, 0.75 * start + 0.25 * last)


def test_a_critic_gone_wild_is_reported() -> None:
    gan = WassersteinGAN(2)
    gan.critic[0].weight.data.fill_(math.nan)
    with pytest.raises(DivergenceError, match="step 1"):
        fit_adversarial(gan, torch.randn(10, 2), seed=0, steps=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: fit_adversarial(g, torch.full((3, 2), math.nan), seed=0), "NaN"),
        (lambda g: fit_adversarial(g, torch.zeros(3, 5), seed=0), r"\(N, 2\)"),
        (lambda g: fit_adversarial(g, torch.zeros(3, 2), seed=0, steps=0), "steps"),
        (lambda g: fit_adversarial(g, torch.zeros(3, 2), seed=0, average=1.0), "average"),
        (lambda g: g.sample(0), "n must be 1"),
        (lambda g: WassersteinGAN(2, penalty=0.0), "penalty"),
        (lambda g: WassersteinGAN((1, 2, 3)), "shape"),
    ],
)
def test_what_cannot_be_done_is_refused(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(WassersteinGAN(2))
