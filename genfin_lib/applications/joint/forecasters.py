"""Joint forecasters: marginals with a copula, and the plain multivariate t."""

import copy
import math
from collections.abc import Iterator
from typing import Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import ndtr, ndtri

from genfin_lib.applications.joint.contract import JointForecaster
from genfin_lib.applications.joint.copulas import (
    Copula,
    FlowCopula,
    StudentTCopula,
    probabilities,
    student_t_log_copula,
)
from genfin_lib.applications.joint.correlation import CorrelationFilter
from genfin_lib.applications.joint.marginals import Marginals
from genfin_lib.distributions import MultivariateStudentT
from genfin_lib.flows import Flow
from genfin_lib.risk import PredictiveDistribution
from genfin_lib.risk.validation import finite
from genfin_lib.training import fit as train

# Probabilities between which quantiles are interpolated: beyond lies one draw in 10^12.
NODES = ndtr(np.linspace(-7.0, 7.0, 281))


class CopulaDistribution:
    r"""Marginal laws joined by a copula (A. Sklar 1959).

    .. math:: p(x) = c\bigl(F_1(x_1), \dots, F_S(x_S)\bigr) \prod_{j=1}^{S} f_j(x_j)

    Draws are quantiles interpolated between 281 probabilities, with an error below 0.1 %.

    Args:
        marginals: Laws of the single series.
        copula: What joins them.
    """

    def __init__(self, marginals: PredictiveDistribution, copula: Copula) -> None:
        self.marginals, self.copula = marginals, copula

    def log_prob(self, x: ArrayLike) -> np.ndarray:
        x = np.atleast_2d(finite(x, "x"))
        alone = self.marginals.log_prob(x).sum(axis=-1)
        return alone + self.copula.log_prob(self.marginals.cdf(x))

    def sample(self, n: int, *, seed: int) -> np.ndarray:
        scores = self.copula.sample_scores(n, seed=seed)
        nodes = self.copula.scores(NODES)
        table = self.marginals.quantile(NODES[:, None])  # (nodes, S)
        columns = zip(scores.T, table.T, strict=True)
        return np.stack([np.interp(x, nodes, quantiles) for x, quantiles in columns], axis=1)


class _Joined(JointForecaster):
    """Marginals, and a copula around a correlation that moves."""

    marginals: Marginals
    correlation: CorrelationFilter

    def _copula(self, correlation: np.ndarray) -> Copula:
        raise NotImplementedError

    def laws(self, history: pd.DataFrame, days: int) -> Iterator[CopulaDistribution]:
        path = self.correlation.path(_normal_scores(self.marginals.past(history).u))[-days:]
        for marginals, correlation in zip(self.marginals.laws(history, days), path, strict=True):
            yield CopulaDistribution(marginals, self._copula(correlation))


class CopulaForecaster(_Joined):
    r"""Marginals, and a Student-t copula whose correlation moves.

    Three steps, each given the one before: marginals; the correlation of the normal scores
    :math:`\Phi^{-1}(u)`; the degrees of freedom by maximum likelihood. A. J. Patton (2006),
    Modelling asymmetric exchange rate dependence,
    https://doi.org/10.1111/j.1468-2354.2006.00387.x; E. Jondeau and M. Rockinger (2006),
    https://doi.org/10.1016/j.jimonfin.2006.04.007. Chapter: portfolios.

    Args:
        marginals: Laws of single series.
        correlation: Filter of the scores' correlation.
        df: Degrees of freedom; ``None`` to estimate them, ``math.inf`` for a Gaussian copula.

    Raises:
        ValueError: as the marginals and the filter; df not above zero.
    """

    def __init__(
        self, marginals: Marginals, correlation: CorrelationFilter, *, df: float | None = None
    ) -> None:
        if df is not None and not df > 0:
            raise ValueError(f"df {df}: degrees of freedom above 0 are needed, or None.")
        self.marginals, self.correlation, self.fixed_df = marginals, correlation, df
        self.df = math.inf if df is None else df

    def fit(self, history: pd.DataFrame) -> Self:
        u = self.marginals.fit(history).past(history).u
        scores = _normal_scores(u)
        self.correlation.fit(scores)
        if self.fixed_df is None:
            path = self.correlation.path(scores)
            found = minimize_scalar(
                lambda log_df: -student_t_log_copula(u, path, df=math.exp(log_df)).mean(),
                bounds=(math.log(2.0), math.log(200.0)),
                method="bounded",
                options={"xatol": 1e-2},
            )
            self.df = math.exp(found.x)
        return self

    def log_scores(self, history: pd.DataFrame, days: int) -> np.ndarray:
        past = self.marginals.past(history)
        path = self.correlation.path(_normal_scores(past.u))[-days:]
        together = student_t_log_copula(past.u[-days:], path, df=self.df)
        return together + past.log_prob[-days:].sum(axis=1)

    def _copula(self, correlation: np.ndarray) -> StudentTCopula:
        return StudentTCopula(correlation, df=self.df)


