"""What is known in the evening: by hand, of the past alone, and the same for one day as for all."""

import numpy as np
import pandas as pd
import pytest

from genfin_lib.applications import MarketContext, NoContext, OwnContext
from genfin_lib.applications.features import MEMORY, moving_volatility
from tests.contracts.forecasters import market

CONTEXTS = pytest.mark.parametrize(
    "context",
    [NoContext(), OwnContext(), MarketContext(), MarketContext("series 1", (1, 3))],
    ids=repr,
)


def test_volatility_by_hand() -> None:
    x = np.array([[1.0], [-2.0], [3.0]])
    # Half-life one: weights 1, 1/2, 1/4 from today on.
    expected = [1.0, (4 + 0.5) / 1.5, (9 + 2 + 0.25) / 1.75]
    np.testing.assert_allclose(moving_volatility(x, 1)[:, 0] ** 2, expected, rtol=1e-14)
    plain = [1.0, 2.5, 14 / 3]
    np.testing.assert_allclose(moving_volatility(x, np.inf)[:, 0] ** 2, plain, rtol=1e-14)


def test_volatility_forgets_what_is_older_than_its_memory() -> None:
    x = np.ones((MEMORY + 2, 1))
    x[:2] = 1e6
    for half_life in (125, np.inf):
        recent = moving_volatility(x, half_life)[-1, 0]
        assert recent == pytest.approx(1.0, rel=1e-3)
    weights = 0.5 ** (np.arange(MEMORY)[::-1] / 125)
    y = np.random.default_rng(0).normal(size=(MEMORY + 50, 1))
    expected = np.sqrt(weights @ y[-MEMORY:] ** 2 / weights.sum())
    assert moving_volatility(y, 125)[-1, 0] == pytest.approx(expected[0], rel=1e-12)


@CONTEXTS
def test_last_days_are_those_of_the_whole_history(context) -> None:
    returns = market(1100)
    whole, recent = context(returns), context(returns.iloc[-MEMORY:], last=3)
    for all_days, three in zip(whole, recent, strict=True):
        np.testing.assert_allclose(all_days[-3:-1], three[:-1], rtol=2e-3, atol=2e-3)
        np.testing.assert_allclose(all_days[-1], three[-1], rtol=1e-9, atol=1e-12)


@CONTEXTS
def test_corrupting_the_future_changes_no_evening_before(context) -> None:
    returns = market(400)
    spoiled = returns.copy()
    spoiled.iloc[301:] = 37.0 + np.arange(198).reshape(-1, 2)
    for honest, other in zip(context(returns), context(spoiled), strict=True):
        np.testing.assert_array_equal(honest[:301], other[:301])
        assert honest.size == 0 or not np.array_equal(honest[301], other[301])


def test_features_by_hand() -> None:
    returns = market(300)
    x = returns.to_numpy()
    features, scale = OwnContext()(returns)
    assert features.shape == (300, 2, 10)
    sigma = moving_volatility(x, 11)[-1]
    np.testing.assert_allclose(scale[-1], sigma)
    slow = moving_volatility(x, 125)[-1]
    down = moving_volatility(np.minimum(x, 0), 11)[-1]
    expected = {0: np.log(sigma), 3: np.log(slow / sigma), 4: x[-1] / sigma, 5: x[-2] / sigma}
    expected |= {6: x[-5:].sum(axis=0) / np.sqrt(5) / sigma, 7: down / sigma}
    expected |= {8: np.abs(x[-1]) / sigma, 9: x[-3] / sigma}
    for column, value in expected.items():
        np.testing.assert_allclose(features[-1, :, column], value, rtol=1e-10)


def test_market_is_what_all_assets_share() -> None:
    returns = market(300, series=3)
    features, _ = MarketContext("series 2")(returns)
    assert features.shape == (300, 3, 19)
    own = OwnContext()(returns).features
    np.testing.assert_array_equal(features[..., :10], own)
    for asset in range(3):
        np.testing.assert_array_equal(features[:, asset, 10:18], own[:, 2, :8])
    mean = OwnContext()(returns.mean(axis=1).to_frame()).features[:, 0, :8]
    np.testing.assert_allclose(MarketContext()(returns).features[:, 1, 10:18], mean, rtol=1e-9)
    spread = moving_volatility(returns.std(axis=1, ddof=0).to_frame().to_numpy(), 3)[:, 0]
    market_scale = OwnContext()(returns).scale[:, 2]
    np.testing.assert_allclose(features[:, 0, 18], np.log(spread / market_scale))


def test_common_shock_is_one_where_all_move_as_they_are_wont() -> None:
    returns = pd.DataFrame(np.where(np.arange(200)[:, None] % 2, [1.0, 3.0], [-1.0, -3.0]))
    wild = returns.copy()
    wild.iloc[-1] = [4.0, -3.0]  # squares over variances: 16 and 1
    context = MarketContext(shocks=(1,))
    quiet, shock = (context(frame).features[-1, 0, 19] for frame in (returns, wild))
    assert quiet == pytest.approx(0, abs=1e-9)
    # Half-life one: half of the weight is today's.
    assert shock == pytest.approx(np.log(0.5 * (16 + 1) / 2 + 0.5) / 2, rel=1e-9)


def test_one_series_is_its_own_market() -> None:
    one = market(300, series=1)
    np.testing.assert_array_equal(MarketContext()(one).features, OwnContext()(one).features)
    with pytest.raises(ValueError, match="'x' is no column"):
        MarketContext("x")(market(300))


def test_features_do_not_know_the_unit_but_for_the_level() -> None:
    returns = market(300)
    percent, decimal = (MarketContext()(frame).features for frame in (returns, returns / 100))
    difference = np.zeros(19)
    difference[[0, 10]] = np.log(100)
    np.testing.assert_allclose(
        percent - decimal, np.broadcast_to(difference, percent.shape), atol=1e-9
    )


def test_stock_that_stands_still_for_a_month_has_finite_features() -> None:
    returns = market(600)
    returns.iloc[300:330, 0] = 0.0
    for part in MarketContext()(returns):
        assert np.isfinite(part).all()
    assert (MarketContext()(pd.DataFrame({"a": np.zeros(9), "b": 1.0})).scale > 0).all()
