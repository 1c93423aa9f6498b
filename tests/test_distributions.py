"""Base distributions against SciPy, and seeds that do not leak."""

import math

import pytest
import torch
from scipy import stats

from genfin_lib.distributions import (
    MultivariateStudentT,
    StandardNormal,
    StudentT,
    TwoSidedT,
    fixed_seed,
)
from genfin_lib.training import fit


def test_standard_normal_matches_scipy() -> None:
    z = torch.randn(20, 3, dtype=torch.float64)
    expected = stats.norm.logpdf(z.numpy()).sum(1)
    assert StandardNormal(3).double()().log_prob(z).numpy() == pytest.approx(expected)


def test_student_t_matches_scipy() -> None:
    base = StudentT(3, df=4.0).double()
    with torch.no_grad():
        base.raw_df += torch.tensor([-1.0, 0.0, 2.0])
    df = base.df.detach().numpy()
    z = 5 * torch.randn(20, 3, dtype=torch.float64)
    expected = stats.t.logpdf(z.numpy(), df).sum(1)
    assert base().log_prob(z).detach().numpy() == pytest.approx(expected)


def test_student_t_samples_have_the_stated_tail() -> None:
    with fixed_seed(0):
        z = StudentT(1, df=3.0).double()().sample((200_000,)).numpy()
    # P(|Z| > 10) for three degrees of freedom; four standard errors of a frequency.
    exact = 2 * stats.t.sf(10, 3)
    assert (abs(z) > 10).mean() == pytest.approx(exact, abs=4 * (exact / 200_000) ** 0.5)


@pytest.mark.parametrize("df", [1.5, 5.0, 50.0])
def test_student_t_starts_at_the_given_degrees_of_freedom(df: float) -> None:
    assert StudentT(2, df=df).df.detach().numpy() == pytest.approx([df, df], rel=1e-5)


def test_degrees_of_freedom_stay_where_mean_and_lgamma_are_sound() -> None:
    base = StudentT(2)
    with torch.no_grad():
        base.raw_df.copy_(torch.tensor([-1e3, 1e3]))
    assert base.df.tolist() == [1.0, 100.0]


def test_fixed_degrees_of_freedom_are_no_parameter_but_are_saved() -> None:
    base = StudentT(2, df=4.0, learnable=False)
    assert list(base.parameters()) == []
    assert "raw_df" in base.state_dict()


@pytest.mark.parametrize("df", [1.0, 0.5, 100.0, float("nan")])
def test_student_t_refuses_degrees_of_freedom_out_of_range(df: float) -> None:
    with pytest.raises(ValueError, match="strictly between 1 and 100"):
        StudentT(2, df=df)


# Degrees of freedom below and above zero, one pair for each of three features.
PAIRS = torch.tensor([[3.0, 8.0, 1.5], [8.0, 3.0, 60.0]]).double()


def two_sided() -> TwoSidedT:
    base = TwoSidedT(3).double()
    with torch.no_grad():
        base.raw_df.copy_(torch.logit((PAIRS - base.LOWEST) / (base.HIGHEST - base.LOWEST)))
    return base


def integral(base: TwoSidedT, z: torch.Tensor, dz: torch.Tensor) -> torch.Tensor:
    """Mass of each feature: midpoints z of cells of width dz."""
    log_p = base().base_dist.log_prob(z[:, None].expand(-1, 3))
    return (log_p.exp() * dz[:, None]).sum(0)


@torch.no_grad()
def test_two_sided_t_has_half_of_its_mass_on_each_side() -> None:
    # z = e^u from 1e-8 to 1e12: a tail with 1.5 degrees of freedom leaves 1e-18 outside.
    step = 1e-3
    u = torch.arange(math.log(1e-8), math.log(1e12), step).double() + step / 2
    z, dz = u.exp(), u.exp() * step
    half = torch.full((3,), 0.5).double()
    torch.testing.assert_close(integral(two_sided(), z, dz), half, atol=1e-7, rtol=0)
    torch.testing.assert_close(integral(two_sided(), -z, dz), half, atol=1e-7, rtol=0)


def test_two_sided_t_joins_its_halves_smoothly() -> None:
    z = torch.tensor([[-1e-9] * 3, [1e-9] * 3]).double().requires_grad_()
    log_p = two_sided()().base_dist.log_prob(z)
    expected = torch.full_like(log_p, -0.5 * math.log(2 * math.pi))  # that of the normal, too
    torch.testing.assert_close(log_p, expected, atol=1e-12, rtol=0)
    (slope,) = torch.autograd.grad(log_p.sum(), z)
    assert slope.abs().max() < 1e-7


