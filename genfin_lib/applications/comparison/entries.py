"""The rows of the comparison: each builds and fits one model on one task."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from genfin_lib.applications.comparison.classical import BlockBootstrap, WindowGarch
from genfin_lib.applications.comparison.tasks import Task
from genfin_lib.distributions import MultivariateStudentT, StudentT, fixed_seed
from genfin_lib.flows import Flow, Glow, Glow1d, maf, neural_spline_flow, real_nvp
from genfin_lib.flows.linear import Standardize
from genfin_lib.flows.transform import Compose, Transform
from genfin_lib.latent import VAE, StudentTHead
from genfin_lib.rivals import Diffusion, ScoreMatching, WassersteinGAN, fit_adversarial, light_tails
from genfin_lib.training import fit


class Generator(Protocol):
    """What a row needs of its model; ``log_prob(x)`` comes on top where there is a likelihood."""

    def sample(self, n: int, *, seed: int) -> Tensor:
        """Draw ``n`` examples of the task's shape."""


@dataclass(frozen=True)
class Budget:
    """How much a network may learn from: the same for all.

    Attributes:
        examples: Training examples seen, counted with repetition; of a GAN, by the critic.
        batch_size: Of them at once.
        learning_rate: Of all networks but GANs.
    """

    examples: int = 200_000
    batch_size: int = 128
    learning_rate: float = 1e-3


Builder = Callable[[Task, int, Budget], Generator]


@dataclass(frozen=True)
class Entry:
    """A row.

    Attributes:
        build: From a task, a seed and a budget to a fitted model.
        likelihood: ``"exact"``, ``"bound"`` or ``"none"``.
        windows: Whether it takes windows.
        rows: Whether it takes rows without an order in time.
    """

    build: Builder
    likelihood: str
    windows: bool = True
    rows: bool = True

    def takes(self, task: Task) -> bool:
        """Whether the model is for data of this shape."""
        return self.windows if task.train.ndim == 3 else self.rows


