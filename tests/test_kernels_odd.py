"""Every kernel with empty arrays, and with arrays that compiled code would misread."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minidl import Tensor, kernels
from minidl.kernels import NAMES, checks, cpu, reference
from tests.test_kernels import ARGUMENTS, arrays, each

Call = tuple[str, list[Any]]
AROUND, NONE = (1, 1, 1, 1), (0, 0, 0, 0)


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def convolutions(N: int, H: int, W: int, C: int, O: int) -> Iterator[Call]:
    for (K, L), stride, pad in (((3, 3), 1, AROUND), ((3, 4), 2, AROUND), ((1, 1), 1, NONE),
                                ((0, 3), 1, AROUND), ((3, 3), 2, AROUND)):  # fmt: skip
        x, w = ones(N, H, W, C), ones(K, L, C, O)
        if H + sum(pad[:2]) < K or W + sum(pad[2:]) < L:
            continue
        for b in (ones(O), None):
            yield "conv2d", [x, w, b, stride, pad]
        g = np.ones_like(reference.conv2d(x, w, None, stride, pad))
        yield "conv2d_grad_x", [g, w, (H, W), stride, pad]
        yield "conv2d_grad_w", [x, g, (K, L), stride, pad]
    x, w, g = ones(N, H, W, C), ones(3, 3, C, O), ones(N, 2 * H, 2 * W, O)
    yield "upsample_conv2d", [x, w, ones(O)]
    yield "upsample_conv2d_grad_x", [g, w]
    yield "upsample_conv2d_grad_w", [x, g]


def products(M: int, K: int, N: int) -> Iterator[Call]:
    yield "matmul", [ones(M, K), ones(K, N), ones(N)]
    yield "matmul", [ones(M, K), ones(K, N), None]
    for batch in (0, 2):
        yield "matmul", [ones(batch, M, K), ones(batch, K, N), None]


def statistics(shape: tuple[int, ...]) -> Iterator[Call]:
    x, channel = ones(*shape), [ones(shape[-1])] * 5
    yield "channel_sum", [x]
    yield "normalize", [x, *channel[:3], 0.2]
    yield "batch_norm_sums", [x, x, channel[0], 0.2]
    yield "batch_norm_grad", [x, x, *channel[:4], 0.2]
    if x.size or not shape[-1]:
        yield "moments", [ones(2, shape[-1]), 0.2]


def elements(shape: tuple[int, ...]) -> Iterator[Call]:
    for name, make in ARGUMENTS.items():
        yield name, make(np.random.default_rng(0), np.float32, shape)
    yield "squared_distance", [ones(*shape), ones(*shape)]
    yield "add", [ones(*shape), np.broadcast_to(ones(*shape[-1:]), shape)]


def patches(rows: int, columns: int, size: int) -> Iterator[Call]:
    picture, window = np.zeros((2, 4, 5)), ones(size, size)
    yield "fold", [picture[0], picture[1], ones(rows * columns, size, size),
                          np.arange(rows), np.arange(columns), window]  # fmt: skip


def calls() -> Iterator[Call]:
    """Return calls of every kernel, with each of its sizes 0, and with several of them 0."""
    sizes = [(2, 5), (5, 5), (4, 5), (20, 3), (40, 3)]
    for few in itertools.product((0, 1), repeat=5):
        for which in (0, 1):
            yield from convolutions(*(n[which] * i for n, i in zip(sizes, few, strict=True)))
    for three in itertools.product((0, 3), repeat=3):
        yield from products(*three)
    for shape in ((0,), (3,), (0, 3), (3, 0), (0, 0), (2, 0, 3), (2, 3, 0)):
        yield from elements(shape)
        yield from statistics(shape)
    for three in itertools.product((0, 2), repeat=3):
        yield from patches(*three)


def outcome(kernel: Any, arguments: list[Any]) -> list[Any]:
    """Return the value, and the arguments after the call."""
    given = [each(np.copy, a) for a in arguments]
    value = kernel(*given)
    return [
        *(value if isinstance(value, tuple) else [value]),
        *itertools.chain(*map(arrays, given)),
    ]


def compare(sibling: Any) -> None:
    seen = set()
    for name, arguments in calls():
        about = f"{name} {[getattr(a, 'shape', a) for a in arguments]}"
        expected = outcome(getattr(reference, name), arguments)
        for one, other in zip(outcome(getattr(sibling, name), arguments), expected, strict=True):
            assert (one is None) == (other is None), about
            if one is not None:
                assert (one.shape, one.dtype) == (other.shape, other.dtype), about
                np.testing.assert_allclose(one, other, 1e-5, 1e-5, err_msg=about)
        seen.add(name)
    assert seen == set(NAMES)


def test_sizes_of_0_on_the_cpu() -> None:
    compare(cpu)


def test_sizes_of_0_on_a_gpu(emulated: Any) -> None:
    compare(emulated)


@pytest.mark.parametrize("name", ["channel_sum", "moments"])
def test_a_number_has_no_channels(name: str, emulated: Any) -> None:
    for sibling in (cpu, emulated):
        with pytest.raises(ValueError, match=rf"{name}: expected an array \(..., C\)"):
            getattr(sibling, name)(*[np.array(1.0), 1.0][: 1 + (name == "moments")])


def test_flags_that_only_numpy_has_are_not_asked_for() -> None:
    """CuPy's arrays have no flags for aligned and writeable: they always are both."""
    flags = SimpleNamespace(c_contiguous=True)
    picture = SimpleNamespace(ndim=2, shape=(4, 5), dtype=np.dtype(np.float64), flags=flags)
    checks.sound("fold", [picture], checks.FLOATS)
    places = np.arange(2)
    checks.patches_fit(picture, picture, ones(4, 2, 2), places, places, ones(2, 2))


# --- other memory layouts -------------------------------------------------------------------------


def unaligned(a: np.ndarray) -> np.ndarray:
    copy = np.frombuffer(bytearray(a.nbytes + 1), a.dtype, a.size, 1).reshape(a.shape)
    copy[...] = a
    return copy


ODD: dict[str, Any] = {
    "swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "unaligned": unaligned,
    "float16": lambda a: a.astype(np.float16),
    "int32": lambda a: a.astype(np.int32),
    "complex": lambda a: a.astype(np.complex64),
    "bool": lambda a: a.astype(bool),
    "object": lambda a: a.astype(object),
    "structured": lambda a: a.astype([("x", a.dtype)]),
    "a tensor": Tensor,
}


def one_call_of_each() -> dict[str, list[Any]]:
    found = {name: arguments for name, arguments in itertools.chain(
        convolutions(1, 4, 4, 3, 2), products(2, 2, 2), elements((3,)), statistics((4, 3)),
        patches(2, 2, 2))}  # fmt: skip
    assert set(found) == set(NAMES)
    return found


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", NAMES)
def test_what_compiled_code_would_misread_is_refused(name: str, odd: str) -> None:
    """Test every argument. The plain call comes before and after, so compiled code for it exists;
    it must not run for the other layout."""
    arguments = one_call_of_each()[name]
    expected = outcome(getattr(kernels, name), arguments)
    for i, argument in enumerate(arguments):
        if not arrays(argument):
            continue
        given = [each(np.copy, a) for a in arguments]
        given[i] = each(ODD[odd], given[i])
        with pytest.raises(ValueError, match=f"^{name}: expected arrays of float32 or float64"):
            getattr(kernels, name)(*given)
    for one, other in zip(outcome(getattr(kernels, name), arguments), expected, strict=True):
        np.testing.assert_equal(one, other)
