"""The launching code on CuPy's own arrays, in the CPU's memory: their views, types and devices are
real, the kernels are emulated. CuPy's copies, fills and arithmetic need a GPU."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from minidl import changes, kernels
from minidl import device as devices
from minidl.device import DeviceError, of
from minidl.kernels import reference
from minidl.kernels.gpu import convolution, gemm, launch, philox
from tests import emulated_gpu

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("cupy") is None, reason="CuPy is not installed"
)
Put = Callable[[np.ndarray], Any]


def to_cpu(array: Any) -> np.ndarray:
    """Return a NumPy copy of a contiguous CuPy array in the CPU's memory."""
    assert array.flags.c_contiguous
    found = np.empty(array.shape, array.dtype)
    ctypes.memmove(found.ctypes.data, array.data.ptr, array.nbytes)
    return found


@pytest.fixture
def put(emulator: emulated_gpu.Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Put]:
    """Return a function: array -> CuPy array of the same numbers, in memory from NumPy."""
    import cupy

    def allocate(size: int) -> Any:
        room = np.empty(size + 512, np.uint8)
        start = -(-room.ctypes.data // 512) * 512
        return cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(start, size, room, 0), 0)

    def put(array: np.ndarray) -> Any:
        found = cupy.empty(array.shape, array.dtype)
        data = np.ascontiguousarray(array)
        ctypes.memmove(found.data.ptr, data.ctypes.data, data.nbytes)
        return found

    monkeypatch.setattr(launch, "function", emulator.function)
    monkeypatch.setattr(launch, "numbers", to_cpu)
    monkeypatch.setattr(gemm, "is_recording", lambda: True)
    before = cupy.cuda.get_allocator()
    cupy.cuda.set_allocator(allocate)
    yield put
    cupy.cuda.set_allocator(before)


# of the arrays, and what follows them
SHAPES: dict[str, tuple[list[tuple[int, ...]], tuple[Any, ...]]] = {
    "sigmoid": ([(5, 7)], ()),
    "sigmoid_grad": ([(5, 7), (5, 7)], ()),
    "tanh_grad": ([(5, 7), (5, 7)], ()),
    "leaky_relu": ([(5, 7)], (0.2,)),
    "leaky_relu_grad": ([(5, 7), (5, 7)], (0.2,)),
    "add": ([(5, 7), (5, 7)], ()),
    "squared_distance": ([(5, 7), (5, 7)], ()),
    "squared_distance_grad": ([(), (5, 7), (5, 7)], ()),
    "matmul": ([(3, 9, 4), (3, 4, 5)], ()),
    "conv2d": ([(2, 7, 6, 3), (3, 4, 3, 5), (5,)], (2, (1, 1, 1, 2))),
    "conv2d_grad_x": ([(2, 4, 3, 5), (3, 4, 3, 5)], ((7, 6), 2, (1, 1, 1, 2))),
    "conv2d_grad_w": ([(2, 7, 6, 3), (2, 4, 3, 5)], ((3, 4), 2, (1, 1, 1, 2))),
    "upsample_conv2d": ([(3, 4, 5, 3), (3, 3, 3, 2), (2,)], ()),
    "upsample_conv2d_grad_x": ([(3, 8, 10, 2), (3, 3, 3, 2)], ()),
    "upsample_conv2d_grad_w": ([(3, 4, 5, 3), (3, 8, 10, 2)], ()),
    "channel_sum": ([(6, 7, 5)], ()),
    "moments": ([(6, 7, 5)], (0.2,)),
    "normalize": ([(6, 7, 5), (5,), (5,), (5,)], (0.2,)),
    "batch_norm_sums": ([(6, 7, 5), (6, 7, 5), (5,)], (0.2,)),
    "batch_norm_grad": ([(6, 7, 5), (6, 7, 5), (5,), (5,), (5,), (5,)], (0.2,)),
}


def test_every_kernel_is_here() -> None:
    assert set(SHAPES) | {"adam", "fold"} == set(kernels.NAMES)


def check(name: str, dtype: Any, put: Put, get: Put) -> None:
    """Call a kernel in the usual way, and compare with its reference."""
    rng = np.random.default_rng(0)
    shapes, rest = SHAPES[name]
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    expected = getattr(reference, name)(*arrays, *rest)
    found = getattr(kernels, name)(*map(put, arrays), *rest)
    pairs = zip(found, expected, strict=True) if type(found) is tuple else [(found, expected)]
    for one, other in pairs:
        assert of(one) == "gpu"
        assert (one.dtype, one.shape) == (dtype, other.shape)
        bound = 50 * np.finfo(dtype).eps * np.abs(other).max()
        np.testing.assert_allclose(get(one), other, rtol=0, atol=bound)


