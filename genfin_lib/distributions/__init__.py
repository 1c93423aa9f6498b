"""Base distributions of flows, priors of latent variable models, and elliptical baselines.

A base is a module (it may hold learnable parameters) whose call returns a
:class:`torch.distributions.Distribution` over vectors: ``base().log_prob(z)`` has shape ``(N,)``.
A base of independent features may also have ``cdf(z)`` and ``icdf(u)``, feature by feature: they
give one-dimensional flows their exact distribution function and quantiles.
"""

from genfin_lib.distributions.bases import StandardNormal, StudentT, TwoSidedT
from genfin_lib.distributions.mixture import GaussianMixture
from genfin_lib.distributions.multivariate import MultivariateStudentT
from genfin_lib.distributions.seeds import fixed_seed

__all__ = [
    "GaussianMixture",
    "MultivariateStudentT",
    "StandardNormal",
    "StudentT",
    "TwoSidedT",
    "fixed_seed",
]
