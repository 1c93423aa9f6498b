"""What a training loop needs to know of its model and of its data: rows, checks, batches."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

Batch = Tensor | tuple[Tensor, ...]


class Model(Protocol):
    """What training needs of a model: any :class:`torch.nn.Module` that has a ``loss``."""

    training: bool

    def loss(self, batch: Any, *, progress: float) -> Tensor:
        """Mean loss of a batch, a scalar."""

    def parameters(self) -> Iterator[nn.Parameter]: ...
    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> object: ...
    def train(self, mode: bool = True) -> object: ...
    def eval(self) -> object: ...


def _tensors(data: Batch) -> tuple[Tensor, ...]:
    return (data,) if isinstance(data, Tensor) else tuple(data)


def device_of(model: Model) -> torch.device:
    """Where the model's parameters are."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def groups(model: Model, factors: Mapping[str, float], rate: float) -> list[dict[str, Any]]:
    """Parameters for an optimiser, by factor of the learning rate; those of factor one first.

    Args:
        model: Whose parameters.
        factors: By beginning of the parameter's name; the first that fits counts.
        rate: Learning rate.

    Raises:
        ValueError: If a factor is not positive, or no parameter's name begins as said.
    """
    found: dict[str, list[nn.Parameter]] = {start: [] for start in ("", *factors)}
    for name, parameter in model.named_parameters():
        found[next((start for start in factors if name.startswith(start)), "")].append(parameter)
    for start, factor in factors.items():
        if not (factor > 0 and found[start]):
            raise ValueError(
                f"rates[{start!r}] = {factor}: a positive factor is needed, and parameters whose "
                "names begin so"
            )
    by_factor = ((factors.get(start, 1.0), parameters) for start, parameters in found.items())
    return [{"params": part, "factor": f, "lr": f * rate} for f, part in by_factor]


def row_count(data: Batch) -> int:
    """Number of examples."""
    return _tensors(data)[0].shape[0]


def check(data: Batch, name: str) -> None:
    """Refuse what could only train on nothing or on NaN.

    Raises:
        ValueError: If the data are empty, of unequal length, not tensors, or hold NaN or inf.
    """
    tensors = _tensors(data) if isinstance(data, Tensor | tuple) else (data,)
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise ValueError(
                f"{name} must be a tensor or a tuple of tensors, got {type(tensor).__name__}; "
                "convert with genfin_lib.data.to_tensor"
            )
    lengths = [tensor.shape[0] if tensor.ndim else 0 for tensor in tensors]
    if not lengths or min(lengths) == 0 or len(set(lengths)) > 1:
        raise ValueError(f"{name} needs tensors of one common length above 0, got {lengths}")
    for tensor in tensors:
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"{name} holds NaN or inf; drop or fill those rows first")


def digest(data: Batch) -> str:
    """SHA-256 of types, shapes and values: tells whether a run is resumed on the same data."""
    sha = hashlib.sha256()
    for tensor in _tensors(data):
        sha.update(str((tensor.dtype, tuple(tensor.shape))).encode())
        sha.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def iterate(
    data: Batch, batch_size: int, *, order: Tensor | None = None, device: torch.device
) -> Iterator[tuple[Batch, int]]:
    """Cut into batches whose sizes differ by one at most: no short last batch."""
    rows = row_count(data)
    order = torch.arange(rows) if order is None else order
    for index in order.tensor_split(math.ceil(rows / batch_size)):
        if isinstance(data, Tensor):
            yield data[index].to(device), index.numel()
        else:
            parts = (tensor[index].to(device) for tensor in data)
            # A named tuple has _make; a plain tuple is made from an iterable as it is.
            yield getattr(type(data), "_make", tuple)(parts), index.numel()
