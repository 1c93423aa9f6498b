"""Every generative model on the same data and the same scores."""

from genfin_lib.applications.comparison.adapters import Generator
from genfin_lib.applications.comparison.distances import (
    DiscrepancyTest,
    kernel_scores,
    maximum_mean_discrepancy,
    median_distance,
    wasserstein_by_horizon,
)
from genfin_lib.applications.comparison.entries import ENTRIES, Budget, Entry, Training
from genfin_lib.applications.comparison.run import against, compare, leaderboard
from genfin_lib.applications.comparison.scores import (
    Coverage,
    Novelty,
    TailRisk,
    auroc,
    mode_coverage,
    novelty,
    scrambled,
    tail_risk,
)
from genfin_lib.applications.comparison.scoring import score
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
    "Training",
    "against",
    "auroc",
    "compare",
    "kernel_scores",
    "leaderboard",
    "maximum_mean_discrepancy",
    "median_distance",
    "mode_coverage",
    "novelty",
    "score",
    "scrambled",
    "tail_risk",
    "wasserstein_by_horizon",
]
