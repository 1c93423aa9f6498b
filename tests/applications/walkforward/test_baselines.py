"""The published table of baselines, recomputed in part from the prices."""

import pandas as pd

from genfin_lib.applications import protocol_returns, read_results
from genfin_lib.applications.protocol import LEVELS, START, series_table
from genfin_lib.applications.walkforward.baselines import BASELINES, REFERENCE, forecast_baselines

KEYS = ["model", "level", "series"]


def test_protocol_is_the_published_one() -> None:
    returns = protocol_returns()
    assert returns.shape[1] == 21
    assert 1.0 < returns["SP500"].std() < 1.3  # per cent
    later = returns.loc[START:]
    assert len(later) == 3000
    assert f"{later.index[0]:%F} {later.index[-1]:%F}" == "2011-01-28 2022-12-28"


def test_table_is_complete() -> None:
    table = read_results("baselines")
    assert len(table) == len(BASELINES) * len(LEVELS) * 21
    assert not table.duplicated(KEYS).any()
    assert table.drop(columns=["nll", "exceedance_residuals"]).notna().all(axis=None)
    panel = read_results("baselines_panel")
    means = table.groupby(["model", "level"])[["hit_rate", "pinball", "fz0"]].mean()
    pd.testing.assert_frame_equal(
        means, panel.set_index(["model", "level"])[means.columns].sort_index(), atol=2e-5, rtol=1e-4
    )


def test_a_slice_recomputed_from_prices_is_the_published_one() -> None:
    series = ["SP500", "KO"]
    names = ("historical simulation", "EWMA, FHS", REFERENCE)
    forecasts = forecast_baselines(
        protocol_returns()[series], models={name: BASELINES[name] for name in names}
    )
    mine = series_table(forecasts, draws=1000).set_index(KEYS).sort_index()
    published = read_results("baselines").set_index(KEYS).loc[mine.index]
    losses = ["hit_rate", "pinball", "fz0", "nll"]
    # Six digits are kept; an optimiser may stop elsewhere in the fifth on another processor.
    pd.testing.assert_frame_equal(mine[losses], published[losses], rtol=5e-4)
    tests = ["kupiec", "christoffersen", "dynamic_quantile", "acerbi_szekely"]
    tests += ["exceedance_residuals", "pit"]
    pd.testing.assert_frame_equal(mine[tests], published[tests], atol=0.02)
