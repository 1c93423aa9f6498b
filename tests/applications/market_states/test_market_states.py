"""Evenings know their past and no more; rules, densities and tables follow from them."""

import math

import numpy as np
import pandas as pd
import pytest

from genfin_lib.applications import read_results
from genfin_lib.applications.market_states import (
    RULES,
    Evenings,
    density_models,
    held_out,
    history_study,
    state_backtests,
    walk_states,
)
from genfin_lib.applications.market_states import evenings as evenings_module
from genfin_lib.applications.market_states.densities import ALL, GAP, nll, standardized
from genfin_lib.applications.market_states.evenings import ALARM, TEMPERATURES, _ridge
from genfin_lib.applications.market_states.rules import CAP, COST, HOLD, YEAR, rules
from genfin_lib.data import chronological_split, load, market_state_features
from genfin_lib.distributions import MultivariateStudentT
from genfin_lib.trading import backtest
from tests.data.test_features import make_bars

FAST = {"draws": 200, "epochs": 1}


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    """Simulated, from 2020 to the summer of 2023."""
    return make_bars(900).rename(columns=str.capitalize)


@pytest.fixture(scope="module")
def evenings(bars) -> Evenings:
    return walk_states(bars, first=2023, **FAST)


def test_future_changes_no_past_evening(bars, evenings) -> None:
    cut = 850
    other = bars.copy()
    other.iloc[cut:] = 3 * make_bars(900, seed=1).iloc[cut:].to_numpy()
    last = bars.index[cut - 1]
    changed = walk_states(other, first=2023, **FAST)
    known = evenings.table[:last].drop(columns="next_return")
    pd.testing.assert_frame_equal(known, changed.table[:last].drop(columns="next_return"))
    assert not evenings.table.equals(changed.table)
    columns = ["date", "model", "level", "var", "es"]
    before, after = (e.forecasts[e.forecasts["date"] <= last] for e in (evenings, changed))
    pd.testing.assert_frame_equal(before[columns], after[columns])


def test_parts_of_the_past_are_purged_and_end_before_the_label_of_the_new_year(
    bars, monkeypatch
) -> None:
    seen = []

    def ridge(x, y, past):
        seen.append((y, past))
        return np.zeros(len(x))

    monkeypatch.setattr(evenings_module, "_ridge", ridge)
    monkeypatch.setattr(evenings_module, "train", lambda model, parts, **options: model.eval())
    monkeypatch.setattr(evenings_module, "_scenarios", lambda *parts, **options: pd.DataFrame())
    walk_states(bars, first=2023)
    y, (first, second) = seen[0]
    assert second.start - first.stop == GAP
    simple = bars["Close"].pct_change()
    labels = simple[simple.index.isin(market_state_features(bars).index)].iloc[1:]
    np.testing.assert_allclose(y[second][-1], labels[:"2022"].iloc[-1])


def test_an_evening_is_judged_by_the_next_day(bars, evenings) -> None:
    simple = bars["Close"].pct_change().shift(-1)
    found = evenings.table["next_return"]
    np.testing.assert_allclose(found, simple.reindex(found.index), rtol=1e-9)
    assert found.index[-1] == bars.index[-2]
    log = 100 * np.log(bars["Close"]).diff()
    rows = evenings.forecasts
    np.testing.assert_allclose(rows["realized"], log.reindex(rows["date"]), rtol=1e-9)
    assert (rows.groupby(["model", "level"]).size() == len(found)).all()


def test_thresholds_and_scenarios_are_in_order(evenings) -> None:
    table, rows = evenings.table, evenings.forecasts
    alarm = table["log_prob"] < table["threshold"]
    # Below the quantile of the validation days exactly if as few of them lie lower.
    assert (table.loc[alarm, "confidence"] <= ALARM).all()
    assert (table.loc[~alarm, "confidence"] >= ALARM * 0.9).all()
    assert (rows["es"] >= rows["var"]).all()
    var = rows[rows["level"] == 0.95].pivot(index="date", columns="model", values="var")
    means = [var[f"Glow, temperature {t:g}"].mean() for t in TEMPERATURES]
    assert means == sorted(means)  # hotter scenarios are wider


def test_too_short_a_past_is_refused(bars) -> None:
    with pytest.raises(ValueError, match="states before 2021: 500 or more"):
        walk_states(bars, first=2021, **FAST)


def test_ridge_finds_a_linear_law_and_shrinks_noise() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2000, 3))
    law = 0.5 + x @ np.array([1.0, -2.0, 0.0])
    past = slice(0, 1000), slice(1000, 1500)
    found = _ridge(x, law + 0.01 * rng.standard_normal(2000), past)
    assert np.corrcoef(found[1500:], law[1500:])[0, 1] > 0.9999
    noise = _ridge(x, rng.standard_normal(2000), past)
    assert noise[1500:].std() < 0.05


