"""Levels at work: the simulator's truth told level by level, anomalies, paths, hedges, stocks."""

import numpy as np
import pytest
import torch
from scipy import stats

from genfin_lib.applications.hierarchy import seeds
from genfin_lib.applications.hierarchy.horizons import hedged, score_paths
from genfin_lib.applications.hierarchy.market import (
    TRANSITION,
    Market,
    alarm_areas,
    alarm_scores,
    inject,
    rare_day_errors,
)
from genfin_lib.applications.hierarchy.panel import StockPanel
from genfin_lib.applications.hierarchy.series import TopTransition, next_windows, qlike
from genfin_lib.data import load
from genfin_lib.latent import HierarchicalVAE


@pytest.fixture(scope="module")
def market() -> Market:
    return Market.simulate(1500, 500, seed=0)


@pytest.fixture(scope="module")
def panel() -> StockPanel:
    return StockPanel(load("sp500_stocks"))


def test_transition_finds_the_law_that_made_the_series() -> None:
    rng = np.random.default_rng(0)
    move, noise = np.array([[0.8, 0.2], [0.0, 0.5]]), np.array([[0.5, 0.2], [0.2, 0.4]])
    z = [np.zeros(2)]
    for e in rng.multivariate_normal(np.zeros(2), noise, 40_000):
        z.append(np.array([1.0, -1.0]) + move @ z[-1] + e)
    z = np.array(z)
    law = TopTransition.fit(z[:-1], z[1:])
    np.testing.assert_allclose(law.slope[0], [1.0, -1.0], atol=0.05)
    np.testing.assert_allclose(law.slope[1:].T, move, atol=0.02)
    np.testing.assert_allclose(law.rest, noise, atol=0.02)
    drawn = law.draw(np.array([[3.0, -2.0]]), 100_000, seed=1)[0]
    np.testing.assert_allclose(drawn.mean(0), [1 + 0.8 * 3 - 0.2 * 2, -2.0], atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), law.rest, atol=0.02)


