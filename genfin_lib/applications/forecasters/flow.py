"""A conditional flow as a forecaster: one model for all assets of a panel."""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from genfin_lib import checkpoints
from genfin_lib.applications.features import MEMORY, ContextMap, MarketContext
from genfin_lib.applications.forecasters.return_flow import ReturnFlow
from genfin_lib.applications.joint.marginals import Past
from genfin_lib.flows import Conditional, Flow
from genfin_lib.risk.forecasters.contract import same_series, values
from genfin_lib.risk.predictive import columns, mean_beyond
from genfin_lib.training import fit


class FlowLaw:
    r"""Tomorrow's returns under a flow of one feature: exact, but for a quadrature.

    .. math:: r_s = \sigma_s y_s, \qquad F_s(x) = F_z\bigl(f(x/\sigma_s; c_s)\bigr), \quad
        F_s^{-1}(u) = \sigma_s f^{-1}\bigl(F_z^{-1}(u); c_s\bigr)

    so that VaR is one inversion of a monotone map. Expected shortfall is the mean of the quantiles
    beyond it, by the rule of :class:`genfin_lib.risk.innovations.Parametric`. No draw is needed,
    and none is noisy. Draws of different series are independent: these are marginal laws.

    Args:
        flow: A flow of one feature.
        context: Shape ``(S, C)``; no columns for a flow without context.
        scale: :math:`\sigma`, shape ``(S,)``, in units of the returns.
    """

    def __init__(self, flow: Flow, context: Tensor, scale: np.ndarray) -> None:
        self.flow, self.context, self.scale = flow, context, scale

    def cdf(self, x: ArrayLike) -> np.ndarray:
        standard = columns(x, len(self.scale)) / self.scale
        return self._ask(standard, lambda y, c: self.flow.cdf(y[:, None], c))

    def quantile(self, u: ArrayLike) -> np.ndarray:
        probability = columns(u, len(self.scale))
        return self.scale * self._ask(probability, lambda p, c: self.flow.quantile(p, c)[:, 0])

    def expected_shortfall(self, *, level: float = 0.99) -> np.ndarray:
        return mean_beyond(self.quantile, level=level)

    def log_prob(self, x: ArrayLike) -> np.ndarray:
        standard = columns(x, len(self.scale)) / self.scale
        found = self._ask(standard, lambda y, c: self.flow.log_prob(y[:, None], c))
        return found - np.log(self.scale)

    def sample(self, n: int, *, seed: int) -> np.ndarray:
        series = len(self.scale)
        # Draws and series take turns, so that each row of the context is used n times.
        context = self.context if self.flow.context else None
        draws = self.flow.sample(n if self.flow.context else n * series, context, seed=seed)
        return self.scale * draws.reshape(series, n).numpy().T

    @torch.no_grad()
    def _ask(
        self, at: np.ndarray, function: Callable[[Tensor, Tensor | None], Tensor]
    ) -> np.ndarray:
        flat = torch.tensor(at).reshape(-1)
        rows = len(flat) // len(self.scale)
        context = self.context.repeat(rows, 1) if self.flow.context else None
        return function(flat, context).numpy().reshape(at.shape)