class Flat:
    """A density of rows as one of windows, standardised or not.

    Args:
        model: With ``sample`` and ``log_prob`` for rows ``(N, D)``.
        like: Training examples, for their shape.
        transform: Between the data and the model.
    """

    def __init__(self, model: Any, like: Tensor, transform: Transform | None = None) -> None:
        self.model, self.shape = model, like.shape[1:]
        self.transform = Compose([]) if transform is None else transform

    def sample(self, n: int, *, seed: int) -> Tensor:
        """Draw ``n`` examples."""
        rows: Tensor = self.model.sample(n, seed=seed)
        return self.transform.generate(rows).unflatten(1, self.shape)

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density of each example, in nats, or the bound of the model."""
        rows, log_abs_det = self.transform(x.flatten(1))
        found: Tensor = self.model.log_prob(rows)
        return found + log_abs_det

    def parameters(self) -> Any:
        """Of the model."""
        return self.model.parameters()


def train(model: Any, task: Task, seed: int, budget: Budget, *, flat: bool = False) -> None:
    """Fit by the one training loop, within the budget, keeping the weights that validate best."""
    parts = [part.flatten(1) if flat else part for part in (task.train, task.validation)]
    fit(
        model,
        *parts,
        seed=seed,
        epochs=max(1, round(budget.examples / len(task.train))),
        batch_size=budget.batch_size,
        learning_rate=budget.learning_rate,
        cosine=True,
    )


def flow_entry(builder: Callable[..., Flow], **settings: Any) -> Builder:
    """A flow of rows on independent t variables; windows are laid flat."""

    def build(task: Task, seed: int, budget: Budget) -> Generator:
        rows = task.train.flatten(1)
        base = StudentT(rows.shape[1], df=5.0)
        flow = builder(rows.shape[1], base=base, standardize=rows, seed=seed, **settings)
        train(flow, task, seed, budget, flat=True)
        return Flat(flow, task.train)

    return build


def glow(task: Task, seed: int, budget: Budget) -> Generator:
    """Glow of rows, or the convolutional one of windows."""
    shape = task.train.shape[1:]
    settings: dict[str, Any] = {
        "base": StudentT(math.prod(shape), df=5.0),
        "standardize": task.train,
        "seed": seed,
    }
    model = Glow1d(*shape, levels=3, **settings) if len(shape) == 2 else Glow(*shape, **settings)
    train(model, task, seed, budget)
    return model


def diffusion_entry(kind: type[Diffusion]) -> Builder:
    """Diffusion, sampled in one way or the other, behind `light_tails`."""

    def build(task: Task, seed: int, budget: Budget) -> Generator:
        model = kind(_shape(task), transform=light_tails(task.train), seed=seed)
        train(model, task, seed, budget)
        return model

    return build


def gan(task: Task, seed: int, budget: Budget) -> Generator:
    """Wasserstein GAN behind `light_tails`; validation data have no part in it."""
    model = WassersteinGAN(_shape(task), transform=light_tails(task.train), seed=seed)
    fit_adversarial(
        model,
        task.train,
        seed=seed,
        steps=max(1, budget.examples // (2 * budget.batch_size)),
        critic_steps=2,
        batch_size=budget.batch_size,
    )
    return model


def vae(task: Task, seed: int, budget: Budget) -> Generator:
    """VAE of perceptrons with a t decoder that has a scale for each number; windows laid flat."""
    rows = task.train.flatten(1)
    standardize = Standardize.fit(rows)
    with fixed_seed(seed):
        model = VAE(rows.shape[1], 16, hidden=(128,), head=StudentTHead())
    flat = [standardize(part.flatten(1))[0] for part in (task.train, task.validation)]
    train(model, replace(task, train=flat[0], validation=flat[1], later=flat[1]), seed, budget)
    return Flat(model, task.train, standardize)


def multivariate_t(task: Task, seed: int, budget: Budget) -> Generator:
    """Multivariate Student-t of all numbers of an example, by maximum likelihood."""
    return Flat(_Double(MultivariateStudentT.fit(task.train.flatten(1).double())), task.train)


def garch(task: Task, seed: int, budget: Budget) -> Generator:
    """GARCH of windows, by maximum likelihood."""
    model = WindowGarch()
    fit(
        model,
        task.train,
        seed=0,
        epochs=max(1, round(budget.examples / 2 / len(task.train))),
        batch_size=256,
        learning_rate=0.03,
        cosine=True,
    )
    return _FixedLength(model, task.train.shape[2])


def bootstrap(task: Task, seed: int, budget: Budget) -> Generator:
    """Blocks of a quarter of a window; historical simulation of rows."""
    block = max(1, task.train.shape[2] // 4) if task.train.ndim == 3 else 1
    return BlockBootstrap(task.train, block=block)


def recital(task: Task, seed: int, budget: Budget) -> Generator:
    """Whole training examples: what a score says of memory without understanding."""
    return BlockBootstrap(task.train, block=task.train.shape[-1])


ENTRIES: dict[str, Entry] = {
    "recital": Entry(recital, "none", rows=False),
    "block bootstrap": Entry(bootstrap, "none"),
    "multivariate t": Entry(multivariate_t, "exact"),
    "GARCH": Entry(garch, "exact", rows=False),
    "RealNVP": Entry(flow_entry(real_nvp, transforms=6), "exact"),
    "MAF": Entry(flow_entry(maf, transforms=4), "exact"),
    "spline flow": Entry(flow_entry(neural_spline_flow, transforms=4), "exact"),
    "Glow": Entry(glow, "exact"),
    "VAE": Entry(vae, "bound"),
    "diffusion": Entry(diffusion_entry(Diffusion), "bound"),
    "score matching": Entry(diffusion_entry(ScoreMatching), "bound"),
    "GAN": Entry(gan, "none"),
}


class _Double(nn.Module):
    """A density in double precision, asked and answering in single."""

    def __init__(self, model: MultivariateStudentT) -> None:
        super().__init__()
        self.model = model

    def sample(self, n: int, *, seed: int) -> Tensor:
        return self.model.sample(n, seed=seed).float()

    def log_prob(self, x: Tensor) -> Tensor:
        return self.model.log_prob(x.double())


class _FixedLength:
    """GARCH that draws windows of the task's length."""

    def __init__(self, model: WindowGarch, length: int) -> None:
        self.model, self.length = model, length

    def sample(self, n: int, *, seed: int) -> Tensor:
        return self.model.sample(n, length=self.length, seed=seed)

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        return self.model.log_prob(x)

    def parameters(self) -> Any:
        return self.model.parameters()


def _shape(task: Task) -> int | tuple[int, int]:
    shape = task.train.shape[1:]
    return shape[0] if len(shape) == 1 else (shape[0], shape[1])
