"""What continuous flows promise beyond the contracts: trace, density, gradients, robustness."""

import math

import pytest
import torch

from genfin_lib.flows import Flow, continuous_flow
from genfin_lib.flows.continuous import Adaptive, Continuous, FixedSteps
from genfin_lib.flows.field import ExactTrace, HutchinsonTrace, VectorField
from genfin_lib.training import evaluate, fit
from tests.contracts.registry import perturb

FINE = Adaptive(1e-11)


def moved_field(features: int, context: int = 0, hidden=(16, 12), size: float = 0.3) -> VectorField:
    torch.manual_seed(0)
    return perturb(VectorField(features, context, hidden=hidden), size=size).double()


def points(rows: int, features: int) -> torch.Tensor:
    return torch.randn(rows, features, generator=torch.Generator().manual_seed(3)).double()


def autograd_jacobian(field: VectorField, x: torch.Tensor, t: torch.Tensor, c: torch.Tensor):
    """Jacobian of the velocity with respect to each point, shape (N, D, D)."""
    return torch.stack(
        [
            torch.autograd.functional.jacobian(
                lambda row, i=i: field(row[None], t[i : i + 1], c[i : i + 1])[0], x[i]
            )
            for i in range(len(x))
        ]
    )


class LinearField(VectorField):
    """v = A x, whose solution is known. The units pass what they get: slope one, as at 0."""

    def __init__(self, matrix: torch.Tensor) -> None:
        super().__init__(len(matrix), hidden=(len(matrix), len(matrix)))
        self.double()
        with torch.no_grad():
            for layer in (*self.inner, self.last):
                layer.weight.zero_().fill_diagonal_(1.0)
                layer.bias.zero_()
            self.inner[1].weight.copy_(matrix)

    def with_hidden(self, x, t, context=None):
        hidden = torch.cat((x, t), dim=1)
        for layer in self.inner:
            hidden = layer(hidden)
        return self.last(hidden), [torch.zeros_like(x), torch.zeros_like(x)]


class TestTrace:
    @pytest.mark.parametrize("features", [1, 2, 5])
    def test_exact_trace_is_the_trace_of_autograd(self, features: int) -> None:
        field, x = moved_field(features, 2), points(6, features)
        t, context = torch.rand(6, 1).double(), points(6, 2)
        velocity, hidden = field.with_hidden(x, t, context)
        jacobian = autograd_jacobian(field, x, t, context)
        exact = ExactTrace()(field, x)(hidden)
        expected = jacobian.diagonal(dim1=1, dim2=2).sum(1)
        torch.testing.assert_close(exact, expected, atol=1e-12, rtol=0)
        torch.testing.assert_close(field(x, t, context), velocity, atol=0, rtol=0)

    @pytest.mark.parametrize("hidden", [(9,), (16, 12), (8, 7, 9)])
    def test_hutchinson_is_the_quadratic_form_of_its_noise(self, hidden) -> None:
        field, x, t = moved_field(4, 1, hidden), points(5, 4), torch.rand(5, 1).double()
        context = points(5, 1)
        _, hidden = field.with_hidden(x, t, context)
        jacobian = autograd_jacobian(field, x, t, context)
        estimate = HutchinsonTrace(seed=8)(field, x)(hidden)
        torch.manual_seed(8)
        noise = 2 * torch.randint_like(x, 2) - 1
        expected = torch.einsum("ni,nij,nj->n", noise, jacobian, noise)
        torch.testing.assert_close(estimate, expected, atol=1e-12, rtol=0)

    def test_hutchinson_is_unbiased(self) -> None:
        """Log-determinants of many solves from one point, against the exact one."""
        field = moved_field(6, size=0.5)
        x = points(1, 6).expand(4000, 6)
        estimated = Continuous(field, divergence=HutchinsonTrace(seed=0), solver=FixedSteps(20))
        exact = Continuous(field, solver=FixedSteps(20))
        with torch.no_grad():
            draws, truth = estimated(x)[1], exact(x[:1])[1]
        error = draws.std() / math.sqrt(4000)
        assert draws.std() > 0.05  # else the test could not fail
        assert abs(draws.mean() - truth) < 4 * error

    def test_hutchinson_noise_has_a_seed(self) -> None:
        field, x = moved_field(3), points(5, 3)
        fixed, free = (Continuous(field, divergence=HutchinsonTrace(seed)) for seed in (1, None))
        state = torch.get_rng_state()
        assert torch.equal(fixed(x)[1], fixed(x)[1])
        assert torch.equal(state, torch.get_rng_state())
        assert not torch.equal(free(x)[1], free(x)[1])
        assert torch.allclose(free(x)[0], fixed(x)[0])

    def test_exact_trace_needs_two_hidden_layers(self) -> None:
        with pytest.raises(ValueError, match=r"two hidden layers, got 3.*HutchinsonTrace"):
            continuous_flow(2, hidden=(4, 4, 4)).log_prob(torch.zeros(1, 2))


