"""Every kernel on every device against its reference, in all its effects."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minidl import kernels
from minidl.device import Device, DeviceError, of, to_cpu
from minidl.kernels import NAMES, cpu, gpu, reference
from minidl.kernels.flush_to_zero import underflow_threshold

Shape = tuple[int, ...]
Rng = np.random.Generator
Arguments = list[Any]


def normal(rng: Rng, dtype: Any, shape: Shape) -> np.ndarray:
    return rng.standard_normal(shape).astype(dtype)


def unit(rng: Rng, dtype: Any, shape: Shape) -> np.ndarray:
    return rng.random(shape).astype(dtype)


# A new kernel needs a row here: its arguments, made from `shape` in any way.
ARGUMENTS: dict[str, Callable[[Rng, Any, Shape], Arguments]] = {
    "sigmoid": lambda *a: [normal(*a) * 5],
    "sigmoid_grad": lambda *a: [normal(*a), unit(*a)],
    "tanh_grad": lambda *a: [normal(*a), 2 * unit(*a) - 1],
    "leaky_relu": lambda *a: [normal(*a), 0.2],
    "leaky_relu_grad": lambda *a: [normal(*a), normal(*a), 0.2],
    "add": lambda *a: [normal(*a), normal(*a)],
    "squared_distance_grad": lambda r, t, s: [normal(r, t, ()), normal(r, t, s), normal(r, t, s)],
    "adam": lambda *a: [
        *([make(*a), make(*a)] for make in (normal, normal, normal, unit)),
        0.01,
        0.9,
        0.999,
        1e-8,
    ],
}
ELSEWHERE = {  # for other kernels see tests/test_matrix.py and test_convolution.py
    "matmul", "fold", "conv2d", "conv2d_grad_x", "conv2d_grad_w",
    "upsample_conv2d", "upsample_conv2d_grad_x", "upsample_conv2d_grad_w",
    "channel_sum", "moments", "normalize", "batch_norm_sums", "batch_norm_grad", "squared_distance",
}  # fmt: skip
IN_PLACE = {"adam": (0, 2, 3)}  # the arguments that a kernel changes; they are contiguous

SHAPES: list[Shape] = [(0,), (1,), (7,), (33, 65), (5, 3, 4)]
LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # equal arrays in different layouts
    "plain": lambda a: a,
    "transposed": lambda a: a.T.copy().T,
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a,
}
PLACED = [(s, "plain") for s in SHAPES] + [((33, 65), "transposed"), ((33, 65), "strided")]


def is_array(x: Any) -> bool:
    return isinstance(x, np.ndarray) or of(x) == "gpu"


def each(change: Callable[[np.ndarray], Any], argument: Any) -> Any:
    """Return an argument with its array, or every array of its list, changed."""
    if isinstance(argument, list):
        return [change(a) for a in argument]
    return change(argument) if is_array(argument) else argument


def arrays(argument: Any) -> list[np.ndarray]:
    """Return the arrays of an argument."""
    return argument if isinstance(argument, list) else [argument] if is_array(argument) else []


def compare(name: str, arguments: Arguments, device: Device) -> None:
    """Call the kernel and its reference; assert that value, type, shape and all effects agree."""
    expected_arguments = [each(np.copy, a) for a in arguments]
    expected = getattr(reference, name)(*expected_arguments)
    given = [each(device.put, a) for a in arguments]
    value = getattr(kernels, name)(*given)

    dtype = arrays(arguments[0])[0].dtype
    close = {"rtol": 10 * np.finfo(dtype).eps, "atol": 10 * np.finfo(dtype).eps}
    if expected is None:
        assert value is None
    else:
        assert (value.dtype, value.shape) == (dtype, expected.shape)
        np.testing.assert_allclose(to_cpu(value), expected, **close)
    for i, (after, wanted) in enumerate(zip(given, expected_arguments, strict=True)):
        for one, other in zip(arrays(each(to_cpu, after)), arrays(wanted), strict=True):
            if i in IN_PLACE.get(name, ()):
                np.testing.assert_allclose(one, other, **close)
            else:
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_subnormal_is_kept(dtype: Any, device: Device):
    """Saturated units, their gradients, and Adam's moments that decay, become 0."""
    tiny, limit = np.finfo(dtype).tiny, underflow_threshold(dtype)
    ends = (np.log(limit) * np.array([0.999, 1.001, 1.9, 20, -20])).astype(dtype)
    compare("sigmoid", [ends], device)
    assert ((reference.sigmoid(ends) == 0) == [False, True, True, True, False]).all()
    g = np.array([2, -2, 0.5, -0.5, 1e-10, 0], dtype)
    y = np.full_like(g, limit)
    compare("sigmoid_grad", [g, y], device)
    assert ((reference.sigmoid_grad(g, y) == 0) == [False, False, True, True, True, True]).all()

    p, nothing = [np.ones(4, dtype)], [np.zeros(4, dtype)]
    m = [np.array([tiny, -tiny, 2 * tiny, 0], dtype)]
    v = [np.array([tiny, 2 * tiny, 0, 0], dtype)]
    compare("adam", [p, nothing, m, v, 0.01, 0.9, 0.99, 1e-8], device)
    moments = [device.put(a) for a in m], [device.put(a) for a in v]
    kernels.adam([device.put(p[0])], [device.put(nothing[0])], *moments, 0.01, 0.9, 0.99, 1e-8)
    assert ((to_cpu(moments[0][0]) == 0) == [True, True, False, True]).all()
    assert ((to_cpu(moments[1][0]) == 0) == [True, False, True, True]).all()

    for sibling in (reference, kernels):  # the smallest normal number is kept
        one = [[device.put(np.full(1, n, dtype))] for n in (1, 0, 2 * tiny, 2 * tiny)]
        if sibling is kernels or device.name == "cpu":
            sibling.adam(*one, 0.01, 0.5, 0.5, 1e-8)
            assert [float(to_cpu(a[0])[0]) for a in one[2:]] == [tiny, tiny]


