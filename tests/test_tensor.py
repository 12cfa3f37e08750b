"""The chain rule: the results of `gradients`, its work, and its refusals."""

from __future__ import annotations

import contextlib
import gc
import re
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from minidl import Tensor, gradients, no_grad, op, ops
from minidl.device import Device, DeviceError, to_cpu
from minidl.ops.vjp import shared

X = np.array([0.5, -2.0])
with warnings.catch_warnings(action="ignore"):  # NumPy's own advice against it
    MATRIX = np.matrix([[1.0]])


def leaf(shape: tuple[int, ...], dtype: Any = np.float32, name: str = "") -> Tensor:
    return Tensor(np.ones(shape, dtype), name)


def diamond(x: Tensor) -> Tensor:
    """e^x, used twice at different depths."""
    e = ops.exp(x)
    return e * -e + e


# --- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "slope"),
    [
        (lambda x: x + x, 2 + 0 * X),
        (lambda x: x * x + x, 2 * X + 1),
        (lambda x: x * x * x * x, 4 * X**3),
        (lambda x: (x * x) * (x * x), 4 * X**3),
        (lambda x: x - x, 0 * X),
        (diamond, np.exp(X) - 2 * np.exp(2 * X)),
    ],
    ids=["x + x", "x x + x", "x x x x", "(x x) (x x)", "x - x", "diamond"],
)
def test_a_tensor_used_again_accumulates(
    function: Callable[[Tensor], Tensor], slope: np.ndarray, device: Device
):
    x = Tensor(device.put(X))
    np.testing.assert_allclose(to_cpu(gradients(ops.sum(function(x)), [x])[0]), slope)


def test_a_long_history_needs_no_recursion():
    x = leaf((2,))
    y = x
    for _ in range(20_000):
        y = y + 1.0
    assert y.data.tolist() == [20_001, 20_001]
    assert gradients(y.sum(), [x])[0].tolist() == [1, 1]
    del y
    gc.collect()


def test_broadcasting_sums_over_what_was_repeated():
    a, b = leaf((3, 1, 4)), Tensor(np.array([[2.0], [5.0]], np.float32))
    da, db = gradients((a * b).sum(), [a, b])
    np.testing.assert_array_equal(da, np.full((3, 1, 4), 7))
    np.testing.assert_array_equal(db, np.full((2, 1), 12))


def test_any_tensor_of_the_history_may_be_wanted():
    x = leaf((2,))
    half = x * 0.5
    loss = (half * half).sum()
    dloss, dx, dhalf, again = gradients(loss, [loss, x, half, x])
    assert (float(dloss), dx.tolist(), dhalf.tolist()) == (1, [0.5, 0.5], [1, 1])
    assert again.tolist() == dx.tolist()


def test_one_number_in_any_shape_is_a_loss():
    x = leaf((1, 1))
    loss = x * 3.0
    assert loss.item() == 3.0
    assert gradients(loss, [x])[0].tolist() == [[3.0]]


def test_a_tensor_of_one_of_numpys_scalars_is_one_of_an_array():
    x, y = (Tensor(np.array([a], np.float32).sum()) for a in (3, 4))
    assert (x * y).item() == 12
    with pytest.raises(TypeError, match="got float32, float64"):
        x * Tensor(np.float64(4))


def test_wanted_tensors_may_come_one_by_one():
    a, b = leaf((2,)), leaf((2,))
    loss = (a * b * 3.0).sum()
    assert [g.tolist() for g in gradients(loss, (x for x in (a, b)))] == [[3, 3], [3, 3]]


def test_only_wanted_gradients_are_computed(planting: None):
    calls: list[str] = []

    @op
    def spy(a, b):
        def counted(name, g):
            calls.append(name)
            return g

        return a + b, lambda g: counted("a", g), lambda g: counted("b", g)

    a, b = leaf((2,)), leaf((2,))
    loss = spy(spy(a, b), a).sum()
    gradients(loss, [b])
    assert calls == ["a", "b"]  # the outer op's first input, then the inner op's second
    calls.clear()
    gradients(loss, [a])
    assert sorted(calls) == ["a", "a", "b"]


def test_no_grad_records_nothing_and_ends():
    x = leaf((2,))
    with pytest.raises(KeyError), no_grad():
        y = x * 2.0
        assert y.origin.inputs == ()
        raise KeyError
    with pytest.raises(ValueError, match="does not depend"):
        gradients(y.sum(), [x])
    assert gradients((x * 2.0).sum(), [x])[0].tolist() == [2, 2]


