"""Continuous flows: points move along a learned vector field, as the solution of an ODE.

Time runs from the latent, ``t = 0``, to the data, ``t = 1``. ``forward`` maps data to latent, as
everywhere in the book, and so integrates back in time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchdiffeq import odeint, odeint_adjoint

from genfin_lib.distributions import fixed_seed
from genfin_lib.flows.field import ExactTrace, HutchinsonTrace, VectorField
from genfin_lib.flows.flow import Flow
from genfin_lib.flows.linear import standardizing
from genfin_lib.flows.transform import Transform


@dataclass(frozen=True)
class Adaptive:
    """Dormand-Prince steps of fifth order, as short as the tolerance asks.

    The rows of a batch share their steps, so a row's result depends on the rows beside it, within
    the tolerance.

    Attributes:
        tolerance: Error allowed in a step, absolute and relative; single precision carries 1e-6.

    Raises:
        ValueError: If the tolerance is not above zero.
    """

    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise ValueError(f"tolerance must be above 0, got {self.tolerance}")

    def arguments(self) -> dict[str, Any]:
        """Return what torchdiffeq's solvers are called with."""
        # step_t ends a step at the end of time. torchdiffeq would step beyond it and interpolate,
        # at an accuracy that the tolerance does not govern.
        options = {"step_t": torch.tensor([0.0, 1.0]), "max_num_steps": 2000}
        tolerances = {"rtol": self.tolerance, "atol": self.tolerance}
        return {"method": "dopri5", "options": options, **tolerances}


@dataclass(frozen=True)
class FixedSteps:
    """Equal Runge-Kutta steps of fourth order, four evaluations of the field in each.

    The same cost for every batch, and no control of the error: double the steps and compare.

    Attributes:
        steps: Number of steps from latent to data.

    Raises:
        ValueError: If there is no step.
    """

    steps: int = 10

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be 1 or more, got {self.steps}")

    def arguments(self) -> dict[str, Any]:
        """Return what torchdiffeq's solvers are called with."""
        # The grid is given, not its step: 1/49 and the like would round to one tiny step more.
        return {"method": "rk4", "options": {"grid_constructor": self._grid}}

    def _grid(self, _function: object, _start: Tensor, t: Tensor) -> Tensor:
        return torch.linspace(t[0].item(), t[-1].item(), self.steps + 1).to(t)


