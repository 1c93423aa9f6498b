"""What becomes of tails in a flow: what can change them, and what cannot."""

import math

import pytest
import torch
from torch import Tensor

from genfin_lib.distributions import StudentT, TwoSidedT
from genfin_lib.flows import Flow, TailTransform, neural_spline_flow, real_nvp
from genfin_lib.flows.linear import DiagonalScale
from tests.contracts.registry import perturb

pytestmark = pytest.mark.filterwarnings("error")


def tail_slope(flow: Flow, x: float) -> float:
    """Local tail index -d log S / d log |x|, S the probability to be further out than x."""
    z = flow(x * torch.tensor([[1.0], [1.001]]).double())[0].detach()
    if x > 0 and isinstance(flow.base, TwoSidedT):
        log_s = torch.log1p(-flow.base.cdf(z))
    elif isinstance(flow.base, StudentT | TwoSidedT):
        log_s = flow.base.cdf(z).log()
    else:
        log_s = torch.special.log_ndtr(-z.abs())
    return (log_s[0] - log_s[1]).item() / math.log(1.001)


def spline(base: torch.nn.Module | None = None) -> Flow:
    return perturb(neural_spline_flow(1, transforms=3, base=base)).double().eval()


def test_tail_transform_has_the_promised_tail_indices() -> None:
    tails = TailTransform(1).double()
    with torch.no_grad():
        tails.raw_weight.copy_(torch.logit(torch.tensor([[1 / 3], [1 / 8]]).double()))
    flow = Flow(1, transforms=[tails, spline().transform]).double()
    for side, index in ((-1, 3.0), (1, 8.0)):
        x = side * 1e30 ** (1 / index**0.5)
        z = flow(torch.tensor([[x]]).double())[0].item()
        # The Gaussian's own correction, 1 / z^2: what is left of the factor 1 / sqrt(log x).
        assert tail_slope(flow, x) == pytest.approx(index * (1 + 1 / z**2), rel=1e-3)


def test_slope_behind_the_tail_transform_multiplies_the_index() -> None:
    behind = DiagonalScale(1)
    with torch.no_grad():
        behind.log_scale.fill_(math.log(0.8))
    flow = Flow(1, transforms=[TailTransform(1, weight=0.25), behind]).double()
    z = flow(torch.tensor([[1e40]], dtype=torch.float64))[0].item()
    assert tail_slope(flow, 1e40) == pytest.approx(0.8**2 / 0.25 * (1 + 1 / z**2), rel=1e-3)


def test_spline_flow_keeps_the_tails_of_its_base() -> None:
    heavy, light = spline(StudentT(1, df=4.0, learnable=False)), spline()
    assert tail_slope(heavy, -1e3) == pytest.approx(4.0, rel=1e-3)
    # A Gaussian tail has no index: its slope grows like x^2.
    for x in (10.0, 30.0):
        assert tail_slope(light, -x) == pytest.approx(x**2 + 1, rel=2e-3)


def test_two_sided_base_gives_each_side_its_own_index() -> None:
    flow = spline(TwoSidedT(1, left=3.0, right=8.0, learnable=False))
    assert tail_slope(flow, -1e3) == pytest.approx(3.0, rel=1e-2)
    assert tail_slope(flow, 50.0) == pytest.approx(8.0, rel=2e-2)


def test_bounded_affine_flow_with_gaussian_base_stays_light_tailed() -> None:
    """Jaini et al. (2020): the latent grows at least like c |x|, so log p falls like x^2."""
    flow = perturb(real_nvp(2, transforms=4)).double().eval()
    direction = torch.tensor([[1.0, -1.0]]).double()
    near, far = (flow.log_prob(r * direction).item() for r in (1e3, 2e3))
    assert far / near == pytest.approx(4.0, rel=0.02)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tail_transform_is_sound_far_out_and_near_zero(dtype: torch.dtype) -> None:
    transform = TailTransform(1, weight=0.3).to(dtype)
    magnitudes = torch.cat((torch.zeros(1), torch.logspace(-12, 8, 201)))
    x = torch.cat((-magnitudes.flip(0), magnitudes[1:])).to(dtype)[:, None].requires_grad_()
    z, log_abs_det = transform(x)
    back, backward = transform.inverse(z)
    precision = 200 * torch.finfo(dtype).eps
    torch.testing.assert_close(back, x, atol=0, rtol=precision)
    torch.testing.assert_close(log_abs_det, -backward, atol=precision, rtol=precision)
    assert (z.diff(dim=0) > 0).all()
    (z.square().sum() - log_abs_det.sum()).backward()
    assert x.grad.isfinite().all()
    assert transform.raw_weight.grad.isfinite().all()


def test_tail_transform_pulls_in_no_more_than_it_says() -> None:
    x = torch.linspace(-3, 3, 7)[:, None]
    z: Tensor = TailTransform(1, weight=1e-6)(x)[0]
    torch.testing.assert_close(z, x, atol=1e-4, rtol=0)


def test_a_light_weight_and_a_heavy_one_act_on_their_own_side() -> None:
    transform = TailTransform(1)
    with torch.no_grad():
        transform.raw_weight.copy_(torch.tensor([[3.0], [-9.0]]))
    z = transform(torch.tensor([[-5.0], [5.0]]))[0]
    assert -2.5 < z[0].item() < 0
    assert z[1].item() > 4.9


@pytest.mark.parametrize("weight", [0.0, 1.0, -0.2, math.nan])
def test_tail_weight_out_of_range_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        TailTransform(2, weight=weight)
