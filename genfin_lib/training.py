"""One training loop for every model of the book. It knows nothing of a model but its ``loss``."""

import copy
import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from genfin_lib import checkpoints
from genfin_lib.batches import Batch, Model, check, device_of, digest, groups, iterate, row_count
from genfin_lib.distributions import fixed_seed


class DivergenceError(ValueError):
    """Training met a loss or a gradient that is NaN or infinite."""


@dataclass
class History:
    """What happened in training, one entry an epoch.

    Attributes:
        train: Mean loss over the epoch's batches, taken while the weights moved.
        validation: Mean loss on the validation data after the epoch; empty without such data.
        learning_rate: Learning rate during the epoch.
        best_epoch: Index of the epoch whose weights the model now holds.
    """

    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    best_epoch: int = -1


def fit(
    model: Model,
    train: Batch,
    validation: Batch | None = None,
    *,
    seed: int,
    epochs: int = 100,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.0,
    clip_norm: float = 5.0,
    patience: int = 15,
    plateau: int = 5,
    cosine: bool = False,
    rates: dict[str, float] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    verbose: bool = False,
) -> History:
    r"""Minimise ``model.loss`` with AdamW and keep the weights that validate best.

    Each step draws a batch, computes ``model.loss(batch, progress=p)`` with :math:`p \in [0, 1]`
    the share of training done, clips the norm of the gradient and steps. After each epoch the
    validation loss is computed with a fixed seed, so that epochs differ by their weights and not
    by their noise. The learning rate is halved after every ``plateau`` epochs in a row without
    improvement; training stops after ``patience`` of them, which do not count while the weight of a
    KL rises (a model's ``warm_up``): another loss is trained on then than the one that validates.

    With ``checkpoint``, all that decides the future of the run is written after each epoch,
    atomically. If the process dies, the same call on a model built in the same way takes up the
    run and ends with the same numbers, to the bit, on the same machine and number of threads.

    Loshchilov and Hutter (2019), https://arxiv.org/abs/1711.05101.

    Args:
        model: Any module whose ``loss(batch, *, progress)`` is a scalar mean.
        train: A tensor with one row per example, or a tuple (also a named tuple) of such tensors.
        validation: The same, from a *later* period. Without it all epochs are run and the last
            weights are kept.
        seed: Seed of the shuffling and of any noise in the loss.
        epochs: Largest number of passes over the training data.
        batch_size: Largest number of rows in a batch; batches differ by one row at the most.
        learning_rate: Initial learning rate.
        weight_decay: Decoupled weight decay.
        clip_norm: Largest Euclidean norm of the gradient.
        patience: Epochs without improvement before stopping, counted after the warm-up.
        plateau: Epochs without improvement before the learning rate is halved.
        cosine: Let the learning rate fall along a half cosine to zero at the last step instead,
            :math:`(1 + \cos \pi p)/2`, which suits a number of epochs settled beforehand.
        rates: Factors of the learning rate by beginning of a parameter's name, as in
            ``{"down.0.": 0.3}``. Adam divides gradients by their size: scaling those does nothing.
        checkpoint: File to write to and to resume from.
        verbose: Show a plain progress bar.

    Returns:
        The losses and learning rates of each epoch. ``model`` is left in evaluation mode.

    Raises:
        ValueError: If the data are empty, of unequal length, or hold NaN or inf; if a setting is
            out of range; if the checkpoint is damaged, or was written by a call with other data,
            settings or initial weights.
        DivergenceError: If a loss or gradient is not finite. The model then holds its best weights.
    """
    check(train, "train")
    if validation is not None:
        check(validation, "validation")
    run = _Run(
        model,
        settings={
            "seed": seed,
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "weight_decay": weight_decay,
            "clip_norm": clip_norm,
            "patience": patience,
            "plateau": plateau,
            "cosine": cosine,
            "rates": rates or {},
            "model": digest(tuple(model.state_dict().values())),
            "train": digest(train),
            "validation": None if validation is None else digest(validation),
        },
    )
    path = None if checkpoint is None else Path(checkpoint)
    with fixed_seed(seed):
        if path is not None and path.exists():
            run.restore(path)
        bar = tqdm(total=epochs, initial=run.epoch, disable=not verbose, unit="epoch")
        while not run.finished:
            run.train_epoch(train)
            run.validate(validation)
            if path is not None:
                run.save(path)
            bar.update()
            bar.set_postfix(train=run.history.train[-1], best=run.best_loss)
        bar.close()
    model.load_state_dict(run.best)
    model.eval()
    return run.history


@torch.no_grad()
def evaluate(
    model: Model, data: Batch, *, draws: int = 1, seed: int, batch_size: int = 4096
) -> float:
    """Mean loss over ``data``, in evaluation mode, averaged over ``draws`` of its noise.

    The minimum of many noisy validation losses is biased downward. A figure that is published
    comes from this function, on a period later than the validation data.

    Args:
        model: Any module with ``loss(batch, *, progress)``.
        data: As in :func:`fit`.
        draws: Repetitions, for a loss with noise in it. An exact likelihood needs one.
        seed: Seed of the noise.
        batch_size: Rows at a time; the result does not depend on it for an exact likelihood.

    Returns:
        The mean loss per row, in the units of ``model.loss``.

    Raises:
        ValueError: If the data are empty, of unequal length, or hold NaN or inf.
    """
    check(data, "data")
    if draws < 1:
        raise ValueError(f"draws must be 1 or more, got {draws}")
    was_training = model.training
    model.eval()
    device = device_of(model)
    total = 0.0
    try:
        with fixed_seed(seed):
            for _ in range(draws):
                for batch, rows in iterate(data, batch_size, device=device):
                    total += rows * model.loss(batch, progress=1.0).item()
    finally:
        model.train(was_training)
    return total / (draws * row_count(data))


