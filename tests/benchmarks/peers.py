"""The peers' flows, built with the same networks as ours and driven by one interface.

Each has layers with two hidden layers of ReLU units and the same number of parameters. Where a
library only has residual networks for an architecture, or a density in D passes where one would
do, the fast form is put together from its own parts: the comparison is with the best the peer can
do, not with its defaults.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import normflows
    import zuko
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow as NflowsFlow
    from nflows.transforms import (
        AffineCouplingTransform,
        CompositeTransform,
        InverseTransform,
        MaskedAffineAutoregressiveTransform,
        MaskedPiecewiseRationalQuadraticAutoregressiveTransform,
        PiecewiseRationalQuadraticCouplingTransform,
        ReversePermutation,
    )
    from nflows.transforms.coupling import AdditiveCouplingTransform
    from torchcfm import ConditionalFlowMatcher
    from torchdiffeq import odeint

FEATURES, HIDDEN, TRANSFORMS, BINS, BOUND, TOLERANCE = 20, 64, 8, 8, 5.0, 1e-5
HALF = FEATURES // 2


@dataclass
class Contestant:
    """A flow and how its library asks for a density, for samples, and for a loss of its own."""

    model: nn.Module
    log_prob: Callable[[Tensor], Tensor] | None
    sample: Callable[[int], Tensor]
    loss: Callable[[Tensor], Tensor] | None = None

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())


def perceptron(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, outputs),
    )


def from_zuko(flow: zuko.flows.Flow) -> Contestant:
    return Contestant(flow, lambda x: flow().log_prob(x), lambda n: flow().sample((n,)))


def zuko_flow(layers: list[nn.Module]) -> Contestant:
    base = zuko.lazy.UnconditionalDistribution(
        zuko.distributions.DiagNormal, torch.zeros(FEATURES), torch.ones(FEATURES), buffer=True
    )
    return from_zuko(zuko.flows.Flow(layers, base))


def zuko_coupling(**univariate: object) -> Contestant:
    masks = [torch.arange(FEATURES) < HALF, torch.arange(FEATURES) >= HALF]
    return zuko_flow(
        [
            zuko.flows.coupling.GeneralCouplingTransform(
                FEATURES, mask=masks[index % 2], hidden_features=(HIDDEN, HIDDEN), **univariate
            )
            for index in range(TRANSFORMS)
        ]
    )


SPLINE = {
    "univariate": zuko.transforms.MonotonicRQSTransform,
    "shapes": [(BINS,), (BINS,), (BINS - 1,)],
}


def zuko_real_nvp() -> Contestant:
    return zuko_coupling()


def zuko_spline_coupling() -> Contestant:
    return zuko_coupling(**SPLINE)


def zuko_maf() -> Contestant:
    return from_zuko(
        zuko.flows.MAF(FEATURES, transforms=TRANSFORMS, hidden_features=(HIDDEN, HIDDEN))
    )


def zuko_spline_autoregressive() -> Contestant:
    return from_zuko(
        zuko.flows.NSF(FEATURES, bins=BINS, transforms=TRANSFORMS, hidden_features=(HIDDEN, HIDDEN))
    )


def stirred(model: nn.Module, size: float = 0.05) -> nn.Module:
    """Weights off their start: solvers have nothing to do while a field is zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=generator))
    return model


def zuko_continuous() -> Contestant:
    # One frequency of time, two inputs: the nearest it has to our one.
    settings = {"freqs": 1, "atol": TOLERANCE, "rtol": TOLERANCE, "exact": True}
    flow = zuko.flows.CNF(FEATURES, hidden_features=(HIDDEN, HIDDEN), **settings)
    return from_zuko(stirred(flow))


