"""Laws of one standardised return: what is left of a forecast when volatility is divided out.

Each has ``cdf``, ``quantile``, ``expected_shortfall`` and ``log_prob`` for one series.
"""

import math
from typing import NamedTuple, Protocol

import numpy as np
from arch.univariate.distribution import Distribution
from scipy import stats

from genfin_lib.risk.measures import expected_shortfall
from genfin_lib.risk.validation import finite, fraction

_nodes, _weights = np.polynomial.legendre.leggauss(64)
# Where in the tail, as shares of its mass, and with what weight the quantiles are averaged.
TAIL_NODES = ((_nodes + 1) / 2) ** 4
TAIL_WEIGHTS = _weights / 2 * 4 * ((_nodes + 1) / 2) ** 3


class Innovation(Protocol):
    """Law of one variable: a return, or a return without its mean and volatility."""

    def cdf(self, x: np.ndarray) -> np.ndarray:
        """Probability of a value of at most ``x``."""

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """Smallest value whose probability of not being exceeded reaches ``u``."""

    def expected_shortfall(self, *, level: float = 0.99) -> float:
        """Mean loss in the worst ``1 - level`` of cases."""

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Log-density at ``x``; NaN everywhere for a law that has none."""


class Parametric:
    r"""A standardised distribution of the ``arch`` package with its parameters held fixed.

    Mean zero and variance one: ``Normal``, ``StudentsT``, or the skew-t of B. E. Hansen (1994),
    Autoregressive conditional density estimation, https://doi.org/10.2307/2527081. Expected
    shortfall is the mean of the quantiles beyond VaR, by quadrature:

    .. math:: \mathrm{ES} = -\frac{1}{\alpha} \int_0^\alpha F^{-1}(u)\, du
        = -\int_0^1 F^{-1}(\alpha v^4)\, 4 v^3\, dv, \qquad \alpha = 1 - \text{level}

    The fourth power takes the pole out of a heavy tail's quantile function. (The partial
    moments of ``arch`` would do, but those of its t are NaN above 340 degrees of freedom.)

    Args:
        distribution: An ``arch.univariate`` distribution.
        parameters: Its shape parameters: none, degrees of freedom (above 2.05), or these (up to
            300) and the skew in (-1, 1).
    """

    def __init__(self, distribution: Distribution, parameters: np.ndarray) -> None:
        self.distribution = distribution
        self.parameters = np.asarray(parameters, dtype=np.float64)

    def cdf(self, x: np.ndarray) -> np.ndarray:
        flat = self.distribution.cdf(np.ravel(x), self.parameters)
        return np.reshape(flat, np.shape(x))

    def quantile(self, u: np.ndarray) -> np.ndarray:
        flat = self.distribution.ppf(np.ravel(u), self.parameters)
        return np.reshape(flat, np.shape(u))

    def expected_shortfall(self, *, level: float = 0.99) -> float:
        alpha = 1 - fraction(level, "level")
        return -float(TAIL_WEIGHTS @ self.quantile(alpha * TAIL_NODES))

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        flat = np.ravel(x)
        unit = np.ones_like(flat)
        likelihood = self.distribution.loglikelihood(self.parameters, flat, unit, individual=True)
        return np.reshape(likelihood, np.shape(x))


class Empirical:
    r"""The past itself: each value seen is as likely as any other.

    .. math:: F(x) = \frac{1}{n} \#\{i : x_i \le x\}, \qquad
        F^{-1}(u) = x_{(\lceil n u \rceil)}

    Nothing worse than the worst value seen is possible, and there is no density.

    Args:
        values: Sample, ``(n,)``.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.ordered = np.sort(finite(values, "values"))

    def cdf(self, x: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.ordered, x, side="right") / len(self.ordered)

    def quantile(self, u: np.ndarray) -> np.ndarray:
        # 500 * 0.01 may be 5.000000000000001, whose ceiling would be one value too far.
        rank = np.ceil(np.round(len(self.ordered) * np.asarray(u), 8)).astype(int)
        return self.ordered[np.clip(rank, 1, len(self.ordered)) - 1]

    def expected_shortfall(self, *, level: float = 0.99) -> float:
        return float(expected_shortfall(self.ordered, level=level))

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        return np.full(np.shape(x), np.nan)


