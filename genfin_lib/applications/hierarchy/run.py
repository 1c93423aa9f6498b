"""Flat against hierarchical on equal terms: `make hierarchy` (chapter: hierarchical models).

Nats per dimension of windows later than training, by the importance-weighted bound; exact where a
model has a density. Three sets: single stocks (64 days), the simulator of three scales (8 days of 8
steps) and a panel (32 days of 20 stocks).
"""

import argparse
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats

from genfin_lib.applications.hierarchy.garch import WindowGarch
from genfin_lib.applications.hierarchy.models import BATCH, RATE, STEPS, models, train
from genfin_lib.applications.hierarchy.sets import (
    Sets,
    equity_windows,
    panel_windows,
    simulated_windows,
)
from genfin_lib.applications.results import FOLDER, ROOT, write_results
from genfin_lib.distributions import MultivariateStudentT, fixed_seed
from genfin_lib.latent import HierarchicalVAE, ProbabilisticPCA
from genfin_lib.training import fit

SEEDS = (0, 1, 2)
DRAWS = 64


def baselines(part: str, sets: Sets) -> Iterator[tuple[str, np.ndarray]]:
    """Name and log-density of each later window, for models fitted in seconds."""
    x, later = sets.train, sets.later
    size = later[0].numel()
    if part == "panel":
        days = x[:: x.shape[1]].reshape(-1, x.shape[2])
        law = MultivariateStudentT.fit(days, iterations=30)
        each = law.log_prob(later.reshape(-1, x.shape[2])).view(len(later), -1)
        yield "iid t", each.sum(1).numpy() / size
        center, factor = days.mean(0), torch.linalg.cholesky(torch.cov(days.T))
    else:
        some = x[:: max(1, len(x) // 1000)].flatten().double().numpy()
        for name, family in (("iid Gaussian", stats.norm), ("iid t", stats.t)):
            law = family(*family.fit(some))
            yield name, law.logpdf(later.numpy()).sum((1, 2)) / size
        flat = ProbabilisticPCA.fit(x[::4, :, 0].double(), 16)
        yield "PPCA, 16", flat.log_prob(later[:, :, 0].double()).numpy() / size
        center, factor = x.mean((0, 1)), x.std((0, 1), correction=0)[:, None]
    garch = WindowGarch(center, factor)
    fit(garch, x[:: len(x) // 4000 or 1], seed=0, epochs=4, learning_rate=0.03, cosine=True)
    with torch.no_grad():
        yield "GARCH-t", garch.log_prob(later).numpy() / size


def piece(
    name: str,
    build: Callable[[], Any],
    sets: Sets,
    *,
    seed: int,
    steps: int = STEPS,
    folder: Path | None = None,
) -> pd.DataFrame:
    """Train one model once and judge it on each later window.

    Args:
        name: Of the model.
        build: Makes it.
        sets: Windows.
        seed: Of weights, order and noise.
        steps: Batches of training.
        folder: Where finished pieces are kept, by a digest of data, layers and settings, so that a
            run cut short goes on; nothing is kept if `None`.

    Returns:
        A row a window: `nats` per dimension; `kl_0, kl_1, ...`, nats a window by level, top first
        (flat models have one); `seconds` of training.
    """
    told = repr((name, build(), seed, steps, BATCH, RATE, DRAWS)).encode()
    sha = hashlib.sha256(told)
    for windows in (sets.train, sets.later):
        sha.update(windows.numpy().tobytes())
    path = folder and folder / f"{sha.hexdigest()[:24]}.parquet"
    if path and path.exists():
        return pd.read_parquet(path)
    began = time.process_time()
    rates = {"down.0.": 0.3} if name == "slow top" else None
    model = train(build, sets.train, seed=seed, steps=steps, rates=rates)
    seconds = time.process_time() - began
    with torch.no_grad():
        nats = model.log_prob(sets.later, draws=DRAWS, seed=seed) / sets.later[0].numel()
        with fixed_seed(seed):
            kl = model.elbo(sets.later).kl
    kl = kl if isinstance(model, HierarchicalVAE) else kl.sum(1, keepdim=True)
    columns = {f"kl_{i}": column.numpy() for i, column in enumerate(kl.T)}
    table = pd.DataFrame({"nats": nats.numpy(), **columns, "seconds": seconds})
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(path)
    return table


def study(
    part: str, sets: Sets, seeds: tuple[int, ...], *, steps: int = STEPS, folder: Path | None = None
) -> pd.DataFrame:
    """Nats per dimension by model, seed and time: the mean over the windows of that time.

    Args:
        part: A key of `PARTS`.
        sets: Windows.
        seeds: One run each.
        steps: As for `piece`.
        folder: As for `piece`.

    Returns:
        `part, model, seed, time, period` and the columns of `piece`, which models with a density
        lack but for `nats`.
    """
    is_later = np.arange(len(sets.later)) >= sets.validation
    frame = pd.DataFrame({"time": sets.times, "period": np.where(is_later, "test", "validation")})
    tables = []
    if part in ("simulator", "equity", "panel"):
        known = dict(baselines(part, sets))
        if sets.truth is not None:
            known["truth"] = sets.truth
        tables = [frame.assign(model=name, seed=0, nats=nats) for name, nats in known.items()]
    for name, build in models(part, sets.train).items():
        for seed in seeds:
            found = piece(name, build, sets, seed=seed, steps=steps, folder=folder)
            tables.append(pd.concat((frame.assign(model=name, seed=seed), found), axis=1))
            print(f"{part}: {name}, seed {seed}: {found['nats'][is_later].mean():.4f}", flush=True)
    table = pd.concat(tables).assign(part=part)
    keys = ["part", "model", "seed", "time", "period"]
    return table.groupby(keys, sort=False).mean().reset_index()


# Windows, seeds, batches, data that are read.
PARTS: dict[str, tuple[Callable[[], Sets], tuple[int, ...], int, tuple[str, ...]]] = {
    "simulator": (simulated_windows, SEEDS, STEPS, ()),
    "simulator_longer": (simulated_windows, SEEDS[:1], 3 * STEPS, ()),
    "ingredients": (simulated_windows, SEEDS[:1], STEPS, ()),
    "equity": (equity_windows, SEEDS, STEPS, ("sp500_stocks",)),
    "equity_longer": (equity_windows, SEEDS[:1], 3 * STEPS, ("sp500_stocks",)),
    "panel": (panel_windows, SEEDS, STEPS, ("sp500_stocks",)),
}


def main() -> None:
    """Run the parts named, or all, and write a table of each; pieces done before are not redone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=", ".join(PARTS))
    torch.set_num_threads(1)
    for part in parser.parse_args().parts:
        make, seeds, steps, inputs = PARTS[part]
        folder = ROOT / "data" / "cache" / "hierarchy"
        table = study(part, make(), seeds, steps=steps, folder=folder)
        facts = {"steps": steps, "draws": DRAWS}
        write_results(
            f"hierarchy_{part}", table, command="make hierarchy", seed=0, inputs=inputs, facts=facts
        )
    print(f"tables in {os.path.relpath(FOLDER)}")


if __name__ == "__main__":
    main()
