"""Every design of joint density that the book compares on the 20 stocks.

Their settings were chosen on 2007-2010, before the protocol's first day.
"""

import math

import numpy as np
import pandas as pd
from arch.univariate import Normal, SkewStudent

from genfin_lib.applications.forecasters import FlowForecaster
from genfin_lib.applications.joint.correlation import (
    DynamicConditionalCorrelation,
    EwmaCorrelation,
)
from genfin_lib.applications.joint.flows import FlowJointForecaster
from genfin_lib.applications.joint.forecasters import (
    CopulaForecaster,
    FlowCopulaForecaster,
    MultivariateT,
)
from genfin_lib.applications.joint.marginals import FilteredMarginals, Shared
from genfin_lib.applications.joint.walk import Model
from genfin_lib.applications.protocol import protocol_returns
from genfin_lib.data import portfolio_returns
from genfin_lib.distributions import StudentT
from genfin_lib.flows import Flow, maf, neural_spline_flow, real_nvp
from genfin_lib.risk import Garch

INPUTS = ("sp500_stocks",)
REFERENCE = "GJR skew-t, DCC t copula"
POOLED, FLOW_COPULA, WHITENED = "flow, EWMA t copula", "flow, MAF copula", "MAF, whitened"
# A flow for all stocks sees ten years: one of them hardly traded before 1995.
FLOW_WINDOW = 2500


def stock_returns() -> pd.DataFrame:
    """Daily percent log returns of the 20 stocks."""
    return protocol_returns().drop(columns="SP500")


def equal_weights(returns: pd.DataFrame) -> pd.Series:
    """Simple percent returns of the portfolio that holds as much of each stock every morning."""
    weights = np.full(returns.shape[1], 1 / returns.shape[1])
    simple = portfolio_returns(returns / 100, weights)
    return pd.Series(100 * simple, index=returns.index, name="portfolio")


def real_nvp_t(features: int, context: int) -> Flow:
    """RealNVP on independent t variables, in double precision as all flows of this run."""
    base = StudentT(features, df=5.0)
    return real_nvp(features, context, transforms=6, hidden=(32,), base=base).double()


def maf_t(features: int, context: int) -> Flow:
    """MAF on independent t variables."""
    return maf(
        features, context, transforms=4, hidden=(64,), base=StudentT(features, df=5.0)
    ).double()


def spline_t(features: int, context: int) -> Flow:
    """Spline coupling flow on independent t variables."""
    base = StudentT(features, df=5.0)
    return neural_spline_flow(features, context, transforms=4, hidden=(32,), base=base).double()


def joint_models() -> dict[str, Model]:
    """The classical designs: nothing in them is random."""
    skew = Shared(FilteredMarginals(Garch(innovations=SkewStudent, asymmetric=True)))
    normal = FilteredMarginals(Garch(innovations=Normal))
    return {
        "Gaussian": Model(MultivariateT(df=math.inf)),
        "multivariate t": Model(MultivariateT()),
        "GARCH, DCC normal": Model(
            CopulaForecaster(normal, DynamicConditionalCorrelation(), df=math.inf)
        ),
        "GJR skew-t, EWMA Gaussian copula": Model(
            CopulaForecaster(skew, EwmaCorrelation(), df=math.inf)
        ),
        "GJR skew-t, EWMA t copula": Model(CopulaForecaster(skew, EwmaCorrelation())),
        REFERENCE: Model(CopulaForecaster(skew, DynamicConditionalCorrelation())),
    }


def flow_models(seed: int) -> dict[str, Model]:
    """One flow for all stocks, in every design of the table."""
    joint = {
        "RealNVP": FlowJointForecaster(real_nvp_t, epochs=20, seed=seed),
        "MAF": FlowJointForecaster(maf_t, epochs=20, seed=seed),
        "spline flow": FlowJointForecaster(spline_t, epochs=15, seed=seed),
        "spline flow, whitened": FlowJointForecaster(
            spline_t, correlation=EwmaCorrelation(), epochs=10, seed=seed
        ),
        WHITENED: FlowJointForecaster(maf_t, correlation=EwmaCorrelation(), epochs=10, seed=seed),
    }
    return {name: Model(model, FLOW_WINDOW) for name, model in joint.items()}


def pooled_models(seed: int) -> dict[str, Model]:
    """The pooled flow of single returns as marginals, and what joins them.

    Ten epochs, as when the tables of the joint laws were made. The walk-forward of single series
    (``walkforward_selection``) found three better later, by 0.004 nats a day on 2001-2010, and a
    term of the marginals is a term of the joint density: read the flow's figures as cautious ones.
    """
    pooled = Shared(FlowForecaster(epochs=10, seed=seed))
    copulas = {
        FLOW_COPULA: FlowCopulaForecaster(pooled, EwmaCorrelation(), flow=maf_t(20, 0), seed=seed),
        "flow, DCC t copula": CopulaForecaster(pooled, DynamicConditionalCorrelation()),
        POOLED: CopulaForecaster(pooled, EwmaCorrelation()),
    }
    return {name: Model(model, None) for name, model in copulas.items()}
