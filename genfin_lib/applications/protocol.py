"""One protocol for every risk forecast of the book, so that tables can be laid side by side.

The S&P 500 and 20 stocks, daily **percent** log returns; forecasts of 3,000 days from 2011-01-28 to
2022-12-28; parameters refitted every 250 days. The stocks were picked because they lived: they are
survivors.
"""

import pandas as pd

from genfin_lib.data import load, log_returns
from genfin_lib.risk import (
    backtest_forecasts,
    diebold_mariano,
    model_confidence_set,
    score_forecasts,
)

INPUTS = ("sp500_index", "sp500_stocks")
START = "2011-01-28"
REFIT_EVERY = 250
LEVELS = (0.99, 0.975, 0.95)


def protocol_returns() -> pd.DataFrame:
    """Daily percent log returns of the index, first column, and the 20 stocks."""
    return 100 * log_returns(pd.concat([load(name) for name in INPUTS], axis=1, join="inner"))


def series_table(forecasts: pd.DataFrame, *, draws: int = 1000, n_jobs: int = 1) -> pd.DataFrame:
    """Losses and p-values of each model on each series, at each level.

    Args:
        forecasts: Tables of `walk_forward`, one below the other.
        draws: As for `backtest_forecasts`.
        n_jobs: Processes.

    Returns:
        ``model, level, series``, then ``hit_rate, pinball, fz0, nll`` (means over days), the
        p-values of `backtest_forecasts`, and ``mcs_p``, the p-value in the confidence set of FZ0 on
        this series alone, of which there is hardly any use: see the chapter.
    """
    keys = ["model", "level", "series"]
    scored = score_forecasts(forecasts)
    means = mean_losses(scored, keys)
    alone = {
        key: model_confidence_set(part.pivot(index="date", columns="model", values="fz0")).p_values
        for key, part in scored.groupby(["level", "series"], sort=False)
    }
    in_set = pd.Series(
        {(model, *key): p for key, found in alone.items() for model, p in found.items()},
        name="mcs_p",
    ).rename_axis(keys)
    tests = backtest_forecasts(forecasts, draws=draws, n_jobs=n_jobs)
    return means.join([tests, in_set]).reset_index()


def panel_table(forecasts: pd.DataFrame, *, reference: str, draws: int = 2000) -> pd.DataFrame:
    """Means over all series, compared day by day with a reference model.

    Args:
        forecasts: Tables of `walk_forward`, one below the other.
        reference: Name of the model that the others are tested against.
        draws: Bootstrap samples of the confidence set.

    Returns:
        For each level and model: mean ``hit_rate, pinball, fz0, nll``; ``fz0_dm`` and ``nll_dm``,
        the panel Diebold-Mariano statistics against the reference (negative: better than it; NaN
        for the reference, and for NLL where one of the two has no density); and
        ``mcs_p``, the p-value in the panel confidence set of FZ0: in the 90 % set above 0.10.

    Raises:
        ValueError: an unknown reference, fewer than two models, or models that were not asked about
            the same days and series.
    """
    return losses_table(score_forecasts(forecasts), reference=reference, draws=draws)


def losses_table(scored: pd.DataFrame, *, reference: str, draws: int = 2000) -> pd.DataFrame:
    """`panel_table` of losses that are known already, such as means over seeds.

    Args:
        scored: Table of `score_forecasts`, of which ``date, series, level, model`` and the losses
            ``hit, pinball, fz0, nll`` are used.
        reference: As for `panel_table`.
        draws: As for `panel_table`.

    Returns:
        As `panel_table`.

    Raises:
        ValueError: as `panel_table`.
    """
    models = list(scored["model"].unique())
    if reference not in models or len(models) < 2:
        raise ValueError(f"reference {reference!r} among {models}: two or more models, it among.")
    asked = scored.pivot_table("fz0", ["date", "series", "level"], "model")
    if asked.isna().any(axis=None):
        raise ValueError(
            f"{list(asked.columns[asked.isna().any()])} lack days, series or levels that others "
            "have: a mean over other cases is no comparison."
        )
    tables = []
    for level, part in scored.groupby("level", sort=False):
        fz0, nll = (
            part.pivot_table(loss, "date", "model", dropna=False) for loss in ("fz0", "nll")
        )
        p_values = model_confidence_set(fz0, draws=draws).p_values
        means = mean_losses(part, ["model"])
        others = [name for name in means.index if name != reference]
        dense = nll.columns[nll.notna().all()]
        rivals = [name for name in others if name in dense and reference in dense]
        tables.append(
            means.assign(
                fz0_dm=pd.Series(
                    {name: diebold_mariano(fz0[name], fz0[reference]).statistic for name in others}
                ),
                nll_dm=pd.Series(
                    {name: diebold_mariano(nll[name], nll[reference]).statistic for name in rivals}
                ),
                mcs_p=pd.Series(p_values),
                level=level,
            ).reset_index()
        )
    table = pd.concat(tables, ignore_index=True)
    return table[["model", "level", *table.columns.drop(["model", "level"])]]


def mean_losses(scored: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Means of the losses by some columns: ``hit_rate, pinball, fz0, nll``.

    Args:
        scored: Table of `score_forecasts`.
        keys: Columns to group by; they become the index.
    """
    losses = scored.groupby(keys, sort=False)[["hit", "pinball", "fz0", "nll"]].mean()
    return losses.rename(columns={"hit": "hit_rate"})
