"""Candles, funding rates and open interest of an exchange: kept on disk, complete, closed."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import pandas as pd
from tqdm import tqdm

from genfin_lib.data.exchange.client import Exchange, opened
from genfin_lib.data.exchange.paging import on_grid, pages
from genfin_lib.data.exchange.store import Store

OHLCV = ["Open", "High", "Low", "Close", "Volume"]
HOUR = 3_600_000
_PAGE = 200  # rows of an answer, where ccxt does not say how many there can be
_SETTLE = 2_000  # a candle counts as closed these milliseconds after its end
_PATIENCE = 600.0  # seconds to wait for another process that fetches the same

Moment: TypeAlias = str | pd.Timestamp


def cache_folder() -> Path:
    """Where fetched data lie: `GENFIN_CACHE`, or `data/cache` of the checkout, or the user's."""
    checkout = Path(__file__).parents[3] / "data"
    named = os.environ.get("GENFIN_CACHE")
    if named:
        return Path(named)
    if (checkout / "snapshots.json").is_file():
        return checkout / "cache"
    return Path.home() / ".cache" / "genfin_lib"


def store_of(exchange: str, symbol: str, kind: str) -> Store:
    """The files of one series; `kind` is a time frame, or says what it is otherwise."""
    return Store(cache_folder() / exchange / symbol.replace("/", "-").replace(":", "_") / kind)


def fetch_ohlcv(
    symbols: str | Sequence[str],
    timeframe: str = "1h",
    since: Moment = "2023-01-01",
    until: Moment | None = None,
    exchange: str | Exchange = "bybit",
    *,
    progress: bool = False,
) -> pd.DataFrame:
    """Closed candles of one or several markets, from the cache and the exchange.

    Only what the cache does not answer for is asked for, and each page is on disk before the next
    one is asked for: stopped at any moment, it goes on from there. The candle that is still
    running is never stored, and closed means closed by the exchange's clock.

    Args:
        symbols: `"BTC/USDT"` (spot), `"BTC/USDT:USDT"` (perpetual), or a list of them.
        timeframe: Length of a candle, at most `"1d"`.
        since: Start of the first candle, UTC; before the listing, the history begins with it.
        until: First candle no longer wanted, UTC; `None` for all that are closed.
        exchange: Name for ccxt, or an `Exchange` with an address and patience of its own.
        progress: Show a bar.

    Returns:
        Columns Open, High, Low, Close (quote currency), Volume (base currency); for a list two
        levels of columns, symbol above. Index `date`, UTC without a zone, **the start of the
        candle**: it is known one time frame later. Rows lie on the full grid of the time frame,
        the same for all symbols, NaN where a market had no candle.

    Raises:
        ValueError: unknown exchange, symbol or time frame, a symbol twice, dates in the wrong
            order, or no candle at all.
        ExchangeUnavailable: no answer, or not from here; what was fetched before stays.
        TimeoutError: another process has been fetching the same for ten minutes.
    """
    names = [symbols] if isinstance(symbols, str) else list(symbols)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"symbols {names}: one or more, each once.")
    market = opened(exchange)
    step = market.step(timeframe)
    client, tables = market.client, {}
    for name in names:

        def request(start: int, end: int, limit: int, name: str = name) -> list:
            return client.fetch_ohlcv(name, timeframe, start, limit, {"until": end - 1})

        tables[name] = _series(
            market,
            name,
            timeframe,
            request,
            columns=OHLCV,
            step=step,
            method="fetchOHLCV",
            since=since,
            until=until,
            grid=True,
            progress=progress,
        )
    table = tables[symbols] if isinstance(symbols, str) else pd.concat(tables, axis=1).sort_index()
    return dated(on_grid(table, step=step))


