import copy
import math

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal, Normal, StudentT, kl_divergence

from genfin_lib.latent import (
    RVRAE,
    DynamicPrior,
    GaussianPosterior,
    LinearDecoder,
    NetworkEncoder,
    Panel,
    ScalePrior,
    SlowDecoder,
    StandardPrior,
)
from genfin_lib.training import fit

D, M, H, C = 6, 2, 5, 3


def perturbed(model: RVRAE, *, scale: float = 0.3) -> RVRAE:
    """Weights away from their start, where zeros hide mistakes."""
    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter.data += scale * torch.randn_like(parameter)
    return model.double().eval()


def plain() -> RVRAE:
    torch.manual_seed(0)
    return perturbed(RVRAE(D, M, hidden=H))


def gaussian() -> RVRAE:
    """Linear and Gaussian given the state: every density is known."""
    torch.manual_seed(0)
    decoder = LinearDecoder(D, M, H, df=None)
    return perturbed(RVRAE(D, M, hidden=H, decoder=decoder, encoder=GaussianPosterior()))


def slow(*, df: float | None = 6.0) -> RVRAE:
    torch.manual_seed(0)
    parts = {"decoder": SlowDecoder(D, M, 4, df=df), "prior": ScalePrior(M, H, C)}
    encoder = GaussianPosterior()
    return perturbed(RVRAE(D, M, context=C, hidden=H, encoder=encoder, draws=4, **parts))


def scaled() -> RVRAE:
    """Each day larger or smaller as a whole."""
    torch.manual_seed(0)
    parts = {"decoder": LinearDecoder(D, M, H, df=None), "prior": DynamicPrior(M, H)}
    encoder = GaussianPosterior()
    return perturbed(RVRAE(D, M, hidden=H, encoder=encoder, common_scale=0.3, draws=2, **parts))


def panel(n: int = 3, days: int = 7, *, gaps: bool = True, known: bool = False) -> Panel:
    """Simulated days, some of them not seen."""
    torch.manual_seed(2)
    x = torch.randn(n, days, D, dtype=torch.float64)
    if gaps:
        x[torch.rand_like(x) < 0.2] = torch.nan
        x[0, 2] = torch.nan  # a day without a number
        x[-1, :4, 3] = torch.nan  # a history that begins later
    if not known:
        return Panel.of(x)
    return Panel.of(
        x,
        context=torch.randn(n, days, C, dtype=torch.float64),
        own=torch.randn(n, days, D, 4, dtype=torch.float64),
        loadings=0.4 * torch.randn(n, days, D, M, dtype=torch.float64),
    )


MODELS = {"plain": (plain, False), "gaussian": (gaussian, False), "slow": (slow, True)}
MODELS["scaled"] = (scaled, False)
each_model = pytest.mark.parametrize(("build", "known"), MODELS.values(), ids=MODELS)


@each_model
def test_one_day_at_a_time_gives_the_numbers_of_the_whole_stretch(build, known) -> None:
    model, days = build(), panel(known=known)
    whole, state = model.filter(days), None
    for t in range(days.x.shape[1]):
        step = model.filter(days.days(t, t + 1), state)
        state = step.state
        torch.testing.assert_close(step.factors[:, 0], whole.factors[:, t], rtol=0, atol=1e-12)
        torch.testing.assert_close(step.prior.stddev[:, 0], whole.prior.stddev[:, t])
    torch.testing.assert_close(state, whole.state, rtol=0, atol=1e-12)


@each_model
def test_the_future_does_not_reach_a_forecast(build, known) -> None:
    model, days = build(), panel(known=known)
    before = model.predict(days, seed=3)
    changed = days._replace(x=days.x.clone())
    changed.x[:, 4:] += 100.0
    after = model.predict(changed, seed=3)
    for one, two in zip(before, after, strict=True):
        torch.testing.assert_close(one[:, :5], two[:, :5], rtol=0, atol=0)
    assert not torch.equal(before[1][:, 5:], after[1][:, 5:])


