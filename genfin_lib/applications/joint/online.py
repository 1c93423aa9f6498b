"""A flow that goes on learning: one small step for every day that comes."""

import copy
from collections.abc import Iterator
from typing import Self

import numpy as np
import pandas as pd
import torch

from genfin_lib.applications.joint.contract import JointForecaster
from genfin_lib.applications.joint.flows import (
    FlowDistribution,
    FlowJointForecaster,
    Whitened,
    batch_of,
)
from genfin_lib.risk.validation import finite


class OnlineFlow(JointForecaster):
    r"""A flow whose weights move with every day, forecast first and learn afterwards.

    .. math:: \theta_{t+1} = \theta_t - \eta\, \mathrm{Adam}\Bigl(\nabla_\theta \;
        \frac1m \sum_{i=0}^{m-1} -\log p_{\theta_t}(r_{t-i} \mid c_{t-i})\Bigr)

    One day alone is a noisy gradient, hence the last :math:`m`. The step size decides between
    forgetting and following, and belongs to be chosen on earlier years. What was fitted is left as
    it is: the steps since the fit are taken anew for each history. Chapter: portfolios.

    Args:
        forecaster: What is fitted at refits.
        learning_rate: :math:`\eta`; 0 leaves the weights as fitted.
        memory: :math:`m`, days in each step.
        clip_norm: Largest Euclidean norm of the gradient.

    Raises:
        ValueError: a learning rate below zero, or a memory below one; otherwise as the forecaster.
    """

    def __init__(
        self,
        forecaster: FlowJointForecaster,
        *,
        learning_rate: float,
        memory: int = 60,
        clip_norm: float = 5.0,
    ) -> None:
        if not learning_rate >= 0 or memory < 1:
            raise ValueError(
                f"learning_rate {learning_rate}, memory {memory}: a rate of 0 or more and a memory "
                "of 1 or more are needed."
            )
        self.forecaster = forecaster
        self.learning_rate, self.memory, self.clip_norm = learning_rate, memory, clip_norm
        self.fitted_until: pd.Timestamp | None = None

    def fit(self, history: pd.DataFrame) -> Self:
        self.forecaster.fit(history)
        self.fitted_until = history.index[-1]
        return self

    def laws(self, history: pd.DataFrame, days: int) -> Iterator[FlowDistribution]:
        for law in self._moving(history, days):
            # A copy: the law of a day must not move with the days after it.
            yield FlowDistribution(copy.deepcopy(law.flow), law.root, law.given)

    def log_scores(self, history: pd.DataFrame, days: int) -> np.ndarray:
        rows = finite(history, "returns")[-days:]
        laws = self._moving(history, days)
        return np.concatenate([law.log_prob(row) for row, law in zip(rows, laws, strict=True)])

    def _moving(self, history: pd.DataFrame, days: int) -> Iterator[FlowDistribution]:
        """Laws whose flow is the one that goes on learning: each is right until the next."""
        flow = copy.deepcopy(self.forecaster.fitted())
        rows = self.forecaster.whitened(history)
        optimizer = torch.optim.Adam(flow.parameters(), lr=self.learning_rate)
        offset, last = len(history) - len(rows.y), len(history) - 1
        first = int(history.index.searchsorted(self.fitted_until, side="right"))
        for day in range(min(first, len(history) - days), len(history)):
            i = day - offset
            if day >= len(history) - days:
                yield FlowDistribution(flow, rows.roots[i], rows.context[i])
            if first <= day < last and self.learning_rate:
                part = slice(max(0, i + 1 - self.memory), i + 1)
                recent = Whitened(rows.y[part], rows.context[part], rows.roots[part])
                optimizer.zero_grad(set_to_none=True)
                flow.loss(batch_of(flow, recent)).backward()
                torch.nn.utils.clip_grad_norm_(flow.parameters(), self.clip_norm)
                optimizer.step()
