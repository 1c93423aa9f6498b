"""Densities of market states on later data: Glow among its peers, and by length of history."""

import math
from collections.abc import Callable, Sequence

import pandas as pd
import torch
from torch import Tensor

from genfin_lib.data import (
    Standardizer,
    chronological_split,
    market_state_features,
    to_tensor,
)
from genfin_lib.distributions import GaussianMixture, MultivariateStudentT, StudentT, fixed_seed
from genfin_lib.flows import Flow, Glow, maf, neural_spline_flow, real_nvp
from genfin_lib.training import fit

# Days a state looks back: purged at each boundary, so that no bar is on both sides.
GAP = 63
GLOW = "Glow, t base"
ALL = "all"


def state_glow(features: int, *, seed: int) -> Glow:
    """The Glow of the chapter, its design chosen on validation days.

    Args:
        features: Dimension of a state.
        seed: Of the initial weights.
    """
    return Glow(features, hidden=(64,), base=StudentT(features), seed=seed)


def density_models(features: int) -> dict[str, Callable[[int], Flow]]:
    """Glow and the flows it is compared with, each from a seed.

    Peers have a Gaussian base, as published; the best of them, MAF, has a Student-t base too, as
    RealNVP has: what a heavy tail gains is then not taken for what an architecture gains.

    Args:
        features: Dimension of a state.
    """

    def t() -> StudentT:
        return StudentT(features)

    return {
        "mixture of 4 Gaussians": lambda seed: _mixture(features, seed),
        "RealNVP, t base": lambda seed: real_nvp(features, hidden=(64,), base=t(), seed=seed),
        "MAF": lambda seed: maf(features, seed=seed),
        "MAF, t base": lambda seed: maf(features, base=t(), seed=seed),
        "spline coupling": lambda seed: neural_spline_flow(features, seed=seed),
        "spline autoregressive": lambda seed: neural_spline_flow(
            features, transforms=4, autoregressive=True, seed=seed
        ),
        "Glow": lambda seed: Glow(features, hidden=(64,), seed=seed),
        "Glow, t base, rotated": lambda seed: Glow(
            features, hidden=(64,), base=t(), rotate=True, seed=seed
        ),
        GLOW: lambda seed: state_glow(features, seed=seed),
    }


def _mixture(features: int, seed: int) -> Flow:
    with fixed_seed(seed):
        means = torch.randn(4, features)
    return Flow(features, transforms=(), base=GaussianMixture(features, 4, means=means))


def train(model: Flow, parts: Sequence[Tensor], *, seed: int, epochs: int) -> Flow:
    """Train on the first part, stop by the second.

    Args:
        model: Untrained.
        parts: Training and validation rows, and any others.
        seed: Of the shuffling.
        epochs: At most.
    """
    fit(model, parts[0], parts[1], seed=seed, epochs=epochs, patience=10)
    return model


def standardized(parts: Sequence[pd.DataFrame]) -> list[Tensor]:
    """Parts in units of the first one's standard deviations."""
    scaler = Standardizer().fit(parts[0])
    return [to_tensor(scaler.transform(part)) for part in parts]


@torch.no_grad()
def nll(models: Sequence[Flow | MultivariateStudentT], x: Tensor) -> float:
    """Mean negative log-likelihood of the mean of some densities, nats per row."""
    log_probs = torch.stack([model.log_prob(x) for model in models])
    return math.log(len(models)) - log_probs.logsumexp(dim=0).mean().item()


def held_out(
    states: pd.DataFrame, *, seeds: Sequence[int] = (0, 1, 2), epochs: int = 40
) -> pd.DataFrame:
    """Every model on the same split of the same states.

    Args:
        states: As `market_state_features` returns them.
        seeds: One training for each.
        epochs: Largest number of passes.

    Returns:
        ``model, seed, validation, later``: NLL in nats per row of standardised states; as seed
        `ALL`, that of the mean of the seeds' densities. The Gaussian and the t, fitted in closed
        steps, have one row each.
    """
    parts = standardized(chronological_split(states, gap=GAP))
    rows: list[tuple[str, str, float, float]] = []

    def judge(name: str, seed: str, models: Sequence[Flow | MultivariateStudentT]) -> None:
        rows.append((name, seed, nll(models, parts[1]), nll(models, parts[2])))

    judge("Gaussian", "0", [MultivariateStudentT.fit(parts[0], df=math.inf)])
    judge("multivariate t", "0", [MultivariateStudentT.fit(parts[0])])
    for name, build in density_models(states.shape[1]).items():
        models = [train(build(seed), parts, seed=seed, epochs=epochs) for seed in seeds]
        for seed, model in zip(seeds, models, strict=True):
            judge(name, str(seed), [model])
        judge(name, ALL, models)
    return pd.DataFrame(rows, columns=["model", "seed", "validation", "later"])


def history_study(
    bars: pd.DataFrame,
    *,
    years: Sequence[int] = (1, 2, 4, 8, 12),
    seeds: Sequence[int] = (0, 1, 2),
    end: str = "2011-12-31",
    epochs: int = 60,
) -> pd.DataFrame:
    """How much history, and which bars, a density needs: the same later days for every length.

    Training ends at `end`, the two years after it are validation, all days later are the judge.
    States of daily and of weekly bars are other variables in other units, so what is compared is
    the gain over a Gaussian fitted to the same rows.

    Args:
        bars: Daily, as for `market_state_features`.
        years: Lengths of the training period.
        seeds: One training for each.
        end: Last day of training.
        epochs: Largest number of passes.

    Returns:
        ``frequency, years, rows, seed, gaussian, glow``: NLL of the later days, nats per row.
    """
    how = dict.fromkeys(bars.columns, "last")
    how |= {"Open": "first", "High": "max", "Low": "min", "Volume": "sum"}
    weekly = bars.resample("W-FRI").agg(how).dropna()
    rows = []
    for frequency, table, gap in (("daily", bars, GAP), ("weekly", weekly, GAP // 5)):
        states = market_state_features(table)
        last = pd.Timestamp(end)
        middle = last + pd.DateOffset(years=2)
        for count in years:
            past = states[last - pd.DateOffset(years=count) : last]
            if len(past) < 5 * states.shape[1]:
                continue
            later = states[last:middle].iloc[gap:], states[middle:].iloc[gap:]
            parts = standardized([past, *later])
            gaussian = nll([MultivariateStudentT.fit(parts[0], df=math.inf)], parts[2])
            for seed in seeds:
                model = train(
                    state_glow(states.shape[1], seed=seed), parts, seed=seed, epochs=epochs
                )
                glow = nll([model], parts[2])
                rows.append((frequency, count, len(past), seed, gaussian, glow))
    return pd.DataFrame(rows, columns=["frequency", "years", "rows", "seed", "gaussian", "glow"])
