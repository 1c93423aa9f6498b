"""The rows of the comparison: each builds and fits one model on one task."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from genfin_lib.applications.comparison.adapters import (
    Double,
    FixedLength,
    Flat,
    Generator,
    TimeLast,
)
from genfin_lib.applications.comparison.classical import BlockBootstrap, WindowGarch
from genfin_lib.applications.comparison.tasks import LENGTH, Task
from genfin_lib.distributions import MultivariateStudentT, StudentT, fixed_seed
from genfin_lib.flows import Flow, Glow, Glow1d, maf, neural_spline_flow, real_nvp
from genfin_lib.flows.linear import Standardize
from genfin_lib.latent import (
    RVRAE,
    VAE,
    FactorAnalysis,
    HierarchicalVAE,
    MixtureOfPPCA,
    RecurrentVAE,
    StudentTHead,
    TimeVAE,
)
from genfin_lib.rivals import Diffusion, ScoreMatching, WassersteinGAN, fit_adversarial, light_tails
from genfin_lib.training import fit


@dataclass(frozen=True)
class Budget:
    """How long a network may learn: the same processor time for all, in *fixed* numbers of steps.

    A clock would make results depend on what else the machine does. So each row has a pace,
    training examples in a second of one core, measured once; time and pace give their number.

    Attributes:
        times: Of the task's seconds.
        batch_size: Examples at once, of all networks but GANs.
        learning_rate: Of all networks but GANs.
    """

    times: float = 1.0
    batch_size: int = 128
    learning_rate: float = 1e-3


# Examples that a GAN sees in a step.
GAN_BATCH = 64


Builder = Callable[[Task, int, "Training"], Generator]


@dataclass(frozen=True)
class Entry:
    """A row.

    Attributes:
        builder: From a task, a seed and a training to a fitted model.
        likelihood: ``"exact"``, ``"bound"`` or ``"none"``.
        windows: Pace on windows, training examples a second; infinite if fitted to convergence,
            ``None`` if not for windows.
        rows: Pace on rows without an order in time.
        given: What the model can be conditioned on, as this book builds it.
    """

    builder: Builder
    likelihood: str
    windows: float | None = math.inf
    rows: float | None = math.inf
    given: str = "nothing"

    def pace(self, task: Task) -> float | None:
        """Training examples a second on data of this shape."""
        return self.windows if task.train.ndim == 3 else self.rows

    def takes(self, task: Task) -> bool:
        """Whether the model is for data of this shape."""
        return self.pace(task) is not None

    def build(self, task: Task, seed: int, budget: Budget) -> Generator:
        """Fit to a task."""
        pace = self.pace(task)
        if pace is None:
            raise ValueError(f"this model is not for task {task.name}; ask takes() first")
        examples = budget.times * task.seconds * pace
        return self.builder(task, seed, Training(examples, budget))


class Training(NamedTuple):
    """What a budget comes to for one row and task.

    Attributes:
        examples: Training examples seen, counted with repetition; of a GAN, by the critic.
        budget: The rest.
    """

    examples: float
    budget: Budget

    def epochs(self, task: Task) -> int:
        """Passes over the training examples."""
        return max(1, round(self.examples / len(task.train)))


def train(
    model: Any,
    task: Task,
    seed: int,
    training: Training,
    *,
    shape: Callable[[Tensor], Any] = lambda x: x,
) -> None:
    """Fit by the one training loop, within the budget, keeping the weights that validate best."""
    fit(
        model,
        shape(task.train),
        shape(task.validation),
        seed=seed,
        epochs=training.epochs(task),
        batch_size=training.budget.batch_size,
        learning_rate=training.budget.learning_rate,
        cosine=True,
    )


def flow_entry(builder: Callable[..., Flow], **settings: Any) -> Builder:
    """A flow of rows on independent t variables; windows are laid flat."""

    def build(task: Task, seed: int, training: Training) -> Generator:
        rows = task.train.flatten(1)
        base = StudentT(rows.shape[1], df=5.0)
        flow = builder(rows.shape[1], base=base, standardize=rows, seed=seed, **settings)
        train(flow, task, seed, training, shape=lambda x: x.flatten(1))
        return Flat(flow, task.train)

    return build


def glow(task: Task, seed: int, training: Training) -> Generator:
    """Glow of rows, or the convolutional one of windows."""
    shape = task.train.shape[1:]
    settings: dict[str, Any] = {
        "base": StudentT(math.prod(shape), df=5.0),
        "standardize": task.train,
        "seed": seed,
    }
    model = Glow1d(*shape, levels=3, **settings) if len(shape) == 2 else Glow(*shape, **settings)
    train(model, task, seed, training)
    return model


def diffusion_entry(kind: type[Diffusion]) -> Builder:
    """Diffusion, sampled in one way or the other, behind `light_tails`."""

    def build(task: Task, seed: int, training: Training) -> Generator:
        model = kind(_shape(task), transform=light_tails(task.train), seed=seed)
        train(model, task, seed, training)
        return model

    return build


def gan(task: Task, seed: int, training: Training) -> Generator:
    """Wasserstein GAN behind `light_tails`; validation data have no part in it.

    Small batches and few channels: the slope of the critic's slope is dear, and steps are what a
    game of two needs most.
    """
    model = WassersteinGAN(_shape(task), width=16, transform=light_tails(task.train), seed=seed)
    fit_adversarial(
        model,
        task.train,
        seed=seed,
        steps=max(1, round(training.examples / (2 * GAN_BATCH))),
        critic_steps=2,
        batch_size=GAN_BATCH,
        average=0.98,
    )
    return model


def vae(task: Task, seed: int, training: Training) -> Generator:
    """VAE of perceptrons with a t decoder that has a scale for each number; windows laid flat."""
    rows = task.train.flatten(1)
    standardize = Standardize.fit(rows)
    with fixed_seed(seed):
        model = VAE(rows.shape[1], 16, hidden=(128,), head=StudentTHead())
    train(model, task, seed, training, shape=lambda x: standardize(x.flatten(1))[0])
    return Flat(model, task.train, standardize)


def window_vae(make: Callable[[int, int], Any], **settings: Any) -> Builder:
    """A latent variable model that knows of time, from the numbers of channels and times."""

    def build(task: Task, seed: int, training: Training) -> Generator:
        with fixed_seed(seed):
            wrapped = TimeLast(make(*task.train.shape[1:]), **settings)
        train(wrapped.model, task, seed, training, shape=wrapped.given)
        return wrapped

    return build


def closed_form(law: Callable[[Tensor, int], Any]) -> Builder:
    """A law of all numbers of an example, by maximum likelihood; in double precision."""

    def build(task: Task, seed: int, training: Training) -> Generator:
        return Flat(Double(law(task.train.flatten(1).double(), seed)), task.train)

    return build


def mixture(x: Tensor, seed: int) -> MixtureOfPPCA:
    """Two kinds of example, four factors each."""
    return MixtureOfPPCA.fit(x, 2, 4, seed=seed, tolerance=1e-4)


def garch(task: Task, seed: int, training: Training) -> Generator:
    """GARCH of windows, by maximum likelihood."""
    model = WindowGarch()
    fit(
        model,
        task.train,
        seed=0,
        epochs=training.epochs(task),
        batch_size=256,
        learning_rate=0.03,
        cosine=True,
    )
    return FixedLength(model, task.train.shape[2])


def bootstrap(task: Task, seed: int, training: Training) -> Generator:
    """Blocks of a quarter of a window; historical simulation of rows."""
    block = max(1, task.train.shape[2] // 4) if task.train.ndim == 3 else 1
    return BlockBootstrap(task.train, block=block)


def recital(task: Task, seed: int, training: Training) -> Generator:
    """Whole training examples: what a score says of memory without understanding."""
    return BlockBootstrap(task.train, block=task.train.shape[-1])


PAST = "the days before"
ANY = "any numbers"
ENTRIES: dict[str, Entry] = {
    "recital": Entry(recital, "none", rows=None),
    "block bootstrap": Entry(bootstrap, "none"),
    "Gaussian": Entry(closed_form(lambda x, _: MultivariateStudentT.fit(x, df=math.inf)), "exact"),
    "multivariate t": Entry(
        closed_form(lambda x, _: MultivariateStudentT.fit(x, iterations=15)), "exact"
    ),
    "factor analysis": Entry(
        closed_form(lambda x, _: FactorAnalysis.fit(x, 8, tolerance=1e-5)), "exact"
    ),
    "factor mixture": Entry(closed_form(mixture), "exact", given="a regime"),
    "GARCH": Entry(garch, "exact", windows=6000, rows=None, given=PAST),
    "RealNVP": Entry(flow_entry(real_nvp, transforms=6), "exact", 15_000, 17_000, ANY),
    "MAF": Entry(flow_entry(maf, transforms=4), "exact", 17_000, 19_000, ANY),
    "spline flow": Entry(flow_entry(neural_spline_flow, transforms=4), "exact", 8_500, 10_000, ANY),
    "Glow": Entry(glow, "exact", 6000, 9500),
    "VAE": Entry(vae, "bound", 40_000, 36_000),
    "recurrent VAE": Entry(
        window_vae(lambda c, t: RecurrentVAE(c, t, 8, head=StudentTHead())), "bound", 3250, None
    ),
    "TimeVAE": Entry(
        window_vae(lambda c, t: TimeVAE(c, t, 16, head=StudentTHead())), "bound", 4800, None
    ),
    "hierarchical VAE": Entry(
        window_vae(
            lambda c, t: HierarchicalVAE(
                t, c, levels=((1, 4), (8, 2), (t, 1)), width=16, head=StudentTHead()
            )
        ),
        "bound",
        5650,
        None,
        given="its upper levels",
    ),
    "RVRAE": Entry(
        window_vae(lambda c, _: RVRAE(c, 2), length=LENGTH), "bound", 2050, None, given=PAST
    ),
    "diffusion": Entry(diffusion_entry(Diffusion), "bound", 3100, 30_000),
    "score matching": Entry(diffusion_entry(ScoreMatching), "bound", 3100, 30_000),
    "GAN": Entry(gan, "none", 2500, 25_000),
}


def _shape(task: Task) -> int | tuple[int, int]:
    shape = task.train.shape[1:]
    return shape[0] if len(shape) == 1 else (shape[0], shape[1])
