"""Tables of the protocol: each figure is that of the function behind it."""

import pandas as pd
import pytest

from genfin_lib.applications import panel_table, series_table
from genfin_lib.risk import (
    Ewma,
    Gaussian,
    HistoricalSimulation,
    diebold_mariano,
    model_confidence_set,
    score_forecasts,
    walk_forward,
)
from tests.contracts.forecasters import market


@pytest.fixture(scope="module")
def forecasts() -> pd.DataFrame:
    returns = market(700)
    run = {"start": returns.index[400], "window": 400, "levels": (0.95,)}
    models = (Gaussian(), Ewma(), HistoricalSimulation())
    return pd.concat([walk_forward(model, returns, **run) for model in models], ignore_index=True)


def test_panel_compares_means_over_series_day_by_day(forecasts: pd.DataFrame) -> None:
    scored = score_forecasts(forecasts)
    table = panel_table(forecasts, reference="Ewma", draws=200).set_index("model")
    for loss in ("fz0", "nll"):
        daily = scored.groupby(["date", "model"])[loss].mean().unstack()
        expected = diebold_mariano(daily["Gaussian"], daily["Ewma"]).statistic
        assert table.loc["Gaussian", f"{loss}_dm"] == pytest.approx(expected, rel=1e-9)
        if loss == "fz0":
            inside = model_confidence_set(daily, draws=200).p_values
            assert table["mcs_p"].to_dict() == pytest.approx(inside)
    assert table["nll_dm"].isna().to_dict() == {
        **{"Gaussian": False, "Ewma": True, "HistoricalSimulation": True}
    }


def test_reference_without_density_leaves_nll_out(forecasts: pd.DataFrame) -> None:
    table = panel_table(forecasts, reference="HistoricalSimulation", draws=200)
    assert table["nll_dm"].isna().all()
    assert table["fz0_dm"].isna().sum() == 1


def test_series_table_has_the_confidence_set_of_the_series_alone(forecasts: pd.DataFrame) -> None:
    scored = score_forecasts(forecasts)
    one = scored.query("series == 'series 1'").pivot(index="date", columns="model", values="fz0")
    table = series_table(forecasts, draws=200).set_index(["series", "model"])
    expected = model_confidence_set(one).p_values
    assert table.loc["series 1", "mcs_p"].to_dict() == pytest.approx(expected)


def test_models_asked_about_different_cases_are_not_compared(forecasts: pd.DataFrame) -> None:
    lacking = forecasts[~((forecasts["model"] == "Ewma") & (forecasts["series"] == "series 1"))]
    with pytest.raises(ValueError, match=r"\['Ewma'\] lack days"):
        panel_table(lacking, reference="Gaussian")
    with pytest.raises(ValueError, match="reference 'x'"):
        panel_table(forecasts, reference="x")
    with pytest.raises(ValueError, match="two or more models"):
        panel_table(forecasts[forecasts["model"] == "Ewma"], reference="Ewma")
