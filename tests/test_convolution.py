"""Convolutions: values against loops, implementations against the reference, sizes, errors.

The gradients of the ops are checked in the table of `minidl.gradcheck`.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from minidl import Tensor, device, ops
from minidl.kernels import cpu, gpu, reference
from minidl.kernels.algorithms import winograd as algorithm
from minidl.kernels.cpu import convolution as cpu_convolution
from minidl.kernels.cpu import tuning
from minidl.kernels.cpu.conv import direct, filter_transform, winograd
from minidl.kernels.cpu.conv.winograd import Transform
from minidl.kernels.cpu.runtime import threadpool
from minidl.ops.convolution import pads_of
from tests import emulated_gpu

DTYPES = [np.float32, np.float64]

# (N, H, W, C), (K, L, O), stride, (top, bottom, left, right)
CONVOLUTIONS = [
    ((2, 5, 7, 3), (3, 3, 4), 1, (1, 1, 1, 1)),
    ((1, 6, 5, 2), (3, 3, 5), 2, (0, 1, 1, 1)),
    ((3, 1, 1, 4), (3, 3, 2), 1, (1, 1, 1, 1)),
    ((2, 4, 4, 3), (4, 4, 6), 1, (0, 0, 0, 0)),
    ((1, 8, 6, 1), (4, 4, 3), 2, (1, 1, 1, 1)),
    ((2, 7, 8, 3), (1, 1, 2), 3, (0, 0, 0, 0)),
    ((1, 5, 5, 2), (2, 2, 3), 3, (1, 0, 0, 2)),
    ((1, 2, 3, 2), (5, 4, 1), 1, (2, 2, 1, 2)),
    ((2, 9, 7, 5), (5, 3, 7), 2, (0, 4, 3, 0)),
    ((2, 6, 5, 8), (3, 3, 2), 1, (1, 1, 1, 1)),  # few outputs: seen from the other side
    ((1, 4, 7, 6), (4, 5, 1), 1, (3, 0, 2, 4)),
    ((2, 3, 4, 4), (2, 2, 2), 1, (2, 0, 0, 3)),
    ((2, 8, 12, 5), (3, 3, 7), 2, (0, 1, 0, 1)),  # from here on in 2x2 output tiles
    ((1, 8, 4, 3), (3, 4, 35), 2, (1, 0, 1, 1)),
    ((2, 12, 8, 34), (4, 4, 9), 2, (1, 1, 1, 1)),
    ((1, 4, 4, 2), (4, 3, 1), 2, (2, 0, 0, 1)),
    ((1, 5, 1, 2), (3, 3, 4), 2, (0, 0, 5, 0)),  # columns with nothing but zeros
    ((2, 9, 10, 4), (3, 3, 5), 2, (0, 0, 2, 2)),  # except for x's gradient
    ((2, 12, 12, 4), (3, 3, 5), 3, (0, 0, 0, 0)),  # no tiles: windows that share no input
    ((1, 13, 16, 3), (4, 4, 2), 4, (1, 2, 0, 0)),
]
DOUBLED = [(2, 3, 4, 3, 5), (1, 1, 1, 2, 1), (3, 5, 1, 1, 2), (1, 1, 6, 4, 3), (2, 8, 7, 9, 17)]


@pytest.fixture(params=["cpu", "gpu-emulated", "gpu-emulated-backwards"])
def sibling(request: pytest.FixtureRequest) -> Any:
    """Return each implementation: the GPU's on NumPy's arrays, its threads in either order."""
    if request.param == "cpu":
        return cpu
    emulator = request.getfixturevalue("emulator")
    monkeypatch = request.getfixturevalue("monkeypatch")
    monkeypatch.setattr(emulator, "backwards", request.param.endswith("backwards"))
    emulated_gpu.stand_in(monkeypatch, emulator)
    return gpu


SMALL = {  # so small that every array is cut into many blocks
    "cpu.tuning": {
        "DIRECT_MIN_PIXELS": 3,
        "DIRECT_MAX_SCRATCH": 40,
        "WINOGRAD_MIN_TILES": 3,
        "WINOGRAD_MIN_TILES_GRAD_W": 3,
        "WINOGRAD_MAX_SCRATCH": 40,
        "MAX_PRIVATE_GRADIENT": 60,
    },
    "gpu.gemm": {"SHORTEST": 8},
    "gpu.launch": {"CHUNK": 400},
    "gpu.normalisation": {"ROWS": 1},
}


@pytest.fixture(params=["whole", "blocks", "threads"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run kernels with their own blocks, with small blocks, and with small blocks on three threads;
    use 2x2 output tiles wherever they fit."""
    monkeypatch.setattr(tuning, "STRIDE2_MIN_TILES", 1)
    monkeypatch.setattr(tuning, "STRIDE2_MIN_PANELS", 0)
    if request.param != "whole":
        for file, values in SMALL.items():
            module = importlib.import_module(f"minidl.kernels.{file}")
            for name, value in values.items():
                monkeypatch.setattr(module, name, value)
    if request.param == "threads":
        monkeypatch.setattr(threadpool, "_count", 3)
        monkeypatch.setattr(tuning, "MIN_MULTIPLIES", 1)
        monkeypatch.setattr(tuning, "GRAIN_SIZE", 1)
    yield


