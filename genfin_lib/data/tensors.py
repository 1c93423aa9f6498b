"""The only bridge from pandas and NumPy to PyTorch."""

import numpy as np
import pandas as pd
import torch

from genfin_lib.data.validation import matrix, refuse


def to_tensor(
    data: pd.DataFrame | pd.Series | np.ndarray, *, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """A copy of the values as a tensor, finite in every cell.

    A copy, because pandas 3 hands out read-only arrays and a tensor that shares memory
    with a frame lets training change the data.

    Args:
        data: `(rows,)`, `(rows, columns)`, or windows `(N, L, D)`.
        dtype: A floating type; torch's default type if `None`.

    Returns:
        Contiguous tensor on the CPU; one dimension becomes `(rows, 1)`.

    Raises:
        ValueError: empty, NaN or infinite (the first column and date are named), too
            large for `dtype`, or a `dtype` that is not floating.
    """
    dtype = torch.get_default_dtype() if dtype is None else dtype
    if not dtype.is_floating_point:
        raise ValueError(f"dtype {dtype}: a floating type such as torch.float32 is needed.")
    values = matrix(data)
    if values.ndim == 1:
        values = values[:, None]  # (N,) -> (N, 1)
    too_large = np.abs(values) > torch.finfo(dtype).max
    refuse(too_large, data, what="data", problem=f"too large for {dtype}")
    return torch.tensor(np.ascontiguousarray(values), dtype=dtype)
