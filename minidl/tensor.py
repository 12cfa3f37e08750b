"""Automatic differentiation: an array that remembers how it was made, and the chain rule.

`op` turns a function of arrays into a function of Tensors; `gradients` walks back from a loss.
That is the whole of it: no `.grad`, no `zero_grad`, no flags on tensors. What is not asked for is
not computed.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from . import kernels
from .device import Array, check_same

OPS: dict[str, Callable[..., Tensor]] = {}  # every op, by name; of two of one name, the first
Operand: TypeAlias = "Tensor | Array | float"
Axis: TypeAlias = "int | tuple[int, ...] | None"
FLOATS = {np.dtype(np.float32), np.dtype(np.float64)}

_births = itertools.count()
_remembering: ContextVar[bool] = ContextVar("remembering", default=True)


class Input(NamedTuple):
    """What an op was given: where it came from, its shape, and g -> the gradient with respect to
    it."""

    origin: Origin
    shape: tuple[int, ...]
    grad: Callable[[Array], Array]


class Origin:
    """How a tensor was made: by the op of this name, from these inputs; a leaf has none.

    It knows no numbers: those of a tensor in the midst of a network are gone as soon as nobody
    holds the tensor and no gradient function needs them.
    """

    __slots__ = ("birth", "inputs", "name")

    def __init__(self, name: str, inputs: tuple[Input, ...]) -> None:
        self.name, self.inputs = name, inputs
        self.birth = next(_births)  # later than the birth of every input


class Tensor:
    """An array, and how it was made.

    data: a float32 or float64 array, or the number that an op has as a constant. A tensor made by
    hand is a leaf; name: what it is called in messages. Raises TypeError for lists and the like.
    """

    __slots__ = ("data", "origin")
    __array_ufunc__ = None  # array + tensor is left to Tensor.__radd__

    data: Array

    def __init__(self, data: Array, name: str = "", inputs: tuple[Input, ...] = ()) -> None:
        data = _array(data)
        if not hasattr(data, "dtype") and not isinstance(data, float):
            raise TypeError(
                f"Tensor: data is of type {type(data).__name__}, expected a float32 or float64"
                " array, such as np.array([1, 2], np.float32)"
            )
        self.data, self.origin = data, Origin(name, inputs)

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
        """The value of a tensor that holds one number."""
        return self.data.item()

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
        return OPS["power"](self, exponent=exponent)

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

    def __repr__(self) -> str:
        return f"Tensor {self.name or 'unnamed'} {self.shape} {self.dtype}"


def op(forward: Callable[..., Any]) -> Callable[..., Tensor]:
    """Lift `forward(*arrays, **options) -> value, *grad_functions` from arrays to Tensors.

    There is one gradient function for each input, in order: given g = dL/dvalue, of value's
    shape, it returns dL/dinput, of that input's shape. It is called only if that gradient is
    wanted.

    The lifted function takes Tensors and arrays, and beside them numbers, if forward does; NumPy's
    scalars reach it as plain numbers. It raises TypeError for anything but one float type
    throughout, DeviceError for inputs on two devices, and ValueError, with the name of the op and
    the shapes, for shapes that do not fit.
    """
    name = forward.__name__

    @functools.wraps(forward)
    def lifted(*inputs: Any, **options: Any) -> Tensor:
        tensors = tuple(t if isinstance(t, Tensor) else Tensor(_constant(t)) for t in inputs)
        arrays = tuple(_array(t.data) for t in tensors)
        check_same(name, arrays)
        _check_floats(name, arrays)
        try:
            result = forward(*arrays, **{key: _plain(v) for key, v in options.items()})
        except (ValueError, IndexError) as error:
            shapes = ", ".join(str(np.shape(a)) for a in arrays)
            message = str(error).removeprefix(f"{name}: ")
            raise type(error)(f"{name}: {message} [input shapes: {shapes}]") from error
        except AttributeError as error:
            if not any(isinstance(a, float) for a in arrays):
                raise
            raise TypeError(f"{name}: expected arrays alone, got {_kinds(arrays)}") from error
        if not isinstance(result, tuple) or len(result) != 1 + len(arrays):
            count = len(result) - 1 if isinstance(result, tuple) else 0
            raise TypeError(
                f"{name}: gives {count} gradient functions for {len(arrays)} inputs,"
                " expected one for each"
            )
        value, *grad_functions = result
        if not _remembering.get():
            return Tensor(value, name)
        pairs = zip(tensors, grad_functions, strict=True)
        return Tensor(value, name, tuple(Input(t.origin, t.shape, grad) for t, grad in pairs))

    OPS.setdefault(name, lifted)  # Tensor's methods stay ours
    return lifted


def gradients(loss: Tensor, wanted: Iterable[Tensor]) -> list[Array]:
    """[d loss / d x for x in wanted]: arrays, each of the shape of its x.

    loss: a tensor of one number. wanted: tensors that it was computed from, leaves or not.
    The arrays may share memory with each other, and be read-only: copy what you mean to change.
    Raises ValueError if the loss is not one number, or if it does not depend on a wanted tensor,
    TypeError for a single wanted tensor.
    """
    if isinstance(wanted, Tensor):
        raise TypeError(f"gradients: expected a list of tensors, such as [x], got {wanted!r} alone")
    wanted = list(wanted)
    if np.size(loss.data) != 1:
        raise ValueError(
            f"gradients: the loss must be one number, not {loss!r}; take a mean or a sum"
        )
    history = _history(loss.origin)  # oldest first: inputs come before what is made of them
    for i, x in enumerate(wanted):
        if x.origin not in history:
            raise ValueError(f"gradients: the loss does not depend on wanted[{i}], {x!r}")

    kept = {x.origin for x in wanted}
    on_path = set(kept)  # by what ways the loss depends on a wanted tensor
    for t in history:
        if any(x.origin in on_path for x in t.inputs):
            on_path.add(t)

    total: dict[Origin, Array] = {loss.origin: np.ones_like(loss.data)}
    for t in reversed(history):  # the youngest first: total[t] is complete when it is reached
        if t not in on_path or t not in total:
            continue
        g = total[t] if t in kept else total.pop(t)
        for parent, shape, grad in reversed(t.inputs):  # of a layer b, w, x: b's reads g alone
            if parent in on_path:
                dx = grad(g)
                if np.shape(dx) != shape:
                    raise ValueError(
                        f"{t.name}: a gradient of shape {np.shape(dx)}"
                        f" for {parent.name or 'an input'} of shape {shape}"
                    )
                total[parent] = kernels.add(total[parent], dx) if parent in total else dx
    return [total[x.origin] for x in wanted]


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """Inside `with no_grad():` this thread records nothing, so that memory is free as soon as
    possible."""
    before = _remembering.set(False)
    try:
        yield
    finally:
        _remembering.reset(before)


def _history(origin: Origin) -> dict[Origin, None]:
    """The origins of all that this one was made of, and itself, in order of birth."""
    seen, todo = {origin}, [origin]
    while todo:
        for x in todo.pop().inputs:
            if x.origin not in seen:
                seen.add(x.origin)
                todo.append(x.origin)
    return dict.fromkeys(sorted(seen, key=lambda t: t.birth))


def _constant(value: Any) -> Any:
    """A constant input: NumPy's scalars become plain numbers, which never widen a float32."""
    if isinstance(value, np.generic | bool | int | float):
        return float(value)
    return value if hasattr(value, "dtype") else np.asarray(value)


def _array(data: Any) -> Any:
    """NumPy's arithmetic on arrays of one number leaves the arrays: back to one."""
    return np.asarray(data) if isinstance(data, np.generic) else data


def _plain(option: Any) -> Any:
    return option.item() if isinstance(option, np.generic) else option


def _one_tuple(given: tuple[Any, ...]) -> tuple[int, ...]:
    """(2, 3) for x.reshape(2, 3) as for x.reshape((2, 3))."""
    return given[0] if len(given) == 1 and isinstance(given[0], tuple) else given


def _kinds(arrays: tuple[Any, ...]) -> str:
    return ", ".join("a number" if isinstance(a, float) else str(a.dtype) for a in arrays)


def _check_floats(name: str, arrays: tuple[Any, ...]) -> None:
    dtypes = {a.dtype for a in arrays if not isinstance(a, float)}
    if not dtypes:
        raise TypeError(f"{name}: expected a Tensor or an array, got {_kinds(arrays) or 'nothing'}")
    if not dtypes <= FLOATS or len(dtypes) > 1:
        given = _kinds(arrays)
        raise TypeError(f"{name}: expected all float32 or all float64, got {given}; use .astype")
