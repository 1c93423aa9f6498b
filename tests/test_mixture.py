"""The mixture base against SciPy and scikit-learn's formulas, and as the base of a flow."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from genfin_lib.distributions import GaussianMixture, fixed_seed
from genfin_lib.flows import Flow, maf
from genfin_lib.flows.linear import DiagonalScale
from genfin_lib.training import fit
from tests.contracts.registry import perturb


def moved(features: int = 2, components: int = 3) -> GaussianMixture:
    """A mixture away from its start, with correlated features."""
    return perturb(GaussianMixture(features, components), size=0.7).double()


def parts(base: GaussianMixture, z: np.ndarray) -> np.ndarray:
    """Weighted density of each component by SciPy, `(N, K)`."""
    means, tril = base.means.detach().numpy(), base.scale_tril.detach().numpy()
    return np.stack(
        [
            weight * stats.multivariate_normal(mean, lower @ lower.T).pdf(z)
            for weight, mean, lower in zip(base.weights.tolist(), means, tril, strict=True)
        ],
        axis=1,
    )


def test_density_and_responsibilities_match_scipy() -> None:
    base, z = moved(), 2 * torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).double()
    assert base.lower.tril(-1).abs().max() > 0.1
    expected = parts(base, z.numpy())
    log_prob, share = base().log_prob(z).detach(), base.responsibilities(z).detach()
    assert log_prob.numpy() == pytest.approx(np.log(expected.sum(axis=1)))
    assert share.numpy() == pytest.approx(expected / expected.sum(axis=1, keepdims=True))
    given = base.component_log_prob(z).detach().exp() * base.weights.detach()
    assert given.numpy() == pytest.approx(expected)


def test_responsibilities_stay_finite_far_out() -> None:
    share = moved().responsibilities(torch.tensor([[1e3, -1e3]]).double())
    assert share.sum().item() == pytest.approx(1.0)


def test_one_feature_has_the_marginal_law_of_scipy() -> None:
    base = moved(1)
    z = torch.linspace(-6, 6, 25).double()[:, None]
    std = base.scale_tril.detach().numpy()[:, 0, 0]
    each = stats.norm(base.means.detach().numpy()[:, 0], std).cdf(z.numpy())  # (N, K)
    expected = each @ base.weights.detach().numpy()
    assert base.cdf(z).numpy()[:, 0] == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("features", [1, 2])
def test_icdf_inverts_cdf(features: int) -> None:
    base = moved(features)
    u = torch.tensor([1e-9, 0.01, 0.3, 0.5, 0.99]).double()[:, None].expand(-1, features)
    torch.testing.assert_close(base.cdf(base.icdf(u)), u, rtol=1e-9, atol=0)


def test_marginal_law_is_that_of_samples() -> None:
    base = moved()
    with fixed_seed(0):
        z = base().sample((100_000,))
    at = base.icdf(torch.tensor([[0.1, 0.1], [0.8, 0.8]]).double())
    share = (z[:, None] < at).double().mean(dim=0)
    expected = torch.tensor([[0.1, 0.1], [0.8, 0.8]]).double()
    torch.testing.assert_close(share, expected, atol=4 * 0.4 / math.sqrt(100_000), rtol=0)


def test_starts_as_told() -> None:
    scales = torch.tensor([[0.2, 3.0], [1.0, 40.0]])
    base = GaussianMixture(2, 2, means=torch.tensor([[0.0, 1.0], [2.0, 3.0]]), scales=scales)
    torch.testing.assert_close(base.scale_tril.diagonal(dim1=1, dim2=2), scales)
    assert base.weights.tolist() == [0.5, 0.5]
    default = GaussianMixture(1, 3).scale_tril[:, 0, 0]
    torch.testing.assert_close(default, torch.tensor([0.5, 1.0, 2.0]))


def test_training_recovers_the_mixture_and_the_regime_of_each_row() -> None:
    """Calm two days of three, wild one; a flow of one scale cannot take the mixture's part."""
    rng = np.random.default_rng(0)
    wild = rng.random(4000) < 1 / 3
    x = torch.tensor(rng.standard_normal((4000, 4)) * np.where(wild, 3.0, 0.8)[:, None])
    flow = Flow(4, transforms=[DiagonalScale(4)], base=GaussianMixture(4, 2)).double()
    fit(flow, x, seed=0, epochs=30, learning_rate=1e-2)
    assert flow.base.weights.tolist() == pytest.approx([2 / 3, 1 / 3], abs=0.03)
    with torch.no_grad():
        regime = flow.base.responsibilities(flow(x)[0]).argmax(dim=1).numpy()
    # The best rule there is, the truth known, errs almost as often.
    calm, rough = (stats.norm(0, s).logpdf(x.numpy()).sum(axis=1) for s in (0.8, 3.0))
    best = rough + math.log(1 / 3) > calm + math.log(2 / 3)
    assert (regime == wild).mean() > (best == wild).mean() - 0.005


def test_components_cannot_shrink_onto_a_row() -> None:
    base = GaussianMixture(1, 2, floor=0.1)
    with torch.no_grad():
        base.raw_diagonal.fill_(-1e3)
    assert base.scale_tril.min().item() == pytest.approx(0.1)


def test_flow_with_a_mixture_base_has_exact_quantiles() -> None:
    flow = perturb(maf(1, base=GaussianMixture(1, 2)), size=0.2).double().eval()
    u = torch.tensor([0.01, 0.5, 0.99]).double()
    torch.testing.assert_close(flow.cdf(flow.quantile(u)), u)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"components": 1}, "components must be 2 or more, got 1"),
        ({"means": torch.zeros(2, 3)}, r"means must have shape \(2, 2\), got \(2, 3\)"),
        ({"scales": torch.full((2, 2), 0.01)}, "scales above the floor 0.05"),
        ({"means": torch.full((2, 2), math.nan)}, "means must be finite"),
        ({"scales": torch.ones(2, 2)}, "start alike"),
        ({"floor": 0.0}, "floor must be above 0"),
    ],
)
def test_bad_input_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GaussianMixture(**{"features": 2, "components": 2, **change})
