"""What Glow says of the market each evening, fitted anew each year on what was known then."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed

from genfin_lib.applications.gaussian_regimes import GaussianRegimes
from genfin_lib.applications.market_states.densities import GAP, state_glow, train
from genfin_lib.data import Standardizer, market_state_features, to_tensor
from genfin_lib.data.features import checked_bars
from genfin_lib.distributions import StudentT
from genfin_lib.flows import Conditional, Glow
from genfin_lib.risk import expected_shortfall, value_at_risk
from genfin_lib.training import fit

VALIDATION = 0.2  # last part of the past: stops the training, calibrates threshold and penalty
ALARM = 0.05
LEVELS = (0.99, 0.975, 0.95)
TEMPERATURES = (0.8, 1.0, 1.25)


@dataclass(frozen=True, eq=False)
class Evenings:
    """Result of `walk_states`; every row is known at the close of its date.

    Attributes:
        table: One row an evening. ``log_prob`` of the state; ``threshold``, its `ALARM` quantile on
            the validation days before; ``confidence``, the share of those days with a lower one;
            ``latent``, the first latent coordinate; ``mean``, the forecast of the next simple
            return; ``wild``, the filtered probability of the wilder of two regimes;
            ``next_return``, what came, simple: for judging only.
        forecasts: Scenario VaR and ES of the next percent log return, in the long form of
            `genfin_lib.risk.walk_forward`, a model for each temperature; ``date`` is the day
            forecast.
    """

    table: pd.DataFrame
    forecasts: pd.DataFrame


def walk_states(
    bars: pd.DataFrame,
    *,
    first: int,
    last: int | None = None,
    draws: int = 1000,
    seed: int = 0,
    epochs: int = 40,
    n_jobs: int = 1,
) -> Evenings:
    """Fit on all that is known before each year, and speak each evening of it.

    Before year :math:`y` three models are fitted to its past: a Glow of states, a ridge regression
    of the next return on the state, and a conditional Glow of the next day's return and range. The
    last `VALIDATION` of the past, a purge of `GAP` bars after the training part, stops the training
    and sets threshold and penalty. The label of the past's last bar, a return of the new year, is
    left out.

    Args:
        bars: As for `market_state_features`.
        first: First year of evenings.
        last: Last year; that of the last bar if ``None``.
        draws: Scenarios for each evening and temperature.
        seed: Of weights, shuffling and scenarios.
        epochs: Largest number of passes of each training.
        n_jobs: Processes, one for each year.

    Raises:
        ValueError: as for `market_state_features`, or a past of fewer than 500 states.
    """
    states = market_state_features(bars)
    close = checked_bars(bars)["close"]
    tomorrow = pd.DataFrame(
        {
            "return": np.log(close).diff().shift(-1),
            "range": states["log_range"].reindex(close.index).shift(-1),
            "date": pd.Series(close.index, close.index).shift(-1),
        }
    ).reindex(states.index)
    years = range(first, 1 + (states.index[-1].year if last is None else last))
    parts = Parallel(n_jobs=n_jobs)(
        delayed(_year)(
            states[: f"{year}"], tomorrow[: f"{year}"], year, draws=draws, seed=seed, epochs=epochs
        )
        for year in years
    )
    tables, forecasts = zip(*parts, strict=True)
    return Evenings(pd.concat(tables), pd.concat(forecasts, ignore_index=True))


def _year(
    states: pd.DataFrame, tomorrow: pd.DataFrame, year: int, *, draws: int, seed: int, epochs: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    torch.set_num_threads(1)
    begin = int((states.index.year < year).sum())
    if begin < 500:
        raise ValueError(f"{begin} states before {year}: 500 or more are needed, start later")
    cut = round((1 - VALIDATION) * begin)
    past = slice(0, cut), slice(cut + GAP, begin - 1)
    scaler = Standardizer().fit(states.iloc[past[0]])
    x = to_tensor(scaler.transform(states))
    model = train(state_glow(x.shape[1], seed=seed), [x[p] for p in past], seed=seed, epochs=epochs)
    with torch.no_grad():
        latent, _ = model(x)
        log_prob = model.log_prob(x).numpy()
    calibration = log_prob[past[1]]
    now = slice(begin, len(x))
    simple = np.expm1(tomorrow["return"])
    table = pd.DataFrame(
        {
            "log_prob": log_prob[now],
            "threshold": np.quantile(calibration, ALARM),
            "confidence": (calibration < log_prob[now, None]).mean(axis=1),
            "latent": latent[now, 0].numpy(),
            "mean": _ridge(x.numpy(), simple.to_numpy(), past)[now],
            "wild": _wild(states["return_1"].to_numpy(), begin)[now],
            "next_return": simple.iloc[now],
        },
        index=states.index[now],
    )
    scenarios = _scenarios(states, tomorrow, x, past, now, draws=draws, seed=seed, epochs=epochs)
    return table.dropna(), scenarios


def _ridge(x: np.ndarray, y: np.ndarray, past: Sequence[slice]) -> np.ndarray:
    """Forecasts by ridge regression, the penalty chosen on the second part of the past."""
    train_x, train_y = x[past[0]], y[past[0]]
    gram, moment = train_x.T @ train_x, train_x.T @ (train_y - train_y.mean())
    best = min(
        (
            train_y.mean()
            + x @ np.linalg.solve(gram + k * len(train_x) * np.eye(len(gram)), moment)
            for k in (0.1, 1.0, 10.0, 100.0)
        ),
        key=lambda forecast: np.mean((forecast[past[1]] - y[past[1]]) ** 2),
    )
    return np.asarray(best)


def _wild(returns: np.ndarray, begin: int) -> np.ndarray:
    x = 100 * returns[:, None]
    regimes = GaussianRegimes.fit(x[:begin], 2, seed=0)
    return regimes.filter(x).filtered[:, 1]


def _scenarios(
    states: pd.DataFrame,
    tomorrow: pd.DataFrame,
    x: torch.Tensor,
    past: Sequence[slice],
    now: slice,
    *,
    draws: int,
    seed: int,
    epochs: int,
) -> pd.DataFrame:
    """VaR and ES of tomorrow by draws of its return and range, given tonight's state."""
    vol = np.exp(states["log_vol_21"])
    y = pd.DataFrame(
        {
            "return": tomorrow["return"] / vol,
            "range": tomorrow["range"] - states["parkinson_5"],
        }
    )
    scaler = Standardizer().fit(y.iloc[past[0]])
    context = x.clamp(-5, 5)  # a condition, not data whose density counts
    rows = [Conditional(to_tensor(scaler.transform(y.iloc[p])), context[p]) for p in past]
    model = Glow(2, x.shape[1], levels=1, hidden=(32,), base=StudentT(2), seed=seed)
    fit(model, rows[0], rows[1], seed=seed, epochs=epochs, patience=10)
    realized = 100 * tomorrow["return"].iloc[now].to_numpy()
    tables = []
    for temperature in TEMPERATURES:
        drawn = model.sample(draws, context[now], temperature=temperature, seed=seed)[:, :, 0]
        r = 100 * vol.iloc[now].to_numpy() * (drawn.numpy().T * scaler.scale[0] + scaler.mean[0])
        for level in LEVELS:
            tables.append(
                pd.DataFrame(
                    {
                        "date": tomorrow["date"].iloc[now].to_numpy(),
                        "series": "index",
                        "model": f"Glow, temperature {temperature:g}",
                        "level": level,
                        "var": value_at_risk(r, level=level),
                        "es": expected_shortfall(r, level=level),
                        "realized": realized,
                        "log_score": np.nan,
                        # A share of the draws is 0 or 1 now and then, a probability never.
                        "pit": ((r < realized).sum(axis=0) + 0.5) / (draws + 1),
                    }
                )
            )
    # The day after the last evening is yet to come.
    return pd.concat(tables).dropna(subset=["date", "realized"])
