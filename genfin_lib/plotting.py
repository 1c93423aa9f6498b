"""One figure style for the book. Every drawing function takes ``ax`` and returns it.

Data are dark; a model has the same colour in every chapter. The colours follow Okabe and Ito (2008,
https://jfly.uni-koeln.de/color/), which people with any common colour vision can tell apart, with
darker companions for variants of a model.
"""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from html import escape

import matplotlib.pyplot as plt
import numpy as np
import torch
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy.stats import beta
from torch import Tensor

from genfin_lib.training import History

COLORS = {
    "data": "#222222",
    "Gaussian": "#D55E00",
    "Student-t": "#009E73",
    "historical": "#8C6D1F",
    "NICE": "#56B4E9",
    "NICE-t": "#CC79A7",
    "RealNVP": "#0072B2",
    "RealNVP-t": "#882255",
    "likelihood": "#E69F00",
    "matching": "#4B0092",
    "band": "#BBBBBB",
}


def use_style() -> None:
    """Set the book's figure style; called once, in the imports cell of each notebook."""
    plt.rcParams.update(
        {
            "figure.figsize": (6.6, 3.7),
            "figure.dpi": 120,
            # A white ground of its own keeps a figure legible on a dark page.
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 10,
            "axes.prop_cycle": cycler(color=list(COLORS.values())),
            "legend.frameon": False,
            "lines.linewidth": 1.6,
            "image.cmap": "Blues",
        }
    )


def learning_curve(history: History, ax: Axes, *, label: str, color: str) -> Axes:
    """Draw training (thin) and validation (bold) loss by epoch, and mark the epoch kept."""
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


def loss_tail(
    returns: ArrayLike,
    models: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    ax: Axes,
    *,
    label: str = "data",
    confidence: float = 0.95,
) -> Axes:
    r"""Draw how often a loss is exceeded, in data and under models, on logarithmic axes.

    The band is the exact (Clopper-Pearson) interval of each empirical frequency, point by point
    and for independent days: a model curve inside it is not contradicted by the data at that
    loss. Clustered volatility makes the true uncertainty larger.

    Args:
        returns: Signed returns in per cent, shape ``(n,)``.
        models: Name to a function that maps losses to :math:`P(-X \ge \text{loss})`. Names
            that are in ``COLORS`` are drawn in that colour.
        ax: Where to draw.
        label: What the data are.
        confidence: Coverage of the band at each point.
    """
    losses = np.sort(-np.asarray(returns, dtype=float))[::-1]
    losses = losses[losses > 0]
    n, count = np.size(returns), np.arange(1, losses.size + 1)
    tail = (1 - confidence) / 2
    low, high = beta.ppf(tail, count, n - count + 1), beta.ppf(1 - tail, count + 1, n - count)
    ax.fill_between(
        losses, low, high, color=COLORS["band"], alpha=0.5, lw=0, label=f"{confidence:.0%} band"
    )
    ax.plot(losses, count / n, ".", color=COLORS["data"], ms=4, label=label)
    grid = np.geomspace(np.quantile(losses, 0.4), 1.3 * losses[0], 200)
    for name, survival in models.items():
        ax.plot(grid, survival(grid), label=name, color=COLORS.get(name))
    ax.set(
        xscale="log",
        yscale="log",
        ylim=(0.2 / n, 0.5),
        xlim=(grid[0], grid[-1]),
        xlabel="daily loss (%)",
        ylabel="share of days with at least this loss",
    )
    ticks = [t for t in (0.5, 1, 2, 3, 5, 8, 12, 20) if grid[0] <= t <= grid[-1]]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.set_xticks([], minor=True)
    return ax


def stretched_grid(
    inverse: Callable[[Tensor], Tensor], ax: Axes, *, limit: float = 3.0, lines: int = 19
) -> Axes:
    """Draw the image of a square grid of the latent space under a map to data space."""
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


def player(
    draw: Callable[[Figure, float], object],
    *,
    frames: int = 21,
    alt: str,
    figsize: tuple[float, float] = (6.6, 3.4),
) -> str:
    """Return an animation as self-contained HTML: a slider and a button, nothing else.

    It starts still and moves only when asked, works from the keyboard, and asks no other host
    for scripts or fonts, which matplotlib's own player does.

    Args:
        draw: Draws on an empty figure the state at time ``t`` in [0, 1].
        frames: Number of pictures.
        alt: What the animation shows, for readers who do not see it.
        figsize: Size of a picture in inches.
    """
    pictures = []
    for t in np.linspace(0, 1, frames):
        figure = plt.figure(figsize=figsize, dpi=80)
        draw(figure, float(t))
        buffer = io.BytesIO()
        figure.savefig(buffer, format="webp", pil_kwargs={"quality": 75})
        plt.close(figure)
        pictures.append("data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode())
    sources = ",".join(f'"{picture}"' for picture in pictures)
    return f"""<div class="player" style="max-width:{figsize[0] * 80:.0f}px">
<img src="{pictures[0]}" alt="{escape(alt, quote=True)}" style="width:100%">
<div style="display:flex;gap:.6em;align-items:center">
<button type="button" style="min-width:4.5em">Play</button>
<input type="range" min="0" max="{frames - 1}" value="0" aria-label="position in the animation"
 style="flex:1"></div>
<script>(() => {{
const root = document.currentScript.parentElement, frames = [{sources}];
const [img, button, slider] = ["img", "button", "input"].map((tag) => root.querySelector(tag));
let timer = null;
const show = (k) => {{ img.src = frames[k]; slider.value = k; }};
const stop = () => {{ clearInterval(timer); timer = null; button.textContent = "Play"; }};
slider.oninput = () => {{ stop(); show(+slider.value); }};
button.onclick = () => {{
  if (timer) return stop();
  if (+slider.value === frames.length - 1) show(0);
  button.textContent = "Pause";
  timer = setInterval(() => {{
    if (+slider.value === frames.length - 1) return stop();
    show(+slider.value + 1);
  }}, 120);
}};
}})();</script></div>"""
