"""Each transform of the registry keeps the contract of ``flows/transform.py``."""

import pytest
import torch
from torch import Tensor

from genfin_lib.flows.coupling import AffineCoupling
from genfin_lib.flows.transform import Transform
from tests.contracts.registry import IDENTITY_AT_START, TRANSFORMS, TWO_OR_MORE, perturb

CONTEXT = 3
pytestmark = pytest.mark.filterwarnings("error")


def build(name: str, features: int, context: int = CONTEXT) -> Transform:
    if features == 1 and name in TWO_OR_MORE:
        pytest.skip("needs two features")
    torch.manual_seed(0)
    return perturb(TRANSFORMS[name](features, context)).double().eval()


def inputs(features: int, rows: int = 7) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(rows, features, generator=generator, dtype=torch.float64)
    return x, torch.randn(rows, CONTEXT, generator=generator, dtype=torch.float64)


def assert_log_det_is_autograd(transform: Transform, x: Tensor, context: Tensor) -> None:
    """Compare both directions' log-determinants with the full Jacobian, row by row."""
    z, _ = transform(x, context)
    for apply, points in ((transform.forward, x), (transform.inverse, z.detach())):
        _, claimed = apply(points, context)
        for row in range(points.shape[0]):
            condition = context[row : row + 1]
            jacobian = torch.autograd.functional.jacobian(
                lambda point, apply=apply, c=condition: apply(point[None], c)[0][0], points[row]
            )
            true = torch.linalg.slogdet(jacobian).logabsdet
            torch.testing.assert_close(claimed[row], true, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("features", [1, 2, 3, 6])
@pytest.mark.parametrize("name", TRANSFORMS)
class TestContract:
    def test_inverse_undoes_forward_and_log_dets_cancel(self, name: str, features: int) -> None:
        transform, (x, context) = build(name, features), inputs(features)
        z, forward = transform(x, context)
        back, backward = transform.inverse(z, context)
        torch.testing.assert_close(back, x, atol=1e-10, rtol=0)
        torch.testing.assert_close(forward, -backward, atol=1e-10, rtol=0)

    def test_log_det_matches_autograd(self, name: str, features: int) -> None:
        transform, (x, context) = build(name, features), inputs(features)
        assert_log_det_is_autograd(transform, x, context)

    def test_log_det_is_per_sample(self, name: str, features: int) -> None:
        transform, (x, context) = build(name, features), inputs(features)
        _, together = transform(x, context)
        alone = [transform(x[i : i + 1], context[i : i + 1])[1] for i in range(len(x))]
        assert together.shape == (len(x),)
        torch.testing.assert_close(together, torch.cat(alone), atol=1e-12, rtol=0)

    def test_every_parameter_gets_a_gradient(self, name: str, features: int) -> None:
        transform, (x, context) = build(name, features), inputs(features, rows=50)
        z, log_abs_det = transform(x.requires_grad_(), context)
        (z.square().sum() + log_abs_det.sum()).backward()
        for key, parameter in transform.named_parameters():
            assert parameter.grad.abs().sum() > 0, key

    def test_save_and_load_keep_the_map(self, name: str, features: int) -> None:
        transform, (x, context) = build(name, features), inputs(features)
        torch.manual_seed(99)
        other = TRANSFORMS[name](features, CONTEXT).double().eval()
        other.load_state_dict(transform.state_dict())
        for a, b in zip(transform(x, context), other(x, context), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("name", IDENTITY_AT_START)
def test_untrained_transform_is_the_identity(name: str) -> None:
    x, context = inputs(5)
    z, log_abs_det = TRANSFORMS[name](5, CONTEXT).double().eval()(x, context)
    # To the bit, but for splines: equal knots are sums of eighths and thousandths.
    exact = 1e-13 if "spline" in name else 0
    torch.testing.assert_close(z, x, atol=exact, rtol=0)
    torch.testing.assert_close(log_abs_det, torch.zeros_like(log_abs_det), atol=exact, rtol=0)


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if "coupling" in name])
def test_coupling_heeds_its_context(name: str) -> None:
    transform, (x, context) = build(name, 4), inputs(4)
    assert not torch.allclose(transform(x, context)[0], transform(x, context + 1)[0])


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if "autoregressive" in name])
def test_context_reaches_every_feature_of_an_autoregressive_layer(name: str) -> None:
    transform, (x, context) = build(name, 4), inputs(4)
    moved = transform(x, context)[0] - transform(x, context + 1)[0]
    assert (moved.abs().amax(0) > 1e-3).all()


class NegatedLogDet(AffineCoupling):
    """A sign error made in both directions: round trips and cancellation cannot see it."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_abs_det = super().forward(x, context)
        return z, -log_abs_det

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, log_abs_det = super().inverse(z, context)
        return x, -log_abs_det


def test_autograd_catches_the_sign_error_that_round_trips_miss() -> None:
    wrong, (x, context) = perturb(NegatedLogDet(4, CONTEXT)).double(), inputs(4)
    z, forward = wrong(x, context)
    back, backward = wrong.inverse(z, context)
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(forward, -backward)
    with pytest.raises(AssertionError):
        assert_log_det_is_autograd(wrong, x, context)