@each_model
def test_what_was_not_seen_has_no_influence(build, known) -> None:
    model, days = build(), panel(known=known)
    filled = torch.where(days.seen.bool(), days.x, torch.nan)
    again = Panel.of(filled, context=days.context, own=days.own, loadings=days.loadings)
    torch.testing.assert_close(model.log_scores(again, seed=0), model.log_scores(days, seed=0))
    # A series never seen leaves the law of the others alone in a linear Gaussian model.
    assert (days.x[~days.seen.bool()] == 0).all()
    scores = model.log_scores(days, draws=2000, seed=0)
    assert abs(scores[0, 2]) < 0.05  # nothing seen: probability one


@each_model
def test_elbo_is_below_the_importance_weighted_bound(build, known) -> None:
    model, days = build(), panel(known=known)
    elbo = torch.stack([model.elbo(days).bound for _ in range(200)]).mean(0)
    bounds = [model.log_prob(days, draws=k, seed=5) for k in (2, 2000)]
    assert (elbo <= bounds[1] + 0.05).all()
    assert bounds[0].mean() < bounds[1].mean() + 0.05


def test_linear_gaussian_bounds_are_the_exact_density() -> None:
    model, days = gaussian(), panel(gaps=False)
    mean, covariance = model.predict(days)
    exact = MultivariateNormal(mean, covariance).log_prob(days.x)
    # The posterior is exact, so that every draw gives the same weight.
    for draws in (1, 3):
        torch.testing.assert_close(model.log_scores(days, draws=draws, seed=0), exact)
    elbo = model.elbo(days)
    torch.testing.assert_close(elbo.bound, exact.sum(-1))
    torch.testing.assert_close(model.log_weights(days), exact.sum(-1))


def test_linear_gaussian_density_with_gaps_is_that_of_the_numbers_seen() -> None:
    model, days = gaussian(), panel()
    mean, covariance = model.predict(days)
    scores = model.log_scores(days, draws=1, seed=0)
    for n, t in ((0, 0), (1, 1), (2, 3), (0, 2)):
        seen = days.seen[n, t].bool()
        exact = MultivariateNormal(mean[n, t][seen], covariance[n, t][seen][:, seen])
        expected = exact.log_prob(days.x[n, t][seen]) if seen.any() else torch.tensor(0.0)
        torch.testing.assert_close(scores[n, t], expected.double())


def test_common_scale_is_a_mixture_of_sizes_of_the_day() -> None:
    model, days = scaled(), panel()
    spread = model.scale.log_spread.exp().detach()
    mixed, found = model.log_scores(days, draws=5000, seed=0), model.predict(days)
    model.scale = None
    mean, covariance = model.predict(days)
    nodes, step = torch.linspace(-8, 8, 401, dtype=torch.float64), 16 / 400
    for n, t in ((0, 0), (1, 1), (2, 3)):
        seen = days.seen[n, t].bool()
        size = (spread * nodes).exp()[:, None]
        covariances = size[..., None] ** 2 * covariance[n, t][seen][:, seen]
        laws = MultivariateNormal(size * mean[n, t][seen], covariances)
        density = (laws.log_prob(days.x[n, t][seen]) + Normal(0.0, 1.0).log_prob(nodes)).exp()
        assert abs(mixed[n, t] - (density.sum() * step).log()) < 0.03
    weights, size = Normal(0.0, 1.0).log_prob(nodes).exp() * step, (spread * nodes).exp()
    torch.testing.assert_close(found[0], (weights * size).sum() * mean)
    second = covariance + mean[..., :, None] * mean[..., None, :]
    second = (weights * size**2).sum() * second - found[0][..., :, None] * found[0][..., None, :]
    torch.testing.assert_close(found[1], second)


def test_t_density_integrates_to_one() -> None:
    torch.manual_seed(0)
    parts = {"decoder": LinearDecoder(1, 1, 2, df=5.0), "prior": ScalePrior(1, 2)}
    model = perturbed(RVRAE(1, 1, hidden=2, encoder=GaussianPosterior(), **parts))
    grid = torch.linspace(-60, 60, 4001, dtype=torch.float64)
    density = model.log_scores(Panel.of(grid[:, None, None]), draws=400, seed=0)[:, 0].exp()
    assert torch.trapezoid(density, grid).item() == pytest.approx(1, abs=0.01)


