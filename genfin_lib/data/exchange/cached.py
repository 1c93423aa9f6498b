"""Fetched data under a name, in the shape of the bundled data: `load("BTC/USDT:1h")`."""

import warnings
from typing import Any, NamedTuple

import pandas as pd

from genfin_lib.data.exchange.fetch import OHLCV, dated, store_of


class Name(NamedTuple):
    """`[EXCHANGE:]SYMBOL[,SYMBOL...]:TIMEFRAME[:ohlcv]`, taken apart."""

    exchange: str
    symbols: list[str]
    timeframe: str
    ohlcv: bool


def is_fetched(name: str) -> bool:
    """Whether a name means fetched data: every market has a slash, no bundled set has."""
    return "/" in name


def parse(name: str) -> Name:
    """Take the name of a fetched data set apart.

    Raises:
        ValueError: it lacks a part, or asks for the candles of several markets.
    """
    rest = name.removesuffix(":ohlcv")
    first, _, others = rest.partition(":")
    exchange, rest = ("bybit", rest) if "/" in first else (first, others)
    symbols, _, timeframe = rest.rpartition(":")
    found = Name(exchange, symbols.split(","), timeframe, name.endswith(":ohlcv"))
    if not symbols or "/" in timeframe or (found.ohlcv and len(found.symbols) > 1):
        raise ValueError(
            f"{name!r} names no fetched data: [EXCHANGE:]SYMBOL[,SYMBOL...]:TIMEFRAME for closing "
            "prices, such as 'BTC/USDT:1h', or [EXCHANGE:]SYMBOL:TIMEFRAME:ohlcv for candles."
        )
    return found


def load_fetched(name: str) -> pd.DataFrame:
    """Fetched candles as the bundled data sets have them; the network is not asked.

    Args:
        name: `"BTC/USDT:1h"` or `"BTC/USDT,ETH/USDT:1h"` for closing prices, one column a symbol;
            `"BTC/USDT:1h:ohlcv"` for Open, High, Low, Close, Adj Close (the close again), Volume.
            An exchange other than Bybit stands in front: `"kraken:BTC/USD:1d"`.

    Returns:
        `(dates, columns)` float64, `date` being the start of the candle, UTC. No NaN: moments at
        which a market has no candle are left out **with a warning**, and the return across such a
        gap is one of more than a time frame.

    Raises:
        ValueError: the name lacks a part, or a file is damaged.
        FileNotFoundError: not fetched yet; the command is in the message.
    """
    exchange, symbols, timeframe, ohlcv = parse(name)
    tables = {}
    for symbol in symbols:
        rows = store_of(exchange, symbol, timeframe).read()
        if rows.empty:
            other = "" if exchange == "bybit" else f" EXCHANGE={exchange}"
            raise FileNotFoundError(
                f"{symbol} {timeframe} of {exchange} is not fetched yet: "
                f"make data SYMBOL={symbol} TIMEFRAME={timeframe}{other}"
            )
        tables[symbol] = rows
    if ohlcv:
        table = tables[symbols[0]][OHLCV]
        table.insert(4, "Adj Close", table["Close"])
    else:
        closes = pd.concat({symbol: rows["Close"] for symbol, rows in tables.items()}, axis=1)
        # Before the youngest market began there is nothing to compare.
        table = closes.sort_index().loc[max(rows.index[0] for rows in tables.values()) :]
    return _without_gaps(dated(table), name)


def fetched_record(name: str) -> dict[str, Any]:
    """Provenance of fetched data, with the fields that the record of a snapshot has."""
    exchange, symbols, timeframe, _ = parse(name)
    with warnings.catch_warnings(action="ignore"):
        table = load_fetched(name)
    digests = [store_of(exchange, symbol, timeframe).checksum() for symbol in symbols]
    return {
        "title": f"{', '.join(symbols)}, {timeframe} candles of {exchange}",
        "what": "candles by their start, UTC",
        "units": "price in quote, volume in base currency",
        "source": f"{exchange}, public interface, through ccxt",
        "publisher": exchange,
        "licence": "terms of the exchange; not to be passed on",
        "retrieved": "locally",
        "rows": len(table),
        "columns": list(table.columns),
        "first": str(table.index[0]),
        "last": str(table.index[-1]),
        "sha256": digests[0] if len(digests) == 1 else ",".join(digests),
    }


def _without_gaps(table: pd.DataFrame, name: str) -> pd.DataFrame:
    if len(table) < 2:
        return table.dropna()
    step = table.index.to_series().diff().min()
    full = pd.date_range(table.index[0], table.index[-1], freq=step)
    whole = table.dropna()
    if len(whole) < len(full):
        first = full.difference(whole.index)[0]
        warnings.warn(
            f"{name}: {len(full) - len(whole)} of {len(full)} moments without a candle left out, "
            f"first {first}; the return across a gap is one of more than a time frame.",
            stacklevel=4,
        )
    return whole
