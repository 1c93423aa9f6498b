"""The mixture of PPCAs against its own definition, scikit-learn, and a known truth."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.mixture import GaussianMixture

from genfin_lib.latent import MixtureOfPPCA, ProbabilisticPCA


def truth(features: int = 5) -> MixtureOfPPCA:
    """Calm days of one factor, and wild ones of another."""
    calm, wild = torch.zeros(features, 1).double(), torch.zeros(features, 1).double()
    calm[:2], wild[-3:] = 1.0, 3.0
    mean = torch.ones(features).double()
    return MixtureOfPPCA(
        torch.tensor([0.7, 0.3]).double(),
        [
            ProbabilisticPCA(0.2 * mean, calm, torch.full((features,), 0.25).double()),
            ProbabilisticPCA(-mean, wild, torch.full((features,), 1.0).double()),
        ],
    )


def test_density_and_responsibilities_are_those_of_the_definition() -> None:
    model, x = truth(), truth().sample(40, seed=0)
    parts = np.stack(
        [
            weight * stats.multivariate_normal(p.mean.numpy(), p.covariance.numpy()).pdf(x.numpy())
            for weight, p in zip(model.weights.tolist(), model.components, strict=True)
        ],
        axis=1,
    )
    assert model.log_prob(x).numpy() == pytest.approx(np.log(parts.sum(axis=1)))
    share = parts / parts.sum(axis=1, keepdims=True)
    assert model.responsibilities(x).numpy() == pytest.approx(share)


def test_density_integrates_to_one_and_gives_the_frequency_of_samples() -> None:
    model = truth(2)
    ticks = torch.linspace(-25, 25, 1001, dtype=torch.float64)
    grid = torch.cartesian_prod(ticks, ticks)
    density = model.log_prob(grid).exp() * 0.05**2
    assert density.sum().item() == pytest.approx(1.0, abs=1e-9)
    x = model.sample(200_000, seed=1)
    for inside in (lambda p: p[:, 0] > 1.001, lambda p: p.sum(1) < -2.001):
        share = inside(x).double().mean().item()
        expected = density[inside(grid)].sum().item()
        # Four standard errors, and the edge of the grid.
        assert share == pytest.approx(expected, abs=4 * math.sqrt(0.25 / 200_000) + 2e-3)


def test_fit_recovers_the_truth() -> None:
    model = truth()
    found = MixtureOfPPCA.fit(model.sample(5000, seed=2), 2, 1, seed=0, restarts=1, tolerance=1e-6)
    order = found.weights.argsort(descending=True).tolist()
    assert found.weights[order].tolist() == pytest.approx([0.7, 0.3], abs=0.03)
    for k, true in zip(order, model.components, strict=True):
        covariance = found.components[k].covariance
        error = (covariance - true.covariance).abs().max() / true.covariance.max()
        assert error < 0.08
    x = model.sample(4000, seed=3)
    assert found.log_prob(x).mean() > model.log_prob(x).mean() - 0.01


def test_a_round_of_em_never_lowers_the_likelihood() -> None:
    x = truth().sample(500, seed=4)
    share = torch.rand(500, 3, generator=torch.Generator().manual_seed(0)).double()
    share /= share.sum(1, keepdim=True)
    values = []
    for _ in range(40):
        model = MixtureOfPPCA._maximum(x, share, 2, torch.tensor(0.05).double())
        values.append(model.log_prob(x).mean().item())
        share = model.responsibilities(x)
    assert (np.diff(values) >= -1e-12).all()
    assert values[-1] > values[0] + 0.1


def test_with_all_factors_but_one_it_is_a_mixture_of_full_covariances() -> None:
    """Two features, one factor: any covariance can be written so."""
    x = truth(2).sample(2000, seed=5)
    theirs = GaussianMixture(2, reg_covar=0, tol=1e-8, max_iter=2000, random_state=0)
    ours = MixtureOfPPCA.fit(x, 2, 1, seed=0, restarts=2, tolerance=1e-8, floor=1e-9)
    value = theirs.fit(x.numpy()).score(x.numpy())
    assert ours.log_prob(x).mean().item() == pytest.approx(value, abs=1e-5)


def test_components_cannot_shrink_onto_rows() -> None:
    """Five equal rows far out: without a floor their likelihood has no bound."""
    x = torch.cat((truth().sample(300, seed=6), torch.full((5, 5), 40.0).double()))
    found = MixtureOfPPCA.fit(x, 3, 1, seed=0, restarts=1, floor=0.01)
    least = min(part.noise.min() for part in found.components)
    assert least.item() == pytest.approx(0.01 * x.var(0, correction=0).mean().item())


def test_same_seed_same_fit_and_the_global_state_is_left() -> None:
    x = truth().sample(300, seed=7)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, second = (MixtureOfPPCA.fit(x, 2, 1, seed=1, restarts=1) for _ in range(2))
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(first.log_prob(x), second.log_prob(x))


def test_save_and_load_keep_the_density(tmp_path) -> None:
    model, other = truth(), truth()
    x = model.sample(300, seed=8)
    other = MixtureOfPPCA.fit(x, 2, 1, seed=0, restarts=1)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    assert torch.equal(other.log_prob(x), model.log_prob(x))


def test_what_cannot_be_fitted_is_refused() -> None:
    x = truth().sample(60, seed=9)
    with pytest.raises(ValueError, match="components 1, restarts 5"):
        MixtureOfPPCA.fit(x, 1, 1, seed=0)
    with pytest.raises(ValueError, match="5 NaN"):
        MixtureOfPPCA.fit(x.index_fill(0, torch.tensor([3]), math.nan), 2, 1, seed=0)
    with pytest.raises(ValueError, match="was left with no more than 2 rows of 8"):
        MixtureOfPPCA.fit(x[:8], 4, 1, seed=0)


def test_em_that_has_not_arrived_says_so() -> None:
    with pytest.warns(RuntimeWarning, match="EM stopped after 3 rounds"):
        MixtureOfPPCA.fit(truth().sample(60, seed=9), 2, 1, seed=0, iterations=3)


def test_the_best_of_several_starts_is_kept() -> None:
    x = truth().sample(300, seed=10)

    def value(seed: int, restarts: int) -> float:
        found = MixtureOfPPCA.fit(x, 3, 1, seed=seed, restarts=restarts, tolerance=1e-3)
        return found.log_prob(x).mean().item()

    # The first start of several is that of one.
    gains = [value(seed, 4) - value(seed, 1) for seed in (0, 3)]
    assert min(gains) >= 0
    assert max(gains) > 0.003


def test_bad_weights_are_refused() -> None:
    parts = list(truth().components)
    with pytest.raises(ValueError, match="sum to 1"):
        MixtureOfPPCA(torch.tensor([0.7, 0.7]), parts)
    with pytest.raises(ValueError, match="one weight for each component"):
        MixtureOfPPCA(torch.tensor([1.0]), parts)
