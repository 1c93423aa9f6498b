"""Days of many stocks: autoencoders beside flows: `make cross-section` (chapter: VAE)."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import pandas as pd
import torch
from torch import Tensor, nn

from genfin_lib.applications.results import write_results
from genfin_lib.data import Standardizer, chronological_split, load, log_returns, to_tensor
from genfin_lib.distributions import MultivariateStudentT, StudentT, fixed_seed
from genfin_lib.flows import Flow, iaf, maf
from genfin_lib.latent import (
    VAE,
    ConstantScaleHead,
    FactorAnalysis,
    NormalHead,
    ProbabilisticPCA,
    StudentTHead,
)
from genfin_lib.risk import block_standard_error
from genfin_lib.training import fit

DATASET = "sp500_stocks"
LATENTS = 8
FLOOR = 0.05
DRAWS = 200
ACTIVE = 0.05  # nats of KL from which a latent counts as used
REFERENCE = "multivariate t"


class Density(Protocol):
    """Anything with a log-density of rows."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Shape ``(N,)``."""


class Days(NamedTuple):
    """Returns of 20 stocks by day, standardised on the training part, in time order."""

    train: Tensor
    validation: Tensor
    test: Tensor


def market_days() -> Days:
    """Training, validation and test days: 70, 15 and 15 %, as in the chapter on tails."""
    parts = chronological_split(log_returns(load(DATASET)))
    scaler = Standardizer().fit(parts[0])
    return Days(*(to_tensor(scaler.transform(part)).float() for part in parts))


class ImportanceWeightedVAE(VAE):
    """Trained on the importance-weighted bound with eight draws, in place of the ELBO.

    Burda, Grosse and Salakhutdinov (2016), https://arxiv.org/abs/1509.00519.
    """

    def loss(self, x: Tensor, *, progress: float = 1.0) -> Tensor:
        """Mean of the negative bound; without warm-up, for there is no KL term to weigh."""
        return -self.log_prob(x, draws=8).mean()


def train_vae(
    x: Tensor,
    head: nn.Module,
    *,
    seed: int,
    epochs: int = 100,
    family: type[VAE] = VAE,
    flow: Flow | None = None,
) -> VAE:
    """A VAE with the settings of the comparison.

    Args:
        x: Training days, ``(N, D)``, single precision.
        head: Of the decoder.
        seed: Of the weights and of training.
        epochs: Passes over the days.
        family: :class:`ImportanceWeightedVAE` trains on the tighter bound.
        flow: Behind the Gaussian posterior, see :class:`~genfin_lib.latent.VAE`.
    """
    with fixed_seed(seed):
        model = family(x.shape[1], LATENTS, hidden=(64, 64), head=head, flow=flow)  # type: ignore[arg-type]
    fit(model, x, seed=seed, epochs=epochs, learning_rate=2e-3, cosine=True)
    return model


def _vae(head: Callable[[int], nn.Module]) -> Callable[[Days, int], Density]:
    return lambda days, seed: train_vae(days.train, head(days.train.shape[1]), seed=seed)


def _t_head(days: Days) -> StudentTHead:
    return StudentTHead(days.train.shape[1], floor=FLOOR)


def _with_iaf(days: Days, seed: int) -> Density:
    flow = iaf(LATENTS, 16, transforms=2, hidden=(32,), seed=seed)
    return train_vae(days.train, _t_head(days), seed=seed, flow=flow)


def _eight_draws(days: Days, seed: int) -> Density:
    return train_vae(days.train, _t_head(days), seed=seed, family=ImportanceWeightedVAE)


def _maf(base: Callable[[int], nn.Module | None]) -> Callable[[Days, int], Density]:
    def build(days: Days, seed: int) -> Density:
        features = days.train.shape[1]
        flow = maf(features, base=base(features), seed=seed)
        fit(flow, days.train, days.validation, seed=seed, epochs=26)
        return flow

    return build


# What has a closed form, or no noise in its fit, is fitted once.
CLOSED: Mapping[str, Callable[[Days, int], Density]] = {
    "Gaussian": lambda days, _: MultivariateStudentT.fit(days.train, df=math.inf),
    "PPCA": lambda days, _: ProbabilisticPCA.fit(days.train, LATENTS),
    "factor analysis": lambda days, _: FactorAnalysis.fit(days.train, LATENTS, tolerance=1e-5),
    REFERENCE: lambda days, _: MultivariateStudentT.fit(days.train),
}
TRAINED: Mapping[str, Callable[[Days, int], Density]] = {
    "VAE, constant scale": _vae(lambda d: ConstantScaleHead(d, floor=FLOOR)),
    "VAE, Gaussian": _vae(lambda _: NormalHead(floor=FLOOR)),
    "VAE, Student-t": _vae(lambda d: StudentTHead(d, floor=FLOOR)),
    "VAE, t, IAF posterior": _with_iaf,
    "VAE, t, eight draws": _eight_draws,
    "MAF, Gaussian base": _maf(lambda _: None),
    "MAF, t base": _maf(lambda d: StudentT(d, df=3.0)),
}


@torch.no_grad()
def score(model: Density, days: Days) -> dict[str, float]:
    """Negative log-likelihoods in nats a day, and how the latents are used.

    A VAE gets its importance-weighted bound with `DRAWS` draws, and its ELBO beside it. `lead` is
    the gain over the multivariate t on the test days, `error` its block standard error.
    """
    draws = {"draws": DRAWS, "seed": 0} if isinstance(model, VAE) else {}
    later = {"validation": days.validation, "test": days.test}
    nll = {name: -model.log_prob(x, **draws) for name, x in later.items()}
    lead = CLOSED[REFERENCE](days, 0).log_prob(days.test).neg() - nll["test"]
    scores = {name: value.mean().item() for name, value in nll.items()}
    scores |= {"lead": lead.mean().item(), "error": block_standard_error(lead.double().numpy())}
    scores["worst"] = nll["test"].max().item()
    if isinstance(model, VAE):
        with fixed_seed(0):
            terms = model.elbo(days.test)
        scores["elbo"] = terms.bound.mean().neg().item()
        if model.flow is None:
            scores["active"] = float((terms.kl.mean(0) > ACTIVE).sum())
    return scores


def compare(names: Iterable[str], days: Days, *, seeds: Sequence[int] = (0, 1, 2)) -> pd.DataFrame:
    """Fit and score: one row a model and seed.

    Args:
        names: Keys of `CLOSED` and `TRAINED`.
        days: As from `market_days`.
        seeds: For trained models.
    """
    rows = []
    for name in names:
        for seed in (0,) if name in CLOSED else seeds:
            build = CLOSED[name] if name in CLOSED else TRAINED[name]
            rows.append({"model": name, "seed": seed, **score(build(days, seed), days)})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    write_results(
        "cross_section",
        compare([*CLOSED, *TRAINED], market_days()),
        command="make cross-section",
        seed=0,
        inputs=[DATASET],
    )