class FlowCopulaForecaster(_Joined):
    r"""Marginals, and a flow for what a moving correlation leaves of their normal scores.

    Args:
        marginals: Laws of single series.
        correlation: Filter of the scores' correlation.
        flow: Untrained flow of ``S`` features; every fit begins with a copy of it.
        epochs: Of training, on all rows of the fit.
        seed: Of the training.
    """

    def __init__(
        self,
        marginals: Marginals,
        correlation: CorrelationFilter,
        *,
        flow: Flow,
        epochs: int = 10,
        seed: int = 0,
    ) -> None:
        self.marginals, self.correlation = marginals, correlation
        self.untrained, self.flow = flow, flow
        self.epochs, self.seed = epochs, seed

    def fit(self, history: pd.DataFrame) -> Self:
        scores = _normal_scores(self.marginals.fit(history).past(history).u)
        path = self.correlation.fit(scores).path(scores)
        white = np.linalg.solve(np.linalg.cholesky(path), scores[..., None])[..., 0]
        self.flow = copy.deepcopy(self.untrained)
        train(self.flow, self.flow.like.new_tensor(white), seed=self.seed, epochs=self.epochs)
        return self

    def log_scores(self, history: pd.DataFrame, days: int) -> np.ndarray:
        past = self.marginals.past(history)
        path = self.correlation.path(_normal_scores(past.u))[-days:]
        rows = zip(path, past.u[-days:], strict=True)
        together = np.concatenate([self._copula(matrix).log_prob(u) for matrix, u in rows])
        return together + past.log_prob[-days:].sum(axis=1)

    def _copula(self, correlation: np.ndarray) -> FlowCopula:
        return FlowCopula(self.flow, correlation)


class MultivariateT(JointForecaster):
    """A multivariate Student-t, or Gaussian, fitted to the history: no volatility that moves.

    Args:
        df: Degrees of freedom; ``None`` to estimate them, ``math.inf`` for the Gaussian.
    """

    def __init__(self, *, df: float | None = None) -> None:
        self.df = df
        self.law: TorchDistribution | None = None

    def fit(self, history: pd.DataFrame) -> Self:
        rows = torch.tensor(finite(history, "returns"), dtype=torch.float64)
        self.law = TorchDistribution(MultivariateStudentT.fit(rows, df=self.df))
        return self

    def laws(self, history: pd.DataFrame, days: int) -> Iterator["TorchDistribution"]:
        finite(history, "returns")
        if self.law is None:
            raise ValueError("the model has no parameters yet: call fit(history) first.")
        yield from [self.law] * days


class TorchDistribution:
    """A density model of torch as a joint law.

    Args:
        model: Anything with ``log_prob`` of rows and ``sample(n, seed=)``, in double precision.
    """

    def __init__(self, model: MultivariateStudentT) -> None:
        self.model = model

    @torch.no_grad()
    def log_prob(self, x: ArrayLike) -> np.ndarray:
        return self.model.log_prob(torch.tensor(np.atleast_2d(finite(x, "x")))).numpy()

    @torch.no_grad()
    def sample(self, n: int, *, seed: int) -> np.ndarray:
        return self.model.sample(n, seed=seed).numpy()


def _normal_scores(u: np.ndarray) -> np.ndarray:
    return ndtri(probabilities(u))
