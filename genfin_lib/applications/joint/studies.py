"""Two studies on the 20 stocks: learning online, and what synthetic data add: ``make studies``."""

import time

import numpy as np
import pandas as pd
from joblib import Parallel, cpu_count, delayed

from genfin_lib.applications.features import OwnContext
from genfin_lib.applications.forecasters import FlowForecaster
from genfin_lib.applications.joint.contract import JointForecaster
from genfin_lib.applications.joint.correlation import EwmaCorrelation
from genfin_lib.applications.joint.designs import (
    FLOW_WINDOW,
    INPUTS,
    equal_weights,
    maf_t,
    real_nvp_t,
    stock_returns,
)
from genfin_lib.applications.joint.flows import FlowJointForecaster
from genfin_lib.applications.joint.online import OnlineFlow
from genfin_lib.applications.joint.paths import simulate_paths
from genfin_lib.applications.joint.run import SELECTION
from genfin_lib.applications.joint.walk import Model, walk_forward_joint
from genfin_lib.applications.protocol import START
from genfin_lib.applications.results import write_results
from genfin_lib.data import portfolio_returns
from genfin_lib.risk import newey_west_standard_error

RATES = (3e-5, 1e-4, 3e-4)
NEVER = 10_000
# Policy: days between refits, and whether the flow learns in between.
POLICIES = {
    "frozen": (NEVER, False),
    "refit every 250 days": (250, False),
    "online": (NEVER, True),
}
ORIGINS, HORIZON, SIZES, PATHS, PIECE = 6, 500, (500, 2000), 4, 250


def volatile() -> FlowJointForecaster:
    """A flow on raw returns: all that moves in the market it has to learn."""
    return FlowJointForecaster(maf_t, decay=None, half_lives=(), epochs=20)


def whitened() -> FlowJointForecaster:
    """A flow on what filters of volatility and correlation leave."""
    return FlowJointForecaster(maf_t, correlation=EwmaCorrelation(), epochs=10)


DESIGNS = {"raw returns": volatile, "whitened": whitened}


def daily_nll(
    model: JointForecaster, returns: pd.DataFrame, *, start: str, refit_every: int
) -> tuple[pd.Series, float]:
    """Negative log-likelihood per series of each day, and the CPU seconds that it took."""
    began = time.process_time()
    scores, _ = walk_forward_joint(
        {"model": Model(model, FLOW_WINDOW)}, returns, start=start, refit_every=refit_every
    )
    loss = -scores.set_index("date")["log_score"] / returns.shape[1]
    return loss, time.process_time() - began


