"""What a market looks like at this moment: its order book and its last trades. Nothing is kept."""

import pandas as pd

from genfin_lib.data.exchange.client import Exchange, opened
from genfin_lib.data.order_book import OrderBook, trades_from_ccxt


def fetch_order_book(
    symbol: str, levels: int = 50, exchange: str | Exchange = "bybit"
) -> OrderBook:
    """The order book now, one snapshot.

    Args:
        symbol: As for `fetch_ohlcv`.
        levels: On each side; Bybit gives at most 50 of a spot market. Fewer come if the book has
            fewer.
        exchange: As for `fetch_ohlcv`.

    Returns:
        Prices in quote, sizes in base currency, time in seconds since 1970.

    Raises:
        ValueError: unknown exchange or symbol, no levels asked for, an empty or a crossed book.
        ExchangeUnavailable: as for `fetch_ohlcv`.
    """
    market = opened(exchange)
    market.require(symbol)
    book = market.call(lambda: market.client.fetch_order_book(symbol, levels))
    stamp = book["timestamp"] or market.now()
    depth = min(levels, len(book["bids"]), len(book["asks"]))
    return OrderBook.from_ccxt([{**book, "timestamp": stamp}], depth)


def fetch_trades(
    symbol: str, limit: int | None = None, exchange: str | Exchange = "bybit"
) -> pd.DataFrame:
    """The last public trades.

    Exchanges give the latest ones only (Bybit: 60 of a spot market, 1,000 of a perpetual): for a
    longer history ask often, and keep what is new.

    Args:
        symbol: As for `fetch_ohlcv`.
        limit: How many; as many as the exchange likes if `None`.
        exchange: As for `fetch_ohlcv`.

    Returns:
        `time` (seconds since 1970), `price` (quote), `size` (base) and `side` of whoever crossed
        the spread (+1 bought, -1 sold), oldest first.

    Raises:
        ValueError: unknown exchange or symbol, or no trade.
        ExchangeUnavailable: as for `fetch_ohlcv`.
    """
    market = opened(exchange)
    market.require(symbol)
    trades = market.call(lambda: market.client.fetch_trades(symbol, None, limit))
    if not trades:
        raise ValueError(f"{market.name} has no recent trade of {symbol}: ask again later.")
    return trades_from_ccxt(trades)
