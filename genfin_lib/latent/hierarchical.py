"""Hierarchical variational autoencoders of windows: slow latents above fast ones."""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, kl_divergence

from genfin_lib.distributions import fixed_seed
from genfin_lib.latent.heads import NormalHead
from genfin_lib.latent.latent import Elbo, LatentVariableModel
from genfin_lib.latent.levels import LadderLevel, ResidualLevel, block
from genfin_lib.latent.vae import Head


class _Step(NamedTuple):
    """What one level did on the way down."""

    z: Tensor
    prior: Normal
    posterior: Normal  # the prior again, where no data are


class HierarchicalVAE(LatentVariableModel):
    r"""Variational autoencoder with levels of latents, each of a time resolution of its own.

    .. math::
        p(x, z) = p(z_L) \prod_{l < L} p(z_l \mid z_{>l}) \; p(x \mid z_1, \dots, z_L), \qquad
        q(z \mid x) = q(z_L \mid x) \prod_{l < L} q(z_l \mid z_{>l}, x)

    The window is read upwards, averaged to the resolution of each level; latents are drawn
    downwards. On the way down a deterministic state carries *all* levels to the decoder: were it
    only :math:`p(x \mid z_1)`, whatever the top knows would have to be said again by the bottom.
    Scales separate because they are imposed: a latent that exists once a window has to say what
    its steps share. Chapter: Hierarchical models.

    Args:
        length: Times of a window.
        channels: Series.
        levels: ``(positions, units)`` of each level, **top first**: places in time, and latents at
            each. Positions divide those of the level below, the last ones the length.
        head: From the decoder's numbers to the law of the data, :class:`NormalHead` if ``None``.
        width: Channels of the networks.
        kernel: Times that a convolution sees at once, odd.
        skip: Whether the state carries the upper levels on. Without, each level sees but the one
            above it, and the data the lowest: the chain of textbooks.
        warm_up: As for :class:`LatentVariableModel`.
        free_nats: As for :class:`LatentVariableModel`, for each level.

    Raises:
        ValueError: If sizes do not divide one another or are below one, or ``kernel`` is even.
    """

    level_class = ResidualLevel

    def __init__(
        self,
        length: int,
        channels: int = 1,
        *,
        levels: Sequence[tuple[int, int]] = ((1, 4), (8, 2), (64, 1)),
        head: Head | None = None,
        width: int = 32,
        kernel: int = 3,
        skip: bool = True,
        warm_up: float = 0.3,
        free_nats: float = 0.0,
    ) -> None:
        super().__init__(warm_up=warm_up, free_nats=free_nats)
        places = [positions for positions, _ in levels]
        sizes = (length, channels, width, *(size for level in levels for size in level))
        if not places or min(sizes) < 1 or kernel % 2 == 0:
            raise ValueError(
                f"levels {list(levels)} of {channels} series of {length} times, width {width}, "
                f"kernel {kernel}: sizes of 1 or more and an odd kernel are needed"
            )
        if any(below % above for above, below in zip(places, [*places[1:], length], strict=True)):
            raise ValueError(
                f"positions {places}, top first, with length {length}: each must divide the next"
            )
        self.length = length
        self.channels = channels
        self.skip = skip
        self.head = cast(nn.Module, NormalHead() if head is None else head)
        self.read = nn.Conv1d(2 * channels, width, kernel, padding="same")
        self.read_place = nn.Parameter(torch.zeros(width, length))
        self.up = nn.ModuleList(block(width, kernel) for _ in levels)
        self.down = nn.ModuleList(
            self.level_class(*level, width=width, kernel=kernel, top=index == 0)
            for index, level in enumerate(levels)
        )
        self.write_place = nn.Parameter(torch.zeros(width, length))
        self.write = nn.Conv1d(width, channels * cast(Head, self.head).outputs, 1)

    def elbo(self, x: Tensor) -> Elbo:
        """Both terms of the bound, KL by level, top first, each given one draw of those above.

        Args:
            x: Windows ``(N, length, channels)``, as `genfin_lib.data.windows` gives them.
        """
        steps, law = self._infer(x)
        kl = [kl_divergence(s.posterior, s.prior).sum((1, 2)) for s in steps]
        return Elbo(law.log_prob(x).sum((1, 2)), torch.stack(kl, dim=1))

    def log_weights(self, x: Tensor) -> Tensor:
        steps, law = self._infer(x)
        total = law.log_prob(x).sum((1, 2))
        for z, prior, posterior in steps:
            total += (prior.log_prob(z) - posterior.log_prob(z)).sum((1, 2))
        return total

    @torch.no_grad()
    def latents(self, x: Tensor) -> list[Tensor]:
        """Posterior means of each level, top first, ``(N, units, positions)``."""
        return [step.z for step in self._infer(x, at_means=True)[0]]

    @torch.no_grad()
    def innovations(self, x: Tensor) -> list[Tensor]:
        """Posterior means less prior means: what each level says beyond those above it.

        Means of a lower level move with its prior too, whatever the level itself has seen.

        Args:
            x: Windows, as for :meth:`elbo`.

        Returns:
            As :meth:`latents`.
        """
        steps, _ = self._infer(x, at_means=True)
        return [step.z - step.prior.mean for step in steps]

    @torch.no_grad()
    def kl_by_place(self, x: Tensor, *, draws: int = 8, seed: int) -> list[Tensor]:
        r"""Nats that each level says at each of its places, top first, ``(N, positions)``.

        .. math::
            \begin{aligned}
            k_{l,t} = \mathrm{E}_q\, \mathrm{KL}\bigl(& q(z_{l,t} \mid z_{>l}, x) \\
            & \|\, p(z_{l,t} \mid z_{>l})\bigr)
            \end{aligned}

        The sum over places is the KL of :meth:`elbo`; it tells that something is strange at this
        scale, the places tell when.

        Args:
            x: Windows ``(N, length, channels)``.
            draws: Of the levels above, over which the mean is taken.
            seed: Of the draws.
        """
        with fixed_seed(seed):
            runs = [self._infer(x)[0] for _ in range(draws)]
        kl = [[kl_divergence(s.posterior, s.prior).sum(1) for s in steps] for steps in runs]
        return [torch.stack(level).mean(0) for level in zip(*kl, strict=True)]

    def likelihood(self, latents: Sequence[Tensor]) -> Distribution:
        """Law of the window given latents of all levels, of shape ``(N, length, channels)``."""
        return self._down(len(latents[0]), given=latents)[1]

    @torch.no_grad()
    def prior_sample(
        self, n: int, *, given: Sequence[Tensor] = (), seed: int | None = None
    ) -> list[Tensor]:
        """Draw latents of all levels from the prior; the first ``given`` ones are kept.

        Args:
            n: Number of windows.
            given: Latents of the top levels, ``(n, units, positions)`` each.
            seed: Seed of the draws.
        """
        with fixed_seed(seed):
            return [step.z for step in self._down(n, given=given)[0]]

    @torch.no_grad()
    def sample(self, n: int, *, given: Sequence[Tensor] = (), seed: int | None = None) -> Tensor:
        """Draw windows, those latents held that are ``given`` (see :meth:`prior_sample`)."""
        with fixed_seed(seed):
            return self._down(n, given=given)[1].sample()

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        return self._infer(x, at_means=True)[1].mean

    @property
    def _levels(self) -> list[ResidualLevel]:
        return cast(list[ResidualLevel], list(self.down))

    def _infer(self, x: Tensor, *, at_means: bool = False) -> tuple[list[_Step], Distribution]:
        if x.ndim != 3 or x.shape[1:] != (self.length, self.channels):
            raise ValueError(
                f"x of shape {tuple(x.shape)}: (N, {self.length}, {self.channels}) is needed, as "
                "genfin_lib.data.windows gives it"
            )
        if not torch.isfinite(x).all():
            raise ValueError("x holds NaN or inf; drop or fill those windows first")
        return self._down(len(x), features=self._features(x), at_means=at_means)

    def _features(self, x: Tensor) -> list[Tensor]:
        """What is seen of the window at each level's resolution, top first."""
        # A return of twenty standard deviations must not become a state of twenty.
        x = x.asinh().transpose(1, 2)
        h = self.read(torch.cat((x, x.abs()), dim=1)) + self.read_place  # (N, width, length)
        found = []
        for net, level in zip(self.up[::-1], self._levels[::-1], strict=True):
            h = h + net(h)
            h = h.unflatten(2, (level.positions, -1)).mean(-1)  # (N, width, positions)
            found.append(h)
        return found[::-1]

    def _down(
        self,
        n: int,
        *,
        features: Sequence[Tensor] = (),
        given: Sequence[Tensor] = (),
        at_means: bool = False,
    ) -> tuple[list[_Step], Distribution]:
        """Latents from the top down, and the law of the window given all of them."""
        steps: list[_Step] = []
        state = self.read_place.new_zeros(n, len(self.read_place), 1)
        for index, level in enumerate(self._levels):
            state = _stretch(state, level.positions) + level.place
            prior = level.prior(state)
            posterior = level.posterior(prior, state, features[index]) if features else prior
            if index < len(given):
                z = given[index]
            else:
                z = posterior.mean if at_means else posterior.rsample()
            steps.append(_Step(z, prior, posterior))
            state = level(state if self.skip else torch.zeros_like(state), z)
        state = _stretch(state, self.length) + self.write_place
        return steps, self.head(self.write(state.relu()).transpose(1, 2))


class LadderVAE(HierarchicalVAE):
    """:class:`HierarchicalVAE` with the precision-weighted posterior of :class:`LadderLevel`."""

    level_class = LadderLevel


def _stretch(state: Tensor, positions: int) -> Tensor:
    """Each place repeated to as many as ``positions``."""
    return state.repeat_interleave(positions // state.shape[2], dim=2)
