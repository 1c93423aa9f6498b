"""What forecasts of covariance are worth to portfolios of 20 stocks: a step of ``make rvrae``."""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
from arch.univariate import StudentsT
from skfolio import RiskMeasure
from skfolio.moments import BaseCovariance, ShrunkMu
from skfolio.optimization import MeanRisk, ObjectiveFunction, RiskBudgeting
from skfolio.prior import EmpiricalPrior
from sklearn.covariance import ledoit_wolf
from sklearn.decomposition import FactorAnalysis

from genfin_lib.applications.dynamic_factors.inputs import Inputs, ewma_correlation
from genfin_lib.applications.dynamic_factors.timing import COST, YEAR
from genfin_lib.applications.joint import DynamicConditionalCorrelation
from genfin_lib.risk import Garch
from genfin_lib.trading import Backtest, backtest, minimum_variance

WEEK, MONTH = 5, 20
# Shares of the way to the wanted weights that are traded at each date.
STEPS = (1.0, 0.5, 0.25, 0.1)
# Of a year's variance, in the utility that chooses among steps and weighs mean against variance.
RISK_AVERSION = 5.0
# Of one stock: without a bound, mean-variance weights are often one stock.
LARGEST = 0.2
# Days between two dates of each rule. A general solver takes a hundred times a formula's time.
RULES = {
    "minimum variance, long-only": WEEK,
    "minimum variance, free": WEEK,
    "risk parity": MONTH,
    "mean-variance": MONTH,
}


class GivenCovariance(BaseCovariance):
    """A covariance found elsewhere, in the form that skfolio's optimisers ask for.

    Args:
        matrix: ``(S, S)``, of simple returns.
    """

    def __init__(self, matrix: np.ndarray) -> None:
        super().__init__()
        self.matrix = matrix

    def fit(self, X: pd.DataFrame, y: None = None) -> "GivenCovariance":
        """Take the matrix, whatever the returns."""
        self._set_covariance(self.matrix)
        return self


def optimal_weights(rule: str, covariance: np.ndarray, returns: pd.DataFrame) -> np.ndarray:
    """Weights of one of the four rules, by skfolio.

    Args:
        rule: One of ``RULES``.
        covariance: Forecast, of simple returns as decimals, ``(S, S)``.
        returns: Simple returns of the days before; mean-variance weights take their mean, shrunk
            by James and Stein's rule, and the others nothing.

    Raises:
        ValueError: an unknown rule.
    """
    prior = EmpiricalPrior(
        mu_estimator=ShrunkMu(), covariance_estimator=GivenCovariance(matrix=covariance)
    )
    models = {
        "minimum variance, long-only": MeanRisk(prior_estimator=prior),
        "minimum variance, free": MeanRisk(
            prior_estimator=prior, min_weights=-1.0, max_weights=1.0
        ),
        "risk parity": RiskBudgeting(risk_measure=RiskMeasure.VARIANCE, prior_estimator=prior),
        "mean-variance": MeanRisk(
            objective_function=ObjectiveFunction.MAXIMIZE_UTILITY,
            risk_aversion=RISK_AVERSION / 2,
            max_weights=LARGEST,
            prior_estimator=prior,
        ),
    }
    if rule not in models:
        raise ValueError(f"rule {rule!r}: one of {list(models)} is needed")
    found: np.ndarray = models[rule].fit(returns).weights_
    return found


def principal_covariance(x: np.ndarray, factors: int = 5) -> np.ndarray:
    """Covariance of rows, ``(n, S)``: principal components of the correlation, the rest alone."""
    size = x.std(axis=0)
    values, vectors = np.linalg.eigh(np.corrcoef(x.T))
    loadings = vectors[:, -factors:] * np.sqrt(values[-factors:])
    shared = loadings @ loadings.T
    correlation = shared + np.diag(1 - np.diag(shared))
    found: np.ndarray = correlation * np.outer(size, size)
    return found


def rolling_covariances(x: np.ndarray, rows: Iterable[int], static: int) -> dict[str, np.ndarray]:
    """Forecasts for some rows from the rows before each, by the usual estimators.

    Args:
        x: Returns, ``(n, S)``, 1,000 rows or more before the first asked about.
        rows: Asked about.
        static: The static covariance knows the 2,500 rows before this one, and no later ones.
    """
    rows = list(rows)
    decay = 0.99 ** np.arange(1000)[::-1, None]
    analyser = FactorAnalysis(5)

    def analysed(part: np.ndarray) -> np.ndarray:
        size = part.std(axis=0)
        found: np.ndarray = analyser.fit(part / size).get_covariance() * np.outer(size, size)
        return found

    estimators: dict[str, tuple[int, Callable[[np.ndarray], np.ndarray]]] = {
        "rolling PCA": (500, principal_covariance),
        "factor analysis": (1000, analysed),
        "EWMA 0.99": (1000, lambda part: (part * decay).T @ part / decay.sum()),
        "Ledoit-Wolf": (250, lambda part: ledoit_wolf(part)[0]),
    }
    found = {
        name: np.array([estimate(x[row - window : row]) for row in rows])
        for name, (window, estimate) in estimators.items()
    }
    fixed = principal_covariance(x[max(0, static - 2500) : static])
    return {"static PCA": np.array([fixed] * len(rows)), **found}


