"""Returns of assets and of portfolios."""

import numpy as np
import pandas as pd
import pytest

from genfin_lib.data import load, log_returns, portfolio_returns, simple_returns


@pytest.fixture
def prices():
    dates = pd.DatetimeIndex(["2020-01-01", "2020-01-02", "2020-01-03"], name="date")
    return pd.DataFrame({"A": [100.0, 110.0, 55.0], "B": [1.0, 1.0, 2.0]}, index=dates)


def test_log_returns_add_up_over_time(prices):
    total = log_returns(prices).sum()
    np.testing.assert_allclose(total, np.log(prices.iloc[-1] / prices.iloc[0]), rtol=1e-14)


def test_simple_returns_are_exp_of_log_returns_minus_one(prices):
    pd.testing.assert_frame_equal(simple_returns(prices), np.expm1(log_returns(prices)))


def test_returns_keep_labels_and_lose_the_first_date(prices):
    series = log_returns(prices["A"])
    assert series.name == "A"
    assert list(series.index) == list(prices.index[1:])
    assert list(simple_returns(prices).columns) == ["A", "B"]


@pytest.mark.parametrize("returns", [log_returns, simple_returns])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.0, "1 of 6 values: not positive, first column 'B' on 2020-01-02"),
        (-1.0, "not positive, first column 'B' on 2020-01-02"),
        (np.nan, "NaN or infinite, first column 'B' on 2020-01-02"),
        (np.inf, "NaN or infinite, first column 'B' on 2020-01-02"),
    ],
)
def test_bad_price_is_named_by_column_and_date(prices, returns, value, message):
    prices.loc["2020-01-02", "B"] = value
    with pytest.raises(ValueError, match=message):
        returns(prices)


def test_bad_price_of_a_series_is_named(prices):
    with pytest.raises(ValueError, match="column 'A' on 2020-01-03"):
        log_returns(prices["A"].where(prices["A"] > 60))


def test_dates_must_be_sorted_and_unique(prices):
    with pytest.raises(ValueError, match=r"not in time order: call .sort_index"):
        log_returns(prices.iloc[::-1])
    with pytest.raises(ValueError, match="2020-01-01 00:00:00 occurs more than once"):
        log_returns(prices.iloc[[0, 0, 1]])


def test_one_price_or_a_bare_array_is_refused(prices):
    with pytest.raises(ValueError, match="at least two dates"):
        log_returns(prices.iloc[:1])
    with pytest.raises(ValueError, match="given ndarray"):
        log_returns(prices.to_numpy())


def test_portfolio_return_is_the_change_of_wealth(prices):
    # Half of 100 in each asset: 0.5 share of A, 50 of B, held for one day.
    wealth = 0.5 * 110.0 + 50.0 * 1.0
    first = portfolio_returns(log_returns(prices), np.array([0.5, 0.5])).iloc[0]
    assert first == pytest.approx(wealth / 100.0 - 1.0, abs=1e-15)


def test_weighted_log_returns_understate_a_long_portfolio():
    """The error X11 of the errata: by Jensen the wrong form is never higher."""
    x = log_returns(load("sp500_stocks"))
    weights = pd.Series(1.0 / x.shape[1], index=x.columns)
    right, wrong = portfolio_returns(x, weights), np.expm1(x @ weights)
    assert (right >= wrong).all()
    assert (right - wrong).max() > 0.005


def test_portfolio_weights_match_columns_by_name(prices):
    x = log_returns(prices)
    pd.testing.assert_series_equal(
        portfolio_returns(x, pd.Series({"B": 0.2, "A": 0.8})),
        portfolio_returns(x, np.array([0.8, 0.2])),
    )


def test_portfolio_of_samples_keeps_leading_axes():
    x = np.random.default_rng(0).normal(size=(5, 7, 2))
    w = np.array([0.3, 0.7])
    result = portfolio_returns(x, w)
    assert result.shape == (5, 7)
    np.testing.assert_allclose(result[2, 3], np.expm1(x[2, 3]) @ w)


def test_weights_that_do_not_fit_are_refused(prices):
    x = log_returns(prices)
    with pytest.raises(ValueError, match=r"shape \(3,\) given for 2 assets"):
        portfolio_returns(x, np.ones(3))
    with pytest.raises(ValueError, match=r"differ in \['B', 'C'\]"):
        portfolio_returns(x, pd.Series({"A": 0.5, "C": 0.5}))
    with pytest.raises(ValueError, match="weights: 1 of 2 values: NaN"):
        portfolio_returns(x, np.array([np.nan, 1.0]))
