"""Every transform and density model of the library, by a readable name.

To put a new one under the contract, add a line.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from genfin_lib.distributions import GaussianMixture, StudentT, TwoSidedT
from genfin_lib.flows import (
    Flow,
    FlowMatching,
    Glow,
    continuous_flow,
    iaf,
    maf,
    neural_spline_flow,
    nice,
    real_nvp,
)
from genfin_lib.flows.autoregressive import Autoregressive
from genfin_lib.flows.channels import ActNorm, InvertibleLinear
from genfin_lib.flows.continuous import Continuous, FixedSteps
from genfin_lib.flows.coupling import AdditiveCoupling, AffineCoupling, Coupling
from genfin_lib.flows.elementwise import Additive, Affine
from genfin_lib.flows.field import VectorField
from genfin_lib.flows.linear import BatchNorm, DiagonalScale, Permutation, Standardize
from genfin_lib.flows.multiscale import Scale
from genfin_lib.flows.spline import RationalQuadratic
from genfin_lib.flows.tails import TailTransform
from genfin_lib.flows.transform import Compose, Inverse, Transform

Module = TypeVar("Module", bound=nn.Module)

TRANSFORMS: dict[str, Callable[[int, int], Transform]] = {
    "additive coupling": AdditiveCoupling,
    "additive coupling, flipped": lambda d, c: AdditiveCoupling(d, c, flip=True),
    "affine coupling": AffineCoupling,
    "affine coupling, flipped": lambda d, c: AffineCoupling(d, c, flip=True),
    "affine coupling, wide scale": lambda d, c: AffineCoupling(d, c, scale_bound=4.0),
    "batch norm": lambda d, c: BatchNorm(d),
    "diagonal scale": lambda d, c: DiagonalScale(d),
    "permutation": lambda d, c: Permutation(torch.arange(d).roll(1)),
    "standardize": lambda d, c: Standardize(torch.arange(float(d)), 0.5 + torch.rand(d)),
    "additive autoregressive": lambda d, c: Autoregressive(Additive(), d, c),
    "affine autoregressive": lambda d, c: Autoregressive(Affine(), d, c),
    "inverse autoregressive": lambda d, c: Inverse(Autoregressive(Affine(), d, c)),
    "spline coupling": lambda d, c: Coupling(RationalQuadratic(), d, c),
    "spline coupling, flipped": lambda d, c: Coupling(RationalQuadratic(5, 1.5), d, c, flip=True),
    "spline autoregressive": lambda d, c: Autoregressive(RationalQuadratic(), d, c),
    "continuous": lambda d, c: Continuous(
        VectorField(d, c, hidden=(8, 8)), solver=FixedSteps(60), adjoint=False
    ),
    "tail transform": lambda d, c: TailTransform(d, weight=0.3),
    "activation norm": lambda d, c: ActNorm(d),
    "invertible linear": lambda d, c: InvertibleLinear(d),
    "invertible linear, rotation": lambda d, c: InvertibleLinear(d, rotate=True),
    "scale with a coupling": lambda d, c: Scale(
        [AffineCoupling(d, c, flip=True)], DiagonalScale(d - d // 2), (d,)
    ),
    "composition": lambda d, c: Compose([AffineCoupling(d, c), AdditiveCoupling(d, c, flip=True)]),
}

# Transforms that need a second feature.
TWO_OR_MORE = [name for name in TRANSFORMS if "coupling" in name or name == "composition"]

# Transforms that leave data as they are before training.
IDENTITY_AT_START = [
    name
    for name in TRANSFORMS
    if name not in ("permutation", "standardize", "tail transform")
    and not name.startswith("invertible linear")
]

FLOWS: dict[str, Callable[[int, int], Flow]] = {
    "NICE": nice,
    "RealNVP": real_nvp,
    "RealNVP, batch norm": lambda d, c: real_nvp(d, c, batch_norm=True),
    "RealNVP, t base": lambda d, c: real_nvp(d, c, base=StudentT(d)),
    "RealNVP, standardized": lambda d, c: real_nvp(
        d,
        c,
        standardize=3.0 + 2.0 * torch.randn(500, d, generator=torch.Generator().manual_seed(5)),
    ),
    "MAF": maf,
    "MAF, t base": lambda d, c: maf(d, c, base=StudentT(d)),
    "MAF, two-sided t base": lambda d, c: maf(d, c, base=TwoSidedT(d, left=3.0, right=8.0)),
    "MAF, mixture base": lambda d, c: maf(d, c, base=GaussianMixture(d, 3)),
    "MAF, tail transform": lambda d, c: Flow(
        d, c, transforms=[TailTransform(d), maf(d, c, transforms=2).transform]
    ),
    "IAF": iaf,
    "Glow": Glow,
    "Glow, t base": lambda d, c: Glow(d, c, levels=1, rotate=True, base=StudentT(d)),
    # Three layers: eight splines with weights moved at random are too sharp for a quadrature grid.
    "spline coupling": lambda d, c: neural_spline_flow(d, c, transforms=3),
    "spline coupling, t base": lambda d, c: neural_spline_flow(
        d, c, transforms=3, base=StudentT(d)
    ),
    "spline autoregressive": lambda d, c: neural_spline_flow(
        d, c, transforms=3, autoregressive=True
    ),
    "spline autoregressive, t base": lambda d, c: neural_spline_flow(
        d, c, transforms=3, autoregressive=True, base=StudentT(d)
    ),
    "continuous": lambda d, c: continuous_flow(d, c, hidden=(8, 8), solver=FixedSteps(5)),
    "flow matching": lambda d, c: FlowMatching(d, c, hidden=(8, 8), solver=FixedSteps(5)),
}

# Flows of one feature, whose distribution function is exact.
ONE_FEATURE = [name for name in FLOWS if not name.startswith(("NICE", "RealNVP", "Glow"))]

# Flows trained by another objective than their likelihood.
OTHER_LOSS = ("flow matching",)


def perturb(module: Module, *, size: float = 0.3, seed: int = 1) -> Module:
    """Move every parameter and running average away from its start.

    Zero-initialised layers are the identity; a wrong log-determinant shows only off it.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.add_(size * noise)
        for name, buffer in module.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.3, 3.0, generator=generator)
            if name.endswith("running_mean"):
                buffer.normal_(generator=generator)
    return module
