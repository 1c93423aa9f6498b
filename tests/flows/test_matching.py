"""Flow matching: its regression learns the field that carries base to data."""

import math

import pytest
import torch

from genfin_lib.distributions import StudentT, fixed_seed
from genfin_lib.flows import Conditional, FlowMatching
from genfin_lib.flows.continuous import Adaptive, Continuous
from genfin_lib.training import evaluate, fit
from tests.contracts.registry import perturb


def gaussian_velocity(x: torch.Tensor, t: torch.Tensor, mean: float, std: float) -> torch.Tensor:
    """E[x_1 - z | x_t = x] for x_1 ~ N(mean, std^2), z ~ N(0, 1), from the joint Gaussian law."""
    variance = (1 - t) ** 2 + (t * std) ** 2
    covariance = t * std**2 - (1 - t)
    return mean + covariance / variance * (x - t * mean)


def test_loss_is_the_regression_on_the_straight_path() -> None:
    """Recomputed by hand from the same draws."""
    model = perturb(FlowMatching(3, 2)).double()
    x, context = torch.randn(7, 3).double(), torch.randn(7, 2).double()
    with fixed_seed(5):
        loss = model.loss(Conditional(x, context))
    with fixed_seed(5):
        z = torch.distributions.Normal(torch.zeros(3).double(), 1.0).sample((7,))
        t = torch.rand(7, 1, dtype=torch.float64)
    x_t = (1 - t) * z + t * x
    expected = (model.field(x_t, t, context) - (x - z)).square().mean()
    torch.testing.assert_close(loss, expected)
    with fixed_seed(5):
        assert torch.equal(model.loss(x, context, progress=0.3), loss)


def test_loss_counts_the_standardiser() -> None:
    x = 100.0 + 50.0 * torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    loss = evaluate(FlowMatching(2, standardize=x), x, draws=40, seed=0)
    # An untrained field predicts 0; x - z has variance 1 + 1 after standardising.
    assert loss == pytest.approx(2.0, abs=0.1)


def test_regression_finds_the_marginal_field_of_a_gaussian() -> None:
    """The velocity, the transport and the density are known in closed form."""
    mean, std = 1.5, 0.5
    x = mean + std * torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0))
    model = FlowMatching(1, hidden=(32, 32))
    fit(model, x, seed=0, epochs=25, learning_rate=3e-3)
    t = torch.linspace(0.05, 0.95, 10)[:, None]
    spread = ((1 - t) ** 2 + (t * std) ** 2).sqrt()
    for deviations in (-1.0, 0.0, 1.0):
        at = t * mean + deviations * spread
        with torch.no_grad():
            learned = model.field(at, t)
        assert (learned - gaussian_velocity(at, t, mean, std)).abs().max() < 0.15
    law = torch.distributions.Normal(mean, std)
    grid = mean + std * torch.linspace(-1.5, 1.5, 21)[:, None]
    assert (model.log_prob(grid) - law.log_prob(grid)[:, 0]).abs().max() < 0.15
    draws = model.sample(5000, seed=1)[:, 0]
    assert draws.mean().item() == pytest.approx(mean, abs=0.05)
    assert draws.std().item() == pytest.approx(std, abs=0.05)


def test_the_true_field_has_the_smallest_loss() -> None:
    """The excess of any field's loss is its mean squared distance from the conditional mean."""
    mean, std = 1.5, 0.5
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(200_000, 1, generator=generator).double()
    x = mean + std * torch.randn(200_000, 1, generator=generator).double()
    t = torch.rand(200_000, 1, generator=generator).double()
    x_t = (1 - t) * z + t * x
    best = gaussian_velocity(x_t, t, mean, std)
    other = best + 0.3 * torch.sin(3 * x_t)
    excess = (other - (x - z)).square() - (best - (x - z)).square()
    distance = (other - best).square()
    error = (excess - distance).std() / math.sqrt(200_000)
    assert (excess - distance).mean().abs() < 4 * error


def test_density_of_a_mixture_is_learned_and_integrates_to_one() -> None:
    torch.manual_seed(0)
    x = torch.cat((0.4 * torch.randn(3000, 1) - 2, 0.6 * torch.randn(3000, 1) + 1))
    model = FlowMatching(1, standardize=x)
    fit(model, x, seed=0, epochs=40, learning_rate=5e-3)
    model.double()
    grid = torch.linspace(-8, 8, 4001).double()
    with torch.no_grad():
        log_p = model.log_prob(grid[:, None])
    assert torch.trapezoid(log_p.exp(), grid).item() == pytest.approx(1.0, abs=1e-4)
    left, right = torch.distributions.Normal(-2, 0.4), torch.distributions.Normal(1, 0.6)
    truth = 0.5 * (left.log_prob(grid).exp() + right.log_prob(grid).exp())
    kullback_leibler = (truth * (truth.log() - log_p)).sum() * (16 / 4000)
    assert 0 <= kullback_leibler < 0.05


def test_context_moves_the_law() -> None:
    torch.manual_seed(0)
    context = torch.rand(6000, 1) * 4 - 2
    batch = Conditional(context + 0.5 * torch.randn(6000, 1), context)
    model = FlowMatching(1, 1)
    fit(model, batch, seed=0, epochs=20, learning_rate=5e-3)
    draws = model.sample(2000, torch.tensor([[-1.5], [1.0]]), seed=0)
    assert draws.mean(dim=1).flatten().tolist() == pytest.approx([-1.5, 1.0], abs=0.12)


def test_t_base_is_sampled_and_left_as_it_is() -> None:
    torch.manual_seed(0)
    model = FlowMatching(2, base=StudentT(2, df=4.0))
    before = model.base.df.clone()
    fit(model, torch.randn(2000, 2), seed=0, epochs=3)
    assert torch.equal(model.base.df, before)
    with fixed_seed(3):
        heavy = model.loss(torch.zeros(20_000, 2))
    gaussian = FlowMatching(2)
    gaussian.transform.load_state_dict(model.transform.state_dict())
    with fixed_seed(3):
        assert heavy > 1.3 * gaussian.loss(torch.zeros(20_000, 2))


def test_rows_of_forty_standard_deviations_stay_finite() -> None:
    x = torch.randn(512, 2, generator=torch.Generator().manual_seed(0))
    x[::64] *= 40.0
    model = FlowMatching(2, standardize=x)
    fit(model, x, seed=0, epochs=20, learning_rate=1e-2)
    assert model.log_prob(40.0 * x).isfinite().all()


def test_bad_rows_are_refused_in_training() -> None:
    with pytest.raises(ValueError, match="x holds NaN"):
        FlowMatching(2).loss(torch.full((3, 2), math.nan))
    with pytest.raises(ValueError, match=r"context must have shape \(3, 1\)"):
        FlowMatching(2, 1).loss(torch.zeros(3, 2))


def test_untrained_model_is_the_identity() -> None:
    x = torch.randn(5, 3)
    z, log_abs_det = FlowMatching(3)(x)
    torch.testing.assert_close(z, x, atol=1e-5, rtol=0)  # rounding in the solver's last step
    assert torch.equal(log_abs_det, torch.zeros(5))


def test_solver_reaches_the_flow_and_seed_the_weights() -> None:
    model = FlowMatching(2, solver=Adaptive(1e-3), seed=4)
    (flow,) = model.transform.transforms
    assert isinstance(flow, Continuous)
    assert flow.solver == Adaptive(1e-3)
    weight = model.field.inner[0].weight
    assert torch.equal(weight, FlowMatching(2, seed=4).field.inner[0].weight)
    assert not torch.equal(weight, FlowMatching(2, seed=5).field.inner[0].weight)
