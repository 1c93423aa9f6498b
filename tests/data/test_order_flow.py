"""Every feature against an example worked out by hand, and none knows the future."""

import numpy as np
import pandas as pd
import pytest

from genfin_lib.data import (
    OrderBook,
    depth_imbalance,
    interval_volumes,
    kyle_lambda,
    order_flow_features,
    order_flow_imbalance,
    simulate_order_book,
    vpin,
    vwap_deviation,
)

# Four snapshots, two levels. Bid up, ask up; then bid down, ask stays; then only sizes change.
BOOK = OrderBook(
    time=np.array([0.0, 1.0, 2.0, 3.0]),
    bid_prices=np.array([[99.0, 98.0], [100.0, 99.0], [99.0, 98.0], [99.0, 98.0]]),
    bid_sizes=np.array([[5.0, 2.0], [3.0, 6.0], [4.0, 1.0], [9.0, 1.0]]),
    ask_prices=np.array([[101.0, 102.0], [102.0, 103.0], [102.0, 103.0], [102.0, 103.0]]),
    ask_sizes=np.array([[7.0, 3.0], [2.0, 8.0], [6.0, 8.0], [1.0, 4.0]]),
)
TRADES = pd.DataFrame(
    {
        "time": [0.0, 0.5, 1.0, 1.5, 2.5, 3.5],
        "price": [99.0, 101.0, 101.0, 100.0, 102.0, 102.0],
        "size": [10.0, 2.0, 1.0, 4.0, 3.0, 10.0],
        "side": [-1, 1, 1, -1, 1, 1],
    }
)


def test_order_flow_imbalance_by_hand():
    # Best: 1. bid rose: +3; ask rose: +7. 2. bid fell: -3; ask stayed, 2 to 6: -4.
    # 3. bid 4 to 9: +5; ask 6 to 1: +5.
    first = [10.0, -7.0, 10.0]
    # Second level: 1. +6, +3. 2. -6; 8 to 8: 0. 3. 1 to 1: 0; 8 to 4: +4.
    second = [9.0, -6.0, 4.0]
    np.testing.assert_array_equal(order_flow_imbalance(BOOK), np.array([first]).T)
    both = order_flow_imbalance(BOOK, levels=2)
    np.testing.assert_array_equal(both, np.array([first, second]).T)


def test_order_flow_imbalance_of_single_events_is_their_signed_size():
    """Cont, Kukanov and Stoikov's table: each kind of event has its size and sign."""
    size = [[10.0, 10.0], [15.0, 10.0], [15.0, 4.0], [12.0, 4.0], [12.0, 9.0]]
    # limit bid 5; buy of 6 or cancelled asks; sell of 3; limit ask 5
    bid, ask = np.array(size)[:, :1], np.array(size)[:, 1:]
    book = OrderBook(np.arange(5.0), np.full((5, 1), 9.0), bid, np.full((5, 1), 10.0), ask)
    np.testing.assert_array_equal(order_flow_imbalance(book)[:, 0], [5, 6, -3, -5])


def test_depth_imbalance_by_hand():
    np.testing.assert_allclose(depth_imbalance(BOOK), [-2 / 12, 1 / 5, -2 / 10, 8 / 10])
    np.testing.assert_allclose(depth_imbalance(BOOK, levels=2)[:2], [-3 / 17, -1 / 19])


