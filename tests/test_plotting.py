"""Figures draw what they claim to."""

import re

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from scipy import stats

from genfin_lib import plotting
from genfin_lib.training import History


@pytest.fixture
def ax():
    fig, ax = plt.subplots()
    yield ax
    plt.close(fig)


def test_density_lines_enclose_the_stated_probability(ax) -> None:
    normal = torch.distributions.Normal(0.0, 1.0)
    plotting.density(
        lambda x: normal.log_prob(x).sum(1), (-5, 5, -5, 5), ax, color="k", levels=(0.5, 0.9)
    )
    # A circle of radius r holds 1 - exp(-r^2 / 2) of the standard normal law.
    vertices = [path.vertices for c in ax.collections for path in c.get_paths() if len(path)]
    radii = sorted(np.linalg.norm(v, axis=1).mean() for v in vertices)
    assert radii == pytest.approx(
        [np.sqrt(-2 * np.log(0.1)), np.sqrt(-2 * np.log(0.5))][::-1], abs=0.05
    )


def test_band_of_the_tail_is_clopper_pearson(ax) -> None:
    returns = -np.arange(1.0, 101.0)
    plotting.loss_tail(returns, {}, ax)
    band = ax.collections[0].get_paths()[0].vertices
    at_largest = band[np.isclose(band[:, 0], 100.0), 1]
    low, high = stats.binomtest(1, 100).proportion_ci(0.95, method="exact")
    assert at_largest.min() == pytest.approx(low)
    assert at_largest.max() == pytest.approx(high)


def test_model_of_the_tail_is_drawn_in_its_own_color(ax) -> None:
    rng = np.random.default_rng(0)
    plotting.loss_tail(rng.normal(size=500), {"Gaussian": stats.norm.sf}, ax)
    line = next(line for line in ax.lines if line.get_label() == "Gaussian")
    assert line.get_color() == plotting.COLORS["Gaussian"]
    x, y = line.get_data()
    assert y == pytest.approx(stats.norm.sf(x))


def test_qq_points_stand_over_the_quantiles_of_the_reference(ax) -> None:
    """A sample that *is* the reference's quantiles lies on the diagonal, in any order."""
    law = stats.t(3, loc=1.0, scale=2.0)
    sample = law.ppf(np.arange(1, 100) / 100)
    plotting.qq_plot(np.random.default_rng(0).permutation(sample), law.ppf, ax)
    x, y = ax.lines[-1].get_data()
    assert x == pytest.approx(sample)
    assert y == pytest.approx(sample)


def test_qq_band_of_the_largest_value_is_exact(ax) -> None:
    """P(max <= q) = F(q)^n, so the ends of its band are known without the Beta law."""
    law, n = stats.expon(scale=3.0), 50
    plotting.qq_plot(law.rvs(n, random_state=0), law.ppf, ax, confidence=0.9)
    band = ax.collections[0].get_paths()[0].vertices
    at_largest = band[np.isclose(band[:, 0], law.ppf(n / (n + 1))), 1]
    assert law.cdf(at_largest.min()) ** n == pytest.approx(0.05)
    assert law.cdf(at_largest.max()) ** n == pytest.approx(0.95)


def test_qq_band_covers_a_sample_of_the_reference(ax) -> None:
    law, inside = stats.t(4), []
    for seed in range(200):
        ax.clear()
        plotting.qq_plot(law.rvs(40, random_state=seed), law.ppf, ax)
        x, y = ax.lines[-1].get_data()
        band = ax.collections[0].get_paths()[0].vertices
        ends = [band[np.isclose(band[:, 0], at), 1] for at in x]
        inside.append([e.min() <= value <= e.max() for e, value in zip(ends, y, strict=True)])
    # 200 samples: the mean over ranks of a pointwise 95 % coverage has an error below 0.01.
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("values", [[1.0], [1.0, np.nan], [[1.0, 2.0], [3.0, 4.0]]])
def test_qq_plot_refuses_what_is_no_sample(ax, values) -> None:
    with pytest.raises(ValueError, match="one sample of at least two finite values"):
        plotting.qq_plot(values, stats.norm.ppf, ax)


def test_learning_curve_marks_the_epoch_kept(ax) -> None:
    history = History([3.0, 2.0, 1.0], [3.0, 1.5, 2.0], [0.1] * 3, best_epoch=1)
    plotting.learning_curve(history, ax, label="flow", color="k")
    assert ax.lines[-1].get_xydata().tolist() == [[2.0, 1.5]]


def test_stretched_grid_draws_the_image_of_the_grid(ax) -> None:
    plotting.stretched_grid(lambda z: 2 * z, ax, limit=1.0, lines=3)
    points = np.concatenate([line.get_xydata() for line in ax.lines])
    assert len(ax.lines) == 6
    assert np.abs(points).max() == 2.0


def test_partway_passes_through_every_step() -> None:
    steps = [lambda z: z + 1, lambda z: 3 * z]
    z = torch.ones(1, 2)
    places = [plotting.partway(steps, z, t)[0, 0].item() for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert places == pytest.approx([1.0, 1.5, 2.0, 4.0, 6.0])


def test_player_is_self_contained_and_described() -> None:
    html = plotting.player(lambda fig, t: fig.add_subplot(), frames=3, alt='a "moving" grid')
    assert 'alt="a &quot;moving&quot; grid"' in html
    assert len(re.findall("data:image/webp;base64", html)) == 4  # three frames, the first twice
    assert "http" not in html
    assert 'max="2"' in html


def test_style_keeps_a_white_ground(ax) -> None:
    with matplotlib.rc_context():
        plotting.use_style()
        assert plt.rcParams["figure.facecolor"] == "white"


def test_colors_are_distinct() -> None:
    assert len(set(plotting.COLORS.values())) == len(plotting.COLORS)
