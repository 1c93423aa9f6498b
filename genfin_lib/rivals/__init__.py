"""Rivals of the book's models: a generative adversarial network and a diffusion model, both small.

The book teaches neither, but no comparison is honest without them. Both take rows ``(N, D)`` or
windows ``(N, channels, length)`` and draw more of them by ``sample(n, seed=...)``.
"""

from genfin_lib.rivals.contract import Rival, light_tails
from genfin_lib.rivals.diffusion import Diffusion, ScoreMatching
from genfin_lib.rivals.gan import AdversarialHistory, WassersteinGAN, fit_adversarial
from genfin_lib.rivals.networks import (
    StepEmbedding,
    TemporalConvNet,
    VectorDenoiser,
    WindowDenoiser,
)

__all__ = [
    "AdversarialHistory",
    "Diffusion",
    "Rival",
    "ScoreMatching",
    "StepEmbedding",
    "TemporalConvNet",
    "VectorDenoiser",
    "WassersteinGAN",
    "WindowDenoiser",
    "fit_adversarial",
    "light_tails",
]
