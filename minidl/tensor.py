"""Automatic differentiation: an array that remembers how it was made, and the chain rule.

`op` (in lift.py) turns a function of arrays into a function of Tensors; `gradients` walks back from
a loss. That is the whole of it: no `.grad`, no `zero_grad`, no flags on tensors. What is not asked
for is not computed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from . import kernels
from .changes import changed, changed_since, clock
from .device import Array, to_cpu

OPS: dict[str, Callable[..., Tensor]] = {}  # every op, by name; of two of one name, the first
Operand: TypeAlias = "Tensor | Array | float"
Axis: TypeAlias = "int | tuple[int, ...] | None"

remembering: ContextVar[bool] = ContextVar("remembering", default=True)  # False in no_grad
# Called with the inputs and the result of every op, where a drawing is made.
observer: ContextVar[Callable[..., None] | None] = ContextVar("observer", default=None)


class Input(NamedTuple):
    """An input of an op: its origin, its shape, and the function from g to its gradient."""

    origin: Origin
    shape: tuple[int, ...]
    grad: Callable[[Array], Array]


class Origin:
    """The origin of a tensor: the op of this name, applied to these inputs.

    A leaf has no op. Within `no_grad`, the inputs are not recorded. An origin holds no numbers: a
    tensor's array is freed once no variable and no gradient function holds it. seen: `watch` of the
    arrays that the gradient functions may hold.
    """

    __slots__ = ("birth", "inputs", "leaf", "name", "seen")

    def __init__(
        self,
        name: str,
        inputs: tuple[Input, ...] = (),
        seen: tuple[Any, ...] = (),
        *,
        leaf: bool = False,
    ) -> None:
        self.name, self.inputs, self.seen, self.leaf = name, inputs, seen, leaf
        self.birth = next(clock)  # later than the birth of every input

    def check_unchanged(self) -> None:
        """Raise RuntimeError if an array that a gradient function may hold was changed in place."""
        i = changed_since(self.birth, self.seen)
        if i is not None:
            x = self.inputs[i] if i < len(self.inputs) else None
            what = f"{x.origin.name or 'an input'} {x.shape}" if x else "an array"
            raise RuntimeError(
                f"gradients: {what} was changed in place after {self.name} had used it, so the"
                " gradient would be wrong; after each step, compute the loss anew"
            )


class Tensor:
    """An array, and how it was made.

    data: a float32 or float64 array, or the number that an op has as a constant. A tensor made by
    hand is a leaf; name: what it is called in messages. Raises TypeError for lists and the like.
    """

    __slots__ = ("_data", "origin")
    __array_ufunc__ = None  # array + tensor is left to Tensor.__radd__

    def __init__(self, data: Array, name: str = "", origin: Origin | None = None) -> None:
        data = as_array(data)
        if type(data) not in (np.ndarray, float):
            _check_kind(data)
        self._data, self.origin = data, origin or Origin(name, leaf=True)

    @property
    def data(self) -> Array:
        return self._data

    @data.setter
    def data(self, data: Array) -> None:
        if data is self._data and not isinstance(data, float):  # so ends x.data += 1
            changed([data])
        self._data = data

    @property
    def name(self) -> str:
        return self.origin.name

    @property
    def shape(self) -> tuple[int, ...]:
        return getattr(self.data, "shape", ())

    @property
    def dtype(self) -> np.dtype:
        return np.result_type(self.data)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def item(self) -> float:
        """The value of a tensor that holds one number. Raises ValueError if it holds several."""
        if np.size(self.data) != 1:
            raise ValueError(f"item: expected one number, got {described(self)}")
        return self.data if isinstance(self.data, float) else self.data.item()

    # Operators and methods are the ops of these names, which `ops` registers.

    def __add__(self, other: Operand) -> Tensor:
        return OPS["add"](self, other)

    def __radd__(self, other: Operand) -> Tensor:
        return OPS["add"](other, self)

    def __sub__(self, other: Operand) -> Tensor:
        return OPS["subtract"](self, other)

    def __rsub__(self, other: Operand) -> Tensor:
        return OPS["subtract"](other, self)

    def __mul__(self, other: Operand) -> Tensor:
        return OPS["multiply"](self, other)

    def __rmul__(self, other: Operand) -> Tensor:
        return OPS["multiply"](other, self)

    def __truediv__(self, other: Operand) -> Tensor:
        return OPS["divide"](self, other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return OPS["divide"](other, self)

    def __matmul__(self, other: Operand) -> Tensor:
        return OPS["matmul"](self, other)

    def __rmatmul__(self, other: Operand) -> Tensor:
        return OPS["matmul"](other, self)

    def __neg__(self) -> Tensor:
        return OPS["negative"](self)

    def __pow__(self, exponent: float) -> Tensor:
        if isinstance(exponent, Tensor):
            exponent.__rpow__(self)
        return OPS["power"](self, exponent=exponent)

    def __rpow__(self, base: Operand) -> Tensor:
        raise TypeError(
            f"power: the exponent is {described(self)}, expected a number;"
            " b ** x is ops.exp(x * log(b))"
        )

    def __getitem__(self, at: Any) -> Tensor:
        return OPS["index"](self, at=at)

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return OPS["sum"](self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return OPS["mean"](self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape: int | tuple[int, ...]) -> Tensor:
        return OPS["reshape"](self, shape=_one_tuple(shape))

    def transpose(self, *axes: int | tuple[int, ...]) -> Tensor:
        return OPS["transpose"](self, axes=_one_tuple(axes) or None)

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError(f"{described(self)} is no array: take its .data, or an op of minidl.ops")

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def __repr__(self) -> str:
        numbers = np.array2string(to_cpu(self.data), separator=", ", prefix="Tensor(")
        name = f", name={self.name!r}" if self.name else ""
        return f"Tensor({numbers}, shape={self.shape}, dtype={self.dtype}{name})"


def described(x: Tensor) -> str:
    """A tensor in the midst of a message: its name, shape and type."""
    return f"Tensor {x.name or 'unnamed'} {x.shape} {x.dtype}"


def listed(what: str, given: Any) -> list[Tensor]:
    """Tensors given one by one, as a list. Raises TypeError for anything else, such as one tensor
    alone, whose rows it would take."""
    if isinstance(given, Tensor) or not isinstance(given, Iterable):
        alone = described(given) if isinstance(given, Tensor) else type(given).__name__
        raise TypeError(f"{what}: expected a list of tensors, such as [x], got {alone} alone")
    tensors = list(given)
    for i, x in enumerate(tensors):
        if not isinstance(x, Tensor):
            raise TypeError(f"{what}: expected Tensors, got {type(x).__name__} at place {i}")
    return tensors


def gradients(loss: Tensor, wanted: Iterable[Tensor]) -> list[Array]:
    """Return [d loss / d x for x in wanted]: arrays, each of the shape of its x.

    loss: a tensor of one number. wanted: tensors that it was computed from, leaves or not.
    The arrays may share memory with each other, and be read-only: copy them before you change them.
    Raises ValueError if the loss is not one number, or if it does not depend on a wanted tensor,
    TypeError for a single wanted tensor, RuntimeError if an array that the loss was computed from
    has been changed in place since: the gradient would mix old and new numbers.
    """
    wanted = listed("gradients", wanted)
    _check_loss(loss)
    history = _history(loss.origin)  # oldest first: inputs come before results
    for i, x in enumerate(wanted):
        if x.origin not in history:
            raise ValueError(f"gradients: the loss does not depend on wanted[{i}], {described(x)}")

    kept = {x.origin for x in wanted}
    on_path = set(kept)  # origins through which the loss depends on a wanted tensor
    for t in history:
        if any(x.origin in on_path for x in t.inputs):
            t.check_unchanged()
            on_path.add(t)

    total: dict[Origin, Array] = {loss.origin: np.ones_like(loss.data)}
    for t in reversed(history):  # the youngest first: total[t] is complete when it is reached
        if t not in on_path or t not in total:
            continue
        g = total[t] if t in kept else total.pop(t)
        for parent, shape, grad in reversed(t.inputs):  # of a layer b, w, x: b's reads g alone
            if parent in on_path:
                dx = as_array(grad(g))
                if dx.shape != shape:
                    raise ValueError(
                        f"{t.name}: a gradient of shape {dx.shape}"
                        f" for {parent.name or 'an input'} of shape {shape}"
                    )
                total[parent] = kernels.add(total[parent], dx) if parent in total else dx
    return [total[x.origin] for x in wanted]


def _check_loss(loss: Any) -> None:
    if not isinstance(loss, Tensor):
        kind = type(loss).__name__
        raise TypeError(f"gradients: the loss is of type {kind}, expected a Tensor of one number")
    if np.size(loss.data) != 1:
        raise ValueError(
            f"gradients: the loss must be one number, not {described(loss)}; take a mean or a sum"
        )


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing within `with no_grad():`, on this thread. Memory is then freed early."""
    before = remembering.set(False)
    try:
        yield
    finally:
        remembering.reset(before)


def _history(origin: Origin) -> dict[Origin, None]:
    """Return this origin and those of all tensors that it was computed from, oldest first."""
    seen, todo = {origin}, [origin]
    while todo:
        for x in todo.pop().inputs:
            if x.origin not in seen:
                seen.add(x.origin)
                todo.append(x.origin)
    return dict.fromkeys(sorted(seen, key=lambda t: t.birth))


def as_array(data: Any) -> Any:
    """Return a NumPy scalar, as arithmetic on arrays of one number gives, as an array again."""
    return np.asarray(data) if isinstance(data, np.generic) else data


def _check_kind(data: Any) -> None:
    """Raise TypeError for what is no array, or computes otherwise than one."""
    if not hasattr(data, "dtype") or isinstance(data, Tensor | np.matrix | np.ma.MaskedArray):
        raise TypeError(
            f"Tensor: data is of type {type(data).__name__}, expected a float32 or float64"
            " array, such as np.array([1, 2], np.float32)"
        )


def _one_tuple(given: tuple[Any, ...]) -> tuple[int, ...]:
    """(2, 3) for x.reshape(2, 3) as for x.reshape((2, 3))."""
    alone = len(given) == 1 and isinstance(given[0], tuple | list)
    return tuple(given[0]) if alone else given
