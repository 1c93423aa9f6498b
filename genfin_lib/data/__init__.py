"""Market data, from committed snapshots to tensors, without looking ahead.

The usual path is `load` -> `log_returns` -> `chronological_split` -> `Standardizer`
fitted on the training part -> `windows` or `volatility_context` -> `to_tensor`.
"""

from genfin_lib.data.bars import BarCoordinates
from genfin_lib.data.context import volatility_context
from genfin_lib.data.exchange import (
    fetch_funding_rates,
    fetch_ohlcv,
    fetch_open_interest,
    fetch_order_book,
    fetch_trades,
)
from genfin_lib.data.features import market_state_features, technical_indicators
from genfin_lib.data.order_book import OrderBook, trades_from_ccxt
from genfin_lib.data.order_flow import (
    depth_imbalance,
    interval_volumes,
    kyle_lambda,
    order_flow_features,
    order_flow_imbalance,
    vpin,
    vwap_deviation,
)
from genfin_lib.data.returns import log_returns, portfolio_returns, simple_returns
from genfin_lib.data.scaling import Standardizer, Winsorizer
from genfin_lib.data.simulate import (
    FactorSample,
    GarchSample,
    MultiscaleSample,
    OrderBookSample,
    RegimeSample,
    garch_kurtosis,
    simulate_candles,
    simulate_factors,
    simulate_garch,
    simulate_multiscale,
    simulate_order_book,
    simulate_regimes,
)
from genfin_lib.data.snapshots import catalogue, load, provenance
from genfin_lib.data.splits import chronological_split, window_ends, windows
from genfin_lib.data.tensors import to_tensor
from genfin_lib.data.toys import HalfMoons
from genfin_lib.data.trade_signs import lee_ready, quote_rule, quotes_before, tick_rule

__all__ = [
    "BarCoordinates",
    "FactorSample",
    "GarchSample",
    "HalfMoons",
    "MultiscaleSample",
    "OrderBook",
    "OrderBookSample",
    "RegimeSample",
    "Standardizer",
    "Winsorizer",
    "catalogue",
    "chronological_split",
    "depth_imbalance",
    "fetch_funding_rates",
    "fetch_ohlcv",
    "fetch_open_interest",
    "fetch_order_book",
    "fetch_trades",
    "garch_kurtosis",
    "interval_volumes",
    "kyle_lambda",
    "lee_ready",
    "load",
    "log_returns",
    "market_state_features",
    "order_flow_features",
    "order_flow_imbalance",
    "portfolio_returns",
    "provenance",
    "quote_rule",
    "quotes_before",
    "simple_returns",
    "simulate_candles",
    "simulate_factors",
    "simulate_garch",
    "simulate_multiscale",
    "simulate_order_book",
    "simulate_regimes",
    "technical_indicators",
    "tick_rule",
    "to_tensor",
    "trades_from_ccxt",
    "volatility_context",
    "vpin",
    "vwap_deviation",
    "window_ends",
    "windows",
]
