"""Several factor models at once, one for each kind of day."""

import math
import warnings
from typing import Self, cast

import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn

from genfin_lib.distributions import fixed_seed
from genfin_lib.latent.factor import ProbabilisticPCA, moments


class MixtureOfPPCA(nn.Module):
    r"""Mixture of probabilistic PCAs: a hidden kind of day, and factors of its own for each kind.

    .. math:: p(x) = \sum_{k=1}^{K} \pi_k\, N(x;\ \mu_k,\ \Lambda_k\Lambda_k^\top + \sigma_k^2 I),
        \qquad r_k(x) = \frac{\pi_k\, p(x \mid k)}{\sum_j \pi_j\, p(x \mid j)}

    Calm and wild days share neither scale nor correlations. One Gaussian averages over both; the
    mixture has heavy tails and a dependence that grows in a crisis, with :math:`DM + D + 1` numbers
    a component. M. E. Tipping and C. M. Bishop (1999), Mixtures of probabilistic principal
    component analysers, Neural Computation 11, https://doi.org/10.1162/089976699300016728.
    Chapter: Factor models.

    Args:
        weights: :math:`\pi`, positive, sum one, shape ``(K,)``.
        components: The K laws, of the same number of features.

    Raises:
        ValueError: If the weights are not a law over the components, or those differ in size.
    """

    weights: Tensor

    def __init__(self, weights: Tensor, components: list[ProbabilisticPCA]) -> None:
        super().__init__()
        sizes = {part.mean.numel() for part in components}
        total = weights.sum().item()
        if weights.shape != (len(components),) or len(sizes) != 1:
            raise ValueError(
                f"weights {tuple(weights.shape)}, components of {sorted(sizes)} features: one "
                "weight for each component is needed, and the same features in all"
            )
        if not (weights > 0).all() or abs(total - 1) > 1e-5:
            raise ValueError(f"weights must be above 0 and sum to 1, got {weights.tolist()}")
        self.register_buffer("weights", weights)
        self.components = nn.ModuleList(components)

    @classmethod
    def fit(
        cls,
        x: Tensor,
        components: int,
        factors: int,
        *,
        seed: int,
        restarts: int = 5,
        floor: float = 1e-3,
        iterations: int = 1000,
        tolerance: float = 1e-7,
    ) -> Self:
        """Maximum likelihood by EM from several starts; the best is kept.

        Starts are clusters of k-means around rows drawn at random. In each round a component is
        given its maximum likelihood in closed form, each row counting by its responsibility.

        Args:
            x: Data, shape ``(N, D)``.
            components: K, two or more.
            factors: M of each component, from 1 to D - 1.
            seed: Of the starts.
            restarts: Number of starts. The likelihood has many maxima.
            floor: Least noise variance of a component, as a share of the mean variance of a
                feature: a component that shrinks onto a few rows would have unbounded likelihood.
            iterations: Most rounds of EM.
            tolerance: Nats per row that a round must gain for another to follow.

        Raises:
            ValueError: As for `ProbabilisticPCA.fit`; fewer than two components or restarts below
                one; or a component is left with too few rows in every start.

        Warns:
            RuntimeWarning: If the best start was still gaining in its last round.
        """
        _, mean, variance = moments(x, factors, missing=False)
        if components < 2 or restarts < 1 or not floor > 0:
            raise ValueError(
                f"components {components}, restarts {restarts}, floor {floor}: at least 2, at "
                "least 1 and above 0 are needed"
            )
        least, white = floor * variance.mean(), ((x - mean) / variance.sqrt()).numpy(force=True)
        with fixed_seed(seed):
            seeds = torch.randint(2**31, (restarts,)).tolist()
        found = []
        for start in seeds:
            with warnings.catch_warnings():  # a lost cluster is a lost start, dealt with below
                warnings.filterwarnings("ignore", "One of the clusters is empty")
                labels = torch.as_tensor(kmeans2(white, components, minit="++", rng=start)[1])
            share = nn.functional.one_hot(labels.long(), components).to(x)
            found.append(cls._climb(x, share, factors, least, iterations, tolerance))
        _, gain, model = max(found, key=lambda end: end[0])
        if model is None:
            raise ValueError(
                f"in each of {restarts} starts one of {components} components was left with no "
                f"more than {factors + 1} rows of {len(x)}; ask for fewer components or factors"
            )
        if gain >= tolerance:
            warnings.warn(
                f"EM stopped after {iterations} rounds, the last of which gained {gain:.1e} nats a "
                "row; raise iterations or tolerance",
                RuntimeWarning,
                stacklevel=2,
            )
        return model

    @classmethod
    def _climb(
        cls,
        x: Tensor,
        share: Tensor,
        factors: int,
        least: Tensor,
        iterations: int,
        tolerance: float,
    ) -> tuple[float, float, Self | None]:
        """Last mean log-likelihood, last gain and model of EM from given responsibilities."""
        model, value, gain = None, -math.inf, math.inf
        for _ in range(iterations):
            if (share.sum(0) <= factors + 1).any():
                return -math.inf, 0.0, None
            model = cls._maximum(x, share, factors, least)
            joint = model._joint(x)
            before, value = value, joint.logsumexp(dim=1).mean().item()
            gain = value - before
            if gain < tolerance:
                break
            share = joint.softmax(dim=1)
        return value, gain, model

    @classmethod
    def _maximum(cls, x: Tensor, share: Tensor, factors: int, least: Tensor) -> Self:
        """The model that is most likely if rows belong to components as `share` says."""
        parts = []
        for weight in share.T:
            mean = weight @ x / weight.sum()
            centred = x - mean
            covariance = (weight[:, None] * centred).T @ centred / weight.sum()
            parts.append(ProbabilisticPCA.of_moments(mean, covariance, factors, least=least))
        return cls(share.mean(0), parts)

    @property
    def _parts(self) -> list[ProbabilisticPCA]:
        return cast(list[ProbabilisticPCA], list(self.components))

    def responsibilities(self, x: Tensor) -> Tensor:
        """Probability of each component given each row, shape ``(N, K)``.

        Raises:
            ValueError: As for `log_prob`.
        """
        return self._joint(x).softmax(dim=1)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density of each row in nats, shape ``(N,)``.

        Raises:
            ValueError: If ``x`` has another shape or type, or holds NaN or inf.
        """
        return self._joint(x).logsumexp(dim=1)

    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        """Draw ``n`` points, first the component and then the point, shape ``(n, D)``."""
        with fixed_seed(seed):
            which = torch.multinomial(self.weights, n, replacement=True)
            draws = torch.stack([part.sample(n) for part in self._parts])  # (K, n, D)
        return draws[which, torch.arange(n)]

    def _joint(self, x: Tensor) -> Tensor:
        """Log of weight times density by component, ``(N, K)``."""
        parts = torch.stack([part.log_prob(x) for part in self._parts], dim=1)
        return parts + self.weights.log()
