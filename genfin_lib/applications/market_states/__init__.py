"""Glow on market states: densities, scenarios, anomalies and what trading on them earned."""

from genfin_lib.applications.market_states.densities import density_models, held_out, history_study
from genfin_lib.applications.market_states.evenings import Evenings, walk_states
from genfin_lib.applications.market_states.rules import RULES, state_backtests

__all__ = [
    "RULES",
    "Evenings",
    "density_models",
    "held_out",
    "history_study",
    "state_backtests",
    "walk_states",
]
