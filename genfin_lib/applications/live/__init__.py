"""From closed candles to a position on paper, candle by candle, and how long that takes."""

from genfin_lib.applications.live.paper import PaperAccount, follow, journal_table, replay
from genfin_lib.applications.live.pipeline import Decision, RiskPipeline

__all__ = [
    "Decision",
    "PaperAccount",
    "RiskPipeline",
    "follow",
    "journal_table",
    "replay",
]