@each_model
def test_draws_have_the_moments_that_predict_gives(build, known) -> None:
    model, days = build(), panel(1, 3, gaps=False, known=known)
    mean, covariance = model.predict(days, draws=40_000, seed=1)
    draws = model.forecast(days, 40_000, seed=0)[:, 0, -1]
    size = covariance[0, -1].diagonal().sqrt()
    assert ((draws.mean(0) - mean[0, -1]) / size).abs().max() < 0.03
    found = torch.cov(draws.T) / size / size[:, None]
    assert (found - covariance[0, -1] / size / size[:, None]).abs().max() < 0.2


def test_posterior_covariance_is_no_forecast() -> None:
    """Erratum: it says how well the factors of a day gone are known."""
    model, days = gaussian(), panel(gaps=False)
    path = model.filter(days)
    assert (path.posterior.variance < path.prior.variance).all()


def test_kl_is_never_negative_and_the_wrong_formula_is() -> None:
    """Erratum: log(sigma_p / sigma_q) inside the bracket, without the square."""
    kl = plain().elbo(panel()).kl
    assert (kl >= 0).all()
    assert kl[0, 2] == 0  # nothing seen, nothing learned
    p, q = Normal(0.0, 1.0), Normal(0.0, math.sqrt(0.5))
    wrong = 0.5 * (math.log(p.scale / q.scale) + (q.scale / p.scale) ** 2 - 1)
    assert wrong == pytest.approx(-0.077, abs=1e-3)
    assert kl_divergence(q, p) > 0


def test_loadings_are_the_derivative_of_the_mean() -> None:
    model, days = plain(), panel(2, 3)
    loadings, path = model.loadings(days), model.filter(days)
    z, step = path.prior.mean, 1e-6
    for factor in range(M):
        unit = step * torch.eye(M, dtype=z.dtype)[factor]
        up, down = (model.decoder(z + s * unit, path.before, days).mean for s in (1, -1))
        torch.testing.assert_close(
            loadings[..., factor], (up - down) / (2 * step), atol=1e-7, rtol=1e-5
        )
    linear = gaussian()
    terms = linear.decoder.terms(linear.filter(days).before, days)
    torch.testing.assert_close(linear.loadings(days), terms.loadings)


def test_slow_decoder_starts_from_the_loadings_given() -> None:
    days = panel(known=True)
    decoder = SlowDecoder(D, M, 4, df=None).double()
    terms = decoder.terms(None, days)
    torch.testing.assert_close(terms.loadings, days.loadings)
    unit = terms.loadings.square().sum(-1) + terms.scale.square()
    assert ((unit - 1).abs()[days.loadings.square().sum(-1) < 0.95] < 1e-6).all()


def test_gradient_reaches_every_parameter_and_matches_differences() -> None:
    model, days = slow(), panel(known=True)
    torch.manual_seed(0)
    model.loss(days).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
    weight = model.prior.net[0].weight
    expected = weight.grad[0, 0].item()
    losses = []
    for sign in (1, -1):
        moved = copy.deepcopy(model)
        moved.prior.net[0].weight.data[0, 0] += sign * 1e-5
        torch.manual_seed(0)
        losses.append(moved.loss(days).item())
    assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(expected, rel=1e-4)


def test_loss_is_the_negative_bound_per_day_and_warms_up() -> None:
    model, days = plain(), panel()
    torch.manual_seed(0)
    terms = model.elbo(days)
    torch.manual_seed(0)
    assert model.loss(days).item() == pytest.approx(-terms.bound.mean().item() / 7)
    torch.manual_seed(0)
    start = model.loss(days, progress=0.0).item()
    assert start == pytest.approx(-terms.log_likelihood.mean().item() / 7)


def test_robust_weights_leave_a_broken_series_out() -> None:
    model, days = slow(), panel(1, 1, gaps=False, known=True)
    far, farther = (days._replace(x=days.x.clone()) for _ in range(2))
    far.x[0, 0, 0], farther.x[0, 0, 0] = 50.0, 5000.0
    moved = (model.filter(far).factors - model.filter(farther).factors).abs().max()
    assert moved < 0.1
    normal = slow(df=None)
    assert (normal.filter(far).factors - normal.filter(farther).factors).abs().max() > 10


