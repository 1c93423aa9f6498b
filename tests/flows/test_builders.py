"""What the builders promise beyond the density contract."""

import pytest
import torch

from genfin_lib.distributions import StudentT
from genfin_lib.flows import nice, real_nvp
from genfin_lib.flows.coupling import Coupling
from genfin_lib.flows.linear import BatchNorm
from genfin_lib.training import evaluate, fit
from tests.contracts.registry import perturb


@pytest.mark.parametrize("builder", [nice, real_nvp])
@pytest.mark.parametrize("features", [2, 3, 7])
def test_untrained_flow_is_the_identity(builder, features: int) -> None:
    x = torch.randn(6, features)
    z, log_abs_det = builder(features)(x)
    assert torch.equal(z, x)
    assert torch.equal(log_abs_det, torch.zeros(6))


def test_nice_keeps_the_volume_but_for_its_diagonal_scale() -> None:
    flow = perturb(nice(4)).double()
    _, log_abs_det = flow(torch.randn(9, 4).double())
    scale = flow.transform.transforms[-1].log_scale
    torch.testing.assert_close(log_abs_det, scale.sum().expand(9), atol=1e-12, rtol=0)


@pytest.mark.parametrize("builder", [nice, real_nvp])
def test_each_latent_depends_on_every_feature(builder) -> None:
    features = 6
    flow = perturb(builder(features)).double()
    x = torch.randn(features, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda a: flow(a[None])[0][0], x)
    assert (jacobian != 0).all()


def test_scale_of_a_coupling_is_bounded() -> None:
    flow = perturb(real_nvp(2, transforms=1, scale_bound=0.5), size=50.0).double()
    _, log_abs_det = flow(1e3 * torch.randn(100, 2).double())
    assert log_abs_det.abs().max() <= 0.5


def test_a_wider_bound_lets_a_coupling_sharpen_more() -> None:
    x = 1e3 * torch.randn(100, 2).double()
    narrow, wide = (
        perturb(real_nvp(2, transforms=1, scale_bound=bound), size=50.0).double()(x)[1]
        for bound in (0.5, 3.0)
    )
    assert wide.abs().max() > 2.9 > narrow.abs().max()


@pytest.mark.parametrize("builder", [nice, real_nvp])
def test_options_reach_the_layers(builder) -> None:
    rows = torch.randn(50, 4)
    flow = builder(4, 2, transforms=6, hidden=(7, 9), standardize=rows)
    couplings = [layer for layer in flow.transform.transforms if isinstance(layer, Coupling)]
    assert len(couplings) == 6
    assert [layer.flip for layer in couplings] == [False, True] * 3
    widths = [module.out_features for module in couplings[0].network if hasattr(module, "weight")]
    assert widths[:2] == [7, 9]
    assert couplings[0].network[0].in_features == 2 + 2
    assert torch.equal(flow.transform.transforms[0].mean, rows.mean(0))


def test_batch_norm_stands_after_each_pair() -> None:
    layers = real_nvp(4, transforms=6, batch_norm=True).transform.transforms
    assert sum(isinstance(layer, BatchNorm) for layer in layers) == 3


def test_base_must_have_the_width_of_the_data() -> None:
    with pytest.raises(ValueError, match=r"event shape \(1,\), and the flow needs \(3,\)"):
        real_nvp(3, base=StudentT(1))


def test_scale_bound_must_be_positive() -> None:
    with pytest.raises(ValueError, match="scale_bound must be above 0"):
        real_nvp(3, scale_bound=0.0)


@pytest.mark.parametrize("builder", [nice, real_nvp])
def test_same_seed_same_weights(builder) -> None:
    a, b, other = builder(5, seed=1), builder(5, seed=1), builder(5, seed=2)
    for key, value in a.state_dict().items():
        assert torch.equal(value, b.state_dict()[key])
    assert any(
        not torch.equal(value, other.state_dict()[key]) for key, value in a.state_dict().items()
    )


def test_standardize_must_have_the_width_of_the_data() -> None:
    with pytest.raises(ValueError, match=r"shape \(N, 3\), got \(10, 2\)"):
        real_nvp(3, standardize=torch.randn(10, 2))


@pytest.mark.parametrize("builder", [nice, real_nvp])
def test_training_approaches_the_true_entropy(builder) -> None:
    """A bent Gaussian whose density is known: x2 = e2 + x1^2, entropy log(2 pi e) for D = 2."""
    torch.manual_seed(0)
    x = torch.randn(4000, 2)
    x[:, 1] += x[:, 0] ** 2
    flow = builder(2, standardize=x[:3000])
    before = evaluate(flow, x[3000:], seed=0)
    fit(flow, x[:3000], x[3000:], seed=0, epochs=30)
    after = evaluate(flow, x[3000:], seed=0)
    truth = torch.distributions.Normal(0.0, 1.0)
    exact = -(truth.log_prob(x[3000:, 0]) + truth.log_prob(x[3000:, 1] - x[3000:, 0] ** 2)).mean()
    assert exact - 0.02 < after < exact + 0.1 < before - 0.2


def test_t_base_recovers_the_degrees_of_freedom_of_simulated_data() -> None:
    torch.manual_seed(0)
    x = torch.distributions.StudentT(3.0).sample((20_000, 2))
    flow = real_nvp(2, transforms=2, base=StudentT(2, df=10.0))
    fit(flow, x, seed=0, epochs=25, learning_rate=1e-2)
    # Standard error of the maximum likelihood estimate at this size is about 0.08.
    assert flow.base.df.detach().numpy() == pytest.approx([3.0, 3.0], abs=0.35)
