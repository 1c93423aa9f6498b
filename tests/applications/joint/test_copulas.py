"""Copula densities are densities, samples follow them, and SciPy agrees."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from genfin_lib.applications.joint import (
    FlowCopula,
    StudentTCopula,
    joint_exceedances,
    student_t_log_copula,
    tail_coefficient,
)
from genfin_lib.distributions import StudentT
from genfin_lib.flows import real_nvp

RHO = np.array([[1.0, 0.6, -0.2], [0.6, 1.0, 0.1], [-0.2, 0.1, 1.0]])
U = np.array([[0.01, 0.02, 0.9], [0.5, 0.5, 0.5], [1e-9, 0.999, 0.3]])


@pytest.mark.parametrize("df", [2.5, 8.0, math.inf])
def test_density_is_the_multivariate_one_over_its_marginals(df: float) -> None:
    if math.isinf(df):
        x = stats.norm.ppf(U)
        expected = stats.multivariate_normal(cov=RHO).logpdf(x) - stats.norm.logpdf(x).sum(axis=1)
    else:
        x = stats.t.ppf(U, df)
        joint = stats.multivariate_t(shape=RHO, df=df).logpdf(x)
        expected = joint - stats.t.logpdf(x, df).sum(axis=1)
    np.testing.assert_allclose(StudentTCopula(RHO, df=df).log_prob(U), expected, rtol=1e-9)


@pytest.mark.parametrize("df", [3.0, math.inf])
def test_density_integrates_to_one_with_uniform_marginals(df: float) -> None:
    copula = StudentTCopula(RHO[:2, :2], df=df)
    # Gauss-Legendre in a variable that crowds the nodes at 0 and 1, where the density is steep.
    nodes, weights = np.polynomial.legendre.leggauss(200)
    t = (nodes + 1) / 2
    u, jacobian = t**3 * (10 - 15 * t + 6 * t**2), 30 * t**2 * (1 - t) ** 2
    mass = weights / 2 * jacobian
    first, second = np.meshgrid(u, u, indexing="ij")
    density = np.exp(copula.log_prob(np.stack([first.ravel(), second.ravel()], axis=1)))
    density = density.reshape(200, 200)
    assert mass @ density @ mass == pytest.approx(1, abs=1e-4)
    # Away from the corners each slice integrates to one, which is what makes it a copula.
    middle = (u > 0.05) & (u < 0.95)
    np.testing.assert_allclose((density @ mass)[middle], 1, atol=1e-4)


def test_each_row_may_have_a_correlation_of_its_own() -> None:
    path = np.stack([np.eye(3), RHO, RHO.T @ np.eye(3)])
    rows = [student_t_log_copula(U[i], path[i], df=4.0)[0] for i in range(3)]
    np.testing.assert_allclose(student_t_log_copula(U, path, df=4.0), rows, rtol=1e-12)
    # Independent only if Gaussian: the t has one scale for all.
    assert student_t_log_copula(U, np.eye(3), df=math.inf) == pytest.approx(0, abs=1e-9)
    assert (np.abs(student_t_log_copula(U, np.eye(3), df=4.0)) > 1e-2).all()


@pytest.mark.parametrize("df", [4.0, math.inf])
def test_sample_follows_the_density(df: float) -> None:
    copula, n = StudentTCopula(RHO, df=df), 200_000
    u = copula.sample(n, seed=1)
    for column in u.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    # Kendall's tau of every elliptical copula is 2/pi arcsin(rho).
    tau = stats.kendalltau(u[:20_000, 0], u[:20_000, 1]).statistic
    assert tau == pytest.approx(2 / math.pi * math.asin(0.6), abs=0.02)
    # The mean of a function of draws is its integral against the density: here P(corner).
    corner = ((u[:, 0] < 0.05) & (u[:, 1] < 0.05)).mean()
    x = stats.norm.ppf(0.05) if math.isinf(df) else stats.t.ppf(0.05, df)
    law = (
        stats.multivariate_normal(cov=RHO[:2, :2])
        if math.isinf(df)
        else stats.multivariate_t(shape=RHO[:2, :2], df=df, seed=0)
    )
    exact = law.cdf([x, x])
    assert corner == pytest.approx(exact, abs=4 * math.sqrt(exact / n) + 2e-4)
    np.testing.assert_array_equal(u, copula.sample(n, seed=1))


def test_tail_dependence_is_the_limit_of_the_tail_coefficient() -> None:
    copula = StudentTCopula([[1.0, 0.5], [0.5, 1.0]], df=3.0)
    limit = copula.tail_dependence()
    # McNeil, Frey and Embrechts (2015), table 7.1 has 0.31 for nu = 3 rounded from its formula.
    assert limit[0, 1] == pytest.approx(2 * stats.t.cdf(-math.sqrt(4 * 0.5 / 1.5), 4), rel=1e-12)
    assert limit[0, 0] == 1
    u = copula.sample(500_000, seed=0)
    assert tail_coefficient(u, share=0.002) == pytest.approx(limit[0, 1], abs=0.04)
    gaussian = StudentTCopula([[1.0, 0.5], [0.5, 1.0]], df=math.inf)
    np.testing.assert_array_equal(gaussian.tail_dependence(), np.eye(2))


def test_exceedances_by_hand() -> None:
    u = np.array([[0.01, 0.04, 0.5], [0.6, 0.7, 0.8], [0.9, 0.03, 0.2]])
    np.testing.assert_array_equal(joint_exceedances(u, share=0.05), [2, 0, 1])
    # Three cases of a series in its tail, of 2 others each: two of these six were there as well.
    assert tail_coefficient(u, share=0.05) == pytest.approx(2 / 6)
    with pytest.raises(ValueError, match="two series or more"):
        tail_coefficient(u[:, :1])
    with pytest.raises(ValueError, match="share 5"):
        joint_exceedances(u, share=5)


def test_flow_copula_of_the_untrained_flow_is_the_gaussian_copula() -> None:
    flow = real_nvp(3, hidden=(8,)).double()
    gaussian = StudentTCopula(RHO, df=math.inf)
    mine = FlowCopula(flow, RHO)
    np.testing.assert_allclose(mine.log_prob(U), gaussian.log_prob(U), rtol=1e-8)
    u = mine.sample(20_000, seed=0)
    assert stats.kstest(u[:, 0], "uniform").pvalue > 1e-3


def test_flow_copula_integrates_to_one() -> None:
    flow = real_nvp(2, transforms=2, hidden=(8,), base=StudentT(2, df=4.0)).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in flow.transform.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter += 0.3 * noise
    copula = FlowCopula(flow, RHO[:2, :2])
    z = np.linspace(-7, 7, 401)
    first, second = np.meshgrid(z, z, indexing="ij")
    points = np.stack([first.ravel(), second.ravel()], axis=1)
    # In normal scores, where du is the normal density times dz.
    inside = copula.log_prob(stats.norm.cdf(points)) + stats.norm.logpdf(points).sum(axis=1)
    # What a t base has beyond seven is missing.
    assert np.exp(inside).sum() * (z[1] - z[0]) ** 2 == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("matrix", "df", "message"),
    [
        ([[1.0, 2.0], [2.0, 1.0]], 4.0, "positive definite"),
        ([[2.0, 0.0], [0.0, 1.0]], 4.0, "ones on its diagonal"),
        ([[1.0, 0.3], [0.2, 1.0]], 4.0, "symmetric"),
        ([[1.0, 0.0], [0.0, 1.0]], 0.0, "df 0"),
        ([[1.0, 0.0], [0.0, 1.0]], math.nan, "df nan"),
    ],
)
def test_bad_copula_is_refused(matrix, df, message) -> None:
    with pytest.raises(ValueError, match=message):
        StudentTCopula(matrix, df=df)


def test_bad_probabilities_are_refused() -> None:
    copula = StudentTCopula(RHO, df=4.0)
    for bad in (np.nan, -0.1, 1.5):
        with pytest.raises(ValueError, match="1 values of u are NaN or outside"):
            copula.log_prob([[bad, 0.5, 0.5]])
    assert np.isfinite(copula.log_prob([[0.0, 1.0, 0.5]])).all()
    with pytest.raises(ValueError, match="not positive definite"):
        student_t_log_copula(U, np.ones((3, 3)), df=4.0)
