"""Factor analysis and PPCA against brute-force Gaussians, closed forms and scikit-learn."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.decomposition import FactorAnalysis as SklearnFactorAnalysis

from genfin_lib.latent import FactorAnalysis, ProbabilisticPCA

MODELS = [FactorAnalysis, ProbabilisticPCA]
BOTH = pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)


def truth(cls=FactorAnalysis, features: int = 6, factors: int = 2, seed: int = 0):
    """A model with parameters of any size, away from every special case."""
    generator = torch.Generator().manual_seed(seed)
    loadings = torch.randn(features, factors, generator=generator).double()
    noise = torch.rand(features, generator=generator).double() + 0.2
    if cls is ProbabilisticPCA:
        noise = noise[:1].expand(features)
    return cls(torch.randn(features, generator=generator).double(), loadings, noise)


def with_gaps(x: torch.Tensor, share: float = 0.3) -> torch.Tensor:
    hidden = torch.rand(x.shape, generator=torch.Generator().manual_seed(9)) < share
    return x.masked_fill(hidden, math.nan)


def gaussian(model) -> stats.rv_continuous:
    return stats.multivariate_normal(model.mean.numpy(), model.covariance.numpy())


def test_density_is_that_of_the_full_covariance() -> None:
    model, x = truth(), truth().sample(50, seed=1)
    assert model.log_prob(x).numpy() == pytest.approx(gaussian(model).logpdf(x.numpy()))


def test_density_integrates_to_one() -> None:
    model = truth(features=2, factors=1)
    ticks = torch.linspace(-12, 12, 601, dtype=torch.float64)
    grid = torch.cartesian_prod(ticks, ticks)
    assert model.log_prob(grid).exp().sum().item() * 0.04**2 == pytest.approx(1.0, abs=1e-9)


def test_density_is_right_for_five_hundred_features_and_tiny_noise() -> None:
    """log N by blocks: along the span of the loadings, and in the space left over."""
    generator = torch.Generator().manual_seed(3)
    basis = torch.linalg.qr(torch.randn(500, 10, generator=generator).double()).Q
    size = torch.linspace(1, 5, 10).double()
    model = ProbabilisticPCA(torch.zeros(500).double(), basis * size, torch.full((500,), 1e-9))
    model = model.double()
    x = model.sample(20, seed=0)
    inside = x @ basis
    outside = (x - inside @ basis.T).square().sum(1)
    variance = size.square() + 1e-9
    expected = -0.5 * (inside.square() / variance + (2 * math.pi * variance).log()).sum(1)
    expected -= 0.5 * (outside / 1e-9 + 490 * math.log(2 * math.pi * 1e-9))
    # Noise in single precision, as given, is not 1e-9 to all digits.
    torch.testing.assert_close(model.log_prob(x), expected, rtol=1e-6, atol=0)


@BOTH
def test_samples_have_the_moments_of_the_model(cls) -> None:
    model = truth(cls)
    x = model.sample(200_000, seed=0)
    torch.testing.assert_close(torch.cov(x.T), model.covariance, atol=0.06, rtol=0)
    torch.testing.assert_close(x.mean(0), model.mean, atol=0.03, rtol=0)
    # Squared distances are chi-squared only if the density is that of the samples.
    distance = -2 * (model.log_prob(x) - model.log_prob(model.mean[None]))
    assert stats.kstest(distance[:5000].numpy(), stats.chi2(6).cdf).pvalue > 1e-3


def test_missing_entries_leave_the_marginal_density_of_the_others() -> None:
    model = truth()
    x = with_gaps(model.sample(60, seed=1))
    x[0] = math.nan
    found = model.log_prob(x, missing=True).numpy()
    assert found[0] == 0.0
    for row, value in zip(x[1:].numpy(), found[1:], strict=True):
        seen = ~np.isnan(row)
        if not seen.any():
            continue
        mean, covariance = model.mean.numpy()[seen], model.covariance.numpy()[np.ix_(seen, seen)]
        assert value == pytest.approx(stats.multivariate_normal(mean, covariance).logpdf(row[seen]))


def test_posterior_and_reconstruction_condition_the_joint_gaussian() -> None:
    model = truth()
    x = with_gaps(model.sample(20, seed=1))
    posterior = model.posterior(x, missing=True)
    for n, row in enumerate(x):
        seen = ~row.isnan()
        cross = model.loadings[seen]  # covariance of x and z
        gain = torch.linalg.solve(model.covariance[seen][:, seen], cross).T
        mean = gain @ (row - model.mean)[seen]
        torch.testing.assert_close(posterior.mean[n], mean)
        covariance = torch.eye(2).double() - gain @ cross
        torch.testing.assert_close(posterior.covariance_matrix[n], covariance)
        hidden = model.mean + model.loadings @ mean
        torch.testing.assert_close(model.reconstruct(x, missing=True)[n], hidden)


@BOTH
@pytest.mark.parametrize("missing", [False, True])
def test_em_never_lowers_the_likelihood(cls, missing: bool) -> None:
    x = truth(cls, seed=1).sample(300, seed=2)
    x = with_gaps(x) if missing else x
    model, values = truth(cls, seed=5), []
    for _ in range(60):
        values.append(model.log_prob(x, missing=missing).mean().item())
        model = model.em_step(x, missing=missing)
    assert (np.diff(values) >= -1e-12).all()
    assert values[-1] > values[0] + 1


def test_em_climbs_with_a_floor_too() -> None:
    x = truth(seed=1).sample(300, seed=2)
    model, values = truth(seed=5), []
    for _ in range(200):
        model = model.em_step(x, floor=0.5)
        values.append(model.log_prob(x).mean().item())
    assert (np.diff(values) >= -1e-12).all()
    assert model.noise.min().item() == 0.5


@BOTH
@pytest.mark.parametrize("missing", [False, True])
def test_fit_is_a_stationary_point_of_the_likelihood(cls, missing: bool) -> None:
    x = truth(cls).sample(400, seed=2)
    x = with_gaps(x) if missing else x
    found = cls.fit(x, 2, missing=missing, tolerance=1e-14)
    leaves = [found.mean, found.loadings, found.noise[:1] if cls in MODELS[1:] else found.noise]
    leaves = [leaf.clone().requires_grad_() for leaf in leaves]
    seen = ~x.isnan()
    loss = torch.zeros(()).double()
    for row, there in zip(x, seen, strict=True):
        noise = leaves[2].expand(6)[there]
        covariance = leaves[1][there] @ leaves[1][there].T + torch.diag(noise)
        law = torch.distributions.MultivariateNormal(leaves[0][there], covariance)
        loss = loss + law.log_prob(row[there]) / len(x)
    loss.backward()
    for leaf in leaves:
        assert leaf.grad.abs().max() < 1e-5


@BOTH
def test_fit_recovers_the_covariance_of_the_truth_with_a_third_missing(cls) -> None:
    model = truth(cls)
    x = with_gaps(model.sample(40_000, seed=4))
    found = cls.fit(x, 2, missing=True)
    torch.testing.assert_close(found.covariance, model.covariance, atol=0.1, rtol=0)
    torch.testing.assert_close(found.mean, model.mean, atol=0.05, rtol=0)


def test_em_reaches_the_closed_form_of_ppca() -> None:
    x = truth(ProbabilisticPCA, features=8, factors=3).sample(500, seed=1)
    closed = ProbabilisticPCA.fit(x, 3).log_prob(x).mean()
    model = truth(ProbabilisticPCA, features=8, factors=3, seed=7)
    for _ in range(400):
        model = model.em_step(x)
    assert 0 <= (closed - model.log_prob(x).mean()).item() < 1e-6


def test_ppca_agrees_with_scikit_learn() -> None:
    x = truth(features=8, factors=3).sample(300, seed=1)
    theirs, ours = PCA(3).fit(x.numpy()), ProbabilisticPCA.fit(x, 3)
    # scikit-learn divides by N - 1, maximum likelihood by N.
    covariance = torch.tensor(theirs.get_covariance()) * 299 / 300
    torch.testing.assert_close(ours.covariance, covariance)
    same = ProbabilisticPCA(
        ours.mean, ours.loadings * (300 / 299) ** 0.5, ours.noise * 300 / 299
    ).log_prob(x)
    assert same.numpy() == pytest.approx(theirs.score_samples(x.numpy()))


@pytest.mark.parametrize("factors", [1, 2, 3])
def test_factor_analysis_is_at_least_as_likely_as_scikit_learns(factors: int) -> None:
    x = truth(features=8, factors=3).sample(400, seed=1)
    theirs = SklearnFactorAnalysis(factors, tol=1e-10, max_iter=10_000, svd_method="lapack")
    value = theirs.fit(x.numpy()).score(x.numpy())
    ours = FactorAnalysis.fit(x, factors, tolerance=1e-10)
    assert ours.log_prob(x).mean().item() == pytest.approx(value, abs=1e-6)
    covariance = torch.tensor(theirs.get_covariance())
    torch.testing.assert_close(ours.covariance, covariance, atol=5e-3, rtol=0)


def test_posterior_means_tend_to_pca_as_noise_vanishes() -> None:
    x = truth(features=8, factors=3).sample(300, seed=1)
    fitted = ProbabilisticPCA.fit(x, 3)
    projection = torch.tensor(PCA(3).fit(x.numpy()).inverse_transform(PCA(3).fit_transform(x)))
    gaps = []
    for noise in (1.0, 1e-3, 1e-6, 1e-9):
        model = ProbabilisticPCA(fitted.mean, fitted.loadings, torch.full((8,), noise).double())
        gaps.append((model.reconstruct(x) - projection).abs().max().item())
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 1e-7
    assert gaps[0] > 0.05  # with noise the factors are shrunk towards zero


@BOTH
def test_rotated_factors_have_the_same_density(cls) -> None:
    model, x = truth(cls), truth().sample(30, seed=1)
    turn = torch.linalg.qr(torch.randn(2, 2, generator=torch.Generator().manual_seed(1)).double()).Q
    turned = cls(model.mean, model.loadings @ turn, model.noise)
    torch.testing.assert_close(turned.log_prob(x), model.log_prob(x))
    torch.testing.assert_close(turned.posterior(x).mean, model.posterior(x).mean @ turn)


@BOTH
def test_fit_returns_one_rotation_of_the_factors(cls) -> None:
    model = cls.fit(truth(features=8, factors=3).sample(500, seed=1), 3)
    ratio = model.loadings / model.noise.sqrt()[:, None]
    gram = ratio.T @ ratio
    assert (gram - gram.diagonal().diag()).abs().max() < 1e-8
    assert (gram.diagonal().diff() < 0).all()
    assert (ratio.sum(0) > 0).all()


def test_factor_analysis_does_not_depend_on_units_and_ppca_does() -> None:
    x, units = truth().sample(400, seed=1), torch.tensor([1.0, 10.0, 0.1, 1.0, 5.0, 1.0]).double()
    gaps = {}
    for cls in MODELS:
        plain, scaled = cls.fit(x, 2), cls.fit(x * units, 2)
        expected = plain.covariance * units[:, None] * units
        gaps[cls] = ((scaled.covariance - expected) / expected).abs().max().item()
    assert gaps[FactorAnalysis] < 1e-3
    assert gaps[ProbabilisticPCA] > 0.5


def test_gaps_announced_but_absent_change_nothing() -> None:
    x = truth().sample(200, seed=1)
    plain, announced = (FactorAnalysis.fit(x, 2, missing=m) for m in (False, True))
    assert torch.equal(plain.covariance, announced.covariance)


def test_a_feature_that_would_be_a_factor_keeps_the_floor() -> None:
    """A Heywood case: one feature is a factor and is seen without noise."""
    model = truth(features=5, factors=1)
    noise = model.noise.clone()
    noise[0] = 1e-12
    x = FactorAnalysis(model.mean, model.loadings, noise).sample(500, seed=0)
    found = FactorAnalysis.fit(x, 1, floor=0.01, iterations=5000)
    assert found.noise[0].item() == pytest.approx(0.01 * x[:, 0].var(correction=0).item())


def test_save_and_load_keep_the_density(tmp_path) -> None:
    model, other = truth(), truth(seed=8)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    x = model.sample(5, seed=0)
    assert torch.equal(other.log_prob(x), model.log_prob(x))


def test_sampling_takes_a_seed_and_leaves_the_global_state() -> None:
    model = truth()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = model.sample(4, seed=1)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first, model.sample(4, seed=1))
    assert not torch.equal(first, model.sample(4, seed=2))


@BOTH
@pytest.mark.parametrize(
    ("x", "factors", "message"),
    [
        (torch.randn(50, 3), 3, r"1 to D - 1 factors"),
        (torch.randn(50, 3), 0, r"1 to D - 1 factors"),
        (torch.randn(3, 3), 2, "more rows than factors"),
        (torch.randn(50), 1, r"x of shape \(50,\)"),
        (torch.full((50, 3), math.nan), 1, "150 NaN and 0 inf; if NaN marks missing entries"),
        (torch.full((50, 3), math.inf), 1, "0 NaN and 150 inf"),
        (torch.ones(50, 3), 1, "column 0 of x is constant"),
        (torch.ones(50, 3).long(), 1, "floating type"),
    ],
)
def test_what_cannot_be_fitted_is_refused(cls, x: torch.Tensor, factors: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cls.fit(x, factors)


def test_gaps_that_leave_a_column_empty_are_refused() -> None:
    x = torch.randn(50, 3)
    x[1:, 2] = math.nan
    with pytest.raises(ValueError, match="column 2 has fewer than two entries"):
        FactorAnalysis.fit(x, 1, missing=True)


def test_ppca_of_too_low_a_rank_is_refused() -> None:
    x = torch.randn(50, 2).double() @ torch.randn(2, 5).double()
    with pytest.raises(ValueError, match="3 factors leave no noise"):
        ProbabilisticPCA.fit(x, 3)


def test_em_that_has_not_arrived_says_so() -> None:
    with pytest.warns(RuntimeWarning, match="EM stopped after 2 rounds"):
        FactorAnalysis.fit(truth().sample(200, seed=1), 2, iterations=2)


def test_bad_points_and_parameters_are_refused() -> None:
    model = truth()
    with pytest.raises(ValueError, match=r"shape \(N, 6\) .* got \(4, 3\)"):
        model.log_prob(torch.zeros(4, 3).double())
    with pytest.raises(ValueError, match="24 NaN"):
        model.log_prob(torch.full((4, 6), math.nan).double())
    with pytest.raises(ValueError, match=r"x is torch\.float32 and the model is torch\.float64"):
        model.log_prob(torch.zeros(4, 6))
    with pytest.raises(ValueError, match="6 features need 1 to 5 factors"):
        FactorAnalysis(model.mean, torch.zeros(6, 6), model.noise)
    with pytest.raises(ValueError, match="noise above 0"):
        FactorAnalysis(model.mean, model.loadings, 0 * model.noise)
    with pytest.raises(ValueError, match="floor 2"):
        FactorAnalysis.fit(model.sample(50, seed=0), 2, floor=2.0)
