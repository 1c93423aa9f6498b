"""Functions that build the flows of the literature, ready to train."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genfin_lib.distributions import fixed_seed
from genfin_lib.flows.coupling import AdditiveCoupling, AffineCoupling
from genfin_lib.flows.flow import Flow
from genfin_lib.flows.linear import BatchNorm, DiagonalScale, Permutation, Standardize
from genfin_lib.flows.transform import Transform


def _first_layer(features: int, standardize: Tensor | None) -> list[Transform]:
    if standardize is None:
        return []
    if standardize.ndim != 2 or standardize.shape[1] != features:
        raise ValueError(
            f"standardize takes training rows of shape (N, {features}), "
            f"got {tuple(standardize.shape)}"
        )
    return [Standardize.fit(standardize)]


def nice(
    features: int,
    context: int = 0,
    *,
    transforms: int = 8,
    hidden: Sequence[int] = (64, 64),
    base: nn.Module | None = None,
    standardize: Tensor | None = None,
    seed: int = 0,
) -> Flow:
    r"""NICE: additive couplings that move the halves in turn, then one diagonal scale.

    Dinh, Krueger and Bengio (2015), https://arxiv.org/abs/1410.8516.

    Args:
        features: Dimension of the data, two or more.
        context: Dimension of the context, 0 for none.
        transforms: Number of couplings.
        hidden: Widths of the hidden layers of each coupling's network.
        base: Base distribution, standard normal if ``None``.
        standardize: Training rows, shape ``(N, D)``. Their mean and standard deviation become
            the first layer of the flow, with its Jacobian.
        seed: Seed of the initial weights.

    Returns:
        An untrained flow; but for ``standardize`` it is the identity.

    Raises:
        ValueError: If ``features`` is below two, or ``standardize`` has the wrong width, NaN, or
            a constant column.
    """
    layers = _first_layer(features, standardize)
    with fixed_seed(seed):
        layers += [
            AdditiveCoupling(features, context, hidden=hidden, flip=index % 2 == 1)
            for index in range(transforms)
        ]
    return Flow(features, context, transforms=[*layers, DiagonalScale(features)], base=base)


def real_nvp(
    features: int,
    context: int = 0,
    *,
    transforms: int = 8,
    hidden: Sequence[int] = (64, 64),
    base: nn.Module | None = None,
    standardize: Tensor | None = None,
    batch_norm: bool = False,
    scale_bound: float = 1.0,
    seed: int = 0,
) -> Flow:
    r"""RealNVP: affine couplings in pairs, a random permutation between the pairs.

    The two couplings of a pair move opposite halves. Dinh, Sohl-Dickstein and Bengio (2017,
    https://arxiv.org/abs/1605.08803) alternate fixed masks; the random permutations, usual since,
    mix the halves better. They are undone at the end, so that latent :math:`z_j` belongs to
    feature :math:`x_j` and the untrained flow is the identity.

    Args:
        features: Dimension of the data, two or more.
        context: Dimension of the context, 0 for none.
        transforms: Number of couplings.
        hidden: Widths of the hidden layers of each coupling's network.
        base: Base distribution, standard normal if ``None``.
        standardize: Training rows, shape ``(N, D)``. Their mean and standard deviation become
            the first layer of the flow, with its Jacobian.
        batch_norm: Put a :class:`~genfin_lib.flows.linear.BatchNorm` after each pair.
        scale_bound: Bound of each coupling's log-scale.
        seed: Seed of the initial weights and of the permutations.

    Returns:
        An untrained flow; but for ``standardize``, and in evaluation mode, it is the identity.

    Raises:
        ValueError: If ``features`` is below two, or ``standardize`` has the wrong width, NaN, or
            a constant column.
    """
    layers = _first_layer(features, standardize)
    position = torch.arange(features)
    with fixed_seed(seed):
        for index in range(transforms):
            # With two features the halves already trade places: nothing to permute.
            if index > 0 and index % 2 == 0 and features > 2:
                order = torch.randperm(features)
                position = position[order]
                layers.append(Permutation(order))
            layers.append(
                AffineCoupling(
                    features,
                    context,
                    hidden=hidden,
                    flip=index % 2 == 1,
                    scale_bound=scale_bound,
                )
            )
            if batch_norm and index % 2 == 1:
                layers.append(BatchNorm(features))
    if features > 2:
        layers.append(Permutation(position.argsort()))
    return Flow(features, context, transforms=layers, base=base)