def test_two_sided_t_with_equal_sides_is_a_scaled_student_t() -> None:
    z = 5 * torch.randn(20, 1, dtype=torch.float64)
    scale = stats.t.pdf(0, 4.0) / stats.norm.pdf(0)
    law = TwoSidedT(1, left=4.0, right=4.0).double()()
    expected = stats.t.logpdf(z.numpy(), 4.0, scale=scale).sum(1)
    assert law.log_prob(z).detach().numpy() == pytest.approx(expected, rel=1e-5)


def test_two_sided_t_cdf_is_the_integral_of_its_density() -> None:
    base = two_sided()
    z = torch.tensor([[-40.0] * 3, [-2.0] * 3, [0.0] * 3, [1.0] * 3, [40.0] * 3]).double()
    step = 1e-5
    slope = (base.cdf(z + step) - base.cdf(z - step)) / (2 * step)
    torch.testing.assert_close(slope, base().base_dist.log_prob(z).exp(), atol=1e-9, rtol=1e-6)
    assert base.cdf(z)[2].tolist() == [0.5] * 3


def test_two_sided_t_icdf_inverts_its_cdf() -> None:
    base = two_sided()
    levels = torch.tensor([1e-9, 1e-4, 0.3, 0.45, 0.5, 0.55, 0.8, 1 - 1e-4])
    u = levels.double()[:, None].expand(-1, 3)
    torch.testing.assert_close(base.cdf(base.icdf(u)), u, atol=1e-12, rtol=1e-9)


def test_two_sided_t_samples_follow_its_distribution_function() -> None:
    base = two_sided()
    with fixed_seed(0):
        u = base.cdf(base().sample((20_000,)))
    for feature in range(3):
        assert stats.kstest(u[:, feature].numpy(), "uniform").pvalue > 1e-4


def test_two_sided_t_recovers_both_tails_of_simulated_data() -> None:
    truth, found = TwoSidedT(1, left=3.0, right=8.0), TwoSidedT(1, left=20.0, right=20.0)
    with fixed_seed(0):
        x = truth().sample((20_000,))

    class Base(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.base = found

        def loss(self, batch, *, progress):
            return -self.base().log_prob(batch).mean()

    fit(Base(), x, seed=0, epochs=20, learning_rate=3e-2)
    left, right = found.df.detach().flatten().tolist()
    # Four standard errors of maximum likelihood at this size: 0.09 and 0.45.
    assert left == pytest.approx(3.0, abs=0.36)
    assert right == pytest.approx(8.0, abs=1.8)


@pytest.mark.parametrize("sides", [{"left": 1.0}, {"right": 100.0}, {"left": math.nan}])
def test_two_sided_t_refuses_degrees_of_freedom_out_of_range(sides) -> None:
    with pytest.raises(ValueError, match="strictly between 1 and 100"):
        TwoSidedT(2, **sides)


def test_two_sided_t_has_finite_gradients_far_out() -> None:
    base = TwoSidedT(1)
    z = torch.tensor([[-1e6], [0.0], [1e6]]).requires_grad_()
    base().log_prob(z).sum().backward()
    assert z.grad.isfinite().all()
    assert base.raw_df.grad.isfinite().all()


def test_fixed_seed_repeats_and_leaves_the_outer_stream() -> None:
    torch.manual_seed(1)
    undisturbed = torch.rand(4)
    torch.manual_seed(1)
    with fixed_seed(9):
        first = torch.rand(4)
    with fixed_seed(9):
        second = torch.rand(4)
    assert torch.equal(first, second)
    assert torch.equal(torch.rand(4), undisturbed)


def correlated(df: float) -> MultivariateStudentT:
    tril = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.5, 0.0], [-0.3, 0.2, 2.0]]).double()
    return MultivariateStudentT(torch.tensor([1.0, -2.0, 0.5]).double(), tril, df=df)


@pytest.mark.parametrize("df", [2.5, 7.0, math.inf])
def test_multivariate_t_matches_scipy(df: float) -> None:
    law = correlated(df)
    x = law.mean + 4 * torch.randn(30, 3).double()
    scatter = (law.scale_tril @ law.scale_tril.T).numpy()
    reference = stats.multivariate_t(law.mean.numpy(), scatter, df=df)
    assert law.log_prob(x).numpy() == pytest.approx(reference.logpdf(x.numpy()))


def test_multivariate_t_fit_recovers_simulated_truth() -> None:
    truth = correlated(4.0)
    found = MultivariateStudentT.fit(truth.sample(40_000, seed=0))
    # Four standard errors of the largest entry, 0.012; the others are known better.
    assert found.df == pytest.approx(4.0, abs=0.2)
    torch.testing.assert_close(found.mean, truth.mean, atol=0.05, rtol=0)
    torch.testing.assert_close(found.scale_tril, truth.scale_tril, atol=0.05, rtol=0)


