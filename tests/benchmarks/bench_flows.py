"""Our flows against zuko, nflows, normflows and torchcfm: `make bench`.

Not a test: times differ from machine to machine, ratios much less. Contestants take turns
(A B C A B C), one thread, single precision, CPU time of the process, medians. All have the same
networks and number of parameters, which is checked. A training step is zero_grad, loss, backward
and one step of Adam: fused for ours, since that is what `genfin_lib.training.fit` uses, and with
torch's defaults for the peers, which leave the optimizer to their users.

To add an architecture: a line in `CASES`.
"""

import argparse
import csv
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = "1"

import torch  # noqa: E402

from genfin_lib import flows  # noqa: E402
from genfin_lib.flows.continuous import Adaptive  # noqa: E402
from tests.benchmarks import peers  # noqa: E402
from tests.benchmarks.peers import Contestant  # noqa: E402

BATCH, SAMPLES = 256, 1000
SETTINGS = (
    f"D = {peers.FEATURES}, {peers.TRANSFORMS} transforms, two hidden layers of {peers.HIDDEN}, "
    f"{peers.BINS} bins on [-{peers.BOUND:g}, {peers.BOUND:g}], tolerance {peers.TOLERANCE:g}, "
    f"batch {BATCH}, float32, one thread"
)


def ours(build: Callable[..., flows.Flow], **options: object) -> Callable[[], Contestant]:
    def make() -> Contestant:
        flow = build(
            peers.FEATURES,
            transforms=peers.TRANSFORMS,
            hidden=(peers.HIDDEN, peers.HIDDEN),
            **options,
        )
        return Contestant(flow, flow.log_prob, flow.sample)

    return make


def spline(**options: object) -> Callable[[], Contestant]:
    return ours(flows.neural_spline_flow, bins=peers.BINS, bound=peers.BOUND, **options)


def solved(build: Callable[..., flows.Flow], **options: object) -> Callable[[], Contestant]:
    def make() -> Contestant:
        hidden, solver = (peers.HIDDEN, peers.HIDDEN), Adaptive(peers.TOLERANCE)
        flow = peers.stirred(build(peers.FEATURES, hidden=hidden, solver=solver, **options))
        return Contestant(flow, flow.log_prob, flow.sample, flow.loss)

    return make


@dataclass
class Case:
    """One architecture: ours, the peers, and how many times faster ours has to be."""

    name: str
    ours: Callable[[], Contestant]
    peers: dict[str, Callable[[], Contestant]]
    marks: dict[str, float]


AFFINE = {"log_prob": 1.3, "train": 1.3}
SPLINE = {"log_prob": 2.0, "train": 2.0}
CASES = [
    Case(
        "NICE",
        ours(flows.nice),
        {"nflows": peers.nflows_nice, "normflows": peers.normflows_nice},
        AFFINE,
    ),
    Case(
        "RealNVP",
        ours(flows.real_nvp),
        {
            "zuko": peers.zuko_real_nvp,
            "nflows": peers.nflows_real_nvp,
            "normflows": peers.normflows_real_nvp,
        },
        AFFINE,
    ),
    Case(
        "MAF",
        ours(flows.maf),
        {"zuko": peers.zuko_maf, "nflows": peers.nflows_maf, "normflows": peers.normflows_maf},
        {"log_prob": 1.3, "train": 1.15, "sample": 3.0},
    ),
    Case(
        "IAF",
        ours(flows.iaf),
        {"nflows": peers.nflows_iaf, "normflows": peers.normflows_iaf},
        {"log_prob": 1.3},
    ),
    Case(
        "spline, coupling",
        spline(),
        {"zuko": peers.zuko_spline_coupling, "nflows": peers.nflows_spline_coupling},
        SPLINE,
    ),
    Case(
        "spline, autoregressive",
        spline(autoregressive=True),
        {"zuko": peers.zuko_spline_autoregressive, "nflows": peers.nflows_spline_autoregressive},
        SPLINE | {"sample": 15.0},
    ),
    Case(
        "continuous, exact trace",
        solved(flows.continuous_flow),
        {"zuko": peers.zuko_continuous},
        {"log_prob": 4.0, "train": 4.0},
    ),
    Case("flow matching", solved(flows.FlowMatching), {"torchcfm": peers.torchcfm_matching}, {}),
]


