"""Positions from the evenings of Glow, and what they would have earned."""

import numpy as np
import pandas as pd

from genfin_lib.applications.market_states.evenings import Evenings
from genfin_lib.trading import Backtest, backtest, var_sizing, volatility_target

YEAR = 252
COST = 0.0005
CAP = 1.5
LEVEL = 0.975
HOLD = "buy and hold"
# From the plainest to all of it together; each is one trial.
RULES = (
    HOLD,
    "volatility target",
    "hold if the state is usual",
    "direction",
    "direction, usual states",
    "direction, sized by VaR",
    "direction, usual states, confidence",
    "direction, usual states, confidence, VaR",
    "first latent, usual states",
)


def rules(evenings: Evenings, volatility: pd.Series) -> pd.DataFrame:
    """Every rule as positions: all that was tried.

    *Direction* is the sign of the forecast mean return; *usual* a state whose log-density is
    above the threshold; *confidence* its rank among the validation days. The budget of the VaR is
    the mean VaR of the evenings up to the present one, so that the size is one on average.

    Args:
        evenings: Of `walk_states`.
        volatility: Of daily log returns, known at each close, decimals.

    Returns:
        Shares of the capital, a column for each of `RULES`.
    """
    table = evenings.table
    usual = (table["log_prob"] >= table["threshold"]).astype(float)
    direction = np.sign(table["mean"])
    # A rank is one half on average: doubled, so that confidence does not halve every position.
    sure = (2 * table["confidence"]).clip(upper=1.0)
    var = _var(evenings)
    sized = var_sizing(var / var.expanding().mean(), budget=1.0, cap=CAP)
    past = volatility.reindex(table.index)
    target = volatility_target(past, target=0.15, periods_per_year=YEAR, cap=CAP)
    positions = (
        pd.Series(1.0, table.index),
        target,
        usual,
        direction,
        direction * usual,
        direction * sized,
        direction * usual * sure,
        direction * usual * sure * sized,
        np.tanh(table["latent"]) * usual,
    )
    return pd.DataFrame(dict(zip(RULES, positions, strict=True)))


def _var(evenings: Evenings) -> pd.Series:
    """VaR of the next simple return by scenarios of the model's own law, by evening."""
    rows = evenings.forecasts
    rows = rows[(rows["model"] == "Glow, temperature 1") & (rows["level"] == LEVEL)]
    loss = -np.expm1(-rows["var"].to_numpy() / 100)
    return pd.Series(loss, evenings.table.index)


def state_backtests(
    evenings: Evenings, volatility: pd.Series, *, cost: float = COST, delay: int = 1
) -> dict[str, Backtest]:
    """Backtest of each rule, decided at a close and earning from that close to the next.

    Args:
        evenings: Of `walk_states`.
        volatility: As for `rules`.
        cost: Share of the traded value.
        delay: As for `genfin_lib.trading.backtest`.
    """
    positions = rules(evenings, volatility)
    # The return of a row's own bar: what came after the row before.
    returns = evenings.table["next_return"].shift(1).fillna(0.0)
    return {
        name: backtest(positions[name], returns, periods_per_year=YEAR, cost=cost, delay=delay)
        for name in RULES
    }
