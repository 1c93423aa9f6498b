"""Training, densities and maps of a model."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from genfin_lib.plotting.style import COLORS
from genfin_lib.training import History


def learning_curve(history: History, ax: Axes, *, label: str, color: str) -> Axes:
    """Draw training (thin) and validation (bold) loss by epoch, and mark the epoch kept.

    Args:
        history: What `fit` returned.
        ax: Where to draw; it is returned.
        label: Of the model, in a legend.
        color: Of the model.
    """
    epochs = np.arange(1, len(history.train) + 1)
    ax.plot(epochs, history.train, color=color, lw=0.9, alpha=0.6)
    if history.validation:
        ax.plot(epochs, history.validation, color=color, label=label)
        best = history.best_epoch
        ax.plot(epochs[best], history.validation[best], "o", color=color, ms=5)
    ax.set(xlabel="epoch", ylabel="loss (nats)")
    return ax


def density(
    log_prob: Callable[[Tensor], Tensor],
    extent: tuple[float, float, float, float],
    ax: Axes,
    *,
    color: str,
    levels: Sequence[float] = (0.5, 0.9, 0.99),
    cells: int = 160,
) -> Axes:
    """Draw the borders of highest-density regions of a two-dimensional density.

    The line of level 0.9 encloses 90 % of the probability, whatever the units of the density.
    The outer lines are thinner.

    Args:
        log_prob: Maps points, shape ``(N, 2)``, to log-densities, shape ``(N,)``.
        extent: Left, right, bottom and top of the drawn box.
        ax: Where to draw.
        color: Colour of the lines.
        levels: Probabilities to enclose.
        cells: Grid cells in each direction.
    """
    left, right, bottom, top = extent
    x, y = np.linspace(left, right, cells), np.linspace(bottom, top, cells)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    with torch.no_grad():
        logs = log_prob(torch.tensor(points, dtype=torch.get_default_dtype())).numpy()
    weights = np.exp(logs - logs.max())
    order = np.argsort(weights)[::-1]
    enclosed = np.cumsum(weights[order]) / weights.sum()
    heights = logs[order[np.searchsorted(enclosed, sorted(levels, reverse=True))]]
    ax.contour(
        x,
        y,
        logs.reshape(cells, cells),
        levels=heights,
        colors=color,
        linewidths=np.linspace(0.7, 1.6, len(heights)),
        linestyles="solid",
    )
    return ax


def stretched_grid(
    inverse: Callable[[Tensor], Tensor], ax: Axes, *, limit: float = 3.0, lines: int = 19
) -> Axes:
    """Draw the image of a square grid of the latent space under a map to data space.

    Args:
        inverse: From latent points to data, `(N, 2)` to `(N, 2)`.
        ax: Where to draw; it is returned.
        limit: The grid reaches so far from the origin, each way.
        lines: Number of them, each way.
    """
    ticks = torch.linspace(-limit, limit, lines)
    fine = torch.linspace(-limit, limit, 121)
    for tick in ticks:
        for line in (
            torch.stack((fine, tick.expand_as(fine)), dim=1),
            torch.stack((tick.expand_as(fine), fine), dim=1),
        ):
            with torch.no_grad():
                image = inverse(line).numpy()
            ax.plot(image[:, 0], image[:, 1], color=COLORS["band"], lw=0.6, zorder=1)
    return ax


def partway(steps: Sequence[Callable[[Tensor], Tensor]], z: Tensor, t: float) -> Tensor:
    """Where points are at time ``t`` in [0, 1] on their way through maps applied in turn.

    Each map gets the same share of the time; within it points move in a straight line.

    Args:
        steps: Maps from points to points, shape ``(N, D)``.
        z: Where the points start.
        t: The time.
    """
    position = t * len(steps)
    done = min(int(position), len(steps) - 1)
    with torch.no_grad():
        for step in steps[:done]:
            z = step(z)
        return torch.lerp(z, steps[done](z), position - done)
