"""Laws made of laws: averages of quantiles and laws corrected by their own past."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from genfin_lib.applications import AveragedLaw, QuantileAverage, Recalibrated, RecalibratedLaw
from genfin_lib.applications.forecasters import beta_shapes
from genfin_lib.applications.joint.marginals import Past
from genfin_lib.risk import Ewma, Garch, PeaksOverThreshold
from tests.contracts.forecasters import market


def normal(scale: np.ndarray):
    return Ewma().fit(market(400) * scale).forecast(market(400) * scale)


def test_average_of_two_normal_laws_is_normal_with_the_mean_scale() -> None:
    narrow, wide = normal(np.array([1.0, 2.0])), normal(np.array([3.0, 3.0]))
    scale = (narrow.scale + wide.scale) / 2
    law = AveragedLaw([narrow, wide])
    x = np.array([[-7.0, 2.0], [-1.0, 0.0], [4.0, -20.0]])
    np.testing.assert_allclose(law.cdf(x), stats.norm.cdf(x / scale), rtol=1e-6)
    np.testing.assert_allclose(law.log_prob(x), stats.norm.logpdf(x, 0, scale), rtol=1e-6)
    np.testing.assert_allclose(law.quantile(0.01), stats.norm.ppf(0.01) * scale, rtol=1e-12)
    expected = stats.norm.pdf(stats.norm.ppf(0.01)) / 0.01 * scale
    np.testing.assert_allclose(law.expected_shortfall(level=0.99), expected, rtol=1e-6)


def test_parts_see_their_own_windows() -> None:
    returns = market(600)
    garch, evt = Garch(), PeaksOverThreshold(Ewma())
    average = QuantileAverage((Garch(), 300), (PeaksOverThreshold(Ewma()), None))
    law = average.fit(returns).forecast(returns)
    parts = (
        garch.fit(returns.iloc[-300:]).forecast(returns.iloc[-300:]),
        evt.fit(returns).forecast(returns),
    )
    expected = np.mean([part.quantile(0.02) for part in parts], axis=0)
    np.testing.assert_allclose(law.quantile(0.02), expected, rtol=1e-12)
    assert np.isnan(law.log_prob(0.0)).all()  # one part has no density
    with pytest.raises(ValueError, match="1 forecasters"):
        QuantileAverage((Garch(), None))


def test_beta_shapes_are_those_of_a_likelihood_maximum() -> None:
    u = stats.beta(0.8, 1.3).rvs((4000, 2), random_state=0)
    a, b = beta_shapes(u, prior=0)
    for column in range(2):
        expected = stats.beta.fit(u[:, column], floc=0, fscale=1)[:2]
        np.testing.assert_allclose((a[column], b[column]), expected, rtol=1e-4)
    shrunk = beta_shapes(u, prior=1e9)
    np.testing.assert_allclose(shrunk, 1, atol=1e-4)


def test_correction_by_the_true_law_of_the_pit_gives_the_true_law() -> None:
    law = normal(np.ones(2))
    a, b = np.array([0.7, 1.0]), np.array([1.2, 1.0])
    corrected = RecalibratedLaw(law, a, b)
    x = np.linspace(-4, 4, 9)[:, None]
    np.testing.assert_allclose(corrected.cdf(x), stats.beta.cdf(law.cdf(x), a, b), rtol=1e-10)
    np.testing.assert_allclose(corrected.quantile(0.01)[1], law.quantile(0.01)[1], rtol=1e-9)
    assert corrected.quantile(0.01)[0] < law.quantile(0.01)[0]
    step = 1e-5
    slope = (corrected.cdf(x + step) - corrected.cdf(x - step)) / (2 * step)
    np.testing.assert_allclose(np.exp(corrected.log_prob(x)), slope, rtol=1e-6, atol=1e-10)


class TooCalm(Ewma):
    """Says that the first series moves half as much as it does."""

    def forecast(self, history: pd.DataFrame):
        law = super().forecast(history)
        law.scale = law.scale * np.array([0.5, 1.0])
        return law

    def past(self, history: pd.DataFrame) -> Past:
        residuals, *_, scales = self.filter(history)
        halves = np.array([0.5, 1.0])
        return Past(
            stats.norm.cdf(residuals / halves),
            stats.norm.logpdf(residuals / halves) - np.log(scales * halves),
        )

    def laws(self, history: pd.DataFrame, days: int):
        raise NotImplementedError


def test_recalibration_mends_a_forecaster_that_is_too_calm() -> None:
    returns = market(3000)
    raw, mended = TooCalm(), Recalibrated(TooCalm(), days=2000, prior=50)
    hits = {}
    for name, model in {"raw": raw, "mended": mended}.items():
        model.fit(returns.iloc[:2000])
        var = [model.forecast(returns.iloc[:t]).quantile(0.05) for t in range(2000, 3000)]
        hits[name] = (returns.iloc[2000:].to_numpy() < np.array(var)).mean(axis=0)
    assert hits["raw"][0] > 0.15
    assert hits["mended"][0] == pytest.approx(0.05, abs=0.025)
    assert hits["mended"][1] == pytest.approx(hits["raw"][1], abs=0.02)
    with pytest.raises(ValueError, match="call fit"):
        Recalibrated(TooCalm()).forecast(returns)
    with pytest.raises(ValueError, match="days 0"):
        Recalibrated(TooCalm(), days=0)
