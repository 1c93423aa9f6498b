"""Joint laws of many returns: copulas, flows, and the risk of portfolios."""

from genfin_lib.applications.joint.contract import JointDistribution, JointForecaster
from genfin_lib.applications.joint.copulas import (
    Copula,
    FlowCopula,
    StudentTCopula,
    student_t_log_copula,
)
from genfin_lib.applications.joint.correlation import (
    CorrelationFilter,
    DynamicConditionalCorrelation,
    EwmaCorrelation,
)
from genfin_lib.applications.joint.flows import (
    FlowDistribution,
    FlowJointForecaster,
    State,
    Whitened,
)
from genfin_lib.applications.joint.forecasters import (
    CopulaDistribution,
    CopulaForecaster,
    FlowCopulaForecaster,
    MultivariateT,
    TorchDistribution,
)
from genfin_lib.applications.joint.marginals import FilteredMarginals, Marginals, Past, Shared
from genfin_lib.applications.joint.online import OnlineFlow
from genfin_lib.applications.joint.paths import simulate_paths
from genfin_lib.applications.joint.portfolio import (
    PortfolioRisk,
    SimulatedRisk,
    joint_exceedances,
    portfolio_risk,
    risk_of_draws,
    tail_coefficient,
)
from genfin_lib.applications.joint.walk import Model, walk_forward_joint

__all__ = [
    "Copula",
    "CopulaDistribution",
    "CopulaForecaster",
    "CorrelationFilter",
    "DynamicConditionalCorrelation",
    "EwmaCorrelation",
    "FilteredMarginals",
    "FlowCopula",
    "FlowCopulaForecaster",
    "FlowDistribution",
    "FlowJointForecaster",
    "JointDistribution",
    "JointForecaster",
    "Marginals",
    "Model",
    "MultivariateT",
    "OnlineFlow",
    "Past",
    "PortfolioRisk",
    "Shared",
    "SimulatedRisk",
    "State",
    "StudentTCopula",
    "TorchDistribution",
    "Whitened",
    "joint_exceedances",
    "portfolio_risk",
    "risk_of_draws",
    "simulate_paths",
    "student_t_log_copula",
    "tail_coefficient",
    "walk_forward_joint",
]
