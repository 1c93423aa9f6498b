"""The contract of deep latent variable models, on one whose evidence is known in closed form."""

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from genfin_lib.latent import (
    BernoulliHead,
    ConstantScaleHead,
    Elbo,
    LatentVariableModel,
    NormalHead,
    StudentTHead,
)
from genfin_lib.latent.latent import CHUNK
from genfin_lib.training import fit


class Bell(LatentVariableModel):
    """z ~ N(0, 1), x = z + e, e ~ N(0, 1), so x ~ N(0, 2) and z | x ~ N(x/2, 1/2)."""

    def __init__(self, slope: float, scale: float, *, warm_up: float = 0.3) -> None:
        super().__init__(warm_up=warm_up)
        self.slope = torch.nn.Parameter(torch.tensor(slope, dtype=torch.float64))
        self.scale = scale

    def _terms(self, x: Tensor) -> tuple[Normal, Tensor]:
        q = Normal(self.slope * x, self.scale)
        return q, q.rsample()

    def elbo(self, x: Tensor) -> Elbo:
        q, z = self._terms(x)
        kl = kl_divergence(q, Normal(torch.zeros_like(x), 1.0))
        return Elbo(Normal(z, 1.0).log_prob(x)[:, 0], kl)

    def log_weights(self, x: Tensor) -> Tensor:
        q, z = self._terms(x)
        joint = Normal(z, 1.0).log_prob(x) + Normal(0.0, 1.0).log_prob(z)
        return (joint - q.log_prob(z))[:, 0]

    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        raise NotImplementedError

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.slope * x


def evidence(x: Tensor) -> Tensor:
    return Normal(0.0, math.sqrt(2)).log_prob(x)[:, 0]


X = torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None]


def test_the_exact_posterior_leaves_no_gap() -> None:
    model = Bell(0.5, math.sqrt(0.5))
    torch.testing.assert_close(model.log_prob(X, draws=1, seed=0), evidence(X))


def test_the_bound_rises_with_the_draws_and_stays_below_the_evidence() -> None:
    model = Bell(0.3, 1.0)
    rows = X.repeat(3000, 1)
    means = [model.log_prob(rows, draws=k, seed=0).mean().item() for k in (1, 2, 8, 64)]
    assert means == sorted(means)
    assert means[-1] < evidence(X).mean()
    assert evidence(X).mean() - means[-1] < 0.02 * (evidence(X).mean() - means[0])


def test_one_draw_is_the_elbo_in_the_mean() -> None:
    model = Bell(0.3, 1.0)
    rows = X.repeat(20_000, 1)
    torch.manual_seed(1)
    elbo = model.elbo(rows).bound.mean().detach()
    assert model.log_prob(rows, draws=1, seed=2).mean().item() == pytest.approx(
        elbo.item(), abs=0.02
    )


def test_draws_in_chunks_weigh_alike() -> None:
    """Weights over several passes, the last one shorter, are those of one pass."""
    model = Bell(0.3, 1.0)
    rows = X.repeat(CHUNK // 21, 1)  # three copies at a time
    chunked = model.log_prob(rows, draws=8, seed=0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = torch.stack(
            [
                part
                for k in (3, 3, 2)
                for part in model.log_weights(rows.repeat(k, 1)).view(k, len(rows))
            ]
        )
    torch.testing.assert_close(chunked, weights.logsumexp(0) - math.log(8))


def test_tuples_are_repeated_part_by_part() -> None:
    class Masked(NamedTuple):
        x: Tensor
        observed: Tensor

    class OfTuples(Bell):
        def log_weights(self, x: Masked) -> Tensor:  # type: ignore[override]
            return torch.where(x.observed, super().log_weights(x.x), 0.0)

    batch = Masked(X, torch.arange(7) % 2 == 0)
    found = OfTuples(0.5, math.sqrt(0.5)).log_prob(batch, draws=5, seed=0)
    torch.testing.assert_close(found, torch.where(batch.observed, evidence(X), 0.0))


def test_warm_up_weighs_the_kl() -> None:
    model = Bell(0.5, math.sqrt(0.5), warm_up=0.4)
    assert [model.kl_weight(p) for p in (0.0, 0.1, 0.4, 0.9)] == [0.0, 0.25, 1.0, 1.0]
    assert Bell(0.5, 1.0, warm_up=0.0).kl_weight(0.0) == 1.0
    losses = {}
    for progress in (0.1, 1.0):
        torch.manual_seed(0)
        losses[progress] = model.loss(X, progress=progress).item()
    kl = model.elbo(X).kl.sum(1).mean().item()
    assert losses[1.0] - losses[0.1] == pytest.approx(0.75 * kl)


def test_the_loss_finds_the_posterior() -> None:
    torch.manual_seed(0)
    z = torch.randn(4000, 1, dtype=torch.float64)
    model = Bell(0.0, math.sqrt(0.5))
    fit(model, z + torch.randn_like(z), seed=0, epochs=30, learning_rate=0.01)
    assert model.slope.item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("head", [NormalHead(), StudentTHead(), StudentTHead(3)])
def test_heads_start_at_unit_scale_and_keep_the_floor(head: NormalHead | StudentTHead) -> None:
    start = head(torch.zeros(2, 6))
    torch.testing.assert_close(start.scale, torch.full((2, 3), 1.0 + head.floor))
    crushed = head(torch.cat((torch.zeros(2, 3), torch.full((2, 3), -1e4)), dim=1))
    torch.testing.assert_close(crushed.scale, torch.full((2, 3), head.floor))


def test_heads_integrate_to_one() -> None:
    x = torch.linspace(-2000, 2000, 4_000_001, dtype=torch.float64)[:, None]
    raw = torch.tensor([0.3, -0.2], dtype=torch.float64)
    for head in (NormalHead().double(), StudentTHead().double()):
        mass = torch.trapezoid(head(raw).log_prob(x).exp()[:, 0], x[:, 0])
        assert mass.item() == pytest.approx(1.0, abs=1e-6)
    constant = ConstantScaleHead().double()
    mass = torch.trapezoid(constant(raw[:1]).log_prob(x).exp()[:, 0], x[:, 0])
    assert mass.item() == pytest.approx(1.0, abs=1e-6)
    yes, no = (BernoulliHead()(raw).log_prob(torch.full((2,), b)).exp() for b in (1.0, 0.0))
    torch.testing.assert_close(yes + no, torch.ones(2))


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="warm_up"):
        Bell(0.5, 1.0, warm_up=1.5)
    with pytest.raises(ValueError, match="draws"):
        Bell(0.5, 1.0).log_prob(X, draws=0)
    for head in (NormalHead, StudentTHead, ConstantScaleHead):
        with pytest.raises(ValueError, match="floor"):
            head(floor=0.0)
    with pytest.raises(ValueError, match="df"):
        StudentTHead(df=1.0)