@pytest.fixture(params=[False, True])
def small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut sums into parts and pictures into chunks, or neither."""
    if request.param:
        monkeypatch.setattr(gemm, "SHORTEST", 8)
        monkeypatch.setattr(launch, "CHUNK", 400)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SHAPES)
def test_kernels(put: Put, small: None, name: str, dtype: Any) -> None:
    check(name, dtype, put, to_cpu)


@pytest.mark.gpu
@pytest.mark.parametrize("recording", [False, True])  # by cuBLAS, and by our own products
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SHAPES)
def test_kernels_on_the_gpu(
    small: None, name: str, dtype: Any, recording: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gemm, "is_recording", lambda: recording)
    check(name, dtype, devices.choose("gpu").put, devices.to_cpu)


@pytest.mark.gpu
@pytest.mark.parametrize("name", [name for name in SHAPES if name.startswith("conv2d")])
def test_windows_laid_out_on_the_gpu(
    small: None, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "unrolls", lambda dtype: True)
    for dtype in (np.float32, np.float64):
        check(name, dtype, devices.choose("gpu").put, devices.to_cpu)


@pytest.mark.gpu
def test_random_numbers_on_the_gpu() -> None:
    expected = philox.philox(np.arange(50, dtype=np.uint64), 9)
    for dtype in (np.float32, np.float64):
        rng = philox.Generator(9)
        found = devices.to_cpu(rng.random(100, dtype=dtype))
        np.testing.assert_array_equal(found, philox.uniforms(expected, dtype)[:100])
        found = devices.to_cpu(philox.Generator(9).standard_normal(100, dtype=dtype))
        eps = 20 * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(found, philox.normals(expected, dtype)[:100], eps, eps)


def test_adam(put: Put, rng: np.random.Generator) -> None:
    shapes: list[tuple[int, ...]] = [(3, 4), (0,), (5000,)]
    arrays: Any = [[rng.random(s).astype(np.float32) for s in shapes] for _ in "pgmv"]
    given: Any = [[put(a) for a in each] for each in arrays]
    rest: Any = (0.01, 0.9, 0.999, 1e-8)
    kernels.adam(*given, *rest)
    reference.adam(*arrays, *rest)
    for one, other in zip(given, arrays, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(to_cpu(a), b, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lay_patches(put: Put, dtype: Any, rng: np.random.Generator) -> None:
    places: Any = np.array([0, 4, 2]), np.array([0, 1, 3, 6])
    arrays: Any = [*rng.random((2, 7, 9)), rng.standard_normal((12, 3, 3)).astype(dtype), *places,
                   rng.random((3, 3)).astype(np.float32)]  # fmt: skip
    given = [put(a) for a in arrays]
    kernels.fold(*given)
    reference.fold(*arrays)
    for i, (one, other) in enumerate(zip(given, arrays, strict=True)):
        np.testing.assert_allclose(to_cpu(one), other, rtol=1e-12 * (i < 2))


def test_transposed_views(put: Put, rng: np.random.Generator) -> None:
    a, b = rng.random((7, 40)), rng.random((7, 30))
    found = kernels.matmul(put(a).T, put(b))
    np.testing.assert_allclose(to_cpu(found), a.T @ b, rtol=1e-13)


def test_random_numbers(put: Put) -> None:
    expected = philox.uniforms(philox.philox(np.arange(3, dtype=np.uint64), 9), np.float32)
    found = philox.Generator(9).random((2, 5), dtype=np.float32)
    np.testing.assert_array_equal(to_cpu(found).reshape(-1), expected[:10])


def test_what_does_not_fit_is_refused(put: Put) -> None:
    x, w = put(np.ones((1, 4, 4, 3))), put(np.ones((3, 3, 2, 5)))
    with pytest.raises(ValueError, match="conv2d: x is"):
        kernels.conv2d(x, w, None, 1, (1, 1, 1, 1))
    with pytest.raises(ValueError, match="expected arrays of one shape and type"):
        kernels.sigmoid_grad(x, put(np.ones((1, 4, 4, 1))))
    with pytest.raises(DeviceError, match="inputs on two devices"):
        kernels.sigmoid_grad(x, np.ones((1, 4, 4, 3)))


def test_changes_are_known_by_memory(put: Put) -> None:
    """This holds for CuPy's arrays and their views, as for NumPy's."""
    a, other = put(np.zeros((3, 4))), put(np.zeros((3, 4)))
    seen = changes.watch([a, 2.0, a[1:], a.T[::2], other])
    now = next(changes.clock)
    assert changes.changed_since(now, seen) is None
    changes.changed([other.reshape(-1)])
    assert changes.changed_since(now, seen) == 4
    changes.changed([a[:1]])
    assert changes.changed_since(now, seen[1:]) == 1
    known = len(changes._changes)
    del a, other
    assert len(changes._changes) == known - 2
    assert changes.changed_since(now, seen) is None
