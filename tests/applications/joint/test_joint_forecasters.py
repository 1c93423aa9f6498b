"""Joint forecasters: densities, samples that agree with them, and no look into the future."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from genfin_lib.applications.joint import (
    CopulaDistribution,
    CopulaForecaster,
    DynamicConditionalCorrelation,
    EwmaCorrelation,
    FilteredMarginals,
    FlowCopulaForecaster,
    FlowJointForecaster,
    JointForecaster,
    Model,
    MultivariateT,
    OnlineFlow,
    Shared,
    StudentTCopula,
    portfolio_risk,
    walk_forward_joint,
)
from genfin_lib.data import portfolio_returns
from genfin_lib.distributions import StudentT
from genfin_lib.flows import Flow, real_nvp
from genfin_lib.risk import Ewma, Garch, gaussian_var_es
from tests.contracts.forecasters import market


def flow(features: int, context: int = 0) -> Flow:
    built = real_nvp(features, context, transforms=2, hidden=(8,), base=StudentT(features, df=5.0))
    return built.double()


def ewma() -> FilteredMarginals:
    return FilteredMarginals(Ewma())


MODELS: dict[str, Callable[[], JointForecaster]] = {
    "Gaussian": lambda: MultivariateT(df=math.inf),
    "multivariate t": lambda: MultivariateT(df=5.0),
    "EWMA, t copula": lambda: CopulaForecaster(ewma(), EwmaCorrelation()),
    "GARCH, DCC": lambda: CopulaForecaster(
        FilteredMarginals(Garch()), DynamicConditionalCorrelation(), df=math.inf
    ),
    "EWMA, flow copula": lambda: FlowCopulaForecaster(
        ewma(), EwmaCorrelation(), flow=flow(2), epochs=2
    ),
    "flow": lambda: FlowJointForecaster(flow, epochs=2),
    "flow, no context": lambda: FlowJointForecaster(flow, epochs=2, decay=None, half_lives=()),
    "online flow": lambda: OnlineFlow(FlowJointForecaster(flow, epochs=2), learning_rate=1e-3),
    "whitened flow": lambda: FlowJointForecaster(flow, epochs=2, correlation=EwmaCorrelation()),
}
ALL = pytest.mark.parametrize("name", MODELS)


def joined(days: int = 400) -> pd.DataFrame:
    """Two simulated series, the second with half of the first's shocks."""
    frame = market(days)
    frame["series 1"] = 0.6 * frame["series 0"] + 0.8 * frame["series 1"]
    return frame


@ALL
def test_density_integrates_to_one_and_draws_follow_it(name: str) -> None:
    history = joined()
    law = MODELS[name]().fit(history).forecast(history)
    draws = law.sample(20_000, seed=1)
    assert draws.shape == (20_000, 2)
    np.testing.assert_array_equal(draws, law.sample(20_000, seed=1))
    # Importance sampling with a wide t: weights p/q have mean one, and reweighted moments are those
    # of the draws.
    centre, scale = np.median(draws, axis=0), draws.std(axis=0)
    wide = stats.multivariate_t(loc=centre, shape=np.diag(scale**2), df=3, seed=2)
    points = wide.rvs(20_000)
    weights = np.exp(law.log_prob(points) - wide.logpdf(points))
    error = 4 * weights.std() / math.sqrt(len(weights))
    assert weights.mean() == pytest.approx(1, abs=error)
    for event in (
        lambda x: (x < np.quantile(draws, 0.1, axis=0)).all(axis=1),
        lambda x: x[:, 0] > np.quantile(draws[:, 0], 0.7),
    ):
        assert (weights * event(points)).mean() == pytest.approx(
            event(draws).mean(), abs=error + 4 * 0.5 / math.sqrt(len(draws))
        )


@ALL
def test_corrupting_the_future_changes_no_past_forecast(name: str) -> None:
    returns = joined(420)
    today = 405
    spoiled = returns.copy()
    spoiled.iloc[today + 1 :] = 37.0 + np.arange(2 * (420 - today - 1)).reshape(-1, 2)
    run = {"start": returns.index[390], "refit_every": 10, "portfolios": ["m"], "draws": 500}
    model = {"m": Model(MODELS[name](), 380)}
    (scores, risks), (later_scores, later_risks) = (
        walk_forward_joint(model, x, **run) for x in (returns, spoiled)
    )
    known, tomorrow = returns.index[today], returns.index[today + 1]
    for one, two, made, edge in (
        (scores, later_scores, ["date", "log_score"], known),
        (risks, later_risks, ["date", "var", "es"], tomorrow),
    ):
        seen = one["date"] <= edge
        pd.testing.assert_frame_equal(one.loc[seen, made], two.loc[seen, made])
    # What was made with the days in question may change; else the test could not fail.
    assert (scores["log_score"] != later_scores["log_score"])[today - 390 + 1 :].all()
    if name not in ("Gaussian", "multivariate t", "flow, no context"):
        after = risks["date"] > tomorrow
        assert (risks.loc[after, "var"] != later_risks.loc[after, "var"]).all()


