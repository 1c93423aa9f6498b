"""Fetch candles into the cache: ``make data SYMBOL=BTC/USDT TIMEFRAME=1h SINCE=2023-01-01``."""

import argparse
import sys

from genfin_lib.data.exchange.client import Exchange, ExchangeUnavailable
from genfin_lib.data.exchange.fetch import fetch_ohlcv, store_of


def main(arguments: list[str] | None = None) -> int:
    """Fetch, say what there is now, or say what can be done; the exit status."""
    parser = argparse.ArgumentParser(prog="make data", description=__doc__)
    parser.add_argument("--symbol", required=True, help="BTC/USDT, or several with commas")
    parser.add_argument("--timeframe", default="1h")
    parser.add_argument("--since", default="2023-01-01")
    parser.add_argument("--until")
    parser.add_argument("--exchange", default="bybit")
    parser.add_argument("--url", help="scheme and host instead of the exchange's own")
    asked = parser.parse_args(arguments)
    symbols = asked.symbol.split(",")
    try:
        candles = fetch_ohlcv(
            symbols,
            asked.timeframe,
            asked.since,
            asked.until or None,
            Exchange(asked.exchange, base_url=asked.url or None),
            progress=True,
        )
    except (ExchangeUnavailable, TimeoutError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. What came is kept; the same command goes on from there.", file=sys.stderr)
        return 130
    for symbol in symbols:
        table = candles[symbol].dropna(how="all")
        holes = candles[symbol].loc[table.index[0] : table.index[-1], "Close"].isna().sum()
        print(
            f"{symbol} {asked.timeframe} of {asked.exchange}: {len(table)} candles, "
            f"{table.index[0]} to {table.index[-1]} UTC, {holes} missing; "
            f"{store_of(asked.exchange, symbol, asked.timeframe).folder}"
        )
    prefix = "" if asked.exchange == "bybit" else f"{asked.exchange}:"
    print(f'genfin_lib.data.load("{prefix}{asked.symbol}:{asked.timeframe}") reads the closes')
    return 0


if __name__ == "__main__":
    sys.exit(main())
