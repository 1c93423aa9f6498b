"""Forecasters against recursions by hand, arch's own forecasts, closed forms and known truth."""

import numpy as np
import pandas as pd
import pytest
from arch import arch_model
from arch.univariate import Normal, SkewStudent, StudentsT
from scipy.integrate import quad

from genfin_lib.data import simulate_garch
from genfin_lib.risk import (
    Ewma,
    FilteredHistoricalSimulation,
    Garch,
    Gaussian,
    HistoricalSimulation,
    LocationScale,
    PeaksOverThreshold,
    expected_shortfall,
    gaussian_var_es,
    student_t_var_es,
    value_at_risk,
)
from genfin_lib.risk.innovations import Empirical, Parametric, ParetoTails
from tests.contracts.forecasters import market


def test_gaussian_is_the_closed_form_of_the_window() -> None:
    history = market()
    law = Gaussian().fit(history).forecast(history)
    var, es = gaussian_var_es(history.mean(), history.std(), level=0.99)
    np.testing.assert_allclose(-law.quantile(0.01), var, rtol=1e-12)
    np.testing.assert_allclose(law.expected_shortfall(level=0.99), es, rtol=1e-12)


def test_historical_simulation_is_the_empirical_measure_of_the_window() -> None:
    history = market(500)
    law = HistoricalSimulation().fit(history).forecast(history)
    for level in (0.99, 0.975, 0.95):
        np.testing.assert_allclose(-law.quantile(1 - level), value_at_risk(history, level=level))
        np.testing.assert_allclose(
            law.expected_shortfall(level=level), expected_shortfall(history, level=level)
        )


def test_standardised_student_t_is_the_closed_form() -> None:
    df = 4.5
    law = Parametric(StudentsT(), np.array([df]))
    var, es = student_t_var_es(0.0, np.sqrt((df - 2) / df), df=df, level=0.975)
    assert law.quantile(np.array([0.025]))[0] == pytest.approx(-var, rel=1e-9)
    assert law.expected_shortfall(level=0.975) == pytest.approx(es, rel=1e-7)


@pytest.mark.parametrize("df", [2.2, 4.0, 299.0])
def test_skew_t_shortfall_is_its_partial_moment(df: float) -> None:
    law = Parametric(SkewStudent(), np.array([df, -0.2]))
    beyond = quad(lambda x: x * np.exp(law.log_prob(x)), -np.inf, law.quantile(0.01), limit=500)[0]
    assert law.expected_shortfall(level=0.99) == pytest.approx(-beyond / 0.01, rel=1e-5)


def test_ewma_is_its_recursion() -> None:
    x = market(200, 1).to_numpy()[:, 0]
    decay, weights, total = 0.9, 0.0, 0.0
    volatility = []
    for shock in x:
        total, weights = decay * total + shock**2, decay * weights + 1
        volatility.append(np.sqrt(total / weights))
    residuals, location, scale, past_scales = Ewma(decay=decay, burn_in=50).filter(pd.DataFrame(x))
    assert location == 0
    assert scale[0] == pytest.approx(volatility[-1], rel=1e-12)
    np.testing.assert_allclose(residuals[:, 0], x[50:] / volatility[49:-1], rtol=1e-10)
    np.testing.assert_allclose(past_scales[:, 0], volatility[49:-1], rtol=1e-10)


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize(
    ("innovations", "name"), [(Normal, "normal"), (StudentsT, "t"), (SkewStudent, "skewt")]
)
def test_garch_forecasts_what_arch_forecasts(asymmetric: bool, innovations, name: str) -> None:
    history = market(800, 1)
    law = Garch(innovations=innovations, asymmetric=asymmetric).fit(history).forecast(history)
    x = history.iloc[:, 0]
    theirs = arch_model(x / x.std(ddof=0), o=int(asymmetric), dist=name, rescale=False).fit(
        disp="off"
    )
    forecast = theirs.forecast(horizon=1)
    unit = x.std(ddof=0)
    assert law.location[0] == pytest.approx(unit * forecast.mean.iloc[-1, 0], abs=1e-9)
    assert law.scale[0] == pytest.approx(unit * np.sqrt(forecast.variance.iloc[-1, 0]), rel=1e-9)
    quantile = theirs.model.distribution.ppf([0.01], theirs.params.iloc[4 + int(asymmetric) :])
    expected = law.location[0] + law.scale[0] * quantile[0]
    assert law.quantile(0.01)[0] == pytest.approx(expected, rel=1e-9)


def test_garch_residuals_are_those_of_arch() -> None:
    history = market(800, 1)
    residuals = Garch(asymmetric=True).fit(history).filter(history).residuals
    x = history.iloc[:, 0]
    theirs = arch_model(x / x.std(ddof=0), o=1, rescale=False).fit(disp="off").std_resid
    # The first variance is guessed from shocks around the fitted mean here and around the sample
    # mean there; the difference dies out.
    np.testing.assert_allclose(residuals[300:, 0], theirs[300:], atol=1e-9)


