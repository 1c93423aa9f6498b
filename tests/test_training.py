"""The training loop: what it keeps, what it refuses, and that nothing is lost."""

import math
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from genfin_lib.distributions import StudentT
from genfin_lib.flows import real_nvp
from genfin_lib.training import DivergenceError, evaluate, fit


class Line(nn.Module):
    """Least squares with noise in the loss, as a latent variable model has."""

    def __init__(self, noise: float = 0.0) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(2))
        self.noise = noise
        self.seen: list[tuple[Tensor, float]] = []

    def loss(self, batch: Tensor, *, progress: float) -> Tensor:
        self.seen.append((batch.detach().clone(), progress))
        wobble = self.noise * torch.randn(batch.shape[0])
        return (batch[:, 0] - batch[:, 1:] @ self.slope + wobble).square().mean()


def line_data(rows: int = 200, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 2, generator=generator)
    return torch.cat((x @ torch.tensor([[1.0], [-2.0]]), x), dim=1)


def test_fit_finds_the_least_squares_solution() -> None:
    model = Line()
    fit(model, line_data(), seed=0, epochs=300, learning_rate=0.05, plateau=300)
    assert model.slope.tolist() == pytest.approx([1.0, -2.0], abs=1e-3)


def test_same_seed_same_numbers_and_global_state_does_not_matter() -> None:
    results = []
    for state in (1, 2):
        torch.manual_seed(state)
        model = Line(noise=1.0)
        results.append((fit(model, line_data(), line_data(50, 1), seed=3, epochs=5), model.slope))
    assert results[0][0] == results[1][0]
    assert torch.equal(results[0][1], results[1][1])


def test_fit_leaves_the_global_random_state() -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    fit(Line(noise=1.0), line_data(), line_data(50, 1), seed=3, epochs=2)
    assert torch.equal(torch.rand(2), expected)


def test_every_row_is_seen_once_an_epoch_in_near_equal_shuffled_batches() -> None:
    model, data = Line(), torch.arange(257.0)[:, None].expand(-1, 3).contiguous()
    fit(model, data, seed=0, epochs=2, batch_size=256, learning_rate=1e-9)
    sizes = [len(batch) for batch, _ in model.seen]
    assert sizes == [129, 128, 129, 128]  # never a last batch of one row
    first = torch.cat([batch[:, 0] for batch, _ in model.seen[:2]])
    second = torch.cat([batch[:, 0] for batch, _ in model.seen[2:]])
    assert torch.equal(first.sort().values, torch.arange(257.0))
    assert torch.equal(second.sort().values, torch.arange(257.0))
    assert not torch.equal(first, second)


def test_progress_runs_from_zero_towards_one() -> None:
    model = Line()
    fit(model, line_data(), seed=0, epochs=4, batch_size=100)
    progress = [p for _, p in model.seen]
    assert progress == pytest.approx([i / 8 for i in range(8)])


def test_validation_noise_is_the_same_in_every_epoch() -> None:
    model = Line(noise=1.0)
    history = fit(
        model, line_data(), line_data(50, 1), seed=0, epochs=4, learning_rate=1e-12, patience=9
    )
    assert history.validation == pytest.approx([history.validation[0]] * 4, abs=1e-6)