class TestDensity:
    def test_linear_field_has_the_density_of_the_matrix_exponential(self) -> None:
        """x = exp(A) z, so x is Gaussian with covariance exp(A) exp(A)^T."""
        matrix = 0.8 * points(3, 3)
        flow = Flow(3, transforms=[Continuous(LinearField(matrix), solver=FINE)]).double()
        x = points(50, 3)
        scale = torch.linalg.matrix_exp(matrix)
        law = torch.distributions.MultivariateNormal(torch.zeros(3).double(), scale @ scale.T)
        torch.testing.assert_close(flow.log_prob(x), law.log_prob(x), atol=1e-8, rtol=0)
        z, log_abs_det = flow(x)
        torch.testing.assert_close(z, x @ torch.linalg.matrix_exp(-matrix).T, atol=1e-9, rtol=0)
        assert torch.allclose(log_abs_det, -matrix.trace(), atol=1e-9)

    def test_density_in_one_dimension_integrates_to_one(self) -> None:
        flow = perturb(continuous_flow(1, hidden=(8, 8), solver=Adaptive(1e-8)), size=0.6).double()
        x = torch.linspace(-30, 30, 20_001).double()
        with torch.no_grad():
            density = flow.log_prob(x[:, None]).exp()
        assert torch.trapezoid(density, x).item() == pytest.approx(1.0, abs=1e-7)
        assert (density - torch.distributions.Normal(0.0, 1.0).log_prob(x).exp()).abs().max() > 0.05

    def test_generate_is_the_inverse_without_its_log_determinant(self) -> None:
        flow = perturb(continuous_flow(3, 2, transforms=2, solver=FixedSteps(6))).double()
        z, context = points(5, 3), points(5, 2)
        assert torch.equal(flow.transform.generate(z, context), flow.inverse(z, context)[0])

    def test_fields_follow_one_another(self) -> None:
        flow = perturb(continuous_flow(2, transforms=3, solver=FINE)).double()
        first, second, third = flow.transform.transforms
        x = points(4, 2)
        torch.testing.assert_close(third(second(first(x)[0])[0])[0], flow(x)[0])
        assert not torch.allclose(first.field.inner[0].weight, second.field.inner[0].weight)

    def test_time_matters(self) -> None:
        """Two halves of the way with time frozen would give the same map; these do not."""
        field = moved_field(2)
        x = points(4, 2)
        early, late = (field(x, torch.full((4, 1), t).double()) for t in (0.0, 1.0))
        assert not torch.allclose(early, late)

    def test_tolerance_governs_the_error(self) -> None:
        field, x = moved_field(4, size=0.5), points(20, 4)
        with torch.no_grad():
            truth = Continuous(field, solver=Adaptive(1e-12))(x)[1]
            errors = [
                (Continuous(field, solver=Adaptive(tolerance))(x)[1] - truth).abs().max()
                for tolerance in (1e-3, 1e-5, 1e-7)
            ]
            fixed = [
                (Continuous(field, solver=FixedSteps(steps))(x)[1] - truth).abs().max()
                for steps in (10, 20, 40)
            ]
        assert errors[0] > 10 * errors[1] > 100 * errors[2]
        # Fourth order: half the step, a sixteenth of the error.
        assert 10 < fixed[0] / fixed[1] < 25
        assert 10 < fixed[1] / fixed[2] < 25


