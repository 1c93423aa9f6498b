"""A chain over a flow: against hmmlearn where it is Gaussian, against the truth where it is not."""

import numpy as np
import pytest
import torch
from hmmlearn.hmm import GaussianHMM
from sklearn.metrics import adjusted_rand_score

from genfin_lib.applications.regimes import HiddenMarkovFlow
from genfin_lib.data import simulate_regimes
from genfin_lib.distributions import StudentT
from genfin_lib.flows import maf


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def chain(features: int = 1, states: int = 2, base=None) -> HiddenMarkovFlow:
    flow = maf(features, states, transforms=1, hidden=(), scale_bound=3.0, base=base)
    return HiddenMarkovFlow(flow)


def peer(x: np.ndarray, model: HiddenMarkovFlow) -> GaussianHMM:
    """hmmlearn's Gaussian chain with the parameters of ours, for one feature."""
    low, high = (
        model.flow.inverse(torch.full((model.states, 1), z), torch.eye(model.states))[0].detach()
        for z in (0.0, 1.0)
    )
    other = GaussianHMM(model.states, covariance_type="diag")
    other.n_features = 1
    other.startprob_, other.transmat_ = model.shares, model.transition.numpy()
    other.means_, other.covars_ = low.numpy(), (high - low).numpy() ** 2
    return other


@pytest.fixture(scope="module")
def heavy():
    """Percent returns of a calm and a falling market with four degrees of freedom."""
    return simulate_regimes(6000, seed=0, degrees_of_freedom=4)


def test_gaussian_flow_is_the_gaussian_hidden_markov_model():
    """Filter, smoother and likelihood with equal parameters; EM to an equal likelihood."""
    x = 100 * simulate_regimes(3000, seed=3).returns[:, None]
    model = chain()
    found = model.fit(torch.tensor(x), seed=0)
    path, other = model.filter(torch.tensor(x)), peer(x, model)
    assert path.log_likelihood.sum() == pytest.approx(other.score(x), rel=1e-10)
    np.testing.assert_allclose(path.smoothed, other.predict_proba(x), atol=1e-9)
    # The smoothed probability of a last day knows nothing later: the filtered one.
    np.testing.assert_allclose(path.filtered[500], other.predict_proba(x[:501])[-1], atol=1e-9)
    theirs = GaussianHMM(2, n_iter=500, tol=1e-6, random_state=0).fit(x)
    assert path.log_likelihood.mean() == pytest.approx(theirs.score(x) / 3000, abs=5e-4)
    np.testing.assert_allclose(
        np.sort(model.duration), np.sort(1 / (1 - theirs.transmat_.diagonal())), rtol=0.1
    )
    assert found[-1] > found[0]


def test_heavy_tails_do_not_break_the_regimes(heavy):
    """Fitted on the first half, judged on the second by what was known in the evening."""
    x, later = torch.tensor(100 * heavy.returns[:, None]), slice(3000, None)
    index, nll = {}, {}
    for name, base in {"Gaussian": None, "t": StudentT(1, df=5.0)}.items():
        model = chain(base=base)
        model.fit(x[:3000], seed=0)
        path = model.filter(x)
        index[name] = adjusted_rand_score(heavy.labels[later], path.filtered[later].argmax(axis=1))
        nll[name] = -path.log_likelihood[later].mean()
    best = adjusted_rand_score(heavy.labels[later], heavy.filtered[later].argmax(axis=1))
    assert index["t"] > best - 0.05
    assert index["Gaussian"] < index["t"] - 0.05
    truth = -heavy.log_likelihood[later].mean() + np.log(100)
    assert nll["t"] < truth + 0.01
    assert nll["Gaussian"] > nll["t"] + 0.01


def test_corrupting_the_future_changes_no_filtered_probability(heavy):
    x = torch.tensor(100 * heavy.returns[:1000, None])
    model = chain()
    model.fit(x[:600], seed=0, rounds=4)
    corrupted = x.clone()
    corrupted[600:] = -9.0
    before, after = model.filter(x), model.filter(corrupted)
    assert np.array_equal(before.filtered[:600], after.filtered[:600])
    assert np.array_equal(before.log_likelihood[:600], after.log_likelihood[:600])
    # The smoothed ones do look ahead: that is why they are no forecast.
    assert np.abs(before.smoothed[:600] - after.smoothed[:600]).max() > 1e-3


def test_moves_and_probabilities_add_up(heavy):
    model = chain(states=3)
    path = model.filter(torch.tensor(100 * heavy.returns[:400, None]))
    for law in (path.filtered, path.smoothed):
        np.testing.assert_allclose(law.sum(axis=1), 1)
    np.testing.assert_allclose(path.moves.sum(axis=1), path.smoothed[:-1].sum(axis=0))
    np.testing.assert_allclose(path.moves.sum(axis=0), path.smoothed[1:].sum(axis=0))


def test_several_features_and_saving(tmp_path):
    rng = np.random.default_rng(0)
    labels = simulate_regimes(2000, seed=5).labels
    x = torch.tensor(rng.standard_normal((2000, 3)) * np.where(labels, 2.0, 0.7)[:, None])
    model = chain(features=3)
    model.fit(x, seed=0, rounds=6)
    regimes = model.filter(x).filtered.argmax(axis=1)
    assert adjusted_rand_score(labels, regimes) > 0.9
    assert regimes[labels == 1].mean() > 0.9  # calm first
    torch.save(model.state_dict(), tmp_path / "chain.pt")
    other = chain(features=3)
    other.load_state_dict(torch.load(tmp_path / "chain.pt", weights_only=True))
    assert np.array_equal(other.filter(x).filtered, model.filter(x).filtered)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="context=K for K regimes"):
        HiddenMarkovFlow(maf(1))
    with pytest.raises(ValueError, match="stay must lie strictly between 0 and 1"):
        HiddenMarkovFlow(maf(1, 2), stay=1.0)
    x = torch.randn(100, 1, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="42 or more for 2 regimes"):
        chain().fit(x[:41], seed=0)
    with pytest.raises(ValueError, match="finite rows"):
        chain().fit(x.log(), seed=0)
    with pytest.raises(ValueError, match=r"start must have shape \(100, 2\)"):
        chain().fit(x, seed=0, start=torch.ones(100, 3))
    with pytest.raises(ValueError, match="NaN or inf"):
        chain().filter(x.log())


def test_a_regime_without_days_is_refused():
    """Its row of moves would be 0 / 0, and every probability after it NaN."""
    x = torch.randn(100, 1, generator=torch.Generator().manual_seed(0))
    model = chain()
    model.transition.copy_(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))  # nobody enters the second
    with pytest.raises(ValueError, match=r"regimes \[1\] have no day left"):
        model.fit(x, seed=0, rounds=1)
