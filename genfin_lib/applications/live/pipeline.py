"""From closed candles to a position: returns, law, risk, signal, size, each with its time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
import torch

from genfin_lib.data import log_returns
from genfin_lib.risk import Forecaster
from genfin_lib.risk.validation import fraction

PERCENT = 100.0  # forecasters are fitted on percent log returns, as everywhere in the book


@dataclass(frozen=True)
class Decision:
    """What the pipeline says at the close of one candle about the next one.

    Attributes:
        date: Start of the last candle that it has seen.
        risk: One row a symbol: `var` and `es`, losses, and `tail`, a probability, of the next log
            return, decimals; `signal`, 0 or 1; `position`, the share of capital wanted.
        seconds: Wall time of each stage.
    """

    date: pd.Timestamp
    risk: pd.DataFrame
    seconds: dict[str, float] = field(compare=False)


class RiskPipeline:
    r"""Everything between a fetch and a position, the same line of stages for one market or many.

    .. math:: s_t = 1\{P_t(r_{t+1} \le -d) \le q\}, \qquad
        w_t = \frac{s_t}{S} \min\Bigl(\frac{B}{1 - e^{-\mathrm{VaR}_t}},\ \text{cap}\Bigr)

    Long or aside, and no opinion on direction: the law of the next candle says how much can be
    held, and when its tail is too heavy to hold anything. VaR and ES are those of a log return; a
    position loses simple ones. The forecaster is fitted beforehand and stands still here, so a
    decision costs a filter and a few passes of a small network. Chapter: the live pipeline.

    Args:
        forecaster: Of *percent* log returns, such as `FlowForecaster`; any
            :class:`~genfin_lib.risk.Forecaster` will do.
        window: Closes that a decision sees, at least what the forecaster asks for, and one more.
        level: Of VaR and ES.
        drop: :math:`d`, the fall whose probability is watched, log return, decimal.
        limit: :math:`q`, the largest probability at which a position is held.
        budget: :math:`B`, the share of capital that one candle may cost at `level`.
        cap: Largest position in one market before it is divided by their number :math:`S`.

    Raises:
        ValueError: a parameter outside its range.
    """

    STAGES = ("returns", "features", "VaR", "ES", "tail", "signal and size")

    def __init__(
        self,
        forecaster: Forecaster,
        *,
        window: int = 1001,
        level: float = 0.99,
        drop: float = 0.03,
        limit: float = 0.005,
        budget: float = 0.01,
        cap: float = 1.0,
    ) -> None:
        if window < 3 or not (drop > 0 and limit > 0 and budget > 0 and cap > 0):
            raise ValueError(
                f"window {window}, drop {drop}, limit {limit}, budget {budget}, cap {cap}: at "
                "least three closes, and numbers above zero, are needed."
            )
        self.forecaster, self.window, self.level = forecaster, window, fraction(level, "level")
        self.drop, self.limit, self.budget, self.cap = drop, limit, budget, cap

    def fit(self, closes: pd.DataFrame) -> Self:
        """Fit the forecaster on a history of closes, one column a symbol.

        Raises:
            ValueError: what `log_returns` or the forecaster refuse.
        """
        self.forecaster = self.forecaster.fit(PERCENT * log_returns(closes))
        return self

    @torch.inference_mode()  # a quarter faster than without gradients alone
    def decide(self, closes: pd.DataFrame) -> Decision:
        """Risk and position for the candle after the last one given.

        Args:
            closes: Of closed candles, one column a symbol, at least `window` rows; earlier rows
                are not looked at.

        Raises:
            ValueError: too few rows, NaN, a price that is not positive, dates out of order, or what
                the forecaster refuses.
        """
        if len(closes) < self.window:
            raise ValueError(
                f"{len(closes)} closes, and a window of {self.window}: fetch from further back."
            )
        seconds: dict[str, float] = {}
        with _timed(seconds, "returns"):
            history = PERCENT * log_returns(closes.iloc[-self.window :])
        with _timed(seconds, "features"):
            law = self.forecaster.forecast(history)
        with _timed(seconds, "VaR"):
            var = -law.quantile(1 - self.level) / PERCENT
        with _timed(seconds, "ES"):
            es = law.expected_shortfall(level=self.level) / PERCENT
        with _timed(seconds, "tail"):
            tail = law.cdf(-PERCENT * self.drop)
        with _timed(seconds, "signal and size"):
            if not (np.isfinite(var) & (var > 0) & np.isfinite(es) & np.isfinite(tail)).all():
                raise ValueError(f"VaR {var}, ES {es}, tail {tail}: no law to hold a position by.")
            signal = (tail <= self.limit).astype(np.float64)
            size = np.minimum(self.budget / -np.expm1(-var), self.cap) / len(var)
            found = {
                "var": var,
                "es": es,
                "tail": tail,
                "signal": signal,
                "position": signal * size,
            }
            risk = pd.DataFrame(found, index=closes.columns)
        return Decision(closes.index[-1], risk, seconds)

    def replay(self, closes: pd.DataFrame, *, start: int | None = None) -> Iterator[Decision]:
        """Decisions at the close of each candle, each from the rows up to it.

        Args:
            closes: As for `decide`.
            start: Row of the first decision; the first possible one if `None`.
        """
        for row in range(self.window - 1 if start is None else start, len(closes)):
            yield self.decide(closes.iloc[row + 1 - self.window : row + 1])

    def latency(self, closes: pd.DataFrame, *, warm_up: int = 20) -> pd.DataFrame:
        """Milliseconds of each stage over a replay, on whatever this process runs on.

        Args:
            closes: History to replay.
            warm_up: Decisions that are made first and not counted.

        Returns:
            Stages and their sum, `total`, by row; columns `p50`, `p95`, `p99`, `decisions`. The
            quantile of a sum is not the sum of quantiles: it is measured.

        Raises:
            ValueError: not more rows than the window and the warm-up need.
        """
        times = pd.DataFrame([decision.seconds for decision in self.replay(closes)])[warm_up:]
        if times.empty:
            raise ValueError(f"{len(closes)} closes leave no decision to time after {warm_up}.")
        times = 1000 * times.assign(total=times.sum(axis=1))
        table = times.quantile([0.5, 0.95, 0.99]).T.set_axis(["p50", "p95", "p99"], axis=1)
        return table.assign(decisions=len(times)).rename_axis("stage")


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - began
