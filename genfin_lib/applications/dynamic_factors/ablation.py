"""What the parts of the plain recurrent model are worth, on factors whose truth is known.

One part at a time is taken from the model of networks: the learned prior, the warm-up of the KL,
the gated unit, the recurrence. The last step of ``make rvrae``.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from genfin_lib.applications.dynamic_factors.forecaster import NoMemory
from genfin_lib.applications.results import write_results
from genfin_lib.data import simulate_factors
from genfin_lib.data.simulate.factors import FactorSample
from genfin_lib.latent import RVRAE, Panel, StandardPrior
from genfin_lib.training import fit

SERIES, FACTORS, HIDDEN = 20, 3, 16
DAYS, TRAIN = 10_000, 8_000
SEEDS = (0, 1, 2)


class LongShortCell(nn.Module):
    """Long short-term memory behind the same extracting layer; the state holds both its halves.

    Args:
        inputs: Number of inputs.
        hidden: Size of the state, even.
        width: Units of the extracting layer.
    """

    def __init__(self, inputs: int, hidden: int, *, width: int = 32) -> None:
        super().__init__()
        self.extract = nn.Linear(inputs, width)
        self.lstm = nn.LSTMCell(width, hidden // 2)

    def forward(self, inputs: Tensor, state: Tensor) -> Tensor:
        """State after the day, ``(N, hidden)``."""
        short, long = state.chunk(2, dim=-1)
        after = self.lstm(torch.relu(self.extract(inputs)), (short.contiguous(), long.contiguous()))
        return torch.cat(after, dim=-1)


VARIANTS: dict[str, Callable[[], RVRAE]] = {
    "everything": (plain := partial(RVRAE, SERIES, FACTORS, hidden=HIDDEN)),
    "N(0, I) prior": lambda: plain(prior=StandardPrior(FACTORS)),
    "no warm-up": partial(plain, warm_up=0.0),
    "LSTM": lambda: plain(cell=LongShortCell(SERIES + FACTORS, HIDDEN)),
    "no recurrence": lambda: plain(cell=NoMemory()),
}


def explained(world: FactorSample, seen: np.ndarray, days: slice) -> np.ndarray:
    """R2 of each true factor, regressed on ``seen`` in the first half of ``days``, in the second.

    Each hidden state has a regression of its own: its factors are known up to a rotation.

    Args:
        world: The truth.
        seen: What a model says of each day, ``(n, M)``.
        days: Which days.
    """
    truth, states = world.factors[days], range(len(world.loadings))
    design = np.column_stack((np.ones(len(world.factors)), seen))[days]
    own = np.hstack([design * (world.labels[days] == state)[:, None] for state in states])
    half = len(truth) // 2
    fitted = own[half:] @ np.linalg.lstsq(own[:half], truth[:half])[0]
    rest: np.ndarray = ((truth[half:] - fitted) ** 2).mean(axis=0)
    return 1 - rest / truth[half:].var(axis=0)


def best_known(world: FactorSample) -> np.ndarray:
    """Mean of the factors given the day and its state, which no model is told, ``(days, M)``."""
    found = np.empty_like(world.factors)
    own = np.diag(world.idiosyncratic_volatility**2)
    for state, (loadings, covariance) in enumerate(
        zip(world.loadings, world.covariances, strict=True)
    ):
        inverse = np.linalg.pinv(loadings)
        gain = inverse @ (covariance - own) @ np.linalg.inv(covariance)
        days = world.labels == state
        found[days] = world.returns[days] @ gain.T
    return found


def ablate(
    name: str, seed: int, *, days: int = DAYS, train: int = TRAIN, epochs: int = 60
) -> dict[str, float | str]:
    """Train one variant and judge it on later days of the same simulated market.

    Args:
        name: One of `VARIANTS`.
        seed: Of weights, batches and draws; the market is always the same.
        days: Length of the simulated market.
        train: How many of its days are for training.
        epochs: Sweeps over them.

    Returns:
        ``model, seed``; ``gap``, nats a day and series below the exact density; ``r2_1, r2_2, ...``
        of the true factors, by `explained`; ``best_1, ...``, the same of `best_known`; ``kl``, nats
        a day.
    """
    world = simulate_factors(days, SERIES, seed=0, degrees_of_freedom=math.inf)
    scale = world.returns[:train].std(axis=0)
    panel = Panel.of(torch.tensor(world.returns / scale, dtype=torch.float32)[None])
    torch.manual_seed(seed)
    model = VARIANTS[name]()
    stretches = panel.days(0, train).windows(50)
    fit(
        model,
        stretches,
        seed=seed,
        epochs=epochs,
        batch_size=20,
        learning_rate=5e-3,
        cosine=True,
        clip_norm=1.0,
    )
    scores = model.log_scores(panel, seed=0)[0].double().numpy() - np.log(scale).sum()
    with torch.no_grad():
        factors = model.filter(panel).factors[0].numpy()
        kl = model.elbo(panel).kl[0, train:].mean().item()
    later = slice(train, None)
    gap = (world.log_likelihood - scores)[later].mean() / SERIES
    found = enumerate(explained(world, factors, later), 1)
    best = enumerate(explained(world, best_known(world), later), 1)
    return {
        "model": name,
        "seed": seed,
        "gap": gap,
        "kl": kl,
        **{f"r2_{k}": value for k, value in found},
        **{f"best_{k}": value for k, value in best},
    }


def main() -> None:
    """Every variant with every seed."""
    rows = []
    for name in VARIANTS:
        for seed in SEEDS:
            rows.append(ablate(name, seed))
            print(rows[-1], flush=True)
    write_results("rvrae_ablation", pd.DataFrame(rows), command="make rvrae", seed=0, inputs=())


if __name__ == "__main__":
    main()
