"""Seeds for what draws from the global generator of torch."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def fixed_seed(seed: int | None) -> Iterator[None]:
    """Run a block from its own random state, and leave the caller's state as it was.

    ``torch.distributions`` draws from the global generator and accepts no other; this is how a
    function of this library takes a seed all the same.

    Args:
        seed: Seed of the block. ``None`` keeps the global generator, which then moves on.
    """
    if seed is None:
        yield
        return
    # Only a device in use: asking for the state of the others would start them.
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
