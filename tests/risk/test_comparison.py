"""Comparisons of losses: against other libraries, size and power."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from arch.bootstrap import MCS
from scipy import stats

from genfin_lib.risk import (
    block_standard_error,
    diebold_mariano,
    fz0_loss,
    model_confidence_set,
    newey_west_standard_error,
    student_t_var_es,
)
from tests.risk.simulation import binomial_slack, changing_volatility, rejection_rate


def autoregression(rng: np.random.Generator, n: int, phi: float) -> np.ndarray:
    noise = rng.normal(size=n)
    series = np.empty(n)
    series[0] = noise[0] / np.sqrt(1 - phi**2)
    for t in range(1, n):
        series[t] = phi * series[t - 1] + noise[t]
    return series


@pytest.mark.parametrize("phi", [0.0, 0.7])
def test_error_is_that_of_the_mean_of_an_autoregression(phi: float) -> None:
    rng = np.random.default_rng(0)
    runs = [autoregression(rng, 2100, phi) for _ in range(400)]
    true = np.std([run.mean() for run in runs])
    estimated = np.sqrt(np.mean([block_standard_error(run) ** 2 for run in runs]))
    # Blocks cut the dependence across their ends: some 10 % are lost at phi = 0.7.
    assert estimated == pytest.approx(true, rel=0.15)


def test_independent_formula_is_far_too_small_under_dependence() -> None:
    run = autoregression(np.random.default_rng(1), 21_000, 0.7)
    assert block_standard_error(run) > 2 * run.std() / np.sqrt(run.size)


def test_blocks_of_one_day_give_the_usual_standard_error() -> None:
    values = np.random.default_rng(2).normal(size=500)
    assert block_standard_error(values, length=1) == pytest.approx(values.std(ddof=1) / 500**0.5)


@pytest.mark.parametrize(
    ("values", "message"),
    [(np.zeros(209), "210 or more"), (np.zeros((300, 2)), "one series"), ([np.nan] * 300, "NaN")],
)
def test_bad_series_are_refused(values, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        block_standard_error(values)


def test_newey_west_by_hand() -> None:
    """Two lags: weights 2/3 and 1/3 on the autocovariances."""
    x = np.random.default_rng(0).normal(size=50)
    d = x - x.mean()
    gamma = [(d[k:] * d[: 50 - k]).sum() / 50 for k in range(3)]
    expected = np.sqrt((gamma[0] + 2 * (2 / 3 * gamma[1] + 1 / 3 * gamma[2])) / 50)
    assert newey_west_standard_error(x, lags=2) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n", [100, 3000])
def test_newey_west_is_that_of_a_regression_on_a_constant(n: int) -> None:
    x = autoregression(np.random.default_rng(1), n, 0.5)
    lags = {100: 4, 3000: 8}[n]  # the automatic choice
    fit = sm.OLS(x, np.ones(n)).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
    assert newey_west_standard_error(x) == pytest.approx(fit.bse[0], rel=1e-9)


def test_newey_west_without_lags_is_the_usual_standard_error() -> None:
    x = np.random.default_rng(2).normal(size=400)
    assert newey_west_standard_error(x, lags=0) == pytest.approx(x.std() / 20)


def test_diebold_mariano_sign_and_symmetry() -> None:
    rng = np.random.default_rng(0)
    worse = rng.exponential(size=500)
    better = worse - 0.2 + 0.5 * rng.normal(size=500)
    result, mirrored = diebold_mariano(better, worse), diebold_mariano(worse, better)
    assert result.statistic < -2
    assert result.mean_difference == pytest.approx((better - worse).mean())
    assert result.statistic == pytest.approx(result.mean_difference / result.standard_error)
    assert result.p_value == pytest.approx(2 * stats.norm.cdf(result.statistic))
    assert mirrored.statistic == -result.statistic
    assert (result.lags, result.observations) == (5, 500)


def test_panel_is_averaged_over_the_series_of_a_day() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 300, 7))
    daily = diebold_mariano(a.mean(axis=1), b.mean(axis=1))
    assert diebold_mariano(a, b).statistic == pytest.approx(daily.statistic)
    assert diebold_mariano(a, b).observations == 300


def test_series_that_move_together_count_once() -> None:
    """Twenty copies of one series say no more than the series: stacking them would say so."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 300, 1))
    once = diebold_mariano(a, b)
    panel = diebold_mariano(np.tile(a, 20), np.tile(b, 20))
    assert panel.statistic == pytest.approx(once.statistic)
    stacked = diebold_mariano(np.repeat(a, 20), np.repeat(b, 20), lags=0)
    assert abs(stacked.statistic) > 3 * abs(once.statistic)


def dm_p_value(gain: float, phi: float = 0.3):
    """Losses that differ by an autoregression of variance one and a mean of `gain`."""

    def draw(rng: np.random.Generator) -> float:
        noise = autoregression(rng, 500, phi) * np.sqrt(1 - phi**2)
        losses = rng.exponential(size=500)
        return diebold_mariano(losses + noise + gain, losses).p_value

    return draw


def test_size_and_power_of_diebold_mariano() -> None:
    # 6.8 % in 8,000 runs: five lags do not quite see an autocorrelation of 0.3.
    rate = rejection_rate(dm_p_value(0.0), 1000)
    assert abs(rate - 0.068) < binomial_slack(0.068, 1000)
    assert rejection_rate(dm_p_value(0.2), 200) > 0.8