def test_no_grad_concerns_its_own_thread():
    x = leaf((2,))
    with ThreadPoolExecutor(1) as other, no_grad():
        y = other.submit(lambda: x * 2.0).result()
    assert gradients(y.sum(), [x])[0].tolist() == [2, 2]


class Watched(np.ndarray):
    """An array that shows if it was freed."""


def test_the_history_keeps_only_what_gradients_need(planting: None):
    """The gradients of x -> a -> b -> loss need no values, and no g is kept either."""
    alive: list[weakref.ref[Any]] = []

    @op
    def watched(x):
        def grad(g):
            alive.append(weakref.ref(dx := (g * 2).view(Watched)))
            return dx

        alive.append(weakref.ref(y := (x * 2).view(Watched)))
        return y, grad

    x = leaf((3,))
    loss = watched(watched(x)).sum()
    gc.collect()
    assert [ref() is None for ref in alive] == [True, True]
    assert gradients(loss, [x])[0].tolist() == [4, 4, 4]
    assert [ref() is None for ref in alive[2:]] == [True, True]


def test_shared_work_is_done_once_for_each_g():
    calls: list[float] = []
    cached = shared(lambda g: calls.append(float(g[0])))
    first, second = np.ones(1), np.full(1, 2.0)
    for g in (first, first, second, first):
        cached(g)
    assert calls == [1, 2, 1]
    gone = weakref.ref(last := np.full(1, 3.0).view(Watched))
    cached(last)
    del last
    assert gone() is None


# --- constants -----------------------------------------------------------------------------------

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("constant", [3, 3.0, True, np.float64(3), np.float32(3), np.int64(3)])
def test_a_number_never_widens_a_tensor(name: str, constant: Any):
    function, x = OPERATORS[name], Tensor(np.array([2.0, 4.0], np.float32))
    for y, expected in (
        (function(x, constant), function(x.data, float(constant))),
        (function(constant, x), function(float(constant), x.data)),
    ):
        np.testing.assert_array_equal(y.data, expected)
        assert y.dtype == gradients(y.sum(), [x])[0].dtype == np.float32


@pytest.mark.parametrize("name", [*OPERATORS, "@"])
def test_an_array_may_stand_on_the_left(name: str, device: Device):
    function = {**OPERATORS, "@": lambda a, b: a @ b}[name]
    array, x = np.arange(4.0).reshape(2, 2), np.array([[2.0, 4.0], [1.0, 8.0]])
    y = function(device.put(array), Tensor(device.put(x)))
    assert isinstance(y, Tensor)
    np.testing.assert_allclose(to_cpu(y.data), function(array, x))


@pytest.mark.parametrize("exponent", [2, 2.0, np.float64(2), np.int64(2)])
def test_nor_does_an_exponent(exponent: Any):
    x = Tensor(np.array([2.0, 4.0], np.float32))
    y = x**exponent
    (dx,) = gradients(y.sum(), [x])
    assert (y.data.tolist(), dx.tolist()) == ([4, 16], [4, 8])
    assert y.dtype == dx.dtype == np.float32


@pytest.mark.parametrize("number", [np.float64(0.5), np.float32(0.5)])
@pytest.mark.parametrize(
    "function",
    [
        lambda x, number: ops.leaky_relu(x, slope=number),
        lambda x, number: ops.dropout(x, mask=x.data > 0, keep=number),
        lambda x, number: ops.batch_norm(x, x.data[0], x.data[0], eps=number),
        lambda x, number: ops.normalize(
            x, x.data[0], x.data[0], mean=x.data[0], variance=x.data[0], eps=number
        ),
    ],
    ids=["leaky_relu", "dropout", "batch_norm", "normalize"],
)
def test_nor_does_an_option(function: Callable[..., Tensor], number: Any):
    x = Tensor(np.array([[2.0, 4.0], [1.0, 8.0]], np.float32))
    y, plain = function(x, number), function(x, 0.5)
    assert y.dtype == gradients(y.sum(), [x])[0].dtype == np.float32
    np.testing.assert_array_equal(y.data, plain.data)


@pytest.mark.parametrize("shape", [(3, 2), ((3, 2),), (3, -1)])
def test_a_shape_may_be_a_tuple(shape: Any):
    x = leaf((2, 3))
    assert x.reshape(*shape).shape == (3, 2)
    assert x.transpose(1, 0).shape == x.transpose((1, 0)).shape == x.transpose().shape == (3, 2)


