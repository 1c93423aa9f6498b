"""Base distributions against SciPy, and seeds that do not leak."""

import pytest
import torch
from scipy import stats

from genfin_lib.distributions import StandardNormal, StudentT, fixed_seed


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