class Continuous(Transform):
    r"""The flow of an ordinary differential equation, and its log-determinant.

    .. math::
        \frac{dx_t}{dt} = v(x_t, t; c), \quad x_1 = x, \quad z = x_0, \qquad
        \log\left|\det\frac{\partial z}{\partial x}\right|
        = -\int_0^1 \nabla\!\cdot v(x_t, t; c)\,dt

    Over a short time the map is nearly the identity, and its log-determinant is the trace of its
    derivative; over a long time traces add up. Invertibility comes from the uniqueness of
    solutions and not from the architecture, so the field may be any network. Both hold as far as
    the solver is accurate.

    Chen et al. (2018), https://arxiv.org/abs/1806.07366.

    Args:
        field: The velocity.
        divergence: How its divergence is computed: :class:`~genfin_lib.flows.field.ExactTrace`, if
            ``None``, or :class:`~genfin_lib.flows.field.HutchinsonTrace`.
        solver: :class:`Adaptive`, if ``None``, or :class:`FixedSteps`.
        adjoint: Take gradients by a second solve, back along the path, so that memory does not
            grow with the number of steps. ``False`` differentiates the solver's steps: for small
            fields faster, and the gradient of exactly what was computed.

    Chapter: continuous flows and flow matching.
    """

    def __init__(
        self,
        field: VectorField,
        *,
        divergence: ExactTrace | HutchinsonTrace | None = None,
        solver: Adaptive | FixedSteps | None = None,
        adjoint: bool = True,
    ) -> None:
        super().__init__()
        self.field = field
        self.divergence = ExactTrace() if divergence is None else divergence
        if isinstance(self.divergence, ExactTrace):
            self.divergence.check(field)
        self.solver = Adaptive() if solver is None else solver
        self.adjoint = adjoint

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._with_log_det(x, context, (1.0, 0.0))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._with_log_det(z, context, (0.0, 1.0))

    def generate(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        def dynamics(t: Tensor, x: Tensor) -> Tensor:
            return self.field(x, t.expand(len(x), 1), context)

        return self._solve(dynamics, z, context, (0.0, 1.0))

    def _with_log_det(
        self, x: Tensor, context: Tensor | None, times: tuple[float, float]
    ) -> tuple[Tensor, Tensor]:
        """Solve for the point and the integral of the divergence, carried as one more column."""
        features, trace = self.field.features, self.divergence(self.field, x)

        def dynamics(t: Tensor, state: Tensor) -> Tensor:
            column = t.expand(len(state), 1)
            velocity, hidden = self.field.with_hidden(state[:, :features], column, context)
            return torch.cat((velocity, trace(hidden)[:, None]), dim=1)

        start = torch.cat((x, x.new_zeros(len(x), 1)), dim=1)
        end = self._solve(dynamics, start, context, times)
        return end[:, :features], end[:, features]

    def _solve(
        self,
        dynamics: Callable[[Tensor, Tensor], Tensor],
        start: Tensor,
        context: Tensor | None,
        times: tuple[float, float],
    ) -> Tensor:
        solve, arguments = odeint, self.solver.arguments()
        if self.adjoint:
            conditions = () if context is None else (context,)
            solve = partial(odeint_adjoint, adjoint_params=(*self.field.parameters(), *conditions))
        try:
            return solve(dynamics, start, start.new_tensor(times), **arguments)[-1]
        except AssertionError as error:  # torchdiffeq's way to say that it cannot go on
            raise ValueError(
                f"{self.solver} did not reach the end ({error}): the field is too steep, or the "
                "tolerance too small for this precision; raise it, or use double precision"
            ) from error


def continuous_flow(
    features: int,
    context: int = 0,
    *,
    transforms: int = 1,
    hidden: Sequence[int] = (64, 64),
    base: nn.Module | None = None,
    standardize: Tensor | None = None,
    divergence: ExactTrace | HutchinsonTrace | None = None,
    solver: Adaptive | FixedSteps | None = None,
    adjoint: bool = True,
    seed: int = 0,
) -> Flow:
    r"""Continuous normalizing flow, to be trained by maximum likelihood.

    Chen et al. (2018), https://arxiv.org/abs/1806.07366; Grathwohl et al. (2019),
    https://arxiv.org/abs/1810.01367.

    Args:
        features: Dimension of the data, one or more.
        context: Dimension of the context, 0 for none.
        transforms: Number of fields, followed one after the other.
        hidden: Widths of the hidden layers of each field, two of them for the exact trace.
        base: Base distribution, standard normal if ``None``.
        standardize: Training rows, shape ``(N, D)``. Their mean and standard deviation become
            the first layer of the flow, with its Jacobian.
        divergence: See :class:`~genfin_lib.flows.continuous.Continuous`.
        solver: See :class:`~genfin_lib.flows.continuous.Continuous`.
        adjoint: See :class:`~genfin_lib.flows.continuous.Continuous`.
        seed: Seed of the initial weights.

    Returns:
        An untrained flow; but for ``standardize`` it is the identity.

    Raises:
        ValueError: If ``features`` is below one, or ``standardize`` has the wrong width, NaN, or a
            constant column.
    """
    layers = standardizing(features, standardize)
    with fixed_seed(seed):
        for _ in range(transforms):
            field = VectorField(features, context, hidden=hidden)
            layers.append(Continuous(field, divergence=divergence, solver=solver, adjoint=adjoint))
    return Flow(features, context, transforms=layers, base=base)