class Overshoots(nn.Module):
    """Validation is best at weight 1 and then worsens, whatever the training loss says."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def loss(self, batch: Tensor, *, progress: float) -> Tensor:
        if self.training:
            return -self.weight.sum() + 0.0 * batch.sum()
        return (self.weight - 1).square().sum()


def test_best_weights_are_kept_and_training_stops_early() -> None:
    model = Overshoots()
    history = fit(
        model, torch.zeros(1, 1), torch.zeros(1, 1), seed=0, epochs=1000, learning_rate=0.1,
        patience=4, plateau=100,
    )  # fmt: skip
    assert len(history.train) == history.best_epoch + 1 + 4
    assert model.weight.item() == pytest.approx(1.0, abs=0.051)
    assert evaluate(model, torch.zeros(1, 1), seed=0) == min(history.validation)
    assert not model.training


class Scripted(nn.Module):
    """Validation losses as told, whatever the weights."""

    def __init__(self, validation: list[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.validation = iter(validation)

    def loss(self, batch: Tensor, *, progress: float) -> Tensor:
        if self.training:
            return (self.weight * batch).sum()
        return torch.tensor(next(self.validation), dtype=torch.float64)


@pytest.mark.parametrize(("warm_up", "epochs"), [(0.0, 5), (0.5, 14)])
def test_patience_begins_after_the_warm_up(warm_up: float, epochs: int) -> None:
    """Ten epochs of warm-up make it worse; what comes then is no better."""
    model = Scripted([float(epoch) for epoch in range(20)])
    model.warm_up = warm_up
    one = torch.ones(2, 1)
    history = fit(model, one, one, seed=0, epochs=20, patience=4, plateau=99)
    assert len(history.validation) == epochs
    assert history.best_epoch == 0


@pytest.mark.parametrize("level", [60.0, -60.0])
def test_rate_is_halved_after_plateau_epochs_without_improvement(level: float) -> None:
    """Also when each epoch is worse by less than a rounding of a large negative loss."""
    worse = [level + 0.005 * epoch for epoch in range(8)]
    history = fit(
        Scripted(worse), torch.ones(2, 1), torch.ones(2, 1), seed=0, epochs=8, learning_rate=1.0,
        plateau=3, patience=99,
    )  # fmt: skip
    assert history.learning_rate == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25]
    assert history.best_epoch == 0


def test_gradient_is_clipped_and_weights_decay() -> None:
    data = torch.full((4, 1), 1e3)
    clipped, free = Scripted([]), Scripted([])
    for model, clip_norm in ((clipped, 1e-9), (free, 1e9)):
        fit(model, data, seed=0, epochs=1, clip_norm=clip_norm, learning_rate=0.1)
    # Adam divides by the norm plus 1e-8: only a clipped gradient of 1e-9 moves visibly less.
    assert abs(clipped.weight.item()) < 0.02 < 0.09 < abs(free.weight.item())
    decayed = Scripted([])
    with torch.no_grad():
        decayed.weight.fill_(10.0)
    fit(decayed, 0 * data, seed=0, epochs=1, learning_rate=0.1, weight_decay=0.5)
    assert decayed.weight.item() == pytest.approx(10.0 * (1 - 0.1 * 0.5))


def test_learning_rate_halves_on_a_plateau() -> None:
    history = fit(
        Overshoots(), torch.zeros(1, 1), torch.zeros(1, 1), seed=0, epochs=30, learning_rate=0.4,
        patience=20, plateau=3,
    )  # fmt: skip
    assert history.learning_rate[0] == 0.4
    assert history.learning_rate[-1] <= 0.1


def test_cosine_rate_falls_to_nearly_zero() -> None:
    run = {"seed": 0, "epochs": 4, "batch_size": 50, "learning_rate": 0.1, "cosine": True}
    rates = fit(Line(), line_data(), **run).learning_rate
    # The last of four steps of each epoch: shares 3/16, 7/16, 11/16, 15/16 of training.
    expected = [0.05 * (1 + math.cos(math.pi * step / 16)) for step in (3, 7, 11, 15)]
    assert rates == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("cosine", [True, False])
def test_a_slower_part_moves_by_its_factor(cosine: bool) -> None:
    """First step of Adam: the learning rate, whatever the gradient; scaling that does nothing."""

    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.top = nn.Linear(2, 1, bias=False)
            self.rest = nn.Linear(2, 1, bias=False)

        def loss(self, batch: Tensor, *, progress: float) -> Tensor:
            return (1e-3 * self.top(batch) + self.rest(batch)).sum()

    torch.manual_seed(0)
    model = Parts()
    before = [p.detach().clone() for p in model.parameters()]
    run = {"seed": 0, "epochs": 1, "learning_rate": 0.1, "cosine": cosine, "clip_norm": 1e9}
    fit(model, torch.ones(4, 2), **run, rates={"top.": 0.3})
    steps = [(p - b).abs() for p, b in zip(model.parameters(), before, strict=True)]
    torch.testing.assert_close(steps[0], torch.full((1, 2), 0.03), atol=1e-5, rtol=0)
    torch.testing.assert_close(steps[1], torch.full((1, 2), 0.10), atol=1e-5, rtol=0)
    for rates in ({"bottom": 0.3}, {"top": 0.0}):
        with pytest.raises(ValueError, match="rates"):
            fit(model, torch.ones(4, 2), **run, rates=rates)


def test_without_validation_the_last_weights_are_kept() -> None:
    model = Overshoots()
    history = fit(model, torch.zeros(1, 1), seed=0, epochs=25, learning_rate=0.1)
    assert model.weight.item() == pytest.approx(2.5, abs=0.01)
    assert history.best_epoch == 24


class Explodes(Line):
    def loss(self, batch: Tensor, *, progress: float) -> Tensor:
        loss = super().loss(batch, progress=progress)
        return loss * math.nan if self.training and progress > 0.5 else loss


def test_divergence_is_an_error_and_keeps_the_best_weights() -> None:
    model = Explodes()
    with pytest.raises(
        DivergenceError, match=r"NaN or infinite in epoch 4, step 1;.*Lower learning_rate"
    ):
        fit(model, line_data(), line_data(50, 1), seed=0, epochs=4)
    assert model.slope.isfinite().all()
    assert model.slope.abs().sum() > 0


class Pair(NamedTuple):
    x: Tensor
    context: Tensor


class TakesPairs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(1))

    def loss(self, batch: Pair, *, progress: float) -> Tensor:
        return (batch.x - self.slope * batch.context).square().mean()


def test_named_tuples_travel_as_batches_with_rows_kept_together() -> None:
    x = torch.randn(300, 1)
    model = TakesPairs()
    fit(model, Pair(3 * x, x), seed=0, epochs=200, learning_rate=0.1, plateau=200)
    assert model.slope.item() == pytest.approx(3.0, abs=1e-3)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.full((4, 3), math.nan), "train holds NaN or inf"),
        (torch.zeros(0, 3), r"one common length above 0, got \[0\]"),
        ((torch.zeros(4, 1), torch.zeros(3, 1)), r"one common length above 0, got \[4, 3\]"),
        ([[1.0, 2.0]], "tensor or a tuple of tensors, got list"),
    ],
)
def test_bad_data_are_refused(bad, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(Line(), bad, seed=0)
    with pytest.raises(ValueError, match=message.replace("train", "validation")):
        fit(Line(), line_data(), bad, seed=0)
    with pytest.raises(ValueError, match=message.replace("train", "data")):
        evaluate(Line(), bad, seed=0)


def test_evaluate_averages_over_draws_and_batches() -> None:
    model, data = Line(noise=2.0), line_data()
    with torch.no_grad():
        model.slope.copy_(torch.tensor([1.0, -2.0]))
    # Only the noise is left: its mean square is 4, with standard error 4 sqrt(2 / 200,000).
    assert evaluate(model, data, draws=1000, seed=0) == pytest.approx(4.0, abs=0.05)
    exact = Line()
    whole = evaluate(exact, data, seed=0)
    assert evaluate(exact, data, seed=0, batch_size=7) == pytest.approx(whole, rel=1e-6)


def test_evaluate_keeps_the_mode_of_the_model_also_when_the_loss_fails() -> None:
    model = Line().train()
    evaluate(model, line_data(), seed=0)
    assert model.training
    assert {progress for _, progress in model.seen} == {1.0}
    with pytest.raises(RuntimeError):
        evaluate(model, torch.zeros(3, 7), seed=0)
    assert model.training


def test_training_loss_weighs_batches_by_their_rows() -> None:
    data = torch.zeros(3, 3)
    data[:, 0] = torch.tensor([1.0, 2.0, 3.0])
    history = fit(Line(), data, seed=0, epochs=1, batch_size=2, learning_rate=1e-12)
    assert history.train[0] == pytest.approx((1 + 4 + 9) / 3)


def test_a_finished_run_is_returned_from_its_checkpoint(tmp_path: Path) -> None:
    arguments = {"seed": 0, "epochs": 3, "checkpoint": tmp_path / "deep" / "run.pt"}
    first, again = Line(noise=1.0), Line(noise=1.0)
    history = fit(first, line_data(), line_data(50, 1), **arguments)
    assert fit(again, line_data(), line_data(50, 1), **arguments) == history
    assert torch.equal(first.slope, again.slope)
    assert again.seen == []


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.pt").write_bytes(b"half a checkpoint")
    with pytest.raises(ValueError, match="no checkpoint, or a damaged one; delete it"):
        fit(Line(), line_data(), seed=0, checkpoint=tmp_path / "run.pt")


@pytest.mark.parametrize("name", ["epochs", "batch_size", "patience", "plateau", "clip_norm"])
def test_settings_must_be_positive(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be positive, got 0"):
        fit(Line(), line_data(), seed=0, **{name: 0})
    with pytest.raises(ValueError, match="draws must be 1 or more"):
        evaluate(Line(), line_data(), seed=0, draws=0)


@pytest.mark.parametrize(
    ("change", "name"),
    [({"learning_rate": 0.5}, "learning_rate"), ({"seed": 1}, "seed"), ({"epochs": 9}, "epochs")],
)
def test_a_checkpoint_of_another_call_is_refused(tmp_path: Path, change, name: str) -> None:
    arguments = {"seed": 0, "epochs": 2, "checkpoint": tmp_path / "run.pt"}
    fit(Line(), line_data(), **arguments)
    with pytest.raises(ValueError, match=f"other values of {name};.*delete the file"):
        fit(Line(), line_data(), **(arguments | change))
    with pytest.raises(ValueError, match="other values of train;"):
        fit(Line(), line_data(seed=5), **arguments)
    with pytest.raises(ValueError, match="other values of validation;"):
        fit(Line(), line_data(), line_data(seed=5), **arguments)
    started_elsewhere = Line()
    with torch.no_grad():
        started_elsewhere.slope += 1
    with pytest.raises(ValueError, match="other values of model;"):
        fit(started_elsewhere, line_data(), **arguments)


def carrying_state() -> tuple[nn.Module, dict]:
    """A run in which everything that is carried matters: it halves its rate and stops early."""
    x = torch.randn(300, 3, generator=torch.Generator().manual_seed(0))
    flow = real_nvp(3, transforms=2, hidden=(8,), base=StudentT(3), batch_norm=True)
    exact = flow.loss
    flow.loss = lambda batch, *, progress: exact(batch + 0.1 * torch.randn_like(batch))
    arguments = {"train": x[:200], "validation": x[200:], "seed": 1, "epochs": 60}
    arguments |= {"batch_size": 64, "plateau": 2, "patience": 7, "learning_rate": 0.2}
    return flow, arguments


class Interrupted(Exception):
    pass


def test_resume_after_any_epoch_gives_the_undisturbed_numbers_to_the_bit(
    tmp_path: Path, monkeypatch
) -> None:
    undisturbed, arguments = carrying_state()
    history = fit(undisturbed, **arguments)
    epochs = len(history.train)
    # The run must exercise what it claims to: rates that fall, a best epoch that is not the last.
    assert epochs < arguments["epochs"]
    assert history.best_epoch < epochs - 1
    assert len(set(history.learning_rate)) > 2

    write = torch.save
    for stop in range(1, epochs):
        path = tmp_path / f"{stop}.pt"

        def write_and_stop(state, file, stop=stop) -> None:
            write(state, file)
            if state["epoch"] == stop + 1:
                raise Interrupted  # before the rename: the checkpoint of epoch `stop` stands

        monkeypatch.setattr(torch, "save", write_and_stop)
        with pytest.raises(Interrupted):
            fit(carrying_state()[0], **arguments, checkpoint=path)
        monkeypatch.undo()
        resumed = carrying_state()[0]
        assert fit(resumed, **arguments, checkpoint=path) == history
        for key, value in undisturbed.state_dict().items():
            assert torch.equal(value, resumed.state_dict()[key]), (stop, key)


RUN = textwrap.dedent(
    """
    import sys, time, torch
    from genfin_lib.training import fit
    from tests.test_training import carrying_state

    torch.set_num_threads(1)
    flow, arguments = carrying_state()
    loss = flow.loss

    def slow(batch, *, progress):
        time.sleep(float(sys.argv[3]))
        return loss(batch, progress=progress)

    flow.loss = slow
    history = fit(flow, **arguments, checkpoint=sys.argv[1])
    torch.save({"weights": flow.state_dict(), "history": vars(history)}, sys.argv[2])
    """
)


def test_kill_and_resume_give_the_undisturbed_numbers_to_the_bit(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(RUN)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}

    def command(name: str, pause: float) -> list[str]:
        paths = [tmp_path / f"{name}.ckpt", tmp_path / f"{name}.out"]
        return [sys.executable, str(script), *map(str, paths), str(pause)]

    subprocess.run(command("undisturbed", 0.0), check=True, env=environment)
    checkpoint, moments = tmp_path / "killed.ckpt", random.Random(0)
    for _ in range(3):
        process = subprocess.Popen(command("killed", 0.02), env=environment)
        written = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        while not checkpoint.exists() or checkpoint.stat().st_mtime_ns == written:
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.002)
        time.sleep(moments.uniform(0.0, 0.15))  # somewhere within the next epochs
        assert process.poll() is None, "the run ended before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command("killed", 0.0), check=True, env=environment)

    a, b = (torch.load(tmp_path / f"{n}.out", weights_only=True) for n in ("undisturbed", "killed"))
    assert a["history"] == b["history"]
    for key, value in a["weights"].items():
        assert torch.equal(value, b["weights"][key]), key


def test_an_interrupted_write_leaves_the_previous_checkpoint(tmp_path: Path, monkeypatch) -> None:
    path, save, written = tmp_path / "run.pt", torch.save, []

    def dies_at_the_third_write(state, file) -> None:
        if len(written) == 2:
            file.write(b"half a checkpoint")
            raise KeyboardInterrupt
        save(state, file)
        written.append(state["epoch"])

    monkeypatch.setattr(torch, "save", dies_at_the_third_write)
    with pytest.raises(KeyboardInterrupt):
        fit(Line(), line_data(), seed=0, epochs=5, checkpoint=path)
    assert torch.load(path, weights_only=True)["epoch"] == 2
    monkeypatch.undo()
    resumed, undisturbed = Line(), Line()
    fit(resumed, line_data(), seed=0, epochs=5, checkpoint=path)
    fit(undisturbed, line_data(), seed=0, epochs=5)
    assert torch.equal(resumed.slope, undisturbed.slope)
