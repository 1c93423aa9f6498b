"""Stress tests that are right: rare scenarios with their weights, and the worst plausible one."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from torch import Tensor

from genfin_lib.distributions import fixed_seed
from genfin_lib.flows import Flow
from genfin_lib.risk.validation import finite, fraction


class Scenarios(NamedTuple):
    """Draws from a proposal, and what each counts under the model.

    Attributes:
        x: Scenarios, ``(n, D)``.
        log_prob: Log-density of each under the *model*, in nats, ``(n,)``.
        log_weights: Log of model density over proposal density, ``(n,)``.
    """

    x: np.ndarray
    log_prob: np.ndarray
    log_weights: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """Weights that sum to one, ``(n,)``."""
        return normalised_weights(self.log_weights)


@torch.no_grad()
def stressed_draws(
    flow: Flow,
    n: int,
    *,
    scale: float = 1.0,
    shift: ArrayLike | None = None,
    context: Tensor | None = None,
    seed: int,
) -> Scenarios:
    r"""Draws of a flow whose latent was widened or pushed, with their importance weights.

    .. math:: z = m + s\, z_0, \quad z_0 \sim p_z, \qquad x = f^{-1}(z), \qquad
        w = \frac{p_z(z)}{s^{-D}\, p_z\bigl((z - m)/s\bigr)}

    Draws of :math:`s\, z_0` are draws of *another* law; without :math:`w` their mean loss is no
    expected shortfall of the model. The Jacobian of the flow is in both densities and drops out.
    Widening every latent wastes draws at a rate that grows exponentially in :math:`D`
    (`effective_sample_size`); a push along the one direction that costs money does not.
    P. Glasserman (2003), Monte Carlo Methods in Financial Engineering, section 4.6,
    https://doi.org/10.1007/978-0-387-21617-1. Chapter: scenarios and stress.

    Args:
        flow: Density model.
        n: Number of draws.
        scale: :math:`s`, above zero.
        shift: :math:`m`, ``(D,)``; none if ``None``.
        context: ``(1, C)``, for a conditional flow.
        seed: Of the draws.

    Raises:
        ValueError: scale not above zero, a shift of another length, or as `Flow.sample`.
    """
    if not scale > 0 or math.isinf(scale):
        raise ValueError(f"scale {scale}: a finite number above 0 is needed; 1 changes nothing.")
    m = np.zeros(flow.features) if shift is None else finite(shift, "shift")
    if m.shape != (flow.features,):
        raise ValueError(
            f"shift of shape {m.shape}: one number for each of {flow.features} latents."
        )
    base = flow.base()
    with fixed_seed(seed):
        start = base.sample((n,))
    z = start * scale + start.new_tensor(m)
    rows = None if context is None else context.expand(n, -1)
    x, log_det = flow.inverse(z, rows)
    log_proposal = base.log_prob(start) - flow.features * math.log(scale)
    log_base = base.log_prob(z)
    return Scenarios(
        x.double().numpy(),
        (log_base - log_det).double().numpy(),
        (log_base - log_proposal).double().numpy(),
    )


def normalised_weights(log_weights: ArrayLike) -> np.ndarray:
    """Importance weights that sum to one, from logarithms of any level, ``(n,)``.

    Raises:
        ValueError: NaN or inf.
    """
    log_w = finite(log_weights, "log_weights")
    w = np.exp(log_w - log_w.max())
    return w / w.sum()


def effective_sample_size(weights: ArrayLike) -> float:
    r"""How many equal draws the weighted ones are worth.

    .. math:: n_\text{eff} = \Bigl(\sum_i w_i\Bigr)^2 \Big/ \sum_i w_i^2

    A. Kong (1992), A note on importance sampling using standardized weights, University of Chicago,
    https://galton.uchicago.edu/techreports/tr348.pdf.

    Args:
        weights: Not negative, ``(n,)``.

    Raises:
        ValueError: NaN, a negative weight, or none above zero.
    """
    w = _weights(weights)
    return float(w.sum() ** 2 / np.square(w).sum())


class WeightedTail(NamedTuple):
    """Tail of weighted draws: losses in units of the draws.

    Attributes:
        var: Value at risk.
        es: Expected shortfall.
        es_se: Standard error of ``es``.
        beyond: Effective number of draws beyond VaR.
    """

    var: float
    es: float
    es_se: float
    beyond: float


def weighted_tail(returns: ArrayLike, weights: ArrayLike, *, level: float = 0.99) -> WeightedTail:
    r"""VaR and ES of a model from draws of another law and their weights.

    .. math:: \mathrm{ES} = \min_q \; -q + \frac{1}{\alpha} \sum_i w_i \max(q - x_i, 0),
        \qquad \sum_i w_i = 1

    The minimum lies at minus VaR (Rockafellar & Uryasev 2000,
    https://doi.org/10.21314/JOR.2000.038), so that the error of the quantile drops out. Equal
    weights give `genfin_lib.risk.expected_shortfall`. Chapter: scenarios and stress.

    Args:
        returns: Outcomes, ``(n,)``.
        weights: Not negative, ``(n,)``; normalised here.
        level: Coverage.

    Raises:
        ValueError: NaN, lengths that differ, or a negative weight.
    """
    alpha = 1 - fraction(level, "level")
    x, w = finite(returns, "returns"), _weights(weights)
    if x.shape != w.shape or x.ndim != 1:
        raise ValueError(f"returns of shape {x.shape}, weights of {w.shape}: one weight for each.")
    w = w / w.sum()
    order = np.argsort(x)
    reached = np.cumsum(w[order])
    # 0.01 summed from weights of 0.001 may be 0.009999...; the draw counted is the same.
    q = x[order][np.searchsorted(reached, alpha * (1 - 1e-9))]
    excess = np.maximum(q - x, 0.0)
    mean = w @ excess
    tail = w[x <= q]
    return WeightedTail(
        var=float(-q),
        es=float(-q + mean / alpha),
        es_se=float(np.sqrt(np.square(w) @ np.square(excess - mean)) / alpha),
        beyond=effective_sample_size(tail),
    )


def plausible(log_prob: ArrayLike, *, probability: float = 0.99) -> float:
    r"""Log-density above which a share of draws lies: the border of the highest-density region.

    .. math:: P\bigl(\log p(X) \ge c\bigr) = \text{probability}, \qquad X \sim p

    A number for a threshold means nothing, since a log-density depends on units and on the number
    of series; the share of draws beyond it does. R. J. Hyndman (1996), Computing and graphing
    highest density regions, https://doi.org/10.1080/00031305.1996.10474359. Chapter: scenarios and
    stress.

    Args:
        log_prob: Log-densities of draws of the model, or of past days under the model, ``(n,)``.
        probability: Of the region.

    Raises:
        ValueError: NaN, or a probability outside (0, 1).
    """
    return float(
        np.quantile(finite(log_prob, "log_prob"), 1 - fraction(probability, "probability"))
    )


def worst_case(
    log_prob: Callable[[Tensor], Tensor],
    outcome: Callable[[Tensor], Tensor],
    start: ArrayLike,
    *,
    threshold: float,
) -> np.ndarray:
    r"""The scenario of the lowest outcome among those that are plausible.

    .. math:: \min_x \; R(x) \quad \text{subject to} \quad \log p(x) \ge c

    By sequential quadratic programming from one start: where the density has several peaks, start
    from the worst plausible draw. For a Gaussian and a linear outcome the answer is
    :math:`\mu - \sqrt{q}\, \Sigma w / \sqrt{w^\top \Sigma w}`. T. Breuer, M. Jandacka, K.
    Rheinberger and M. Summer (2009), How to find plausible, severe, and useful stress scenarios,
    https://www.ijcb.org/journal/ijcb09q3a7.htm. Chapter: scenarios and stress.

    Args:
        log_prob: Log-density of rows ``(1, D)``, differentiable.
        outcome: Return of the portfolio of rows ``(1, D)``, differentiable.
        start: A plausible scenario, ``(D,)``.
        threshold: :math:`c`, by `plausible`.

    Returns:
        Scenario, ``(D,)``.

    Raises:
        ValueError: a start that is not plausible, or no solution found.
    """
    x0 = finite(start, "start")

    def both(function: Callable[[Tensor], Tensor], x: np.ndarray) -> tuple[float, np.ndarray]:
        row = torch.tensor(x[None], dtype=torch.float64, requires_grad=True)
        value = function(row).sum()
        (gradient,) = torch.autograd.grad(value, row)
        return value.item(), gradient[0].numpy()

    if both(log_prob, x0)[0] < threshold:
        raise ValueError(
            f"the start has log-density {both(log_prob, x0)[0]:.3g}, below the threshold "
            f"{threshold:.3g}: start from a plausible scenario."
        )
    found = minimize(
        lambda x: both(outcome, x),
        x0,
        jac=True,
        method="SLSQP",
        constraints={
            "type": "ineq",
            "fun": lambda x: both(log_prob, x)[0] - threshold,
            "jac": lambda x: both(log_prob, x)[1],
        },
        options={"maxiter": 500, "ftol": 1e-9},
    )
    if not found.success or both(log_prob, found.x)[0] < threshold - 1e-3:
        raise ValueError(f"no worst case found ({found.message}): try another start.")
    return found.x


def _weights(weights: ArrayLike) -> np.ndarray:
    w = finite(weights, "weights")
    if (w < 0).any() or not w.sum() > 0:
        raise ValueError("weights must not be negative, and some must be above zero.")
    return w