def test_interval_volumes_by_hand():
    # A trade at the time of a snapshot belongs to the interval it ends; outside counts nowhere.
    sums = interval_volumes(BOOK, TRADES)
    np.testing.assert_array_equal(sums.index, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(sums["volume"], [3, 4, 3])
    np.testing.assert_array_equal(sums["signed_volume"], [3, -4, 3])
    np.testing.assert_array_equal(sums["value"], [303, 400, 306])


def test_vwap_deviation_by_hand():
    found = vwap_deviation(BOOK, TRADES, window=2)
    # 303 + 400 over 7, mid 100.5; then 400 + 306 over 7, mid 100.5.
    expected = [np.log(100.5 / (703 / 7)), np.log(100.5 / (706 / 7))]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_array_equal(found.index, [2.0, 3.0])


def test_vpin_by_hand():
    trades = pd.DataFrame(
        {
            "time": [1.0, 2.0, 3.0, 4.0],
            "price": 100.0,
            "size": [3.0, 4.0, 5.0, 1.0],
            "side": [1, -1, 1, 1],
        }
    )
    # V = 4: bought 3, sold 1 | sold 3, bought 1 | bought 4 | one left over. Lopsided by 2, 2, 4.
    found = vpin(trades, bucket=4.0, window=2)
    np.testing.assert_allclose(found, [(2 + 2) / 8, (2 + 4) / 8])
    np.testing.assert_array_equal(found.index, [3.0, 3.0])
    np.testing.assert_array_equal(vpin(trades, bucket=4.0, window=1).index, [2.0, 3.0, 3.0])


def test_a_trade_larger_than_many_buckets_fills_them_all_alike():
    trades = pd.DataFrame({"time": [1.0], "price": 1.0, "size": [0.3], "side": [-1]})
    found = vpin(trades, bucket=0.1, window=1)  # 0.3 / 0.1 rounds to less than 3
    np.testing.assert_allclose(found, [1, 1, 1])


def test_vpin_of_independent_sides_is_that_of_coin_tosses():
    rng = np.random.default_rng(0)
    n = 40_000
    trades = pd.DataFrame(
        {"time": np.arange(n), "price": 1.0, "size": 1.0, "side": rng.choice([-1, 1], n)}
    )
    # E|sum of 4 tosses| = 4 * 2/16 + 2 * 8/16 + 0 * 6/16 = 1.5, of V = 4.
    found = vpin(trades, bucket=4.0, window=n // 4).iloc[-1]
    assert found == pytest.approx(1.5 / 4, abs=4 * 0.33 / np.sqrt(n / 4))


def test_kyle_lambda_by_hand():
    # Rows 0-2: y = -1, 0, 1, dp = 0, 1, 4: slope 2. Rows 1-3: y = 0, 1, 5, mean 2; dp = 1, 4, 4.
    found = kyle_lambda([0.0, 1.0, 4.0, 4.0], [-1.0, 0.0, 1.0, 5.0], window=3)
    slope = (-2 * 1 - 1 * 4 + 3 * 4) / (4 + 1 + 9)
    np.testing.assert_allclose(found, [2.0, slope], rtol=1e-12)


def test_features_are_the_single_functions_in_one_frame():
    sample = simulate_order_book(300, seed=1)
    frame = order_flow_features(
        sample.book, sample.trades, bucket=40.0, levels=2, window=25, buckets=4
    )
    rows = np.searchsorted(sample.book.time, frame.index)
    np.testing.assert_array_equal(frame["mid"], sample.book.mid[rows])
    np.testing.assert_array_equal(frame["spread"], sample.book.spread[rows])
    np.testing.assert_array_equal(
        frame["depth_imbalance"], depth_imbalance(sample.book, levels=2)[rows]
    )
    flow = order_flow_imbalance(sample.book, levels=2)[rows - 1]
    np.testing.assert_array_equal(frame[["ofi1", "ofi2"]], flow)
    sums = interval_volumes(sample.book, sample.trades)
    np.testing.assert_array_equal(frame["signed_volume"], sums["signed_volume"][frame.index])
    deviation = vwap_deviation(sample.book, sample.trades, window=25)
    np.testing.assert_array_equal(frame["vwap_deviation"], deviation[frame.index])
    slopes = kyle_lambda(np.diff(sample.book.mid), sums["signed_volume"], window=25)
    np.testing.assert_array_equal(frame["kyle_lambda"], slopes[rows - 25])
    filled = vpin(sample.trades, bucket=40.0, window=4)
    expected = [filled[filled.index <= t].iloc[-1] for t in frame.index]
    np.testing.assert_array_equal(frame["vpin"], expected)
    assert len(frame) > 200
    assert np.isfinite(frame.to_numpy()).all()


@pytest.mark.parametrize("seed", range(3))
def test_corrupting_the_future_changes_no_past_feature(seed):
    sample = simulate_order_book(400, seed=seed)
    book, trades, rng = sample.book, sample.trades, np.random.default_rng(seed)
    options = {"bucket": 40.0, "levels": 3, "buckets": 5}
    before = order_flow_features(book, trades, **options)
    cut = int(rng.integers(200, 390))
    bids, asks = book.bid_sizes.copy(), book.ask_sizes.copy()
    bids[cut:], asks[cut:] = (rng.integers(1, 500, (400 - cut, 5)) for _ in range(2))
    up = np.where(np.arange(400) >= cut, 50.0, 0.0)[:, None]
    other = OrderBook(book.time, book.bid_prices + up, bids, book.ask_prices + up, asks)
    later = trades["time"] > book.time[cut - 1]
    wrong = trades.copy()
    wrong.loc[later, "size"] *= 7
    wrong.loc[later, "price"] += 50
    wrong.loc[later, "side"] *= -1
    after = order_flow_features(other, wrong, **options)
    known = before.index < book.time[cut]
    pd.testing.assert_frame_equal(before[known], after[known], rtol=0, atol=0)
    changed = (before[~known] != after.loc[before.index[~known]]).any()
    assert changed.drop("spread").all()  # each feature hears of its own corruption


def test_pressure_moves_the_price_and_the_finer_snapshots_see_more_of_it():
    """Over ten seconds, as in Cont, Kukanov and Stoikov; rare snapshots lose the pressure."""
    sample = simulate_order_book(6001, seed=3, interval=0.1)
    change = np.diff(sample.book.mid[::100])
    volumes = interval_volumes(sample.book, sample.trades)["signed_volume"].to_numpy()
    assert kyle_lambda(change, volumes.reshape(60, 100).sum(axis=1), window=60)[0] > 0
    fine = order_flow_imbalance(sample.book)[:, 0].reshape(60, 100).sum(axis=1)
    coarse = order_flow_imbalance(sample.book.part(slice(None, None, 100)))[:, 0]
    squares = [np.corrcoef(flow, change)[0, 1] ** 2 for flow in (coarse, fine)]
    assert squares[0] < 0.5 < squares[1]


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="levels 3: the book has 2"):
        order_flow_imbalance(BOOK, levels=3)
    with pytest.raises(ValueError, match="two or more"):
        order_flow_imbalance(BOOK.part(slice(0, 1)))
    with pytest.raises(ValueError, match="two or more"):
        interval_volumes(BOOK.part(slice(0, 1)), TRADES)
    with pytest.raises(ValueError, match="no trade in the 1 intervals before 2"):
        vwap_deviation(BOOK, TRADES[TRADES["time"] != 1.5], window=1)
    with pytest.raises(ValueError, match="window 4"):
        vwap_deviation(BOOK, TRADES, window=4)
    with pytest.raises(ValueError, match="bucket 0"):
        vpin(TRADES, bucket=0.0)
    with pytest.raises(ValueError, match="fills 3 buckets of 10, 50 needed"):
        vpin(TRADES, bucket=10.0)
    with pytest.raises(ValueError, match="constant in rows 0 to 2"):
        kyle_lambda([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], window=3)
    with pytest.raises(ValueError, match="NaN"):
        kyle_lambda([1.0, np.nan, 3.0], [1.0, 2.0, 1.0], window=3)
    with pytest.raises(ValueError, match="window 2"):
        kyle_lambda([1.0, 2.0, 3.0], [1.0, 2.0, 1.0], window=2)
    with pytest.raises(ValueError, match="before the warm-up of 3 intervals and 3"):
        order_flow_features(BOOK, TRADES, bucket=10.0, window=3, buckets=3)
