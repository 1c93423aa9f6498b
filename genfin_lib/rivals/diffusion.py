"""Denoising diffusion: noise is added step by step, and a network learns the way back."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genfin_lib.distributions import fixed_seed
from genfin_lib.flows.transform import Transform
from genfin_lib.rivals.contract import Rival, Shape
from genfin_lib.rivals.networks import VectorDenoiser, WindowDenoiser


class Diffusion(Rival):
    r"""Denoising diffusion probabilistic model.

    .. math::
        \begin{aligned}
        q(x_t \mid x_{t-1}) &= N\bigl(\sqrt{\alpha_t}\, x_{t-1},\, (1 - \alpha_t) I\bigr) \\
        q(x_t \mid x_0) &= N\bigl(\sqrt{\bar\alpha_t}\, x_0,\, (1 - \bar\alpha_t) I\bigr)
        \end{aligned}

    with :math:`\bar\alpha_t = \alpha_1 \cdots \alpha_t = \exp(-s/10 - 9.95\, s^2)`,
    :math:`s = t/T`: after :math:`T` steps hardly anything is left of :math:`x_0`. A network
    guesses the noise, and with it the model walks back:

    .. math::
        \begin{aligned}
        \text{loss} &= \tfrac1D\, \mathrm{E} \bigl\| \epsilon - \hat\epsilon(x_t, t) \bigr\|^2 \\
        p(x_{t-1} \mid x_t) &= N\bigl(m_t,\, (1 - \alpha_t) I\bigr) \\
        m_t &= \tfrac{1}{\sqrt{\alpha_t}} \Bigl(x_t
        - \tfrac{1 - \alpha_t}{\sqrt{1 - \bar\alpha_t}}\, \hat\epsilon(x_t, t)\Bigr)
        \end{aligned}

    The best guess is the score: :math:`\hat\epsilon = -\sqrt{1 - \bar\alpha_t}\, \nabla \log
    q(x_t)`. Here :math:`\hat\epsilon = \sqrt{1 - \bar\alpha_t}\, x_t + \text{network}`, and the
    network starts at zero: **untrained, the model is exactly the standard normal**, as an untrained
    flow is, and all it learns is how the data differ from it.

    J. Ho, A. Jain and P. Abbeel (2020), https://arxiv.org/abs/2006.11239; the schedule: Y. Song et
    al. (2021), https://arxiv.org/abs/2011.13456. Chapter: the comparison of all models.

    Args:
        shape: Number of features, or ``(channels, length)`` of windows.
        steps: Number :math:`T` of steps; a sample takes as many calls of the network.
        hidden: Widths of the perceptron, for rows.
        width: Channels of the convolutions, for windows.
        transform: See :class:`~genfin_lib.rivals.Rival`.
        seed: Seed of the initial weights.

    Raises:
        ValueError: If a size is below one.
    """

    alpha: Tensor
    alpha_bar: Tensor

    def __init__(
        self,
        shape: Shape,
        *,
        steps: int = 100,
        hidden: Sequence[int] = (128, 128),
        width: int = 32,
        transform: Transform | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(shape, transform=transform)
        if steps < 1:
            raise ValueError(f"steps must be 1 or more, got {steps}")
        self.steps = steps
        share = torch.arange(steps + 1) / steps
        alpha_bar = torch.exp(-0.1 * share - 9.95 * share.square())  # of steps 0, 1, ..., T
        self.register_buffer("alpha_bar", alpha_bar)
        self.register_buffer("alpha", torch.cat((alpha_bar[:1], alpha_bar[1:] / alpha_bar[:-1])))
        with fixed_seed(seed):
            self.network: nn.Module = (
                VectorDenoiser(self.shape[0], hidden=hidden)
                if len(self.shape) == 1
                else WindowDenoiser(
                    self.shape[0], width=width, levels=max(1, math.ceil(math.log2(self.shape[1])))
                )
            )

    def forward(self, x: Tensor, step: Tensor) -> Tensor:
        """Guess of the noise in ``x``, ``(N, *shape)`` in standard units, after steps ``(N,)``."""
        noise: Tensor = self.network(x, (step / self.steps).to(x))
        return self._of(1 - self.alpha_bar, step).sqrt() * x + noise

    def score(self, x: Tensor, step: Tensor) -> Tensor:
        r"""Gradient of the log-density of noisy data, :math:`\nabla \log q(x_t)`, as learned.

        The loss above is denoising score matching: P. Vincent (2011),
        https://doi.org/10.1162/NECO_a_00142.

        Args:
            x: Noisy data in standard units, ``(N, *shape)``.
            step: Number of steps of noise, 1 to T, ``(N,)``.
        """
        return -self(x, step) / self._of(1 - self.alpha_bar, step).sqrt()

    def diffuse(self, z: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        """Data in standard units after so many steps of noise, in one go."""
        alpha_bar = self._of(self.alpha_bar, step)
        return alpha_bar.sqrt() * z + (1 - alpha_bar).sqrt() * noise

    def loss(self, x: Tensor, *, progress: float | None = None) -> Tensor:
        """Mean squared error of the guessed noise.

        Each row has its own step, spread evenly over the batch from a random start: every
        step is as likely as every other, and the mean has less noise. D. P. Kingma et al. (2021),
        https://arxiv.org/abs/2107.00630.

        Args:
            x: Data, shape ``(N, *shape)``.
            progress: Share of training done; ignored.

        Raises:
            ValueError: If ``x`` has the wrong shape or holds NaN or inf.
        """
        z, _ = self.standard(x)
        rows = len(z)
        share = (torch.rand(1, device=z.device) + torch.arange(rows, device=z.device) / rows) % 1
        step = 1 + (share * self.steps).long().clamp(max=self.steps - 1)
        noise = torch.randn_like(z)
        return (self(self.diffuse(z, step, noise), step) - noise).square().mean()

    @torch.no_grad()
    def log_prob(self, x: Tensor, *, draws: int = 1, seed: int | None = None) -> Tensor:
        r"""Importance-weighted bound on the log-density of each example, in nats, ``(N,)``.

        .. math:: \mathrm{E} \log \frac1K \sum_{k=1}^{K} p(x_T) \prod_{t=1}^{T}
            \frac{p(x_{t-1} \mid x_t)}{q(x_t \mid x_{t-1})}

        with each path :math:`x_1, \dots, x_T` from :math:`q`.
        A diffusion is a latent variable model whose encoder has nothing to learn: one draw gives
        the evidence lower bound. It takes T calls of the network a draw.

        Args:
            x: Data, shape ``(N, *shape)``.
            draws: The number :math:`K` of paths.
            seed: Seed of the paths; the global generator of torch if ``None``.

        Raises:
            ValueError: If ``draws`` is below one, or as in :meth:`loss`.
        """
        if draws < 1:
            raise ValueError(f"draws must be 1 or more, got {draws}")
        z, log_abs_det = self.standard(x)
        with fixed_seed(seed):
            weights = torch.stack([self._log_weight(z) for _ in range(draws)])
        return weights.logsumexp(dim=0) - math.log(draws) + log_abs_det

    @torch.no_grad()
    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        with fixed_seed(seed):
            x = self.noise(n, *self.shape)
            for t in range(self.steps, 0, -1):
                x = self._back(x, t) + (1 - self.alpha[t]).sqrt() * torch.randn_like(x)
        return self.from_standard(x)

    def _of(self, values: Tensor, step: Tensor) -> Tensor:
        """Entry of each row's step, ``(N, 1, ...)``."""
        return values[step].view(-1, *[1] * len(self.shape))

    def _back(self, x: Tensor, t: int) -> Tensor:
        """Mean of the example one step of noise less."""
        guess = self(x, torch.full((len(x),), t, device=x.device))
        share = (1 - self.alpha[t]) / (1 - self.alpha_bar[t]).sqrt()
        return (x - share * guess) / self.alpha[t].sqrt()

    def _log_weight(self, x: Tensor) -> Tensor:
        total = x.new_zeros(len(x))
        for t in range(1, self.steps + 1):
            # Both laws have the variance 1 - alpha: only the squares differ.
            noise = torch.randn_like(x)
            after = self.alpha[t].sqrt() * x + (1 - self.alpha[t]).sqrt() * noise
            error = (x - self._back(after, t)).square() / (1 - self.alpha[t])
            total += (noise.square() - error).flatten(1).sum(dim=1) / 2
            x = after
        return total - (x.square() + math.log(2 * math.pi)).flatten(1).sum(dim=1) / 2


