"""Gaussian regimes against their definition, hmmlearn and scikit-learn, and without look-ahead."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hmmlearn.hmm import GaussianHMM
from scipy import stats
from sklearn.mixture import GaussianMixture

from genfin_lib.applications import GaussianRegimes, walk_forward_regimes
from genfin_lib.data import simulate_regimes

TRUTH = GaussianRegimes(
    means=np.array([[0.1, 0.0], [-0.3, 0.2]]),
    covariances=np.array([[[0.5, 0.1], [0.1, 0.4]], [[4.0, 2.0], [2.0, 3.0]]]),
    transition=np.array([[0.95, 0.05], [0.2, 0.8]]),
)


@pytest.fixture(scope="module")
def simulated():
    """Percent returns of a calm and a falling market."""
    sample = simulate_regimes(4000, seed=0)
    return 100 * sample.returns[:, None], sample


def draw(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 2)) * 1.5


def test_filter_smoother_and_likelihood_sum_over_all_paths() -> None:
    """The joint law of five days, each of 32 paths written out."""
    x = draw(5, seed=0)
    density = np.column_stack(
        [
            stats.multivariate_normal(m, c).pdf(x)
            for m, c in zip(TRUTH.means, TRUTH.covariances, strict=True)
        ]
    )
    assert TRUTH.shares == pytest.approx([0.8, 0.2])

    def weights(days: int) -> tuple[list, np.ndarray]:
        paths = list(itertools.product((0, 1), repeat=days))
        moves = [
            TRUTH.shares[p[0]] * np.prod([TRUTH.transition[a, b] for a, b in itertools.pairwise(p)])
            for p in paths
        ]
        seen = [np.prod([density[t, s] for t, s in enumerate(p)]) for p in paths]
        return paths, np.array(moves) * np.array(seen)

    path = TRUTH.filter(x)
    for days in range(1, 6):
        paths, joint = weights(days)
        assert path.log_likelihood[:days].sum() == pytest.approx(np.log(joint.sum()))
        wild = sum(w for p, w in zip(paths, joint, strict=True) if p[-1] == 1) / joint.sum()
        assert path.filtered[days - 1, 1] == pytest.approx(wild)
    paths, joint = weights(5)
    for t in range(5):
        wild = sum(w for p, w in zip(paths, joint, strict=True) if p[t] == 1) / joint.sum()
        assert path.smoothed[t, 1] == pytest.approx(wild)


def test_fit_recovers_simulated_regimes_and_their_order(simulated) -> None:
    x, sample = simulated
    found = GaussianRegimes.fit(x, 2, seed=0)
    assert found.covariances.ravel() ** 0.5 == pytest.approx([0.7, 2.0], rel=0.06)
    assert found.transition.diagonal() == pytest.approx([0.99, 0.97], abs=0.01)
    agree = (found.filter(x).filtered.argmax(1) == sample.labels).mean()
    best = (sample.filtered.argmax(1) == sample.labels).mean()
    assert agree > best - 0.005


def test_memory_is_worth_what_it_is_worth_in_truth(simulated) -> None:
    x, sample = simulated
    chain = GaussianRegimes.fit(x, 2, seed=0)
    mixture = GaussianRegimes.fit_without_memory(x, 2, seed=0)
    truth = sample.log_likelihood.mean() - np.log(100)
    gap = (chain.filter(x).log_likelihood - mixture.filter(x).log_likelihood).mean()
    assert gap > 0.05
    assert chain.filter(x).log_likelihood.mean() == pytest.approx(truth, abs=0.003)
    assert chain.bic(x) < mixture.bic(x)


def test_fits_are_as_likely_as_those_of_hmmlearn_and_scikit_learn(simulated) -> None:
    x, _ = simulated
    theirs = GaussianHMM(2, n_iter=500, tol=1e-4, random_state=0, covars_prior=0).fit(x)
    ours = GaussianRegimes.fit(x, 2, seed=1).filter(x).log_likelihood.mean()
    # Theirs has a free law of the first day, ours the stationary one.
    assert ours == pytest.approx(theirs.score(x) / len(x), abs=5e-4)
    other = GaussianMixture(2, tol=1e-8, max_iter=2000, random_state=0).fit(x)
    ours = GaussianRegimes.fit_without_memory(x, 2, seed=1)
    assert ours.filter(x).log_likelihood.mean() == pytest.approx(other.score(x), abs=1e-4)
    assert ours.bic(x) == pytest.approx(other.bic(x), abs=1.0)


def test_without_memory_yesterday_says_nothing(simulated) -> None:
    x, _ = simulated
    found = GaussianRegimes.fit_without_memory(x, 2, seed=0)
    alone = np.concatenate([found.filter(row[None]).filtered for row in x[:50]])
    np.testing.assert_allclose(found.filter(x).filtered[:50], alone, atol=1e-12)
    np.testing.assert_allclose(found.filter(x).smoothed[:50], alone, atol=1e-12)
    assert (1 / (1 - found.shares)) == pytest.approx(found.duration)


def test_units_of_the_data_do_not_matter(simulated) -> None:
    x, _ = simulated
    percent, decimals = (GaussianRegimes.fit(c * x, 2, seed=0) for c in (1.0, 0.01))
    assert decimals.covariances * 1e4 == pytest.approx(percent.covariances)
    assert decimals.transition == pytest.approx(percent.transition)


def test_corrupting_the_future_changes_no_past_regime() -> None:
    days = pd.bdate_range("2020-01-01", periods=600)
    returns = pd.DataFrame(draw(600, seed=2), days)
    other = returns.copy()
    cut = 450
    other.iloc[cut:] = 50 * draw(150, seed=3)

    def walk(table: pd.DataFrame):
        return walk_forward_regimes(
            table,
            lambda x: GaussianRegimes.fit(x, 2, seed=0, restarts=1),
            start=str(days[300].date()),
            refit_every=100,
        )

    before, after = walk(returns), walk(other)
    assert before.filtered.index[0] == days[300]
    for name in ("filtered", "tomorrow", "log_score"):
        first, second = getattr(before, name), getattr(after, name)
        assert first.loc[: days[cut - 1]].equals(second.loc[: days[cut - 1]])
        assert not first.loc[days[cut] :].equals(second.loc[days[cut] :])


def test_walk_forward_scores_each_day_by_the_evening_before() -> None:
    days = pd.bdate_range("2020-01-01", periods=300)
    returns = pd.DataFrame(draw(300, seed=4), days)
    walk = walk_forward_regimes(returns, lambda x: TRUTH, start="2020-06-01", refit_every=50)
    evening, day = walk.tomorrow.iloc[10].to_numpy(), returns.iloc[days.get_loc("2020-06-01") + 11]
    density = sum(
        p * stats.multivariate_normal(m, c).pdf(day)
        for p, m, c in zip(evening, TRUTH.means, TRUTH.covariances, strict=True)
    )
    assert walk.log_score.iloc[11] == pytest.approx(np.log(density))
    assert walk.tomorrow.to_numpy() == pytest.approx(walk.filtered.to_numpy() @ TRUTH.transition)


def test_bad_input_is_refused(simulated) -> None:
    x, _ = simulated
    with pytest.raises(ValueError, match="1 regimes, 3 restarts and 4000 rows"):
        GaussianRegimes.fit(x, 1, seed=0)
    with pytest.raises(ValueError, match="and 100 rows"):
        GaussianRegimes.fit(x[:100], 2, seed=0)
    with pytest.raises(ValueError, match="drop NaN first"):
        GaussianRegimes.fit(x * np.nan, 2, seed=0)
    with pytest.raises(ValueError, match="column 0 of x is constant"):
        GaussianRegimes.fit_without_memory(np.ones((500, 1)), 2, seed=0)
    with pytest.raises(ValueError, match="x has 1 columns, the regimes 2"):
        TRUTH.filter(x)
    atoms = np.where(np.arange(400)[:, None] % 2, 0.0, x[:400])
    with pytest.raises(ValueError, match="a regime shrank onto a few days"):
        GaussianRegimes.fit_without_memory(atoms, 2, seed=0)
    table = pd.DataFrame(x[:300], pd.bdate_range("2020-01-01", periods=300))
    for start, message in (("2019-01-01", "0 returns before"), ("2029-01-01", "no return on")):
        with pytest.raises(ValueError, match=f"{message}.* {start}"):
            walk_forward_regimes(table, lambda x: TRUTH, start=start)
    with pytest.raises(ValueError, match="not in order of time"):
        walk_forward_regimes(table[::-1], lambda x: TRUTH, start="2020-06-01")