def test_every_kernel_has_arguments():
    assert set(ARGUMENTS) | ELSEWHERE == set(NAMES)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "layout"), PLACED, ids=lambda v: str(v))
@pytest.mark.parametrize("name", ARGUMENTS)
def test_kernel(name: str, shape: Shape, layout: str, dtype: Any, device: Device, rng: Rng):
    arguments = [
        a if i in IN_PLACE.get(name, ()) else each(LAYOUTS[layout], a)
        for i, a in enumerate(ARGUMENTS[name](rng, dtype, shape))
    ]
    compare(name, arguments, device)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_is_not_finite_stays_visible(name: str, dtype: Any, device: Device, rng: Rng):
    """Put a NaN and both infinities into each array of the call in turn."""
    for odd, argument in enumerate(ARGUMENTS[name](rng, dtype, (7,))):
        if arrays(argument):
            arguments = ARGUMENTS[name](rng, dtype, (7,))
            arrays(arguments[odd])[-1].flat[:3] = np.nan, np.inf, -np.inf
            compare(name, arguments, device)


ODD = [-np.inf, np.inf, np.nan, -2.0, -0.0, 0.0, 3.0, 1e-40, -1e-40]


def check_relu(sibling: Any, put: Callable[[np.ndarray], Any], dtype: Any) -> None:
    """Assert that slope 0 gives +0 where x is not positive, in value and for any g; a NaN stays."""
    x, g = (a.reshape(-1, 1).astype(dtype) for a in np.meshgrid(ODD, ODD))
    one, zero = np.ones(1, dtype), np.zeros(1, dtype)
    for name, arguments, through in (
        ("leaky_relu", (x,), x),
        ("leaky_relu_grad", (g, x), g),
        ("normalize", (x, zero, one, zero), x),
        ("batch_norm_grad", (g, x, zero, one, zero, zero), g + 0 * x),
    ):
        found = to_cpu(getattr(sibling, name)(*(put(a) for a in arguments), 0.0))
        np.testing.assert_array_equal(found, np.where(x <= 0, 0, through))
        assert not np.signbit(found[x <= 0]).any()
    least = np.array([[-np.inf], [-2.0], [0.0], [3.0], [0.5]], dtype)
    kept = np.maximum(least, 0)
    for found, expected in zip(sibling.moments(put(least), 0.0), (kept.mean(), kept.var()),
                               strict=True):  # fmt: skip
        np.testing.assert_allclose(to_cpu(found), expected, rtol=1e-6)
    _, weighted = sibling.batch_norm_sums(put(np.ones_like(least)), put(least), put(one), 0.0)
    np.testing.assert_allclose(to_cpu(weighted), (kept - 1).sum(axis=0), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_relu_is_no_product(dtype: Any, device: Device) -> None:
    check_relu(kernels, device.put, dtype)
    check_relu(reference, np.copy, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(500, 70), (3, 5, 7, 2), (0, 4), (4, 1)])
def test_rows_that_are_repeated_are_added(
    shape: Shape, dtype: Any, device: Device, rng: Rng
) -> None:
    """The gradient of a mean over rows is a view with the memory of one row."""
    a, row = normal(rng, dtype, shape), normal(rng, dtype, shape[-1:])
    rows = np.broadcast_to(row, shape)
    for one, other in ((a, rows), (rows, a), (rows, rows), (a, np.broadcast_to(row[:1], shape))):
        compare("add", [one, other], device)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_is_exact_over_the_whole_range(dtype: Any, device: Device):
    x = np.linspace(-100, 100, 200_001).astype(dtype)
    wide = x.astype(np.float64)
    expected = np.exp(np.minimum(wide, 0)) / (1 + np.exp(-np.abs(wide)))
    y = to_cpu(kernels.sigmoid(device.put(x)))
    kept = expected > 1.000_001 * underflow_threshold(dtype)
    assert kept.sum() > 140_000
    np.testing.assert_allclose(y[kept], expected[kept], rtol=1e-6)
    np.testing.assert_allclose(
        y[~kept], expected[~kept], atol=1.000_001 * underflow_threshold(dtype)
    )


