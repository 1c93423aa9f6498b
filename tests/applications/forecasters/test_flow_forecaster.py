"""A conditional flow as a forecaster: exact laws, one call for all days, kept and read again."""

import numpy as np
import pandas as pd
import pytest
import torch

from genfin_lib.applications import FlowForecaster, NoContext
from genfin_lib.applications.forecasters import ReturnFlow
from genfin_lib.flows import Conditional
from tests.contracts.forecasters import market
from tests.contracts.registry import perturb


def small(**settings) -> FlowForecaster:
    return FlowForecaster(**{"hidden": (8,), "batch_size": 128, "epochs": 1} | settings)


@pytest.fixture(scope="module")
def fitted() -> tuple[FlowForecaster, pd.DataFrame]:
    returns = market(700)
    return small().fit(returns.iloc[:600]), returns


def test_laws_of_many_days_are_the_forecasts_of_each(fitted) -> None:
    model, returns = fitted
    for day, law in zip((698, 699), model.laws(returns, 2), strict=True):
        alone = model.forecast(returns.iloc[:day])
        np.testing.assert_allclose(law.quantile(0.01), alone.quantile(0.01), rtol=1e-9)


def test_past_is_what_was_forecast(fitted) -> None:
    model, returns = fitted
    past = model.past(returns)
    assert past.u.shape == past.log_prob.shape == (700 - model.BURN_IN, 2)
    law, came = model.forecast(returns.iloc[:650]), returns.iloc[650].to_numpy()
    np.testing.assert_allclose(past.u[650 - model.BURN_IN], law.cdf(came), rtol=1e-9)
    np.testing.assert_allclose(past.log_prob[650 - model.BURN_IN], law.log_prob(came), rtol=1e-9)


@pytest.mark.parametrize("settings", [{}, {"context": NoContext()}, {"identity": True}])
def test_saved_forecaster_comes_back_with_its_forecasts(tmp_path, settings) -> None:
    returns = market(400)
    model = small(**settings).fit(returns)
    model.save(tmp_path / "flow.pt")
    again = small(**settings).load(tmp_path / "flow.pt")
    np.testing.assert_array_equal(
        model.forecast(returns).quantile(0.01), again.forecast(returns).quantile(0.01)
    )
    with pytest.raises(ValueError, match="other layers"):
        small(bins=None, **settings).load(tmp_path / "flow.pt")
    (tmp_path / "flow.pt").write_bytes(b"x")
    with pytest.raises(ValueError, match="no checkpoint"):
        small().load(tmp_path / "flow.pt")
    with pytest.raises(ValueError, match="call fit"):
        small().save(tmp_path / "other.pt")


def test_fit_does_not_depend_on_the_default_type_nor_change_it() -> None:
    returns = market(400)
    single = small().fit(returns).forecast(returns).quantile(0.01)
    torch.set_default_dtype(torch.float64)
    try:
        double = small().fit(returns).forecast(returns).quantile(0.01)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(single, double)


def test_identity_lets_series_of_one_context_differ() -> None:
    # No features and two laws, one the other upside down: only a model that is told can know.
    draws = np.random.default_rng(0).exponential(size=(1500, 2)) - 1
    returns = pd.DataFrame({"a": draws[:, 0], "b": -draws[:, 1]})
    for who, difference in ((False, 0.0), (True, 1.05)):
        model = small(context=NoContext(), identity=who, penalty=0.0, learning_rate=2e-2)
        model.fit(returns)
        low = model.forecast(returns).quantile(0.05)
        assert low[0] - low[1] == pytest.approx(difference, abs=0.25)


def test_penalty_and_derivative_by_autograd() -> None:
    flow = perturb(ReturnFlow(3, penalty=0.7, seed=1).double())
    x, c = torch.randn(9, 1).double(), torch.randn(9, 3).double()
    theta = flow.spline.network(x, c)
    np.testing.assert_allclose(flow.spline.network(x + 1, c).detach(), theta.detach())
    expected = -flow.log_prob(x, c).mean() + 0.7 * theta.square().sum(dim=0).mean()
    assert flow.loss(Conditional(x, c)).item() == pytest.approx(expected.item(), rel=1e-12)
    x.requires_grad_()
    z, log_slope = flow(x, c)
    (slope,) = torch.autograd.grad(z.sum(), x)
    torch.testing.assert_close(slope[:, 0].log(), log_slope)
    with pytest.raises(ValueError, match="penalty -1"):
        ReturnFlow(penalty=-1)


def test_strong_penalty_leaves_the_control_without_spline() -> None:
    returns = market(500)
    bent = small(penalty=1e4).fit(returns)
    x, c = torch.randn(50, 1).double(), torch.randn(50, 19).double()
    straight = bent.flow.transform.transforms[0](x, c)[0]
    torch.testing.assert_close(bent.flow(x, c)[0], straight, atol=2e-2, rtol=0)
    assert small(bins=None).fit(returns).flow.spline is None


def test_wrong_use_is_refused(fitted) -> None:
    model, returns = fitted
    with pytest.raises(ValueError, match="fitted on"):
        model.forecast(returns[["series 1", "series 0"]])
    with pytest.raises(ValueError, match="call fit"):
        small().forecast(returns)
    with pytest.raises(ValueError, match="249 rows of history"):
        model.forecast(returns.iloc[:249])
    with pytest.raises(ValueError, match="299 rows of history"):
        small().fit(returns.iloc[:299])
    with pytest.raises(ValueError, match="strictly between"):
        model.forecast(returns).quantile(1.0)
    with pytest.raises(ValueError, match="for 2 series"):
        model.forecast(returns).cdf(np.zeros(3))
