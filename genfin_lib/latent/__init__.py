"""Latent variable models: what is seen is explained by a few variables that are not.

Linear models have an exact density: ``log_prob(x)`` and ``sample(n)``, ``posterior(x)`` or
``responsibilities(x)``, and ``reconstruct(x)``. Deep ones have bounds on it, and keep the contract
of :class:`LatentVariableModel`.
"""

from genfin_lib.latent.aggregate import fit_prior
from genfin_lib.latent.dynamic import (
    CommonScale,
    DynamicPrior,
    ExtractingCell,
    NetworkDecoder,
    NetworkEncoder,
    ScalePrior,
    StandardPrior,
)
from genfin_lib.latent.factor import FactorAnalysis, ProbabilisticPCA
from genfin_lib.latent.heads import BernoulliHead, ConstantScaleHead, NormalHead, StudentTHead
from genfin_lib.latent.hierarchical import HierarchicalVAE, LadderVAE
from genfin_lib.latent.kalman import StateSpace
from genfin_lib.latent.latent import Elbo, LatentVariableModel
from genfin_lib.latent.levels import LadderLevel, ResidualLevel
from genfin_lib.latent.linear_factors import GaussianPosterior, LinearDecoder, SlowDecoder
from genfin_lib.latent.mixture import MixtureOfPPCA
from genfin_lib.latent.panel import Panel
from genfin_lib.latent.recurrent import RecurrentVAE, TransformerVAE
from genfin_lib.latent.rvrae import RVRAE
from genfin_lib.latent.state_space import DynamicLinearModel, Seasonal
from genfin_lib.latent.timevae import InterpretableTimeVAE, TimeVAE
from genfin_lib.latent.vae import VAE

__all__ = [
    "RVRAE",
    "VAE",
    "BernoulliHead",
    "CommonScale",
    "ConstantScaleHead",
    "DynamicLinearModel",
    "DynamicPrior",
    "Elbo",
    "ExtractingCell",
    "FactorAnalysis",
    "GaussianPosterior",
    "HierarchicalVAE",
    "InterpretableTimeVAE",
    "LadderLevel",
    "LadderVAE",
    "LatentVariableModel",
    "LinearDecoder",
    "MixtureOfPPCA",
    "NetworkDecoder",
    "NetworkEncoder",
    "NormalHead",
    "Panel",
    "ProbabilisticPCA",
    "RecurrentVAE",
    "ResidualLevel",
    "ScalePrior",
    "Seasonal",
    "SlowDecoder",
    "StandardPrior",
    "StateSpace",
    "StudentTHead",
    "TimeVAE",
    "TransformerVAE",
    "fit_prior",
]