def test_garch_t_comes_close_to_the_true_volatility_and_tail() -> None:
    sample = simulate_garch(6000, seed=5)
    past, later = sample.returns[:5000], sample.returns[:5600]
    model = Garch(innovations=StudentsT).fit(pd.DataFrame({"x": past}))
    law = model.forecast(pd.DataFrame({"x": later}))
    assert law.scale[0] == pytest.approx(sample.volatility[5600], rel=0.05)


def test_filtered_simulation_replays_scaled_residuals() -> None:
    history = market()
    ewma = Ewma()
    residuals, _, scale, _ = ewma.filter(history)
    law = FilteredHistoricalSimulation(ewma).fit(history).forecast(history)
    np.testing.assert_allclose(
        law.expected_shortfall(level=0.95), scale * expected_shortfall(residuals, level=0.95)
    )


def test_models_must_be_fitted_and_asked_about_their_own_series() -> None:
    history = market()
    for model in (Garch(), PeaksOverThreshold(Ewma())):
        with pytest.raises(ValueError, match=r"call fit\(history\) first"):
            model.forecast(history)
        with pytest.raises(ValueError, match="same series in the same order"):
            model.fit(history).forecast(history.iloc[:, ::-1])


def test_location_scale_says_what_is_wrong() -> None:
    one = [Empirical(np.arange(5.0))]
    with pytest.raises(ValueError, match="2 locations, 2 scales and 1 innovations"):
        LocationScale(np.zeros(2), np.ones(2), one)
    with pytest.raises(ValueError, match="positive scales"):
        LocationScale(np.zeros(1), np.zeros(1), one)
    law = LocationScale(np.zeros(1), np.ones(1), one)
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        law.quantile(1.0)
    with pytest.raises(ValueError, match="for 1 series"):
        law.cdf(np.zeros(3))


class Counted(Ewma):
    """EWMA that counts how often it was fitted."""

    fits = 0

    def fit(self, history: pd.DataFrame) -> "Counted":
        self.fits += 1
        super().fit(history)
        return self


@pytest.mark.parametrize("build", [FilteredHistoricalSimulation, PeaksOverThreshold])
def test_forecast_fits_nothing(build) -> None:
    history = market()
    model = build(Counted()).fit(history)
    model.forecast(history[50:])
    model.forecast(history)
    assert model.volatility.fits == 1


def test_tails_stand_still_between_refits() -> None:
    history = market(900)
    history = history.where(history > 0, 3 * history)
    law = PeaksOverThreshold(Ewma(), share=0.15).fit(history[:600]).forecast(history)
    for s, column in enumerate(Ewma().filter(history[:600]).residuals.T):
        mine = ParetoTails(column, share=0.15)
        assert law.innovations[s].lower == mine.lower
        assert law.innovations[s].share == mine.share
    default = PeaksOverThreshold(Ewma()).fit(history).forecast(history)
    assert default.innovations[0].share == pytest.approx(0.1, abs=1 / 800)


def test_fewest_rows_are_those_stated() -> None:
    x = pd.DataFrame({"a": np.random.default_rng(0).normal(size=100)})
    for model, least in ((Gaussian(), 2), (Ewma(), 52), (Garch(), 100)):
        model.fit(x[:least])
        with pytest.raises(ValueError, match="rows of history and at least"):
            model.fit(x[: least - 1])
    with pytest.raises(ValueError, match="burn_in 0"):
        Ewma(burn_in=0)
    still = pd.DataFrame({"a": np.append(np.zeros(50), x["a"])})
    with pytest.raises(ValueError, match=r"\['a'\] do not move in the first 50 rows"):
        Ewma().filter(still)
    with pytest.raises(ValueError, match="to_frame"):
        Gaussian().fit(x["a"])


def test_ewma_is_riskmetrics_unless_told_otherwise() -> None:
    history = market(300)
    given = Ewma(decay=0.94, burn_in=50).filter(history).residuals
    np.testing.assert_array_equal(Ewma().filter(history).residuals, given)


def test_draws_of_different_series_are_independent() -> None:
    law = LocationScale(np.zeros(2), np.ones(2), [Empirical(np.arange(500.0))] * 2)
    correlation = np.corrcoef(law.sample(20_000, seed=0).T)[0, 1]
    assert abs(correlation) < 4 / np.sqrt(20_000)


def test_a_uniform_of_zero_has_a_quantile(monkeypatch) -> None:
    class Zero:
        def random(self, shape):
            return np.zeros(shape)

    monkeypatch.setattr(np.random, "default_rng", lambda _: Zero())
    law = LocationScale([0.0], [1.0], [Empirical(np.arange(5.0))])
    assert (law.sample(3, seed=0) == 0).all()
