"""Data against a model where it matters: in the tails, with the error of sampling."""

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike
from scipy.stats import beta

from genfin_lib.plotting.style import COLORS


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


def qq_plot(
    values: ArrayLike,
    quantile: Callable[[np.ndarray], np.ndarray],
    ax: Axes,
    *,
    label: str = "data",
    confidence: float = 0.95,
) -> Axes:
    r"""Draw the ordered sample against the quantiles of a reference law, with a sampling band.

    .. math:: F(x_{(i)}) \sim \mathrm{Beta}(i,\, n + 1 - i)

    for an independent sample of *any* continuous law :math:`F`. So the point drawn for
    :math:`x_{(i)}` stands over :math:`F^{-1}(i/(n+1))`, the mean of that Beta law, and the band at
    it runs between the Beta's quantiles carried through :math:`F^{-1}`. It holds point by point:
    of all points one in twenty lies outside at 0.95, neighbours together. If the reference was
    fitted to the same sample, the points follow it too closely; if the days are dependent, they
    stray more. H. A. David and H. N. Nagaraja (2003), Order Statistics, 3rd ed., section 2.3,
    https://doi.org/10.1002/0471722162.

    Args:
        values: Sample, shape ``(n,)``: returns, residuals, or PIT values with the uniform law.
        quantile: Maps probabilities in (0, 1) to the reference's quantiles, in units of the
            sample: ``scipy.stats.norm(mean, sd).ppf``.
        ax: Where to draw.
        label: What the points are.
        confidence: Coverage of the band at each point.

    Raises:
        ValueError: More than one dimension, fewer than two values, NaN or inf, or a confidence
            outside (0, 1).
    """
    x = np.asarray(values, dtype=float)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence}: must lie strictly between 0 and 1")
    if x.ndim != 1 or x.size < 2 or not np.isfinite(x).all():
        raise ValueError(
            f"values of shape {x.shape}: one sample of at least two finite values is needed; drop "
            "NaN and inf first"
        )
    x = np.sort(x)
    rank = np.arange(1, x.size + 1)
    tail, expected = (1 - confidence) / 2, quantile(rank / (x.size + 1))
    low, high = (quantile(beta.ppf(u, rank, x.size + 1 - rank)) for u in (tail, 1 - tail))
    ax.fill_between(
        expected, low, high, color=COLORS["band"], alpha=0.5, lw=0, label=f"{confidence:.0%} band"
    )
    ax.plot(expected, expected, color=COLORS["band"], lw=0.8, zorder=1)
    ax.plot(expected, x, ".", color=COLORS["data"], ms=3, label=label)
    ax.set(xlabel="quantile of the reference", ylabel="quantile of the sample")
    return ax
