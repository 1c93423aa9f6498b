"""Normalizing flows. ``forward`` maps data to latent, everywhere."""

from genfin_lib.flows.builders import iaf, maf, neural_spline_flow, nice, real_nvp
from genfin_lib.flows.flow import Conditional, Flow

__all__ = ["Conditional", "Flow", "iaf", "maf", "neural_spline_flow", "nice", "real_nvp"]
