"""A simulated limit order book, with trades whose side is known and a hidden regime."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from genfin_lib.data.order_book import OrderBook
from genfin_lib.data.simulate.checks import count, finite, positive, transition_matrix
from genfin_lib.data.simulate.markov import forward_filter, markov_path
from genfin_lib.data.simulate.matching import ASK, BID, TICKS, MatchingEngine

KINDS = ("limit bid", "limit ask", "market buy", "market sell", "cancel bid", "cancel ask")


@dataclass(frozen=True, eq=False)
class OrderBookSample:
    """A simulated order book at `n` snapshots, all trades between them, and their truth.

    Row `t` of `regimes`, `counts` and `compensators` is about the interval that *ends* at
    snapshot `t`; kinds of events are in the order of `KINDS`: limit orders to buy and to sell,
    market orders to buy and to sell, cancellations of bids and of asks.

    Attributes:
        book: The snapshots; level `k` is the price `k` ticks behind the best, sizes in lots.
        trades: `time` in seconds, `price`, `size` in lots, true `side` (+1 bought, -1 sold), and
            the best `bid` and `ask` just before the order came. An order that eats several levels
            is several trades.
        regimes: Hidden regime, `(n,)`.
        counts: Events of each kind, `(n, 6)`.
        compensators: True intensity of each kind, given regime and book, integrated over the
            interval, `(n, 6)`: the count less this has mean zero whatever came before.
        depth: All lots resting to buy and to sell, `(n, 2)`.
        filtered: Probability of each regime given every event up to the snapshot, exact,
            `(n, regimes)`: what the best observer knows, and snapshots know less.
        tick: Distance of two prices, currency.
    """

    book: OrderBook
    trades: pd.DataFrame
    regimes: np.ndarray
    counts: np.ndarray
    compensators: np.ndarray
    depth: np.ndarray
    filtered: np.ndarray
    tick: float


def simulate_order_book(
    n: int,
    *,
    seed: int,
    interval: float = 1.0,
    levels: int = 5,
    limit_rates: ArrayLike = (2.0, 3.0, 3.0, 2.5, 2.0, 1.6, 1.3, 1.0, 0.8, 0.5),
    market_rate: float = 0.8,
    cancel_rate: float = 0.3,
    market_size: float = 3.0,
    imbalance_effect: float = 1.0,
    spread_effect: float = 0.4,
    multipliers: ArrayLike = (
        (1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
        (1.0, 0.8, 3.0, 0.6, 0.9, 1.4),
        (0.8, 1.0, 0.6, 3.0, 1.4, 0.9),
        (0.6, 0.6, 2.0, 2.0, 1.6, 1.6),
    ),
    transition: ArrayLike = (
        (0.980, 0.007, 0.007, 0.006),
        (0.050, 0.940, 0.000, 0.010),
        (0.050, 0.000, 0.940, 0.010),
        (0.030, 0.005, 0.005, 0.960),
    ),
    tick: float = 0.01,
    burn_in: int = 200,
) -> OrderBookSample:
    r"""Simulate a limit order book as a Markov jump process whose rates a hidden regime moves.

    Orders of one lot rest at whole ticks. With :math:`I` the imbalance of the best queues and
    :math:`s` the spread in ticks, events of each kind :math:`k` come at the rate
    :math:`m_{rk} \lambda_k`:

    .. math:: \lambda_{\text{limit}} = \sum_i \lambda_i, \qquad
        \lambda_{\text{market}} = \mu\, e^{\pm\beta I - \gamma (s - 1)}, \qquad
        \lambda_{\text{cancel}} = \theta \times \text{lots of that side}, \qquad
        I = \frac{q^b - q^a}{q^b + q^a}

    A limit order goes :math:`i` ticks from the best price of the *other* side with probability
    proportional to :math:`\lambda_i`; a market order, to buy with sign +, has a geometric size and
    eats what it finds, which is the impact on the price; a cancellation takes any lot of its side
    with equal chance. The regime :math:`r` is a Markov chain from interval to interval. The
    defaults are calm; informed buying and selling, where one side is hit and the other withdraws;
    stress, where depth is thin and the spread wide. One lot on each side can neither be
    cancelled nor bought, so that both prices always exist.

    Because the regime enters as a factor, counts :math:`N_k` and exposures
    :math:`E_k = \int \lambda_k\,dt` hold all that an interval says about it,
    :math:`\log p(\cdot \mid r) = \sum_k N_k \log m_{rk} - m_{rk} E_k` and a constant, and the
    filter over regimes is exact. The book without regimes is close to that of R. Cont, S. Stoikov
    and R. Talreja (2010), A stochastic model for order book dynamics, Operations Research 58,
    https://doi.org/10.1287/opre.1090.0780. Chapter: Order flow.

    Args:
        n: Number of snapshots.
        seed: Of regimes and events.
        interval: Seconds between snapshots.
        levels: Levels in a snapshot.
        limit_rates: :math:`\lambda_i`, orders per second and side, `(distances,)`.
        market_rate: :math:`\mu`, orders per second and side in a balanced book.
        cancel_rate: :math:`\theta`, per second and lot.
        market_size: Mean lots of a market order, at least 1.
        imbalance_effect: :math:`\beta`: buyers hurry where the asks are few.
        spread_effect: :math:`\gamma`: a wide spread keeps market orders away.
        multipliers: :math:`m`, above 0, `(regimes, 6)`.
        transition: Of the regime, from interval to interval, `(regimes, regimes)`.
        tick: Distance of two prices, currency; the price starts at 10,000 ticks.
        burn_in: Snapshots thrown away before the first.

    Returns:
        The simulated snapshots and trades with regimes, intensities and filtered probabilities.

    Raises:
        ValueError: a parameter outside its range, shapes that differ, or a price that wanders
            more than 9,900 ticks from its start.
    """
    n, levels = count(n, "n"), count(levels, "levels")
    arrivals = np.atleast_1d(positive(limit_rates, "limit_rates"))
    factors, chain = positive(multipliers, "multipliers"), transition_matrix(transition)
    if factors.shape != (len(chain), len(KINDS)) or arrivals.ndim != 1 or levels > 50:
        raise ValueError(
            f"multipliers {factors.shape}, transition {chain.shape}, limit_rates {arrivals.shape}, "
            f"levels {levels}: (regimes, 6), (regimes, regimes), (distances,) and at most 50 needed"
        )
    if not 0 <= market_rate < math.inf or not 1 <= market_size < math.inf or burn_in < 0:
        raise ValueError(
            f"market_rate {market_rate}, market_size {market_size}, burn_in {burn_in}: at least 0, "
            "1 and 0 are needed"
        )
    theta, step = float(positive(cancel_rate, "cancel_rate")), float(positive(interval, "interval"))
    tick_size = float(positive(tick, "tick"))
    imbalance = float(finite(imbalance_effect, "imbalance_effect"))
    spread = float(finite(spread_effect, "spread_effect"))
    regime_rng, *event_rngs = np.random.default_rng(seed).spawn(5)
    regimes = markov_path(n + burn_in, transition=chain, rng=regime_rng)
    engine = MatchingEngine([max(1, round(rate / theta)) for rate in arrivals])
    run = _Run(
        engine,
        _Streams(event_rngs, law=arrivals / arrivals.sum(), market_size=market_size),
        limit=float(arrivals.sum()),
        market=market_rate,
        cancel=theta,
        imbalance=imbalance,
        spread=spread,
    )
    kept = [run.advance(t * step, step, tuple(factors[r]), levels) for t, r in enumerate(regimes)]
    columns = [np.array(column)[burn_in:] for column in zip(*kept, strict=True)]
    best, sizes, depth, counts, exposures = columns
    offset, regimes = np.arange(levels), regimes[burn_in:]
    time = step * np.arange(1, n + 1)
    book = OrderBook(
        time,
        tick_size * (best[:, :1] - offset),
        sizes[:, BID].astype(np.float64),
        tick_size * (best[:, 1:] + offset),
        sizes[:, ASK].astype(np.float64),
    )
    densities = counts @ np.log(factors).T - exposures @ factors.T  # (n, regimes)
    return OrderBookSample(
        book=book,
        trades=_frame(run.trades, tick=tick_size, start=burn_in * step),
        regimes=regimes,
        counts=counts,
        compensators=factors[regimes] * exposures,
        depth=depth,
        filtered=forward_filter(densities, transition=chain)[1],
        tick=tick_size,
    )


class _Streams:
    """Endless draws, made in blocks; each from a generator of its own, so blocks do not matter."""

    def __init__(
        self, rngs: list[np.random.Generator], *, law: np.ndarray, market_size: float
    ) -> None:
        wait, kind, distance, size = rngs
        self.waits = _stream(lambda m: wait.standard_exponential(m))
        self.uniforms = _stream(lambda m: kind.random(m))
        self.distances = _stream(lambda m: 1 + distance.choice(len(law), m, p=law))
        self.sizes = _stream(lambda m: size.geometric(1 / market_size, m))


def _stream(draw: Callable[[int], np.ndarray]) -> Iterator:
    while True:
        yield from draw(8192).tolist()


class _Run:
    """The book on its way: rates from its state, and one event after another."""

    def __init__(
        self,
        engine: MatchingEngine,
        streams: _Streams,
        *,
        limit: float,
        market: float,
        cancel: float,
        imbalance: float,
        spread: float,
    ) -> None:
        self.engine, self.streams = engine, streams
        self.limit, self.market, self.cancel = limit, market, cancel
        self.imbalance, self.spread = imbalance, spread
        self.trades: list[tuple] = []

    def rates(self) -> tuple[float, float, float, float, float, float]:
        """Rate of each kind, before the regime's factor."""
        (bid, ask), (bids, asks) = self.engine.best, self.engine.total
        q_bid, q_ask = self.engine.lots[bid], self.engine.lots[ask]
        tilt = self.imbalance * (q_bid - q_ask) / (q_bid + q_ask)
        wide = self.spread * (ask - bid - 1)
        return (
            self.limit,
            self.limit,
            self.market * math.exp(tilt - wide) if asks > 1 else 0.0,
            self.market * math.exp(-tilt - wide) if bids > 1 else 0.0,
            self.cancel * bids if bids > 1 else 0.0,
            self.cancel * asks if asks > 1 else 0.0,
        )

    def advance(self, start: float, length: float, factor: tuple, levels: int) -> tuple:
        """Run one interval; return best prices, sizes, depth, counts and exposures."""
        engine, streams = self.engine, self.streams
        f0, f1, f2, f3, f4, f5 = factor
        counts, exposures = [0] * 6, [0.0] * 6
        left = length
        while True:
            base = self.rates()
            b0, b1, b2, b3, b4, b5 = base
            edges = (b0 * f0, b1 * f1, b2 * f2, b3 * f3, b4 * f4, b5 * f5)
            total = sum(edges)
            wait = next(streams.waits) / total
            stay = min(wait, left)
            exposures = [e + b * stay for e, b in zip(exposures, base, strict=True)]
            # The process has no memory: a wait cut off by the snapshot is drawn anew after it.
            if wait >= left:
                break
            left -= wait
            u, kind = next(streams.uniforms) * total, 0
            while kind < 5 and u >= edges[kind]:
                u -= edges[kind]
                kind += 1
            counts[kind] += 1
            # What is left of u is uniform within its kind: it serves to choose the lot.
            self._happen(kind, min(u / edges[kind], 1 - 1e-12), start + length - left)
        bid, ask = engine.best
        if bid < 100 or ask > TICKS - 100:
            raise ValueError(
                f"the price wandered to {bid} ticks, the edge of the simulated range: ask for "
                "fewer snapshots, or balance the multipliers of buying and selling"
            )
        lots = engine.lots
        sizes = (lots[bid : bid - levels : -1], lots[ask : ask + levels])
        return (bid, ask), sizes, tuple(engine.total), counts, exposures

    def _happen(self, kind: int, u: float, time: float) -> None:
        engine, side = self.engine, kind % 2
        if kind < 2:
            engine.add(side, next(self.streams.distances))
        elif kind < 4:
            bid, ask = engine.best
            for price, size in engine.take(1 - side, next(self.streams.sizes)):
                self.trades.append((time, price, size, 1 - 2 * side, bid, ask))
        else:
            engine.cancel(side, u)


def _frame(trades: list[tuple], *, tick: float, start: float) -> pd.DataFrame:
    columns = ["time", "price", "size", "side", "bid", "ask"]
    frame = pd.DataFrame(trades, columns=columns)
    frame = frame[frame["time"] > start].reset_index(drop=True)
    frame["time"] -= start
    frame[["price", "bid", "ask"]] *= tick
    return frame