@ALL
def test_law_of_tomorrow_is_the_law_of_the_day_once_it_has_come(name: str) -> None:
    history = joined()
    model = MODELS[name]().fit(history[:380])
    today, tomorrow = history[:390], history[:391]
    row = history.to_numpy()[390]
    promised = model.forecast(today).log_prob(row)
    (law,) = model.laws(tomorrow, 1)
    np.testing.assert_allclose(law.log_prob(row), promised, rtol=1e-9)
    np.testing.assert_allclose(model.log_scores(tomorrow, 1), promised, rtol=1e-9)
    several = model.log_scores(history[:395], 5)
    np.testing.assert_allclose(several[0], promised, rtol=1e-9)


def test_gaussian_marginals_with_gaussian_copula_are_a_multivariate_normal() -> None:
    history = joined()
    model = CopulaForecaster(ewma(), EwmaCorrelation(), df=math.inf).fit(history)
    law = model.forecast(history)
    scale = Ewma().fit(history).filter(history).scale
    covariance = law.copula.correlation * np.outer(scale, scale)
    x = np.array([[0.5, -1.0], [-4.0, -5.0]])
    expected = stats.multivariate_normal(cov=covariance).logpdf(x)
    np.testing.assert_allclose(law.log_prob(x), expected, rtol=1e-7)


def test_draws_have_the_quantiles_of_the_marginals() -> None:
    history = joined()
    law = CopulaForecaster(FilteredMarginals(Garch()), EwmaCorrelation()).fit(history)
    law = law.forecast(history)
    u = law.copula.sample(2000, seed=5)
    exact = law.marginals.quantile(u)
    np.testing.assert_allclose(law.sample(2000, seed=5), exact, rtol=1e-3, atol=1e-4)


def test_degrees_of_freedom_are_recovered() -> None:
    truth = StudentTCopula([[1.0, 0.5], [0.5, 1.0]], df=5.0)
    u = truth.sample(4000, seed=0)
    frame = pd.DataFrame(stats.norm.ppf(u), index=pd.bdate_range("2000-01-03", periods=4000))
    # Volatility is one and stays so: what is left is the copula.
    model = CopulaForecaster(FilteredMarginals(Ewma(decay=0.999)), EwmaCorrelation(decay=0.999))
    assert model.fit(frame).df == pytest.approx(5.0, abs=1.5)


@pytest.mark.parametrize("decay", [0.97, None])
def test_state_moves_by_its_recursion(decay: float | None) -> None:
    history = joined()
    model = FlowJointForecaster(flow, epochs=1, decay=decay).fit(history)
    onward = model.update(model.state(history[:-1]), history.to_numpy()[-1])
    for one, two in zip(onward, model.state(history), strict=True):
        # Weights of a finite history sum to less than one by 0.97^400.
        np.testing.assert_allclose(one, two, rtol=1e-4)
    # The context of a day is that of the state before it.
    rows = model.whitened(history)
    np.testing.assert_allclose(rows.context[-1], model.context(model.state(history[:-1])))
    rebuilt = (rows.roots @ rows.y[..., None])[..., 0]
    np.testing.assert_allclose(rebuilt, history.to_numpy()[-len(rows.y) :], rtol=1e-9)


def test_online_flow_without_a_step_is_the_frozen_one() -> None:
    history = joined()
    frozen = FlowJointForecaster(flow, epochs=2).fit(history[:380])
    still = OnlineFlow(FlowJointForecaster(flow, epochs=2), learning_rate=0.0)
    still.fit(history[:380])
    expected = frozen.log_scores(history, 20)
    np.testing.assert_allclose(still.log_scores(history, 20), expected, rtol=1e-12)


def test_online_flow_follows_a_market_that_changes() -> None:
    history = joined(600)
    # A flow without volatility, and a market that is three times as wild from a day on.
    history.iloc[400:] *= 3
    scores = {}
    for rate in (0.0, 3e-3):
        base = FlowJointForecaster(flow, epochs=5, decay=None, half_lives=())
        model = OnlineFlow(base, learning_rate=rate).fit(history[:400])
        scores[rate] = model.log_scores(history, 200)
    # On the first of the days nothing was learned yet; at the end the gain is large.
    assert scores[0.0][0] == pytest.approx(scores[3e-3][0], rel=1e-12)
    assert (scores[3e-3] - scores[0.0])[100:].mean() > 0.3
    # What was fitted has not moved: asked again, it answers the same.
    np.testing.assert_array_equal(model.log_scores(history, 200), scores[3e-3])


def test_laws_of_an_online_flow_do_not_move_afterwards() -> None:
    history = joined()
    model = OnlineFlow(FlowJointForecaster(flow, epochs=1), learning_rate=1e-2)
    laws = list(model.fit(history[:390]).laws(history, 10))
    rows = history.to_numpy()[-10:]
    later = np.concatenate([law.log_prob(row) for law, row in zip(laws, rows, strict=True)])
    np.testing.assert_array_equal(later, model.log_scores(history, 10))
    with pytest.raises(ValueError, match="learning_rate -1"):
        OnlineFlow(FlowJointForecaster(flow), learning_rate=-1)


