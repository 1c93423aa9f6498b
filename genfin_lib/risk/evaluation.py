"""From a table of forecasts to losses, tests and verdicts: every model through the same mill."""

import zlib
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from genfin_lib.risk.calibration import pit_uniformity
from genfin_lib.risk.coverage import christoffersen, dynamic_quantile, kupiec
from genfin_lib.risk.scores import fz0_loss, pinball_loss
from genfin_lib.risk.shortfall import LEAST_VIOLATIONS, acerbi_szekely, exceedance_residuals

# The tests that a forecast has to pass together, at each level, to count as covered.
JOINT = ("christoffersen", "dynamic_quantile", "acerbi_szekely", "exceedance_residuals")
# Shape of the Pareto excess over VaR behind the Acerbi-Szekely p-value: a tail index of five.
TAIL_SHAPE = 0.2


def score_forecasts(forecasts: pd.DataFrame) -> pd.DataFrame:
    """The table of `walk_forward` with the losses of every row.

    Means over days give the ranking; means over the series of a day give the panel that
    `diebold_mariano` and `model_confidence_set` compare.

    Args:
        forecasts: Long table of `walk_forward`; several models one below the other.

    Returns:
        The same rows with ``hit`` (the loss exceeded VaR), ``pinball``, ``fz0`` and ``nll``
        (minus the log-score; NaN where a law has no density).

    Raises:
        ValueError: a missing column, NaN, or a VaR or ES that is not a loss.
    """
    _check(forecasts)
    losses = np.empty((len(forecasts), 2))
    for level in forecasts["level"].unique():
        rows = (forecasts["level"] == level).to_numpy()
        x, var, es = (forecasts.loc[rows, name].to_numpy() for name in ("realized", "var", "es"))
        losses[rows, 0] = pinball_loss(x, var, level=float(level))
        losses[rows, 1] = fz0_loss(x, var, es, level=float(level))
    return forecasts.assign(
        hit=forecasts["realized"] < -forecasts["var"],
        pinball=losses[:, 0],
        fz0=losses[:, 1],
        nll=-forecasts["log_score"],
    )


def backtest_forecasts(
    forecasts: pd.DataFrame, *, draws: int = 1000, seed: int = 0, n_jobs: int | None = None
) -> pd.DataFrame:
    r"""p-values of every backtest, for each model, level and series.

    ``kupiec``, ``christoffersen`` (conditional coverage), ``dynamic_quantile`` with a simulated
    null law (its chi-squared law rejects 10 % of right models at level 0.99 for a nominal
    5 %), ``acerbi_szekely`` (:math:`Z_2`), ``exceedance_residuals`` (McNeil and Frey), and
    ``pit``, the Kolmogorov-Smirnov test of uniformity, which does not depend on the level.

    The null law of :math:`Z_2` needs tails beyond VaR and the table has two numbers of each: the
    excess is taken as generalised Pareto with the mean :math:`\mathrm{ES} - \mathrm{VaR}` and
    shape 0.2, a tail index of five.

    Args:
        forecasts: Long table of `walk_forward`.
        draws: Simulated paths behind the p-values of `dynamic_quantile` and `acerbi_szekely`, which
            cannot be below `1 / (1 + draws)`; at least 200, to tell 1 % from more.
        seed: Of the simulations; every model, level, series and test has paths of its own.
        n_jobs: Processes, as for `walk_forward`.

    Returns:
        One row for each model, level and series, p-values in columns. A test that cannot be
        done for want of violations is NaN; so is ``pit`` where a model gives VaR and ES alone.

    Raises:
        ValueError: as for `score_forecasts`; fewer than 200 draws; too few days for a test.
    """
    _check(forecasts)
    if draws < 200:
        raise ValueError(f"draws {draws}: with fewer than 200 no test can reject safely at 1 %.")
    keys = ["model", "level", "series"]
    groups = list(forecasts.sort_values("date").groupby(keys, sort=False))
    rows = Parallel(n_jobs=n_jobs)(
        delayed(_p_values)(part, float(key[1]), draws, [seed, zlib.crc32(repr(key).encode())])
        for key, part in groups
    )
    index = pd.MultiIndex.from_tuples([key for key, _ in groups], names=keys)
    return pd.DataFrame(rows, index=index).sort_index()


