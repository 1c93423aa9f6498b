"""The simulated market of three scales, and what an alarm of each level is worth in it.

Windows of eight days of eight steps, in units of the past. The regime holds for a window.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score
from torch import Tensor

from genfin_lib.data import MultiscaleSample, simulate_multiscale
from genfin_lib.latent import HierarchicalVAE
from genfin_lib.risk import value_at_risk

# The simulator's own: mean and volatility of a day, calm and wild, and what moves them.
MEANS, VOLATILITIES = np.array([0.0008, -0.0010]), np.array([0.007, 0.020])
DAY_SPREAD, DEGREES = 0.35, 5.0
TRANSITION = np.array([[0.90, 0.10], [0.25, 0.75]])
LEVEL_NAMES = ("top", "days", "steps")


class Market(NamedTuple):
    """Simulated windows and their truth.

    Attributes:
        x: ``(N, 64, 1)``, in units of the past, in order of time.
        sample: The simulation they are cut from, day by day.
        unit: Deviation of the past, decimals.
        past: How many windows are for training: the first so many.
    """

    x: Tensor
    sample: MultiscaleSample
    unit: float
    past: int

    @classmethod
    def simulate(cls, past: int = 8000, later: int = 2000, *, seed: int) -> "Market":
        """Draw windows to train on and later ones.

        Args:
            past: Windows to train on; their deviation is the unit.
            later: Windows after them.
            seed: Of the simulation.
        """
        sample = simulate_multiscale(
            8 * (past + later),
            seed=seed,
            means=MEANS,
            volatilities=VOLATILITIES,
            transition=TRANSITION,
            day_spread=DAY_SPREAD,
            degrees_of_freedom=DEGREES,
        )
        unit = float(sample.returns[: 8 * past].std())
        x = torch.tensor(sample.returns / unit, dtype=torch.float32).view(-1, 64, 1)
        return cls(x, sample, unit, past)

    @property
    def wild(self) -> np.ndarray:
        """Whether the regime of each window is the wild one, ``(N,)``."""
        return self.sample.regimes[::8] == 1

    @property
    def odds(self) -> np.ndarray:
        """Probability of calm and wild in the window *after* each, exact filter, ``(N, 2)``."""
        return self.sample.filtered[7::8] @ TRANSITION

    @property
    def variances(self) -> np.ndarray:
        """Of a step in calm and wild, the mean over the day, squared units, ``(2,)``."""
        return VOLATILITIES**2 / 8 / self.unit**2

    def exact_paths(self, draws: int, *, seed: int) -> np.ndarray:
        """The next window's law by the exact filter: past windows of a regime drawn from its odds.

        Args:
            draws: Paths for each later window but the last.
            seed: Of the draws.

        Returns:
            ``(N, draws, 64)``.
        """
        rng, odds = np.random.default_rng(seed), self.odds[self.past : -1]
        wild = rng.random((len(odds), draws)) < odds[:, 1:]
        calm_rows, wild_rows = (np.flatnonzero(self.wild[: self.past] == w) for w in (False, True))
        rows = np.where(wild, rng.choice(wild_rows, wild.shape), rng.choice(calm_rows, wild.shape))
        return self.x[:, :, 0].numpy()[rows]

    def told(self, rows: np.ndarray, draws: int, *, seed: int) -> dict[str, np.ndarray]:
        """Sums of windows drawn again by the simulator, more and more of their truth held.

        Args:
            rows: Which windows.
            draws: For each.
            seed: Of the draws.

        Returns:
            ``(windows, draws)`` with ``top``, the regime, held; with the volatility of the ``days``
            held too; and that of the ``steps``.
        """
        rng, sample = np.random.default_rng(seed), self.sample
        days = 8 * rows[:, None] + np.arange(8)  # (windows, 8)
        regime = sample.regimes[days][:, :1]
        shape = (len(rows), draws, 8, 8)
        own_day = sample.day_log_volatility[days][:, None, :, None]
        own_step = sample.step_log_volatility[days][:, None]
        new_day = DAY_SPREAD * rng.standard_normal(shape[:3])[..., None] - DAY_SPREAD**2
        new_step = 0.5 * np.log((DEGREES - 2) / rng.chisquare(DEGREES, shape))
        held = {
            "top": (new_day, new_step),
            "days": (own_day, new_step),
            "steps": (own_day, own_step),
        }
        noise, out = rng.standard_normal(shape), {}
        for name, (day, step) in held.items():
            moves = (np.exp(day + step) * sample.profile * noise).sum((2, 3))
            out[name] = (8 * MEANS[regime] + VOLATILITIES[regime] * moves) / self.unit
        return out


def told_risk(
    model: HierarchicalVAE, market: Market, *, windows: int = 100, draws: int = 300, seed: int
) -> pd.DataFrame:
    """VaR (99 %) of later windows as more and more levels are told, model beside truth.

    Args:
        model: Of three levels; it is told its posterior means.
        market: The truth is told itself.
        windows: Of each regime; the VaR is a mean over them.
        draws: For each window.
        seed: Of the draws.

    Returns:
        Rows (regime, whose), columns ``top, days, steps``: told so far down.
    """
    rows = {}
    for name, flag in (("calm", False), ("wild", True)):
        some = market.past + np.flatnonzero(market.wild[market.past :] == flag)[:windows]
        truth = market.told(some, draws, seed=seed)
        z = [part.repeat_interleave(draws, 0) for part in model.latents(market.x[some])]
        sums = {
            level: model.sample(len(z[0]), given=z[: k + 1], seed=seed).sum(1).view(-1, draws)
            for k, level in enumerate(LEVEL_NAMES)
        }
        for whose, law in (("truth", truth), ("model", sums)):
            each = {k: np.quantile(np.asarray(v), 0.01, axis=1) for k, v in law.items()}
            rows[name, whose] = {level: float(-q.mean()) for level, q in each.items()}
    return pd.DataFrame(rows).T


def inject(x: Tensor, wild: np.ndarray, *, seed: int) -> dict[str, Tensor]:
    """Windows with an anomaly of each scale.

    Args:
        x: Quiet windows, ``(N, 64, 1)``.
        wild: Whether each is of the wild regime.
        seed: Of days, steps and signs.

    Returns:
        ``regime``: the whole window at 1.8 times the volatility of the wild regime; ``day``: one
        day at four times its own; ``step``: one return moved by six deviations of its window.
    """
    rng, rows = np.random.default_rng(seed), np.arange(len(x))
    wilder = VOLATILITIES[1] / VOLATILITIES[0]
    to_wild = torch.tensor(np.where(wild, 1.0, wilder)).float()[:, None, None]
    day, step = x.clone().view(-1, 8, 8), x.clone()
    day[rows, rng.integers(8, size=len(x))] *= 4
    move = torch.tensor(rng.choice([-6.0, 6.0], len(x))).float()
    step[rows, rng.integers(64, size=len(x)), 0] += move * x.std(1)[:, 0]
    return {"regime": 1.8 * to_wild * x, "day": day.view(-1, 64, 1), "step": step}


def alarm_scores(model: HierarchicalVAE, x: Tensor, *, seed: int) -> pd.DataFrame:
    """How odd each window is at each scale: the largest KL of a place, by level, and its rivals.

    Args:
        model: Of three levels.
        x: Windows, ``(N, 64, 1)``.
        seed: Of the draws.

    Returns:
        Columns ``top, days, steps``; the total ``-log p``; and the number made for each scale:
        volatility, the largest day's variance over the mean day's, the largest return in
        deviations.
    """
    places = model.kl_by_place(x, draws=4, seed=seed)
    found = {name: k.amax(1) for name, k in zip(LEVEL_NAMES, places, strict=True)}
    with torch.no_grad():
        found["-log p"] = -model.log_prob(x, draws=8, seed=seed)
    days = x.view(-1, 8, 8).square().mean(2)
    found["volatility"] = x.std(1)[:, 0]
    found["largest day"] = days.amax(1) / days.mean(1)
    found["largest step"] = x[:, :, 0].abs().amax(1) / x.std(1)[:, 0]
    return pd.DataFrame({name: score.numpy() for name, score in found.items()}).astype(float)


def alarm_areas(quiet: pd.DataFrame, strange: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Area under the ROC curve of each score, a row each kind of anomaly.

    Args:
        quiet: Scores of windows in which nothing is odd.
        strange: Scores of windows with an anomaly, by its kind.
    """
    rows = {
        kind: {
            name: roc_auc_score(
                np.repeat([0, 1], [len(quiet), len(table)]), np.r_[quiet[name], table[name]]
            )
            for name in quiet
        }
        for kind, table in strange.items()
    }
    return pd.DataFrame(rows).T


