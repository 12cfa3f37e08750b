"""The kernels that work element by element: each one pass over its arrays."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from ...device import Array
from .. import checks
from . import launch

SLOTS, CHUNK = 64, 4096  # as in elementwise.cu
TABLE = np.dtype(  # as in elementwise.cu
    [(name, np.uint64, SLOTS) for name in "pgmv"]
    + [("size", np.int64, SLOTS), ("first", np.int32, SLOTS + 1)],
    align=True,
)


def _check(what: str, *arrays: Array) -> list[Array]:
    checks.alike(what, *arrays)
    return launch.check(what, *arrays)


def _map(name: str, *inputs: Array, scalars: tuple[float | Array, ...] = ()) -> Array:
    """A new array of what the kernel `name` makes of the inputs."""
    given = _check(name, *inputs)
    y = launch.empty(inputs[0].shape, inputs[0].dtype)
    launch.launch(f"{name}<T>", y.dtype, launch.blocks(y.size), *given, y, y.size, *scalars)
    return y


def sigmoid(x: Array) -> Array:
    return _map("sigmoid", x)


def sigmoid_grad(g: Array, y: Array) -> Array:
    return _map("sigmoid_grad", g, y)


def tanh_grad(g: Array, y: Array) -> Array:
    return _map("tanh_grad", g, y)


def leaky_relu(x: Array, slope: float) -> Array:
    return _map("leaky_relu", x, scalars=(float(slope),))


def leaky_relu_grad(g: Array, x: Array, slope: float) -> Array:
    return _map("leaky_relu_grad", g, x, scalars=(float(slope),))


def add(a: Array, b: Array) -> Array:
    return _map("add", a, b)


def squared_distance_grad(g: Array, a: Array, b: Array) -> Array:
    checks.alike("squared_distance_grad", a, b)
    launch.check_types("squared_distance_grad", g, a)
    return _map("squared_distance_grad", a, b, scalars=(g,))


def adam(
    p: list[Array],
    g: list[Array],
    m: list[Array],
    v: list[Array],
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    of_type: dict[np.dtype, list[list[Array]]] = defaultdict(list)
    for arrays in zip(p, g, m, v, strict=True):
        for name, array in zip("pgmv", arrays, strict=True):
            if name != "g" and not array.flags.c_contiguous:  # a copy would be updated instead
                raise ValueError(f"adam: {name} must be C-contiguous to be updated in place")
        of_type[arrays[0].dtype].append(_check("adam", *arrays))
    scalars = float(lr), 1 - float(beta1), 1 - float(beta2), float(eps)
    for dtype, rows in of_type.items():
        for start in range(0, len(rows), SLOTS):  # one launch, unless there are very many
            table = _table(rows[start : start + SLOTS])
            launch.launch("adam<T>", dtype, (int(table["first"][-1]),), table, *scalars)


def _table(rows: list[list[Array]]) -> np.ndarray:
    """Return the addresses of each row's p, g, m and v, and the blocks that work on it."""
    table = np.zeros((), TABLE)
    for i, row in enumerate(rows):
        for name, array in zip("pgmv", row, strict=True):
            table[name][i] = launch.address(array)
        table["size"][i] = row[0].size
    table["first"][1:] = np.cumsum(-(-table["size"] // CHUNK))
    return table
