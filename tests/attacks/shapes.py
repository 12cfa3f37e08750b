"""Random calls of every kernel of the CPU: arguments, and the exact values to compare with.

A call returns (kernel, its result, the exact result, bound). The exact result is computed in
float64 from the same numbers. The bound is the largest sum of absolute values behind the kernel's
roundings.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl.kernels import cpu, reference
from minidl.kernels.cpu.gemm import gemm
from minidl.kernels.cpu.runtime import buffer_pool

Draw = Callable[..., np.ndarray]
Result = tuple[str, np.ndarray, np.ndarray, Any]


def wide(a: Any) -> Any:
    return a.astype(np.float64) if isinstance(a, np.ndarray) else a


def compared(name: str, *arguments: Any, bound: Any = None) -> Iterator[Result]:
    """Call the kernel and its reference; the bound is the reference at the arguments' absolute
    values, unless another is given."""
    exact = getattr(reference, name)(*map(wide, arguments))
    if bound is None:
        sizes = [np.abs(wide(a)) if isinstance(a, np.ndarray) else a for a in arguments]
        bound = getattr(reference, name)(*sizes)
    found = getattr(cpu, name)(*arguments)
    if not isinstance(found, tuple):
        found, exact, bound = (found,), (exact,), (bound,)
    for one, other, size in zip(found, exact, bound, strict=True):
        yield name, one, other, size


def convolution(chance: random.Random, draw: Draw) -> Iterator[Result]:
    """Draw windows up to 7, strides up to 4, and up to 3 zeros on each side."""
    C, O, N = chance.randrange(1, 71), chance.randrange(1, 71), chance.randrange(1, 6)
    kernel_size, stride = (
        (chance.randrange(1, 8), chance.randrange(1, 8)),
        chance.choice([1, 1, 2, 2, 3, 4]),
    )
    if chance.random() < 0.4:
        kernel_size, stride = (chance.choice([3, 4]), chance.choice([3, 4])), 2
    size = chance.randrange(1, 31), chance.randrange(1, 31)
    if N * C * O * size[0] * size[1] * kernel_size[0] * kernel_size[1] > 2e7:
        size = min(size[0], 9), min(size[1], 9)
    padding = tuple(chance.randrange(4) for _ in range(4))
    if chance.random() < 0.12:
        size, padding = kernel_size, (0, 0, 0, 0)
    size = (
        max(size[0], kernel_size[0] - padding[0] - padding[1]),
        max(size[1], kernel_size[1] - padding[2] - padding[3]),
    )
    x, w = draw(N, *size, C), draw(*kernel_size, C, O)
    b = draw(O) if chance.random() < 0.7 else None
    if chance.random() < 0.3:
        w.setflags(write=False)
    yield from compared("conv2d", x, w, b, stride, padding)
    P = (padding[0] + size[0] + padding[1] - kernel_size[0]) // stride + 1
    Q = (padding[2] + size[1] + padding[3] - kernel_size[1]) // stride + 1
    g = draw(N, P, Q, O)
    yield from compared("conv2d_grad_x", g, w, size, stride, padding)
    yield from compared("conv2d_grad_w", x, g, kernel_size, stride, padding)


def doubling(chance: random.Random, draw: Draw) -> Iterator[Result]:
    N, H, W = chance.randrange(1, 5), chance.randrange(1, 16), chance.randrange(1, 16)
    C, O = chance.randrange(1, 71), chance.randrange(1, 71)
    x, w, b, g = draw(N, H, W, C), draw(3, 3, C, O), draw(O), draw(N, 2 * H, 2 * W, O)
    for name, arguments in (
        ("upsample_conv2d", (x, w, b)),
        ("upsample_conv2d_grad_x", (g, w)),
        ("upsample_conv2d_grad_w", (x, g)),
    ):
        yield from compared(name, *arguments)


def product(chance: random.Random, draw: Draw) -> Iterator[Result]:
    """Multiply by the library, with the process's choice of BLAS, and by the micro-kernel."""
    M, K, N = (chance.randrange(1, chance.choice([10, 80, 300])) for _ in range(3))

    def factor(*shape: int) -> np.ndarray:
        if chance.random() < 0.5:
            return draw(*shape)
        return np.swapaxes(draw(*shape[:-2], shape[-1], shape[-2]), -1, -2)

    a, b, bias = factor(M, K), factor(K, N), draw(N)
    # Strassen's product rounds relative to the largest number, not to each
    bound = 2 * (np.abs(wide(a)) @ np.abs(wide(b))).max() + np.abs(wide(bias))
    yield from compared("matmul", a, b, bias, bound=bound)
    yield from compared("matmul", a, b, bound=bound)
    y = buffer_pool.empty((M, N), a.dtype)
    gemm.gemm(a, b, bias, y)
    yield "gemm", y, reference.matmul(wide(a), wide(b), wide(bias)), bound
    count = chance.randrange(1, 4)
    yield from compared("matmul", factor(count, M, K), factor(count, K, N), None, bound=bound)


