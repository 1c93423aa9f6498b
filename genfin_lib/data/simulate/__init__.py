"""Simulated markets whose truth is known: labels, latent values, exact laws.

A model trained on them can be scored against the truth, which no market ever shows.
Everything drawn here is simulated and is called so in every figure that shows it.
"""

from genfin_lib.data.simulate.candles import simulate_candles
from genfin_lib.data.simulate.factors import FactorSample, simulate_factors
from genfin_lib.data.simulate.garch import GarchSample, garch_kurtosis, simulate_garch
from genfin_lib.data.simulate.multiscale import MultiscaleSample, simulate_multiscale
from genfin_lib.data.simulate.order_book import OrderBookSample, simulate_order_book
from genfin_lib.data.simulate.regimes import RegimeSample, simulate_regimes

__all__ = [
    "FactorSample",
    "GarchSample",
    "MultiscaleSample",
    "OrderBookSample",
    "RegimeSample",
    "garch_kurtosis",
    "simulate_candles",
    "simulate_factors",
    "simulate_garch",
    "simulate_multiscale",
    "simulate_order_book",
    "simulate_regimes",
]