def test_training_finds_factors_and_recalls_them() -> None:
    """Simulated: one factor whose volatility alternates; its path and scale are recovered."""
    torch.manual_seed(0)
    days = torch.arange(800)
    size = torch.where(days // 20 % 2 == 0, 0.3, 2.0)
    factor = size * torch.randn(800)
    x = factor[:, None] * torch.linspace(0.5, 1.5, 6) + 0.7 * torch.randn(800, 6)
    torch.manual_seed(0)
    parts = {"decoder": LinearDecoder(6, 1, 6, df=None), "prior": ScalePrior(1, 6, df=50.0)}
    model = RVRAE(6, 1, hidden=6, encoder=GaussianPosterior(), warm_up=0.0, **parts)
    train = Panel.of(x[None, :600]).windows(20)
    before = model.loss(train).item()
    fit(model, train, seed=0, epochs=30, batch_size=15, learning_rate=3e-2, cosine=True)
    assert model.loss(train).item() < before - 0.5
    path = model.filter(Panel.of(x[None]))
    later = slice(600, None)
    found = torch.corrcoef(torch.stack((path.factors[0, later, 0].detach(), factor[later])))
    assert found[0, 1].abs() > 0.9
    scale = path.prior.scale[0, later, 0].detach()
    assert scale[size[later] > 1].mean() > 1.5 * scale[size[later] < 1].mean()


def test_sampled_paths_follow_a_standard_prior() -> None:
    torch.manual_seed(0)
    model = RVRAE(D, M, hidden=H, prior=StandardPrior(M))
    draws = model.sample(5, length=4, seed=0)
    assert draws.shape == (5, 4, D)
    torch.testing.assert_close(draws, model.sample(5, length=4, seed=0))
    assert not torch.equal(draws, model.sample(5, length=4, seed=1))


def test_reconstruction_knows_the_day() -> None:
    model, days = gaussian(), panel(gaps=False)
    assert model.reconstruct(days).shape == days.x.shape
    error = (model.reconstruct(days) - days.x).square().mean()
    assert error < (model.predict(days)[0] - days.x).square().mean()


def test_a_cell_of_ones_own_may_forget() -> None:
    class NoMemory(nn.Module):
        def forward(self, _: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(state)

    model = perturbed(RVRAE(D, M, hidden=H, cell=NoMemory()))
    days = panel(gaps=False)
    one, two = model.predict(days, seed=0)[0], model.predict(days.days(3, None), seed=0)[0]
    torch.testing.assert_close(one[:, 4].mean(), two[:, 1].mean(), atol=0.2, rtol=0)


def test_windows_end_with_the_last_day() -> None:
    days = panel(1, 7, known=True)
    cut = days.windows(3)
    assert cut.x.shape == (2, 3, D)
    assert cut.own.shape == (2, 3, D, 4)
    torch.testing.assert_close(cut.x[1, -1], days.x[0, -1])
    torch.testing.assert_close(cut.x[0, 0], days.x[0, 1])


def test_scale_prior_is_bounded_and_has_no_mean() -> None:
    prior = perturbed(slow()).prior
    law = prior(1e4 * torch.randn(9, H).double(), torch.randn(9, C).double())
    assert isinstance(law, StudentT)
    assert (law.loc == 0).all()
    assert ((law.scale.log() - prior.log_level).abs() <= 2).all()


def test_wrong_input_is_refused() -> None:
    x = torch.randn(2, 5, D)
    with pytest.raises(ValueError, match=r"write x\[None\]"):
        Panel.of(x[0])
    with pytest.raises(ValueError, match="context has shape"):
        Panel.of(x, context=torch.randn(2, 4, C))
    with pytest.raises(ValueError, match="no window"):
        Panel.of(x).windows(6)
    with pytest.raises(ValueError, match="panel of shape"):
        plain().filter(Panel.of(x[..., :-1].double()))
    with pytest.raises(ValueError, match="linear in the factors"):
        RVRAE(D, M, encoder=GaussianPosterior())
    with pytest.raises(ValueError, match="slow loadings of shape"):
        slow().filter(panel())
    assert isinstance(RVRAE(D, M).encoder, NetworkEncoder)
    assert isinstance(RVRAE(D, M).prior, DynamicPrior)
