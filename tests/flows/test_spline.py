"""The rational-quadratic spline against its definition, and one-dimensional flows against SciPy."""

import numpy as np
import pytest
import torch
from scipy import optimize, stats

from genfin_lib.distributions import StandardNormal, StudentT
from genfin_lib.flows import Flow, maf, neural_spline_flow, real_nvp
from genfin_lib.flows.spline import RationalQuadratic
from genfin_lib.training import evaluate, fit
from tests.contracts.registry import perturb


def case(
    bins: int = 6, bound: float = 3.0, features: int = 2, rows: int = 40, size: float = 1.5
) -> tuple[RationalQuadratic, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    spline = RationalQuadratic(bins, bound).double()
    shape = (spline.parameters_per_feature, features, 1)
    parameters = size * torch.randn(shape, generator=generator, dtype=torch.float64)
    x = torch.linspace(-1.5 * bound, 1.5 * bound, rows, dtype=torch.float64)
    return spline, x.expand(features, rows), parameters.expand(-1, -1, rows)


def test_passes_through_its_knots_with_the_stated_shares() -> None:
    bins, bound = 4, 2.0
    spline, _, parameters = case(bins, bound, features=1, rows=bins + 1)
    raw = parameters[:, 0, 0].numpy()
    shares = np.exp(raw[: 2 * bins].reshape(bins, 2))
    shares = 0.01 + (1 - 0.01 * bins) * shares / shares.sum(0)
    knots = -bound + 2 * bound * np.vstack([np.zeros(2), shares.cumsum(0)])
    x = torch.tensor(knots[:, 0])[None].requires_grad_()
    z, _ = spline.move(x, parameters)
    # The constants of the layer are stored in single precision.
    assert z[0].detach().numpy() == pytest.approx(knots[:, 1], abs=1e-6)
    slopes = torch.autograd.grad(z.sum(), x)[0][0].numpy()
    inner = raw[2 * bins :]
    expected = np.exp(inner / (1 + abs(inner) / np.log(100)))
    assert slopes[1:-1] == pytest.approx(expected, rel=1e-3)


def test_is_continuous_and_smooth_at_every_knot_and_at_the_bound() -> None:
    spline, _, parameters = case(features=1, rows=1)
    x = torch.linspace(-3.5, 3.5, 200_001, dtype=torch.float64)
    z, _ = spline.move(x[None], parameters.expand(-1, -1, len(x)))
    step = x[1] - x[0]
    slope = z[0].diff() / step
    assert (slope > 0).all()
    assert slope.diff().abs().max() < 0.02  # a jump in the slope would be of order one
    assert slope[0].item() == pytest.approx(1.0)


def test_inverse_agrees_with_root_finding() -> None:
    spline, z, parameters = case()
    x, _ = spline.move_back(z, parameters)

    def gap(value: float, j: int, row: int) -> float:
        point = torch.full((1, 1), value, dtype=torch.float64)
        moved, _ = spline.move(point, parameters[:, j : j + 1, row : row + 1])
        return moved.item() - z[j, row].item()

    for j in range(2):
        for row in range(0, 40, 3):
            root = optimize.brentq(gap, -10, 10, args=(j, row), xtol=1e-13)
            assert x[j, row].item() == pytest.approx(root, abs=1e-10)


def test_values_outside_the_bound_pass_to_the_bit_with_finite_gradients() -> None:
    spline, x, parameters = case()
    x, parameters = x.clone().requires_grad_(), parameters.clone().requires_grad_()
    for apply in (spline.move, spline.move_back):
        z, log_abs_det = apply(x, parameters)
        outside = x.abs() > 3.0
        assert outside.any()
        assert torch.equal(z[outside], x[outside])
        gradients = torch.autograd.grad(z.sum() + log_abs_det.sum(), (x, parameters))
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert torch.equal(gradients[0][outside], torch.ones_like(x[outside]))


@pytest.mark.parametrize(("dtype", "accuracy"), [(torch.float64, 1e-10), (torch.float32, 2e-5)])
@pytest.mark.parametrize("autoregressive", [False, True])
def test_round_trip_also_far_outside(autoregressive: bool, dtype, accuracy: float) -> None:
    flow = perturb(neural_spline_flow(3, autoregressive=autoregressive), size=0.02).to(dtype)
    x = torch.randn(500, 3, generator=torch.Generator().manual_seed(1)).to(dtype)
    x[:50] *= 40
    x[50:100, 1] *= 40
    z, log_abs_det = flow(x)
    assert not torch.allclose(z, x, atol=0.05)
    back, backward = flow.inverse(z)
    error = (back - x).abs() / x.abs().clamp_min(1)
    assert error.max() < accuracy
    torch.testing.assert_close(backward, -log_abs_det, atol=20 * accuracy, rtol=0)


def test_extreme_parameters_stay_finite() -> None:
    spline, x, parameters = case(size=1e4)
    z, forward = spline.move(x, parameters)
    back, backward = spline.move_back(x, parameters)
    for value in (z, forward, back, backward):
        assert value.isfinite().all()
    assert forward.abs().max() < 2 * 2 * np.log(1e4)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"bins": 1}, "bins must be from 2 to 99"), ({"bins": 100}, "got 100")]
    + [({"bound": bound}, "bound must be above 0") for bound in (0.0, -1.0, float("inf"))],
)
def test_settings_out_of_range_are_refused(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        neural_spline_flow(2, **options)


BASES = {"normal": lambda: StandardNormal(1), "t": lambda: StudentT(1, df=3.0)}


def one_dimensional(base: str, context: int = 1) -> Flow:
    rows = 2.0 + 3.0 * torch.randn(100, 1, generator=torch.Generator().manual_seed(0))
    flow = neural_spline_flow(1, context, transforms=3, base=BASES[base](), standardize=rows)
    return perturb(flow, size=0.1).double()


@pytest.mark.parametrize("base", BASES)
def test_cdf_undoes_quantile(base: str) -> None:
    flow = one_dimensional(base)
    u = torch.tensor([1e-8, 1e-4, 0.01, 0.3, 0.5, 0.9, 0.999, 1 - 1e-7], dtype=torch.float64)
    context = torch.randn(8, 1).double()
    x = flow.quantile(u, context)
    assert x.shape == (8, 1)
    torch.testing.assert_close(flow.cdf(x, context), u, atol=1e-10, rtol=0)


@pytest.mark.parametrize("base", BASES)
def test_cdf_is_the_integral_of_the_density(base: str) -> None:
    flow = one_dimensional(base)
    for condition in (-1.0, 1.5):
        context = torch.full((1, 1), condition, dtype=torch.float64)
        ends = flow.quantile(torch.tensor([0.2, 0.6]).double(), context.expand(2, 1))
        x = torch.linspace(ends[0].item(), ends[1].item(), 20_001, dtype=torch.float64)[:, None]
        density = flow.log_prob(x, context.expand(len(x), 1)).exp().detach()
        assert torch.trapezoid(density, x[:, 0]).item() == pytest.approx(0.4, abs=1e-5)


def test_quantile_of_an_untrained_flow_is_that_of_its_base() -> None:
    u = torch.tensor([0.001, 0.3, 0.99], dtype=torch.float64)
    base = StudentT(1, df=3.0, learnable=False)
    found = maf(1, base=base).double().quantile(u)[:, 0].numpy()
    assert found == pytest.approx(stats.t.ppf(u.numpy(), base.df.item()))
    assert maf(1).double().quantile(u)[:, 0].numpy() == pytest.approx(stats.norm.ppf(u.numpy()))


def test_cdf_and_quantile_say_what_they_need() -> None:
    with pytest.raises(ValueError, match="need one feature, this flow has 2"):
        real_nvp(2).cdf(torch.zeros(3, 2))
    flow = neural_spline_flow(1)
    with pytest.raises(ValueError, match="need one feature, this flow has 2"):
        real_nvp(2).quantile(torch.tensor([0.5]))
    for bad in (torch.tensor([0.0]), torch.tensor([1.0]), torch.tensor([[0.5]]), torch.tensor(0.5)):
        with pytest.raises(ValueError, match="strictly between 0 and 1"):
            flow.quantile(bad)


def test_a_base_without_cdf_is_named() -> None:
    class Laplace(torch.nn.Module):
        def forward(self):
            return torch.distributions.Independent(
                torch.distributions.Laplace(torch.zeros(1), torch.ones(1)), 1
            )

    with pytest.raises(ValueError, match="base Laplace has no cdf"):
        Flow(1, transforms=[], base=Laplace()).cdf(torch.zeros(2, 1))


def test_spline_flow_captures_two_modes_in_one_dimension() -> None:
    """Where an affine flow stays Gaussian: an even mixture of N(-2, 0.5^2) and N(2, 0.5^2)."""
    generator = torch.Generator().manual_seed(0)
    x = 0.5 * torch.randn(4000, 1, generator=generator)
    x += 4 * torch.randint(2, (4000, 1), generator=generator) - 2
    flow = neural_spline_flow(1, transforms=2, standardize=x[:3000])
    fit(flow, x[:3000], x[3000:], seed=0, epochs=25, learning_rate=5e-3)
    entropy = np.log(2) + 0.5 * np.log(2 * np.pi * np.e * 0.25)
    assert evaluate(flow, x[3000:], seed=0) < entropy + 0.06


@pytest.mark.parametrize("autoregressive", [False, True])
def test_beyond_the_bound_a_feature_tells_the_others_nothing_new(autoregressive: bool) -> None:
    flow = perturb(neural_spline_flow(2, transforms=1, autoregressive=autoregressive))
    x = torch.tensor([[5.0, 0.5], [7.0, 0.5], [500.0, 0.5], [4.0, 0.5]])
    z, _ = flow(x)
    assert (z[:3, 1] == z[0, 1]).all()
    assert z[3, 1] != z[0, 1]
