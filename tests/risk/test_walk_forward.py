"""The walk-forward: what each day sees, when models are refitted, that workers do not matter."""

from typing import Self

import numpy as np
import pandas as pd
import pytest
from arch.univariate import Normal
from scipy import stats

from genfin_lib.risk import (
    Ewma,
    Garch,
    Gaussian,
    LocationScale,
    pit_uniformity,
    walk_forward,
)
from genfin_lib.risk.innovations import Parametric
from tests.cluster import dask_cluster
from tests.contracts.forecasters import market


class Diary:
    """Forecasts the number of rows seen, and the number of rows seen when it was fitted."""

    def __init__(self) -> None:
        self.fitted_on = 0.0

    def fit(self, history: pd.DataFrame) -> Self:
        # The last day seen, counted from the first of the frame in the test.
        self.fitted_on = history.iloc[-1, 0]
        return self

    def forecast(self, history: pd.DataFrame) -> LocationScale:
        normal = Parametric(Normal(), np.empty(0))
        location = np.array([self.fitted_on, len(history)])
        return LocationScale(location, np.array([1e-3, 1e-3]), [normal, normal])


def numbered(days: int = 30) -> pd.DataFrame:
    day = np.arange(float(days))
    return pd.DataFrame({"a": day, "b": day}, index=pd.bdate_range("2020-01-01", periods=days))


def located(table: pd.DataFrame, series: str) -> list[int]:
    rows = table[(table["series"] == series) & (table["level"] == 0.95)]
    return [round(-x) for x in rows["var"]]


def test_refits_follow_the_schedule_and_see_yesterday_last() -> None:
    returns = numbered()
    table = walk_forward(Diary(), returns, start=returns.index[10], refit_every=8)
    assert located(table, "a") == [9] * 8 + [17] * 8 + [25] * 4


class FitRows(Diary):
    """Forecasts the number of rows that it was fitted on."""

    def fit(self, history: pd.DataFrame) -> Self:
        self.fitted_on = float(len(history))
        return self


def test_fit_sees_the_window_too() -> None:
    returns = numbered()
    run = {"start": returns.index[10], "refit_every": 8}
    assert located(walk_forward(FitRows(), returns, window=4, **run), "a") == [4] * 20
    grown = [10] * 8 + [18] * 8 + [26] * 4
    assert located(walk_forward(FitRows(), returns, **run), "a") == grown


@pytest.mark.parametrize("window", [4, None])
def test_window_is_the_rows_seen(window: int | None) -> None:
    returns = numbered()
    table = walk_forward(Diary(), returns, start=returns.index[10], refit_every=8, window=window)
    seen = located(table, "b")
    assert seen == ([4] * 20 if window else list(range(10, 30)))


def test_table_holds_what_it_says() -> None:
    returns = market(420)
    table = walk_forward(Ewma(), returns, start=returns.index[400], levels=(0.95, 0.99))
    assert list(table) == [
        *("date", "series", "model", "level"),
        *("var", "es", "log_score", "pit", "realized"),
    ]
    assert len(table) == 20 * 2 * 2
    assert set(table["model"]) == {"Ewma"}
    row = table[(table["date"] == returns.index[405]) & (table["series"] == "series 1")]
    law = Ewma().forecast(returns.iloc[:405])
    came = returns.iloc[405].to_numpy()
    assert row["realized"].tolist() == [came[1]] * 2
    assert row["log_score"].tolist() == [law.log_prob(came)[1]] * 2
    assert row["pit"].tolist() == [law.cdf(came)[1]] * 2
    np.testing.assert_allclose(row["var"], [-law.quantile(0.05)[1], -law.quantile(0.01)[1]])
    np.testing.assert_allclose(
        row["es"], [law.expected_shortfall(level=level)[1] for level in (0.95, 0.99)]
    )


def test_parameters_stand_still_between_refits() -> None:
    returns = market(420)
    start = returns.index[400]
    once = walk_forward(Garch(), returns, start=start, window=400, refit_every=20)
    model = Garch().fit(returns.iloc[:400])
    by_hand = [
        -model.forecast(returns.iloc[t - 400 : t]).quantile(0.01)[0] for t in range(400, 420)
    ]
    mine = once[(once["series"] == "series 0") & (once["level"] == 0.99)]["var"]
    np.testing.assert_allclose(mine, by_hand, rtol=1e-12)


def test_workers_do_not_change_the_table() -> None:
    returns = market(440)
    run = {"start": returns.index[400], "window": 300, "refit_every": 11}
    alone = walk_forward(Garch(), returns, **run)
    pd.testing.assert_frame_equal(alone, walk_forward(Garch(), returns, n_jobs=2, **run))


def test_runs_unchanged_on_a_dask_cluster() -> None:
    returns = market(440)
    run = {"start": returns.index[400], "window": 300, "refit_every": 11}
    alone = walk_forward(Garch(), returns, **run)
    with dask_cluster(threads=2):
        pd.testing.assert_frame_equal(alone, walk_forward(Garch(), returns, **run))


def test_forecaster_given_is_left_as_it_was() -> None:
    returns, model = market(420), Garch()
    walk_forward(model, returns, start=returns.index[400])
    assert model.parameters.empty


def test_right_model_has_uniform_pit_and_right_hit_rate() -> None:
    # Independent normal returns and the model that knows nothing but a window: 4,000 forecasts.
    rng = np.random.default_rng(0)
    dates = pd.bdate_range("2010-01-01", periods=2500)
    returns = pd.DataFrame(rng.normal(size=(2500, 2)), index=dates)
    table = walk_forward(Gaussian(), returns, start=dates[500], window=500)
    for level in (0.99, 0.95):
        hits = table[table["level"] == level].eval("realized < -var")
        assert hits.mean() == pytest.approx(1 - level, abs=4 * np.sqrt(level * (1 - level) / 4000))
    one = table[(table["level"] == 0.99) & (table["series"] == 0)]
    assert pit_uniformity(one["pit"]).p_value > 0.01
    assert one["log_score"].mean() == pytest.approx(
        stats.norm().expect(stats.norm.logpdf), abs=0.05
    )


def test_wrong_requests_are_refused() -> None:
    returns = numbered()
    cases = {
        "in order of time": {"returns": returns.iloc[::-1]},
        "no return on or after": {"start": "2030-01-01"},
        "3 returns before": {"start": returns.index[3], "window": 5},
        "0 returns before": {"start": "1990-01-01"},
        "refit_every 0": {"refit_every": 0},
        "window 0": {"window": 0},
        "a day is there twice": {"returns": returns.iloc[[0, *range(30)]]},
        "a series is there twice": {"returns": returns[["a", "a"]]},
        "each once": {"levels": (0.99, 0.99)},
        "one or more": {"levels": ()},
        "to_frame": {"returns": returns["a"]},
        "a DataFrame with dates": {"returns": returns.reset_index(drop=True)},
        "level 99": {"levels": (99,)},
        "1 NaN": {"returns": returns.mask(returns == 12).fillna({"a": 1.0})},
    }
    for message, change in cases.items():
        arguments = {"returns": returns, "start": returns.index[10], **change}
        with pytest.raises(ValueError, match=message):
            walk_forward(Diary(), arguments.pop("returns"), **arguments)
