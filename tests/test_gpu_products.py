"""Products and convolutions of the GPU, in software: larger than a tile, in parts, by cuBLAS."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minidl.device import is_recording, recording, tf32
from minidl.kernels import gpu, reference
from minidl.kernels.gpu import convolution, gemm, launch
from tests import emulated_gpu
from tests.test_convolution import CONVOLUTIONS, DTYPES, close, close_convolutions, draw

PRODUCTS = [((3, 4), (4, 5)), ((1, 7), (7, 1)), ((130, 9), (9, 70)), ((5, 3, 2), (5, 2, 4)),
            ((200, 37), (37, 129)), ((2, 0), (0, 3)), ((0, 2), (2, 3)), ((3, 140, 300),
            (3, 300, 66))]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", ["neither", "left", "right", "both"])
@pytest.mark.parametrize(("left", "right"), PRODUCTS)
@pytest.mark.parametrize("shortest", [8, 256])
def test_products(
    emulated: Any, monkeypatch: pytest.MonkeyPatch, shortest: int, left: Any, right: Any,
    transposed: str, dtype: Any,
) -> None:  # fmt: skip
    monkeypatch.setattr(gemm, "SHORTEST", shortest)
    a, b = draw(dtype, left, right)
    if transposed in ("left", "both"):
        a = np.swapaxes(np.swapaxes(a, -1, -2).copy(), -1, -2)
    if transposed in ("right", "both"):
        b = np.swapaxes(np.swapaxes(b, -1, -2).copy(), -1, -2)
    close(gpu.matmul(a, b), reference.matmul(a, b))


WIDE: list[tuple[str, list[Any], tuple[Any, ...]]] = [  # blocks in several ways, 128 columns
    ("matmul", [(2, 5, 3), (2, 3, 128)], ()),
    ("conv2d_grad_x", [(1, 2, 2, 5), (3, 3, 128, 5)], ((4, 4), 2, (1, 0, 1, 0))),
    ("conv2d_grad_w", [(2, 18, 18, 1), (2, 16, 16, 128)], ((3, 3), 1, (0, 0, 0, 0))),
]


@pytest.mark.parametrize(("name", "shapes", "rest"), WIDE)
def test_tiles_are_wide_where_all_blocks_keep_the_gpu_busy(
    emulated: Any, emulator: emulated_gpu.Emulator, monkeypatch: pytest.MonkeyPatch, name: str,
    shapes: list[Any], rest: tuple[Any, ...],
) -> None:  # fmt: skip
    """Phases of a stride, parts of a sum and products of a batch are separate blocks."""
    for busy, columns in ((4, 128), (6, 64)):
        monkeypatch.setattr(gemm, "BUSY", busy if name != "conv2d_grad_x" else 2 * busy)
        emulator.launched.clear()
        getattr(gpu, name)(*draw(np.float32, *shapes), *rest)
        assert emulator.launched[0].startswith(f"{name}<float, {columns}")


LENGTHS: list[tuple[str, list[Any], tuple[Any, ...], tuple[int, int]]] = [
    ("matmul", [(2, 130, 20), (2, 20, 70)], (), (2 * 2 * 2, 20)),
    ("conv2d", [(2, 9, 9, 3), (3, 5, 3, 70)], (None, 1, (1, 1, 2, 2)), (2 * 2, 45)),
    ("conv2d_grad_x", [(2, 8, 9, 6), (3, 5, 70, 6)], ((16, 18), 2, (1, 0, 2, 1)),
     (2 * 2 * 4, 2 * 3 * 6)),
    ("conv2d_grad_w", [(2, 9, 9, 30), (2, 9, 9, 70)], ((3, 5), 1, (1, 1, 2, 2)), (4 * 2, 162)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "shapes", "rest", "sums"), LENGTHS)
def test_sums_are_cut_by_their_number_and_length(
    emulated: Any, emulator: emulated_gpu.Emulator, monkeypatch: pytest.MonkeyPatch, name: str,
    shapes: list[Any], rest: tuple[Any, ...], sums: tuple[int, int],
) -> None:  # fmt: skip
    """sums: (tiles, numbers of a sum). Two parts are added up by a second launch."""
    asked: list[tuple[int, int]] = []

    def parts_of(tiles: int, length: int) -> int:
        asked.append((tiles, length))
        return 2

    monkeypatch.setattr(gemm, "parts_of", parts_of)
    arguments = [*draw(np.float64, *shapes), *rest]
    emulator.launched.clear()
    found = getattr(gpu, name)(*arguments)
    assert asked == [sums]
    assert [kernel.split("<")[0] for kernel in emulator.launched] == [name, "add_parts"]
    close(found, getattr(reference, name)(*arguments), 50)


@pytest.fixture
def by_a_library(emulated: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Replace cuBLAS, which multiplies outside of a capture, by NumPy; note shapes, transposes."""
    asked: list[tuple[Any, ...]] = []

    def multiply(a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        assert all(m.flags.c_contiguous or m.T.flags.c_contiguous for m in (a, b))  # else it copies
        asked.append((a.shape, b.shape))
        return np.matmul(a, b, out=out)

    monkeypatch.setattr(gemm, "is_recording", lambda: False)
    monkeypatch.setattr(launch, "multiply", multiply)
    return asked


def test_products_by_a_library(by_a_library: list[Any]) -> None:
    a, b, c = draw(np.float32, (2, 6, 4), (2, 4, 3), (2, 3, 4))
    assert gemm.by_cublas(a, b) and gemm.by_cublas(a[0].T, b[0])
    assert not gemm.by_cublas(a, c.transpose(0, 2, 1))
    np.testing.assert_array_equal(gpu.matmul(a, b), a @ b)
    assert by_a_library == [(a.shape, b.shape)]
    for wrong in ((a, c), (a, b[0]), (a, b[:1]), (a, b.astype(np.float64))):
        with pytest.raises(ValueError, match="matmul: expected"):
            gpu.matmul(*wrong)


@pytest.mark.parametrize(("switch", "mode"), [("0", 0), ("1", 3)])
def test_cublas_is_told(monkeypatch: pytest.MonkeyPatch, switch: str, mode: int) -> None:
    """cuBLAS is told before each product, on this thread's handle, if TF32 is allowed."""
    told: list[tuple[int, int]] = []
    cublas = SimpleNamespace(
        CUBLAS_DEFAULT_MATH=0, setMathMode=lambda handle, mode: told.append((handle, mode))
    )
    device: Any = SimpleNamespace(get_cublas_handle=lambda: 7)
    libraries: Any = SimpleNamespace(cublas=cublas)
    monkeypatch.setitem(sys.modules, "cupy.cuda.device", device)
    monkeypatch.setitem(sys.modules, "cupy_backends.cuda.libs", libraries)
    monkeypatch.setenv("CUPY_TF32", switch)
    a, b = draw(np.float32, (3, 4), (4, 5))
    out = np.empty((3, 5), np.float32)
    assert launch.multiply(a, b, out) is out
    np.testing.assert_array_equal(out, launch.multiply(a, b))
    assert told == [(7, mode)] * 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("chunk", [400, launch.CHUNK])
@pytest.mark.parametrize(("shape", "window", "stride", "pad"), CONVOLUTIONS)
def test_windows_laid_out(
    by_a_library: list[Any], monkeypatch: pytest.MonkeyPatch, shape: Any, window: Any,
    stride: int, pad: Any, chunk: int, dtype: Any,
) -> None:  # fmt: skip
    """Convolutions by cuBLAS give the same for all pictures together and for a few at a time."""
    monkeypatch.setattr(launch, "CHUNK", chunk)
    monkeypatch.setattr(convolution, "unrolls", lambda dtype: True)
    close_convolutions(gpu, dtype, shape, window, stride, pad)
    assert len(by_a_library) >= 4


@pytest.mark.parametrize(("switch", "recorded", "unrolled"), [
    (None, False, False), ("0", False, False), ("", False, False), ("1", False, True),
    ("1", True, False),
])  # fmt: skip
def test_tf32_is_a_choice(
    monkeypatch: pytest.MonkeyPatch, switch: str | None, recorded: bool, unrolled: bool
) -> None:
    """TF32 is CuPy's switch; only cuBLAS uses it, and not for float64."""
    monkeypatch.delenv("CUPY_TF32", raising=False)
    if switch is not None:
        monkeypatch.setenv("CUPY_TF32", switch)
    assert tf32() == (switch == "1")
    with recording() if recorded else contextlib.nullcontext():
        assert convolution.unrolls(np.dtype(np.float32)) == unrolled
        assert not convolution.unrolls(np.dtype(np.float64))
        a = np.ones((2, 2))
        assert gemm.by_cublas(a, a) != recorded
    assert not is_recording()


LARGE = [  # (N, H, W, C), (K, L, O), stride, pad: beyond a tile in rows, columns and taps
    ((2, 11, 13, 17), (3, 3, 70), 1, (1, 1, 1, 1)),
    ((3, 12, 9, 9), (4, 4, 20), 2, (1, 1, 1, 1)),
    ((2, 13, 8, 33), (5, 3, 16), 3, (2, 0, 1, 3)),
    ((1, 9, 31, 70), (3, 3, 3), 1, (1, 1, 1, 1)),
    ((5, 9, 9, 20), (1, 1, 70), 1, (0, 0, 0, 0)),
    ((9, 4, 4, 24), (4, 4, 65), 1, (0, 0, 0, 0)),
    ((2, 5, 3, 4), (2, 3, 5), 4, (0, 0, 1, 0)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shortest", [8, 256])
@pytest.mark.parametrize(("shape", "window", "stride", "pad"), LARGE)
def test_large_convolutions(
    emulated: Any, monkeypatch: pytest.MonkeyPatch, shape: Any, window: Any, stride: int,
    pad: Any, shortest: int, dtype: Any,
) -> None:  # fmt: skip
    monkeypatch.setattr(gemm, "SHORTEST", shortest)
    close_convolutions(gpu, dtype, shape, window, stride, pad, of_w=50)


def test_indices_beyond_32_bits(emulated: Any) -> None:
    """Only the corners of two pictures of 2^30 and more pixels are used; nothing else is read."""
    side = 33_000
    try:
        x = np.zeros((2, side, side, 1), np.float32)
    except MemoryError:
        pytest.skip("8 GB of addresses are too many here")
    x[1, -1, 0], x[1, -1, -1] = 3, 5
    at = (side - 1, (0, 0, 0, 0))
    y = gpu.conv2d(x, np.ones((1, 1, 1, 1), np.float32), None, *at)
    assert y.reshape(-1).tolist() == [0, 0, 0, 0, 0, 0, 3, 5]
    assert gpu.conv2d_grad_w(x, y, (1, 1), *at).tolist() == [[[[9 + 25]]]]


DECODED = """
__global__ void decoded(Index i, View v, Index* out) {
    const Windows<float> windows = {(const float*)nullptr, v};
    const auto pixel = windows.pixel(i);
    const Place at(i, v.P, v.Q, v.C);
    const Index found[7] = {pixel.picture - windows.x, pixel.h, pixel.w, at.picture, at.h, at.w,
                            at.c};
    for (int k = 0; k < 7 && threadIdx.x == 0; k++) out[k] = found[k];
}
"""


def test_places_beyond_32_bits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Compute the i-th window and number of one huge picture, and of very many."""
    if emulated_gpu.missing():
        pytest.skip(emulated_gpu.missing())
    emulator = emulated_gpu.Emulator(tmp_path, launch.source() + DECODED, ["decoded"])
    emulated_gpu.stand_in(monkeypatch, emulator)
    for P, Q, C in ((2**16, 2**16, 3), (5, 7, 4), (1, 1, 1)):
        H, W, stride, top, left = 2 * P, 2 * Q, 2, 1, 3
        view = np.array((H, W, C, 3, P, Q, stride, top, left), convolution.VIEW)
        for i in (0, 2**31 - 1, 2**31, 2**32 + 12345, 2**33 + 7):
            (row, q), (rest, c) = divmod(i, Q), divmod(i, C)
            (n, p), (line, w) = divmod(row, P), divmod(rest, Q)
            expected = [n * H * W * C, p * stride - top, q * stride - left, *divmod(line, P), w, c]
            found = np.zeros(7, np.int64)
            launch.function("decoded")((1,), (launch.THREADS,), (i, view, found))
            assert found.tolist() == expected


def test_nothing_to_convolve(emulated: Any) -> None:
    x, w, g = np.zeros((0, 5, 5, 3)), np.ones((3, 3, 3, 4)), np.zeros((0, 5, 5, 4))
    pad = (1, 1, 1, 1)
    assert gpu.conv2d(x, w, None, 1, pad).shape == (0, 5, 5, 4)
    assert gpu.conv2d_grad_x(g, w, (5, 5), 1, pad).shape == x.shape
    assert not gpu.conv2d_grad_w(x, g, (3, 3), 1, pad).any()
    doubled = np.zeros((0, 10, 10, 4))
    assert gpu.upsample_conv2d(x, w, np.ones(4)).shape == doubled.shape
    assert gpu.upsample_conv2d_grad_x(doubled, w).shape == x.shape
    assert not gpu.upsample_conv2d_grad_w(x, doubled).any()
    assert gpu.channel_sum(x).tolist() == [0, 0, 0]
    mean, scale, shift = np.ones((3, 3))
    assert gpu.normalize(x, mean, scale, shift, 0.2).shape == x.shape