class _Run:
    """The state of one training run: all that a checkpoint has to hold."""

    def __init__(self, model: Model, settings: dict[str, Any]) -> None:
        for name in ("epochs", "batch_size", "patience", "plateau", "learning_rate", "clip_norm"):
            if not settings[name] > 0:
                raise ValueError(f"{name} must be positive, got {settings[name]}")
        self.model = model
        self.settings = settings
        self.device = device_of(model)
        # One fused kernel instead of a loop over many small tensors: five times faster here.
        parts = groups(model, settings["rates"], settings["learning_rate"])
        self.optimizer = torch.optim.AdamW(parts, weight_decay=settings["weight_decay"], fused=True)
        # Any decrease is progress, as for early stopping. The default threshold is relative, which
        # for negative losses (densities above one) takes some increases for progress.
        self.scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimizer, factor=0.5, patience=settings["plateau"] - 1, threshold=0.0
        )
        self.shuffle = torch.Generator().manual_seed(settings["seed"])
        self.history = History()
        self.epoch = 0
        self.stale = 0
        self.best_loss = math.inf
        self.warm_up = getattr(model, "warm_up", 0.0)
        self.best = copy.deepcopy(model.state_dict())

    @property
    def finished(self) -> bool:
        return self.epoch >= self.settings["epochs"] or self.stale >= self.settings["patience"]

    def train_epoch(self, data: Batch) -> None:
        settings = self.settings
        self.model.train()
        order = torch.randperm(row_count(data), generator=self.shuffle)
        steps = math.ceil(row_count(data) / settings["batch_size"])
        total = 0.0
        batches = iterate(data, settings["batch_size"], order=order, device=self.device)
        for step, (batch, rows) in enumerate(batches):
            progress = (self.epoch + step / steps) / settings["epochs"]
            if settings["cosine"]:
                rate = settings["learning_rate"] * (1 + math.cos(math.pi * progress)) / 2
                for group in self.optimizer.param_groups:
                    group["lr"] = group["factor"] * rate
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.model.loss(batch, progress=progress)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(self.model.parameters(), settings["clip_norm"])
            if not (math.isfinite(loss.item()) and math.isfinite(norm.item())):
                self._diverged(self.epoch + 1, f"step {step + 1}")
            self.optimizer.step()
            total += rows * loss.item()
        self.history.train.append(total / row_count(data))
        self.history.learning_rate.append(self.optimizer.param_groups[0]["lr"])
        self.epoch += 1

    def validate(self, data: Batch | None) -> None:
        if data is None:
            self.scheduler.step(self.history.train[-1])
            self._keep(self.history.train[-1])
            return
        loss = evaluate(self.model, data, seed=self.settings["seed"])
        if not math.isfinite(loss):
            self._diverged(self.epoch, "validation")
        self.history.validation.append(loss)
        self.scheduler.step(loss)
        if loss < self.best_loss:
            self.stale = 0
            self._keep(loss)
        elif self.epoch > self.warm_up * self.settings["epochs"]:
            self.stale += 1

    def _keep(self, loss: float) -> None:
        self.best_loss = loss
        self.history.best_epoch = self.epoch - 1
        # state_dict() holds references: a shallow copy would follow the weights as they move on.
        self.best = copy.deepcopy(self.model.state_dict())

    def _diverged(self, epoch: int, where: str) -> None:
        self.model.load_state_dict(self.best)
        self.model.eval()
        raise DivergenceError(
            f"loss or gradient became NaN or infinite in epoch {epoch}, {where}; the "
            "model holds its best weights so far. Lower learning_rate or clip_norm, standardize "
            "the data, or bound the scales of the model"
        )

    def save(self, path: Path) -> None:
        state = {
            "settings": self.settings,
            "model": self.model.state_dict(),
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "shuffle": self.shuffle.get_state(),
            "noise": torch.get_rng_state(),
            "noise_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "history": asdict(self.history),
            "epoch": self.epoch,
            "stale": self.stale,
            "best_loss": self.best_loss,
        }
        checkpoints.write(path, state)

    def restore(self, path: Path) -> None:
        state = checkpoints.read(path)
        changed = [key for key in self.settings if state["settings"].get(key) != self.settings[key]]
        if changed:
            raise ValueError(
                f"checkpoint {path} was written with other values of {', '.join(changed)}; "
                "repeat the call as it was, or delete the file to start anew"
            )
        self.model.load_state_dict(state["model"])
        self.best = state["best"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.shuffle.set_state(state["shuffle"])
        torch.set_rng_state(state["noise"])
        if state["noise_cuda"]:
            torch.cuda.set_rng_state_all(state["noise_cuda"])
        self.history = History(**state["history"])
        self.epoch, self.stale, self.best_loss = (state[k] for k in ("epoch", "stale", "best_loss"))