def fetch_funding_rates(
    symbol: str,
    since: Moment = "2023-01-01",
    until: Moment | None = None,
    exchange: str | Exchange = "bybit",
) -> pd.Series:
    """What holders of a long perpetual paid to those of a short one, as a share of the position.

    Args:
        symbol: A perpetual: `"BTC/USDT:USDT"`.
        since: First moment, UTC.
        until: First moment no longer wanted; `None` for now.
        exchange: As for `fetch_ohlcv`.

    Returns:
        Decimal rate at each settlement, not annualised; positive: longs pay. Index `date`, UTC.

    Raises:
        ValueError: as for `fetch_ohlcv`, or a market without funding.
        ExchangeUnavailable: as for `fetch_ohlcv`.
    """
    market = opened(exchange)

    def request(start: int, end: int, limit: int) -> list:
        rows = market.client.fetch_funding_rate_history(symbol, start, limit, {"until": end - 1})
        return [(row["timestamp"], row["fundingRate"]) for row in rows]

    # Settlements are eight, four or one hours apart, and an exchange changes that at times.
    rows = _series(
        market,
        symbol,
        "funding",
        request,
        columns=["funding_rate"],
        step=HOUR,
        method="fetchFundingRateHistory",
        since=since,
        until=until,
        grid=False,
    )
    return dated(rows)["funding_rate"]


def fetch_open_interest(
    symbol: str,
    timeframe: str = "1h",
    since: Moment = "2023-01-01",
    until: Moment | None = None,
    exchange: str | Exchange = "bybit",
) -> pd.Series:
    """Contracts outstanding, in the units of the exchange (Bybit, linear: base currency).

    Args:
        symbol: A perpetual or a future.
        timeframe: Between two readings, as the exchange offers.
        since: First moment, UTC.
        until: First moment no longer wanted; `None` for now.
        exchange: As for `fetch_ohlcv`.

    Returns:
        On the full grid, NaN where the exchange has no reading. Index `date`, UTC.

    Raises:
        ValueError: as for `fetch_ohlcv`, or a market without open interest.
        ExchangeUnavailable: as for `fetch_ohlcv`.
    """
    market = opened(exchange)
    step = market.step(timeframe)

    def request(start: int, end: int, limit: int) -> list:
        rows = market.client.fetch_open_interest_history(
            symbol, timeframe, start, limit, {"until": end - 1}
        )
        # Linear contracts are counted in base currency, inverse ones in quote.
        kind = (
            "openInterestAmount" if market.client.market(symbol)["linear"] else "openInterestValue"
        )
        return [(row["timestamp"], row[kind]) for row in rows]

    rows = _series(
        market,
        symbol,
        f"open_interest_{timeframe}",
        request,
        columns=["open_interest"],
        step=step,
        method="fetchOpenInterestHistory",
        since=since,
        until=until,
        grid=True,
    )
    return dated(on_grid(rows, step=step))["open_interest"]


def dated(rows: pd.DataFrame) -> pd.DataFrame:
    """Milliseconds since 1970 as dates, UTC without a zone like those of the bundled data."""
    return rows.set_axis(pd.DatetimeIndex(pd.to_datetime(rows.index, unit="ms"), name="date"))


def _series(
    market: Exchange,
    symbol: str,
    kind: str,
    request: Callable[[int, int, int], list],
    *,
    columns: list[str],
    step: int,
    method: str,
    since: Moment,
    until: Moment | None,
    grid: bool,
    progress: bool = False,
) -> pd.DataFrame:
    """Bring the cache up to date and read it."""
    start = -(-_milliseconds(since) // step) * step
    end = _milliseconds(until or pd.Timestamp.now("UTC") + pd.Timedelta(days=2))
    if start >= end:
        raise ValueError(f"since {since} is not before until {until}: nothing lies between.")
    store = store_of(market.name, symbol, kind)
    with store.lock(patience=_PATIENCE):
        if store.open_stretches(start, end):
            market.require(symbol)
            end = min(end, (market.now() - _SETTLE) // step * step)
        open_stretches = store.open_stretches(start, end)
        total = sum(stop - begin for begin, stop in open_stretches) // step
        with tqdm(total=total, desc=f"{symbol} {kind}", unit="row", disable=not progress) as bar:
            for begin, stop in open_stretches:
                for first, last, rows in pages(
                    lambda *window: market.call(lambda: request(*window)),
                    columns=columns,
                    step=step,
                    limit=market.page(symbol, method, least=_PAGE),
                    start=begin,
                    end=stop,
                    grid=grid,
                ):
                    store.write(first, last, rows)
                    bar.update((last - first) // step)
        store.tidy()
    rows = store.read().loc[start : end - 1]
    if rows.empty:
        raise ValueError(
            f"{market.name} has no {kind} of {symbol} from {since} to {until or 'now'}: "
            "ask for another stretch of time."
        )
    return rows


def _milliseconds(moment: Moment) -> int:
    stamp = pd.Timestamp(moment)
    stamp = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
    return int(stamp.timestamp() * 1000)