def test_rules_by_hand() -> None:
    days = pd.bdate_range("2020-01-01", periods=3, name="date")
    table = pd.DataFrame(
        {
            "log_prob": [-1.0, -9.0, -2.0],
            "threshold": -5.0,
            "confidence": [0.9, 0.01, 0.25],
            "latent": [1.0, 1.0, -1.0],
            "mean": [0.001, -0.001, -0.001],
            "wild": 0.0,
            "next_return": [0.01, -0.02, 0.03],
        },
        index=days,
    )
    var = -100 * np.log1p(-np.array([0.02, 0.06, 0.01]))
    forecasts = pd.DataFrame({"model": "Glow, temperature 1", "level": 0.975, "var": var})
    evenings = Evenings(table, forecasts)
    volatility = pd.Series(0.15 / np.sqrt(252), days)
    found = rules(evenings, volatility)
    sized = [1.0, 0.04 / 0.06, CAP]  # mean VaR so far over VaR: 0.03 / 0.01 = 3 is capped
    expected = {
        HOLD: [1, 1, 1],
        "volatility target": [1, 1, 1],
        "hold if the state is usual": [1, 0, 1],
        "direction": [1, -1, -1],
        "direction, usual states": [1, 0, -1],
        "direction, sized by VaR": [1, -sized[1], -CAP],
        "direction, usual states, confidence": [1, 0, -0.5],
        "direction, usual states, confidence, VaR": [1, 0, -0.5 * CAP],
        "first latent, usual states": [np.tanh(1.0), 0, -np.tanh(1.0)],
    }
    assert list(found) == list(RULES) == list(expected)
    np.testing.assert_allclose(found, pd.DataFrame(expected), rtol=1e-12)
    tests = state_backtests(evenings, volatility, cost=0.0)
    # The position of an evening earns the return of the next day.
    np.testing.assert_allclose(tests["direction"].net_returns, [0.01, 0.02])


def test_every_model_is_scored_on_the_same_later_states() -> None:
    states = market_state_features(make_bars(700))
    table = held_out(states, seeds=(0, 1), epochs=1)
    assert set(table["model"]) == {"Gaussian", "multivariate t", *density_models(15)}
    assert np.isfinite(table[["validation", "later"]].to_numpy()).all()
    later = table.pivot(index="model", columns="seed", values="later").dropna()
    assert len(later) == len(density_models(15))
    # Jensen: the mean of densities scores no worse than the densities do on average.
    assert (later[ALL] <= later[["0", "1"]].mean(axis=1) + 1e-5).all()


def test_history_study_judges_all_lengths_on_the_same_days() -> None:
    bars = make_bars(1500).rename(columns=str.capitalize)
    table = history_study(bars, years=(1, 2), seeds=(0,), end="2021-12-31", epochs=1)
    assert set(table["frequency"]) == {"daily"}  # too few weeks: left out, not faked
    assert table["rows"].is_monotonic_increasing


def test_results_are_what_the_code_gives_where_it_is_quick() -> None:
    """Two densities in closed steps, and a rule's whole backtest from the stored evenings."""
    for dataset, nll_table in read_results("states_nll").groupby("dataset"):
        x, _, later = standardized(
            chronological_split(market_state_features(load(dataset)), gap=GAP)
        )
        kept = nll_table.set_index("model")["later"]
        for name, df in (("Gaussian", math.inf), ("multivariate t", None)):
            model = MultivariateStudentT.fit(x, df=df)
            np.testing.assert_allclose(kept[name], nll([model], later), atol=0.05)
        evenings = read_results("states_evenings")
        evenings = evenings[evenings["dataset"] == dataset].set_index("date")
        usual = (evenings["log_prob"] >= evenings["threshold"]).astype(float)
        returns = evenings["next_return"].shift(1).fillna(0.0)
        found = backtest(usual, returns, periods_per_year=YEAR, cost=COST).metrics()
        trading = read_results("states_trading")
        row = trading[(trading["dataset"] == dataset) & (trading["rule"] == RULES[2])].iloc[0]
        for name in ("sharpe", "turnover", "maximum_drawdown"):
            np.testing.assert_allclose(found[name], row[name], rtol=2e-3)


@pytest.mark.slow
def test_a_slice_of_the_result_is_what_the_code_gives() -> None:
    kept = read_results("states_nll")
    kept = kept[(kept["dataset"] == "sp500_ohlcv") & (kept["seed"] == "0")]
    found = held_out(market_state_features(load("sp500_ohlcv")), seeds=(0,))
    found = found[found["seed"] == "0"]
    both = kept.merge(found, on=["model", "seed"], suffixes=("_kept", ""))
    assert len(both) == len(found)
    np.testing.assert_allclose(both["later"], both["later_kept"], atol=0.3)
