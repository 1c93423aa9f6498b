"""Scalers whose numbers come from the training part alone."""

from typing import Self, TypeVar

import numpy as np
import pandas as pd

from genfin_lib.data.validation import matrix

Data = TypeVar("Data", pd.DataFrame, pd.Series, np.ndarray)


class _ColumnScaler:
    """Remembers the columns it was fitted on and refuses others."""

    def __init__(self) -> None:
        self._columns: list[object] | None = None
        self._width: int | None = None

    def _fit_values(self, data: Data) -> np.ndarray:
        values = matrix(data, what="training data")
        if values.ndim != 2 or len(values) < 2:
            raise ValueError(
                f"training data of shape {values.shape}: (rows, columns) with at least two rows "
                "is needed; write x[:, None] for a single column."
            )
        constant = np.ptp(values, axis=0) == 0
        if constant.any():
            j = int(constant.argmax())
            name = data.columns[j] if isinstance(data, pd.DataFrame) else j
            raise ValueError(f"training column {name!r} is constant at {values[0, j]}: drop it.")
        self._columns = list(data.columns) if isinstance(data, pd.DataFrame) else None
        self._width = values.shape[1]
        return values

    def _values(self, data: Data) -> np.ndarray:
        if self._width is None:
            raise ValueError(f"{type(self).__name__} is not fitted: call fit(training_part) first.")
        values = matrix(data)
        if values.ndim < 2 or values.shape[-1] != self._width:
            raise ValueError(f"data of shape {values.shape}, but fitted on {self._width} columns.")
        if isinstance(data, pd.DataFrame) and self._columns not in (None, list(data.columns)):
            raise ValueError(f"columns {list(data.columns)}, but fitted on {self._columns}.")
        return values


class Standardizer(_ColumnScaler):
    r"""Column-wise standardisation, with the term that a density needs.

    .. math:: z_j = (x_j - \mu_j) / \sigma_j, \qquad
        \log p_X(x) = \log p_Z(z) - \sum_j \log \sigma_j

    Mean and standard deviation (the root of the mean square, divisor `n`) come from the
    rows given to `fit`: the training part and nothing later. Forgetting the sum leaves
    densities, VaR and ES in units of sigma instead of returns.

    Attributes:
        mean: `(D,)`, in data units.
        scale: `(D,)`, positive, in data units.
    """

    mean: np.ndarray
    scale: np.ndarray

    def fit(self, train: Data) -> Self:
        """Take mean and scale from the training part.

        Args:
            train: `(T, D)` frame or array, or `(T,)` series.

        Returns:
            The scaler itself.

        Raises:
            ValueError: NaN, fewer than two rows, or a constant column.
        """
        values = self._fit_values(train)
        self.mean, self.scale = values.mean(axis=0), values.std(axis=0)
        return self

    def transform(self, data: Data) -> Data:
        """Data units to standard units.

        Args:
            data: Frame, series or `(..., D)` array, so also windows `(N, L, D)`.

        Returns:
            The same type, shape and labels.

        Raises:
            ValueError: not fitted, other columns, or NaN.
        """
        values = self._values(data)
        return _like(data, (values - self.mean) / self.scale)

    def inverse(self, data: Data) -> Data:
        """Standard units to data units: what samples of a model need before any risk figure.

        Args:
            data: Frame, series or `(..., D)` array.

        Returns:
            The same type, shape and labels.

        Raises:
            ValueError: not fitted, other columns, or NaN.
        """
        values = self._values(data)
        return _like(data, values * self.scale + self.mean)

    @property
    def log_abs_det(self) -> float:
        r"""Of `transform`, per row: :math:`-\sum_j \log \sigma_j`. Add it to log p(z)."""
        if self._width is None:
            raise ValueError("Standardizer is not fitted: call fit(training_part) first.")
        return -float(np.log(self.scale).sum())


class Winsorizer(_ColumnScaler):
    r"""Clips each column to quantiles of its training part.

    .. math:: y_j = \min(\max(x_j, q_j(u)), q_j(v))

    For *inputs* of a network only (context features, conditioning variables). Never
    clip the returns whose density is modelled: a model of clipped data gives a loss
    beyond the limit the probability zero, so tails, VaR and ES are wrong by
    construction. It has no inverse and no density.

    Attributes:
        lower_limit: `(D,)`, in data units.
        upper_limit: `(D,)`, in data units.
    """

    lower_limit: np.ndarray
    upper_limit: np.ndarray

    def __init__(self, lower: float = 0.005, upper: float = 0.995) -> None:
        """Choose the quantiles; the limits themselves come from `fit`.

        Args:
            lower: Probability u of the lower limit.
            upper: Probability v of the upper limit.

        Raises:
            ValueError: unless 0 <= lower < upper <= 1.
        """
        super().__init__()
        if not 0.0 <= lower < upper <= 1.0:
            raise ValueError(f"lower {lower}, upper {upper}: 0 <= lower < upper <= 1 is needed.")
        self.lower, self.upper = lower, upper

    def fit(self, train: Data) -> Self:
        """Take the limits from the training part.

        Args:
            train: `(T, D)` frame or array, or `(T,)` series.

        Returns:
            The winsoriser itself.

        Raises:
            ValueError: NaN, fewer than two rows, or a constant column.
        """
        values = self._fit_values(train)
        self.lower_limit, self.upper_limit = np.quantile(values, [self.lower, self.upper], axis=0)
        return self

    def transform(self, data: Data) -> Data:
        """Clip to the limits.

        Args:
            data: Frame, series or `(..., D)` array.

        Returns:
            The same type, shape and labels.

        Raises:
            ValueError: not fitted, other columns, or NaN.
        """
        values = self._values(data)
        return _like(data, np.clip(values, self.lower_limit, self.upper_limit))


def _like(data: Data, values: np.ndarray) -> Data:
    """`values` with the type and labels of `data`."""
    if isinstance(data, pd.DataFrame):
        return pd.DataFrame(values, index=data.index, columns=data.columns)
    if isinstance(data, pd.Series):
        return pd.Series(values[:, 0], index=data.index, name=data.name)
    return values
