"""`op` turns a function of arrays into a function of Tensors, which remember their origin."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .changes import watch
from .device import check_same
from .tensor import OPS, Input, Origin, Tensor, as_array, described, observer, remembering

FLOATS = {np.dtype(np.float32), np.dtype(np.float64)}


def op(forward: Callable[..., Any]) -> Callable[..., Tensor]:
    """Lift `forward(*arrays, **options) -> value, *grad_functions` from arrays to Tensors.

    There is one gradient function for each input, in order. Given g = dL/dvalue, of value's shape,
    it returns dL/dinput, of that input's shape. It is called only if that gradient is wanted.

    The lifted function takes Tensors and arrays, and also numbers if forward does; NumPy's scalars
    become plain numbers. It raises TypeError for inputs of two float types or of another type, and
    for a Tensor as an option; DeviceError for inputs on two devices; and ValueError, with the name
    of the op and the shapes, for shapes that do not fit.
    """
    name = forward.__name__

    @functools.wraps(forward)
    def lifted(*inputs: Any, **options: Any) -> Tensor:
        tensors = tuple(t if isinstance(t, Tensor) else _constant(name, t) for t in inputs)
        arrays = tuple(as_array(t.data) for t in tensors)
        check_same(name, arrays)
        _check_floats(name, arrays)
        plain = {key: _plain(name, key, option) for key, option in options.items()}
        try:
            result = forward(*arrays, **plain)
        except (ValueError, IndexError, TypeError) as error:
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
        value = as_array(value)
        if remembering.get():
            pairs = zip(tensors, grad_functions, strict=True)
            made_of = tuple(Input(t.origin, t.shape, grad) for t, grad in pairs)
            origin = Origin(name, made_of, watch((*arrays, value, *plain.values())))
        else:
            origin = Origin(name)
        y = Tensor(value, origin=origin)
        observe = observer.get()
        if observe is not None:
            observe(*tensors, y)
        return y

    OPS.setdefault(name, lifted)  # Tensor's methods stay ours
    return lifted


def _constant(name: str, value: Any) -> Tensor:
    """A constant input: NumPy's scalars become plain numbers, which never widen a float32."""
    if isinstance(value, np.generic | bool | int | float):
        return Tensor(float(value))
    if isinstance(value, list | tuple) and any(isinstance(x, Tensor) for x in value):
        kind = type(value).__name__
        raise TypeError(f"{name}: expected Tensors one by one, {name}(a, b), got a {kind} of them")
    return Tensor(value if hasattr(value, "dtype") else np.asarray(value))


def _plain(name: str, key: str, option: Any) -> Any:
    if isinstance(option, Tensor):
        raise TypeError(
            f"{name}: {key} is {described(option)}, of which no gradient would be taken;"
            " expected a number, or an array such as its .data"
        )
    return option.item() if isinstance(option, np.generic) else option


def _kinds(arrays: tuple[Any, ...]) -> str:
    return ", ".join("a number" if isinstance(a, float) else str(a.dtype) for a in arrays)


def _check_floats(name: str, arrays: tuple[Any, ...]) -> None:
    dtypes = {a.dtype for a in arrays if not isinstance(a, float)}
    if not dtypes:
        raise TypeError(f"{name}: expected a Tensor or an array, got {_kinds(arrays) or 'nothing'}")
    if not dtypes <= FLOATS or len(dtypes) > 1:
        given = _kinds(arrays)
        raise TypeError(f"{name}: expected all float32 or all float64, got {given}; use .astype")
