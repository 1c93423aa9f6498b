"""A generative adversarial network: a generator, and a critic that measures how far off it is."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from genfin_lib.batches import check
from genfin_lib.distributions import fixed_seed
from genfin_lib.flows.transform import Transform
from genfin_lib.nn import MLP
from genfin_lib.rivals.contract import Rival, Shape
from genfin_lib.rivals.networks import TemporalConvNet
from genfin_lib.training import DivergenceError


class WassersteinGAN(Rival):
    r"""Wasserstein generative adversarial network with gradient penalty.

    .. math::
        \begin{aligned}
        & \min_G\, W_1\bigl(X, G(Z)\bigr) \\
        & W_1(X, Y) = \max_{\|\nabla f\| \le 1} \mathrm{E} \bigl[f(X) - f(Y)\bigr]
        \end{aligned}

    The generator :math:`G` turns noise into data; the critic :math:`f` looks for the function of
    slope one whose means differ most, which is the Wasserstein distance (Kantorovich and
    Rubinstein). The slope is asked for, not enforced, by :math:`\lambda\,
    \mathrm{E} (\|\nabla f(\hat x)\| - 1)^2` at points :math:`\hat x` between data and draws. There
    is no density, and no loss whose fall means progress: train with :func:`fit_adversarial`.

    Rows have perceptrons. Windows have temporal convolutions, as in Quant GANs: noise comes out
    as a *stationary* series, each value a function of the last :math:`2^L` of the noise.

    I. Gulrajani, F. Ahmed, M. Arjovsky, V. Dumoulin and A. Courville (2017),
    https://arxiv.org/abs/1704.00028; M. Wiese, R. Knobloch, R. Korn and P. Kretschmer (2020),
    https://arxiv.org/abs/1907.06673. Chapter: the comparison of all models.

    Args:
        shape: Number of features, or ``(channels, length)`` of windows.
        latents: Noise variables: as many as features if ``None``, for windows three a time.
        hidden: Widths of both perceptrons, for rows.
        width: Channels of both convolutions, for windows.
        penalty: The weight :math:`\lambda`. The critic's slope settles at :math:`1 + W_1/(2
            \lambda)`. Images have 10; with few numbers that much holds the critic back.
        transform: See :class:`~genfin_lib.rivals.Rival`.
        seed: Seed of the initial weights.

    Raises:
        ValueError: If a size is below one, or ``penalty`` not above zero.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        latents: int | None = None,
        hidden: Sequence[int] = (64, 64),
        width: int = 32,
        penalty: float = 1.0,
        transform: Transform | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(shape, transform=transform)
        if not 0 < penalty < math.inf:
            raise ValueError(f"penalty must be above 0 and finite, got {penalty}")
        self.penalty = penalty
        features = self.shape[0]
        self.latents: tuple[int, ...]
        with fixed_seed(seed):
            if len(self.shape) == 1:
                self.latents = (latents or features,)
                self.generator: nn.Module = MLP(self.latents[0], features, hidden=hidden)
                self.critic: nn.Module = MLP(features, 1, hidden=hidden)
            else:
                length = self.shape[1]
                levels = math.floor(math.log2(length))
                # The noise begins before the window, so that its first day is like the others.
                self.latents = (latents or 3, length + 2**levels - 1)
                self.generator = TemporalConvNet(
                    self.latents[0], features, width=width, levels=levels
                )
                self.critic = TemporalConvNet(features, 1, width=width, levels=levels)
        # What is sampled: the mean of the generator's latest weights, steadier than the last ones.
        self.averaged = copy.deepcopy(self.generator).requires_grad_(False)

    def criticise(self, z: Tensor) -> Tensor:
        """The critic's opinion of each example in standard units, ``(N,)``."""
        return self.critic(z).flatten(1).mean(dim=1)

    def critic_loss(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The two terms that the critic minimises, both scalars.

        Args:
            z: Data in standard units.

        Returns:
            Minus its estimate of the distance between data and draws, and the weighted penalty.
        """
        with torch.no_grad():
            drawn = self.generator(self.noise(len(z), *self.latents))
        gap = self.criticise(z).mean() - self.criticise(drawn).mean()
        return -gap, self.penalty * self.gradient_penalty(z, drawn)

    def generator_loss(self, n: int) -> Tensor:
        """What the generator minimises: minus the mean opinion of ``n`` draws."""
        return -self.criticise(self.generator(self.noise(n, *self.latents))).mean()

    def gradient_penalty(self, real: Tensor, drawn: Tensor) -> Tensor:
        r"""Mean of :math:`(\|\nabla f\| - 1)^2` at random points between pairs."""
        u = torch.rand(len(real), *[1] * len(self.shape), dtype=real.dtype, device=real.device)
        between = torch.lerp(real, drawn, u).requires_grad_()
        total = self.criticise(between).sum()
        (slope,) = torch.autograd.grad(total, between, create_graph=True)
        return (slope.flatten(1).norm(dim=1) - 1).square().mean()

    @torch.no_grad()
    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        with fixed_seed(seed):
            noise = self.noise(n, *self.latents)
        parts = [self.averaged(part) for part in noise.split(1024)]
        return self.from_standard(torch.cat(parts))


@dataclass
class AdversarialHistory:
    """What the critic said, one entry a step of the generator.

    Attributes:
        distance: What the critic makes of the Wasserstein distance of the batch, in standard units;
            too much by the factor of its slope.
        penalty: Weighted gradient penalty.
    """

    distance: list[float] = field(default_factory=list)
    penalty: list[float] = field(default_factory=list)


def fit_adversarial(
    gan: WassersteinGAN,
    train: Tensor,
    *,
    seed: int,
    steps: int = 1000,
    critic_steps: int = 5,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    average: float = 0.99,
) -> AdversarialHistory:
    r"""Train both players in turn: the one model that :func:`genfin_lib.training.fit` cannot.

    Two players have no common loss, hence no validation loss to stop by: the number of steps has
    to be settled beforehand. Each step of the generator follows several of the critic, whose
    gradient is worth something only near its optimum. Both use Adam without momentum
    (Gulrajani et al., 2017) at a rate that falls along a half cosine to zero: at a constant one
    the players circle around each other. The weights that :meth:`WassersteinGAN.sample` uses are
    a moving average, :math:`\bar\theta \leftarrow a \bar\theta + (1 - a)\, \theta`: Y. Yazıcı et
    al. (2019), https://arxiv.org/abs/1806.04498.

    Args:
        gan: The model; left in evaluation mode.
        train: Data, shape ``(N, *shape)``.
        seed: Seed of batches and noise.
        steps: Steps of the generator.
        critic_steps: Steps of the critic before each of them.
        batch_size: Rows in a batch, drawn with replacement.
        learning_rate: Of both, at the start.
        average: The weight :math:`a` of the past; its reach is :math:`1/(1 - a)` steps.

    Raises:
        ValueError: If the data have the wrong shape or hold NaN or inf, or a setting is out of
            range.
        DivergenceError: If the critic's loss is not finite.
    """
    check(train, "train")
    settings = {"steps": steps, "critic_steps": critic_steps, "batch_size": batch_size}
    for name, value in settings.items():
        if value < 1:
            raise ValueError(f"{name} must be 1 or more, got {value}")
    if not (learning_rate > 0 and 0 <= average < 1):
        raise ValueError(f"learning_rate {learning_rate} above 0 and average {average} in [0, 1)")
    with torch.no_grad():
        z = gan.standard(train)[0]
    critic, generator = (
        torch.optim.Adam(player.parameters(), lr=learning_rate, betas=(0.0, 0.9), fused=True)
        for player in (gan.critic, gan.generator)
    )
    history = AdversarialHistory()
    gan.train()
    with fixed_seed(seed):
        for step in range(steps):
            rate = learning_rate * (1 + math.cos(math.pi * step / steps)) / 2
            critic.param_groups[0]["lr"] = generator.param_groups[0]["lr"] = rate
            for _ in range(critic_steps):
                batch = z[torch.randint(len(z), (batch_size,), device=z.device)]
                gap, penalty = gan.critic_loss(batch)
                if not math.isfinite(gap.item() + penalty.item()):
                    raise DivergenceError(f"the critic's loss is not finite at step {step + 1}")
                critic.zero_grad(set_to_none=True)
                (gap + penalty).backward()
                critic.step()
            generator.zero_grad(set_to_none=True)
            gan.generator_loss(batch_size).backward()
            generator.step()
            with torch.no_grad():
                pairs = zip(gan.averaged.parameters(), gan.generator.parameters(), strict=True)
                for mean, latest in pairs:
                    mean.lerp_(latest, 1 - average)
            history.distance.append(-gap.item())
            history.penalty.append(penalty.item())
    gan.eval()
    return history
