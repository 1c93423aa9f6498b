"""Can a network tell generated windows from real ones, and does it learn from them?"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from genfin_lib.distributions import fixed_seed
from genfin_lib.training import fit

Error = Callable[[Tensor, Tensor], Tensor]


def discriminative_score(
    real: Tensor,
    generated: Tensor,
    *,
    seed: int,
    hidden: int | None = None,
    steps: int = 2000,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    cosine: bool = False,
) -> float:
    r"""How well a recurrent network, trained afterwards, tells generated from real windows.

    .. math:: \bigl|\tfrac12 - \text{accuracy}\bigr| \in [0, \tfrac12]

    on the fifth of the windows, drawn at random, that it was not trained on. Zero: it cannot tell.
    The network is a GRU whose last state goes into a logistic regression. The published protocol
    gives it as many units as half of the channels, *two* for daily bars, and constant learning
    rate: too weak to find much. Report 24 units beside. Real windows that overlap share days
    between the two parts, and a generator that recites its data scores zero: look at the novelty
    of what it says too. J. Yoon, D. Jarrett and M. van der Schaar (2019), Time-series generative
    adversarial networks, https://papers.nips.cc/paper/8789-time-series-generative-adversarial-networks.
    Chapter: TimeVAE.

    Args:
        real: Windows ``(N, T, C)``, scaled to about [0, 1].
        generated: ``(N, T, C)``, in the same units.
        seed: Of the split, the network and its training.
        hidden: Units; C // 2 if ``None``, as published.
        steps: Training steps.
        batch_size: Windows of each kind in a step.
        learning_rate: Of Adam.
        cosine: Whether the rate falls to zero: the same network is then better trained.

    Raises:
        ValueError: If the shapes differ or there are fewer than ten windows.
    """
    _check(real, generated)
    if len(real) != len(generated):
        raise ValueError(f"{len(real)} real and {len(generated)} generated windows: as many needed")
    with fixed_seed(seed):
        net = _Recurrent(real.shape[2], hidden or real.shape[2] // 2, cross_entropy, last=True)
        cut = len(real) * 4 // 5
        parts = [w[torch.randperm(len(w))] for w in (real, generated)]
    x_train, x_test = (torch.cat([w[a] for w in parts]) for a in (slice(cut), slice(cut, None)))
    y_train, y_test = (
        torch.arange(len(x))[:, None].lt(len(x) // 2).to(x) for x in (x_train, x_test)
    )
    _train(net, (x_train, y_train), 2 * batch_size, steps, learning_rate, cosine, seed)
    with torch.no_grad():
        right = (net(x_test) > 0) == (y_test > 0.5)
    return abs(0.5 - right.double().mean().item())


def predictive_score(
    real: Tensor,
    generated: Tensor,
    *,
    seed: int,
    hidden: int | None = None,
    steps: int = 5000,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    cosine: bool = False,
) -> float:
    r"""Mean absolute error, on *real* windows, of one-step forecasts learned from generated ones.

    .. math:: \frac{1}{N (T-1)} \sum_{n,\,t}
        \bigl|\hat x_{n,t+1,C} - x_{n,t+1,C}\bigr|, \qquad
        \hat x_{t+1,C} = \sigma\bigl(\mathrm{GRU}(x_{\le t,\,1}, \dots, x_{\le t,\,C-1})\bigr)

    The last channel (the volume, of bars) is forecast from the past of the others. Small numbers
    are good; the standard is the same score with real windows in both places. Source and chapter:
    :func:`discriminative_score`.

    Args:
        real: Windows ``(N, T, C)``, scaled to [0, 1], C of two or more.
        generated: ``(M, T, C)``, in the same units.
        seed: Of the network and its training.
        hidden: Units; C // 2 if ``None``, as published.
        steps: Training steps.
        batch_size: Windows in a step.
        learning_rate: Of Adam.
        cosine: Whether the rate falls to zero.

    Raises:
        ValueError: If the shapes differ, there are fewer than ten windows, or one channel.
    """
    _check(real, generated)
    if real.shape[2] < 2:
        raise ValueError("one channel: the last is forecast from the others, so give two or more")
    with fixed_seed(seed):
        net = _Recurrent(real.shape[2] - 1, hidden or real.shape[2] // 2, _distance, last=False)
    _train(net, _shifted(generated), batch_size, steps, learning_rate, cosine, seed)
    with torch.no_grad():
        return net.loss(_shifted(real)).item()


class _Recurrent(nn.Module):
    """A GRU with one output, at the last time ``(N, 1)`` or at each ``(N, T)``."""

    def __init__(self, channels: int, hidden: int, error: Error, *, last: bool) -> None:
        super().__init__()
        self.gru = nn.GRU(channels, hidden, batch_first=True)
        self.out = nn.Linear(hidden, 1)
        self.error, self.last = error, last

    def forward(self, x: Tensor) -> Tensor:
        states = self.gru(x)[0]
        return self.out(states[:, -1] if self.last else states).flatten(1)

    def loss(self, batch: tuple[Tensor, Tensor], *, progress: float = 1.0) -> Tensor:
        return self.error(self(batch[0]), batch[1])


def _distance(raw: Tensor, y: Tensor) -> Tensor:
    return (raw.sigmoid() - y).abs().mean()


def _shifted(windows: Tensor) -> tuple[Tensor, Tensor]:
    """What is known, without the last channel, and what of it comes next."""
    return windows[:, :-1, :-1], windows[:, 1:, -1]


def _train(
    net: _Recurrent,
    batch: tuple[Tensor, Tensor],
    size: int,
    steps: int,
    rate: float,
    cosine: bool,
    seed: int,
) -> None:
    epochs = max(1, round(steps * size / len(batch[0])))
    fit(net, batch, seed=seed, epochs=epochs, batch_size=size, learning_rate=rate, cosine=cosine)


def _check(real: Tensor, generated: Tensor) -> None:
    if (
        real.ndim != 3
        or real.shape[1:] != generated.shape[1:]
        or min(len(real), len(generated)) < 10
    ):
        raise ValueError(
            f"real of shape {tuple(real.shape)} and generated of {tuple(generated.shape)}: "
            "(windows, times, channels) with equal times and channels, ten windows or more"
        )