class FlowForecaster:
    r"""One flow for the returns of all assets, told what was known the evening before.

    .. math:: y_{t+1} = r_{t+1} / \sigma_t, \qquad
        p(r_{t+1} \mid \mathcal F_t) = \frac{1}{\sigma_t}\, p_{\text{flow}}\bigl(y_{t+1} \mid
        c_t\bigr)

    :math:`\sigma_t` is an EWMA volatility, so that the flow starts from RiskMetrics and learns
    what is missing: the rest of the volatility, its speed, the market's part in it, skew and
    tails. Rows of all assets are pooled: a law of rare losses is learned from 21 times as many.
    Context is standardized by the rows of the fit and clipped at four standard deviations. There
    is no early stopping: the last dates are the most useful to learn from. Chapter: risk forecasts.

    Args:
        context: What is known each evening; `MarketContext` by default.
        bins: Bins of the spline; ``None`` for none: a scale and a shift alone.
        hidden: Widths of the hidden layers.
        penalty: Weight of the penalty on the spline, see `ReturnFlow`.
        identity: Whether the network is also told which asset it is, as indicators.
        epochs: Passes over the rows; more when these are fewer than 400 steps.
        batch_size: Rows in a step.
        learning_rate: Of the first step; it falls along a half cosine.
        seed: Of initial weights and shuffling.

    Raises:
        ValueError: fewer rows than `LEAST` to fit on or `BURN_IN` to forecast from, a series that
            does not move, NaN, not fitted, or fitted on other series.
    """

    BURN_IN = 250  # rows without a training target: their slow volatilities rest on too little
    LEAST = BURN_IN + 50
    LEAST_STEPS = 400
    CLIP = 4.0

    def __init__(
        self,
        *,
        context: ContextMap | None = None,
        bins: int | None = 8,
        hidden: Sequence[int] = (16, 16),
        penalty: float = 0.3,
        identity: bool = False,
        epochs: int = 5,
        batch_size: int = 512,
        learning_rate: float = 2e-3,
        seed: int = 0,
    ) -> None:
        self.context = MarketContext() if context is None else context
        self.bins, self.hidden, self.penalty, self.identity = bins, tuple(hidden), penalty, identity
        self.epochs, self.batch_size, self.learning_rate = epochs, batch_size, learning_rate
        self.seed = seed
        self.series: list[Hashable] = []
        self.flow: ReturnFlow | None = None
        self.mean = self.deviation = torch.empty(0)

    def fit(self, history: pd.DataFrame) -> Self:
        x = values(history, least=self.LEAST)
        features, scale = self.context(history)
        today = slice(self.BURN_IN - 1, -1)  # each evening but the last has a tomorrow to learn
        rows = _rows(features[today])
        y = torch.from_numpy((x[self.BURN_IN :] / scale[today]).reshape(-1, 1))
        self.series = list(history.columns)
        self.mean = rows.mean(dim=0)
        self.deviation = (rows - self.mean).square().mean(dim=0).sqrt()
        # What never varied says nothing: zero once standardized, and no division by zero.
        self.deviation = torch.where(self.deviation > 1e-12, self.deviation, math.inf)
        self.flow = self._build(features.shape[2])
        context = self._standardized(features[today])
        steps = math.ceil(len(y) / self.batch_size)
        fit(
            self.flow,
            Conditional(y, context) if self.flow.context else y,
            seed=self.seed,
            epochs=max(self.epochs, math.ceil(self.LEAST_STEPS / steps)),
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=0.01,
            cosine=True,
        )
        return self

    def forecast(self, history: pd.DataFrame) -> FlowLaw:
        recent = history.iloc[-MEMORY:]
        values(recent, least=self.BURN_IN)
        return next(self._laws(recent, slice(None), last=1))

    def laws(self, history: pd.DataFrame, days: int) -> Iterator[FlowLaw]:
        """Laws of the last ``days`` rows, each given the rows before it; context computed once."""
        values(history, least=self.BURN_IN + days)
        return self._laws(history, slice(-days - 1, -1))

    def past(self, history: pd.DataFrame) -> Past:
        """Probability and log-density of each past return but the first `BURN_IN`, in one call.

        Parameters are those of the fit: on its rows these are fitted values and no forecasts.
        """
        x = values(history, least=self.BURN_IN + 1)[self.BURN_IN :]
        flow = self._fitted(history)
        features, scale = self.context(history)
        today = slice(self.BURN_IN - 1, -1)
        law = FlowLaw(flow, self._standardized(features[today]), scale[today].reshape(-1))
        u, log_prob = (ask(x.reshape(-1)).reshape(x.shape) for ask in (law.cdf, law.log_prob))
        return Past(u, log_prob)

    def save(self, path: Path) -> None:
        """Write what was fitted; :meth:`load` reads it into a forecaster built in the same way."""
        flow = self._fitted(None)
        state = {"flow": flow.state_dict(), "mean": self.mean, "deviation": self.deviation}
        checkpoints.write(Path(path), state | {"series": self.series})

    def load(self, path: Path) -> Self:
        """Take up what :meth:`save` wrote.

        Raises:
            ValueError: no such file, a damaged one, or one of a forecaster built otherwise.
        """
        state = checkpoints.read(Path(path))
        self.series, self.mean, self.deviation = (
            state[name] for name in ("series", "mean", "deviation")
        )
        flow = self._build(len(self.mean))
        try:
            flow.load_state_dict(state["flow"])
        except RuntimeError as error:
            raise ValueError(
                f"{path} is of a forecaster with other layers: build this one as that was built."
            ) from error
        self.flow = flow.eval()
        return self

    def _build(self, features: int) -> ReturnFlow:
        inputs = features + (len(self.series) if self.identity else 0)
        # Double precision, whatever the default: the network is small, and any processor gives the
        # same figures.
        default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            return ReturnFlow(
                inputs, hidden=self.hidden, bins=self.bins, penalty=self.penalty, seed=self.seed
            )
        finally:
            torch.set_default_dtype(default)

    def _standardized(self, features: np.ndarray) -> Tensor:
        """Context of the flow, a row for each day and asset: ``(n * S, C)``."""
        rows = ((_rows(features) - self.mean) / self.deviation).clamp(-self.CLIP, self.CLIP)
        if not self.identity:
            return rows
        who = torch.eye(len(self.series), dtype=rows.dtype).repeat(len(features), 1)
        return torch.cat((rows, who), dim=1)

    def _laws(
        self, history: pd.DataFrame, evenings: slice, *, last: int | None = None
    ) -> Iterator[FlowLaw]:
        flow = self._fitted(history)
        features, scale = self.context(history, last=last)
        context = self._standardized(features[evenings]).split(len(self.series))
        return map(FlowLaw, [flow] * len(context), context, scale[evenings])

    def _fitted(self, history: pd.DataFrame | None) -> ReturnFlow:
        asked = pd.DataFrame(columns=self.series) if history is None else history
        same_series(self.series, asked)
        assert self.flow is not None  # series are set together with it
        return self.flow


def _rows(features: np.ndarray) -> Tensor:
    days, assets, columns = features.shape
    return torch.from_numpy(np.ascontiguousarray(features).reshape(days * assets, columns))
