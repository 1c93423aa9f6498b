"""The published studies, recomputed in part."""

import numpy as np
import pandas as pd
import pytest

from genfin_lib.applications import read_results
from genfin_lib.applications.joint.designs import stock_returns
from genfin_lib.applications.joint.studies import (
    DESIGNS,
    HORIZON,
    NEVER,
    ORIGINS,
    POLICIES,
    RATES,
    SIZES,
    _augmented,
    daily_nll,
)
from genfin_lib.applications.protocol import START


def test_a_date_of_the_augmentation_is_the_published_one() -> None:
    returns = stock_returns()
    origin = int(returns.index.searchsorted(pd.Timestamp(START)))
    mine = _augmented(returns.iloc[: origin + HORIZON], origin, SIZES[0])
    table = read_results("augmentation")
    published = table[(table["origin"] == START) & (table["days"] == SIZES[0])]
    assert published["training"].tolist() == mine["training"].tolist()
    # Networks trained on another processor differ in the third digit after many small steps.
    np.testing.assert_allclose(mine["nll"], published["nll"], atol=5e-3)
    assert len(table) == ORIGINS * len(SIZES) * len(mine)


@pytest.mark.slow
def test_the_frozen_flow_of_the_online_study_is_the_published_one() -> None:
    loss, _ = daily_nll(DESIGNS["whitened"](), stock_returns(), start=START, refit_every=NEVER)
    table = read_results("online").set_index(["design", "policy"])
    assert loss.mean() == pytest.approx(table.loc[("whitened", "frozen"), "nll"], rel=1e-3)


def test_online_tables_are_complete_and_the_step_is_the_one_selected() -> None:
    table, selection = read_results("online"), read_results("online_selection")
    assert len(table) == len(DESIGNS) * len(POLICIES)
    assert set(selection["learning_rate"]) == {0.0, *RATES}
    moving = selection[selection["learning_rate"] > 0]
    for design, part in moving.groupby("design"):
        best = part.loc[part["nll"].idxmin(), "learning_rate"]
        used = table[(table["design"] == design) & (table["learning_rate"] > 0)]
        assert (used["learning_rate"] == best).all()
