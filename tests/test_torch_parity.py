"""The same numbers as PyTorch, where it is installed: layers, losses, optimisers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minidl import Tensor, gradients, losses, nn, ops, optim

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytestmark = pytest.mark.torch
F = torch.nn.functional

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((2, 6, 4))
W, B = RNG.standard_normal((4, 3)), RNG.standard_normal(3)
PROBABILITY = RNG.random((6, 4))
CLOSE: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-12}

# name: ours, theirs, and their inputs
FUNCTIONS: dict[str, tuple[Callable[..., Tensor], Callable[..., Any], list[np.ndarray]]] = {
    "linear": (ops.linear, lambda x, w, b: F.linear(x, w.T, b), [X, W, B]),
    "matmul": (ops.matmul, torch.matmul, [X, W]),
    "sigmoid": (ops.sigmoid, torch.sigmoid, [X]),
    "tanh": (ops.tanh, torch.tanh, [X]),
    "relu": (ops.relu, F.relu, [X]),
    "leaky_relu": (
        lambda x: ops.leaky_relu(x, slope=0.3), lambda x: F.leaky_relu(x, 0.3), [X]
    ),
    "softplus": (ops.softplus, F.softplus, [X]),
    "max": (lambda x: ops.max(x, axis=1), lambda x: torch.amax(x, 1), [np.round(X)]),
    "mean_squared_error": (losses.mean_squared_error, F.mse_loss, [X, T]),
    "half_squared_error": (
        losses.half_squared_error, lambda y, t: F.mse_loss(y, t, reduction="sum") / 12, [X, T]
    ),
    "binary_cross_entropy": (
        losses.binary_cross_entropy, F.binary_cross_entropy_with_logits, [X, PROBABILITY]
    ),
    "kl_sparsity": (
        lambda h: losses.kl_sparsity(h, 0.05),
        lambda h: sum(
            torch.distributions.kl_divergence(
                torch.distributions.Bernoulli(torch.tensor(0.05, dtype=torch.float64)),
                torch.distributions.Bernoulli(h.mean(0)),
            )
        ),
        [PROBABILITY],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients(name: str):
    ours, theirs, arrays = FUNCTIONS[name]
    inputs = [Tensor(a) for a in arrays]
    references = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, reference = ours(*inputs), theirs(*references)
    np.testing.assert_allclose(y.data, reference.detach().numpy(), **CLOSE)

    g = np.random.default_rng(1).standard_normal(y.shape)
    reference.backward(torch.tensor(g))
    for found, r in zip(gradients(ops.sum(y * g), inputs), references, strict=True):
        np.testing.assert_allclose(found, r.grad.numpy(), **CLOSE)


# PyTorch adds Adam's eps after the bias correction, we before it: only a tiny eps can compare.
OPTIMIZERS: dict[str, tuple[Callable[..., optim.Optimizer], Callable[..., Any]]] = {
    "SGD": (lambda ps: optim.SGD(ps, lr=0.1), lambda ps: torch.optim.SGD(ps, 0.1)),
    "momentum": (
        lambda ps: optim.SGD(ps, lr=0.1, momentum=0.9),
        lambda ps: torch.optim.SGD(ps, 0.1, momentum=0.9),
    ),
    "Adam": (
        lambda ps: optim.Adam(ps, lr=0.01, eps=1e-30),
        lambda ps: torch.optim.Adam(ps, 0.01, eps=1e-30),
    ),
    "Adam, betas": (
        lambda ps: optim.Adam(ps, lr=0.1, beta1=0.5, beta2=0.9, eps=1e-30),
        lambda ps: torch.optim.Adam(ps, 0.1, betas=(0.5, 0.9), eps=1e-30),
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_network_takes_the_same_steps(name: str):
    rng = np.random.default_rng(0)
    network = nn.Sequential(nn.Linear(4, 5, rng=rng), nn.Sigmoid(), nn.Linear(5, 4, rng=rng))
    parameters = network.astype(np.float64).parameters()
    w1, b1, w2, b2 = references = [torch.tensor(p.data, requires_grad=True) for p in parameters]
    ours, theirs = (make(ps) for make, ps in zip(
        OPTIMIZERS[name], (parameters, references), strict=True
    ))  # fmt: skip
    for _ in range(5):
        loss = losses.mean_squared_error(network(X), T)
        ours.step(gradients(loss, parameters))

        reference = F.mse_loss(torch.sigmoid(torch.tensor(X) @ w1 + b1) @ w2 + b2, torch.tensor(T))
        theirs.zero_grad()
        reference.backward()
        theirs.step()
        assert loss.item() == pytest.approx(reference.item(), rel=1e-10)
    for p, r in zip(parameters, references, strict=True):
        np.testing.assert_allclose(p.data, r.detach().numpy(), **CLOSE)


def test_gradients_are_clipped_alike():
    norm = 0.5
    references = [torch.nn.Parameter(torch.zeros(a.shape, dtype=torch.float64)) for a in (X, B)]
    for r, a in zip(references, (X, B), strict=True):
        r.grad = torch.tensor(a)
    total = torch.nn.utils.clip_grad_norm_(references, norm)
    clipped, before = optim.clip_gradients([X, B], norm)
    assert before == pytest.approx(float(total), rel=1e-12)
    for c, r in zip(clipped, references, strict=True):
        np.testing.assert_allclose(c, r.grad.numpy(), rtol=1e-5)  # PyTorch divides by norm + 1e-6
