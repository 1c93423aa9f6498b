"""Functions that build the flows of the literature, ready to train."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from genfin_lib.distributions import fixed_seed
from genfin_lib.flows.autoregressive import Autoregressive
from genfin_lib.flows.coupling import AdditiveCoupling, AffineCoupling, Coupling
from genfin_lib.flows.elementwise import Affine
from genfin_lib.flows.flow import Flow
from genfin_lib.flows.linear import BatchNorm, DiagonalScale, Permutation, standardizing
from genfin_lib.flows.spline import RationalQuadratic
from genfin_lib.flows.transform import Inverse, Transform


def _shuffle_between_pairs(index: int, features: int) -> Tensor | None:
    # With two features the halves already trade places: nothing to permute.
    return torch.randperm(features) if index % 2 == 0 and features > 2 else None


def _reverse(index: int, features: int) -> Tensor | None:
    return torch.arange(features).flip(0) if features > 1 else None


def _mixed(
    features: int,
    transforms: int,
    layer: Callable[[int], list[Transform]],
    reorder: Callable[[int, int], Tensor | None],
    *,
    standardize: Tensor | None,
    seed: int,
) -> list[Transform]:
    """Layers with the features reordered between them, and put back in place at the end."""
    layers = standardizing(features, standardize)
    position = torch.arange(features)
    with fixed_seed(seed):
        for index in range(transforms):
            order = reorder(index, features) if index else None
            if order is not None:
                position = position[order]
                layers.append(Permutation(order))
            layers += layer(index)
    if not torch.equal(position, torch.arange(features)):
        layers.append(Permutation(position.argsort()))
    return layers


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
    layers = standardizing(features, standardize)
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

    def pair_member(index: int) -> list[Transform]:
        flip = index % 2 == 1
        layer = AffineCoupling(features, context, hidden=hidden, flip=flip, scale_bound=scale_bound)
        return [layer, BatchNorm(features)] if batch_norm and flip else [layer]

    layers = _mixed(
        features,
        transforms,
        pair_member,
        _shuffle_between_pairs,
        standardize=standardize,
        seed=seed,
    )
    return Flow(features, context, transforms=layers, base=base)


def maf(
    features: int,
    context: int = 0,
    *,
    transforms: int = 8,
    hidden: Sequence[int] = (64, 64),
    base: nn.Module | None = None,
    standardize: Tensor | None = None,
    scale_bound: float = 1.0,
    seed: int = 0,
) -> Flow:
    r"""MAF: masked autoregressive affine layers, the order of features reversed between them.

    The density takes one pass of each network, a sample ``features`` steps. With one feature the
    flow is an affine map, and its law that of the base, shifted and scaled as the context says.
    Papamakarios, Pavlakou and Murray (2017), https://arxiv.org/abs/1705.07057.

    Args:
        features: Dimension of the data.
        context: Dimension of the context, 0 for none.
        transforms: Number of autoregressive layers.
        hidden: Widths of the hidden layers of each masked network.
        base: Base distribution, standard normal if ``None``.
        standardize: Training rows, shape ``(N, D)``. Their mean and standard deviation become
            the first layer of the flow, with its Jacobian.
        scale_bound: Bound of each layer's log-scale.
        seed: Seed of the initial weights.

    Returns:
        An untrained flow; but for ``standardize`` it is the identity.

    Raises:
        ValueError: If ``standardize`` has the wrong width, NaN, or a constant column.
    """

    def layer(index: int) -> list[Transform]:
        return [Autoregressive(Affine(scale_bound), features, context, hidden=hidden)]

    layers = _mixed(features, transforms, layer, _reverse, standardize=standardize, seed=seed)
    return Flow(features, context, transforms=layers, base=base)


def iaf(
    features: int,
    context: int = 0,
    *,
    transforms: int = 8,
    hidden: Sequence[int] = (64, 64),
    base: nn.Module | None = None,
    standardize: Tensor | None = None,
    scale_bound: float = 1.0,
    seed: int = 0,
) -> Flow:
    r"""IAF: the layers of MAF run backwards, so that the costs change places.

    A sample takes one pass of each network, the density of given data ``features`` steps. Kingma
    et al. (2016, https://arxiv.org/abs/1606.04934) wanted it for a posterior, of which one needs
    samples and the density of those samples; to fit data, :func:`maf` is the faster way.

    Args:
        features: Dimension of the data.
        context: Dimension of the context, 0 for none.
        transforms: Number of autoregressive layers.
        hidden: Widths of the hidden layers of each masked network.
        base: Base distribution, standard normal if ``None``.
        standardize: Training rows, shape ``(N, D)``. Their mean and standard deviation become
            the first layer of the flow, with its Jacobian.
        scale_bound: Bound of each layer's log-scale.
        seed: Seed of the initial weights.

    Returns:
        An untrained flow; but for ``standardize`` it is the identity.

    Raises:
        ValueError: If ``standardize`` has the wrong width, NaN, or a constant column.
    """

    def layer(index: int) -> list[Transform]:
        return [Inverse(Autoregressive(Affine(scale_bound), features, context, hidden=hidden))]

    layers = _mixed(features, transforms, layer, _reverse, standardize=standardize, seed=seed)
    return Flow(features, context, transforms=layers, base=base)


def neural_spline_flow(
    features: int,
    context: int = 0,
    *,
    transforms: int = 8,
    hidden: Sequence[int] = (64, 64),
    base: nn.Module | None = None,
    autoregressive: bool = False,
    bins: int = 8,
    bound: float = 5.0,
    standardize: Tensor | None = None,
    seed: int = 0,
) -> Flow:
    r"""Neural spline flow: monotone rational-quadratic splines in place of affine maps.

    Couplings as in :func:`real_nvp`, or autoregressive layers as in :func:`maf`. With one feature
    there are no halves, so the two coincide: a monotone map of the line whose ``cdf`` and
    ``quantile`` are exact.

    Splines move values within ``bound`` alone. Further out the flow is the identity, and its
    tails are those of the base. Standardize the data, so that most of it lies within.
    Durkan, Bekasov, Murray and Papamakarios (2019), https://arxiv.org/abs/1906.04032.

    Args:
        features: Dimension of the data.
        context: Dimension of the context, 0 for none.
        transforms: Number of layers.
        hidden: Widths of the hidden layers of each network.
        base: Base distribution, standard normal if ``None``.
        autoregressive: Autoregressive layers in place of couplings.
        bins: Bins of each spline.
        bound: Splines act on values between ``-bound`` and ``bound``.
        standardize: Training rows, shape ``(N, D)``. Their mean and standard deviation become
            the first layer of the flow, with its Jacobian.
        seed: Seed of the initial weights and, for couplings, of the permutations.

    Returns:
        An untrained flow; but for ``standardize`` it is the identity.

    Raises:
        ValueError: If ``bins`` or ``bound`` is out of range, or ``standardize`` has the wrong
            width, NaN, or a constant column.
    """
    autoregressive = autoregressive or features == 1

    def layer(index: int) -> list[Transform]:
        spline = RationalQuadratic(bins, bound)
        if autoregressive:
            return [Autoregressive(spline, features, context, hidden=hidden)]
        return [Coupling(spline, features, context, hidden=hidden, flip=index % 2 == 1)]

    reorder = _reverse if autoregressive else _shuffle_between_pairs
    layers = _mixed(features, transforms, layer, reorder, standardize=standardize, seed=seed)
    return Flow(features, context, transforms=layers, base=base)