class ScoreMatching(Diffusion):
    r"""The same network read as a score, and followed without new noise.

    .. math::
        \begin{aligned}
        \frac{dx}{ds} &= -\tfrac12 \beta(s) \bigl(x + \nabla \log q_s(x)\bigr) \\
        x_{t-1} &= \sqrt{\bar\alpha_{t-1}}\, \hat x_0
        + \sqrt{1 - \bar\alpha_{t-1}}\, \hat\epsilon
        \end{aligned}

    with :math:`\hat\epsilon = -\sqrt{1 - \bar\alpha_t}\, \nabla \log q_t(x_t)` and
    :math:`\hat x_0 = (x_t - \sqrt{1 - \bar\alpha_t}\, \hat\epsilon)/\sqrt{\bar\alpha_t}`.
    First the probability flow, with :math:`\bar\alpha(s) = e^{-\int_0^s \beta}`, which has the law
    :math:`q_s` at every :math:`s` if the score is right; then its solution by T steps. Noise
    determines the example, as in a flow. Langevin dynamics needs no more than the score either,
    but in as few steps does not come near its equilibrium: directions of large variance, crises,
    come out too narrow.

    J. Song, C. Meng and S. Ermon (2021), https://arxiv.org/abs/2010.02502; Y. Song et al. (2021),
    https://arxiv.org/abs/2011.13456. Chapter: the comparison of all models.
    """

    @torch.no_grad()
    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        with fixed_seed(seed):
            x = self.noise(n, *self.shape)
        for t in range(self.steps, 0, -1):
            before, now = self.alpha_bar[t - 1], self.alpha_bar[t]
            noise = -(1 - now).sqrt() * self.score(x, torch.full((n,), t, device=x.device))
            start = (x - (1 - now).sqrt() * noise) / now.sqrt()
            x = before.sqrt() * start + (1 - before).sqrt() * noise
        return self.from_standard(x)
