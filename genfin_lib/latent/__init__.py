"""Latent variable models: what is seen is explained by a few variables that are not.

Models of this part are densities, with ``log_prob(x)`` and ``sample(n)``, that also say what they
infer: ``posterior(x)`` or ``responsibilities(x)``, and ``reconstruct(x)``.
"""

from genfin_lib.latent.factor import FactorAnalysis, ProbabilisticPCA
from genfin_lib.latent.mixture import MixtureOfPPCA

__all__ = ["FactorAnalysis", "MixtureOfPPCA", "ProbabilisticPCA"]
