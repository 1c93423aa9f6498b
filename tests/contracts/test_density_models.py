"""Each density model of the registry is a density, samples it, and refuses bad input."""

import math

import pytest
import torch

from genfin_lib.distributions import fixed_seed
from genfin_lib.flows import Conditional, Flow
from tests.contracts.registry import FLOWS, ONE_FEATURE, OTHER_LOSS, perturb

pytestmark = pytest.mark.filterwarnings("error")


def build(name: str, features: int = 2, context: int = 0) -> Flow:
    return perturb(FLOWS[name](features, context), size=0.1).double().eval()


@torch.no_grad()
def density(flow: Flow, points: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
    """Density at many points, a part at a time: hidden layers then stay in the cache."""
    parts = points.split(4096)
    log_p = [
        flow.log_prob(x, None if context is None else context.expand(len(x), -1)) for x in parts
    ]
    return torch.cat(log_p).exp()


def mass(flow: Flow, context: torch.Tensor | None = None) -> float:
    """Integral of a density of two features over |x| < 8000: a t tail leaves mass outside less.

    Midpoints of a square grid in u, where x = sinh(u) / 2: fine near zero and wide far out.
    """
    cells, half_width = 600, math.asinh(16e3)
    step = 2 * half_width / cells
    ticks = -half_width + step * (torch.arange(cells, dtype=torch.float64) + 0.5)
    u = torch.cartesian_prod(ticks, ticks)
    jacobian = (torch.cosh(u) / 2).prod(1)
    return (density(flow, torch.sinh(u) / 2, context) * jacobian).sum().item() * step**2


@pytest.mark.parametrize("name", FLOWS)
class TestContract:
    def test_density_integrates_to_one(self, name: str) -> None:
        assert mass(build(name)) == pytest.approx(1.0, abs=3e-3)

    def test_samples_follow_the_density(self, name: str) -> None:
        flow = build(name)
        x = flow.sample(20_000, seed=3)
        # Latents of samples follow the base law: check its distribution function at the median
        # and the tails. Four standard errors: a false alarm once in 10^4 per comparison.
        z, _ = flow(x)
        with fixed_seed(11):
            reference = flow.base().sample((200_000,))
        for quantile in (0.05, 0.5, 0.95):
            threshold = torch.quantile(reference, quantile, dim=0)
            share = (z < threshold).double().mean(0)
            error = math.sqrt(quantile * (1 - quantile) * (1 / 20_000 + 1 / 200_000))
            assert (share - quantile).abs().max() < 4 * error
        assert flow.log_prob(x).isfinite().all()

    def test_probability_of_a_box_agrees_with_samples(self, name: str) -> None:
        flow = build(name)
        x = flow.sample(100_000, seed=4)
        low, high = torch.quantile(x, 0.3, dim=0), torch.quantile(x, 0.9, dim=0)
        ticks = (torch.arange(400, dtype=torch.float64) + 0.5) / 400
        points = low + (high - low) * torch.cartesian_prod(ticks, ticks)
        mass = density(flow, points).mean() * (high - low).prod()
        share = ((x > low) & (x < high)).all(1).double().mean()
        error = math.sqrt(share * (1 - share) / len(x))
        assert abs(mass - share) < 4 * error + 1e-4

    def test_loss_is_the_mean_negative_log_likelihood(self, name: str) -> None:
        if name in OTHER_LOSS:
            pytest.skip("trained by another objective, tested where that is defined")
        flow = build(name, features=3, context=2)
        x, context = torch.randn(11, 3).double(), torch.randn(11, 2).double()
        expected = -flow.log_prob(x, context).mean()
        assert torch.equal(flow.loss(x, context), expected)
        assert torch.equal(flow.loss(Conditional(x, context), progress=0.5), expected)

    def test_sample_shapes_and_seed(self, name: str) -> None:
        flow, conditional = build(name, features=3), build(name, features=3, context=2)
        context = torch.randn(4, 2).double()
        assert flow.sample(5).shape == (5, 3)
        assert conditional.sample(5, context).shape == (4, 5, 3)
        assert torch.equal(flow.sample(5, seed=1), flow.sample(5, seed=1))
        assert not torch.equal(flow.sample(5, seed=1), flow.sample(5, seed=2))

    def test_sampling_leaves_the_global_random_state(self, name: str) -> None:
        flow = build(name)
        torch.manual_seed(7)
        expected = torch.rand(3)
        torch.manual_seed(7)
        flow.sample(10, seed=1)
        assert torch.equal(torch.rand(3), expected)

    def test_each_context_row_has_its_own_draws(self, name: str) -> None:
        flow = perturb(FLOWS[name](2, 1), size=0.3).double().eval()
        context = torch.tensor([[-2.0], [2.0]]).double()
        draws = flow.sample(4_000, context, seed=0)
        with fixed_seed(12):
            expected = flow.base().sample((200_000,)).median(dim=0).values
        for row in range(2):  # given its own context, the latent median is that of the base
            z, _ = flow(draws[row], context[row].expand(4_000, 1))
            assert (z.median(dim=0).values - expected).abs().max() < 0.1
        swapped, _ = flow(draws[0], context[1].expand(4_000, 1))
        assert (swapped.median(dim=0).values - expected).abs().max() > 0.1

    def test_save_and_load_keep_the_density(self, name: str, tmp_path) -> None:
        flow = build(name)
        torch.save(flow.state_dict(), tmp_path / "flow.pt")
        other = FLOWS[name](2, 0).double().eval()
        other.load_state_dict(torch.load(tmp_path / "flow.pt", weights_only=True))
        x = torch.randn(9, 2).double()
        assert torch.equal(flow.log_prob(x), other.log_prob(x))

    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            (torch.zeros(4, 3), r"shape \(N, 2\), got \(4, 3\)"),
            (torch.zeros(4), r"shape \(N, 2\), got \(4,\)"),
            (torch.full((4, 2), math.nan), "NaN or inf"),
            (torch.full((4, 2), math.inf), "NaN or inf"),
        ],
    )
    def test_bad_data_are_refused(self, name: str, bad: torch.Tensor, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            build(name).log_prob(bad.double())

    def test_latents_are_checked_too(self, name: str) -> None:
        with pytest.raises(ValueError, match=r"z must have shape \(N, 2\)"):
            build(name).inverse(torch.zeros(4, 3).double())

    def test_another_precision_is_refused_by_name(self, name: str) -> None:
        with pytest.raises(ValueError, match=r"x is torch\.float32 and the flow is torch\.float64"):
            build(name).log_prob(torch.zeros(4, 2))

    def test_single_precision_agrees_with_double(self, name: str) -> None:
        flow, x = build(name), torch.randn(50, 2, generator=torch.Generator().manual_seed(2))
        double = flow.log_prob(x.double())
        single = flow.float().log_prob(x)
        torch.testing.assert_close(single, double.float(), atol=2e-4, rtol=1e-4)

    def test_samples_carry_no_gradient(self, name: str) -> None:
        assert not build(name).sample(3).requires_grad

    def test_conditional_density_integrates_to_one(self, name: str) -> None:
        flow = build(name, context=1)
        assert mass(flow, context=torch.ones(1, 1).double()) == pytest.approx(1.0, abs=3e-3)

    def test_bad_context_is_refused(self, name: str) -> None:
        x = torch.zeros(4, 2).double()
        with pytest.raises(ValueError, match="built without context"):
            build(name).log_prob(x, x)
        conditional = build(name, context=2)
        with pytest.raises(ValueError, match=r"shape \(4, 2\), got None"):
            conditional.log_prob(x)
        with pytest.raises(ValueError, match=r"shape \(4, 2\), got \(3, 2\)"):
            conditional.log_prob(x, x[:3])
        with pytest.raises(ValueError, match="context holds NaN"):
            conditional.log_prob(x, x * math.nan)

    def test_one_feature_is_modelled_or_refused(self, name: str) -> None:
        if name in ONE_FEATURE:
            assert build(name, features=1).log_prob(torch.zeros(3, 1).double()).shape == (3,)
            return
        with pytest.raises(ValueError, match="two or more features, got 1"):
            FLOWS[name](1, 0)
