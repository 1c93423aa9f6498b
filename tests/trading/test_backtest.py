"""Backtests: by hand, blind to the future, and with costs that add up."""

import numpy as np
import pandas as pd
import pytest

from genfin_lib.trading import backtest, performance_metrics, turnover

DATES = pd.date_range("2020-01-01", periods=5)


def series(*values: float) -> pd.Series:
    return pd.Series(values, DATES, dtype=float)


@pytest.fixture
def market():
    """Returns and positions of three assets, without any relation."""
    rng = np.random.default_rng(0)
    dates = pd.bdate_range("2020-01-01", periods=300)
    returns = pd.DataFrame(0.02 * rng.standard_normal((300, 3)), dates, list("abc"))
    positions = pd.DataFrame(rng.uniform(-0.6, 0.6, (300, 3)), dates, list("abc"))
    return positions, returns


def test_by_hand():
    """Decided at the closes 0.5, 1, -1, 0, (1): held in the bar after each."""
    returns = series(0.3, 0.10, -0.20, 0.05, 0.40)
    test = backtest(series(0.5, 1, -1, 0, 1), returns, periods_per_year=4, cost=0.01)
    assert list(test.positions) == [0.5, 1, -1, 0]
    assert list(test.positions.index) == list(DATES[1:])
    np.testing.assert_allclose(test.gross_returns, [0.05, -0.20, -0.05, 0.0], atol=1e-15)
    # Half invested, up 10 %: 0.55 of 1.05. Short before the last bar: -1.05 of 0.95.
    traded = [0.5, 1 - 0.55 / 1.05, 2.0, 1.05 / 0.95]
    np.testing.assert_allclose(test.turnover, traded)
    np.testing.assert_allclose(test.costs, 0.01 * np.array(traded))
    wealth = [0.995 * 1.05]
    for cost, gross in zip(0.01 * np.array(traded[1:]), [-0.20, -0.05, 0.0], strict=True):
        wealth.append(wealth[-1] * (1 - cost) * (1 + gross))
    np.testing.assert_allclose(test.equity, wealth)
    table = test.metrics()
    assert table["annual_return"] == pytest.approx(wealth[-1] - 1)  # four bars, one year
    assert table["turnover"] == pytest.approx(sum(traded))


def test_buying_and_holding_earns_the_market_and_trades_once():
    returns = series(0.3, 0.10, -0.20, 0.05, 0.40)
    test = backtest(series(1, 1, 1, 1, 1), returns, periods_per_year=252, cost=0.01)
    assert test.equity.iloc[-1] == pytest.approx(0.99 * 1.1 * 0.8 * 1.05 * 1.4)
    np.testing.assert_allclose(test.turnover, [1, 0, 0, 0], atol=1e-15)


def test_two_assets_by_hand():
    """Half and half; the first doubles, so a third of the second's share must be bought back."""
    dates = DATES[:3]
    weights = pd.DataFrame(0.5, dates, ["a", "b"])
    returns = pd.DataFrame([[9, 9], [1.0, 0.0], [0.0, 0.0]], dates, ["a", "b"])
    test = backtest(weights, returns, periods_per_year=252, cost=0.0)
    assert test.gross_returns.iloc[0] == pytest.approx(0.5)
    assert test.turnover.iloc[1] == pytest.approx(2 * (2 / 3 - 1 / 2))


@pytest.mark.parametrize("delay", [1, 2])
def test_the_future_changes_no_past_equity(market, delay):
    positions, returns = market
    before = backtest(positions, returns, periods_per_year=252, cost=0.001, delay=delay)
    changed_returns, changed_positions = returns.copy(), positions.copy()
    changed_returns.iloc[200:] = 0.5 - changed_returns.iloc[200:]
    changed_positions.iloc[200:] *= -1
    after = backtest(
        changed_positions, changed_returns, periods_per_year=252, cost=0.001, delay=delay
    )
    day = returns.index[199]
    pd.testing.assert_series_equal(before.equity[:day], after.equity[:day])
    assert (before.equity[day:].iloc[1:] != after.equity[day:].iloc[1:]).all()


def test_a_position_earns_no_bar_that_it_could_have_seen(market):
    """Positions that *are* the signs of their own bar would be a perfect oracle if undelayed."""
    _, returns = market
    oracle = np.sign(returns["a"])
    assert backtest(oracle, returns["a"], periods_per_year=252, cost=0).equity.iloc[-1] < 3
    prophet = oracle.shift(-1).fillna(0.0)  # knows tomorrow: the bar it does earn
    test = backtest(prophet, returns["a"], periods_per_year=252, cost=0)
    np.testing.assert_allclose(test.gross_returns, returns["a"].abs().iloc[1:])
    late = backtest(prophet.shift(-1).fillna(0.0), returns["a"], periods_per_year=252, cost=0)
    twice = backtest(
        prophet.shift(-1).fillna(0.0), returns["a"], periods_per_year=252, cost=0, delay=2
    )
    assert late.equity.iloc[-1] < 3
    np.testing.assert_allclose(twice.gross_returns, returns["a"].abs().iloc[2:])


