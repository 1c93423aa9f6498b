"""The contract of deep latent variable models: two bounds, samples, one loss."""

import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from genfin_lib.distributions import fixed_seed

# Rows of data times draws that one pass of the networks sees in `log_prob`.
CHUNK = 8192


class Elbo(NamedTuple):
    r"""The two terms of the evidence lower bound, one row an example.

    Attributes:
        log_likelihood: :math:`\mathrm{E}_{q(z|x)} \log p(x \mid z)`, or one draw of it, ``(N,)``.
        kl: :math:`\mathrm{KL}(q \,\|\, p)`, or one draw of it, by level or step: ``(N, G)``; never
            weighted.
    """

    log_likelihood: Tensor
    kl: Tensor

    @property
    def bound(self) -> Tensor:
        """Log-likelihood minus the sum of the KL terms, ``(N,)``."""
        return self.log_likelihood - self.kl.sum(dim=-1)


class LatentVariableModel(nn.Module, ABC):
    r"""A density with unseen variables: :math:`p(x) = \int p(x \mid z)\, p(z)\, dz`.

    A network proposes :math:`q(z \mid x)`, and the evidence lower bound is

    .. math::
        \log p(x) = \underbrace{\mathrm{E}_q \log p(x \mid z) - \mathrm{KL}\bigl(q(z \mid x)
        \,\|\, p(z)\bigr)}_{\text{ELBO}} + \mathrm{KL}\bigl(q(z \mid x) \,\|\, p(z \mid x)\bigr)

    The last term, never negative, is what the bound misses. More draws miss less: the
    importance-weighted bound

    .. math:: \mathrm{E} \log \frac1K \sum_{k=1}^{K} \frac{p(x, z_k)}{q(z_k \mid x)},
        \qquad z_k \sim q(z \mid x)

    is the ELBO at :math:`K = 1` and rises to :math:`\log p(x)`. Kingma and Welling (2014),
    https://arxiv.org/abs/1312.6114; Burda, Grosse and Salakhutdinov (2016),
    https://arxiv.org/abs/1509.00519.

    An example is a row of a tensor, or of each tensor in a named tuple (returns and a mask, say).

    Args:
        warm_up: Share of training over which the weight of the KL rises from zero to one. At full
            weight from the first step, latents that do not pay at once die and stay dead.
            S. R. Bowman et al. (2016), https://arxiv.org/abs/1511.06349.
        free_nats: KL that a column of the KL terms has for nothing in training, on average over
            the batch: :math:`\sum_g \max(\lambda, \mathrm{KL}_g)`. It takes away the pressure below
            :math:`\lambda`; it promises no nats. D. P. Kingma et al. (2016),
            https://arxiv.org/abs/1606.04934.

    Raises:
        ValueError: If ``warm_up`` is outside [0, 1] or ``free_nats`` below zero.
    """

    def __init__(self, *, warm_up: float = 0.3, free_nats: float = 0.0) -> None:
        super().__init__()
        if not 0 <= warm_up <= 1:
            raise ValueError(
                f"warm_up is a share of training and must lie in [0, 1], got {warm_up}"
            )
        if not 0 <= free_nats < math.inf:
            raise ValueError(f"free_nats must be 0 or more, got {free_nats}")
        self.warm_up = warm_up
        self.free_nats = free_nats

    @abstractmethod
    def elbo(self, x: Any) -> Elbo:
        """Both terms of the bound for each example, from one draw of the latents."""

    @abstractmethod
    def log_weights(self, x: Any) -> Tensor:
        r"""One draw of :math:`\log p(x, z) - \log q(z \mid x)` for each example, ``(N,)``."""

    @abstractmethod
    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        """Draw ``n`` examples from :math:`p(x)`: the noise of the decoder included."""

    @abstractmethod
    def reconstruct(self, x: Any) -> Tensor:
        """Mean of the decoder at the mean of the posterior: what the latents keep of ``x``."""

    def log_prob(self, x: Any, *, draws: int = 64, seed: int | None = None) -> Tensor:
        """Importance-weighted bound on the log-density of each example, in nats, ``(N,)``.

        Args:
            x: Examples in rows.
            draws: The number :math:`K` of draws from the posterior.
            seed: Seed of the draws; the global generator of torch if ``None``.

        Raises:
            ValueError: If ``draws`` is below one.
        """
        if draws < 1:
            raise ValueError(f"draws must be 1 or more, got {draws}")
        rows = len(x) if isinstance(x, Tensor) else len(x[0])
        at_once = max(1, min(draws, CHUNK // rows))
        parts = []
        with fixed_seed(seed):
            for first in range(0, draws, at_once):
                copies = min(at_once, draws - first)
                weights = self.log_weights(_repeated(x, copies)).view(copies, rows)
                parts.append(weights.logsumexp(dim=0))
        return torch.stack(parts).logsumexp(dim=0) - math.log(draws)

    def kl_weight(self, progress: float) -> float:
        """Weight of the KL after the share ``progress`` of training."""
        return min(1.0, progress / self.warm_up) if self.warm_up else 1.0

    def loss(self, x: Any, *, progress: float = 1.0) -> Tensor:
        r"""Mean of :math:`-\log p(x \mid z) + \beta\, \mathrm{KL}`, a scalar.

        :math:`\beta` rises to one over the warm-up, and free nats are given in training only; in
        validation the loss is the negative ELBO.
        """
        terms = self.elbo(x)
        kl = terms.kl.mean(dim=0)
        if self.training and self.free_nats:
            kl = kl.clamp(min=self.free_nats)
        return self.kl_weight(progress) * kl.sum() - terms.log_likelihood.mean()


def _repeated(x: Any, copies: int) -> Any:
    """Whole data ``copies`` times over, one copy below the other."""
    if isinstance(x, Tensor):
        return x.repeat(copies, *[1] * (x.ndim - 1))
    return type(x)._make(_repeated(part, copies) for part in x)
