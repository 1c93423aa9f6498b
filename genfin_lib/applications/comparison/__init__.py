"""Every generative model on the same data and the same scores."""

from genfin_lib.applications.comparison.entries import ENTRIES, Budget, Entry, Generator
from genfin_lib.applications.comparison.run import compare, leaderboard, score
from genfin_lib.applications.comparison.scores import (
    Coverage,
    DiscrepancyTest,
    Novelty,
    TailRisk,
    maximum_mean_discrepancy,
    mode_coverage,
    novelty,
    tail_risk,
    wasserstein_by_horizon,
)
from genfin_lib.applications.comparison.tasks import TASKS, Task

__all__ = [
    "ENTRIES",
    "TASKS",
    "Budget",
    "Coverage",
    "DiscrepancyTest",
    "Entry",
    "Generator",
    "Novelty",
    "TailRisk",
    "Task",
    "compare",
    "leaderboard",
    "maximum_mean_discrepancy",
    "mode_coverage",
    "novelty",
    "score",
    "tail_risk",
    "wasserstein_by_horizon",
]
