"""Every op: its value against NumPy, its gradients against finite differences, its types."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import rel_entr

from minidl import Tensor, gradients, ops
from minidl.device import Device, to_cpu
from minidl.gradcheck import TOLERANCE
from minidl.gradcheck_cases import CASES, OP_CASES, Case
from minidl.kernels import reference
from minidl.tensor import OPS

NAMES = [name for name, lifted in OPS.items() if lifted.__module__.startswith("minidl.")]
Shapes = tuple[tuple[int, ...], ...]


def op_of(case: Case) -> str:
    """Return the op of a row, whose name is the op's, perhaps with a detail."""
    return case.name.partition(", ")[0]


def test_every_op_is_checked():
    assert {op_of(case) for case in OP_CASES} == set(NAMES) == {row[0] for row in VALUES}


@pytest.mark.parametrize("case", OP_CASES, ids=lambda case: case.name)
def test_gradients(case: Case, device: Device):
    assert case.error(device=device) < TOLERANCE


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_float32_stays_float32(case: Case, device: Device, rng: np.random.Generator):
    inputs = [
        Tensor(device.put(case.domain(rng, shape).astype(np.float32))) for shape in case.shapes
    ]
    y = case.build(np.float32, device)(*inputs)
    found = gradients(ops.sum(y * y), inputs)
    assert {y.dtype, *(g.dtype for g in found)} == {np.dtype(np.float32)}


# --- values --------------------------------------------------------------------------------------