def torchcfm_matching() -> Contestant:
    """The library gives paths and targets; network and solver are its user's."""
    field = perceptron(FEATURES + 1, FEATURES)
    matcher = ConditionalFlowMatcher(sigma=0.0)

    def velocity(t: Tensor, x: Tensor) -> Tensor:
        return field(torch.cat((x, t.expand(len(x), 1)), dim=1))

    def loss(x: Tensor) -> Tensor:
        t, x_t, target = matcher.sample_location_and_conditional_flow(torch.randn_like(x), x)
        return (field(torch.cat((x_t, t[:, None]), dim=1)) - target).square().mean()

    def sample(n: int) -> Tensor:
        times, tolerances = torch.tensor([0.0, 1.0]), {"rtol": TOLERANCE, "atol": TOLERANCE}
        return odeint(velocity, torch.randn(n, FEATURES), times, method="dopri5", **tolerances)[-1]

    return Contestant(stirred(field), None, sample, loss)


def nflows_flow(layer: Callable[[int], nn.Module], *, reverse: bool) -> Contestant:
    layers = []
    for index in range(TRANSFORMS):
        layers += [layer(index), ReversePermutation(FEATURES)] if reverse else [layer(index)]
    flow = NflowsFlow(CompositeTransform(layers), StandardNormal([FEATURES]))
    return Contestant(flow, flow.log_prob, flow.sample)


def alternate_mask(index: int) -> Tensor:
    mask = torch.ones(FEATURES)
    mask[:HALF] = -1
    return mask if index % 2 == 0 else -mask


class WithoutContext(nn.Module):
    """nflows calls a coupling's network with a context, also when there is none."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.network = perceptron(inputs, outputs)
        self.hidden_features = HIDDEN

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.network(x)


def nflows_nice() -> Contestant:
    return nflows_flow(
        lambda i: AdditiveCouplingTransform(alternate_mask(i), WithoutContext), reverse=False
    )


def nflows_real_nvp() -> Contestant:
    return nflows_flow(
        lambda i: AffineCouplingTransform(alternate_mask(i), WithoutContext), reverse=False
    )


def nflows_spline_coupling() -> Contestant:
    return nflows_flow(
        lambda i: PiecewiseRationalQuadraticCouplingTransform(
            alternate_mask(i), WithoutContext, num_bins=BINS, tails="linear", tail_bound=BOUND
        ),
        reverse=False,
    )


# One block after the first layer: two hidden layers.
MADE = {"num_blocks": 1, "use_residual_blocks": False}


def nflows_maf() -> Contestant:
    return nflows_flow(
        lambda i: MaskedAffineAutoregressiveTransform(FEATURES, HIDDEN, **MADE), reverse=True
    )


def nflows_iaf() -> Contestant:
    return nflows_flow(
        lambda i: InverseTransform(MaskedAffineAutoregressiveTransform(FEATURES, HIDDEN, **MADE)),
        reverse=True,
    )


def nflows_spline_autoregressive() -> Contestant:
    return nflows_flow(
        lambda i: MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
            FEATURES, HIDDEN, num_bins=BINS, tails="linear", tail_bound=BOUND, **MADE
        ),
        reverse=True,
    )


def normflows_flow(layer: Callable[[], nn.Module]) -> Contestant:
    layers = []
    for _ in range(TRANSFORMS):
        layers += [layer(), normflows.flows.Permute(FEATURES, mode="swap")]
    flow = normflows.NormalizingFlow(normflows.distributions.DiagGaussian(FEATURES, False), layers)
    return Contestant(flow, flow.log_prob, lambda n: flow.sample(n)[0])


def normflows_coupling(outputs: int, *, scale: bool) -> Contestant:
    return normflows_flow(
        lambda: normflows.flows.AffineCouplingBlock(
            normflows.nets.MLP([HALF, HIDDEN, HIDDEN, outputs]), scale=scale
        )
    )


def normflows_nice() -> Contestant:
    return normflows_coupling(HALF, scale=False)


def normflows_real_nvp() -> Contestant:
    return normflows_coupling(FEATURES, scale=True)


def normflows_iaf() -> Contestant:
    """What the library calls MAF: its density takes D passes."""
    return normflows_flow(
        lambda: normflows.flows.MaskedAffineAutoregressive(FEATURES, HIDDEN, **MADE)
    )


def normflows_maf() -> Contestant:
    return normflows_flow(
        lambda: normflows.flows.Reverse(
            normflows.flows.MaskedAffineAutoregressive(FEATURES, HIDDEN, **MADE)
        )
    )