def test_no_position_no_profit(market):
    positions, returns = market
    test = backtest(0 * positions, returns, periods_per_year=252, cost=0.01)
    assert (test.equity == 1).all()
    assert test.turnover.sum() == 0
    with pytest.raises(ValueError, match="do not vary"):
        test.metrics()


def test_costs_are_all_that_lies_between_gross_and_net(market):
    positions, returns = market
    free = backtest(positions, returns, periods_per_year=252, cost=0.0)
    paid = backtest(positions, returns, periods_per_year=252, cost=0.002)
    assert (free.net_returns - free.gross_returns).abs().max() < 1e-15
    np.testing.assert_allclose(paid.equity, free.equity * (1 - paid.costs).cumprod())
    np.testing.assert_allclose(paid.costs, 0.002 * paid.turnover)


def test_wealth_agrees_with_a_ledger_of_shares(market):
    """Count shares and cash as a broker would; the cost is charged on the trade's value."""
    positions, returns = market
    positions, returns, cost = positions.iloc[:50], returns.iloc[:50], 0.001
    prices = (1 + returns).cumprod().to_numpy()
    cash, shares = 1.0, np.zeros(3)
    for t in range(1, 50):
        capital = cash + shares @ prices[t - 1]
        old = shares * prices[t - 1] / capital
        capital *= 1 - cost * np.abs(positions.iloc[t - 1].to_numpy() - old).sum()
        shares = positions.iloc[t - 1].to_numpy() * capital / prices[t - 1]
        cash = capital - shares @ prices[t - 1]
    test = backtest(positions, returns, periods_per_year=252, cost=cost)
    assert test.equity.iloc[-1] == pytest.approx(cash + shares @ prices[-1], rel=1e-12)


def test_longs_pay_funding_and_shorts_receive_it():
    flat, rate = series(0, 0, 0, 0, 0), series(0.001, 0.001, 0.001, 0.001, 0.001)
    long, short = (
        backtest(series(*[w] * 5), flat, periods_per_year=365, cost=0, funding=rate)
        for w in (2, -1)
    )
    np.testing.assert_allclose(long.gross_returns, -0.002)
    np.testing.assert_allclose(short.gross_returns, 0.001)


def test_metrics_follow_from_the_net_returns(market):
    positions, returns = market
    test = backtest(positions, returns, periods_per_year=252, cost=0.001)
    expected = performance_metrics(test.net_returns, periods_per_year=252, risk_free=1e-4)
    pd.testing.assert_series_equal(
        test.metrics(risk_free=1e-4).drop("turnover"), expected.drop("turnover")
    )
    # Trades against drift are seen here, and not in positions alone.
    seen = turnover(test.positions, periods_per_year=252)
    assert test.metrics()["turnover"] == pytest.approx(seen, rel=0.02)
    assert test.metrics()["turnover"] != seen


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positions": series(1, 1, np.nan, 1, 1)}, "positions hold NaN or inf"),
        ({"returns": series(0, 0, np.inf, 0, 0)}, "returns hold NaN or inf"),
        ({"positions": series(1, 1, 1, 1, 1).iloc[1:]}, "other dates"),
        ({"positions": np.ones(5)}, "two series, or two frames"),
        ({"positions": pd.DataFrame(1.0, DATES, ["a"])}, "two series, or two frames"),
        ({"returns": series(0, 0, -1.5, 0, 0)}, "simple returns in decimals are above -1"),
        ({"positions": series(-1, -1, -1, -1, -1), "returns": series(0, 0, 1.2, 0, 0)}, "is lost"),
        ({"cost": 5}, r"0\.0005 is 5 bp"),
        ({"cost": 0.9}, "costs all of it"),
        ({"delay": 0}, "earns the next bar at best"),
        ({"delay": 5}, "nothing could be earned"),
        ({"periods_per_year": 0}, "periods_per_year must be above 0"),
    ],
)
def test_bad_input_is_refused(change, message):
    given = {
        "positions": series(1, -1, 1, -1, 1),
        "returns": series(0.0, 0.01, 0.02, 0.0, 0.01),
        "periods_per_year": 252,
        "cost": 0.0,
    }
    with pytest.raises(ValueError, match=message):
        backtest(**{**given, **change})


def test_unsorted_dates_and_other_assets_are_refused(market):
    positions, returns = market
    with pytest.raises(ValueError, match="out of order"):
        backtest(positions[::-1], returns[::-1], periods_per_year=252, cost=0)
    with pytest.raises(ValueError, match="differ"):
        backtest(positions[["b", "a", "c"]], returns, periods_per_year=252, cost=0)
