"""Scenarios of many days: a flow walked forward on its own draws."""

import numpy as np
import pandas as pd
import torch

from genfin_lib.applications.joint.flows import FlowDistribution, FlowJointForecaster, State
from genfin_lib.distributions import fixed_seed


@torch.no_grad()
def simulate_paths(
    model: FlowJointForecaster,
    history: pd.DataFrame,
    *,
    steps: int,
    paths: int,
    seed: int,
    bounded: bool = True,
) -> np.ndarray:
    r"""Draw days, and let each move the volatility and the context of the next.

    .. math:: r_{t+1} = \operatorname{diag}(\sigma_t)\, L\, y_{t+1}, \quad
        y_{t+1} \sim \text{flow}(\cdot \mid c_t), \qquad
        (\sigma_{t+1}, c_{t+1}) = \text{filter}(\sigma_t, c_t, r_{t+1})

    The state at the end of the history is the condition: end it on a calm evening or in a storm.
    Correlations stand still over a path. An exponentially weighted volatility returns to no mean,
    and a network extrapolates: left alone, a path can explode within a year. So the state is held
    between the extremes of the days of the fit, or its start if that lies beyond. Chapter:
    scenarios and stress.

    Args:
        model: Fitted forecaster.
        history: Returns up to the evening that the paths start from, of the columns fitted.
        steps: Days of each path.
        paths: Number of paths.
        seed: Of the draws.
        bounded: Whether the state is held.

    Returns:
        Returns in units of the history, ``(paths, steps, S)``.

    Raises:
        ValueError: fewer than one step or path, or as the forecaster.
    """
    if steps < 1 or paths < 1:
        raise ValueError(f"steps {steps}, paths {paths}: at least one of each is needed.")
    flow, start = model.fitted(), model.state(history)
    law = model.forecast(history)
    assert isinstance(law, FlowDistribution)
    correlation = law.root / np.sqrt(start.variance)[:, None]
    state = State(*(np.repeat(part[None], paths, axis=0) for part in start))
    limits = [
        (np.minimum(low, part), np.maximum(high, part))
        for low, high, part in zip(model.lowest, model.highest, start, strict=True)
    ]
    days = []
    with fixed_seed(seed):
        for _ in range(steps):
            context = model.context(state)
            given = flow.like.new_tensor(context) if context.shape[1] else None
            y = flow.sample(1 if context.shape[1] else paths, given).reshape(paths, -1)
            days.append(np.sqrt(state.variance) * (y.double().numpy() @ correlation.T))
            state = model.update(state, days[-1])
            if bounded:
                state = State(
                    *(np.clip(part, *edges) for part, edges in zip(state, limits, strict=True))
                )
    return np.stack(days, axis=1)
