"""Windows that flat and hierarchical models are compared on, with a common split in time."""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from genfin_lib.data import load, log_returns, simulate_multiscale, windows

LAST_TRAINED, LAST_VALIDATED = "2010", "2013"


class Sets(NamedTuple):
    """Windows ``(N, length, channels)`` in units of the training period, with the time of each.

    ``times`` are those of the later windows, validation first; ``validation`` counts the rows.
    """

    train: Tensor
    later: Tensor
    times: np.ndarray
    validation: int
    truth: np.ndarray | None = None


def equity_windows(length: int = 64) -> Sets:
    """Single stocks: windows of the past that begin every fourth day, later ones apart."""
    z = _standardised()
    train = [windows(z.loc[:LAST_TRAINED, [name]], length, stride=4) for name in z]
    return _later(z, length, np.concatenate(train), single=True)


def panel_windows(length: int = 32) -> Sets:
    """All 20 stocks together."""
    z = _standardised()
    return _later(z, length, windows(z[:LAST_TRAINED], length), single=False)


def simulated_windows(train: int = 16_000, later: int = 1200) -> Sets:
    """Blocks of eight simulated days of eight steps, each in one regime, and their true density."""
    sample = simulate_multiscale(8 * (train + later), seed=0)
    x = sample.returns.reshape(-1, 64, 1)
    scale = x[:train].std()
    truth = sample.block_log_likelihood / 64 + math.log(scale)
    blocks = np.arange(later) // 20
    return Sets(_tensor(x[:train] / scale), _tensor(x[train:] / scale), blocks, 200, truth[train:])


def _standardised() -> pd.DataFrame:
    returns = log_returns(load("sp500_stocks"))
    past = returns[:LAST_TRAINED]
    return (returns - past.mean()) / past.std()


def _later(z: pd.DataFrame, length: int, train: np.ndarray, *, single: bool) -> Sets:
    """Windows after training, cut inside validation and test period."""
    first = z.index.searchsorted(pd.Timestamp(f"{int(LAST_TRAINED) + 1}"))
    middle = z.index.searchsorted(pd.Timestamp(f"{int(LAST_VALIDATED) + 1}"))
    parts, times = [], []
    for part in (z.iloc[first:middle], z.iloc[middle:]):
        cut = windows(part, length, stride=length)
        ends = part.index[length - 1 :: length].strftime("%Y-%m-%d").to_numpy()
        if single:
            cut, ends = cut.transpose(0, 2, 1).reshape(-1, length, 1), ends.repeat(part.shape[1])
        parts.append(cut)
        times.append(ends)
    later = np.concatenate(parts)
    return Sets(_tensor(train), _tensor(later), np.concatenate(times), len(parts[0]))


def _tensor(x: np.ndarray) -> Tensor:
    return torch.tensor(x, dtype=torch.float32)
