"""Glow's layers and the whole model: what the paper says, and what its imitations get wrong."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from genfin_lib.distributions import StudentT
from genfin_lib.flows import Flow, Glow, Glow1d
from genfin_lib.flows.channels import ActNorm, InvertibleLinear
from genfin_lib.flows.elementwise import Affine
from genfin_lib.flows.linear import DiagonalScale
from genfin_lib.flows.multiscale import Fold, Scale, WindowCoupling
from genfin_lib.training import evaluate, fit
from tests.contracts.registry import perturb

SHAPES = [(4,), (4, 6)]


def rows(n: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed)).double()


def full_log_det(apply, point: Tensor) -> Tensor:
    """Of the Jacobian by automatic differentiation, at one row."""
    jacobian = torch.autograd.functional.jacobian(lambda x: apply(x[None])[0].flatten(), point)
    return torch.linalg.slogdet(jacobian.reshape(point.numel(), -1)).logabsdet


def initialized(model: Flow, x: Tensor) -> Flow:
    """After one batch in training, with every weight moved off its start, for evaluation."""
    model = model.to(x.dtype)
    model.train().log_prob(x)
    return perturb(model, size=0.05).eval()


class TestActNorm:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_first_batch_comes_out_with_mean_zero_and_population_variance_one(self, shape) -> None:
        x = 5.0 + 3.0 * rows(50, *shape)
        z, log_abs_det = ActNorm(4).double().train()(x)
        channels = z.transpose(0, 1).flatten(1)
        torch.testing.assert_close(channels.mean(1), torch.zeros(4).double(), atol=1e-12, rtol=0)
        torch.testing.assert_close(channels.var(1, correction=0), torch.ones(4).double())
        # Minus the log of the deviations: for y = (x - mean) / std it is not plus.
        std = x.transpose(0, 1).flatten(1).std(1, correction=0)
        expected = -(x[0].numel() // 4) * std.log().sum()
        torch.testing.assert_close(log_abs_det, expected.expand(50))

    def test_only_the_first_batch_counts(self) -> None:
        layer = ActNorm(3).double().train()
        layer(rows(20, 3))
        before = copy.deepcopy(layer.state_dict())
        layer(100.0 + rows(20, 3, seed=1))
        assert all(torch.equal(before[key], value) for key, value in layer.state_dict().items())

    def test_loading_does_not_start_it_anew(self) -> None:
        layer = ActNorm(3).double().train()
        layer(5.0 + rows(20, 3))
        loaded = ActNorm(3).double()
        loaded.load_state_dict(layer.state_dict())
        x = 100.0 + 7.0 * rows(20, 3, seed=1)
        for a, b in zip(layer.train()(x), loaded.train()(x), strict=True):
            assert torch.equal(a, b)

    def test_inverse_and_evaluation_leave_it_as_it_is(self) -> None:
        layer = ActNorm(3).double()
        layer.train().inverse(9.0 + rows(20, 3))
        x = 9.0 + rows(20, 3)
        assert torch.equal(layer.eval()(x)[0], x)
        assert not layer.initialized

    def test_first_batch_of_one_row_is_refused_and_a_later_one_is_not(self) -> None:
        layer = ActNorm(3).double().train()
        with pytest.raises(ValueError, match="one row; use a larger batch"):
            layer(rows(1, 3))
        layer(rows(20, 3))
        assert layer(rows(1, 3))[0].isfinite().all()

    def test_constant_channel_is_moved_and_not_scaled(self) -> None:
        x = rows(20, 2)
        x[:, 1] = 0.1
        z, _ = ActNorm(2).double().train()(x)
        torch.testing.assert_close(z[:, 1], torch.zeros(20).double(), atol=1e-12, rtol=0)


class TestInvertibleLinear:
    @pytest.mark.parametrize("channels", [1, 2, 5, 16])
    def test_starts_as_a_rotation_or_a_permutation(self, channels: int) -> None:
        for seed in range(5):
            torch.manual_seed(seed)
            rotation = InvertibleLinear(channels, rotate=True).double().weight
            # Fails if signs or sizes of U's diagonal are lost.
            eye = torch.eye(channels).double()
            torch.testing.assert_close(rotation @ rotation.T, eye, atol=1e-5, rtol=0)
            permutation = InvertibleLinear(channels).weight
            assert torch.equal(permutation.sum(0), torch.ones(channels))
            assert set(permutation.unique().tolist()) <= {0.0, 1.0}

    @pytest.mark.parametrize("rotate", [False, True])
    @pytest.mark.parametrize("shape", SHAPES)
    def test_multiplies_by_its_weight_and_not_by_the_transpose(self, shape, rotate) -> None:
        torch.manual_seed(0)
        layer = perturb(InvertibleLinear(4, rotate=rotate)).double()
        x = rows(7, *shape)
        z, log_abs_det = layer(x)
        torch.testing.assert_close(z, torch.einsum("ij,nj...->ni...", layer.weight, x))
        length = x[0].numel() // 4
        expected = length * torch.linalg.slogdet(layer.weight).logabsdet
        torch.testing.assert_close(log_abs_det, expected.expand(7))

    def test_kept_inverse_follows_every_change_of_the_weights(self) -> None:
        torch.manual_seed(0)
        layer = InvertibleLinear(4).double().eval()
        other = perturb(InvertibleLinear(4)).double().state_dict()
        x = rows(7, 4)

        def returns() -> bool:
            with torch.no_grad():
                return torch.allclose(layer.inverse(layer(x)[0])[0], x, atol=1e-10)

        assert returns()
        perturb(layer)
        assert returns()
        layer.load_state_dict(other)
        assert returns()
        optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1, fused=True)
        layer(x)[0].square().sum().backward()
        optimizer.step()
        assert returns()
        layer.float()
        x = x.float()
        with torch.no_grad():
            torch.testing.assert_close(layer.inverse(layer(x)[0])[0], x, atol=1e-4, rtol=0)

    def test_kept_inverse_is_computed_once_and_never_hides_a_gradient(self, monkeypatch) -> None:
        layer, z, calls = InvertibleLinear(4).double().eval(), rows(7, 4), []
        solve = layer._solve
        monkeypatch.setattr(layer, "_solve", lambda: calls.append(1) or solve())
        with torch.no_grad():
            layer.inverse(z)
            layer.inverse(z)
        assert len(calls) == 1
        layer.inverse(z)[0].square().sum().backward()
        assert layer.packed.grad.abs().sum() > 0


def test_fold_puts_neighbouring_times_side_by_side() -> None:
    x = torch.arange(8.0).reshape(1, 2, 4)
    z, log_abs_det = Fold()(x)
    assert z[0].tolist() == [[0, 2], [1, 3], [4, 6], [5, 7]]
    assert log_abs_det.tolist() == [0]
    assert torch.equal(Fold().inverse(z)[0], x)


def test_scale_lets_the_leading_half_leave_and_deepens_the_rest() -> None:
    deeper = DiagonalScale(3)
    nn.init.constant_(deeper.log_scale, math.log(2.0))
    z, log_abs_det = Scale([], deeper, (5,))(torch.arange(5.0)[None])
    assert z.tolist() == [[0, 1, 4, 6, 8]]
    torch.testing.assert_close(log_abs_det, torch.tensor([3 * math.log(2.0)]))


@pytest.mark.parametrize("flip", [False, True])
def test_window_coupling_is_a_coupling_along_time(flip: bool) -> None:
    torch.manual_seed(0)
    layer = perturb(WindowCoupling(Affine(), 5, 2, flip=flip)).double()
    x, context = rows(4, 5, 6), rows(4, 2, seed=1)
    z, log_abs_det = layer(x, context)
    kept = slice(2, None) if flip else slice(None, 2)
    assert torch.equal(z[:, kept], x[:, kept])
    assert not torch.allclose(layer(x, context + 1)[0], z)
    torch.testing.assert_close(layer.inverse(z, context)[0], x, atol=1e-12, rtol=0)
    true = full_log_det(lambda point: layer(point, context[2:3]), x[2])
    torch.testing.assert_close(log_abs_det[2], true, atol=1e-10, rtol=0)


WINDOWS = [(1, 8), (2, 4), (3, 8)]


def models(dtype: torch.dtype, widths: range = range(2, 17)):
    """Both models over widths and windows, and data for each."""
    for features in widths:
        x = rows(64, features).to(dtype)
        yield initialized(Glow(features, levels=3, base=StudentT(features)), x), x
    for shape in WINDOWS:
        x = (3.0 + 2.0 * rows(64, *shape)).to(dtype)
        yield initialized(Glow1d(*shape, standardize=x), x), x


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_inverse_undoes_forward(dtype: torch.dtype, atol: float) -> None:
    for model, x in models(dtype):
        z, forward = model(x)
        assert z.shape == (64, model.features)
        back, backward = model.inverse(z)
        torch.testing.assert_close(back, x, atol=atol, rtol=atol)
        torch.testing.assert_close(forward, -backward, atol=10 * atol, rtol=atol)


def test_log_det_of_each_row_matches_autograd() -> None:
    for model, x in models(torch.float64):
        z, log_abs_det = model(x)
        true = full_log_det(model, x[1])
        torch.testing.assert_close(log_abs_det[1], true, atol=1e-9, rtol=1e-9)
        true = full_log_det(model.inverse, z[1].detach())
        torch.testing.assert_close(-log_abs_det[1], true, atol=1e-8, rtol=1e-9)


def test_a_row_scores_the_same_alone_and_in_any_batch() -> None:
    for model, x in models(torch.float64, range(2, 17, 7)):
        together = model.log_prob(x)
        alone = torch.cat([model.log_prob(x[i : i + 1]) for i in range(3)])
        torch.testing.assert_close(together[:3], alone, atol=1e-10, rtol=0)
        assert together.std() > 0.1


def test_latents_leave_by_halves_and_the_rest_keeps_the_odd_one() -> None:
    cuts = []
    layer = Glow(15, levels=9).transform.transforms[0]
    while isinstance(layer, Scale):
        cuts.append(layer.cut)
        layer = layer.deeper
    assert cuts == [7, 4, 2]  # 15 -> 8 -> 4 -> 2, and one feature alone cannot be coupled


def test_learned_prior_of_a_split_is_conditional() -> None:
    """What leaves early is normal with mean and scale that the rest decides."""
    model = initialized(Glow(4, levels=2, steps=1, rotate=True), rows(64, 4))
    scale = model.transform.transforms[0]
    *_, prior = scale.layers.transforms
    h = rows(5, 4)
    leaving, log_abs_det = prior(h)
    shifted, _ = prior(h + torch.tensor([0.0, 0.0, 1.0, 0.0]).double())
    assert torch.equal(leaving[:, 2:], h[:, 2:])
    assert not torch.allclose(leaving[:, :2], shifted[:, :2])
    assert log_abs_det.std() > 0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_scales_latents_and_gives_the_stated_law(temperature: float) -> None:
    model = initialized(Glow(2, base=StudentT(2)), rows(64, 2))
    x = model.sample(20_000, temperature=temperature, seed=1)
    plain = model.sample(20_000, seed=1)
    torch.testing.assert_close(model(x)[0], temperature * model(plain)[0], atol=1e-8, rtol=1e-8)
    # Probability of a box by the stated density, against the share of the draws.
    low, high = torch.quantile(x, 0.25, dim=0), torch.quantile(x, 0.8, dim=0)
    ticks = (torch.arange(300).double() + 0.5) / 300
    z, log_abs_det = model(low + (high - low) * torch.cartesian_prod(ticks, ticks))
    log_p = model.base().log_prob(z / temperature) - 2 * math.log(temperature) + log_abs_det
    mass = log_p.exp().mean() * (high - low).prod()
    share = ((x > low) & (x < high)).all(1).double().mean()
    assert abs(mass - share) < 4 * math.sqrt(share * (1 - share) / len(x)) + 1e-3


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_temperature_that_is_none_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature must be above 0"):
        Glow(2).sample(3, temperature=temperature)


def test_windows_are_sampled_and_conditioned() -> None:
    model = initialized(Glow1d(3, 8), rows(64, 3, 8))
    assert model.sample(5).shape == (5, 3, 8)
    assert torch.equal(model.sample(5, seed=1), model.sample(5, seed=1))
    conditional = perturb(Glow1d(3, 8, 2), size=0.1).double().eval()
    context = rows(4, 2)
    draws = conditional.sample(6, context, seed=2)
    assert draws.shape == (4, 6, 3, 8)
    z, _ = conditional(draws[1], context[1].expand(6, 2))
    swapped, _ = conditional(draws[1], context[2].expand(6, 2))
    assert not torch.allclose(z, swapped)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Glow(1), "two or more features, got 1"),
        (lambda: Glow(4, levels=0), "levels must be 1 or more, got 0"),
        (lambda: Glow(4, steps=0), "steps must be 1 or more, got 0"),
        (lambda: Glow(4, standardize=torch.zeros(9, 3)), r"shape \(N, 4\), got \(9, 3\)"),
        (lambda: Glow1d(2, 12, levels=3), r"length 12 is no multiple of 2\*\*levels = 8"),
        (lambda: Glow1d(2, 8, kernel=2), "kernel must be an odd number of 1 or more, got 2"),
        (lambda: Glow1d(0, 8), "channels must be 1 or more, got 0"),
        (lambda: Glow1d(2, 8, standardize=torch.zeros(9, 8, 2)), r"\(N, 2, 8\), got \(9, 8, 2\)"),
        (lambda: Glow1d(2, 8).log_prob(torch.zeros(9, 8, 2)), r"channels before time, got \(9, 8"),
        (lambda: Glow1d(2, 8).log_prob(torch.full((9, 2, 8), math.nan)), "x holds NaN or inf"),
        (lambda: Glow1d(2, 8).inverse(torch.zeros(9, 2, 8)), r"z must have shape \(N, 16\)"),
    ],
)
def test_bad_sizes_and_data_are_refused(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_saved_and_loaded_model_keeps_its_density_even_if_training_goes_on(tmp_path) -> None:
    model = initialized(Glow(5), 5.0 + rows(64, 5))
    torch.save(model.state_dict(), tmp_path / "glow.pt")
    other = Glow(5, seed=7).double()
    other.load_state_dict(torch.load(tmp_path / "glow.pt", weights_only=True))
    x = 50.0 + 9.0 * rows(64, 5, seed=1)
    assert torch.equal(model.log_prob(x), other.train().log_prob(x))


class Killed(Exception):
    pass


def test_killed_training_resumes_bit_for_bit(tmp_path) -> None:
    x = (1.0 + 3.0 * rows(300, 4)).float()
    run = {"seed": 3, "epochs": 6, "batch_size": 64}
    whole = Glow(4, steps=2)
    history = fit(whole, x[:200], x[200:], **run)

    class Dies(Glow):
        calls = 0

        def loss(self, *args, **kwargs):
            self.calls += 1
            if self.calls > 11:
                raise Killed
            return super().loss(*args, **kwargs)

    path = tmp_path / "run.pt"
    with pytest.raises(Killed):
        fit(Dies(4, steps=2), x[:200], x[200:], checkpoint=path, **run)
    resumed = Glow(4, steps=2)
    assert fit(resumed, x[:200], x[200:], checkpoint=path, **run) == history
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


def test_windows_of_a_known_gaussian_law_are_learned() -> None:
    """AR(1) windows of known density: a short training finds four fifths of the dependence."""
    rho, length = 0.8, 8
    time = torch.arange(length).double()
    covariance = rho ** (time[:, None] - time).abs()
    law = torch.distributions.MultivariateNormal(torch.zeros(length).double(), covariance)
    torch.manual_seed(0)
    x = law.sample((4000,))[:, None]
    model = Glow1d(1, length, steps=2, width=16).double()
    fit(model, x[:3000], seed=0, epochs=12, learning_rate=5e-3)
    entropy = law.entropy().item()
    independent = 0.5 * length * math.log(2 * math.pi * math.e)
    nll = evaluate(model, x[3000:], seed=0)
    exact = -law.log_prob(x[3000:, 0]).mean().item()
    assert exact == pytest.approx(entropy, abs=0.2)
    assert nll - exact < 0.2 * (independent - entropy)
