"""Panels: days of many series, with gaps, and what was known the evening before."""

from typing import NamedTuple

import torch
from torch import Tensor


class Panel(NamedTuple):
    """Stretches of days of many series, and what was known the evening before each day.

    Attributes:
        x: What was seen, ``(N, T, D)``, zero where nothing was.
        seen: One where a number was seen, else zero, ``(N, T, D)``.
        context: Numbers that all series share, known before the day, ``(N, T, C)``.
        own: Numbers of each series, known before the day, ``(N, T, D, A)``.
        loadings: Slow loadings, known before the day, ``(N, T, D, M)``.
    """

    x: Tensor
    seen: Tensor
    context: Tensor
    own: Tensor
    loadings: Tensor

    @staticmethod
    def of(
        x: Tensor,
        *,
        context: Tensor | None = None,
        own: Tensor | None = None,
        loadings: Tensor | None = None,
    ) -> "Panel":
        """A panel from a tensor in which NaN means not seen: a gap, or a history yet to begin.

        Raises:
            ValueError: If ``x`` is not ``(N, T, D)``, or what is known is not of its length.
        """
        if x.ndim != 3:
            raise ValueError(
                f"x has shape {tuple(x.shape)}: (stretches, days, series) are needed; write x[None]"
            )
        for name, known in (("context", context), ("own", own), ("loadings", loadings)):
            if known is not None and (
                known.shape[:2] != x.shape[:2] or not torch.isfinite(known).all()
            ):
                raise ValueError(
                    f"{name} has shape {tuple(known.shape)}: a finite number for each stretch and "
                    f"day of x, {tuple(x.shape[:2])}, is needed"
                )
        return Panel(
            torch.nan_to_num(x),
            torch.isfinite(x).to(x.dtype),
            x.new_empty(*x.shape[:2], 0) if context is None else context,
            x.new_empty(*x.shape, 0) if own is None else own,
            x.new_empty(*x.shape, 0) if loadings is None else loadings,
        )

    def days(self, first: int | None, last: int | None) -> "Panel":
        """Some of the days of every stretch."""
        return Panel._make(part[:, first:last] for part in self)

    def windows(self, length: int) -> "Panel":
        """The whole windows of ``length`` days that end with the last day, one below the other."""
        count = self.x.shape[1] // length
        if count < 1:
            raise ValueError(f"{self.x.shape[1]} days hold no window of {length}")
        parts = (part[:, part.shape[1] - count * length :] for part in self)
        return Panel._make(
            part.unflatten(1, (count, length)).flatten(0, 1).contiguous() for part in parts
        )
