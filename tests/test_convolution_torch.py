"""Parity with PyTorch: values and gradients of the convolutions and of batch norm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl import Tensor, nn, ops

torch = pytest.importorskip("torch")
F = torch.nn.functional

pytestmark = pytest.mark.torch


def draw(*shapes: tuple[int, ...], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def compare(ours: Any, theirs: Any, arrays: list[np.ndarray]) -> None:
    """Compare the values and all gradients of two functions of the same arrays."""
    y = ours(*(Tensor(a) for a in arrays))
    leaves = [torch.from_numpy(a.copy()).requires_grad_() for a in arrays]
    z = theirs(*leaves)
    close(y.data, z.detach().numpy())
    (g,) = draw(y.shape, seed=1)
    z.backward(torch.from_numpy(g))
    for x, leaf in zip(y.origin.inputs, leaves, strict=True):
        close(x.grad(g), leaf.grad.numpy())


def close(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() / np.abs(expected).max() < 5e-6


def first(x: Any) -> Any:
    """(N, H, W, C) -> (N, C, H, W)."""
    return x.permute(0, 3, 1, 2)


def last(x: Any) -> Any:
    return x.permute(0, 2, 3, 1)


@pytest.mark.parametrize(
    ("size", "window", "stride", "pad"),
    [(9, 3, 1, 1), (8, 3, 2, 1), (8, 4, 2, 1), (4, 4, 1, 0), (7, 1, 2, 0), (6, 5, 3, 2)],
)
def test_conv2d(size: int, window: int, stride: int, pad: int) -> None:
    compare(
        lambda x, w, b: ops.conv2d(x, w, b, stride=stride, padding=pad),
        lambda x, w, b: last(F.conv2d(first(x), w.permute(3, 2, 0, 1), b, stride, pad)),
        draw((2, size, size + 1, 5), (window, window, 5, 7), (7,)),
    )


@pytest.mark.parametrize("size", [8, 9])
def test_conv2d_same_at_stride_2(size: int) -> None:
    """PyTorch gets Keras' padding by hand."""
    ends = (0, 1) if size % 2 == 0 else (1, 1)
    compare(
        lambda x, w, b: ops.conv2d(x, w, b, stride=2, padding="same"),
        lambda x, w, b: last(
            F.conv2d(F.pad(first(x), ends * 2), w.permute(3, 2, 0, 1), b, stride=2)
        ),
        draw((2, size, size, 3), (3, 3, 3, 4), (4,)),
    )


@pytest.mark.parametrize(
    ("size", "window", "stride", "pad"), [(5, 4, 2, 1), (1, 4, 1, 0), (4, 3, 1, 1), (3, 5, 3, 2)]
)
def test_conv_transpose2d(size: int, window: int, stride: int, pad: int) -> None:
    compare(
        lambda x, w, b: ops.conv_transpose2d(x, w, b, stride=stride, padding=pad),
        lambda x, w, b: last(F.conv_transpose2d(first(x), w.permute(3, 2, 0, 1), b, stride, pad)),
        draw((2, size, size, 5), (window, window, 7, 5), (7,)),
    )


def test_upsample2d() -> None:
    compare(
        lambda x: ops.upsample2d(x, factor=3),
        lambda x: last(F.interpolate(first(x), scale_factor=3)),
        draw((2, 4, 5, 3)),
    )


def test_upsample_conv2d() -> None:
    compare(
        ops.upsample_conv2d,
        lambda x, w, b: last(
            F.conv2d(F.interpolate(first(x), scale_factor=2), w.permute(3, 2, 0, 1), b, padding=1)
        ),
        draw((2, 6, 7, 16), (3, 3, 16, 12), (12,)),
    )


@pytest.mark.parametrize("shape", [(9, 4), (3, 5, 6, 4)])
def test_batch_norm(shape: tuple[int, ...]) -> None:
    def theirs(x: Any, gamma: Any, beta: Any) -> Any:
        x = x if x.ndim == 2 else first(x)
        y = F.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-5)
        return y if y.ndim == 2 else last(y)

    compare(ops.batch_norm, theirs, draw(shape, shape[-1:], shape[-1:]))


def test_batch_norm_in_use() -> None:
    """PyTorch's momentum is 1 minus ours, and its running variance divides by rows - 1."""
    (x,) = draw((3, 5, 6, 4))
    ours, theirs = nn.BatchNorm(4, momentum=0.8), torch.nn.BatchNorm2d(4, momentum=0.2)
    ours(x)
    theirs(first(torch.from_numpy(x)))
    rows = x.size // 4
    close(ours.mean, theirs.running_mean.numpy())
    unbiased = (ours.variance - 0.8) * rows / (rows - 1) + 0.8
    close(unbiased, theirs.running_var.numpy())
    theirs.running_var[...] = torch.from_numpy(ours.variance)
    y = last(theirs.eval()(first(torch.from_numpy(x))))
    close(ours.train(False)(x).data, y.detach().numpy())
