"""Dynamic factor models of the 20 stocks: what goes in, forecasts, and the walk forward."""

from genfin_lib.applications.dynamic_factors.forecaster import (
    DynamicFactors,
    FactorPath,
    NoMemory,
    informed,
    linear,
    plain,
)
from genfin_lib.applications.dynamic_factors.inputs import (
    Carried,
    Inputs,
    align,
    carried,
    ewma_correlation,
    factor_inputs,
    principal_factors,
)

__all__ = [
    "Carried",
    "DynamicFactors",
    "FactorPath",
    "Inputs",
    "NoMemory",
    "align",
    "carried",
    "ewma_correlation",
    "factor_inputs",
    "informed",
    "linear",
    "plain",
    "principal_factors",
]
