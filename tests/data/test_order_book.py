"""Books and trades: what is refused, and ccxt's unified structures read as they are."""

import numpy as np
import pandas as pd
import pytest

from genfin_lib.data import OrderBook, order_flow_imbalance, trades_from_ccxt
from genfin_lib.data.order_book import check_trades

# In the form of ccxt's unified order book and trades; the figures are made up.
SNAPSHOTS = [
    {
        "symbol": "BTC/USDT",
        "bids": [[64000.1, 1.5], [64000.0, 2.0], [63999.5, 0.3]],
        "asks": [[64000.2, 0.7], [64000.9, 4.0], [64001.0, 1.0]],
        "timestamp": 1700000000250,
        "datetime": "2023-11-14T22:13:20.250Z",
        "nonce": 11,
    },
    {
        "symbol": "BTC/USDT",
        "bids": [[64000.3, 0.4, 1700000001249], [64000.1, 1.1, 0], [63999.5, 0.3, 0]],
        "asks": [[64000.4, 0.9, 3], [64000.9, 4.0, 1], [64001.0, 1.0, 1]],
        "timestamp": 1700000001250,
        "datetime": None,
        "nonce": None,
    },
]
TRADES = [
    {
        "id": "b",
        "timestamp": 1700000000900,
        "datetime": "2023-11-14T22:13:20.900Z",
        "symbol": "BTC/USDT",
        "type": None,
        "side": "sell",
        "takerOrMaker": None,
        "price": 64000.1,
        "amount": 0.25,
        "cost": 16000.025,
        "fee": None,
    },
    {"id": "a", "timestamp": 1700000000500, "side": "buy", "price": 64000.2, "amount": 0.7},
]


def test_ccxt_order_books_become_one_book():
    book = OrderBook.from_ccxt(SNAPSHOTS, levels=2)
    np.testing.assert_allclose(book.time, [1700000000.25, 1700000001.25], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(book.bid_prices, [[64000.1, 64000.0], [64000.3, 64000.1]])
    np.testing.assert_array_equal(book.bid_sizes, [[1.5, 2.0], [0.4, 1.1]])
    np.testing.assert_array_equal(book.ask_prices, [[64000.2, 64000.9], [64000.4, 64000.9]])
    np.testing.assert_array_equal(book.ask_sizes, [[0.7, 4.0], [0.9, 4.0]])
    np.testing.assert_allclose(book.mid, [64000.15, 64000.35])
    np.testing.assert_allclose(book.spread, 0.1)
    # Both best prices rose: new bid size, and the asks that are gone.
    np.testing.assert_allclose(order_flow_imbalance(book), [[0.4 + 0.7]])


def test_ccxt_trades_become_a_frame_in_time_order():
    frame = trades_from_ccxt(TRADES)
    expected = {
        "time": [1700000000.5, 1700000000.9],
        "price": [64000.2, 64000.1],
        "size": [0.7, 0.25],
        "side": [1, -1],
    }
    pd.testing.assert_frame_equal(frame, pd.DataFrame(expected))


def test_ccxt_structures_with_holes_are_refused():
    with pytest.raises(ValueError, match="has 3 bids, 4 levels are needed"):
        OrderBook.from_ccxt(SNAPSHOTS, levels=4)
    with pytest.raises(ValueError, match="snapshot 1 has no timestamp"):
        OrderBook.from_ccxt([SNAPSHOTS[0], SNAPSHOTS[1] | {"timestamp": None}], levels=2)
    with pytest.raises(ValueError, match="0 snapshots"):
        OrderBook.from_ccxt([])
    with pytest.raises(ValueError, match="time must rise"):
        OrderBook.from_ccxt(SNAPSHOTS[::-1], levels=1)
    with pytest.raises(ValueError, match="trade 1 has side None"):
        trades_from_ccxt([TRADES[0], TRADES[1] | {"side": None}])
    with pytest.raises(ValueError, match="trade 0 has no timestamp"):
        trades_from_ccxt([TRADES[0] | {"timestamp": None}])
    with pytest.raises(ValueError, match="positive price"):
        trades_from_ccxt([TRADES[0] | {"amount": 0.0}])
    with pytest.raises(ValueError, match="at least one trade"):
        trades_from_ccxt([])


def book(**changes):
    fields = {
        "time": np.array([0.0, 1.0]),
        "bid_prices": np.array([[10.0, 9.0], [10.0, 9.0]]),
        "bid_sizes": np.array([[1.0, 0.0], [2.0, 3.0]]),
        "ask_prices": np.array([[11.0, 12.0], [11.0, 12.0]]),
        "ask_sizes": np.array([[1.0, 1.0], [2.0, 3.0]]),
    }
    return OrderBook(**fields | {name: np.array(value) for name, value in changes.items()})


def test_a_size_of_zero_below_the_best_is_allowed():
    assert len(book()) == 2
    assert book().levels == 2
    assert len(book().part(slice(1, None))) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time": [1.0, 1.0]}, "time must rise"),
        ({"time": [0.0, np.nan]}, "time holds NaN"),
        ({"time": [0.0]}, r"\(n,\) and \(n, levels\)"),
        ({"ask_sizes": [[1.0], [1.0]]}, "one shape"),
        ({"ask_sizes": [[1.0, -1.0], [2.0, 3.0]]}, "snapshot 0 at time 0: a negative size"),
        ({"bid_sizes": [[1.0, 1.0], [0.0, 3.0]]}, "snapshot 1 at time 1: nothing at a best"),
        ({"bid_prices": [[10.0, 9.0], [9.0, 10.0]]}, "snapshot 1 at time 1: levels out of order"),
        ({"ask_prices": [[11.0, 11.0], [11.0, 12.0]]}, "levels out of order"),
        ({"ask_prices": [[11.0, 12.0], [10.0, 12.0]]}, "snapshot 1 at time 1: a crossed book"),
    ],
)
def test_a_book_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        book(**changes)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("price", np.nan, "NaN"),
        ("size", -1.0, "positive"),
        ("side", 0, "a side of"),
        ("time", -1.0, "time order"),
    ],
)
def test_trades_that_cannot_be_are_refused(column, value, message):
    trades = pd.DataFrame({"time": [0.0, 1.0], "price": 5.0, "size": 1.0, "side": [1, -1]})
    check_trades(trades)
    trades.loc[1, column] = value
    with pytest.raises(ValueError, match=message):
        check_trades(trades)
    with pytest.raises(ValueError, match="the columns"):
        check_trades(trades.drop(columns="side"))
