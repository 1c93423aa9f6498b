"""Laws of one innovation: the empirical one, and generalised Pareto tails."""

import numpy as np
import pytest
from scipy import stats

from genfin_lib.risk.innovations import Empirical, ParetoTails


def skewed(n: int = 1005) -> np.ndarray:
    """Losses twice as heavy as gains: the two tails must not be exchanged."""
    x = stats.t.rvs(4, size=n, random_state=0)
    return np.where(x < 0, 2 * x, x)


def test_empirical_quantile_is_the_inverse_of_its_distribution_function() -> None:
    law = Empirical(np.array([3.0, 1.0, 2.0, 2.0]))
    np.testing.assert_array_equal(
        law.quantile(np.array([0.1, 0.25, 0.26, 0.75, 0.76, 1.0])), [1, 1, 2, 2, 3, 3]
    )
    np.testing.assert_array_equal(law.cdf(np.array([0.5, 1, 2, 2.5, 3])), [0, 0.25, 0.75, 0.75, 1])


@pytest.mark.parametrize("df", [3.0, 6.0])
def test_pareto_tails_reach_where_the_sample_ends(df: float) -> None:
    x = stats.t.rvs(df, size=20_000, random_state=1)
    law = ParetoTails(x)
    for u in (1e-3, 1e-4):
        assert law.quantile(np.array([u]))[0] == pytest.approx(stats.t.ppf(u, df), rel=0.25)
        assert law.quantile(np.array([1 - u]))[0] == pytest.approx(-stats.t.ppf(u, df), rel=0.25)
    assert law.quantile(np.array([1e-6]))[0] < x.min()
    assert law.lower.shape == pytest.approx(1 / df, abs=0.15)


def test_pareto_tails_are_exact_on_quantiles_of_a_pareto_law() -> None:
    shape, scale, n = 0.25, 0.6, 2000
    excess = stats.genpareto.ppf((np.arange(n) + 0.5) / n, shape, scale=scale)
    x = np.concatenate([-1.0 - excess, np.linspace(-1, 1, 16_001), 1.0 + excess])
    law = ParetoTails(x)
    assert law.lower.shape == pytest.approx(shape, abs=0.01)
    # VaR and ES of McNeil and Frey's formulas with the true parameters.
    tail = 0.01 / law.share
    var = 1 + scale / shape * (tail**-shape - 1)
    assert -law.quantile(np.array([0.01]))[0] == pytest.approx(var, rel=0.01)
    es = (var + scale - shape) / (1 - shape)
    assert law.expected_shortfall(level=0.99) == pytest.approx(es, rel=0.01)


def test_pareto_law_is_one_law() -> None:
    law = ParetoTails(stats.t.rvs(4, size=1000, random_state=0))
    at = np.array([-law.lower.threshold, law.upper.threshold])
    below, above = law.cdf(at - 1e-9), law.cdf(at + 1e-9)
    np.testing.assert_allclose(below, above, atol=1.5e-3)
    # Across the end of the tail ES moves on without a jump.
    es = [law.expected_shortfall(level=1 - law.share + d) for d in (-1e-6, 1e-6)]
    assert es[0] == pytest.approx(es[1], rel=1e-4)


def test_tail_without_mean_has_infinite_shortfall() -> None:
    x = stats.genpareto.rvs(1.5, size=4000, random_state=0)
    assert ParetoTails(-x).expected_shortfall(level=0.99) == np.inf


def test_pareto_tails_need_a_tail() -> None:
    with pytest.raises(ValueError, match="10 values lie in a tail"):
        ParetoTails(np.arange(100.0))
    with pytest.raises(ValueError, match=r"share 0\.6"):
        ParetoTails(np.arange(1000.0), share=0.6)
    flat = np.concatenate([np.full(500, -1.0), np.arange(500.0)])
    with pytest.raises(ValueError, match="no excess to fit"):
        ParetoTails(flat, share=0.1)


def test_thresholds_and_excesses_are_those_of_the_definition() -> None:
    x = np.sort(skewed())
    law = ParetoTails(x, share=0.1)  # 100.5 values: 100 of them
    assert law.share == 100 / 1005
    assert law.lower.threshold == -x[100]
    assert law.upper.threshold == x[-101]
    for side, excess in ((law.lower, x[100] - x[:100]), (law.upper, x[-100:] - x[-101])):
        shape, _, scale = stats.genpareto.fit(excess, floc=0, scale=excess.mean())
        np.testing.assert_allclose(side[1:], (shape, scale), rtol=1e-2)


def test_number_in_the_tail_does_not_depend_on_rounding() -> None:
    x = np.random.default_rng(0).normal(size=1500)
    assert ParetoTails(x, share=0.29).share == 0.29  # 1500 * 0.29 is 434.99999999999994
    assert ParetoTails(x[:200]).share == 0.1  # 20 values are enough


def test_middle_is_the_empirical_distribution() -> None:
    x = np.sort(skewed())
    np.testing.assert_allclose(ParetoTails(x).cdf(x[150:850]), np.arange(151, 851) / 1005)


@pytest.mark.parametrize("level", [0.5, 0.8])
def test_shortfall_beyond_the_tail_counts_its_values_with_their_mean(level: float) -> None:
    x = np.sort(skewed(1000))
    law = ParetoTails(x)
    mass, (threshold, shape, scale) = round(1000 * (1 - level)), law.lower
    in_tail = 100 * (-threshold - scale / (1 - shape))
    expected = -(in_tail + x[100:mass].sum()) / mass
    assert law.expected_shortfall(level=level) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("share", [0.05, 0.25])
def test_law_has_no_step_back_where_the_tail_ends(share: float) -> None:
    law = ParetoTails(skewed(1000), share=share)
    around = np.array([share - 1e-9, 1 - (1 - share), share + 1e-9])
    assert (np.diff(law.quantile(around)) >= 0).all()
    assert law.cdf(law.quantile(np.array([1 - (1 - share)])))[0] >= share - 1e-9
    es = [law.expected_shortfall(level=1 - share + d) for d in (1e-9, 0, -1e-9)]
    np.testing.assert_allclose(es, es[0], rtol=1e-6)