@pytest.mark.parametrize("list_or_tuple", [list, tuple])
def test_a_shape_may_be_a_list(list_or_tuple: Any):
    x = leaf((2, 3))
    assert x.reshape(list_or_tuple([3, -1])).shape == (3, 2)
    assert x.transpose(list_or_tuple([-1, 0])).shape == (3, 2)


# --- how they look -------------------------------------------------------------------------------


def test_a_tensor_shows_its_numbers(device: Device):
    x = Tensor(device.put(np.array([[1.0, 2.5], [-3.0, 4.0]], np.float32)), "x")
    assert repr(x) == (
        "Tensor([[ 1. ,  2.5],\n        [-3. ,  4. ]], shape=(2, 2), dtype=float32, name='x')"
    )
    assert str(x) == f"{x}" == repr(x)
    assert repr(x[0] * 2.0) == "Tensor([2., 5.], shape=(2,), dtype=float32, name='multiply')"
    assert repr(Tensor(2.0)) == "Tensor(2., shape=(), dtype=float64)"
    assert repr(Tensor(np.zeros((0, 3)))) == "Tensor([], shape=(0, 3), dtype=float64)"
    assert len(repr(Tensor(np.zeros((1000, 1000))))) < 500


def test_one_number_is_formatted_as_one():
    x = leaf((2,))
    assert f"{x.sum():.3f} {x.mean():8.1e} {Tensor(2.0):.1f}" == "2.000  1.0e+00 2.0"
    assert Tensor(2.0).item() == 2


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (ValueError, "must be one number, not Tensor x (2,) float32; take a mean or a sum",
         lambda x: gradients(x, [x])),
        (ValueError, "the loss does not depend on wanted[1], Tensor odd (3,) float32",
         lambda x: gradients(x.sum(), [x, leaf((3,), name="odd")])),
        (TypeError, "multiply: expected all float32 or all float64, got float32, float64",
         lambda x: x * np.ones(2)),
        (TypeError, "add: expected all float32 or all float64, got a number, int64",
         lambda x: ops.add(1, np.ones(2, np.int64))),
        (ValueError, "add: operands could not be broadcast", lambda x: x + leaf((3,))),
        (ValueError, "[input shapes: (2,), (3,)]", lambda x: x + leaf((3,))),
        (IndexError, "index: too many indices", lambda x: x[0, 0]),
        (TypeError, "gradients: expected a list of tensors, such as [x], got Tensor x (2,) float32",
         lambda x: gradients(x.sum(), x)),
        (TypeError, "Tensor: data is of type list, expected a float32 or float64 array",
         lambda x: Tensor([1.0, 2.0])),
        (TypeError, "Tensor: data is of type int, expected a", lambda x: Tensor(3)),
        (TypeError, "Tensor: data is of type Tensor, expected a", Tensor),
        (TypeError, "Tensor: data is of type matrix, expected a", lambda x: Tensor(MATRIX)),
        (TypeError, "Tensor: data is of type MaskedArray, expected a",
         lambda x: x * np.ma.array([1.0], mask=[True])),
        (TypeError, "Tensor x (2,) float32 is no array: take its .data, or an op", np.asarray),
        (TypeError, "Tensor x (2,) float32 is no array: take its .data, or an op",
         lambda x: np.dot(np.ones(2, np.float32), x)),
        (TypeError, "gradients: the loss is of type float, expected a Tensor of one number",
         lambda x: gradients(3.0, [x])),  # type: ignore[arg-type]
        (TypeError, "gradients: expected Tensors, got ndarray at place 1",
         lambda x: gradients(x.sum(), [x, x.data])),
        (TypeError, "gradients: expected a list of tensors, such as [x], got int alone",
         lambda x: gradients(x.sum(), 3)),  # type: ignore[arg-type]
        (TypeError, "concatenate: expected Tensors one by one, concatenate(a, b), got a list of",
         lambda x: ops.concatenate([x, x])),
        (TypeError, "power: the exponent is Tensor x (2,) float32, expected a number; b ** x is o",
         lambda x: x**x),
        (TypeError, "power: exponent is Tensor x (2,) float32, of which no gradient would be taken",
         lambda x: ops.power(x, exponent=x)),
        (TypeError, "power: the exponent is Tensor x (2,) float32, expected a number; b ** x is o",
         lambda x: 2**x),
        (ValueError, "power: the exponent is of shape (2,), expected one number",
         lambda x: x ** np.ones(2)),
        (TypeError, "dropout: mask is Tensor x (2,) float32, of which no gradient would be taken",
         lambda x: ops.dropout(x, mask=x, keep=0.5)),
        (TypeError, "mean: 'float' object cannot be interpreted as an integer [input shapes: (2,)]",
         lambda x: x.mean(0.5)),
        (ValueError, "item: expected one number, got Tensor x (2,) float32", lambda x: x.item()),
        (ValueError, "item: expected one number, got Tensor x (2,) float32", lambda x: f"{x:.3f}"),
        (TypeError, "sum: expected a Tensor or an array, got a number",
         lambda x: Tensor(2.0).sum()),
        (TypeError, "multiply: expected a Tensor or an array, got a number, a number",
         lambda x: Tensor(2.0) * 3.0),
        (TypeError, "sigmoid: expected a Tensor or an array, got a number",
         lambda x: ops.sigmoid(2.0)),
        (TypeError, "concatenate: expected arrays alone, got float32, a number",
         lambda x: ops.concatenate(x, 3.0)),
        (TypeError, "matmul: expected arrays alone, got float32, a number", lambda x: x @ 2.0),
    ],
)  # fmt: skip
def test_errors_say_what_and_which(
    error: type[Exception], words: str, call: Callable[[Tensor], Any]
):
    with pytest.raises(error, match=re.escape(words)):
        call(leaf((2,), name="x"))


