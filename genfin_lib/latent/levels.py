"""Levels of a hierarchical autoencoder: prior given the levels above, posterior given data too."""

import torch
from torch import Tensor, nn
from torch.distributions import Normal


class ResidualLevel(nn.Module):
    r"""Latents of one time resolution, with a posterior told by its distance from the prior.

    .. math::
        p(z_l \mid z_{>l}) = N(\mu, \sigma^2), \qquad
        q(z_l \mid z_{>l}, x) = N\bigl(\mu + \delta_\mu,\; (\sigma e^{\delta_\sigma})^2\bigr)

    A state :math:`d`, known from the levels above, gives the prior; the state and what was seen of
    the window give both :math:`\delta`: the posterior follows wherever the prior moves, and a level
    of no use costs nothing once its :math:`\delta` are zero. A. Vahdat and J. Kautz (2020), NVAE,
    https://arxiv.org/abs/2007.03898. Chapter: Hierarchical models.

    Args:
        positions: Places in time.
        units: Latents at each place.
        width: Channels of the state.
        kernel: Places that a convolution sees at once, odd.
        top: Whether no level is above: the prior is then standard normal.
    """

    def __init__(
        self, positions: int, units: int, *, width: int, kernel: int, top: bool = False
    ) -> None:
        super().__init__()
        self.positions = positions
        self.units = units
        # What tells one place from another: convolutions do not know where they are.
        self.place = nn.Parameter(torch.zeros(width, positions))
        self.prior_net = None if top else nn.Conv1d(width, 2 * units, 1)
        self.posterior_net = nn.Conv1d(2 * width, 2 * units, 1)
        self.embed = nn.Conv1d(units, width, 1)
        self.mix = block(width, kernel)

    def prior(self, state: Tensor) -> Normal:
        """Law of the latents given the state ``(N, width, positions)``."""
        if self.prior_net is None:
            zero = state.new_zeros(len(state), self.units, self.positions)
            return Normal(zero, torch.ones_like(zero), validate_args=False)
        return Normal(*_location_and_scale(self.prior_net(state)), validate_args=False)

    def posterior(self, prior: Normal, state: Tensor, features: Tensor) -> Normal:
        """Law of the latents given state and features of the window, of one shape."""
        shift, ratio = _location_and_scale(self.posterior_net(torch.cat((state, features), dim=1)))
        return Normal(prior.loc + shift, prior.scale * ratio, validate_args=False)

    def forward(self, state: Tensor, z: Tensor) -> Tensor:
        """The state, told what the latents are."""
        state = state + self.embed(z)
        return state + self.mix(state)


class LadderLevel(ResidualLevel):
    r"""Latents whose posterior multiplies the prior by what was seen, as two Gaussians.

    .. math::
        q \propto N(\mu, \sigma^2)\, N(\hat\mu, \hat\sigma^2): \qquad
        \frac{1}{\sigma_q^2} = \frac1{\sigma^2} + \frac1{\hat\sigma^2}, \qquad
        \mu_q = \sigma_q^2 \Bigl(\frac{\mu}{\sigma^2} + \frac{\hat\mu}{\hat\sigma^2}\Bigr)

    :math:`\hat\mu, \hat\sigma` come from the window alone, without the levels above. Right where
    the likelihood of :math:`z_l` is a Gaussian that these do not move; such a posterior is never
    wider than the prior. C. K. Sønderby et al. (2016), Ladder variational autoencoders,
    https://arxiv.org/abs/1602.02282. Arguments as for :class:`ResidualLevel`.
    """

    def posterior(self, prior: Normal, state: Tensor, features: Tensor) -> Normal:
        seen = torch.cat((torch.zeros_like(state), features), dim=1)
        location, scale = _location_and_scale(self.posterior_net(seen))
        precision = prior.scale**-2 + scale**-2
        mean = (prior.loc / prior.scale**2 + location / scale**2) / precision
        return Normal(mean, precision**-0.5, validate_args=False)


def _location_and_scale(raw: Tensor) -> tuple[Tensor, Tensor]:
    """Two halves of the channels: any number, and a scale between exp(-4) and exp(4)."""
    location, log_scale = raw.chunk(2, dim=1)
    return location, (4 * (log_scale / 4).tanh()).exp()


def block(width: int, kernel: int) -> nn.Sequential:
    """What is added to a state: at first the same for every window and place."""
    last = nn.Conv1d(width, width, 1)
    nn.init.zeros_(last.weight)
    return nn.Sequential(
        nn.ReLU(), nn.Conv1d(width, width, kernel, padding="same"), nn.ReLU(), last
    )