def forecast_losses(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """FZ0 of a right forecast, of one a fifth too small, and of one that ignores volatility."""
    x, scale = changing_volatility(rng, 1000)
    var, es = student_t_var_es(0.0, 1.0, df=5, level=0.975)
    mean = np.exp(0.2**2 / (2 * (1 - 0.95**2)))
    scales = {"right": scale, "small": 0.8 * scale, "constant": np.full(1000, mean)}
    return {name: fz0_loss(x, var * s, es * s, level=0.975) for name, s in scales.items()}


@pytest.mark.parametrize(("wrong", "least"), [("small", 0.25), ("constant", 0.9)])
def test_power_of_diebold_mariano_against_wrong_forecasts(wrong: str, least: float) -> None:
    def draw(rng: np.random.Generator) -> float:
        scores = forecast_losses(rng)
        result = diebold_mariano(scores["right"], scores[wrong])
        return result.p_value if result.statistic < 0 else 1.0

    assert rejection_rate(draw, 300) > least


def test_power_of_model_confidence_set_against_wrong_forecasts() -> None:
    rng, excluded = np.random.default_rng(0), []
    for _ in range(60):
        excluded += model_confidence_set(forecast_losses(rng), draws=200).excluded
    assert excluded.count("right") <= 60 * (0.1 + binomial_slack(0.1, 60))
    assert excluded.count("small") > 60 * 0.25
    assert excluded.count("constant") > 60 * 0.9


def test_long_dependence_is_more_than_the_automatic_lags_see() -> None:
    """What the docstring warns of."""
    rate = rejection_rate(dm_p_value(0.0, phi=0.8), 500)
    assert abs(rate - 0.184) < binomial_slack(0.184, 500)


@pytest.fixture
def losses() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = rng.exponential(size=(600, 1)) + 0.4 * rng.normal(size=(600, 4))
    return pd.DataFrame(table, columns=["a", "b", "c", "d"]) + np.array([0.0, 0.01, 0.1, 0.2])


def test_model_confidence_set_is_that_of_arch(losses) -> None:
    result = model_confidence_set(losses, confidence=0.9, block_length=10, draws=300, seed=3)
    other = MCS(losses, 0.1, reps=300, block_size=10, method="R", seed=3)
    other.compute()
    assert set(result.included) == set(other.included)
    assert set(result.excluded) == set(other.excluded)
    assert result.p_values == pytest.approx(other.pvalues["Pvalue"].to_dict())
    assert all((result.p_values[name] > 0.1) == (name in result.included) for name in losses)


def test_model_confidence_set_keeps_the_good_and_drops_the_bad(losses) -> None:
    result = model_confidence_set(losses)
    assert result.included[0] == losses.mean().idxmin()
    assert {"c", "d"} <= set(result.excluded)
    assert result.excluded[-1] == "d"
    assert result.block_length == 24
    assert result == model_confidence_set({name: losses[name].to_numpy() for name in losses})


def test_panel_confidence_set_is_that_of_daily_means(losses) -> None:
    rng = np.random.default_rng(1)
    panel = {name: losses[[name]].to_numpy() + rng.normal(size=(600, 5)) for name in losses}
    means = {name: values.mean(axis=1) for name, values in panel.items()}
    assert model_confidence_set(panel, draws=200) == model_confidence_set(means, draws=200)


def mcs_rejections(gain: float, runs: int, seed: int = 0) -> tuple[float, float]:
    """Share of runs in which a model is dropped, and in which the first, as good as any, is."""
    rng = np.random.default_rng(seed)
    any_dropped = first_dropped = 0
    for run in range(runs):
        table = rng.exponential(size=(250, 1)) + rng.normal(size=(250, 3)) + [0.0, 0.0, gain]
        result = model_confidence_set(
            dict(zip("abc", table.T, strict=True)), draws=200, block_length=5, seed=run
        )
        any_dropped += len(result.excluded) > 0
        first_dropped += "a" in result.excluded
    return any_dropped / runs, first_dropped / runs


def test_size_and_power_of_model_confidence_set() -> None:
    """Equal models: all stay in 90 % of runs. One worse by 0.4: out, and the best stays."""
    dropped, _ = mcs_rejections(0.0, 150)
    assert abs(dropped - 0.11) < binomial_slack(0.11, 150)
    dropped, best_dropped = mcs_rejections(0.4, 60)
    assert dropped > 0.9
    assert best_dropped <= 0.1 + binomial_slack(0.1, 60)


def test_bad_losses_are_refused(losses) -> None:
    x, y = losses["a"].to_numpy(), losses["b"].to_numpy()
    for call, message in (
        (lambda: diebold_mariano(x, y[:-1]), r"first of shape \(600,\) but second"),
        (lambda: diebold_mariano(x, x), "nothing to test"),
        (lambda: diebold_mariano(x, x + 0.1), "nothing to test"),
        (lambda: diebold_mariano(x[:19], y[:19]), "20 or more"),
        (lambda: diebold_mariano(x, np.full(600, np.nan)), "second hold 600 NaN"),
        (lambda: diebold_mariano(x, y, lags=600), "between 0 and 599"),
        (
            lambda: diebold_mariano(losses["a"], losses["b"].set_axis(range(1, 601))),
            "different dates",
        ),
        (lambda: model_confidence_set(losses, confidence=90), "confidence 90: must lie strictly"),
        (lambda: model_confidence_set(losses[["a"]]), "at least two"),
        (lambda: model_confidence_set({"a": x, "b": y, "c": x}), "same losses"),
        (lambda: model_confidence_set({"a": x, "b": y[:-1]}), r"a of shape \(600,\) but b"),
        (lambda: model_confidence_set({"a": x[:9], "b": y[:9]}), "20 or more"),
        (lambda: model_confidence_set(losses, block_length=0), "block_length 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
