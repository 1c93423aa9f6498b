"""Windows of daily bars in coordinates in which every number is a possible bar."""

from typing import Self

import numpy as np

from genfin_lib.data.validation import matrix, refuse


class BarCoordinates:
    r"""Open, high, low, close, volume to five coordinates without constraints, and back.

    .. math::
        g_t &= \log(O_t / C_{t-1}), \quad b_t = \log(C_t / O_t), \quad v_t = \log V_t, \\
        u_t &= \sqrt{\log(H_t / \max(O_t, C_t))}, \\
        d_t &= \sqrt{\log(\min(O_t, C_t) / L_t)}

    and :math:`g_0 = \log O_0`, which carries the level of the window; then each coordinate of each
    day is standardised by mean and standard deviation over the windows fitted. Prices obey
    :math:`L \le O, C \le H`, and a model with noise in prices breaks that on many days. Here *any*
    real numbers are a bar: shadows come back as squares, the rest as exponentials. Gap and body are
    also nearly independent given volatility, as a decoder takes them to be; close-to-close return
    and body, which share the body, are not. The root makes the law of a shadow, which piles up at
    zero, a mild one. Chapter: TimeVAE.

    Attributes:
        mean: ``(T, 5)``, of the coordinates.
        scale: ``(T, 5)``, positive.
    """

    mean: np.ndarray
    scale: np.ndarray

    def fit(self, bars: np.ndarray) -> Self:
        """Take means and scales from windows of bars.

        Args:
            bars: ``(N, T, 5)``: open, high, low, close, volume; the training part.

        Raises:
            ValueError: As for `transform`; or fewer than two windows, or a coordinate that is the
                same in all of them.
        """
        raw = self._raw(bars)
        self.mean, self.scale = raw.mean(axis=0), raw.std(axis=0)
        if len(raw) < 2 or not (self.scale > 0).all():
            raise ValueError(
                f"bars: in {len(raw)} windows a coordinate never varies: two windows or more, that "
                "differ in every day's open, high, low, close and volume, are needed."
            )
        return self

    def transform(self, bars: np.ndarray) -> np.ndarray:
        """Bars to standardised coordinates, both ``(N, T, 5)``.

        Raises:
            ValueError: Another shape; NaN; a price or volume that is not positive; a high below, or
                a low above, the open or close; or `fit` was not called.
        """
        raw = self._raw(bars)
        mean, scale = self._fitted(raw)
        return (raw - mean) / scale

    def inverse(self, coordinates: np.ndarray) -> np.ndarray:
        """Coordinates to bars, both ``(N, T, 5)``; any finite numbers will do.

        Raises:
            ValueError: Another shape, NaN, or `fit` was not called.
        """
        z = _windows(coordinates, what="coordinates")
        mean, scale = self._fitted(z)
        gap, body, up, down, volume = np.moveaxis(z * scale + mean, -1, 0)
        close = np.cumsum(gap + body, axis=1)  # logarithms, as the next three
        opened = close - body
        high = np.maximum(opened, close) + up**2
        low = np.minimum(opened, close) - down**2
        return np.exp(np.stack((opened, high, low, close, volume), axis=-1))

    @staticmethod
    def _raw(bars: np.ndarray) -> np.ndarray:
        bars = _windows(bars, what="bars")
        refuse(~(bars > 0), bars, what="bars", problem="not positive")
        opened, high, low, close, volume = np.moveaxis(np.log(bars), -1, 0)
        up, down = high - np.maximum(opened, close), np.minimum(opened, close) - low
        refuse(up < 0, bars, what="bars", problem="high below open or close")
        refuse(down < 0, bars, what="bars", problem="low above open or close")
        gap = np.concatenate((opened[:, :1], opened[:, 1:] - close[:, :-1]), axis=1)
        return np.stack((gap, close - opened, np.sqrt(up), np.sqrt(down), volume), axis=-1)

    def _fitted(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not hasattr(self, "mean"):
            raise ValueError("BarCoordinates is not fitted: call fit(training_windows) first.")
        if windows.shape[1:] != self.mean.shape:
            raise ValueError(f"shape {windows.shape}, but fitted on windows {self.mean.shape}.")
        return self.mean, self.scale


def _windows(values: np.ndarray, *, what: str) -> np.ndarray:
    values = matrix(values, what=what)
    if values.ndim != 3 or values.shape[2] != 5:
        raise ValueError(
            f"{what} of shape {values.shape}: (windows, days, 5) is needed, that is open, high, "
            "low, close and volume; drop an adjusted close."
        )
    return values
