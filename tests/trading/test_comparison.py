"""Strategies side by side: each column is the function of its name."""

import numpy as np
import pandas as pd
import pytest

from genfin_lib.trading import (
    backtest,
    compare_backtests,
    deflated_sharpe_ratio,
    probabilistic_sharpe_ratio,
    sharpe_interval,
)


@pytest.fixture
def tests():
    rng = np.random.default_rng(0)
    dates = pd.bdate_range("2020-01-01", periods=300)
    returns = pd.Series(0.0005 + 0.01 * rng.standard_normal(300), dates)
    options = {"periods_per_year": 252, "cost": 0.0005}
    return {
        "hold": backtest(returns * 0 + 1, returns, **options),
        "half": backtest(returns * 0 + 0.5, returns, **options),
        "noise": backtest(pd.Series(rng.standard_normal(300), dates), returns, **options),
    }


def test_columns_are_what_their_names_say(tests):
    table = compare_backtests(tests, benchmark="hold", seed=3, draws=200)
    for name, test in tests.items():
        row, x = table.loc[name], test.net_returns
        pd.testing.assert_series_equal(
            row[: len(test.metrics())], test.metrics(), check_names=False
        )
        options = {"periods_per_year": 252, "seed": 3, "draws": 200}
        assert (row["sharpe_low"], row["sharpe_high"]) == sharpe_interval(x, **options)
        assert row["psr"] == probabilistic_sharpe_ratio(x, periods_per_year=252)
        trials = table["sharpe"]
        assert row["dsr"] == deflated_sharpe_ratio(x, periods_per_year=252, trial_ratios=trials)
        if name != "hold":
            reference = tests["hold"].net_returns
            lead = sharpe_interval(x, benchmark=reference, **options)
            assert (row["lead_low"], row["lead_high"]) == lead
            assert row["lead"] == row["sharpe"] - table.loc["hold", "sharpe"]
            assert lead[0] < row["lead"] < lead[1]
    assert table.loc["hold", ["lead", "lead_low", "lead_high"]].isna().all()


def test_bad_input_is_refused(tests):
    with pytest.raises(ValueError, match="benchmark 'none' among"):
        compare_backtests(tests, benchmark="none", seed=0)
    with pytest.raises(ValueError, match="two or more"):
        compare_backtests({"hold": tests["hold"]}, benchmark="hold", seed=0)
    returns = tests["hold"].gross_returns.iloc[1:]
    other = backtest(returns * 0 + 1, returns, periods_per_year=252, cost=0)
    with pytest.raises(ValueError, match="'other' has other bars than 'hold'"):
        compare_backtests(tests | {"other": other}, benchmark="hold", seed=0)
