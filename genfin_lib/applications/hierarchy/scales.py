"""Generated windows scale by scale, flat beside hierarchical: part of `make hierarchy`.

The bound and the cost of sampling; momentum and clustering of sums over several horizons; distance
to the data at each; moments by regime. Bands come from sets of windows as large as the test.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor

from genfin_lib.applications.comparison import wasserstein_by_horizon
from genfin_lib.applications.hierarchy.models import STEPS, models, train
from genfin_lib.applications.hierarchy.sets import Sets, equity_windows, simulated_windows
from genfin_lib.applications.results import write_results
from genfin_lib.distributions import fixed_seed

SEEDS = (0, 1, 2)
SCALES = {"simulator": (1, 8, 32), "equity": (1, 5, 21)}
COMPARED = {
    "simulator": ("flat, 16, t", "flat, 84, t", "hierarchical, t"),
    "equity": ("flat, 16, t", "hierarchical, t"),
}
SETS = 40  # drawn for each band


def persistence(x: np.ndarray, scale: int) -> tuple[float, float]:
    r"""Momentum and clustering at a scale, pairs within windows, all windows pooled.

    .. math:: \mathrm{corr}(s_k, s_{k+1}), \qquad \mathrm{corr}(|s_k|, |s_{k+1}|)

    with :math:`s_k` the sum of the :math:`k`-th ``scale`` returns of a window, which do not
    overlap.

    Args:
        x: Returns, ``(windows, T)``.
        scale: Steps that are summed.

    Raises:
        ValueError: If a window does not hold two sums.
    """
    if x.ndim != 2 or x.shape[1] < 2 * scale:
        raise ValueError(f"windows of shape {x.shape} do not hold two sums of {scale}")
    sums = x[:, : x.shape[1] // scale * scale].reshape(len(x), -1, scale).sum(axis=2)
    momentum, clustering = (
        float(np.corrcoef(s[:, :-1].ravel(), s[:, 1:].ravel())[0, 1]) for s in (sums, np.abs(sums))
    )
    return momentum, clustering


def by_regime(x: np.ndarray, edge: float) -> dict[str, float]:
    """Share of wild windows, and volatility and excess kurtosis of returns in calm and wild ones.

    NaN where there is no such window.

    Args:
        x: Returns, ``(windows, T)``.
        edge: Volatility of a window above which it is called wild.
    """
    wild = x.std(axis=1) > edge
    found = {"wild share": float(wild.mean())}
    for name, part in (("calm", x[~wild]), ("wild", x[wild])):
        # A small set may have no window of a kind.
        both = (part.std(), stats.kurtosis(part.ravel())) if len(part) else (np.nan, np.nan)
        found[f"volatility, {name}"], found[f"kurtosis, {name}"] = map(float, both)
    return found


def described(
    x: np.ndarray, real: np.ndarray, *, scales: Sequence[int], edge: float
) -> dict[tuple[str, int], float]:
    """All that is compared, by statistic and scale (0: none).

    Args:
        x: A set of windows, ``(N, T)``.
        real: Windows that distances are measured to.
        scales: Steps that are summed.
        edge: As for `by_regime`.
    """
    found: dict[tuple[str, int], float] = {}
    for scale in scales:
        found["momentum", scale], found["clustering", scale] = persistence(x, scale)
    for scale, value in wasserstein_by_horizon(real, x, horizons=scales).items():
        found["distance", scale] = value
    return found | {(name, 0): value for name, value in by_regime(x, edge).items()}


def banded(many: Iterable[dict[tuple[str, int], float]]) -> pd.DataFrame:
    """Mean and the quantiles of 5 and 95 % over sets, a row a statistic and scale."""
    table = pd.DataFrame(list(many))
    table.columns = pd.MultiIndex.from_tuples(table.columns)
    out = pd.DataFrame(
        {"value": table.mean(), "low": table.quantile(0.05), "high": table.quantile(0.95)}
    )
    return out.rename_axis(["statistic", "scale"]).reset_index()


def fresh(part: str, sets: Sets, draws: int) -> Iterator[np.ndarray]:
    """Sets of the size of the test from the data's own law, for its band.

    Of the simulator, windows drawn from the many of the past, which have the law of the later ones.
    Of stocks, the test with its dates drawn again: all stocks of a date stay together.

    Args:
        part: A key of `COMPARED`.
        sets: Windows.
        draws: How many sets.
    """
    test, times = sets.later[sets.validation :], sets.times[sets.validation :]
    dates = np.unique(times)
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        if part == "simulator":
            yield _numpy(sets.train[rng.choice(len(sets.train), len(test))])
        else:
            some = rng.choice(dates, len(dates))
            yield np.concatenate([_numpy(test[times == date]) for date in some])


def judged(
    build: Callable[[], Any],
    sets: Sets,
    *,
    seed: int,
    describe: Callable[[np.ndarray], dict[tuple[str, int], float]],
    steps: int = STEPS,
    draws: int = SETS,
) -> pd.DataFrame:
    """Train a model, draw sets of windows from it, and describe them.

    Args:
        build: Makes the model.
        sets: Windows.
        seed: Of weights, order, noise and draws.
        steps: Batches of training.
        draws: Sets for the bands.
        describe: What is computed of a set.

    Returns:
        As `banded`, with ``elbo``, nats a dimension, beside which the tables of
        `genfin_lib.applications.hierarchy.run` have the tighter bound of the same models; and
        ``sampling``, processor seconds for a thousand windows.
    """
    model, test = train(build, sets.train, seed=seed, steps=steps), sets.later[sets.validation :]
    with torch.no_grad(), fixed_seed(seed):
        facts = {"elbo": model.elbo(test).bound.mean().item() / test[0].numel()}
    facts["sampling"] = min(_seconds(model, k) for k in range(3))
    windows = (_numpy(model.sample(len(test), seed=draw)) for draw in range(draws))
    table = banded(map(describe, windows))
    single = pd.DataFrame({"statistic": facts.keys(), "scale": 0, "value": facts.values()})
    return pd.concat((single, table), ignore_index=True)


def study(
    part: str, sets: Sets, seeds: Sequence[int] = SEEDS, *, steps: int = STEPS, draws: int = SETS
) -> pd.DataFrame:
    """The data and each model described, a row a statistic, scale and seed.

    Args:
        part: A key of `COMPARED`.
        sets: Windows.
        seeds: One run of each model for each.
        steps: Batches of training.
        draws: Sets for the bands.
    """
    real = _numpy(sets.later[sets.validation :])
    edge = float(np.quantile(_numpy(sets.train).std(axis=1), 0.75))

    def describe(x: np.ndarray) -> dict[tuple[str, int], float]:
        return described(x, real, scales=SCALES[part], edge=edge)

    data = banded(map(describe, fresh(part, sets, draws)))
    once = pd.Series(describe(real)).rename_axis(["statistic", "scale"]).rename("value")
    tables = [
        once.reset_index().assign(model="test", seed=0),
        data.assign(model="fresh", seed=0),
    ]
    builders = models(part, sets.train)
    for name in COMPARED[part]:
        for seed in seeds:
            found = judged(
                builders[name], sets, seed=seed, describe=describe, steps=steps, draws=draws
            )
            tables.append(found.assign(model=name, seed=seed))
            print(f"{part}: {name}, seed {seed}: described", flush=True)
    keys = ["part", "model", "seed", "statistic", "scale", "value", "low", "high"]
    return pd.concat(tables).assign(part=part)[keys]


def main() -> None:
    """Both parts, into one table."""
    torch.set_num_threads(1)
    sets = {"simulator": simulated_windows(), "equity": equity_windows()}
    table = pd.concat([study(part, windows) for part, windows in sets.items()])
    facts = {"steps": STEPS, "sets": SETS}
    write_results(
        "hierarchy_scales",
        table,
        command="make hierarchy",
        seed=0,
        inputs=("sp500_stocks",),
        facts=facts,
    )


def _numpy(x: Tensor) -> np.ndarray:
    return x[:, :, 0].double().numpy()


def _seconds(model: Any, seed: int) -> float:
    began = time.process_time()
    with torch.no_grad():
        model.sample(1000, seed=seed)
    return time.process_time() - began


if __name__ == "__main__":
    main()