def channelwise(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    y = np.einsum("npc,cpq->nqc", x.reshape(2, 6, 4), w) + b.T
    return y.reshape(x.shape)


def correlated(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    return np.einsum("nijckl,klco->nijo", windows, w) + b


def transposed(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the value for windows as large as the stride: every pixel becomes a block."""
    y = np.einsum("nijc,kloc->nikjlo", x, w) + b
    return y.reshape(2, 6, 4, 4)


HALF = slice(None, None, 2)
VALUES: list[tuple[str, Shapes, dict[str, Any], Callable[..., Any]]] = [
    ("add", ((3, 1, 4), (2, 1)), {}, lambda a, b: a + b),
    ("subtract", ((3, 4), (4,)), {}, lambda a, b: a - b),
    ("multiply", ((3, 4), (3, 1)), {}, lambda a, b: a * b),
    ("divide", ((3, 4), (3, 4)), {}, lambda a, b: a / b),
    ("negative", ((3, 4),), {}, lambda x: -x),
    ("power", ((3, 4),), {"exponent": 2.5}, lambda x: x**2.5),
    ("exp", ((3, 4),), {}, np.exp),
    ("log", ((3, 4),), {}, np.log),
    ("sqrt", ((3, 4),), {}, np.sqrt),
    ("bernoulli_kl", ((3, 4),), {"p": 0.3}, lambda q: rel_entr(0.3, q) + rel_entr(0.7, 1 - q)),
    ("sum", ((2, 3, 4),), {"axis": (0, 2)}, lambda x: np.einsum("ijk->j", x)),
    ("sum_of_squares", ((2, 3),), {}, lambda x: np.einsum("ij,ij->", x, x)),
    ("squared_distance", ((2, 3), (2, 3)), {}, lambda a, b: np.linalg.norm(a - b) ** 2),
    ("sum", ((2, 3),), {"keepdims": True}, lambda x: np.einsum("ij->", x).reshape(1, 1)),
    ("mean", ((2, 3, 4),), {"axis": -1}, lambda x: np.einsum("ijk->ij", x) / 4),
    ("mean", ((2, 3),), {}, np.mean),
    ("max", ((2, 3, 4),), {"axis": 1, "keepdims": True}, lambda x: np.sort(x, 1)[:, -1:]),
    ("reshape", ((3, 4),), {"shape": (2, -1)}, lambda x: np.reshape(x, (2, 6))),
    ("transpose", ((2, 3, 4),), {"axes": (2, 0, 1)}, lambda x: np.einsum("ijk->kij", x)),
    ("transpose", ((2, 3, 4),), {}, lambda x: np.einsum("ijk->kji", x)),
    ("index", ((5, 3),), {"at": (HALF, None, 1)}, lambda x: np.stack([x[[0, 2, 4], 1]], 1)),
    ("concatenate", ((2, 3), (2, 1)), {"axis": -1}, lambda a, b: np.hstack([a, b])),
    ("sigmoid", ((3, 4),), {}, lambda x: 1 / (1 + np.exp(-x))),
    ("tanh", ((3, 4),), {}, np.tanh),
    ("relu", ((3, 4),), {}, lambda x: np.maximum(x, 0)),
    ("leaky_relu", ((3, 4),), {"slope": 0.3}, lambda x: np.maximum(x, 0.3 * x)),
    ("softplus", ((3, 4),), {}, lambda x: np.log(1 + np.exp(x))),
    ("matmul", ((3, 4), (4, 5)), {}, lambda a, b: np.einsum("ij,jk->ik", a, b)),
    ("linear", ((3, 4), (4, 5), (5,)), {}, lambda x, w, b: np.einsum("ij,jk->ik", x, w) + b),
    ("absolute", ((3, 4),), {}, lambda x: np.maximum(x, -x)),
    ("channelwise_linear", ((2, 2, 3, 4), (4, 6, 6), (4, 6)), {}, channelwise),
    ("dropout", ((2, 3),), {"mask": np.eye(2, 3) > 0, "keep": 0.5}, lambda x: 2 * x * np.eye(2, 3)),
    ("conv2d", ((2, 5, 4, 3), (3, 3, 3, 2), (2,)), {"padding": 0}, correlated),
    ("conv_transpose2d", ((2, 3, 2, 3), (2, 2, 4, 3), (4,)), {"stride": 2, "padding": 0},
     transposed),
    ("upsample2d", ((2, 3, 2, 3),), {}, lambda x: np.kron(x, np.ones((1, 2, 2, 1)))),
    ("upsample_conv2d", ((2, 3, 2, 3), (3, 3, 3, 2), (2,)), {}, reference.upsample_conv2d),
    ("batch_norm", ((2, 3, 2, 3), (3,), (3,)), {"eps": 0.1}, lambda x, gamma, beta: (
        gamma * (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 0.1) + beta)),
    ("normalize", ((4, 3), (3,), (3,)), {"mean": np.arange(3.0), "variance": np.ones(3), "eps": 3},
     lambda x, gamma, beta: gamma * (x - np.arange(3)) / 2 + beta),
]  # fmt: skip


@pytest.mark.parametrize("row", VALUES, ids=lambda row: f"{row[0]} {row[2] or ''}")
def test_values(row: Any, device: Device, rng: np.random.Generator):
    name, shapes, options, meaning = row
    domain = next(case.domain for case in OP_CASES if op_of(case) == name)
    arrays = [domain(rng, shape) for shape in shapes]
    placed = {k: device.put(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    y = OPS[name](*(device.put(a) for a in arrays), **placed)
    expected = meaning(*arrays)
    assert y.shape == expected.shape
    np.testing.assert_allclose(to_cpu(y.data), expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus", "relu", "leaky_relu"])
def test_activations_bear_large_numbers(name: str, dtype: Any, device: Device):
    x = Tensor(device.put(np.array([-1e4, -100, 0, 100, 1e4], dtype)))
    y = OPS[name](x)
    (dx,) = gradients(y.sum(), [x])
    assert np.isfinite(to_cpu(y.data)).all() and np.isfinite(to_cpu(dx)).all()
    assert (np.diff(to_cpu(y.data)) >= 0).all()


def test_equal_maxima_share_the_gradient(device: Device):
    x = Tensor(device.put(np.array([[1.0, 3.0, 3.0], [2.0, 0.0, -1.0]])))
    (dx,) = gradients(ops.max(x, axis=1).sum(), [x])
    assert dx.tolist() == [[0, 0.5, 0.5], [1, 0, 0]]


def test_an_element_taken_twice_has_both_gradients(device: Device):
    x = Tensor(device.put(np.arange(12, dtype=np.float32).reshape(4, 3)))
    for at, times in ((np.array([0, 2, 0]), [2, 0, 1, 0]), (([3, 3], slice(None)), [0, 0, 0, 2])):
        (dx,) = gradients((x[at] * 5.0).sum(), [x])
        assert dx.dtype == np.float32
        np.testing.assert_array_equal(to_cpu(dx), np.outer(times, [5, 5, 5]))


def test_a_number_to_the_power_of_zero_is_flat(device: Device):
    x = Tensor(device.put(np.array([-1.0, 0.0, 2.0])))
    (dx,) = gradients((x**0).sum(), [x])
    assert dx.tolist() == [0, 0, 0]


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize(
    ("function", "at"),
    [
        (lambda x: ops.sqrt(ops.relu(x)), [-1.0, 0.0, 4.0]),
        (lambda x: ops.log(ops.relu(x)), [-np.inf, -0.0, 4.0]),
        (lambda x: 1.0 / ops.relu(x), [-1.0, 0.0, 4.0]),
        (lambda x: ops.relu(x) ** -0.5, [-1.0, 0.0, 4.0]),
        (lambda x: ops.sqrt(ops.absolute(x)), [0.0, -0.0, 4.0]),
        (lambda x: ops.sqrt(ops.dropout(x, mask=x.data > 3, keep=1.0)), [-1.0, 1.0, 4.0]),
        (lambda x: ops.sqrt(ops.max(x, axis=0)), [-np.inf, -1.0, 0.0]),
        (lambda x: 1.0 / (x**0 - 1.0), [-1.0, 0.0, 4.0]),
    ],
    ids=["sqrt", "log", "divide", "power", "absolute", "dropout", "max", "flat"],
)
def test_nothing_comes_back_from_what_is_flat(
    function: Callable[[Tensor], Tensor], at: list[float], device: Device
):
    """The gradient is 0 where a function does not depend on x, even for an infinite g."""
    x = Tensor(device.put(np.array(at)))
    dx = to_cpu(gradients(function(x).sum(), [x])[0])
    assert not dx[:-1].any() and not np.isnan(dx).any()


def test_dropped_infinities_are_gone(device: Device):
    x = Tensor(device.put(np.array([np.inf, -np.inf, np.nan, -1.0, 2.0])))
    y = ops.dropout(x, mask=device.put(np.arange(5) == 4), keep=0.5)
    assert to_cpu(y.data).tolist() == [0, 0, 0, 0, 4]
    assert not np.signbit(to_cpu(y.data)).any()


@pytest.mark.parametrize(
    ("mask", "keep", "words"),
    [(np.ones(3, bool), 0, "keep is 0"), (np.ones(3, bool), 1.5, "keep is 1.5"),
     (np.ones(3), 0.5, "the mask is (3,) float64, expected (3,) booleans"),
     (np.ones(2, bool), 0.5, "the mask is (2,) bool, expected (3,) booleans")],
)  # fmt: skip
def test_dropout_refuses(mask: np.ndarray, keep: float, words: str):
    with pytest.raises(ValueError, match=f"^dropout: {re.escape(words)}"):
        ops.dropout(np.ones(3), mask=mask, keep=keep)


# --- float32 keeps its digits ---------------------------------------------------------------------

ROWS = 1 << 17
BIAS = Tensor(np.full(2, 0.5, np.float32))
SUMS: dict[str, Callable[[Tensor, np.ndarray], Any]] = {
    "sum": lambda b, x: ops.sum(x, axis=0).data,
    "sum, kept": lambda b, x: ops.sum(x, axis=0, keepdims=True).data[0],
    "sum, from the end": lambda b, x: ops.sum(x, axis=-2).data,
    "sum of columns": lambda b, x: ops.sum(np.asfortranarray(x), axis=0).data,
    "sum of a slice": lambda b, x: ops.sum(np.repeat(x, 2, 1)[:, ::2], axis=0).data,
    "sum over axes": lambda b, x: ops.sum(x.reshape(4, 2, -1, 2), axis=(2, 0, -3)).data,
    "sum of the last": lambda b, x: ops.sum(x.T, axis=1).data,
    "sum of the last, copied": lambda b, x: ops.sum(x.T.copy(), axis=1).data,
    "sum of all": lambda b, x: ops.sum(x).data / 2,
    "sum of all of a slice": lambda b, x: ops.sum(np.repeat(x, 9, 1)[:, :2]).data / 2,
    "mean": lambda b, x: ops.mean(x, axis=0).data * ROWS,
    "mean of all": lambda b, x: ops.mean(x).data * ROWS,
    "add": lambda b, x: gradients(((b + 0 * x) * x).sum(), [b])[0],
    "subtract": lambda b, x: -gradients(((0 * x - b) * x).sum(), [b])[0],
    "multiply": lambda b, x: gradients((x * b).sum(), [b])[0],
    "divide": lambda b, x: gradients((x / b).sum(), [b])[0] / -4,
    "a row": lambda b, x: gradients((x * b.reshape(1, 2)).sum(), [b])[0],
    "linear": lambda b, x: gradients((ops.linear(x, np.eye(2, dtype=np.float32), b) * x).sum(),
                                     [b])[0],
    "channelwise_linear": lambda b, x: gradients(
        (ops.channelwise_linear(x.reshape(-1, 1, 1, 2), np.zeros((2, 1, 1), np.float32),
                                b.reshape(2, 1)) * x.reshape(-1, 1, 1, 2)).sum(), [b])[0],
    "sum of squares": lambda b, x: ops.sum_of_squares(np.sqrt(x)).data / 2,
    "distance": lambda b, x: ops.squared_distance(np.sqrt(x), 0 * x).data / 2,
}  # fmt: skip


@pytest.mark.parametrize("value", [0.1, 0.7])
@pytest.mark.parametrize("name", SUMS)
def test_many_equal_rows(name: str, value: float):
    """A plain sum in float32 would have an error of 1e-4 and more."""
    x = np.full((ROWS, 2), value, np.float32)
    found = np.asarray(SUMS[name](BIAS, x))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, x.sum(axis=0, dtype=np.float64)[: found.size], rtol=3e-7)


def test_no_means_are_no_error():
    x = Tensor(np.ones((0, 3)))
    assert gradients(x.mean(axis=1).sum(), [x])[0].shape == (0, 3)


@pytest.mark.parametrize(("shape", "axis"), [((0, 3), None), ((0, 3), 0), ((2, 0), -1)])
def test_there_is_no_mean_of_nothing(shape: tuple[int, ...], axis: Any):
    with pytest.raises(ValueError, match=r"^mean: no mean of nothing \[input shapes"):
        ops.mean(np.ones(shape), axis=axis)


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shapes", "options", "words"),
    [
        ("add", [(2, 3), (2,)], {}, "(2,3) (2,)"),
        ("divide", [(2, 3), (3, 2)], {}, "(2,3) (3,2)"),
        ("sum", [(2, 3)], {"axis": 2}, "axis 2 is out of bounds"),
        ("reshape", [(2, 3)], {"shape": (4, -1)}, "cannot reshape"),
        ("transpose", [(2, 3)], {"axes": (0, 1, 2)}, "axes don't match"),
        ("concatenate", [(2, 3), (4, 2)], {"axis": 1}, "must match exactly"),
        ("matmul", [(2, 3), (4, 2)], {}, "expected (N, K) and (K, M), got (2, 3) and (4, 2)"),
        ("matmul", [(2, 3), (3,)], {}, "expected (N, K) and (K, M), got (2, 3) and (3,)"),
        ("bernoulli_kl", [(3,)], {"p": 1.0}, "p is 1.0, expected a probability between 0 and 1"),
        ("squared_distance", [(2, 3), (3,)], {}, "expected two arrays of one shape, got (2, 3)"),
        ("linear", [(3,), (3, 2), (2,)], {}, "x is (3,), w expects (N, 3)"),
        ("linear", [(5, 4), (3, 2), (2,)], {}, "x is (5, 4), w expects (N, 3)"),
        ("linear", [(5, 3), (3, 2), (1,)], {}, "b is (1,), w expects (2,)"),
        ("linear", [(5, 4), (4, 5, 6), (5, 6)], {}, "w is (4, 5, 6), expected (I, O)"),
        ("linear", [(5, 4), (4,), ()], {}, "w is (4,), expected (I, O)"),
    ],
)
def test_shapes_that_do_not_fit(
    name: str, shapes: list[tuple[int, ...]], options: dict[str, Any], words: str
):
    with pytest.raises(ValueError, match=f"^{name}: .*{re.escape(words)}") as caught:
        OPS[name](*(np.ones(shape) for shape in shapes), **options)
    assert str(caught.value).endswith(f"[input shapes: {', '.join(map(str, shapes))}]")
