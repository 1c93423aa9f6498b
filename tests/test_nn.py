"""The perceptron is what its equation says."""

import torch

from genfin_lib.nn import MLP, MaskedMLP, with_context


def test_mlp_is_affine_maps_with_relu_between() -> None:
    network = MLP(3, 2, hidden=(5,))
    x = torch.randn(4, 3)
    first, _, last = network
    expected = torch.relu(x @ first.weight.T + first.bias) @ last.weight.T + last.bias
    torch.testing.assert_close(network(x), expected)


def test_zero_init_returns_zero_and_still_learns() -> None:
    network = MLP(3, 2, zero_init=True)
    out = network(torch.randn(4, 3))
    assert torch.equal(out, torch.zeros(4, 2))
    (out - 1).square().sum().backward()
    assert network[-1].weight.grad.abs().sum() > 0


def test_without_hidden_layers_it_is_linear_regression() -> None:
    assert [tuple(p.shape) for p in MLP(3, 2, hidden=()).parameters()] == [(2, 3), (2,)]


def test_context_stands_behind_the_features() -> None:
    x, context = torch.zeros(2, 3), torch.ones(2, 1)
    assert with_context(x, None) is x
    assert with_context(x, context).tolist() == [[0, 0, 0, 1], [0, 0, 0, 1]]


def test_without_context_no_unit_is_a_constant() -> None:
    assert all(known[0] == 0 for known in MaskedMLP(3, 0, 1, hidden=(8, 8)).known)
