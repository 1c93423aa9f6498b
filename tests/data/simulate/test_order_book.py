"""The simulated book is a book, loses no lot, and has the laws it says."""

import numpy as np
import pytest
from scipy import stats

from genfin_lib.data import simulate_order_book
from genfin_lib.data.simulate.markov import stationary_law
from genfin_lib.data.simulate.matching import ASK, BID, MatchingEngine

CALM = {"multipliers": np.ones((1, 6)), "transition": [[1.0]]}


@pytest.fixture(scope="module")
def sample():
    return simulate_order_book(8000, seed=0)


def test_bid_is_below_ask_and_prices_are_whole_ticks(sample):
    book = sample.book
    ticks = np.round(book.spread / sample.tick)
    assert ticks.min() >= 1
    np.testing.assert_allclose(book.spread, ticks * sample.tick, rtol=1e-9)
    assert (book.bid_sizes[:, 0] >= 1).all()
    assert (book.ask_sizes[:, 0] >= 1).all()
    assert (sample.trades["bid"] < sample.trades["ask"]).all()


def test_no_lot_is_lost_or_made(sample):
    """Limit orders less cancellations less trades is the change in depth, on each side."""
    trades, n = sample.trades, len(sample.book)
    interval = np.searchsorted(sample.book.time, trades["time"])
    for side, taker in ((BID, -1), (ASK, 1)):
        taken = np.bincount(
            interval, weights=trades["size"] * (trades["side"] == taker), minlength=n
        )
        net = sample.counts[:, side] - sample.counts[:, 4 + side] - taken
        np.testing.assert_array_equal(np.diff(sample.depth[:, side]), net[1:])
    assert (sample.depth >= 1).all()
    assert (sample.book.bid_sizes.sum(axis=1) <= sample.depth[:, BID]).all()
    np.testing.assert_array_equal(np.unique(interval), np.unique(interval.clip(0, n - 1)))


def test_market_orders_trade_at_the_best_price_first(sample):
    trades = sample.trades
    first = ~trades["time"].duplicated()
    best = np.where(trades["side"] > 0, trades["ask"], trades["bid"])
    np.testing.assert_array_equal(trades["price"][first], best[first])
    behind = trades["side"] * (trades["price"] - best)
    assert (behind[~first] > 0.5 * sample.tick).all()
    assert sample.counts[:, 2:4].sum() == first.sum()


def test_one_queue_without_trades_is_poisson():
    """A price level that gets orders at rate 6 and loses each lot at 0.4 is M/M/infinity."""
    quiet = simulate_order_book(
        6000, seed=1, interval=4.0, limit_rates=[6.0, 2.0], cancel_rate=0.4, market_rate=0.0,
        levels=2, **CALM,
    )  # fmt: skip
    assert (quiet.book.bid == quiet.book.bid[0]).all()  # the queue is never empty: exp(-15)
    for sizes in (quiet.book.bid_sizes, quiet.book.ask_sizes):
        for level, mean in enumerate((15.0, 5.0)):
            # Lag-one correlation exp(-0.4 * 4) = 0.2: errors of independent draws, times 1.3.
            x = sizes[:, level]
            assert abs(x.mean() - mean) < 5.2 * np.sqrt(mean / len(x))
            edges = stats.poisson(mean).ppf([0.05, 0.2, 0.4, 0.6, 0.8, 0.95])
            found = [(x <= edge).mean() for edge in edges]
            np.testing.assert_allclose(found, stats.poisson(mean).cdf(edges), atol=0.02)
    lag = np.corrcoef(quiet.book.bid_sizes[1:, 0], quiet.book.bid_sizes[:-1, 0])[0, 1]
    assert lag == pytest.approx(np.exp(-1.6), abs=5 / np.sqrt(6000))


def test_market_orders_come_at_their_rate_and_size():
    """Deep balanced queues without effects: Poisson counts, geometric sizes."""
    plain = simulate_order_book(
        5000, seed=2, market_rate=0.5, market_size=2.0, imbalance_effect=0.0, spread_effect=0.0,
        limit_rates=[12.0, 6.0], **CALM,
    )  # fmt: skip
    for kind in (2, 3):
        counts = plain.counts[:, kind]
        assert counts.mean() == pytest.approx(0.5, abs=4 * np.sqrt(0.5 / 5000))
        assert counts.var() == pytest.approx(0.5, abs=0.05)
    sizes = plain.trades.groupby("time")["size"].sum()
    assert sizes.mean() == pytest.approx(2.0, abs=4 * np.sqrt(2.0 / len(sizes)))
    assert (sizes == 1).mean() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(len(sizes)))


