"""What every model of the comparison is asked: the same data, split by time in the same way."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor

from genfin_lib.applications.protocol import INPUTS, protocol_returns
from genfin_lib.data import windows

# Models are fitted before the first year, settled on the years between, and scored from the last.
VALIDATION, LATER = "2011-01-01", "2014-01-01"
LENGTH = 64
MONTH = 21
REGIME_WEIGHTS = (0.75, 0.25)
REGIME_MEANS = (0.0008, -0.0010)
REGIME_VOLATILITIES = (0.007, 0.020)


@dataclass(frozen=True, eq=False)
class Task:
    """One data set, cut for all models alike.

    Attributes:
        name: Of the task.
        train: Examples ``(N, channels, length)`` or ``(N, D)``.
        validation: Later ones, which training may look at to stop.
        later: Later still, for scores alone; windows of it do not overlap.
        block: Of each later example, which stretch of time it is from: examples of one block are
            not independent. Empty if each stands alone.
        seconds: Of one core, that a training may take.
        inputs: Snapshots that it came from; none if it is simulated.
    """

    name: str
    train: Tensor
    validation: Tensor
    later: Tensor
    block: tuple[int, ...] = ()
    seconds: float = 6.0
    inputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shapes = {part.shape[1:] for part in (self.train, self.validation, self.later)}
        if len(shapes) > 1 or min(map(len, (self.train, self.validation, self.later))) < 10:
            raise ValueError(
                f"task {self.name}: train {(*self.train.shape,)}, validation "
                f"{(*self.validation.shape,)}, later {(*self.later.shape,)}; ten or more of each, "
                "of one shape, are needed"
            )


def return_windows(*, length: int = LENGTH, stride: int = 16) -> Task:
    """Windows of the index and the 20 stocks, pooled, in standard deviations of the training part.

    Each series is divided by its own deviation, so that one law can hold for all. Windows of the
    same days are not independent, across series nor where they overlap: tests over them need blocks
    of dates.

    Args:
        length: Days of a window.
        stride: Days between the starts of training and validation windows.
    """
    returns = protocol_returns()
    train, validation, later = _periods(returns)
    scale = train.std()

    def cut(part: pd.DataFrame, step: int) -> Tensor:
        each = [windows(series, length, stride=step) for _, series in part.items()]
        return torch.tensor(np.concatenate(each), dtype=torch.float32).transpose(1, 2).contiguous()

    block = tuple(range(len(later) // length)) * later.shape[1]
    return Task(
        "windows",
        cut(train / scale, stride),
        cut(validation / scale, stride),
        cut(later / scale, length),
        block=block,
        seconds=12.0,
        inputs=INPUTS,
    )


def cross_sections() -> Task:
    """Returns of the 20 stocks on one day, in per cent."""
    parts = _periods(protocol_returns().drop(columns="SP500"))
    train, validation, later = (
        torch.tensor(part.to_numpy(), dtype=torch.float32) for part in parts
    )
    block = tuple(day // MONTH for day in range(len(later)))
    return Task("cross-sections", train, validation, later, block=block, inputs=("sp500_stocks",))


def regime_windows(
    *, sizes: tuple[int, int, int] = (4000, 500, 500), length: int = LENGTH, seed: int = 0
) -> Task:
    """Simulated windows, each in one of two regimes: calm or falling. In daily per cent.

    Means and volatilities are those of `genfin_lib.data.simulate_regimes`; a regime holds for
    the whole window, so that the truth has two modes that do not overlap.

    Args:
        sizes: Windows for training, validation and scores.
        length: Days of a window.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    regime = rng.choice(2, size=sum(sizes), p=REGIME_WEIGHTS)
    mean, volatility = (
        100 * np.array(values)[regime, None] for values in (REGIME_MEANS, REGIME_VOLATILITIES)
    )
    x = mean + volatility * rng.standard_normal((sum(sizes), length))
    parts = torch.tensor(x[:, None], dtype=torch.float32).split(list(sizes))
    return Task("regimes", *parts)


def regime_log_densities(x: np.ndarray) -> np.ndarray:
    """Exact log-density of windows ``(N, 1, length)`` in each regime, ``(N, 2)``."""
    each = [
        stats.norm.logpdf(x, 100 * mean, 100 * volatility).sum(axis=(1, 2))
        for mean, volatility in zip(REGIME_MEANS, REGIME_VOLATILITIES, strict=True)
    ]
    return np.stack(each, axis=1)


TASKS: dict[str, Callable[[], Task]] = {
    "windows": return_windows,
    "cross-sections": cross_sections,
    "regimes": regime_windows,
}


def _periods(returns: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    dates = returns.index
    middle = returns[(dates >= VALIDATION) & (dates < LATER)]
    return returns[dates < VALIDATION], middle, returns[dates >= LATER]