def test_an_ops_own_attribute_error_is_not_the_callers(planting: None):
    """A float instead of an array is the caller's mistake; otherwise the op has a fault."""

    @op
    def faulty(x: Any, y: Any) -> Any:
        return x.none + y, lambda g: g, lambda g: g

    with pytest.raises(AttributeError, match="no attribute 'none'"):
        faulty(np.ones(3), np.ones(3))
    with pytest.raises(TypeError, match="faulty: expected arrays alone, got"):
        faulty(2.0, np.ones(3))


def test_a_gradient_of_a_wrong_shape_is_named(planting: None):
    @op
    def crooked(x, w):
        return x @ w, lambda g: g @ w.T, lambda g: g

    x, w = leaf((5, 3)), leaf((3, 2), name="w")
    loss = crooked(x, w).sum()
    assert gradients(loss, [x])[0].shape == (5, 3)
    words = "crooked: a gradient of shape (5, 2) for w of shape (3, 2)"
    with pytest.raises(ValueError, match=re.escape(words)):
        gradients(loss, [w])


@pytest.mark.parametrize("inside", [contextlib.nullcontext, no_grad])
@pytest.mark.parametrize(
    ("result", "count"),
    [(lambda x, w: x * w, 0), (lambda x, w: (x * w, lambda g: g), 1),
     (lambda x, w: (x * w, *[lambda g: g] * 3), 3)],
)  # fmt: skip
def test_a_forgotten_gradient_is_noticed(result: Any, count: int, inside: Any, planting: None):
    @op
    def hasty(x, w):
        return result(x, w)

    words = f"hasty: gives {count} gradient functions for 2 inputs, expected one for each"
    with inside(), pytest.raises(TypeError, match=words):
        hasty(leaf((3,)), leaf((3,)))


def test_an_op_of_a_taken_name_leaves_methods_alone(planting: None):
    @op
    def mean(x):
        return 7 * x, lambda g: 7 * g

    x = leaf((2,))
    assert (x.mean().item(), mean(x).data.tolist()) == (1, [7, 7])


TWO_DEVICES = re.escape("add: inputs on two devices: input 0 (2,) on the cpu, input 1 (2,) on the")


def test_two_devices_are_refused(as_if_on_gpu: Callable[[np.ndarray], np.ndarray]):
    with pytest.raises(DeviceError, match=TWO_DEVICES + " gpu"):
        leaf((2,)) + as_if_on_gpu(np.ones(2, np.float32))


@pytest.mark.gpu
def test_two_real_devices_are_refused():
    import cupy

    with pytest.raises(DeviceError, match=TWO_DEVICES + " gpu"):
        leaf((2,)) + cupy.ones(2, np.float32)


def test_a_step_by_hand_on_single_numbers() -> None:
    """NumPy returns scalars for arrays without axes: an op still takes them as arrays."""
    a, b = Tensor(np.array(1.5)), Tensor(np.array(2.0))
    for x in (a, b):
        x.data = x.data - 0.5
    np.testing.assert_array_equal(gradients(a * b, [a, b]), [1.5, 1.0])
