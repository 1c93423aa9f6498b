"""Gaussian regimes, with memory or without, and what could have been known of them each evening."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from hmmlearn.hmm import GaussianHMM
from scipy import stats
from sklearn.mixture import GaussianMixture

from genfin_lib.applications.regimes import RegimePath
from genfin_lib.data.simulate.markov import expected_stays, stationary_law
from genfin_lib.risk.walk_forward import stretches

QUARTER = 63  # days from which a regime takes its first guess


@dataclass(frozen=True, eq=False)
class GaussianRegimes:
    r"""A market that is in one of K states; in each its returns have a Gaussian law.

    .. math:: P(s_t = j \mid s_{t-1} = i) = P_{ij}, \qquad x_t \mid s_t = k \sim N(\mu_k, \Sigma_k)

    With equal rows in :math:`P` today's state says nothing of tomorrow's: a **Gaussian mixture**.
    With unequal ones it is a **hidden Markov model**. So both have one filter, one likelihood and
    one forecast, and what memory is worth can be read off. J. D. Hamilton (1989),
    https://doi.org/10.2307/1912559. Chapter: Mixtures and hidden Markov chains.

    Attributes:
        means: :math:`\mu`, in units of the data, `(K, D)`.
        covariances: :math:`\Sigma`, `(K, D, D)`; regimes are sorted by its trace, calm first.
        transition: :math:`P`, rows sum to one, `(K, K)`.
    """

    means: np.ndarray
    covariances: np.ndarray
    transition: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, regimes: int, *, seed: int, restarts: int = 3) -> Self:
        """Hidden Markov model of greatest likelihood, by hmmlearn's Baum-Welch.

        Each regime starts from the mean and covariance of a quarter of a year drawn at random; the
        likeliest end of several starts is kept. hmmlearn's own prior on covariances is switched
        off: its size is fixed in units of the data, harmless in percent and harmful in decimals.

        Args:
            x: Returns in time order, `(T, D)`.
            regimes: K, two or more.
            seed: Of the starts.
            restarts: Number of starts.

        Raises:
            ValueError: NaN, a constant column, fewer rows than a quarter for each regime; or every
                start ends with a regime shrunk onto a few days, where the likelihood is unbounded.
        """

        def one(rng: np.random.Generator, z: np.ndarray) -> tuple[Self, float]:
            model = GaussianHMM(
                regimes,
                covariance_type="full",
                covars_prior=0.0,
                n_iter=1000,
                tol=1e-3,
                init_params="",
                implementation="scaling",
            )
            model.means_, model.covars_ = _start(rng, z, regimes)
            model.startprob_ = np.full(regimes, 1 / regimes)
            model.transmat_ = np.full((regimes, regimes), 0.1 / regimes) + 0.9 * np.eye(regimes)
            model.fit(z)
            return cls(model.means_, model.covars_, model.transmat_), model.score(z)

        return cls._best(x, regimes, one, seed=seed, restarts=restarts)

    @classmethod
    def fit_without_memory(
        cls, x: np.ndarray, regimes: int, *, seed: int, restarts: int = 3
    ) -> Self:
        """Gaussian mixture of greatest likelihood, by scikit-learn. Arguments as for `fit`."""

        def one(rng: np.random.Generator, z: np.ndarray) -> tuple[Self, float]:
            means, covariances = _start(rng, z, regimes)
            model = GaussianMixture(
                regimes,
                means_init=means,
                precisions_init=np.linalg.inv(covariances),
                weights_init=np.full(regimes, 1 / regimes),
                reg_covar=0.0,
                tol=1e-8,  # EM of overlapping components is slow
                max_iter=3000,
                random_state=0,
            ).fit(z)
            chain = np.tile(model.weights_, (regimes, 1))
            return cls(model.means_, model.covariances_, chain), model.score(z)

        return cls._best(x, regimes, one, seed=seed, restarts=restarts)

    @classmethod
    def _best(
        cls,
        x: np.ndarray,
        regimes: int,
        one: Callable[[np.random.Generator, np.ndarray], tuple[Self, float]],
        *,
        seed: int,
        restarts: int,
    ) -> Self:
        """Standardise, start several times, keep the best sound end, restore units, sort."""
        x = _matrix(x)
        if regimes < 2 or restarts < 1 or len(x) < QUARTER * regimes:
            raise ValueError(
                f"{regimes} regimes, {restarts} restarts and {len(x)} rows: at least 2 regimes, 1 "
                f"start and {QUARTER} rows a regime are needed"
            )
        mean, scale = x.mean(axis=0), x.std(axis=0)
        if (scale == 0).any():
            raise ValueError(f"column {int(np.argmin(scale))} of x is constant; drop it")
        rng = np.random.default_rng(seed)
        found = [one(rng, (x - mean) / scale) for _ in range(restarts)]
        # In standard units: no regime of the returns of a market is a thousand times calmer.
        sound = [end for end in found if np.linalg.eigvalsh(end[0].covariances).min() > 1e-6]
        if not sound:
            raise ValueError(
                f"a regime shrank onto a few days in each of {restarts} starts; ask for fewer "
                "regimes, give more rows or another seed"
            )
        best = max(sound, key=lambda end: end[1])[0]
        covariances = best.covariances * scale[:, None] * scale
        order = np.argsort(covariances.trace(axis1=1, axis2=2))
        return cls(
            (mean + scale * best.means)[order],
            covariances[order],
            best.transition[np.ix_(order, order)],
        )

    def filter(self, x: np.ndarray) -> RegimePath:
        """Run along a series from the stationary law, and back.

        Args:
            x: Returns in time order, `(T, D)`.

        Raises:
            ValueError: NaN, or another number of columns.
        """
        x = _matrix(x)
        if x.shape[1] != self.means.shape[1]:
            raise ValueError(f"x has {x.shape[1]} columns, the regimes {self.means.shape[1]}")
        densities = np.column_stack(
            [
                stats.multivariate_normal(mean, covariance).logpdf(x)
                for mean, covariance in zip(self.means, self.covariances, strict=True)
            ]
        )
        return RegimePath.of(densities, transition=self.transition)

    def bic(self, x: np.ndarray) -> float:
        r"""Bayesian information criterion, :math:`-2 \log L + p \log T`; lower is better.

        G. Schwarz (1978), https://doi.org/10.1214/aos/1176344136. A chain has
        :math:`K(K - 1)` free moves, a mixture :math:`K - 1` free weights.
        """
        (regimes, features), chain = self.means.shape, self.transition
        moves = regimes - 1 if np.allclose(chain, chain[0]) else regimes * (regimes - 1)
        free = regimes * (features + features * (features + 1) / 2) + moves
        return float(free * np.log(len(x)) - 2 * self.filter(x).log_likelihood.sum())

    @property
    def shares(self) -> np.ndarray:
        """Long-run share of days in each regime, `(K,)`."""
        return stationary_law(self.transition)

    @property
    def duration(self) -> np.ndarray:
        r"""Expected days of a stay in each regime, :math:`1 / (1 - P_{kk})`, `(K,)`."""
        return expected_stays(self.transition)


@dataclass(frozen=True, eq=False)
class RegimeWalk:
    """What `walk_forward_regimes` finds, one row for each day from the first forecast on.

    Attributes:
        filtered: Probability of each regime in the evening of the day, `(days, K)`.
        tomorrow: The same for the next day, `(days, K)`.
        log_score: Log-density of the day's returns by the forecast of the evening before, nats.
    """

    filtered: pd.DataFrame
    tomorrow: pd.DataFrame
    log_score: pd.Series


def walk_forward_regimes(
    returns: pd.DataFrame,
    fit: Callable[[np.ndarray], GaussianRegimes],
    *,
    start: str,
    refit_every: int = 250,
) -> RegimeWalk:
    """Regimes as an investor could have known them: fitted on the past, filtered day by day.

    Parameters are estimated from all rows before the first day of each block, and kept for it.

    Args:
        returns: In time order, `(T, D)`.
        fit: Makes regimes from past rows: ``lambda x: GaussianRegimes.fit(x, 2, seed=0)``.
        start: First day to be forecast.
        refit_every: Days in a block.

    Returns:
        Row of day t: what its evening knows. Only `log_score` looks at what the evening before
        knew.

    Raises:
        ValueError: dates out of order, a start before the second row or after the last, or as for
            `GaussianRegimes.fit`.
    """
    blocks = stretches(returns, start, window=2, refit_every=refit_every)
    x = _matrix(returns.to_numpy())
    filtered, tomorrow, scores = [], [], []
    for begin, end in blocks:
        model = fit(x[:begin])
        path = model.filter(x[:end])
        filtered.append(path.filtered[begin:])
        tomorrow.append(path.filtered[begin:] @ model.transition)
        scores.append(path.log_likelihood[begin:])
    days = returns.index[blocks[0][0] :]
    return RegimeWalk(
        filtered=pd.DataFrame(np.concatenate(filtered), days),
        tomorrow=pd.DataFrame(np.concatenate(tomorrow), days),
        log_score=pd.Series(np.concatenate(scores), days, name="log score"),
    )


def _start(rng: np.random.Generator, z: np.ndarray, regimes: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of a quarter drawn at random, for each regime; `z` is standardised."""
    begins = rng.integers(0, len(z) - QUARTER + 1, regimes)
    quarters = [z[begin : begin + QUARTER] for begin in begins]
    eye = 0.1 * np.eye(z.shape[1])  # a quarter may be too short for a covariance
    covariances = [np.cov(part.T).reshape(eye.shape) + eye for part in quarters]
    return np.array([part.mean(axis=0) for part in quarters]), np.array(covariances)


def _matrix(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or len(x) == 0 or not np.isfinite(x).all():
        raise ValueError(
            f"x of shape {x.shape}: finite rows in time order, (T, D), are needed; drop NaN first"
        )
    return x