def dcc_covariances(returns: pd.DataFrame, begin: int, end: int) -> np.ndarray:
    """GJR-GARCH volatilities with DCC, fitted on the 1,000 rows before ``begin``, ``(n, S, S)``."""
    garch = Garch(innovations=StudentsT, asymmetric=True).fit(returns.iloc[begin - 1000 : begin])
    found = garch.filter(returns.iloc[begin - 1000 : end])
    days = end - begin
    scores = found.residuals
    correlation = DynamicConditionalCorrelation().fit(scores[:-days]).path(scores)[-days:]
    size = found.past_scales[-days:]
    covariance: np.ndarray = correlation * size[:, :, None] * size[:, None, :]
    return covariance


def equal_information(
    inputs: Inputs, covariance: np.ndarray, begin: int, *, shrink: float = 0.2
) -> np.ndarray:
    """The control: a model's volatilities with the exponential correlation, shrunk, no factors."""
    size = np.sqrt(np.einsum("tii->ti", covariance))
    slow = ewma_correlation(inputs.y)[begin - 1 : begin - 1 + len(covariance)]
    slow = (1 - shrink) * slow + shrink * np.eye(slow.shape[-1])
    found: np.ndarray = slow * size[:, :, None] * size[:, None, :]
    return found


def wanted_weights(
    rule: str, covariances: np.ndarray, simple: pd.DataFrame, rows: Iterable[int]
) -> np.ndarray:
    """Weights of a rule at each date, ``(n, S)``; least variance by formula, the rest by skfolio.

    Args:
        rule: One of ``RULES``.
        covariances: Forecast for each date, of percent returns, ``(n, S, S)``.
        simple: Simple returns, decimals.
        rows: The dates, rows of ``simple``.
    """
    if rule.startswith("minimum"):
        alone = rule.endswith("long-only")
        return np.array([minimum_variance(matrix, long_only=alone) for matrix in covariances])
    return np.array(
        [
            optimal_weights(rule, matrix / 1e4, simple.iloc[row - 1000 : row])
            for matrix, row in zip(covariances, rows, strict=True)
        ]
    )


def hold(
    wanted: np.ndarray,
    simple: pd.DataFrame,
    begin: int,
    *,
    every: int,
    step: float = 1.0,
    cost: float = COST,
) -> Backtest:
    r"""Go part of the way to the wanted weights at each date; between dates let prices move them.

    .. math:: w_t = \tilde w_t + \kappa\,(w^*_t - \tilde w_t)

    with :math:`\tilde w` what prices made of the weights before. N. Garleanu and L. H. Pedersen
    (2013), Dynamic trading with predictable returns and transaction costs, J. Finance 68,
    https://doi.org/10.1111/jofi.12080: with costs, trade partially towards the aim.

    Args:
        wanted: :math:`w^*` of each date, ``(n, S)``; the first is bought whole.
        simple: Simple returns, decimals; the first date is row ``begin``, bought an evening before.
        begin: That row.
        every: Days between dates.
        step: :math:`\kappa`.
        cost: Share of the traded value.
    """
    x = simple.to_numpy()[begin:]
    held, weights = np.empty_like(x), wanted[0]
    for t, row in enumerate(x):
        if t and t % every == 0:
            weights = weights + step * (wanted[t // every] - weights)
        held[t] = weights
        weights = weights * (1 + row) / (1 + weights @ row)
    days = simple.iloc[begin - 1 :]
    decided = pd.DataFrame(np.concatenate([held, held[-1:]]), days.index, days.columns)
    return backtest(decided, days, periods_per_year=YEAR, cost=cost)


def chosen_step(wanted: np.ndarray, simple: pd.DataFrame, begin: int, *, every: int) -> float:
    r"""The step of least risk and cost, :math:`\gamma \sigma^2 / 2 + c\,\tau` a year."""

    def loss(step: float) -> float:
        found = hold(wanted, simple, begin, every=every, step=step)
        risk = RISK_AVERSION / 2 * YEAR * float(found.gross_returns.var())
        return risk + YEAR * float(found.costs.mean())

    return min(STEPS, key=loss)
