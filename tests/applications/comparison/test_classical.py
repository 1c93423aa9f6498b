"""GARCH of windows against slow arithmetic, and blocks that are whole."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from genfin_lib.applications.comparison.classical import BlockBootstrap, WindowGarch
from genfin_lib.data import simulate_garch
from genfin_lib.training import fit
from tests.contracts.registry import perturb


def model(seed: int = 1) -> WindowGarch:
    return perturb(WindowGarch(nodes=40).double(), size=0.2, seed=seed)


def by_hand(garch: WindowGarch, window: np.ndarray, log_variance: float) -> float:
    """Density of one window given its first variance, by the recursion as written."""
    alpha, half, beta, rest = garch.shares.softmax(0).tolist()
    df, mean, variance = garch.df.item(), garch.mean.item(), math.exp(log_variance)
    total = 0.0
    for r in window:
        scale = math.sqrt(variance * (df - 2) / df)
        total += stats.t.logpdf(r, df, mean, scale)
        weight = alpha + (2 * half if r < mean else 0.0)
        long_run = rest * math.exp(garch.log_variance.item())
        variance = long_run + weight * (r - mean) ** 2 + beta * variance
    return math.exp(total)


def test_density_sums_the_first_variance_out() -> None:
    garch = model()
    window = np.array([0.3, -1.2, 2.5, -0.1, 0.4])
    m, s = garch.start[0].item(), garch.start[1].exp().item()
    exact, _ = integrate.quad(
        lambda v: by_hand(garch, window, v) * stats.norm.pdf(v, m, s), m - 9 * s, m + 9 * s
    )
    found = garch.log_prob(torch.tensor(window)[None, None]).item()
    assert found == pytest.approx(math.log(exact), abs=1e-6)


def test_draws_follow_the_density() -> None:
    # E q(x) / p(x) = 1 over draws of p, for any density q; here a narrow Gaussian.
    garch = model()
    x = garch.sample(50_000, length=3, seed=0)
    q = stats.norm.logpdf(x.numpy(), 0.1, 0.5).sum(axis=(1, 2))
    ratio = np.exp(q - garch.log_prob(x).detach().numpy())
    error = ratio.std() / math.sqrt(len(ratio))
    assert error < 0.02
    assert ratio.mean() == pytest.approx(1, abs=4 * error)


def test_fitted_it_comes_near_the_truth_of_a_garch_market() -> None:
    truth = simulate_garch(64 * 600, seed=0, volatility=1.0, mean=0.05, leverage=0.04, alpha=0.06)
    x = torch.tensor(truth.returns.reshape(600, 1, 64), dtype=torch.float32)
    garch = WindowGarch()
    fit(garch, x, seed=0, epochs=8, batch_size=100, learning_rate=0.05, cosine=True)
    with torch.no_grad():
        gap = truth.log_likelihood.mean() - garch.log_prob(x).mean().item() / 64
    # The truth knows the first volatility of each window, which is worth about 0.01 a day.
    assert 0 < gap < 0.03
    # One law for all days, which volatility that clusters is not, lies further off.
    constant = stats.t.logpdf(truth.returns, *stats.t.fit(truth.returns, floc=0.05)).mean()
    assert truth.log_likelihood.mean() - constant > 0.05


def test_blocks_are_runs_of_one_window() -> None:
    train = torch.arange(5 * 12.0).reshape(5, 1, 12)
    drawn = BlockBootstrap(train, block=5).sample(100, seed=0)
    assert drawn.shape == (100, 1, 12)
    steps = drawn.diff(dim=2)[:, 0]
    inside = [i for i in range(11) if i % 5 != 4]  # seams lie after each fifth time
    assert (steps[:, inside] == 1).all()
    assert (steps[:, [4, 9]] != 1).any()
    starts = drawn[:, 0, 0] % 12
    assert set(starts.tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0}


def test_channels_of_a_block_stay_together() -> None:
    one = torch.arange(40.0).reshape(4, 1, 10)
    drawn = BlockBootstrap(torch.cat((one, -one), dim=1), block=3).sample(50, seed=0)
    assert torch.equal(drawn[:, 0], -drawn[:, 1])


def test_rows_are_drawn_whole() -> None:
    rows = torch.randn(20, 3)
    drawn = BlockBootstrap(rows, block=1).sample(100, seed=0)
    assert {tuple(row) for row in drawn.tolist()} <= {tuple(row) for row in rows.tolist()}


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="between 1 and 12"):
        BlockBootstrap(torch.zeros(5, 1, 12), block=13)
    with pytest.raises(ValueError, match="finite"):
        WindowGarch().log_prob(torch.full((2, 1, 4), math.nan))