class ParetoTail(NamedTuple):
    r"""Excesses of losses, or of gains, over a threshold.

    Attributes:
        threshold: :math:`u`, a loss for the lower tail and a gain for the upper one.
        shape: :math:`\xi`, one over the tail index.
        scale: :math:`\beta`.
    """

    threshold: float
    shape: float
    scale: float


class ParetoTails:
    r"""Empirical in the middle, generalised Pareto beyond a threshold on either side.

    .. math:: P(-X > u + y) = \frac{k}{n}
        \Bigl(1 + \xi\, \frac{y}{\beta}\Bigr)^{-1/\xi}, \qquad y > 0

    Excesses over a high threshold follow a generalised Pareto law in the limit, for every law in
    the domain of attraction of an extreme value law: all that are in common use
    (Balkema & de Haan 1974; Pickands 1975). So the tail reaches beyond the worst value
    seen; :math:`\xi` is one over the tail index. VaR and ES in closed form: A. J. McNeil and
    R. Frey (2000), https://doi.org/10.1016/S0927-5398(00)00012-8. The middle has no density, and
    ``log_prob`` is NaN.

    Args:
        values: Sample, ``(n,)``.
        share: Share :math:`k/n` of the sample in each tail.

    Raises:
        ValueError: share not in (0, 0.5), or fewer than 20 values in a tail.
    """

    def __init__(self, values: np.ndarray, *, share: float = 0.1) -> None:
        if not 0 < share < 0.5:
            raise ValueError(f"share {share}: the two tails need a share between 0 and 0.5 each.")
        self.ordered = np.sort(finite(values, "values"))
        self.beyond = math.floor(round(len(self.ordered) * share, 8))
        if self.beyond < 20:
            raise ValueError(
                f"{self.beyond} values lie in a tail of share {share}: at least 20 are needed to "
                "fit it; give a longer window or a larger share."
            )
        self.share = self.beyond / len(self.ordered)
        self.lower = _fit_excesses(-self.ordered[: self.beyond + 1][::-1])
        self.upper = _fit_excesses(self.ordered[-self.beyond - 1 :])

    def cdf(self, x: np.ndarray) -> np.ndarray:
        x = np.asarray(x, dtype=np.float64)
        middle = np.searchsorted(self.ordered, x, side="right") / len(self.ordered)
        below, above = -x - self.lower.threshold, x - self.upper.threshold
        low, high = (
            self.share * stats.genpareto.sf(excess, shape, scale=scale)
            for excess, (_, shape, scale) in ((below, self.lower), (above, self.upper))
        )
        return np.select([below > 0, above > 0], [low, 1 - high], middle)

    def quantile(self, u: np.ndarray) -> np.ndarray:
        u = np.asarray(u, dtype=np.float64)
        middle = Empirical(self.ordered).quantile(u)
        low, high = (
            threshold + stats.genpareto.isf(np.minimum(tail / self.share, 1), shape, scale=scale)
            for tail, (threshold, shape, scale) in ((u, self.lower), (1 - u, self.upper))
        )
        return np.select([self._in_tail(u), self._in_tail(1 - u)], [-low, high], middle)

    def expected_shortfall(self, *, level: float = 0.99) -> float:
        alpha = 1 - fraction(level, "level")
        threshold, shape, scale = self.lower
        if shape >= 1:
            return math.inf
        if self._in_tail(np.array(alpha)):
            loss = -float(self.quantile(np.array([alpha]))[0])
            return (loss + scale - shape * threshold) / (1 - shape)
        # Beyond the tail, the values in it count with their mean under the fitted law.
        replaced = self.ordered.copy()
        replaced[: self.beyond] = -threshold - scale / (1 - shape)
        return float(expected_shortfall(replaced, level=level))

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        return np.full(np.shape(x), np.nan)

    def _in_tail(self, probability: np.ndarray) -> np.ndarray:
        # 1 - 0.95 is 0.05000000000000004 and belongs to a tail of share 0.05.
        return probability <= self.share * (1 + 1e-9)


def _fit_excesses(ordered: np.ndarray) -> ParetoTail:
    """Fit a tail to ordered values, of which the first is the threshold."""
    threshold = float(ordered[0])
    excesses = ordered[1:] - threshold
    if not excesses[-1] > 0:
        raise ValueError(
            f"a tail of {len(excesses)} values all equal to {threshold:g}: no excess to fit; the "
            "series hardly moves, drop it or give a longer window."
        )
    shape, _, scale = stats.genpareto.fit(excesses, floc=0, scale=excesses.mean())
    return ParetoTail(threshold, float(shape), float(scale))
