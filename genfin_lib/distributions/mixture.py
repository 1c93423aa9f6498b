"""A base of several Gaussians: the latent space then has regimes of its own."""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal
from torch.nn.functional import softplus


class GaussianMixture(nn.Module):
    r"""Mixture of Gaussians with learnable weights, means and covariances.

    .. math:: p(z) = \sum_{k=1}^{K} \pi_k\, N(z;\, \mu_k,\, L_k L_k^\top), \qquad
        r_k(z) = \frac{\pi_k\, N(z;\, \mu_k,\, L_k L_k^\top)}{p(z)}

    A flow with a single Gaussian for a base has nothing to find in its latent space: the better
    it fits, the more its latents are one round cloud. With this base the latent space has
    :math:`K` regimes, and :math:`r_k`, the *responsibility*, is the probability of regime
    :math:`k` given the row. Which part of the law the layers take and which the base is for the
    layers to leave: flexible ones leave nothing, so use few, or affine ones. P. Izmailov, P.
    Kirichenko, M. Finzi and A. G. Wilson (2020), Semi-supervised learning with normalizing flows,
    https://proceedings.mlr.press/v119/izmailov20a.html.

    Standard deviations given the features before stay above a floor: the likelihood of a mixture
    whose components may shrink onto single rows has no maximum. N. E. Day (1969), Estimating the
    components of a mixture of normal distributions, Biometrika 56,
    https://doi.org/10.1093/biomet/56.3.463.

    Args:
        features: Dimension :math:`D`.
        components: :math:`K`, two or more.
        means: Initial :math:`\mu`, shape ``(K, D)``; zero if ``None``.
        scales: Initial standard deviations, shape ``(K, D)``; if ``None`` those of the first
            component are 1/2, of the last 2: calm before wild.
        floor: Lowest diagonal entry of :math:`L_k`.

    Raises:
        ValueError: If there are fewer than two components, another shape, a scale not above the
            floor, a floor that is not positive, or components that start alike and so would for
            ever be.
    """

    def __init__(
        self,
        features: int,
        components: int,
        *,
        means: Tensor | None = None,
        scales: Tensor | None = None,
        floor: float = 0.05,
    ) -> None:
        super().__init__()
        if components < 2:
            raise ValueError(f"components must be 2 or more, got {components}; use StandardNormal")
        if not 0 < floor < math.inf:
            raise ValueError(f"floor must be above 0, got {floor}")
        means = torch.zeros(components, features) if means is None else means
        if scales is None:
            scales = 2.0 ** torch.linspace(-1, 1, components)[:, None].expand(-1, features)
        for name, value in (("means", means), ("scales", scales)):
            if value.shape != (components, features):
                raise ValueError(
                    f"{name} must have shape ({components}, {features}), got {tuple(value.shape)}"
                )
        if not (torch.isfinite(means).all() and (scales > floor).all()):
            raise ValueError(
                f"means must be finite and scales above the floor {floor}, got means "
                f"{means.tolist()} and scales {scales.tolist()}"
            )
        if len(torch.cat((means, scales), dim=1).unique(dim=0)) < components:
            raise ValueError("two components start alike, and training cannot part them; move one")
        self.floor = floor
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(means.clone())
        # The inverse of softplus, accurate for small and for large scales.
        above = scales - floor
        self.raw_diagonal = nn.Parameter(above + torch.log(-torch.expm1(-above)))
        self.lower = nn.Parameter(torch.zeros(components, features, features))

    @property
    def weights(self) -> Tensor:
        r""":math:`\pi`, shape ``(K,)``."""
        return self.logits.softmax(dim=0)

    @property
    def scale_tril(self) -> Tensor:
        """Lower triangular :math:`L`, shape ``(K, D, D)``."""
        return self.lower.tril(-1) + torch.diag_embed(self.floor + softplus(self.raw_diagonal))

    def forward(self) -> MixtureSameFamily:
        """Return the distribution, with event shape ``(features,)``."""
        weights = Categorical(logits=self.logits, validate_args=False)
        return MixtureSameFamily(weights, self._components(), validate_args=False)

    def component_log_prob(self, z: Tensor) -> Tensor:
        r""":math:`\log N(z;\, \mu_k,\, L_k L_k^\top)` of each component, shape ``(N, K)``.

        What a hidden Markov chain over the components takes for emissions.

        Args:
            z: Latents, shape ``(N, D)``.
        """
        return self._components().log_prob(z[:, None])

    def responsibilities(self, z: Tensor) -> Tensor:
        """Probability of each component given each row, shape ``(N, K)``.

        Args:
            z: Latents, shape ``(N, D)``.
        """
        return (self.component_log_prob(z) + self.logits.log_softmax(dim=0)).softmax(dim=1)

    @torch.no_grad()
    def cdf(self, z: Tensor) -> Tensor:
        """Marginal distribution function of each feature, shape as ``z``."""
        mean, std = self.means, self._marginal_std()
        below = torch.special.log_ndtr((z[:, None] - mean) / std).exp()  # (N, K, D)
        return (self.weights[:, None] * below).sum(dim=1)

    @torch.no_grad()
    def icdf(self, u: Tensor) -> Tensor:
        """Marginal quantile of each feature at levels ``u`` in (0, 1), shape as ``u``.

        By bisection between the least and the largest quantile of the components, which
        enclose that of the mixture.
        """
        ends = self.means + self._marginal_std() * torch.special.ndtri(u)[:, None]  # (N, K, D)
        low, high = ends.amin(dim=1), ends.amax(dim=1)
        for _ in range(80):  # halves the gap down to the last digit
            middle = (low + high) / 2
            under = self.cdf(middle) < u
            low, high = torch.where(under, middle, low), torch.where(under, high, middle)
        return (low + high) / 2

    def _components(self) -> MultivariateNormal:
        return MultivariateNormal(self.means, scale_tril=self.scale_tril, validate_args=False)

    def _marginal_std(self) -> Tensor:
        return self.scale_tril.square().sum(dim=2).sqrt()  # (K, D)