def operations(contestant: Contestant, *, fused: bool) -> dict[str, Callable[[], object]]:
    """What is timed of a contestant."""
    x = torch.randn(BATCH, peers.FEATURES, generator=torch.Generator().manual_seed(0))
    adam = torch.optim.AdamW if fused else torch.optim.Adam
    settings = {"fused": True, "weight_decay": 0.0} if fused else {}
    optimizer = adam(contestant.model.parameters(), lr=1e-4, **settings)

    log_prob = contestant.log_prob
    loss = contestant.loss or (lambda batch: -log_prob(batch).mean())

    def train() -> None:
        optimizer.zero_grad()
        loss(x).backward()
        optimizer.step()

    found = {"train": train, "sample": torch.no_grad()(lambda: contestant.sample(SAMPLES))}
    return (
        found if log_prob is None else {"log_prob": torch.no_grad()(lambda: log_prob(x)), **found}
    )


def seconds(call: Callable[[], object], times: int = 1) -> float:
    start = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - start) / times


def race(calls: dict[str, Callable[[], object]], budget: float) -> dict[str, float]:
    """Median time of each call in milliseconds; the calls take turns until the budget is spent."""
    # Calls of a millisecond are repeated within a turn, or the clock's grain would show.
    turns = {name: max(1, round(5e-3 / min(seconds(call, 2), 1.0))) for name, call in calls.items()}
    taken: dict[str, list[float]] = {name: [] for name in calls}
    end = time.process_time() + budget
    while time.process_time() < end or len(taken[next(iter(taken))]) < 5:
        for name, call in calls.items():
            taken[name].append(seconds(call, turns[name]))
    return {name: 1e3 * statistics.median(times) for name, times in taken.items()}


def rows(case: Case, budget: float) -> list[dict[str, object]]:
    torch.manual_seed(0)
    contestants = {"ours": case.ours(), **{name: make() for name, make in case.peers.items()}}
    # Within a hundredth: NICE ends with a diagonal scale as in its paper, which peers leave out;
    # zuko has two inputs for the time.
    counts = {name: contestant.parameters for name, contestant in contestants.items()}
    if max(counts.values()) > 1.01 * min(counts.values()):
        raise SystemExit(f"{case.name}: unequal numbers of parameters {counts}")
    timed = {
        name: operations(contestant, fused=name == "ours")
        for name, contestant in contestants.items()
    }
    found = []
    for operation in ("log_prob", "train", "sample"):
        calls = {name: its[operation] for name, its in timed.items() if operation in its}
        if len(calls) < len(timed):  # torchcfm has no likelihood
            continue
        times = race(calls, budget)
        mine = times.pop("ours")
        best = min(times, key=times.__getitem__)
        mark = case.marks.get(operation)
        found.append(
            {
                "architecture": case.name,
                "operation": f"sample {SAMPLES}" if operation == "sample" else operation,
                "parameters": counts["ours"],
                "ours_ms": round(mine, 3),
                "peer_ms": round(times[best], 3),
                "peer": best,
                "ratio": round(times[best] / mine, 2),
                "mark": mark or "",
                "passed": "" if mark is None else "yes" if times[best] >= mark * mine else "NO",
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", type=Path, help="also write the table here")
    parser.add_argument("--only", help="architectures whose name contains this")
    parser.add_argument("--budget", type=float, default=6.0, help="seconds for each comparison")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table: list[dict[str, object]] = []
    for case in CASES:
        if arguments.only is None or arguments.only in case.name:
            for row in rows(case, arguments.budget):
                table.append(row)
                if len(table) == 1:
                    print(" ".join(f"{name:>12}" for name in row))
                print(" ".join(f"{value!s:>12.12}" for value in row.values()), flush=True)
    print(
        f"\nCPU milliseconds, medians, contestants in turn; {SETTINGS}.\n"
        "Ratio: the best peer's time over ours. Training step: zero_grad, loss, backward and Adam, "
        "fused\nfor ours as in genfin_lib.training.fit, torch's default for the peers.\n"
        f"torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}."
    )
    if arguments.csv is not None and table:
        with arguments.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(table[0]))
            writer.writeheader()
            writer.writerows(table)
    if any(row["passed"] == "NO" for row in table):
        sys.exit("A mark is missed.")


if __name__ == "__main__":
    main()
