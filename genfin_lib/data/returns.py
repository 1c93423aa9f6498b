"""Prices to returns, and returns of assets to the return of a portfolio."""

from typing import TypeVar

import numpy as np
import pandas as pd

from genfin_lib.data.validation import matrix, refuse, require_dates_in_order

Prices = TypeVar("Prices", pd.DataFrame, pd.Series)


def log_returns(prices: Prices) -> Prices:
    r"""Logarithmic returns, the ones that add up over time.

    .. math:: r_t = \log P_t - \log P_{t-1}

    Chapters model these: a return over a week is the sum of its days, and no real
    value of :math:`r` asks for a negative price.

    Args:
        prices: `(T,)` or `(T, assets)`, positive, in time order.

    Returns:
        `(T - 1, ...)` decimals, not per cent; the first date is lost.

    Raises:
        ValueError: fewer than two rows, dates unsorted or twice, or a price that is
            NaN or not positive.
    """
    _check(prices)
    return np.log(prices).diff().iloc[1:]


def simple_returns(prices: Prices) -> Prices:
    r"""Simple returns, the ones that add up over a portfolio.

    .. math:: R_t = P_t / P_{t-1} - 1 = e^{r_t} - 1

    Args:
        prices: `(T,)` or `(T, assets)`, positive, in time order.

    Returns:
        `(T - 1, ...)` decimals, not per cent; the first date is lost.

    Raises:
        ValueError: as for `log_returns`.
    """
    _check(prices)
    return (prices / prices.shift(1) - 1.0).iloc[1:]


def portfolio_returns(
    log_returns: pd.DataFrame | np.ndarray, weights: pd.Series | np.ndarray
) -> pd.Series | np.ndarray:
    r"""Simple return of a portfolio from the log returns of its assets.

    .. math:: R_t = \sum_j w_j \left(e^{r_{tj}} - 1\right)

    Wealth adds up across assets, logarithms do not: :math:`\sum_j w_j r_{tj}` is too
    low for a long-only portfolio, by Jensen's inequality, and most on days when the
    assets part company.

    Args:
        log_returns: `(T, assets)`, or samples `(..., assets)`; decimals.
        weights: `(assets,)`, fractions of wealth at the start of each row. What they
            lack to one lies in cash without interest; short positions are negative.
            A series is matched to the columns by name.

    Returns:
        Simple returns, decimals: a series for a frame, otherwise `(...)`. The log
        return is `np.log1p` of it.

    Raises:
        ValueError: weights that do not fit the assets, or NaN anywhere.
    """
    x = matrix(log_returns, what="log_returns")
    if isinstance(weights, pd.Series) and isinstance(log_returns, pd.DataFrame):
        if set(weights.index) != set(log_returns.columns):
            missing = sorted(set(log_returns.columns) ^ set(weights.index), key=str)
            raise ValueError(f"weights and columns of log_returns differ in {missing}.")
        weights = weights.reindex(log_returns.columns)
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != x.shape[-1:]:
        raise ValueError(
            f"weights of shape {w.shape} given for {x.shape[-1]} assets: one weight per asset."
        )
    refuse(~np.isfinite(w), weights, what="weights", problem="NaN or infinite")
    simple = np.expm1(x) @ w  # (..., assets) @ (assets,) -> (...)
    if isinstance(log_returns, pd.DataFrame):
        return pd.Series(simple, index=log_returns.index, name="portfolio")
    return simple


def _check(prices: pd.DataFrame | pd.Series) -> None:
    if not isinstance(prices, pd.DataFrame | pd.Series) or len(prices) < 2:
        raise ValueError(
            f"prices: given {type(prices).__name__} of length {np.size(prices)}, but a DataFrame "
            "or Series with at least two dates is needed."
        )
    require_dates_in_order(prices, what="prices")
    refuse(~(matrix(prices, what="prices") > 0), prices, what="prices", problem="not positive")