@pytest.mark.parametrize("name", ARGUMENTS)
def test_what_does_not_fit_is_refused(name: str, rng: Rng):
    """A compiled loop checks no bounds: arrays of other shapes or types must not reach it."""
    for change in (lambda a: a[:-1], lambda a: a.astype(np.float32)):
        arguments = ARGUMENTS[name](rng, np.float64, (8,))
        if sum(map(len, map(arrays, arguments))) > 1:
            arguments[1] = each(change, arguments[1])  # the first may be one number
            with pytest.raises(ValueError, match=f"{name}: expected arrays of one shape and type"):
                getattr(kernels, name)(*arguments)


@pytest.mark.parametrize(("name", "i"), [(n, i) for n, many in IN_PLACE.items() for i in many])
def test_in_place_needs_one_piece(name: str, i: int, rng: Rng):
    arguments = ARGUMENTS[name](rng, np.float32, (33, 65))
    arguments[i] = each(LAYOUTS["strided"], arguments[i])
    argument = list(inspect.signature(getattr(reference, name)).parameters)[i]
    with pytest.raises(ValueError, match=f"{name}: {argument} must be C-contiguous"):
        getattr(kernels, name)(*arguments)


def check_adam_lists(sibling: Any) -> None:
    """Assert that Adam refuses lists of different lengths, shorter or longer."""
    for i in range(4):
        lists: Any = [[np.ones(3)] for _ in range(4)]
        lists[i].append(np.ones(3))
        with pytest.raises(ValueError, match="argument"):
            sibling.adam(*lists, 0.01, 0.9, 0.99, 1e-8)


@pytest.mark.parametrize("sibling", [reference, kernels], ids=["reference", "cpu"])
def test_adam_takes_as_many_arrays_of_each_kind(sibling: Any) -> None:
    check_adam_lists(sibling)


def test_two_devices_are_refused(as_if_on_gpu: Callable[[np.ndarray], np.ndarray], rng: Rng):
    g, y = ARGUMENTS["sigmoid_grad"](rng, np.float32, (3,))
    with pytest.raises(DeviceError, match="sigmoid_grad: inputs on two devices"):
        kernels.sigmoid_grad(g, as_if_on_gpu(y))


def signatures(sibling: str) -> dict[str, list[str]]:
    """Return the functions and arguments of a kernel file or folder, without importing it."""
    spec = importlib.util.find_spec(f"minidl.kernels.{sibling}")
    assert spec and spec.origin
    file = Path(spec.origin)
    return {
        node.name: [a.arg for a in node.args.args]
        for part in (file.parent.glob("*.py") if file.name == "__init__.py" else [file])
        for node in ast.parse(part.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }


@pytest.mark.parametrize("sibling", ["cpu", "gpu"])
@pytest.mark.parametrize("name", NAMES)
def test_siblings_have_one_signature(name: str, sibling: str):
    assert signatures(sibling)[name] == signatures("reference")[name]


def test_every_kernel_can_be_called():
    assert [name for name in NAMES if not callable(getattr(kernels, name, None))] == []


@pytest.mark.parametrize(
    ("wanted", "device", "module"),
    [("", "cpu", cpu), ("numba", "cpu", cpu), ("reference", "cpu", reference),
     ("", "gpu", gpu), ("reference", "gpu", gpu)],
)  # fmt: skip
def test_which_module_computes(
    wanted: str, device: str, module: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MINIDL_KERNELS", wanted)
    assert kernels.implementation.__wrapped__(device) is module
    assert kernels.implementation(device) is kernels.implementation(device)


def test_other_modules_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MINIDL_KERNELS", "numpy")
    with pytest.raises(ValueError, match="MINIDL_KERNELS is 'numpy', expected numba or reference"):
        kernels.implementation.__wrapped__("cpu")


@pytest.mark.parametrize("error", [ImportError, OSError, SystemError])
def test_numpy_alone_computes_where_numba_cannot_be_imported(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    real = builtins.__import__

    def without_numba(name: str, *rest: Any, **named: Any) -> Any:
        if name == "numba":
            raise error("too old")
        return real(name, *rest, **named)

    monkeypatch.delenv("MINIDL_KERNELS", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_numba)
    assert kernels.implementation.__wrapped__("cpu") is reference
    assert capsys.readouterr().err == (
        "minidl: Numba cannot be imported (too old): computing with NumPy alone, slowly\n"
    )
