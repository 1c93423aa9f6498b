"""What every forecaster promises: one law a series, coherent, and blind to the future."""

import functools

import numpy as np
import pandas as pd
import pytest

from genfin_lib.risk import LocationScale, walk_forward
from tests.contracts.forecasters import FORECASTERS, POOLED, WITH_DENSITY, WITHOUT_DENSITY, market

ALL = pytest.mark.parametrize("name", FORECASTERS)
LEVELS = (0.99, 0.975, 0.9)


@functools.cache
def law(name: str) -> LocationScale:
    history = market()
    return FORECASTERS[name]().fit(history).forecast(history)


def integral(function, low: float, high: float, points: int = 20_001) -> np.ndarray:
    """Trapezoids, fine near zero and coarse far out; of all series at once."""
    t = np.linspace(np.arcsinh(low), np.arcsinh(high), points)
    return np.trapezoid(function(np.sinh(t)[:, None]) * np.cosh(t)[:, None], t, axis=0)


@ALL
def test_cdf_undoes_quantile(name: str) -> None:
    u = np.array([0.001, 0.01, 0.05, 0.3, 0.5, 0.8, 0.95, 0.999])
    forecast = law(name)
    back = forecast.cdf(forecast.quantile(u[:, None]))
    # A law with atoms jumps over u; the tails of EVT are smooth and its middle is not.
    atoms = "FHS" in name or name == "historical simulation"
    middle = (u > 0.1) & (u < 0.9)
    jump = np.where(atoms | (middle & ("EVT" in name)), 1 / 400, 1e-7)
    assert (np.abs(back - u[:, None]) <= jump[:, None]).all()
    assert (np.diff(forecast.quantile(u[:, None]), axis=0) >= 0).all()


@ALL
@pytest.mark.parametrize("level", LEVELS)
def test_expected_shortfall_is_the_mean_of_the_quantiles_beyond_var(
    name: str, level: float
) -> None:
    forecast, alpha, points = law(name), 1 - level, 400_000
    # Midpoints in u**2 put most of them far out, where the quantile is steep.
    edges = alpha * np.linspace(0, 1, points + 1) ** 2
    width, middle = np.diff(edges), (edges[1:] + edges[:-1]) / 2
    mean = -(forecast.quantile(middle[:, None]) * width[:, None]).sum(axis=0) / alpha
    np.testing.assert_allclose(forecast.expected_shortfall(level=level), mean, rtol=2e-4)
    assert (forecast.expected_shortfall(level=level) >= -forecast.quantile(alpha)).all()


@pytest.mark.parametrize("name", WITH_DENSITY)
def test_density_is_the_slope_of_the_distribution_function(name: str) -> None:
    forecast = law(name)

    def density(x: np.ndarray) -> np.ndarray:
        return np.exp(forecast.log_prob(x))

    far = 200 * float(-forecast.quantile(0.01).min())
    np.testing.assert_allclose(integral(density, -far, far), 1, atol=2e-4)
    difference = forecast.cdf(0.7) - forecast.cdf(-1.0)
    np.testing.assert_allclose(integral(density, -1.0, 0.7), difference, atol=1e-6)


@pytest.mark.parametrize("name", WITHOUT_DENSITY)
def test_law_without_density_says_so(name: str) -> None:
    assert np.isnan(law(name).log_prob(0.0)).all()


@ALL
def test_sample_follows_the_law(name: str) -> None:
    forecast, n = law(name), 20_000
    draws = forecast.sample(n, seed=3)
    assert draws.shape == (n, 2)
    for u in (0.02, 0.5, 0.98):
        # Four standard errors of a share, and an atom of the empirical laws.
        slack = 4 * np.sqrt(u * (1 - u) / n) + 1 / 400
        assert (np.abs((draws <= forecast.quantile(u)).mean(axis=0) - u) < slack).all()
    np.testing.assert_array_equal(draws, forecast.sample(n, seed=3))


@ALL
def test_corrupting_the_future_changes_no_forecast_up_to_tomorrow(name: str) -> None:
    returns = market(460)
    today = 431
    corrupted = returns.copy()
    corrupted.iloc[today + 1 :] = 37.0 + np.arange(2 * (len(returns) - today - 1)).reshape(-1, 2)
    run = {"start": returns.index[400], "window": 400, "refit_every": 20}
    honest, spoiled = (
        walk_forward(FORECASTERS[name](), frame, **run) for frame in (returns, corrupted)
    )
    tomorrow = returns.index[today + 1]
    forecast = ["date", "series", "level", "var", "es"]
    seen = honest["date"] <= tomorrow
    pd.testing.assert_frame_equal(honest.loc[seen, forecast], spoiled.loc[seen, forecast])
    # What was made with the day in question may change; else the test could not fail.
    later = honest["date"] > tomorrow
    assert (honest.loc[later, "var"] != spoiled.loc[later, "var"]).any()
    known = honest["date"] <= returns.index[today]
    pd.testing.assert_frame_equal(honest[known], spoiled[known])


@ALL
def test_today_counts(name: str) -> None:
    returns = market(1001, seed=1)
    changed = returns.copy()
    # The worst day of the window, today: every law must notice.
    changed.iloc[-1] = 3 * returns.min()
    model = FORECASTERS[name]().fit(returns.iloc[:-1])
    assert (
        model.forecast(changed).expected_shortfall(level=0.99)
        > model.forecast(returns).expected_shortfall(level=0.99)
    ).all()


@ALL
def test_forecast_scales_with_the_unit(name: str) -> None:
    history = market()
    percent = FORECASTERS[name]().fit(history).forecast(history)
    decimal = FORECASTERS[name]().fit(history / 100).forecast(history / 100)
    np.testing.assert_allclose(percent.quantile(0.01), 100 * decimal.quantile(0.01), rtol=1e-4)


@ALL
def test_bad_history_is_refused(name: str) -> None:
    history = market()
    model = FORECASTERS[name]().fit(history)
    missing, still = history.copy(), history.copy()
    missing.iloc[7, 1] = np.nan
    still["series 1"] = 0.25
    for call in (FORECASTERS[name]().fit, model.forecast):
        with pytest.raises(ValueError, match="1 NaN or infinite"):
            call(missing)
        with pytest.raises(ValueError, match=r"\['series 1'\] never move"):
            call(still)
        with pytest.raises(ValueError, match="rows of history and at least"):
            call(history.iloc[:1])


@pytest.mark.parametrize("name", [name for name in FORECASTERS if name not in POOLED])
def test_series_do_not_see_each_other(name: str) -> None:
    both = market()
    law = FORECASTERS[name]().fit(both).forecast(both)
    for s, column in enumerate(both):
        one = FORECASTERS[name]().fit(both[[column]]).forecast(both[[column]])
        np.testing.assert_allclose(law.quantile(0.01)[s], one.quantile(0.01)[0], rtol=1e-9)
