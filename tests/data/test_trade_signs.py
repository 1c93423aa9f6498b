"""Trades signed by three rules: worked examples, and the truth of the simulator."""

import numpy as np
import pytest

from genfin_lib.data import (
    OrderBook,
    lee_ready,
    quote_rule,
    quotes_before,
    simulate_order_book,
    tick_rule,
)


def test_tick_rule_by_hand():
    prices = [10.0, 10.0, 10.1, 10.1, 10.0, 10.0, 10.2]
    np.testing.assert_array_equal(tick_rule(prices), [0, 0, 1, 1, -1, -1, 1])


def test_quote_rule_and_lee_ready_by_hand():
    prices = [10.3, 10.1, 10.2, 10.2, 10.25]
    bid, ask = np.full(5, 10.1), np.full(5, 10.3)
    np.testing.assert_array_equal(quote_rule(prices, bid, ask), [1, -1, 0, 0, 1])
    # Trade 2 is at the mid after a rise; so is trade 3, unchanged.
    np.testing.assert_array_equal(lee_ready(prices, bid, ask), [1, -1, 1, 1, 1])
    # At the mid with no change of price before it: no rule decides.
    np.testing.assert_array_equal(lee_ready([10.2], [10.1], [10.3]), [0])


@pytest.mark.parametrize("price", [0.1 + 0.2, 64000.15, 1e-4])
def test_the_mid_is_the_mid_in_spite_of_rounding(price):
    assert quote_rule([price], [price * (1 - 1e-3)], [price * (1 + 1e-3)]) == [0]
    tick = 1e-5 * price
    assert quote_rule([price + tick / 2], [price - tick], [price + tick]) == [1]


def test_quotes_are_those_strictly_before_the_trade():
    one = np.ones((3, 1))
    book = OrderBook(np.array([0.0, 1.0, 2.0]), np.array([[1.0], [2.0], [3.0]]), one, 9 * one, one)
    np.testing.assert_array_equal(quotes_before(book, [0.5, 1.0, 1.5, 7.0])[0], [1, 1, 2, 3])
    np.testing.assert_array_equal(quotes_before(book, [1.5, 7.0], lag=1.0)[0], [1, 3])
    with pytest.raises(ValueError, match="2 times have no snapshot before"):
        quotes_before(book, [0.0, 0.9, 2.0], lag=1.0)
    with pytest.raises(ValueError, match="future"):
        quotes_before(book, [1.0], lag=-1.0)


def test_rules_against_the_true_side():
    """With the quotes in force the quote rule is never wrong; with older ones it errs more."""
    sample = simulate_order_book(3000, seed=0)
    trades = sample.trades[sample.trades["time"] > 11.0]
    side, price = trades["side"].to_numpy(), trades["price"]
    np.testing.assert_array_equal(quote_rule(price, trades["bid"], trades["ask"]), side)
    accuracy = [
        (lee_ready(price, *quotes_before(sample.book, trades["time"], lag=lag)) == side).mean()
        for lag in (0.0, 1.0, 5.0)
    ]
    assert 0.6 < accuracy[2] < accuracy[1] < accuracy[0] < 1
    assert 0.6 < (tick_rule(price) == side).mean() < accuracy[0]


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        tick_rule([1.0, np.nan])
    with pytest.raises(ValueError, match="one shape"):
        quote_rule([1.0, 2.0], [1.0], [2.0])
    with pytest.raises(ValueError, match="one shape"):
        tick_rule([])
    with pytest.raises(ValueError, match="trade 1: bid 3, ask 3"):
        lee_ready([2.0, 3.0], [1.0, 3.0], [2.0, 3.0])
