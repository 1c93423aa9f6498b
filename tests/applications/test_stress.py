"""Weighted scenarios against exact answers, and the worst plausible case of a Gaussian."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from genfin_lib.applications.stress import (
    effective_sample_size,
    normalised_weights,
    plausible,
    stressed_draws,
    weighted_tail,
    worst_case,
)
from genfin_lib.distributions import StudentT
from genfin_lib.flows import Flow, real_nvp
from genfin_lib.flows.linear import Standardize
from genfin_lib.risk import expected_shortfall, gaussian_var_es, value_at_risk

SIGMA = np.array([[1.0, 0.6], [0.6, 2.0]])
W = np.array([0.5, 0.5])


def gaussian_flow(features: int = 2) -> Flow:
    """Independent normals with standard deviations 1, 2, ..., as a flow."""
    scale = torch.arange(1, features + 1, dtype=torch.float64)
    rows = torch.stack([-scale, scale])  # mean zero, these standard deviations
    return Flow(features, transforms=[Standardize.fit(rows)]).double()


def test_weights_are_densities_over_the_proposal() -> None:
    flow = gaussian_flow()
    drawn = stressed_draws(flow, 500, scale=1.7, shift=[-1.0, 0.5], seed=0)
    z = drawn.x / [1.0, 2.0]
    model = stats.norm.logpdf(z).sum(axis=1)
    proposal = stats.norm.logpdf(z, [-1.0, 0.5], 1.7).sum(axis=1)
    np.testing.assert_allclose(drawn.log_weights, model - proposal, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(drawn.log_prob, model - math.log(2), rtol=1e-9)


@pytest.mark.parametrize(("scale", "push"), [(1.6, 0.0), (1.0, -2.0)])
def test_weighted_tail_is_that_of_the_model_and_the_unweighted_is_not(
    scale: float, push: float
) -> None:
    flow = gaussian_flow()
    sd = math.sqrt(0.25 * (1 + 4))
    direction = np.array([0.5, 1.0]) / sd
    drawn = stressed_draws(flow, 100_000, scale=scale, shift=push * direction, seed=1)
    outcome = drawn.x @ W
    found = weighted_tail(outcome, drawn.weights, level=0.99)
    var, es = gaussian_var_es(0.0, sd, level=0.99)
    assert found.es == pytest.approx(es, abs=4 * found.es_se)
    assert found.es_se < 0.01 * es
    assert found.var == pytest.approx(var, rel=0.02)
    # The mean of the worst draws of the proposal is the shortfall of another law.
    assert expected_shortfall(outcome, level=0.99) > 1.3 * es


def test_standard_error_of_the_shortfall_is_its_spread() -> None:
    flow = gaussian_flow()
    tails = []
    for seed in range(200):
        drawn = stressed_draws(flow, 2000, shift=[-1.0, -1.0], seed=seed)
        tails.append(weighted_tail(drawn.x @ W, drawn.weights, level=0.99))
    spread = np.std([tail.es for tail in tails], ddof=1)
    assert np.mean([tail.es_se for tail in tails]) == pytest.approx(spread, rel=0.2)


def test_heavy_base_has_its_own_weights() -> None:
    flow = real_nvp(2, hidden=(8,), base=StudentT(2, df=4.0)).double()
    drawn = stressed_draws(flow, 50_000, scale=2.0, seed=3)
    # P(X < -8) of a t with 4 degrees of freedom, by draws of which most lie far out.
    probability = drawn.weights @ (drawn.x[:, 0] < -8)
    assert probability == pytest.approx(stats.t.cdf(-8, 4), rel=0.15)
    # The weights of the other law, N(0, I) over N(0, 4 I), are far off.
    wrong = normalised_weights(
        (stats.norm.logpdf(drawn.x) - stats.norm.logpdf(drawn.x, scale=2)).sum(axis=1)
    )
    assert wrong @ (drawn.x[:, 0] < -8) < 0.1 * stats.t.cdf(-8, 4)


def test_widening_loses_its_draws_with_the_dimension() -> None:
    sizes = []
    for features in (1, 5, 20):
        drawn = stressed_draws(gaussian_flow(features), 20_000, scale=1.5, seed=0)
        sizes.append(effective_sample_size(drawn.weights) / 20_000)
    # E[w]^2 / E[w^2] of N(0, 1) over N(0, s^2) is sqrt(2 s^2 - 1) / s^2 in each dimension.
    each = math.sqrt(2 * 1.5**2 - 1) / 1.5**2
    np.testing.assert_allclose(sizes[:2], [each, each**5], rtol=0.05)
    assert sizes[2] < 0.1


def test_equal_weights_are_the_plain_estimates() -> None:
    x = np.random.default_rng(0).standard_normal(1000)
    found = weighted_tail(x, np.ones(1000), level=0.975)
    assert found.var == pytest.approx(value_at_risk(x, level=0.975))
    assert found.es == pytest.approx(expected_shortfall(x, level=0.975))
    assert effective_sample_size(np.ones(1000)) == pytest.approx(1000)
    assert effective_sample_size([0.0, 2.0, 0.0]) == pytest.approx(1)


def test_weighted_tail_by_hand() -> None:
    # Losses 4 and 2 with weights 0.1 and 0.3: the worst 20 % are 4 by half and 2 by half.
    found = weighted_tail([-4.0, -2.0, 1.0], [0.1, 0.3, 0.6], level=0.8)
    assert found.var == 2
    assert found.es == pytest.approx(3)


def test_plausible_region_holds_its_share() -> None:
    flow = gaussian_flow(5)
    log_prob = stressed_draws(flow, 100_000, seed=0).log_prob
    threshold = plausible(log_prob, probability=0.99)
    # Of a Gaussian: -c is half the chi-squared quantile and the constant.
    constant = 2.5 * math.log(2 * math.pi) + math.lgamma(6)
    assert -threshold == pytest.approx(stats.chi2.ppf(0.99, 5) / 2 + constant, abs=0.05)


def test_worst_case_of_a_gaussian_is_known() -> None:
    law = torch.distributions.MultivariateNormal(torch.zeros(2).double(), torch.tensor(SIGMA))
    quantile = stats.chi2.ppf(0.99, 2)
    threshold = law.log_prob(torch.zeros(2).double()).item() - quantile / 2
    weights = torch.tensor(W)
    worst = worst_case(law.log_prob, lambda x: x @ weights, np.zeros(2), threshold=threshold)
    expected = -math.sqrt(quantile) * SIGMA @ W / math.sqrt(W @ SIGMA @ W)
    np.testing.assert_allclose(worst, expected, rtol=1e-4)
    with pytest.raises(ValueError, match="start from a plausible"):
        worst_case(law.log_prob, lambda x: x @ weights, [50.0, 0.0], threshold=threshold)


def test_bad_input_is_refused() -> None:
    flow = gaussian_flow()
    with pytest.raises(ValueError, match="scale 0"):
        stressed_draws(flow, 5, scale=0, seed=0)
    with pytest.raises(ValueError, match="shift of shape"):
        stressed_draws(flow, 5, shift=[1.0], seed=0)
    with pytest.raises(ValueError, match="not be negative"):
        effective_sample_size([-1.0, 2.0])
    with pytest.raises(ValueError, match="one weight for each"):
        weighted_tail([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="1 NaN"):
        normalised_weights([np.nan, 1.0])
    with pytest.raises(ValueError, match="probability 99"):
        plausible([1.0, 2.0], probability=99)