def test_shared_marginals_are_fitted_once_and_give_the_same() -> None:
    calls = []

    class Counted(FilteredMarginals):
        def fit(self, history):
            calls.append("fit")
            return super().fit(history)

        def past(self, history):
            calls.append("past")
            return super().past(history)

    shared = Shared(Counted(Ewma()))
    returns = joined(410)
    run = {"start": returns.index[400], "refit_every": 5}
    both = {
        "a": Model(CopulaForecaster(shared, EwmaCorrelation()), 380),
        "b": Model(CopulaForecaster(shared, EwmaCorrelation(), df=math.inf), 380),
    }
    scores, _ = walk_forward_joint(both, returns, **run)
    # Two refits: one fit, one run over its rows and one over the stretch after them, for each.
    assert sorted(calls) == ["fit"] * 2 + ["past"] * 4
    alone, _ = walk_forward_joint(
        {"b": Model(CopulaForecaster(ewma(), EwmaCorrelation(), df=math.inf), 380)}, returns, **run
    )
    found = scores[scores["model"] == "b"].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, alone)


def test_portfolio_of_gaussians_has_its_exact_risk() -> None:
    generator = np.random.default_rng(0)
    covariance = np.array([[1.0, 0.5], [0.5, 4.0]])
    # So small that log and simple returns agree.
    sample = 0.01 * generator.multivariate_normal([0, 0], covariance, 400_000)
    w = np.array([0.5, 0.5])
    found = portfolio_risk(sample, w, level=0.975)
    risk = found.together
    sd = 0.01 * math.sqrt(w @ covariance @ w)
    var, es = gaussian_var_es(0.0, sd, level=0.975)
    assert risk.var == pytest.approx(var, abs=4 * risk.var_se)
    assert risk.es == pytest.approx(es, abs=4 * risk.es_se)
    # Standard deviation of an empirical quantile: sqrt(a (1 - a) / n) / f(q).
    density = stats.norm.pdf(stats.norm.ppf(0.025)) / sd
    assert risk.var_se == pytest.approx(math.sqrt(0.025 * 0.975 / 400_000) / density, rel=0.1)
    alone = sum(0.5 * gaussian_var_es(0.0, 0.01 * s, level=0.975)[0] for s in (1, 2))
    assert found.alone == pytest.approx(alone, rel=0.01)
    assert found.diversification == pytest.approx(1 - var / alone, abs=0.01)


def test_portfolio_adds_simple_returns() -> None:
    # All draws alike: -50 % and +50 % log are -39.3 % and +64.9 %, a gain of 12.8 %, not zero.
    sample = np.tile([-50.0, 50.0], (1000, 1))
    expected = 50 * (math.exp(-0.5) + math.exp(0.5) - 2)
    assert portfolio_risk(sample, [0.5, 0.5], level=0.95).together.var == pytest.approx(-expected)


def test_walk_reports_the_portfolio_that_came() -> None:
    returns = joined(405)
    run = {"start": returns.index[400], "portfolios": ["g"], "draws": 1000}
    scores, risks = walk_forward_joint(
        {"g": Model(MultivariateT(df=math.inf), 380)}, returns, **run
    )
    assert len(scores) == 5
    assert len(risks) == 5 * 3
    came = 100 * portfolio_returns(returns.iloc[400:] / 100, np.array([0.5, 0.5]))
    found = risks[risks["level"] == 0.99].set_index("date")["realized"]
    np.testing.assert_allclose(found, came)
    assert risks["pit"].between(0, 1, inclusive="neither").all()
    assert (risks["es"] > risks["var"]).all()


@ALL
def test_bad_history_is_refused(name: str) -> None:
    history = joined()
    model = MODELS[name]()
    missing = history.copy()
    missing.iloc[3, 0] = np.nan
    with pytest.raises(ValueError, match="1 NaN"):
        model.fit(missing)
    with pytest.raises(ValueError, match="call fit"):
        MODELS[name]().forecast(history)
    with pytest.raises(ValueError, match="1 NaN"):
        model.fit(history).forecast(missing)


def test_walk_refuses_what_it_cannot_do() -> None:
    returns, model = joined(405), {"g": Model(MultivariateT(df=math.inf), 380)}
    with pytest.raises(ValueError, match="start later or give a smaller window"):
        walk_forward_joint(model, returns, start=returns.index[10])
    with pytest.raises(ValueError, match="not in order of time"):
        walk_forward_joint(model, returns.iloc[::-1], start=returns.index[400])
    with pytest.raises(ValueError, match=r"portfolios of \['x'\]"):
        walk_forward_joint(model, returns, start=returns.index[400], portfolios=["x"])
    with pytest.raises(ValueError, match="df -1"):
        CopulaForecaster(ewma(), EwmaCorrelation(), df=-1)


def test_law_of_a_copula_checks_its_point() -> None:
    history = joined()
    law = MODELS["EWMA, t copula"]().fit(history).forecast(history)
    assert isinstance(law, CopulaDistribution)
    with pytest.raises(ValueError, match="1 NaN"):
        law.log_prob([np.nan, 1.0])
    assert torch.get_default_dtype() == torch.float32
