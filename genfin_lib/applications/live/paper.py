"""A position on paper, followed candle by candle: marked, traded, written down, taken up again."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genfin_lib.applications.live.pipeline import Decision, RiskPipeline
from genfin_lib.data import fetch_ohlcv
from genfin_lib.data.exchange import Exchange, opened

_DELAY = pd.Timedelta("5s")  # after the end of a candle, when it is asked for


class PaperAccount:
    r"""Shares of a capital that nobody has, after costs.

    .. math:: W \leftarrow W (1 + \textstyle\sum_j w_j r_j), \qquad
        w_j \leftarrow \frac{w_j (1 + r_j)}{1 + \sum_k w_k r_k}, \qquad
        W \leftarrow W (1 - c \textstyle\sum_j |w'_j - w_j|)

    when a candle closes: the two on the left by :meth:`mark`, the one on the right by
    :meth:`trade`, at the close itself. Over a replay it is what
    :func:`genfin_lib.trading.backtest` computes at once, which a test asserts. Chapter: the live
    pipeline.

    Args:
        symbols: What can be held.
        cost: :math:`c`, share of the traded value: 0.001 is ten basis points.
        band: A wanted share this near to the one last decided is not traded for, see
            :func:`genfin_lib.trading.no_trade_band`.
        journal: File to which each candle adds a line; an account that finds one goes on from its
            last whole line. `None` for an account in memory.

    Attributes:
        wealth: Of 1 at the start.
        held: Shares of wealth now, `(S,)`.
        date: Start of the last candle marked, `None` before the first.

    Raises:
        ValueError: a cost or band out of range, or a journal of other symbols.
    """

    def __init__(
        self,
        symbols: list[str],
        *,
        cost: float = 0.001,
        band: float = 0.0,
        journal: Path | None = None,
    ) -> None:
        if not 0 <= cost < 1 or band < 0:
            raise ValueError(f"cost {cost}, band {band}: shares from 0, the cost below 1.")
        self.symbols, self.cost, self.band, self.journal = symbols, cost, band, journal
        self.wealth = 1.0
        self.date: pd.Timestamp | None = None
        self.held = self.decided = np.zeros(len(symbols))
        self.closes = np.full(len(symbols), np.nan)
        if journal is not None and journal.is_file():
            self._resume(journal)

    def mark(self, date: pd.Timestamp, closes: pd.Series) -> None:
        """A candle has closed: wealth and shares follow the prices.

        Args:
            date: Its start, later than that of the candle before.
            closes: By symbol.

        Raises:
            ValueError: a candle that was marked before, a missing or impossible price, or capital
                that is lost.
        """
        prices = closes[self.symbols].to_numpy(dtype=np.float64)
        if self.date is not None and date <= self.date:
            raise ValueError(f"the candle of {date} is not after {self.date}, which is marked.")
        if not (np.isfinite(prices) & (prices > 0)).all():
            raise ValueError(f"closes {closes.to_dict()} of {date}: a price for each is needed.")
        if self.date is not None:
            moves = prices / self.closes - 1
            growth = 1 + float(self.held @ moves)
            if growth <= 0:
                raise ValueError(f"all capital is lost on {date}: the positions were too large.")
            self.wealth *= growth
            self.held = self.held * (1 + moves) / growth
        self.closes, self.date = prices, date

    def trade(self, decision: Decision) -> dict[str, Any]:
        """Take up the wanted position at the close just marked, and write the candle down.

        Args:
            decision: Made from candles up to the one last marked, and no other.

        Returns:
            The line of the journal: date, closes, wealth before and after costs, position, risk.

        Raises:
            ValueError: a decision of another candle.
        """
        if decision.date != self.date:
            raise ValueError(f"a decision of {decision.date}, but {self.date} is the last candle.")
        wanted = decision.risk.loc[self.symbols, "position"].to_numpy(dtype=np.float64)
        wanted = np.where(np.abs(wanted - self.decided) <= self.band, self.decided, wanted)
        before = self.wealth
        self.wealth *= 1 - self.cost * float(np.abs(wanted - self.held).sum())
        self.held = self.decided = wanted
        line = {
            "date": str(self.date),
            "symbols": self.symbols,
            "closes": self.closes.tolist(),
            "wealth_before": before,
            "wealth": self.wealth,
            "position": wanted.tolist(),
            **{name: decision.risk[name].tolist() for name in ("var", "es", "tail", "signal")},
        }
        self._write(line)
        return line

    def _write(self, line: dict[str, Any]) -> None:
        if self.journal is None:
            return
        with self.journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _resume(self, journal: Path) -> None:
        text = journal.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            # Killed in the middle of a line: the candle was not written down, so it did not happen.
            with journal.open("r+b") as file:
                file.truncate(len(whole.encode()))
        if not whole:
            return
        last = json.loads(whole.splitlines()[-1])
        if last["symbols"] != self.symbols:
            raise ValueError(
                f"{journal} is of {last['symbols']}, not {self.symbols}: name another."
            )
        self.date, self.wealth = pd.Timestamp(last["date"]), last["wealth"]
        self.held = self.decided = np.array(last["position"])
        self.closes = np.array(last["closes"])


def replay(pipeline: RiskPipeline, account: PaperAccount, closes: pd.DataFrame) -> pd.DataFrame:
    """Every candle of a history as if it closed now, from where the account stands.

    Args:
        pipeline: Fitted on earlier candles.
        account: New, or one that has seen the beginning of `closes`.
        closes: One column a symbol, no NaN.

    Returns:
        The lines of `PaperAccount.trade`, one a candle, indexed by date.
    """
    first = pipeline.window - 1
    if account.date is not None:
        first = max(first, int(closes.index.searchsorted(account.date, side="right")))
    lines = []
    for decision in pipeline.replay(closes, start=first):
        account.mark(decision.date, closes.loc[decision.date])
        lines.append(account.trade(decision))
    return journal_table(lines)


def journal_table(lines: list[dict[str, Any]]) -> pd.DataFrame:
    """Lines of a journal as a table: wealth, and for each symbol its close, position and risk.

    Args:
        lines: As `PaperAccount.trade` returns them, or as a journal holds them, one a candle.
    """
    table = pd.DataFrame(lines)
    if table.empty:
        return table
    rows = {"wealth_before": table["wealth_before"], "wealth": table["wealth"]}
    names = {"closes": "close", "position": "position", "var": "var", "es": "es", "tail": "tail"}
    symbols = table["symbols"].iloc[0]
    for key, name in {**names, "signal": "signal"}.items():
        for place, symbol in enumerate(symbols):
            label = name if len(symbols) == 1 else f"{symbol} {name}"
            rows[label] = table[key].str[place].astype("float64")
    return pd.DataFrame(rows).set_axis(pd.DatetimeIndex(table["date"], name="date"))


def follow(
    pipeline: RiskPipeline,
    account: PaperAccount,
    timeframe: str,
    exchange: str | Exchange = "bybit",
    *,
    candles: int,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[dict[str, Any]]:
    """Wait for each candle to close, fetch it, decide, trade on paper.

    A decision comes in time or not at all: candles that closed while nobody looked are marked at
    the position that was held, and not traded.

    Args:
        pipeline: Fitted.
        account: Its symbols are followed.
        timeframe: Of the candles.
        exchange: As for `fetch_ohlcv`.
        candles: How many to follow before returning.
        sleep: What waits, given seconds.

    Yields:
        The line of each candle.

    Raises:
        ExchangeUnavailable: as for `fetch_ohlcv`. The account is as written; call again.
    """
    market = opened(exchange)
    step = pd.Timedelta(milliseconds=market.step(timeframe))
    grace, traded = min(step / 10, pd.Timedelta("1min")), account.date
    while candles > 0:
        now = pd.Timestamp(market.now(), unit="ms")
        closed = now.floor(step) - step  # start of the candle that closed last
        since = now - (pipeline.window + 2) * step
        table = fetch_ohlcv(account.symbols, timeframe, since, None, market)
        closes = table.xs("Close", axis=1, level=1).dropna()
        new = closes.iloc[-1:] if account.date is None else closes[closes.index > account.date]
        for date in new.index:
            account.mark(date, closes.loc[date])
        in_time = now - closed - step <= grace
        if in_time and account.date == closed != traded:
            traded, candles = closed, candles - 1
            yield account.trade(pipeline.decide(closes))
        elif in_time and account.date != closed:
            sleep(1.0)  # the exchange is late with it
        else:
            sleep((closed + 2 * step + _DELAY - now).total_seconds())
