"""What makes a flow autoregressive: triangular Jacobians, one pass for the density, exact steps."""

import copy
import gc

import pytest
import torch

from genfin_lib.distributions import StudentT
from genfin_lib.flows import iaf, maf, neural_spline_flow
from genfin_lib.flows.autoregressive import Autoregressive
from genfin_lib.flows.elementwise import Affine
from genfin_lib.nn import MaskedLinear, MaskedMLP
from tests.contracts.registry import perturb


def jacobian(network: MaskedMLP, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """d theta_j / d x_k of one row, largest over the P outputs: shape (D, D)."""
    full = torch.autograd.functional.jacobian(
        lambda row: network(row[None], context[None])[:, :, 0], x
    )
    return full.abs().amax(dim=0)


@pytest.mark.parametrize("features", [2, 3, 7])
@pytest.mark.parametrize("hidden", [(), (5,), (64, 64), (32, 3, 16)])
def test_outputs_depend_on_earlier_features_alone(features: int, hidden: tuple[int, ...]) -> None:
    network = perturb(MaskedMLP(features, 2, 3, hidden=hidden)).double()
    found = jacobian(network, torch.randn(features).double(), torch.randn(2).double())
    assert torch.equal(found.triu(), torch.zeros_like(found))
    assert (
        hidden != (64, 64) or (found.tril(-1).flatten() > 0).sum() == features * (features - 1) // 2
    )


def mangle_by_weight_decay(network: MaskedMLP) -> MaskedMLP:
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.5, fused=True)
    for _ in range(3):
        optimizer.zero_grad()
        network(torch.randn(8, 4), torch.randn(8, 2)).square().mean().backward()
        optimizer.step()
    return network


def mangle_by_loading(network: MaskedMLP) -> MaskedMLP:
    network.load_state_dict({key: torch.ones_like(v) for key, v in network.state_dict().items()})
    return network


@pytest.mark.parametrize(
    "mangle",
    [
        perturb,
        mangle_by_weight_decay,
        mangle_by_loading,
        copy.deepcopy,
        lambda network: perturb(copy.deepcopy(network).half().float()),
    ],
)
def test_nothing_written_to_the_weights_breaks_the_order(mangle) -> None:
    torch.manual_seed(0)
    network = mangle(perturb(MaskedMLP(4, 2, 3))).double()
    found = jacobian(network, torch.randn(4).double(), torch.randn(2).double())
    assert torch.equal(found.triu(), torch.zeros_like(found))
    assert found.tril(-1).abs().max() > 0


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("features", [1, 2, 5])
@pytest.mark.parametrize("hidden", [(), (3,), (64, 64)])
def test_unrolled_network_is_the_network(features: int, context: int, hidden) -> None:
    network = perturb(MaskedMLP(features, context, 3, hidden=hidden)).double()
    x, c = torch.randn(6, features).double(), torch.randn(6, context).double()
    outputs = []

    def solve(j: int, parameters: torch.Tensor) -> torch.Tensor:
        outputs.append(parameters)
        return x.T[j : j + 1]

    unrolled = network.unroll(solve, c.T)
    torch.testing.assert_close(unrolled.T, x)
    torch.testing.assert_close(torch.cat(outputs, dim=1), network(x, c if context else None))


def test_first_feature_hears_its_context() -> None:
    network = perturb(MaskedMLP(5, 3, 2))
    x, context = torch.randn(1, 5), torch.randn(1, 3, requires_grad=True)
    network(x, context)[:, 0].sum().backward()
    assert (context.grad != 0).all()


@pytest.mark.parametrize("builder", [maf, neural_spline_flow])
def test_density_of_a_maf_takes_one_pass_and_no_unrolling(builder, monkeypatch) -> None:
    calls = []
    forward = MaskedLinear.forward
    monkeypatch.setattr(
        MaskedLinear, "forward", lambda self, x: (calls.append(1), forward(self, x))[1]
    )
    monkeypatch.setattr(MaskedMLP, "unroll", lambda *_: pytest.fail("density must not unroll"))
    options = {} if builder is maf else {"autoregressive": True}
    builder(20, transforms=3, **options).log_prob(torch.randn(4, 20))
    assert len(calls) == 3 * 3  # two hidden layers and the last, however many features


def test_sample_of_an_iaf_takes_one_pass(monkeypatch) -> None:
    monkeypatch.setattr(MaskedMLP, "unroll", lambda *_: pytest.fail("sampling must not unroll"))
    assert iaf(20, transforms=3).sample(5).shape == (5, 20)


def test_iaf_is_maf_backwards() -> None:
    x = torch.randn(5, 4)
    forwards = perturb(maf(4, transforms=1))
    backwards = perturb(iaf(4, transforms=1))
    torch.testing.assert_close(backwards(forwards(x)[0])[0], x)
    assert not torch.allclose(forwards(x)[0], x)


@pytest.mark.parametrize("builder", [maf, iaf])
def test_scale_is_bounded(builder) -> None:
    flow = perturb(builder(3, transforms=2, scale_bound=0.5), size=50.0).double()
    _, log_abs_det = flow(1e3 * torch.randn(50, 3).double())
    assert log_abs_det.abs().max() <= 2 * 3 * 0.5


def test_iaf_has_gradients_for_every_weight_it_uses() -> None:
    layer = perturb(iaf(3, transforms=1)).double()
    layer.loss(torch.randn(9, 3).double()).backward()
    found = {key: p.grad.clone() for key, p in layer.named_parameters()}
    for key, parameter in layer.named_parameters():
        index = tuple((found[key].abs() == found[key].abs().max()).nonzero()[0])
        x = torch.randn(9, 3, generator=torch.Generator().manual_seed(4)).double()
        layer.zero_grad()
        layer.loss(x).backward()
        exact, losses = parameter.grad[index].item(), []
        for step in (1e-6, -2e-6):
            with torch.no_grad():
                parameter[index] += step
                losses.append(layer.loss(x).item())
        with torch.no_grad():
            parameter[index] += 1e-6
        assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(exact, abs=1e-6), key


def test_inverting_leaves_no_reference_cycles() -> None:
    layer, z = Autoregressive(Affine(), 4), torch.randn(8, 4)
    layer.inverse(z)
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            layer.inverse(z)[0].sum().backward()
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize("base", [None, StudentT(1)])
def test_maf_of_one_feature_is_an_affine_map(base) -> None:
    flow = perturb(maf(1, base=base)).double()
    z, log_abs_det = flow(torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None])
    torch.testing.assert_close(z.diff(dim=0, n=2), torch.zeros(5, 1).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(log_abs_det, log_abs_det[:1].expand(7), atol=1e-12, rtol=0)
