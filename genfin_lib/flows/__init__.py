"""Normalizing flows. ``forward`` maps data to latent, everywhere."""

from genfin_lib.flows.builders import iaf, maf, neural_spline_flow, nice, real_nvp
from genfin_lib.flows.continuous import Adaptive, Continuous, FixedSteps, continuous_flow
from genfin_lib.flows.flow import Conditional, Flow
from genfin_lib.flows.glow import Glow, Glow1d
from genfin_lib.flows.matching import FlowMatching
from genfin_lib.flows.tails import TailTransform

__all__ = [
    "Adaptive",
    "Conditional",
    "Continuous",
    "FixedSteps",
    "Flow",
    "FlowMatching",
    "Glow",
    "Glow1d",
    "TailTransform",
    "continuous_flow",
    "iaf",
    "maf",
    "neural_spline_flow",
    "nice",
    "real_nvp",
]