def test_counts_less_compensators_are_a_martingale(sample):
    """If the intensities are the true ones, the differences are noise of known variance."""
    noise = sample.counts - sample.compensators
    z = noise.sum(axis=0) / np.sqrt(sample.compensators.sum(axis=0))
    assert (np.abs(z) < 4).all()
    # Nor does anything known before foretell them: regime, imbalance, spread.
    book = sample.book
    tilt = (book.bid_sizes - book.ask_sizes)[:-1, 0]
    for known in (tilt, book.spread[:-1], *(sample.regimes[1:] == r for r in range(4))):
        x = known - np.mean(known)
        z = (x @ noise[1:]) / np.sqrt(x**2 @ sample.compensators[1:])
        assert (np.abs(z) < 4).all()
    # The check can fail: without the effect of the imbalance on buyers it does.
    wrong = sample.counts[1:, 2] - sample.compensators[1:, 2].mean()
    x = tilt - tilt.mean()
    assert abs(x @ wrong) / np.sqrt(x**2 @ sample.compensators[1:, 2]) > 4


def test_filter_is_calibrated_and_never_below_the_prior(sample):
    filtered, truth = sample.filtered, sample.regimes
    np.testing.assert_allclose(filtered.sum(axis=1), 1, rtol=1e-12)
    for regime in range(4):
        p = filtered[:, regime]
        for low, high in ((0.05, 0.35), (0.35, 0.65), (0.65, 0.95)):
            inside = (p > low) & (p < high)
            error = np.sqrt((p * (1 - p))[inside].sum())
            assert abs(((truth == regime) - p)[inside].sum()) < 4.5 * error
    prior = stationary_law(np.array(SAMPLE_CHAIN))
    assert np.log(filtered[np.arange(len(truth)), truth]).mean() > np.log(prior[truth]).mean() + 0.5


SAMPLE_CHAIN = [
    [0.980, 0.007, 0.007, 0.006],
    [0.050, 0.940, 0.000, 0.010],
    [0.050, 0.000, 0.940, 0.010],
    [0.030, 0.005, 0.005, 0.960],
]


def test_regimes_do_what_their_names_say(sample):
    rows = [sample.regimes == r for r in range(4)]
    assert np.bincount(sample.regimes).min() > 200
    mid = np.diff(sample.book.mid, prepend=sample.book.mid[0])
    assert mid[rows[1]].mean() > 0 > mid[rows[2]].mean()
    spread, depth = sample.book.spread, sample.depth.sum(axis=1)
    assert spread[rows[3]].mean() > spread[rows[0]].mean()
    assert depth[rows[3]].mean() < 0.5 * depth[rows[0]].mean()


def test_same_seed_same_book_and_another_seed_another():
    one, two, other = (simulate_order_book(50, seed=s) for s in (7, 7, 8))
    for name in ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes"):
        np.testing.assert_array_equal(getattr(one.book, name), getattr(two.book, name))
    assert one.trades.equals(two.trades)
    assert not np.array_equal(one.book.bid_sizes, other.book.bid_sizes)
    longer = simulate_order_book(80, seed=7)
    np.testing.assert_array_equal(longer.book.bid_sizes[:50], one.book.bid_sizes)


def test_engine_by_hand():
    engine = MatchingEngine([2, 3])
    bid, ask = engine.best
    engine.add(BID, 1)  # joins the best bid
    assert engine.best == [bid, ask]
    assert engine.lots[bid] == 3
    assert engine.take(ASK, 4) == [(ask, 2), (ask + 1, 2)]
    assert engine.best == [bid, ask + 1]
    engine.add(BID, 1)  # one tick from the ask, inside the spread
    assert engine.best == [bid + 1, ask + 1]
    assert engine.take(ASK, 9) == []  # the last lot is never sold
    assert engine.total == [7, 1]
    engine.cancel(BID, 0.0)  # the first lot is the one at the best price
    assert engine.best == [bid, ask + 1]
    engine.cancel(BID, 0.999)
    assert engine.lots[bid - 1] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n must be a whole number"),
        ({"levels": 51}, "at most 50"),
        ({"limit_rates": [1.0, 0.0]}, "limit_rates must be finite and above 0"),
        ({"limit_rates": [[1.0]]}, "limit_rates"),
        ({"multipliers": np.ones((2, 6))}, "multipliers"),
        ({"multipliers": np.zeros((4, 6))}, "above 0"),
        ({"market_rate": -1.0}, "market_rate -1"),
        ({"market_rate": float("nan")}, "market_rate nan"),
        ({"market_size": 0.5}, "market_size 0.5"),
        ({"cancel_rate": 0.0}, "cancel_rate"),
        ({"imbalance_effect": np.nan}, "imbalance_effect must be finite"),
        ({"burn_in": -1}, "burn_in -1"),
    ],
)
def test_bad_parameters_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        simulate_order_book(**{"n": 5, "seed": 0} | options)


def test_a_price_that_wanders_off_is_said():
    one_way = np.array([[1.0, 0.5, 9.0, 0.1, 1.0, 2.0]])
    with pytest.raises(ValueError, match="wandered to"):
        simulate_order_book(
            20_000, seed=0, multipliers=one_way, transition=[[1.0]], interval=2.0, market_rate=2.0
        )