def joint_coverage(
    p_values: pd.DataFrame, *, levels: Sequence[float] = (0.99, 0.975), size: float = 0.01
) -> pd.DataFrame:
    """Whether a model passes conditional coverage, DQ, Acerbi-Szekely and McNeil-Frey at once.

    Eight tests, four at each of two levels. At a size of 5 % a *perfect* model passes all of them
    on about 75 % of series, at 1 % on about 93 %: judge at 1 %.

    Args:
        p_values: Table of `backtest_forecasts`.
        levels: Levels that count.
        size: Of each test.

    Returns:
        Verdicts, one row a series and one column a model.

    Raises:
        ValueError: no level, a model or series without one of them, or a missing p-value.
    """
    chosen = p_values[p_values.index.get_level_values("level").isin(levels)]
    found = chosen.groupby(level=["model", "series"], sort=False).size()
    if not levels or found.empty or (found < len(levels)).any():
        raise ValueError(
            f"not every model and series has the levels {list(levels)}: forecast at those too."
        )
    if chosen[[name for name in JOINT if name != "exceedance_residuals"]].isna().any(axis=None):
        raise ValueError("a p-value is missing: only exceedance residuals may be, without hits.")
    # Too few violations for exceedance residuals are no failure of theirs; the count has its test.
    passed = ~(chosen[list(JOINT)] < size).any(axis=1)
    verdicts = passed.groupby(level=["series", "model"], sort=False).all()
    return verdicts.unstack("model")


def _p_values(part: pd.DataFrame, level: float, draws: int, seed: list[int]) -> dict[str, float]:
    one, two, three = (int(s) for s in np.random.SeedSequence(seed).generate_state(3))
    x, var, es, pit = (part[name].to_numpy() for name in ("realized", "var", "es", "pit"))
    tests: dict[str, Callable[[], float]] = {
        "kupiec": lambda: kupiec(x, var, level=level).p_value,
        "christoffersen": lambda: christoffersen(x, var, level=level).p_value,
        "dynamic_quantile": lambda: (
            dynamic_quantile(x, var, level=level, draws=draws, seed=one).p_value
        ),
        "acerbi_szekely": lambda: (
            acerbi_szekely(
                x, var, es, sampler=_sampler(var, es, level), level=level, draws=draws, seed=two
            ).p_value
        ),
        "exceedance_residuals": lambda: (
            exceedance_residuals(x, var, es, level=level, seed=three).p_value
            if (x < -var).sum() >= LEAST_VIOLATIONS
            else np.nan
        ),
        "pit": lambda: np.nan if np.isnan(pit).all() else pit_uniformity(pit).p_value,
    }
    return {name: test() for name, test in tests.items()}


def _sampler(
    var: np.ndarray, es: np.ndarray, level: float
) -> Callable[[int, np.random.Generator], np.ndarray]:
    """Draws paths with violations as rare and as large as forecast; other days do not count."""
    scale = (es - var) * (1 - TAIL_SHAPE)

    def draw(paths: int, generator: np.random.Generator) -> np.ndarray:
        returns = np.zeros((paths, len(var)))
        path, day = np.nonzero(generator.random(returns.shape) < 1 - level)
        excess = np.expm1(TAIL_SHAPE * generator.exponential(size=len(day))) / TAIL_SHAPE
        returns[path, day] = np.nextafter(-var[day], -np.inf) - scale[day] * excess
        return returns

    return draw


def _check(forecasts: pd.DataFrame) -> None:
    needed = {"date", "series", "model", "level", "var", "es", "log_score", "pit", "realized"}
    missing = needed - set(forecasts.columns)
    if missing:
        raise ValueError(
            f"forecasts lack the columns {sorted(missing)}: give the table of walk_forward."
        )
    if forecasts.empty or forecasts["level"].isna().any():
        raise ValueError("forecasts are empty, or a level is missing.")
    repeated = forecasts.duplicated(["date", "series", "model", "level"])
    if repeated.any():
        raise ValueError(
            f"{int(repeated.sum())} forecasts are there twice for one date, series, model and "
            "level: give each model, and each series, its own name."
        )