def statistics(chance: random.Random, draw: Draw) -> Iterator[Result]:
    shape = *(chance.randrange(1, 9) for _ in range(chance.randrange(4))), chance.randrange(1, 150)
    slope, C = chance.choice([1, 0.2, 0, 0.01]), shape[-1]
    x, g, (mean, scale, shift, a, b) = draw(*shape), draw(*shape), (draw(C) for _ in range(5))
    rows = x.size // C
    yield from compared("channel_sum", x)
    yield from compared("moments", x, slope, bound=(8, 64))
    yield from compared("normalize", x, mean, scale, shift, slope, bound=64)
    yield from compared("batch_norm_sums", g, x, mean, slope, bound=(8 * rows, 64 * rows))
    yield from compared("batch_norm_grad", g, x, mean, scale, a, b, slope, bound=512)
    yield from compared("squared_distance", x, g, bound=40 * x.size)


def elements(chance: random.Random, draw: Draw) -> Iterator[Result]:
    most = chance.choice([4, 9, 40])
    shape = tuple(chance.randrange(most) for _ in range(chance.randrange(1, 4)))
    slope, x, g = chance.choice([0, 0.2, 1]), draw(*shape), draw(*shape)
    y = 1 / (1 + np.exp(-draw(*shape)))
    yield from compared("sigmoid", x, bound=1)
    yield from compared("sigmoid_grad", g, y, bound=8)
    yield from compared("tanh_grad", g, y, bound=8)
    yield from compared("leaky_relu", x, slope, bound=8)
    yield from compared("leaky_relu_grad", g, x, slope, bound=8)
    yield from compared("add", x, g, bound=8)
    row = np.broadcast_to(draw(*shape[-1:]), shape)
    yield from compared("add", x, row, bound=8)
    yield from compared("add", row, x, bound=8)
    yield from compared("squared_distance_grad", np.asarray(x.dtype.type(1.5)), x, g, bound=32)
    p, m, v = draw(*shape), draw(*shape), draw(*shape)
    np.abs(v, out=v)
    rest: Any = (0.01, 0.9, 0.99, 1e-8)
    given: Any = ([p], [g], [m], [v])
    exact: Any = [[wide(a) for a in each] for each in given]
    reference.adam(*exact, *rest)
    cpu.adam(*given, *rest)
    for name, (one,), (other,), bound in zip("pgmv", given, exact, (1e3, 1, 8, 32), strict=True):
        yield f"adam.{name}", one, other, bound


def patches(chance: random.Random, draw: Draw) -> Iterator[Result]:
    size = chance.randrange(1, 9)
    H, W = chance.randrange(size, 30), chance.randrange(size, 30)
    rows, columns = (
        np.array(chance.sample(range(n - size + 1), chance.randrange(1, n - size + 2)))
        for n in (H, W)
    )
    total, weight = (wide(draw(H, W)) for _ in range(2))
    given = draw(len(rows) * len(columns), size, size), rows, columns, draw(size, size)
    exact = total.copy(), weight.copy()
    reference.fold(*exact, *given)
    cpu.fold(total, weight, *given)
    yield "fold", total, exact[0], 64
    yield "fold", weight, exact[1], 64


KINDS = [convolution] * 6 + [doubling] * 2 + [product] * 3 + [statistics] * 2 + [elements, patches]