def draw(dtype: Any, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def close(found: Any, expected: Any, roundings: float = 20) -> None:
    """Assert equal types and shapes, and values equal to a few roundings of the largest."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    bound = roundings * np.finfo(found.dtype).eps * np.abs(expected).max(initial=0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound, equal_nan=False)


def close_convolutions(
    sibling: Any, dtype: Any, shape: Any, window: Any, stride: int, pad: Any, of_w: float = 20
) -> None:
    """Check a convolution, with and without a bias, and both gradients. of_w: the roundings of w's
    gradient, which has the longest sums."""
    x, w, b = draw(dtype, shape, (*window[:2], shape[3], window[2]), window[2:])
    y = reference.conv2d(x, w, b, stride, pad)
    (g,) = draw(dtype, y.shape)
    close(sibling.conv2d(x, w, b, stride, pad), y)
    close(sibling.conv2d(x, w, None, stride, pad), reference.conv2d(x, w, None, stride, pad))
    at = (x.shape[1:3], stride, pad)
    close(sibling.conv2d_grad_x(g, w, *at), reference.conv2d_grad_x(g, w, *at))
    at = (w.shape[:2], stride, pad)
    close(sibling.conv2d_grad_w(x, g, *at), reference.conv2d_grad_w(x, g, *at), of_w)


def by_loops(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: int, pad: Any) -> np.ndarray:
    """Return the convolution, element by element."""
    (N, H, W, C), (K, L, _, O), (top, bottom, left, right) = x.shape, w.shape, pad
    P, Q = (top + H + bottom - K) // stride + 1, (left + W + right - L) // stride + 1
    y = np.empty((N, P, Q, O), x.dtype)
    for n, i, j, o in np.ndindex(y.shape):
        total = float(b[o])
        for k, l, c in np.ndindex(K, L, C):
            h, v = stride * i + k - top, stride * j + l - left
            if 0 <= h < H and 0 <= v < W:
                total += float(x[n, h, v, c]) * float(w[k, l, c, o])
        y[n, i, j, o] = total
    return y


@pytest.mark.parametrize(("shape", "window", "stride", "pad"), CONVOLUTIONS)
def test_meaning_of_conv2d(shape: Any, window: Any, stride: int, pad: Any) -> None:
    x, w, b = draw(np.float64, shape, (*window[:2], shape[3], window[2]), window[2:])
    close(reference.conv2d(x, w, b, stride, pad), by_loops(x, w, b, stride, pad))


@pytest.mark.parametrize(("shape", "window", "stride", "pad"), CONVOLUTIONS)
def test_meaning_of_the_gradients(shape: Any, window: Any, stride: int, pad: Any) -> None:
    """<g, conv(x)> is linear in x and in w: both gradients are its transposes."""
    x, w = draw(np.float64, shape, (*window[:2], shape[3], window[2]))
    y = reference.conv2d(x, w, None, stride, pad)
    (g,) = draw(np.float64, y.shape)
    dx = reference.conv2d_grad_x(g, w, x.shape[1:3], stride, pad)
    dw = reference.conv2d_grad_w(x, g, w.shape[:2], stride, pad)
    assert math.isclose((g * y).sum(), (dx * x).sum(), rel_tol=1e-9, abs_tol=1e-9)
    assert math.isclose((g * y).sum(), (dw * w).sum(), rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "window", "stride", "pad"), CONVOLUTIONS)
def test_conv2d_kernels(
    sibling: Any, blocks: None, shape: Any, window: Any, stride: int, pad: Any, dtype: Any
) -> None:
    close_convolutions(sibling, dtype, shape, window, stride, pad)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("C", "O"), [(1, 1), (3, 5), (40, 33)])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_packed_filter(C: int, O: int, transposed: bool, dtype: Any) -> None:
    """The filter is packed tap by tap, in any order of taps, with zeros after the last channel."""
    (w,) = draw(dtype, (4, 3, O, C) if transposed else (4, 3, C, O))
    down, across = range(3, -1, -2), range(3)
    panels = direct.pack(w, down, across, transposed=transposed)
    found = panels.reshape(len(panels), 2, 3, C, -1).transpose(1, 2, 3, 0, 4).reshape(2, 3, C, -1)
    expected = w[list(down)]
    close(found[..., :O], expected.swapaxes(2, 3) if transposed else expected)
    assert not found[..., O:].any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("C", "O"), [(1, 1), (3, 5), (40, 33)])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("name", ["upsample", 3, 4])
def test_the_filter_transform(name: Any, C: int, O: int, transposed: bool, dtype: Any) -> None:
    """The packed filter is G w G^T, each distinct row of G once; its adjoint is right, too."""
    matrices = algorithm.UPSAMPLE_2 if name == "upsample" else algorithm.STRIDE_2[name]
    transform, taps = Transform(*matrices), len(matrices.G[0])
    n = len(transform.taps)
    w, dU = draw(dtype, (taps, taps, O, C) if transposed else (taps, taps, C, O), (n, n, C, O))
    panels = winograd.pack(w, transform, transform, transposed=transposed)
    found = panels.reshape(len(panels), n, n, C, -1).transpose(1, 2, 3, 0, 4).reshape(n, n, C, -1)
    distinct = matrices._replace(G=transform.taps.tolist())
    expected = algorithm.transform_filter(w.swapaxes(2, 3) if transposed else w, *[distinct] * 2)
    close(found[..., :O], expected.astype(dtype))
    dw, G = np.empty((taps, taps, C, O), dtype), transform.taps.astype(dtype)
    GT = transform.taps.T.copy()
    threadpool.parallel_for(filter_transform.filter_gradient, C, 1, dU, GT, GT, dw)
    close(dw, np.einsum("ak,abco,bl->klco", G, dU, G))


@pytest.mark.parametrize("taps", [3, 4])
def test_the_algebra_of_stride_2(taps: int) -> None:
    """The three matrices give a tile of four outputs of the plain convolution."""
    x, w = draw(np.float64, (taps + 2, taps + 2, 3), (taps, taps, 3, 2))
    expected = reference.conv2d(x[None], w, None, 2, (0, 0, 0, 0))[0]
    close(algorithm.tile(x, w, *[algorithm.STRIDE_2[taps]] * 2), expected)
    assert len(algorithm.STRIDE_2[taps].G) == {3: 5, 4: 6}[taps]


def test_the_algebra_of_a_doubled_picture() -> None:
    x, w = draw(np.float64, (3, 3, 4), (3, 3, 4, 2))
    expected = reference.upsample_conv2d(x[None], w, np.zeros(2))[0, 2:4, 2:4]
    close(algorithm.tile(x, w, *[algorithm.UPSAMPLE_2] * 2), expected)


def test_products_of_a_transform() -> None:
    """The rows for compiled loops follow from the matrices: input, input, sign, tap, group."""
    transform = Transform(*algorithm.UPSAMPLE_2)
    assert transform.products.tolist() == [[1, 1, 0, 0, 0], [1, 0, -1, 1, 1], [2, 1, -1, 2, 2]]
    assert Transform(*algorithm.UPSAMPLE_2_BACK).products[0].tolist() == [1, 2, 1, 0, 0]
    stride_2 = Transform(*algorithm.STRIDE_2[3])
    assert stride_2.products[:, 3].tolist() == [0, 1, 2, 3, 2] and len(stride_2.taps) == 4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("N", "H", "W", "C", "O"), DOUBLED)
def test_upsample_conv2d_kernels(
    sibling: Any, blocks: None, N: int, H: int, W: int, C: int, O: int, dtype: Any
) -> None:
    x, w, b, g = draw(dtype, (N, H, W, C), (3, 3, C, O), (O,), (N, 2 * H, 2 * W, O))
    close(sibling.upsample_conv2d(x, w, b), reference.upsample_conv2d(x, w, b))
    close(sibling.upsample_conv2d_grad_x(g, w), reference.upsample_conv2d_grad_x(g, w))
    close(sibling.upsample_conv2d_grad_w(x, g), reference.upsample_conv2d_grad_w(x, g))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("slope", [1.0, 0.2, 0.0])
@pytest.mark.parametrize("shape", [(1, 3), (50, 1), (2, 3, 5, 4), (1, 1, 1, 2), (3, 37, 11, 33)])
def test_statistics_kernels(sibling: Any, shape: tuple[int, ...], slope: float, dtype: Any) -> None:
    """The difference to the reference is at most the sum of both possible errors. A float64 sum of
    n numbers in any order has an error of at most n roundings of the sum of their absolute values
    (Higham 2002, 4.2). A result in the arrays' own type has a few roundings of its inputs."""
    x, g, scale, shift, a, b = draw(dtype, shape, shape, *[shape[-1:]] * 4)
    x += 1
    x.flat[::5] = 0  # the corner of a leaky ReLU
    over = tuple(range(x.ndim - 1))
    mean, n, of_type, of_sums = x.mean(axis=over), g.size, np.finfo(dtype).eps, np.finfo(float).eps
    u = reference.leaky_relu(x, slope).astype(np.float64)
    size = np.abs(u) + np.abs(mean)  # of u - mean, before anything cancels
    d = u - u[(0,) * len(over)]  # relative to the first row, like the moments
    weighted, squares = np.abs(g) * size, np.square(np.abs(g) + np.abs(x))

    def sums(terms: np.ndarray, roundings: int, axis: Any = over) -> np.ndarray:
        return (n * of_sums + roundings * of_type) * terms.sum(axis=axis, dtype=np.float64)

    moments = np.abs(u).mean(axis=over), np.square(d).mean(axis=over)
    few = 8 * of_type
    for name, arguments, bounds in (
        ("squared_distance", (g, x), [sums(squares, 4, None)]),
        ("channel_sum", (g,), [sums(np.abs(g), 1)]),
        ("batch_norm_sums", (g, x, mean, slope), [sums(np.abs(g), 1), sums(weighted, 4)]),
        (
            "moments",
            (x, slope),
            [
                n * of_sums * np.abs(d).mean(axis=over) + few * moments[0],
                4 * n * of_sums * moments[1] + few * (moments[1] + moments[0] ** 2),
            ],
        ),
        (
            "normalize",
            (x, mean, scale, shift, slope),
            [few * (size * np.abs(scale) + np.abs(shift))],
        ),
        (
            "batch_norm_grad",
            (g, x, mean, scale, a, b, slope),
            [few * (np.abs(g) + np.abs(a) + np.abs(b) * size) * np.abs(scale)],
        ),
    ):
        found = getattr(sibling, name)(*arguments)
        expected = getattr(reference, name)(*arguments)
        if len(bounds) == 1:
            found, expected = [found], [expected]
        for one, other, bound in zip(found, expected, bounds, strict=True):
            assert one.dtype == dtype
            assert (np.abs(one - other) <= 2 * bound).all(), name


def test_moments_far_from_zero(sibling: Any) -> None:
    """A mean a thousand times the deviation does not spoil the variance."""
    (x,) = draw(np.float32, (4000, 3))
    mean, variance = sibling.moments(1000 + x, 1.0)
    wide = (1000 + x).astype(np.float64)
    np.testing.assert_allclose(mean, wide.mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(variance, wide.var(axis=0), rtol=1e-6)


@pytest.mark.parametrize(("side", "phases"), [(7, 4), (1, 1)])
def test_a_gradient_is_computed_once_for_each_phase(
    side: int, phases: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At stride 2 every second tap sees a pixel, so a picture of one pixel has one phase."""
    calls: list[Any] = []
    convolve = direct.convolve

    def counted(*arguments: Any, **options: Any) -> None:
        calls.append(options["outputs"])
        convolve(*arguments, **options)

    monkeypatch.setattr(cpu_convolution, "_few", lambda channels, x: False)
    monkeypatch.setattr(direct, "convolve", counted)
    size, pad = (side, side), (1, 1, 1, 1)
    g, w = draw(np.float32, (1, (side + 1) // 2, (side + 1) // 2, 3), (3, 3, 5, 3))
    dx = cpu.conv2d_grad_x(g, w, size, 2, pad)
    close(dx, reference.conv2d_grad_x(g, w, size, 2, pad))
    assert len(calls) == phases and sum(map(math.prod, calls)) == side * side


def test_no_pictures_are_no_error(sibling: Any) -> None:
    """An empty batch gives an empty batch, and zeros for the gradient of w."""
    x, w, b = np.zeros((0, 5, 5, 3)), np.ones((3, 3, 3, 4)), np.ones(4)
    g, doubled, pad = np.zeros((0, 5, 5, 4)), np.zeros((0, 10, 10, 4)), (1, 1, 1, 1)
    for name, arguments in (
        ("conv2d", (x, w, b, 1, pad)),
        ("conv2d_grad_x", (g, w, (5, 5), 1, pad)),
        ("conv2d_grad_w", (x, g, (3, 3), 1, pad)),
        ("upsample_conv2d", (x, w, b)),
        ("upsample_conv2d_grad_x", (doubled, w)),
        ("upsample_conv2d_grad_w", (x, doubled)),
    ):
        close(getattr(sibling, name)(*arguments), getattr(reference, name)(*arguments))


@pytest.mark.parametrize("kernel", ["conv2d", "upsample_conv2d"])
def test_kernels_take_views(sibling: Any, kernel: str) -> None:
    """A transposed window, a broadcast gradient, every second pixel: none is contiguous."""
    x, w, b = draw(np.float32, (2, 10, 6, 3), (3, 3, 5, 3), (5,))
    x, w = x[:, ::2], w.transpose(0, 1, 3, 2)
    g = np.broadcast_to(np.float32(2), (2, 10, 12, 5))
    close(sibling.upsample_conv2d(x, w, b), reference.upsample_conv2d(x, w, b))
    close(sibling.upsample_conv2d_grad_x(g, w), reference.upsample_conv2d_grad_x(g, w))
    close(sibling.upsample_conv2d_grad_w(x, g), reference.upsample_conv2d_grad_w(x, g))
    at, g = (1, (1, 1, 1, 1)), g[:, :5, :6]
    close(sibling.conv2d(x, w, b, *at), reference.conv2d(x, w, b, *at))
    close(sibling.conv2d_grad_x(g, w, (5, 6), *at), reference.conv2d_grad_x(g, w, (5, 6), *at))
    close(sibling.conv2d_grad_w(x, g, (3, 3), *at), reference.conv2d_grad_w(x, g, (3, 3), *at))


@pytest.mark.parametrize(
    ("name", "shapes", "rest"),
    [
        ("conv2d", [(1, 4, 4, 3), (3, 3, 2, 5), (5,)], (1, (0, 0, 0, 0))),
        ("conv2d", [(1, 4, 4, 3), (3, 3, 3, 5), (4,)], (1, (0, 0, 0, 0))),
        (
            "conv2d: the filter 3x3 is larger than the padded pictures",
            [(1, 4, 1, 3), (3, 3, 3, 5), (5,)],
            (1, (0, 0, 0, 0)),
        ),
        ("conv2d_grad_x", [(1, 2, 2, 4), (3, 3, 3, 5)], ((4, 4), 1, (0, 0, 0, 0))),
        ("conv2d_grad_w", [(1, 4, 4, 3), (2, 2, 2, 5)], ((3, 3), 1, (0, 0, 0, 0))),
        ("upsample_conv2d", [(1, 4, 4, 3), (3, 3, 2, 5), (5,)], ()),
        ("upsample_conv2d", [(1, 4, 4, 3), (3, 3, 3, 5), (4,)], ()),
        ("upsample_conv2d_grad_x", [(1, 8, 8, 4), (3, 3, 3, 5)], ()),
        ("upsample_conv2d_grad_w", [(1, 4, 4, 3), (1, 8, 6, 5)], ()),
        ("squared_distance", [(5, 3), (3, 5)], ()),
        ("batch_norm_sums", [(5, 3), (4, 3), (3,)], (1.0,)),
        ("normalize", [(5, 3), (3,), (3,), (2,)], (1.0,)),
        ("batch_norm_grad", [(5, 3), (5, 3), (3,), (3,), (1,), (3,)], (1.0,)),
        ("moments", [(0, 3)], (1.0,)),
    ],
)
def test_what_does_not_fit_is_refused(sibling: Any, name: str, shapes: Any, rest: Any) -> None:
    """A compiled loop checks no bounds: arrays of other shapes must not reach it."""
    with pytest.raises(ValueError, match=name):
        getattr(sibling, name.split(":")[0])(*draw(np.float32, *shapes), *rest)


@pytest.mark.parametrize(
    ("name", "shapes", "rest"),
    [
        ("conv2d", [(1, 4, 4, 3), (3, 3, 3, 5)], (None, 1, (0, 0, 0, 0))),
        ("conv2d", [(1, 4, 4, 3), (3, 3, 3, 5), (5,)], (1, (0, 0, 0, 0))),
        ("conv2d_grad_x", [(1, 2, 2, 5), (3, 3, 3, 5)], ((4, 4), 1, (0, 0, 0, 0))),
        ("conv2d_grad_w", [(1, 4, 4, 3), (1, 2, 2, 5)], ((3, 3), 1, (0, 0, 0, 0))),
        ("upsample_conv2d", [(1, 4, 4, 3), (3, 3, 3, 5), (5,)], ()),
        ("upsample_conv2d_grad_x", [(1, 8, 8, 5), (3, 3, 3, 5)], ()),
        ("upsample_conv2d_grad_w", [(1, 4, 4, 3), (1, 8, 8, 5)], ()),
    ],
)
def test_types_are_not_mixed(sibling: Any, name: str, shapes: Any, rest: Any) -> None:
    arrays, words = draw(np.float32, *shapes), "expected arrays of one type, float32 or float64"
    for odd in range(len(arrays)):
        given = [a.astype(np.float64) if i == odd else a for i, a in enumerate(arrays)]
        with pytest.raises(ValueError, match=f"{name}: {words}"):
            getattr(sibling, name)(*given, *rest)
    with pytest.raises(ValueError, match=f"{name}: {words}"):
        getattr(sibling, name)(*(a.astype(np.int64) for a in arrays), *rest)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
def test_ops_on_the_gpu(dtype: Any) -> None:
    """Values and gradients on the GPU are those of the CPU."""
    gpu = device.choose("gpu")
    x, w, b = draw(dtype, (3, 9, 8, 5), (3, 3, 5, 6), (6,))
    calls: list[Any] = [
        lambda *at: ops.conv2d(*at, stride=2),
        lambda *at: ops.conv2d(*at, padding=(0, 2, 1, 0)),
        lambda x, w, b: ops.conv_transpose2d(
            x, ops.transpose(w, axes=(0, 1, 3, 2)), b, stride=2, padding=1
        ),
        ops.upsample_conv2d,
        lambda *at: ops.upsample2d(at[0]),
        lambda *at: ops.batch_norm(at[0], at[1][0, 0, :, 0], at[1][0, 0, :, 1]),
    ]
    for call in calls:
        ours = call(*(Tensor(a) for a in (x, w, b)))
        theirs = call(*(Tensor(gpu.put(a)) for a in (x, w, b)))
        tolerance = 100 * np.finfo(dtype).eps
        np.testing.assert_allclose(device.to_cpu(theirs.data), ours.data, tolerance, tolerance)
        _, g = draw(dtype, (7,), ours.shape)  # not x, whose gradient would vanish
        for one, other in zip(ours.origin.inputs, theirs.origin.inputs, strict=True):
            expected, found = one.grad(g), other.grad(gpu.put(g))
            bound = tolerance * np.abs(expected).max()
            np.testing.assert_allclose(device.to_cpu(found), expected, tolerance, bound)


@pytest.mark.parametrize(
    ("size", "window", "stride", "pad"),
    [
        (64, 3, 1, (1, 1)),
        (64, 3, 2, (0, 1)),  # the odd zero at the end
        (63, 3, 2, (1, 1)),
        (64, 4, 2, (1, 1)),
        (64, 5, 2, (1, 2)),
        (8, 1, 2, (0, 0)),
        (7, 2, 3, (0, 1)),
        (9, 2, 4, (0, 1)),
        (5, 4, 1, (1, 2)),
        (1, 3, 1, (1, 1)),
    ],
)
def test_same_as_in_keras(size: int, window: int, stride: int, pad: tuple[int, int]) -> None:
    assert pads_of("same", (size, size), (window, window), stride) == pad * 2
    x, w, b = draw(np.float32, (1, size, size, 1), (window, window, 1, 1), (1,))
    out = math.ceil(size / stride)
    assert ops.conv2d(x, w, b, stride=stride, padding="same").shape == (1, out, out, 1)


@pytest.mark.parametrize("side", range(4))
def test_every_pad_makes_room_for_the_window(side: int) -> None:
    """A 3x3 window on 2x2 pictures needs one more row and column, on any side."""
    x, w, b = np.ones((1, 2, 2, 1)), np.ones((3, 3, 1, 1)), np.ones(1)
    rows, columns = divmod(side, 2)
    fits = (1 - rows, rows, 1 - columns, columns)
    assert ops.conv2d(x, w, b, padding=fits).data.tolist() == [[[[5]]]]
    for short, size in (((0, 0, *fits[2:]), "2x3"), ((*fits[:2], 0, 0), "3x2")):
        with pytest.raises(ValueError, match=f"3x3 is larger than the padded picture {size}"):
            ops.conv2d(x, w, b, padding=short)


def test_sizes_of_conv_transpose2d() -> None:
    x, w, b = draw(np.float32, (2, 5, 7, 3), (4, 4, 6, 3), (6,))
    assert ops.conv_transpose2d(x, w, b, stride=2, padding=1).shape == (2, 10, 14, 6)
    one = x[:, :1, :1]
    assert ops.conv_transpose2d(one, w, b, stride=1, padding=0).shape == (2, 4, 4, 6)
    assert ops.conv_transpose2d(x, w, b, stride=3, padding=(0, 1, 2, 3)).shape == (2, 15, 17, 6)


def test_conv_transpose2d_is_the_transpose() -> None:
    """<conv_transpose(x), z> = <x, conv(z)>, with the same window."""
    x, w, z = draw(np.float64, (2, 3, 4, 3), (4, 4, 2, 3), (2, 6, 8, 2))
    y = ops.conv_transpose2d(x, w, np.zeros(2), stride=2, padding=1)
    back = ops.conv2d(z, w, np.zeros(3), stride=2, padding=1)
    assert math.isclose((y.data * z).sum(), (x * back.data).sum(), rel_tol=1e-12)


@pytest.mark.parametrize("one", [1, np.int64(1), np.uint8(1)])
def test_whole_numbers_of_numpy_do(one: Any) -> None:
    x, w, b = draw(np.float32, (2, 5, 7, 3), (3, 3, 3, 3), (3,))
    for op in (ops.conv2d, ops.conv_transpose2d):
        for pad in (one, (one,) * 4):
            assert op(x, w, b, stride=one, padding=pad).shape == x.shape
    assert pads_of(one, (5, 7), (3, 3), one) == (1, 1, 1, 1)


def test_upsample2d_repeats() -> None:
    x = np.arange(4.0).reshape(1, 2, 2, 1)
    expected = [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    assert ops.upsample2d(x).data[0, :, :, 0].tolist() == expected
    assert ops.upsample2d(x, factor=3).shape == (1, 6, 6, 1)


def test_upsample_conv2d_is_both() -> None:
    x, w, b = draw(np.float32, (2, 16, 16, 32), (3, 3, 32, 24), (24,))
    fused, plain = ops.upsample_conv2d(x, w, b).data, ops.conv2d(ops.upsample2d(x), w, b).data
    assert np.abs(fused - plain).max() / np.abs(plain).max() < 1e-6


def test_channelwise_linear_keeps_maps_apart() -> None:
    x, w, b = draw(np.float64, (2, 3, 2, 4), (4, 6, 6), (4, 6))
    y = ops.channelwise_linear(x, w, b).data
    for n, c in np.ndindex(2, 4):
        expected = x[n, :, :, c].reshape(6) @ w[c] + b[c]
        np.testing.assert_allclose(y[n, :, :, c].reshape(6), expected)


X, W, B = (2, 5, 5, 3), (3, 3, 3, 6), (6,)


@pytest.mark.parametrize(
    ("call", "shapes", "message"),
    [
        (ops.conv2d, (X, (3, 3, 4, 6), B), "conv2d: x has 3 channels, w expects 4"),
        (ops.conv2d, (X, W, (5,)), "conv2d: w gives 6 channels, b is (5,)"),
        (ops.conv2d, (X[1:], W, B), "conv2d: x is (5, 5, 3)"),
        (lambda *a: ops.conv2d(*a, stride=0), (X, W, B), "conv2d: stride is 0"),
        (lambda *a: ops.conv2d(*a, stride=(2, 2)), (X, W, B), "conv2d: stride is (2, 2), expected"),
        (lambda *a: ops.conv2d(*a, stride=1.5), (X, W, B), "conv2d: stride is 1.5, expected a"),
        (lambda *a: ops.conv2d(*a, padding=1.5), (X, W, B), "conv2d: padding is 1.5, expected"),
        (lambda *a: ops.conv2d(*a, padding="valid"), (X, W, B), 'conv2d: padding is "valid"'),
        (lambda *a: ops.conv2d(*a, padding=(1, 2)), (X, W, B), "conv2d: padding is (1, 2)"),
        (lambda *a: ops.conv2d(*a, padding=-1), (X, W, B), "conv2d: padding is -1"),
        (
            lambda *a: ops.conv2d(*a, padding=0),
            ((2, 2, 5, 3), W, B),
            "conv2d: the filter 3x3 is larger than the padded picture 2x5",
        ),
        (
            lambda *a: ops.conv_transpose2d(*a, stride=2, padding=1),
            (X, (4, 4, 6, 2), B),
            "conv_transpose2d: x has 3 channels, w expects 2",
        ),
        (
            lambda *a: ops.conv_transpose2d(*a, stride=(2, 2), padding=1),
            (X, (4, 4, 6, 3), B),
            "conv_transpose2d: stride is (2, 2), expected a whole number",
        ),
        (
            lambda *a: ops.conv_transpose2d(*a, stride=2, padding="same"),
            (X, (3, 3, 6, 3), B),
            'conv_transpose2d: padding is "same"',
        ),
        (
            lambda *a: ops.conv_transpose2d(*a, stride=1, padding=2),
            ((2, 1, 1, 3), (3, 3, 6, 3), B),
            "conv_transpose2d: padding 2 leaves nothing",
        ),
        (ops.upsample_conv2d, (X, (4, 4, 3, 6), B), "upsample_conv2d: the filter is 4x4"),
        (ops.upsample2d, ((2, 3),), "upsample2d: x is (2, 3)"),
        (
            lambda *a: ops.conv_transpose2d(*a, stride=2, padding=1),
            (X, (4, 4, 6, 3), (3,)),
            "conv_transpose2d: w gives 6 channels, b is (3,)",
        ),
        (
            lambda *a: ops.conv_transpose2d(*a, stride=2, padding=1),
            (X[1:], (4, 4, 6, 3), B),
            "conv_transpose2d: x is (5, 5, 3)",
        ),
        (
            lambda *a: ops.channelwise_linear(*a),
            (X[1:], (3, 25, 25), (3, 25)),
            "channelwise_linear: x is (5, 5, 3), expected (N, H, W, C)",
        ),
        (lambda x: ops.upsample2d(x, factor=0), (X,), "upsample2d: x is (2, 5, 5, 3), factor 0"),
        (lambda x: ops.leaky_relu(x, slope=-0.1), (X,), "leaky_relu: slope is -0.1, expected 0 or"),
        (ops.batch_norm, (X, (3,), (4,)), "batch_norm: x has 3 channels, beta is (4,)"),
        (
            ops.batch_norm,
            ((1, 3), (3,), (3,)),
            "batch_norm: x is (1, 3): one value of each channel has no variance; take a larger",
        ),
        (
            lambda *a: ops.normalize(*a, mean=np.zeros(3), variance=np.ones(3)),
            (X, (3,), (3,)),
            "normalize: x is float32, mean is float64",
        ),
        (ops.channelwise_linear, (X, (3, 9, 9), (3, 9)), "channelwise_linear: x has 3 maps of 5x5"),
    ],
)
def test_wrong_shapes_are_refused(call: Any, shapes: Any, message: str) -> None:
    with pytest.raises(ValueError) as error:
        call(*draw(np.float32, *shapes))
    assert str(error.value).startswith(message)
