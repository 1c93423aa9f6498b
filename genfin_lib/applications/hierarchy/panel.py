"""Windows of many stocks, one ending each day, and the portfolio of equal parts."""

import pandas as pd
import torch
from torch import Tensor

from genfin_lib.data import log_returns, windows


class StockPanel:
    r"""Windows of a panel in units of its past, and what an equal portfolio makes of them.

    Args:
        prices: Daily prices, one column a stock.
        length: Days of a window.
        last_trained: Last year whose mean and deviation count, and whose windows are trained on.

    Attributes:
        returns: Daily log returns, decimals.
        windows: ``(N, length, stocks)``, standardised; one ends each day.
        ends: Last day of each window, ``(N,)``.
        trained: How many windows end in or before ``last_trained``: the first so many.

    Raises:
        ValueError: If no window ends in or before ``last_trained``.
    """

    def __init__(
        self, prices: pd.DataFrame, *, length: int = 32, last_trained: str = "2010"
    ) -> None:
        self.returns = log_returns(prices)
        past = self.returns[:last_trained]
        if len(past) < length:
            raise ValueError(
                f"{len(past)} days up to {last_trained}: a window of {length} does not fit; "
                "choose a later last_trained"
            )
        mean, std = past.mean(), past.std()
        self._mean, self._std = (torch.tensor(v.to_numpy()).float() for v in (mean, std))
        self.scaled = (self.returns - mean) / std
        self.windows = torch.tensor(windows(self.scaled, length).copy()).float()
        self.ends = self.returns.index[length - 1 :]
        self.trained = len(past) - length + 1

    def portfolio(self, x: Tensor) -> Tensor:
        r"""Daily log returns of equal parts, rebalanced daily, per cent.

        .. math:: y_t = 100 \log \Bigl(\frac1C \sum_c e^{\sigma_c x_{tc} + \mu_c}\Bigr)

        Args:
            x: Standardised returns, the last axis that of stocks.
        """
        return 100 * torch.expm1(x * self._std + self._mean).mean(-1).log1p()

    def window_to(self, date: str) -> Tensor:
        """The window that ends on the first trading day from ``date`` on, ``(1, length, stocks)``.

        Args:
            date: As pandas reads it.

        Raises:
            ValueError: If no window ends on or after it.
        """
        row = self.ends.searchsorted(pd.Timestamp(date))
        if row == len(self.ends):
            raise ValueError(f"no window ends on or after {date}; the last ends {self.ends[-1]}")
        return self.windows[[row]]
