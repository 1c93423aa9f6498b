"""What makes one contract of many: models of rows or windows, wrapped for a task's shape."""

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from genfin_lib.applications.comparison.classical import WindowGarch
from genfin_lib.flows.transform import Compose, Transform
from genfin_lib.latent import RVRAE, Panel


class Generator(Protocol):
    """What a row needs of its model; ``log_prob(x)`` comes on top where there is a likelihood."""

    def sample(self, n: int, *, seed: int) -> Tensor:
        """Draw ``n`` examples of the task's shape."""


class Flat:
    """A density of rows as one of windows, standardised or not.

    Args:
        model: With ``sample`` and ``log_prob`` for rows ``(N, D)``.
        like: Training examples, for their shape.
        transform: Between the data and the model.
    """

    def __init__(self, model: Any, like: Tensor, transform: Transform | None = None) -> None:
        self.model, self.shape = model, like.shape[1:]
        self.transform = Compose([]) if transform is None else transform

    def sample(self, n: int, *, seed: int) -> Tensor:
        """Draw ``n`` examples."""
        rows: Tensor = self.model.sample(n, seed=seed)
        return self.transform.generate(rows).unflatten(1, self.shape)

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density of each example, in nats, or the bound of the model."""
        rows, log_abs_det = self.transform(x.flatten(1))
        found: Tensor = self.model.log_prob(rows)
        return found + log_abs_det

    def reconstruct(self, x: Tensor) -> Tensor:
        """What the latents keep of each example.

        Raises:
            AttributeError: If the model has none.
        """
        rows = self.model.reconstruct(self.transform(x.flatten(1))[0])
        return self.transform.generate(rows).unflatten(1, self.shape)

    def parameters(self) -> Any:
        """Of the model."""
        return self.model.parameters()


class TimeLast:
    """A model of windows ``(N, length, channels)`` for a task of ``(N, channels, length)``.

    Args:
        model: Latent variable model.
        length: Of windows, if ``sample`` asks for it.
        draws: Of the importance-weighted bound.
    """

    def __init__(self, model: Any, *, length: int | None = None, draws: int = 16) -> None:
        self.model, self.draws = model, draws
        self.settings = {} if length is None else {"length": length}

    def given(self, x: Tensor) -> Any:
        """Windows as the model takes them."""
        turned = x.transpose(1, 2).contiguous()
        return Panel.of(turned) if isinstance(self.model, RVRAE) else turned

    def sample(self, n: int, *, seed: int) -> Tensor:
        """Draw ``n`` windows."""
        drawn: Tensor = self.model.sample(n, seed=seed, **self.settings)
        return drawn.transpose(1, 2).contiguous()

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        """Bound on the log-density of each window."""
        found: Tensor = self.model.log_prob(self.given(x), draws=self.draws)
        return found

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """What the latents keep of each window."""
        mean: Tensor = self.model.reconstruct(self.given(x))
        return mean.transpose(1, 2)

    def parameters(self) -> Any:
        """Of the model."""
        return self.model.parameters()


class Double(nn.Module):
    """A density in double precision, asked and answering in single.

    Args:
        model: In double precision.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def sample(self, n: int, *, seed: int) -> Tensor:
        drawn: Tensor = self.model.sample(n, seed=seed).float()
        return drawn

    def log_prob(self, x: Tensor) -> Tensor:
        found: Tensor = self.model.log_prob(x.double())
        return found

    def reconstruct(self, x: Tensor) -> Tensor:
        mean: Tensor = self.model.reconstruct(x.double()).float()
        return mean


class FixedLength:
    """GARCH that draws windows of the task's length.

    Args:
        model: Fitted.
        length: Of the windows.
    """

    def __init__(self, model: WindowGarch, length: int) -> None:
        self.model, self.length = model, length

    def sample(self, n: int, *, seed: int) -> Tensor:
        return self.model.sample(n, length=self.length, seed=seed)

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        return self.model.log_prob(x)

    def parameters(self) -> Any:
        return self.model.parameters()
