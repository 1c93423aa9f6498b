"""Forecasters made of flows, and forecasters made of forecasters."""

from genfin_lib.applications.forecasters.combination import AveragedLaw, QuantileAverage
from genfin_lib.applications.forecasters.flow import FlowForecaster, FlowLaw
from genfin_lib.applications.forecasters.recalibration import (
    Recalibrated,
    RecalibratedLaw,
    Reviewing,
    beta_shapes,
)
from genfin_lib.applications.forecasters.return_flow import ReturnFlow

__all__ = [
    "AveragedLaw",
    "FlowForecaster",
    "FlowLaw",
    "QuantileAverage",
    "Recalibrated",
    "RecalibratedLaw",
    "ReturnFlow",
    "Reviewing",
    "beta_shapes",
]