def test_multivariate_t_fit_is_a_stationary_point_of_the_likelihood() -> None:
    x = correlated(4.0).sample(500, seed=1)
    found = MultivariateStudentT.fit(x, df=4.0, iterations=500)
    mean = found.mean.clone().requires_grad_()
    tril = found.scale_tril.clone().requires_grad_()
    MultivariateStudentT(mean, tril, df=4.0).log_prob(x).mean().backward()
    assert mean.grad.abs().max() < 1e-8
    assert tril.grad.tril().abs().max() < 1e-8


def test_gaussian_fit_has_the_moments_of_the_data() -> None:
    x = correlated(math.inf).sample(300, seed=2)
    found = MultivariateStudentT.fit(x, df=math.inf)
    torch.testing.assert_close(found.mean, x.mean(0))
    torch.testing.assert_close(found.scale_tril @ found.scale_tril.T, torch.cov(x.T, correction=0))


def test_multivariate_t_is_extreme_in_all_coordinates_together() -> None:
    x = correlated(3.0).sample(100_000, seed=3)
    distance = correlated(3.0)._distance(x).numpy()
    # The squared distance over D follows an F law with D and df degrees of freedom.
    assert stats.kstest(distance / 3, stats.f(3, 3.0).cdf).pvalue > 1e-4


def test_multivariate_t_is_saved_with_its_degrees_of_freedom() -> None:
    law, other = correlated(4.0), correlated(30.0)
    other.load_state_dict(law.state_dict())
    x = torch.randn(5, 3).double()
    assert other.df == 4.0
    assert torch.equal(other.log_prob(x), law.log_prob(x))


def test_multivariate_t_estimates_very_heavy_and_very_light_tails() -> None:
    for df, low, high in ((1.5, 1.4, 1.6), (40.0, 20.0, 100.0)):
        found = MultivariateStudentT.fit(correlated(df).sample(20_000, seed=4)).df
        assert low < found < high


@pytest.mark.parametrize("df", [math.inf, 4.0, None])
def test_multivariate_t_refuses_columns_that_determine_each_other(df) -> None:
    x = correlated(4.0).sample(200, seed=5)
    with pytest.raises(ValueError, match="determine each other"):
        MultivariateStudentT.fit(torch.cat((x, x[:, :1]), dim=1), df=df)


def test_multivariate_t_refuses_bad_points_and_degrees_of_freedom() -> None:
    with pytest.raises(ValueError, match=r"of shape \(N, 3\), got \(4, 1\)"):
        correlated(4.0).log_prob(torch.zeros(4, 1).double())
    with pytest.raises(ValueError, match="must be finite"):
        correlated(4.0).log_prob(torch.full((4, 3), math.nan).double())
    with pytest.raises(ValueError, match="df must be above 0"):
        correlated(-1.0)


def test_fixed_seed_restores_the_outer_stream_after_an_error() -> None:
    torch.manual_seed(1)
    undisturbed = torch.rand(4)
    torch.manual_seed(1)
    with pytest.raises(RuntimeError), fixed_seed(9):
        torch.rand(-1)
    assert torch.equal(torch.rand(4), undisturbed)


@pytest.mark.parametrize("x", [torch.zeros(3, 3), torch.full((9, 2), math.nan), torch.zeros(9)])
def test_multivariate_t_refuses_what_it_cannot_fit(x: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="more rows than columns"):
        MultivariateStudentT.fit(x)


def test_two_sided_features_choose_their_sides_independently() -> None:
    with fixed_seed(0):
        side = TwoSidedT(2)().sample((4000,)).sign()
    assert (side[:, 0] * side[:, 1]).mean().abs() < 0.08


def test_fit_has_converged_by_default() -> None:
    x = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    x[:20] += 30
    default = MultivariateStudentT.fit(x, df=1.5)
    long = MultivariateStudentT.fit(x, df=1.5, iterations=500)
    torch.testing.assert_close(default.scale_tril, long.scale_tril, atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("base", "law"),
    [(StandardNormal(1), stats.norm), (StudentT(1, df=3.0), stats.t(3)), (TwoSidedT(1), None)],
)
def test_far_tail_of_a_base_keeps_its_digits(base, law, dtype: torch.dtype) -> None:
    base = base.to(dtype)
    u = torch.tensor([[1e-25], [1e-12], [1e-4]], dtype=dtype)
    back = base.cdf(base.icdf(u))
    torch.testing.assert_close(back, u, rtol=1e-3 if dtype == torch.float32 else 1e-9, atol=0)
    if law is not None:
        expected = torch.tensor(law.ppf([[1e-25], [1e-12], [1e-4]]), dtype=dtype)
        torch.testing.assert_close(base.icdf(u), expected, rtol=1e-4, atol=0)