def test_transition_refuses_rows_that_do_not_pair() -> None:
    with pytest.raises(ValueError, match="a row a window"):
        TopTransition.fit(np.zeros((5, 2)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="more windows"):
        TopTransition.fit(np.zeros((3, 2)), np.zeros((3, 2)))


def test_next_windows_are_those_of_the_drawn_tops() -> None:
    """A transition that always leads to one place draws from the model with that top held."""
    torch.manual_seed(0)
    model = HierarchicalVAE(16, levels=((1, 2), (4, 1), (16, 1)), width=8)
    place = np.array([1.5, -0.5])
    law = TopTransition(np.vstack((place, np.zeros((3, 2)))), np.zeros((2, 2)))
    paths = next_windows(model, law, np.ones((4, 3)), draws=5, seed=3)
    top = torch.tensor(place).float()[None, :, None].repeat(20, 1, 1)
    expected = model.sample(20, given=[top], seed=3)
    assert torch.equal(paths.flatten(0, 1), expected)


def test_qlike_is_least_at_the_variance() -> None:
    realised = np.random.default_rng(0).chisquare(1, 100_000) * 2.0
    losses = {v: qlike(np.full_like(realised, v), realised).mean() for v in (1.8, 2.0, 2.2)}
    assert min(losses, key=losses.get) == 2.0
    with pytest.raises(ValueError, match="above zero"):
        qlike(np.array([0.0]), np.array([1.0]))


def test_scores_by_horizon_know_the_law_that_made_the_paths() -> None:
    rng = np.random.default_rng(0)
    came, paths = rng.standard_normal((2000, 4)), rng.standard_normal((2000, 400, 4))
    table = score_paths(paths, came, horizons=(1, 4), fall=2.0)
    assert table[["inside 1", "inside 4"]].mean().to_numpy() == pytest.approx(0.9, abs=0.03)
    # A normal law scores its own outcomes sigma / sqrt(pi) on average.
    assert table["crps 1"].mean() == pytest.approx(1 / np.sqrt(np.pi), rel=0.05)
    assert table["crps 4"].mean() == pytest.approx(2 / np.sqrt(np.pi), rel=0.05)
    p = stats.norm.cdf(-1.0)
    assert table["brier"].mean() == pytest.approx(p * (1 - p), rel=0.1)
    with pytest.raises(ValueError, match="do not lie"):
        score_paths(paths, came, horizons=(5,), fall=2.0)


def test_a_hedge_that_knows_the_variance_leaves_a_gaussian() -> None:
    rng = np.random.default_rng(0)
    truth = rng.choice([0.2, 3.0], 50_000)
    returns = rng.standard_normal(50_000) * np.sqrt(truth)
    forecasts = {"constant": np.ones(50_000), "truth": 7 * truth}
    table = hedged(returns, forecasts, truth)
    assert table.loc["constant", "left"] == pytest.approx(1.0)
    assert table.loc["truth", "left"] == pytest.approx(0.0, abs=1e-12)
    assert table.loc["truth", "kurtosis"] == pytest.approx(0.0, abs=0.1)
    assert table.loc["truth", "VaR"] == pytest.approx(stats.norm.isf(0.01), rel=0.02)
    mixture = 3 * (truth**2).mean() / truth.mean() ** 2 - 3
    assert table.loc["constant", "kurtosis"] == pytest.approx(mixture, rel=0.1)


def test_each_level_told_takes_away_what_it_moves(market) -> None:
    """All told, a window's sum is Gaussian with the variance of its volatilities."""
    rows = np.array([1600, 1900])
    law = market.told(rows, 20_000, seed=0)
    days = 8 * rows[:, None] + np.arange(8)
    sample = market.sample
    log_scale = sample.day_log_volatility[days][..., None] + sample.step_log_volatility[days]
    regime = sample.regimes[days[:, 0]]
    sigma = np.array([0.007, 0.020])[regime]
    std = sigma * np.sqrt((np.exp(2 * log_scale) * sample.profile**2).sum((1, 2))) / market.unit
    np.testing.assert_allclose(law["steps"].std(axis=1), std, rtol=0.03)
    assert np.abs(stats.kurtosis(law["steps"], axis=1)).max() < 0.15
    # The regime told alone: the variance of a window is that of its days.
    np.testing.assert_allclose(law["top"].var(axis=1), 8 * (sigma / market.unit) ** 2, rtol=0.05)
    assert (stats.kurtosis(law["top"], axis=1) > 0.15).all()


def test_exact_paths_come_in_regimes_of_their_odds(market) -> None:
    paths = market.exact_paths(400, seed=0)
    odds = market.odds[market.past : -1]
    assert paths.shape == (499, 400, 64)
    variance = odds @ market.variances
    np.testing.assert_allclose(np.mean(paths**2), variance.mean(), rtol=0.05)
    assert np.corrcoef((paths**2).mean((1, 2)), variance)[0, 1] > 0.97
    # Odds of the next window lie between the two rows of the chain.
    assert TRANSITION[:, 1].min() <= odds[:, 1].min() <= odds[:, 1].max() <= TRANSITION[:, 1].max()


def test_anomalies_are_of_the_size_they_are_said_to_be(market) -> None:
    x, wild = market.x[:400], market.wild[:400]
    odd = inject(x, wild, seed=0)
    ratio = (odd["regime"] / x)[:, 0, 0].numpy()
    np.testing.assert_allclose(ratio, np.where(wild, 1.8, 1.8 * 20 / 7), rtol=1e-5)
    changed = (odd["day"] != x).view(-1, 8, 8)
    assert (changed.all(2).sum(1) == 1).all()
    assert changed.sum() == 400 * 8
    moved = (odd["step"] - x)[:, :, 0].abs()
    np.testing.assert_allclose(moved.amax(1) / x.std(1)[:, 0], 6.0, rtol=1e-4)
    assert ((moved > 0).sum(1) == 1).all()


def test_a_score_that_sees_nothing_is_a_coin(market) -> None:
    torch.manual_seed(0)
    model = HierarchicalVAE(64, levels=((1, 2), (8, 1), (64, 1)), width=4)
    quiet = alarm_scores(model, market.x[:200], seed=0)
    wide = alarm_scores(model, 3 * market.x[:200], seed=0)
    areas = alarm_areas(quiet, {"none": quiet, "wide": wide})
    np.testing.assert_allclose(areas.loc["none"], 0.5)
    assert areas.loc["wide", "volatility"] > 0.7
    assert areas.loc["wide", "largest step"] == pytest.approx(0.5, abs=1e-3)


def test_draws_from_the_truth_make_a_better_guess_than_twenty_days() -> None:
    rng = np.random.default_rng(0)
    scale = rng.choice([1.0, 5.0], 4000, p=[0.9, 0.1])
    real = scale[:, None] * rng.standard_normal((4000, 8))
    drawn = scale[:, None] * rng.standard_normal((4000, 40)) * np.sqrt(8)
    rms = rare_day_errors(drawn, real, seed=0).pow(2).mean() ** 0.5
    assert rms["augmented"] < 0.6 * rms["empirical"]


def test_panel_windows_end_when_they_say(panel) -> None:
    assert (panel.ends[: panel.trained] < "2011").all()
    assert panel.ends[panel.trained].year == 2011
    x = panel.window_to("2008-11-20")
    rows = panel.returns[:"2008-11-20"].iloc[-32:]
    expected = 100 * np.log1p(np.expm1(rows).mean(axis=1))
    np.testing.assert_allclose(panel.portfolio(x)[0], expected, atol=2e-4)
    with pytest.raises(ValueError, match="no window ends"):
        panel.window_to("2031-01-01")
    with pytest.raises(ValueError, match="does not fit"):
        StockPanel(load("sp500_stocks"), last_trained="1980")


def test_forecasts_begin_the_day_after_their_evening(panel) -> None:
    """Paths that are the truth itself score nothing at any horizon."""
    rows = seeds.origins(panel)
    y = panel.portfolio(torch.tensor(panel.scaled.to_numpy()).float()).numpy()
    came = np.stack([y[row + 1 : row + 33] for row in rows])
    table = seeds.forecast_table({"truth": came[:, None].repeat(3, 1)}, panel)
    assert table[[f"crps {h}" for h in seeds.HORIZONS]].max(axis=None) < 1e-3
    assert table["date"].iloc[0] >= "2014"
