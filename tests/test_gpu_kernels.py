"""The GPU's kernels in software, in cases that `test_kernels` does not have: tables of arrays,
arrays at any address, statistics in parts."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minidl.kernels import gpu, reference
from minidl.kernels.gpu import elementwise, launch, normalisation
from tests import emulated_gpu
from tests.test_convolution import DTYPES, close, draw
from tests.test_kernels import ARGUMENTS, IN_PLACE, arrays, check_adam_lists, check_relu, each

SHAPES = [(0,), (1,), (7,), (33, 65), (5, 3, 4), (3, 5000)]


# --- element by element ---------------------------------------------------------------------------


def compare(name: str, arguments: list[Any]) -> None:
    """Compare the kernel with its reference, in value and in all effects."""
    expected_arguments = [each(np.copy, a) for a in arguments]
    expected = getattr(reference, name)(*expected_arguments)
    value = getattr(gpu, name)(*arguments)
    eps = 10 * np.finfo(arrays(arguments[0])[0].dtype).eps
    assert (value is None) == (expected is None)
    if expected is not None:
        assert (value.dtype, value.shape) == (arguments[0].dtype, expected.shape)
        np.testing.assert_allclose(value, expected, eps, eps)
    for i, (after, wanted) in enumerate(zip(arguments, expected_arguments, strict=True)):
        for one, other in zip(arrays(after), arrays(wanted), strict=True):
            exact = i not in IN_PLACE.get(name, ())
            np.testing.assert_allclose(one, other, *((0, 0) if exact else (eps, eps)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ARGUMENTS)
def test_elementwise(
    emulated: Any, name: str, shape: Any, dtype: Any, rng: np.random.Generator
) -> None:
    compare(name, ARGUMENTS[name](rng, dtype, shape))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offset", [1, 4])
@pytest.mark.parametrize("name", ARGUMENTS)
def test_arrays_begin_anywhere(
    emulated: Any, name: str, offset: int, dtype: Any, rng: np.random.Generator
) -> None:
    """Arrays begin at multiples of 16 bytes, where they are read in packs, and elsewhere."""
    arguments = ARGUMENTS[name](rng, dtype, (1031,))
    compare(name, [each(lambda a: a[offset:] if a.ndim else a, a) for a in arguments])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_is_not_finite_stays_visible(
    emulated: Any, name: str, dtype: Any, rng: np.random.Generator
) -> None:
    for odd in range(len([a for a in ARGUMENTS[name](rng, dtype, (7,)) if arrays(a)])):
        arguments = ARGUMENTS[name](rng, dtype, (7,))
        arrays(arguments[odd])[-1].flat[:3] = np.nan, np.inf, -np.inf
        compare(name, arguments)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_relu_is_no_product(emulated: Any, dtype: Any) -> None:
    check_relu(gpu, np.copy, dtype)


def test_adam_is_one_launch(
    emulated: Any, emulator: emulated_gpu.Emulator, rng: np.random.Generator
) -> None:
    """One launch serves up to 64 arrays of a type, of any sizes and in any order."""
    sizes = [1, 0, elementwise.CHUNK, 3 * elementwise.CHUNK + 1, elementwise.CHUNK - 1, 300]
    shapes = [(n,) for n in sizes] + [(2, 3, 5)] * 60
    dtypes = [DTYPES[i % 2] for i in range(len(shapes))]
    made: Any = [
        [rng.random(s).astype(t) for s, t in zip(shapes, dtypes, strict=True)] for _ in range(4)
    ]
    rest: Any = (0.01, 0.9, 0.999, 1e-8)
    expected: Any = [[a.copy() for a in each] for each in made]
    reference.adam(*expected, *rest)
    emulator.launched.clear()
    gpu.adam(*made, *rest)
    assert emulator.launched == ["adam<float>", "adam<double>"]
    for one, other in zip(made, expected, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=10 * np.finfo(a.dtype).eps)
    many: Any = [[rng.random(3) for _ in range(130)] for _ in range(4)]
    expected = [[a.copy() for a in each] for each in many]
    reference.adam(*expected, *rest)
    emulator.launched.clear()
    gpu.adam(*many, *rest)
    assert emulator.launched == ["adam<double>"] * 3
    np.testing.assert_allclose(many[0], expected[0], rtol=1e-14)


# --- statistics -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 32])
@pytest.mark.parametrize("slope", [1.0, 0.2])
@pytest.mark.parametrize("shape", [(3, 700), (40, 257), (20_000, 1), (500, 6, 100), (9, 256)])
def test_statistics(
    emulated: Any, monkeypatch: pytest.MonkeyPatch, shape: Any, slope: float, rows: int, dtype: Any
) -> None:
    """There are more channels than threads, and enough rows for many parts."""
    monkeypatch.setattr(normalisation, "ROWS", rows)
    x, g, *channels = draw(dtype, shape, shape, *[shape[-1:]] * 5)
    mean, scale, a, b, shift = channels
    close(gpu.channel_sum(g), reference.channel_sum(g), 200)
    for found, expected in zip(gpu.moments(x, slope), reference.moments(x, slope), strict=True):
        close(found, expected, 200)
    sums = gpu.batch_norm_sums(g, x, mean, slope), reference.batch_norm_sums(g, x, mean, slope)
    for found, expected in zip(*sums, strict=True):
        close(found, expected, 200)
    for name, given in (
        ("normalize", (x, mean, scale, shift, slope)),
        ("batch_norm_grad", (g, x, mean, scale, a, b, slope)),
    ):
        close(getattr(gpu, name)(*given), getattr(reference, name)(*given))


# --- patches --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("of_window", DTYPES)
def test_lay_patches(emulated: Any, of_window: Any, dtype: Any, rng: np.random.Generator) -> None:
    rows, columns = np.array([0, 3, 17, 40]), np.array([5, 1, 0, 44, 30])
    patches = rng.standard_normal((20, 7, 7)).astype(dtype)
    window = rng.random((7, 7)).astype(of_window)
    found, expected = (np.ones((2, 47, 51)) for _ in range(2))
    gpu.fold(found[0], found[1], patches, rows, columns, window)
    reference.fold(expected[0], expected[1], patches, rows, columns, window)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("which", "value"),
    [(3, np.array([-1, 4])), (3, np.array([0, 5])), (4, np.array([0, 1, 3, 7])),
     (2, np.zeros((7, 3, 3))), (1, np.zeros((7, 8))), (0, np.zeros((9, 7)).T),
     (0, np.zeros((7, 9), np.float32)), (3, np.array([0, 4], np.int32)),
     (5, np.zeros((3, 3), np.int64)), (5, np.zeros((3, 1)))],
)  # fmt: skip
def test_patches_stay_inside(emulated: Any, which: int, value: np.ndarray) -> None:
    arguments: list[Any] = [
        np.zeros((7, 9)),
        np.zeros((7, 9)),
        np.zeros((8, 3, 3)),
        np.array([0, 4]),
        np.array([0, 1, 3, 6]),
        np.zeros((3, 3)),
    ]
    arguments[which] = value
    with pytest.raises(ValueError, match="fold"):
        gpu.fold(*arguments)


# --- what does not fit ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ARGUMENTS)
def test_what_does_not_fit_is_refused(emulated: Any, name: str, rng: np.random.Generator) -> None:
    for change in (lambda a: a[:-1], lambda a: a.astype(np.float32)):
        arguments = ARGUMENTS[name](rng, np.float64, (8,))
        if sum(map(len, map(arrays, arguments))) > 1:
            arguments[1] = each(change, arguments[1])  # the first may be one number
            with pytest.raises(ValueError, match="expected arrays of one shape and type"):
                getattr(gpu, name)(*arguments)
    arguments = [each(lambda a: a.astype(np.int64), a) for a in arguments]
    with pytest.raises(ValueError, match="expected arrays of one"):
        getattr(gpu, name)(*arguments)


@pytest.mark.parametrize(
    ("name", "shapes", "words"),
    [
        ("batch_norm_sums", [(5, 3), (4, 3), (3,)], "an array of shape (5, 3), got (4, 3)"),
        ("batch_norm_sums", [(5, 3), (5, 3), (2,)], "an array of shape (3,), got (2,)"),
        ("normalize", [(5, 3), (3,), (3,), (2,)], "an array of shape (3,), got (2,)"),
        ("batch_norm_grad", [(5, 3), (5, 3), (3,), (3,), (4,), (3,)],
         "an array of shape (3,), got (4,)"),
        ("squared_distance", [(5, 3), (3, 5)], "an array of shape (5, 3), got (3, 5)"),
        ("upsample_conv2d", [(1, 2, 2, 3), (3, 3, 2, 5), (5,)],
         "an array of shape (3, 3, 3, 5), got (3, 3, 2, 5)"),
        ("upsample_conv2d", [(1, 2, 2, 3), (3, 2, 3, 5), (5,)],
         "an array of shape (3, 3, 3, 5), got (3, 2, 3, 5)"),
        ("upsample_conv2d", [(1, 2, 2, 3), (3, 3, 3, 5), (4,)],
         "an array of shape (5,), got (4,)"),
        ("upsample_conv2d_grad_x", [(1, 4, 4, 5), (3, 3, 3, 4)],
         "an array of shape (3, 3, 3, 5), got (3, 3, 3, 4)"),
        ("upsample_conv2d_grad_x", [(1, 5, 4, 5), (3, 3, 3, 5)],
         "an array of shape (1, 4, 4, 5), got (1, 5, 4, 5)"),
        ("upsample_conv2d_grad_x", [(1, 4, 3, 5), (3, 3, 3, 5)],
         "an array of shape (1, 4, 2, 5), got (1, 4, 3, 5)"),
        *(("upsample_conv2d_grad_w", [(1, 2, 2, 3), wrong],
           f"an array of shape (1, 4, 4, 5), got {wrong}")
          for wrong in ((2, 4, 4, 5), (1, 2, 4, 5), (1, 4, 5, 5))),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_refused(
    emulated: Any, name: str, shapes: Any, words: str
) -> None:
    rest = () if name.startswith(("upsample", "squared")) else (1.0,)
    with pytest.raises(ValueError, match=f"^{name}.*: expected {re.escape(words)}"):
        getattr(gpu, name)(*draw(np.float32, *shapes), *rest)


def test_two_gpus_are_refused() -> None:
    here, there = (SimpleNamespace(shape=(3,), dtype=np.dtype("f"), device=d) for d in (0, 1))
    with pytest.raises(ValueError, match=r"add: expected arrays on one device, got \(3,\) on 0, "):
        launch.check_types("add", here, there)


def test_a_launch_has_at_most_65535_blocks_beside_the_first_axis() -> None:
    float32 = np.dtype(np.float32)
    launch.launch("add<T>", float32, (0, 65535, 65535))
    for grid in ((0, 65536), (0, 1, 65536)):
        with pytest.raises(ValueError, match=r"^add<T>: more blocks than a GPU takes, \(0, "):
            launch.launch("add<T>", float32, grid)


def test_adam_takes_as_many_arrays_of_each_kind(emulated: Any) -> None:
    check_adam_lists(gpu)


def test_in_place_needs_one_piece(emulated: Any, rng: np.random.Generator) -> None:
    for i, argument in ((0, "p"), (2, "m"), (3, "v")):
        arguments = ARGUMENTS["adam"](rng, np.float32, (6, 8))
        arguments[i] = [a[:, ::2] for a in arguments[i]]
        with pytest.raises(ValueError, match=f"adam: {argument} must be C-contiguous"):
            gpu.adam(*arguments)
