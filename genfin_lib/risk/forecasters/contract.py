"""The one interface of everything that forecasts returns."""

from collections.abc import Iterable
from typing import Protocol, Self

import numpy as np
import pandas as pd

from genfin_lib.risk.predictive import PredictiveDistribution
from genfin_lib.risk.validation import finite


class Forecaster(Protocol):
    """Learns from the past, then says what tomorrow may bring, day after day.

    ``fit`` estimates what is costly: parameters. ``forecast`` leaves these as they are and brings
    what is cheap, a volatility filter or a window, up to the last row that it is given. Both see a
    wide frame of returns, one row a day and one column a series, *up to and including today*;
    the forecast is for the row after the last one.
    """

    def fit(self, history: pd.DataFrame) -> Self:
        """Estimate parameters from the rows given; return itself."""

    def forecast(self, history: pd.DataFrame) -> PredictiveDistribution:
        """Law of the row that follows ``history``, parameters as fitted."""


def values(history: pd.DataFrame, *, least: int) -> np.ndarray:
    """The history as an array, if a model can be estimated from it.

    Args:
        history: Returns, one column for each series.
        least: Fewest rows that the model can do with.

    Raises:
        ValueError: NaN or inf, fewer rows, or a column that never moves.
    """
    array = finite(history, "returns")
    if array.ndim != 2:
        raise ValueError("history is one series: give a frame with it as a column, to_frame().")
    if len(array) < least:
        raise ValueError(
            f"{len(array)} rows of history and at least {least} are needed: start later or give a "
            "longer window."
        )
    constant = np.ptp(array, axis=0) == 0
    if constant.any():
        raise ValueError(
            f"{list(np.asarray(history.columns)[constant])} never move in these {len(array)} rows: "
            "a constant series has no volatility; drop it or give a longer window."
        )
    return array


def same_series(fitted: Iterable, history: pd.DataFrame) -> None:
    """Refuse a history of other series than those that the parameters belong to.

    Raises:
        ValueError: nothing fitted yet, other columns, or in another order.
    """
    names, asked = list(fitted), list(history.columns)
    if not names:
        raise ValueError("the model has no parameters yet: call fit(history) first.")
    if names != asked:
        raise ValueError(
            f"fitted on {names}, asked about {asked}: give the same series in the same order."
        )
