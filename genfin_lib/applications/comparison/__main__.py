"""Every generative model on the same data and the same scores: ``make comparison``."""

import argparse

from joblib import cpu_count

from genfin_lib.applications.comparison.entries import ENTRIES, Budget
from genfin_lib.applications.comparison.run import SEEDS, compare, leaderboard
from genfin_lib.applications.comparison.tasks import TASKS
from genfin_lib.applications.results import write_results


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
    for name, part in (("comparison", table), ("comparison_losses", losses)):
        write_results(
            name,
            part,
            command="make comparison",
            seed=0,
            inputs=sorted({name for task in tasks for name in task.inputs}),
        )


if __name__ == "__main__":
    main()