def online_study(returns: pd.DataFrame, *, n_jobs: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Step sizes on the years of selection, then every policy on the protocol's days.

    Returns:
        ``design, learning_rate, nll`` over 2007-2010, rate 0 for the frozen flow; and ``design,
        policy, learning_rate, nll, gain, gain_se, seconds`` over the protocol: gain in nats per
        series and day over the frozen flow, its standard error, CPU seconds.
    """
    early = returns[:"2010-12-31"]
    cells = [(design, rate) for design in DESIGNS for rate in (0.0, *RATES)]
    found = Parallel(n_jobs=n_jobs)(
        delayed(daily_nll)(
            OnlineFlow(DESIGNS[design](), learning_rate=rate),
            early,
            start=SELECTION,
            refit_every=NEVER,
        )
        for design, rate in cells
    )
    selection = pd.DataFrame(
        [
            {"design": design, "learning_rate": rate, "nll": loss.mean()}
            for (design, rate), (loss, _) in zip(cells, found, strict=True)
        ]
    )
    moving = selection[selection["learning_rate"] > 0]
    best = moving.loc[moving.groupby("design")["nll"].idxmin()].set_index("design")["learning_rate"]
    runs = [(design, policy) for design in DESIGNS for policy in POLICIES]
    tested = Parallel(n_jobs=n_jobs)(
        delayed(daily_nll)(
            OnlineFlow(DESIGNS[design](), learning_rate=best[design])
            if POLICIES[policy][1]
            else DESIGNS[design](),
            returns,
            start=START,
            refit_every=POLICIES[policy][0],
        )
        for design, policy in runs
    )
    losses = {run: loss for run, (loss, _) in zip(runs, tested, strict=True)}
    rows = []
    for (design, policy), (loss, seconds) in zip(runs, tested, strict=True):
        gain = losses[design, "frozen"] - loss
        error = newey_west_standard_error(gain) if policy != "frozen" else np.nan
        rate = best[design] if POLICIES[policy][1] else 0.0
        rows.append((design, policy, rate, loss.mean(), gain.mean(), error, seconds))
    names = ["design", "policy", "learning_rate", "nll", "gain", "gain_se", "seconds"]
    return selection, pd.DataFrame(rows, columns=names)


def augmentation_study(returns: pd.DataFrame, *, n_jobs: int) -> pd.DataFrame:
    """A forecaster of the portfolio, trained on real, synthetic or both, scored on later days.

    Returns:
        ``origin, days, training, nll``: date of the first day scored, days of real history, what
        the forecaster was trained on, and its NLL over the `HORIZON` days from the origin.
    """
    first = int(returns.index.searchsorted(pd.Timestamp(START)))
    cells = [(first + HORIZON * k, days) for k in range(ORIGINS) for days in SIZES]
    tables = Parallel(n_jobs=n_jobs)(
        delayed(_augmented)(returns.iloc[: origin + HORIZON], origin, days)
        for origin, days in cells
    )
    return pd.concat(tables, ignore_index=True)


def _augmented(returns: pd.DataFrame, origin: int, days: int) -> pd.DataFrame:
    real = returns.iloc[origin - days : origin]
    generator = FlowJointForecaster(
        real_nvp_t, correlation=EwmaCorrelation(), epochs=25_000 // days
    ).fit(real)
    # Piece by piece from evenings that were, since volatility returns to no mean.
    pieces = [
        simulate_paths(generator, real[:evening], steps=PIECE, paths=PATHS, seed=origin + evening)
        for evening in range(PIECE, days + 1, PIECE)
    ]
    paths = np.concatenate(pieces, axis=1)
    weights = np.full(returns.shape[1], 1 / returns.shape[1])
    synthetic = pd.DataFrame(
        100 * portfolio_returns(paths / 100, weights).T,
        index=real.index,
        columns=[f"synthetic {k}" for k in range(PATHS)],
    )
    portfolio = equal_weights(returns)
    own = portfolio.iloc[origin - days : origin].to_frame()
    training = {
        "real": own,
        "synthetic": synthetic,
        "real and synthetic": own.join(synthetic),
        "real, and the stocks": own.join(real),
    }
    later = portfolio.iloc[origin - FlowForecaster.BURN_IN : origin + HORIZON].to_numpy()
    dates = portfolio.index[origin - FlowForecaster.BURN_IN : origin + HORIZON]
    rows = []
    for name, frame in training.items():
        model = FlowForecaster(context=OwnContext()).fit(frame)
        # The pooled model has the same law for each of its series, given its own past.
        asked = pd.DataFrame(dict.fromkeys(frame, later), index=dates)
        nll = -model.past(asked).log_prob[:, 0].mean()
        rows.append((f"{returns.index[origin]:%F}", days, name, nll))
    return pd.DataFrame(rows, columns=["origin", "days", "training", "nll"])


def main() -> None:
    """Run both studies and write the tables."""
    jobs, returns, began = cpu_count(), stock_returns(), time.perf_counter()
    augmentation = augmentation_study(returns, n_jobs=jobs)
    write_results("augmentation", augmentation, command="make studies", seed=0, inputs=INPUTS)
    print(augmentation.groupby(["days", "training"])["nll"].mean().round(4).to_string())
    print(f"{time.perf_counter() - began:.0f} s", flush=True)
    selection, online = online_study(returns, n_jobs=jobs)
    facts = {"seconds": round(time.perf_counter() - began), "processes": jobs}
    for name, table in {"online_selection": selection, "online": online}.items():
        write_results(name, table, command="make studies", seed=0, inputs=INPUTS, facts=facts)
        print(table.round(4).to_string(index=False))


if __name__ == "__main__":
    main()