def rare_day_errors(drawn: np.ndarray, real: np.ndarray, *, seed: int) -> pd.DataFrame:
    """Error of the 95 % VaR of a rare type of day from twenty such days, 300 times.

    The type is the wildest tenth of days by the spread of their draws; the target, the quantile
    over all days of the type.

    Args:
        drawn: Returns of each day drawn again with its upper levels held, ``(days, draws)``.
        real: Steps of each day, ``(days, steps)``.
        seed: Of the twenty days and of signs.

    Returns:
        Relative error by method: ``augmented``, ``random signs`` on real steps, ``empirical``,
        ``Gaussian``; a row a trial.
    """
    volatility = drawn.std(axis=1)
    pool = np.flatnonzero(volatility > np.quantile(volatility, 0.9))
    target = value_at_risk(real[pool].sum(axis=1), level=0.95)
    rng, errors = np.random.default_rng(seed), []
    for _ in range(300):
        some = rng.choice(pool, 20, replace=False)
        day = real[some].sum(axis=1)
        signs = rng.choice([-1, 1], (drawn.shape[1], *real[some].shape))
        guesses = {
            "augmented": drawn[some].ravel(),
            "random signs": (signs * real[some]).sum(axis=2).ravel(),
            "empirical": day,
        }
        found = {name: value_at_risk(v, level=0.95) for name, v in guesses.items()}
        found["Gaussian"] = stats.norm.isf(0.05) * day.std(ddof=1) - day.mean()
        errors.append({name: float(v / target - 1) for name, v in found.items()})
    return pd.DataFrame(errors)
