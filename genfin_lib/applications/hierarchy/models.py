"""The models compared, flat and hierarchical, and the recipe by which all are trained."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from genfin_lib.latent import (
    VAE,
    ConstantScaleHead,
    HierarchicalVAE,
    LadderVAE,
    NormalHead,
    StudentTHead,
)
from genfin_lib.nn import MLP
from genfin_lib.training import fit

STEPS, BATCH, RATE = 1000, 64, 3e-3
WIDTH, HIDDEN = 16, (128, 128)
LEVELS = ((1, 4), (8, 2), (64, 1))  # 84 latents
PANEL = ((1, 4), (4, 2), (32, 4))  # 140
LONGER = {  # trained three times as long
    "simulator_longer": ("flat, 16, t", "hierarchical, t"),
    "equity_longer": ("flat, 16, Gaussian", "hierarchical, Gaussian"),
}


class _Squeezed(nn.Module):
    """What the hierarchy reads too: returns, squeezed, with and without sign, channels first."""

    def forward(self, x: Tensor) -> Tensor:
        squeezed = x.asinh().mT
        return torch.cat((squeezed, squeezed.abs()), dim=1)


class _Placed(nn.Module):
    """Channels last, and a constant for each place: convolutions do not know where they are."""

    def __init__(self, channels: int, length: int) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(channels, length))

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.place).mT


def flat_vae(x: Tensor, latents: int, head: NormalHead | StudentTHead, width: int = WIDTH) -> VAE:
    """A VAE without levels for windows like ``x``, ``(N, length, channels)``, of convolutions.

    They go in two steps of four to a sixteenth of the length, and back: a place in the middle
    knows what happens nearby, as the lower levels of a hierarchy do.
    """
    length, channels = x.shape[1:]
    places, out = length // 16, channels * head.outputs
    encoder = nn.Sequential(
        _Squeezed(),
        nn.Conv1d(2 * channels, width, 5, padding=2),
        nn.ReLU(),
        nn.Conv1d(width, width, 4, stride=4),
        nn.ReLU(),
        nn.Conv1d(width, 2 * width, 4, stride=4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * width * places, 2 * latents),
    )
    decoder = nn.Sequential(
        nn.Linear(latents, 2 * width * places),
        nn.ReLU(),
        nn.Unflatten(1, (2 * width, places)),
        nn.Conv1d(2 * width, width, 3, padding=1),
        nn.ReLU(),
        nn.Upsample(scale_factor=4),
        nn.Conv1d(width, width, 3, padding=1),
        nn.ReLU(),
        nn.Upsample(scale_factor=4),
        nn.Conv1d(width, width, 5, padding=2),
        nn.ReLU(),
        nn.Conv1d(width, out, 1),
        _Placed(out, length),
    )
    return VAE((length, channels), latents, head=head, encoder=encoder, decoder=decoder)


def dense_vae(x: Tensor, latents: int, head: NormalHead | StudentTHead) -> VAE:
    """The same of dense layers, which have to learn each place of the window by itself."""
    length, channels = x.shape[1:]
    out = channels * head.outputs
    encoder = MLP(2 * length * channels, 2 * latents, hidden=HIDDEN)
    decoder = MLP(latents, length * out, hidden=HIDDEN)
    return VAE(
        (length, channels),
        latents,
        head=head,
        encoder=nn.Sequential(_Squeezed(), nn.Flatten(), encoder),
        decoder=nn.Sequential(decoder, nn.Unflatten(1, (length, out))),
    )


def models(part: str, x: Tensor) -> dict[str, Callable[[], Any]]:
    """Builders of the deep models compared on a part, by name."""

    def hierarchical(
        head: type = StudentTHead, cls: type[HierarchicalVAE] = HierarchicalVAE, **settings: Any
    ) -> Callable[[], HierarchicalVAE]:
        plain: dict[str, Any] = {"levels": LEVELS, "width": WIDTH} | settings
        return lambda: cls(64, head=head(), **plain)

    if part == "equity":
        return {
            "dense, 16, Gaussian": lambda: dense_vae(x, 16, NormalHead()),
            "flat, 16, Gaussian": lambda: flat_vae(x, 16, NormalHead()),
            "flat, 84, Gaussian": lambda: flat_vae(x, 84, NormalHead()),
            "hierarchical, Gaussian": hierarchical(head=NormalHead),
            "flat, 16, t": lambda: flat_vae(x, 16, StudentTHead()),
            "hierarchical, t": hierarchical(),
        }
    if part == "panel":
        return {
            "dense, 24, t": lambda: dense_vae(x, 24, StudentTHead()),
            "flat, 24, t": lambda: flat_vae(x, 24, StudentTHead(), 2 * WIDTH),
            "hierarchical, t": lambda: HierarchicalVAE(
                32, 20, levels=PANEL, width=2 * WIDTH, head=StudentTHead()
            ),
        }
    if part == "simulator":
        return {
            "flat, 16, t": lambda: flat_vae(x, 16, StudentTHead()),
            "flat, 84, t": lambda: flat_vae(x, 84, StudentTHead()),
            "hierarchical, t": hierarchical(),
        }
    if part in LONGER:
        some = models(part.removesuffix("_longer"), x)
        return {name: some[name] for name in LONGER[part]}
    return {
        "no scale head": hierarchical(head=ConstantScaleHead),
        "Gaussian": hierarchical(head=NormalHead),
        "no skip": hierarchical(skip=False),
        "no warm-up": hierarchical(warm_up=0.0),
        "free nats": hierarchical(free_nats=2.0),
        "slow top": hierarchical(),
        "no day level": hierarchical(levels=(LEVELS[0], LEVELS[2])),
        "ladder": hierarchical(cls=LadderVAE),
        "ladder, free nats": hierarchical(cls=LadderVAE, free_nats=2.0),
    }


def train(
    build: Callable[[], Any],
    x: Tensor,
    *,
    seed: int,
    steps: int = STEPS,
    rates: dict[str, float] | None = None,
) -> Any:
    """Build a model and train it by the recipe that all share.

    Args:
        build: Makes the model, from the seed.
        x: Windows to train on, ``(N, length, channels)``.
        seed: Of weights, order and noise.
        steps: Batches of 64, up to rounding.
        rates: As for `genfin_lib.training.fit`.
    """
    torch.manual_seed(seed)
    model = build()
    rows = steps * BATCH
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    copies = -(-rows // len(x))
    part = x[order.repeat(copies)[: rows // copies]]
    fit(
        model,
        part,
        seed=seed,
        epochs=copies,
        batch_size=BATCH,
        learning_rate=RATE,
        cosine=True,
        rates=rates,
    )
    return model