class TestGradients:
    @pytest.mark.parametrize("divergence", [None, HutchinsonTrace(seed=4)])
    def test_adjoint_agrees_with_differentiating_the_solver(self, divergence) -> None:
        x = points(9, 3).requires_grad_()
        context = points(9, 2).requires_grad_()
        gradients = []
        for adjoint in (True, False):
            field = moved_field(3, 2)
            flow = Continuous(field, divergence=divergence, solver=FINE, adjoint=adjoint)
            z, log_abs_det = flow(x, context)
            loss = 0.5 * z.square().sum() - (log_abs_det * torch.arange(9)).sum()
            gradients.append(torch.autograd.grad(loss, (x, context, *field.parameters())))
        for by_adjoint, direct in zip(*gradients, strict=True):
            assert direct.abs().max() > 0
            torch.testing.assert_close(by_adjoint, direct, atol=1e-7, rtol=1e-7)

    def test_gradient_of_the_likelihood_agrees_with_differences(self) -> None:
        flow = perturb(continuous_flow(2, hidden=(5, 4), solver=Adaptive(1e-12))).double()
        x = points(6, 2)
        flow.loss(x).backward()
        step = 1e-5
        for parameter in flow.parameters():
            place = (0,) * parameter.ndim
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    parameter[place] += sign * step
                    values.append(flow.loss(x).item())
                    parameter[place] -= sign * step
            slope = (values[0] - values[1]) / (2 * step)
            assert parameter.grad[place].item() == pytest.approx(slope, abs=1e-7)


class TestRobustness:
    @pytest.mark.parametrize("solver", [Adaptive(), FixedSteps(8)])
    def test_rows_of_forty_standard_deviations_stay_finite(self, solver) -> None:
        x = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
        x[::8] *= 40.0
        flow = continuous_flow(3, standardize=x, solver=solver)
        fit(flow, x, seed=0, epochs=10, learning_rate=1e-2)
        log_p = flow.log_prob(40.0 * x)
        assert log_p.isfinite().all()
        back, _ = flow.inverse(flow(x)[0])
        torch.testing.assert_close(back, x, atol=1e-2, rtol=1e-3)

    def test_a_solver_that_cannot_reach_the_end_says_so(self) -> None:
        fast = 2e4 * torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
        flow = Continuous(LinearField(fast))
        with pytest.raises(ValueError, match=r"Adaptive\(tolerance=1e-05\) did not reach the end"):
            flow(torch.ones(1, 2).double())

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            (lambda: Adaptive(0.0), "tolerance must be above 0"),
            (lambda: FixedSteps(0), "steps must be 1 or more"),
            (lambda: VectorField(0), "features=0"),
            (lambda: VectorField(2, hidden=()), r"hidden=\(\)"),
        ],
    )
    def test_bad_settings_are_refused(self, wrong, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            wrong()

    @pytest.mark.parametrize("steps", [7, 49, 100])
    def test_fixed_steps_are_as_many_as_asked(self, steps: int) -> None:
        field, calls = moved_field(1), []
        field.inner[0].register_forward_hook(lambda *_: calls.append(1))
        Continuous(field, solver=FixedSteps(steps))(points(2, 1))
        assert len(calls) == 4 * steps


def test_same_seed_same_weights() -> None:
    one, same, other = (continuous_flow(3, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


def test_training_approaches_the_true_entropy() -> None:
    """x2 = e2 + x1^2, whose density is known, as in the tests of the couplings."""
    torch.manual_seed(0)
    x = torch.randn(3000, 2)
    x[:, 1] += x[:, 0] ** 2
    flow = continuous_flow(2, hidden=(32, 32), standardize=x[:2000], adjoint=False)
    before = evaluate(flow, x[2000:], seed=0)
    fit(flow, x[:2000], x[2000:], seed=0, epochs=15, learning_rate=5e-3)
    after = evaluate(flow, x[2000:], seed=0)
    truth = torch.distributions.Normal(0.0, 1.0)
    exact = -(truth.log_prob(x[2000:, 0]) + truth.log_prob(x[2000:, 1] - x[2000:, 0] ** 2)).mean()
    assert exact - 0.03 < after < exact + 0.12 < before - 0.2
