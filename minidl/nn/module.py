"""What all layers and networks have in common: parameters, state, training or inference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from ..device import Array, Device
from ..tensor import Tensor


class Module:
    """Base of layers and networks: set parameters and modules in `__init__`, define `forward`.

    A Tensor set as an attribute is a parameter. An array set as an attribute is state that no
    gradient is taken of, such as the running statistics of a batch norm: it is saved, loaded, moved
    and converted together with the parameters. Parameters and modules may also stand in lists and
    tuples, arrays may not. A dict of parameters or modules raises TypeError as soon as they are
    asked for.

    training: True while the network learns, the default; set by `train`. Layers that work otherwise
    in use, such as batch norm and dropout, look at their own.
    """

    training: bool = True

    def __call__(self, *inputs: Any) -> Any:
        return self.forward(*inputs)

    def forward(self, *inputs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def train(self, on: bool = True) -> Self:
        """Switch this module and all below to training, or with False to inference; returns
        self."""
        for module in self.modules():
            module.training = on
        return self

    def read_only(self) -> Self:
        """Let nobody change the parameters and other arrays any more, for good; returns self.

        For a network that is only used: what kernels make of the weights of a layer is then made
        once, not in each call. Steps, `load_state` and the statistics of a training batch norm
        raise ValueError from here on. It concerns these arrays, of the CPU: not the new ones that
        `astype` makes, and not views taken before, through which nobody may write.
        """
        for array in self.state().values():
            if isinstance(array, np.ndarray):
                array.setflags(write=False)
        return self

    def modules(self) -> Iterator[Module]:
        """This module and all those below, in order of definition."""
        yield self
        for name, value in vars(self).items():
            for _, child in _named(name, value):
                if isinstance(child, Module):
                    yield from child.modules()

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """(path, parameter) for all parameters of this module and those below, in order; a shared
        one by each of its paths."""
        for path, _, _, value in self._leaves(prefix):
            if isinstance(value, Tensor):
                yield path, value

    def parameters(self) -> list[Tensor]:
        """All parameters of this module and those below, in order of definition, each once."""
        return list(dict.fromkeys(p for _, p in self.named_parameters()))

    def state(self) -> dict[str, Array]:
        """The values of all parameters and the other arrays by path: what a checkpoint holds. The
        arrays themselves, not copies."""
        return {
            path: value.data if isinstance(value, Tensor) else value
            for path, _, _, value in self._leaves()
        }

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Copy in values that `state` of an equal module gave; they may be of another float type.

        Raises ValueError, before anything is changed, where names or shapes differ.
        """
        own = self.state()
        if own.keys() != state.keys():
            odd = sorted(own.keys() ^ state.keys())
            raise ValueError(f"{type(self).__name__}: the state has other parameters: {odd[:4]}")
        for path, array in own.items():
            if array.shape != state[path].shape:
                raise ValueError(
                    f"{type(self).__name__}: {path} is {array.shape},"
                    f" in the state {state[path].shape}"
                )
        for path, array in own.items():
            array[...] = np.asarray(state[path], like=array)

    def to(self, device: Device) -> Self:
        """Move all parameters and other arrays to a device, in place; returns self."""
        return self._convert(device.put)

    def astype(self, dtype: Any) -> Self:
        """Convert all parameters and other arrays of floats to a float type, in place; returns
        self."""
        return self._convert(lambda a: a.astype(dtype) if a.dtype.kind == "f" else a)

    def _convert(self, function: Any) -> Self:
        for _, owner, name, value in list(self._leaves()):
            if isinstance(value, Tensor):
                value.data = function(value.data)
            else:
                setattr(owner, name, function(value))
        return self

    def _leaves(self, prefix: str = "") -> Iterator[tuple[str, Module, str, Tensor | Array]]:
        """(path, owner, attribute, value) of every parameter and array, in order of definition."""
        for name, value in vars(self).items():
            if _is_array(value):
                yield prefix + name, self, name, value
            for path, child in _named(prefix + name, value):
                if isinstance(child, Module):
                    yield from child._leaves(path + ".")
                else:
                    yield path, self, name, child


def _is_array(value: Any) -> bool:
    """Whether an attribute is an array, NumPy's or CuPy's: of at least one axis, no Tensor."""
    return not isinstance(value, Tensor) and hasattr(value, "dtype") and np.ndim(value) > 0


def _named(path: str, value: Any) -> Iterator[tuple[str, Module | Tensor]]:
    """The parameters and modules in an attribute: itself, or the elements of a list or tuple."""
    if isinstance(value, Module | Tensor):
        yield path, value
    elif isinstance(value, list | tuple):
        for i, element in enumerate(value):
            yield from _named(f"{path}.{i}", element)
    elif isinstance(value, dict) and any(isinstance(v, Module | Tensor) for v in value.values()):
        raise TypeError(f"{path}: parameters and modules in a dict; expected a list or a tuple")


class Sequential(Module):
    """Layers applied one after another."""

    def __init__(self, *layers: Module) -> None:
        self.layers = layers

    def forward(self, x: Tensor | Array) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x
