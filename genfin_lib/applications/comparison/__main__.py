"""Every generative model on the same data and the same scores: ``make comparison``."""

import argparse
import math

from joblib import cpu_count

from genfin_lib.applications.comparison.entries import ENTRIES, Budget
from genfin_lib.applications.comparison.run import SEEDS, compare, leaderboard
from genfin_lib.applications.comparison.tasks import TASKS
from genfin_lib.applications.results import write_results

# How far the order depends on the budget: this many times as long, one seed, nothing chosen by it.
LONGER = 4.0


def main() -> None:
    """Run everything and write the tables; a part of it, with names given, is printed only."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=[*TASKS], choices=[*TASKS])
    parser.add_argument("--models", nargs="+", default=[*ENTRIES], choices=[*ENTRIES])
    parser.add_argument("--seeds", nargs="+", type=int, default=[*SEEDS])
    parser.add_argument("--times", type=float, default=1.0, help="of the published training")
    parser.add_argument("--jobs", type=int, default=cpu_count())
    asked = parser.parse_args()
    tasks = [TASKS[name]() for name in asked.tasks]
    models = {name: ENTRIES[name] for name in asked.models}
    table, losses = compare(
        tasks, models, seeds=asked.seeds, budget=Budget(times=asked.times), n_jobs=asked.jobs
    )
    print(leaderboard(table).round(4).to_string(index=False))
    whole = [*TASKS], [*ENTRIES], [*SEEDS], 1.0
    if (asked.tasks, asked.models, asked.seeds, asked.times) != whole:
        return
    learning = {n: e for n, e in models.items() if math.inf not in (e.windows, e.rows)}
    longer, _ = compare(
        tasks, learning, seeds=SEEDS[:1], budget=Budget(times=LONGER), n_jobs=asked.jobs
    )
    tables = {"comparison": table, "comparison_losses": losses, "comparison_longer": longer}
    for name, part in tables.items():
        write_results(
            name,
            part,
            command="make comparison",
            seed=0,
            inputs=sorted({name for task in tasks for name in task.inputs}),
        )


if __name__ == "__main__":
    main()
