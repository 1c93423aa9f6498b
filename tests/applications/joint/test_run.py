"""The published tables of joint densities, recomputed in part from the prices."""

import numpy as np
import pandas as pd
import pytest

from genfin_lib.applications import read_results
from genfin_lib.applications.joint import walk_forward_joint
from genfin_lib.applications.joint.designs import (
    FLOW_COPULA,
    POOLED,
    REFERENCE,
    WHITENED,
    equal_weights,
    flow_models,
    joint_models,
    pooled_models,
    stock_returns,
)
from genfin_lib.applications.joint.run import BEST, PORTFOLIOS, SEEDS, with_mixtures
from genfin_lib.applications.protocol import LEVELS, START


def year_2011(models: dict) -> pd.Series:
    """NLL per series over the protocol's days of 2011, all of them before the first refit."""
    returns = stock_returns()[:"2011-12-31"]
    scores, _ = walk_forward_joint(models, returns, start=START)
    return -scores.groupby("model")["log_score"].mean() / returns.shape[1]


def published(seed: int = 0) -> pd.Series:
    table = read_results("joint")
    return table[table["seed"] == seed].set_index("model")["2011"]


def test_a_year_recomputed_from_prices_is_the_published_one() -> None:
    chosen = ("Gaussian", "GJR skew-t, EWMA t copula")
    models = {name: joint_models()[name] for name in chosen}
    models[WHITENED] = flow_models(0)[WHITENED]
    mine = year_2011(models)
    # An optimiser may stop elsewhere in the fifth digit, a network in the fourth, on another
    # processor.
    np.testing.assert_allclose(mine, published()[mine.index], rtol=1e-3)


@pytest.mark.slow
def test_a_year_of_the_pooled_flow_is_the_published_one() -> None:
    mine = year_2011({POOLED: pooled_models(1)[POOLED]})
    np.testing.assert_allclose(mine, published(seed=1)[mine.index], rtol=1e-3)


def test_tables_are_complete() -> None:
    table = read_results("joint")
    chance = {*flow_models(0), *pooled_models(0)}
    assert set(table.loc[table["seed"] == 0, "model"]) == {*joint_models(), *chance}
    for seed in SEEDS[1:]:
        assert set(table.loc[table["seed"] == seed, "model"]) == set(BEST)
    assert table.drop(columns="nll_dm").notna().all(axis=None)
    assert table.loc[table["nll_dm"].isna(), "model"].tolist() == [REFERENCE]
    portfolio = read_results("joint_portfolio")
    assert set(PORTFOLIOS) < set(portfolio["model"])
    assert len(portfolio) == len(LEVELS) * portfolio["model"].nunique()
    selection = read_results("joint_selection")
    assert [column for column in selection if column.isdigit()] == ["2007", "2008", "2009", "2010"]


def test_mixture_of_densities_by_hand() -> None:
    rows = [
        (day, model, float(np.log(p)), seed)
        for day in pd.bdate_range("2020-01-01", periods=2)
        for model, seed, p in (
            (POOLED, 0, 0.2),
            (POOLED, 1, 0.4),
            (FLOW_COPULA, 0, 0.5),
            (WHITENED, 0, 0.9),
        )
    ]
    scores = pd.DataFrame(rows, columns=["date", "model", "log_score", "seed"])
    mixed = with_mixtures(scores)
    found = mixed[mixed["seed"] == -1].groupby("model")["log_score"].first()
    assert np.exp(found[f"{POOLED}, mixture of seeds"]) == pytest.approx(0.3)
    assert np.exp(found["mixture of the three"]) == pytest.approx((0.2 + 0.4 + 0.5 + 0.9) / 4)
    assert len(mixed) == len(scores) + 8


def test_equal_weights_are_those_of_every_morning() -> None:
    returns = stock_returns().iloc[-5:]
    by_hand = 100 * (np.exp(returns / 100) - 1).mean(axis=1)
    pd.testing.assert_series_equal(equal_weights(returns), by_hand, check_names=False)
