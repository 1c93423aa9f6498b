"""Every generative model on the same data and the same scores: ``make comparison``."""

import argparse
import time

from joblib import cpu_count

from genfin_lib.applications.comparison.entries import ENTRIES, Budget
from genfin_lib.applications.comparison.run import SEEDS, compare, leaderboard
from genfin_lib.applications.comparison.tasks import TASKS
from genfin_lib.applications.results import FOLDER, write_results


def main() -> None:
    """Run everything and write the tables; a part of it, with names given, is printed only."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=[*TASKS], choices=[*TASKS])
    parser.add_argument("--models", nargs="+", default=[*ENTRIES], choices=[*ENTRIES])
    parser.add_argument("--seeds", nargs="+", type=int, default=[*SEEDS])
    parser.add_argument("--jobs", type=int, default=cpu_count())
    asked = parser.parse_args()
    began = time.perf_counter()
    tasks = [TASKS[name]() for name in asked.tasks]
    models = {name: ENTRIES[name] for name in asked.models}
    table, densities = compare(tasks, models, seeds=asked.seeds, n_jobs=asked.jobs)
    print(leaderboard(table).round(4).to_string(index=False))
    if (asked.tasks, asked.models, asked.seeds) != ([*TASKS], [*ENTRIES], [*SEEDS]):
        return
    write_results(
        "comparison",
        table,
        command="make comparison",
        seed=0,
        inputs=sorted({name for task in tasks for name in task.inputs}),
        facts={
            "seconds": round(time.perf_counter() - began),
            "examples": Budget().examples,
            "processes": asked.jobs,
        },
    )
    densities.to_parquet(FOLDER / "comparison_log_prob.parquet", index=False)


if __name__ == "__main__":
    main()
