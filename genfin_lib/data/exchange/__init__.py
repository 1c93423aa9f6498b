"""Live market data through ccxt: fetched in pages, kept on disk, with gaps that show."""

from genfin_lib.data.exchange.book import fetch_order_book, fetch_trades
from genfin_lib.data.exchange.client import Exchange, ExchangeUnavailable, Retry, opened
from genfin_lib.data.exchange.faults import FAULTS, REFUSALS, Fault, at_random, each_once, send
from genfin_lib.data.exchange.fetch import fetch_funding_rates, fetch_ohlcv, fetch_open_interest
from genfin_lib.data.exchange.replay import BybitReplay
from genfin_lib.data.exchange.store import Store

__all__ = [
    "FAULTS",
    "REFUSALS",
    "BybitReplay",
    "Exchange",
    "ExchangeUnavailable",
    "Fault",
    "Retry",
    "Store",
    "at_random",
    "each_once",
    "fetch_funding_rates",
    "fetch_ohlcv",
    "fetch_open_interest",
    "fetch_order_book",
    "fetch_trades",
    "opened",
    "send",
]
