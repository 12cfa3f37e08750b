"""The base class of all layers and networks: parameters, state, training or inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Self, TypeAlias

import numpy as np

from ..changes import changed
from ..device import Array, Device
from ..tensor import Tensor
from .lost import CLOSED, PLAIN, lost_in

Member: TypeAlias = "Module | Tensor | Array"

_switched: ContextVar[tuple[Module, ...]] = ContextVar("switched", default=())  # within train
# Called with every module and its result, where a summary is made.
observer: ContextVar[Callable[[Module, Any], None] | None] = ContextVar("observer", default=None)


class Module:
    """Base of layers and networks: set parameters and modules in `__init__`, define `forward`.

    A Tensor set as an attribute is a parameter, unless an op has made it: an activation that is
    kept to be looked at is none. An array set as an attribute is state that no gradient is taken
    of, such as the running statistics of a batch norm: it is saved, loaded, moved and converted
    together with the parameters. Parameters and modules may also stand in lists and tuples, arrays
    may not. In anything else, such as a dict, a set or an object that is no Module, they raise
    TypeError as soon as they are asked for, unless they stand in a right place as well.

    training: True while the network learns, the default; set by `train`. Layers that work otherwise
    in use, such as batch norm and dropout, look at their own.
    """

    training: bool = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, value in vars(cls).items():
            if isinstance(value, Module | Tensor):
                raise TypeError(
                    f"{cls.__name__}.{name}: a {type(value).__name__} that all networks of this"
                    " class would share; set it in __init__"
                )

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        y = self.forward(*inputs, **options)
        observe = observer.get()
        if observe is not None:
            observe(self, y)
        return y

    def forward(self, *inputs: Any, **options: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def train(self, on: bool = True) -> Self:
        """Switch this module and all below to training, or with False to inference, each by its
        own `train`; returns self."""
        above = _switched.get()
        if any(self is m for m in above):  # a module below that knows this one
            return self
        if not above:
            self._all()  # raises
        before = _switched.set((*above, self))
        try:
            self.training = on
            for _, _, member in self._members():
                if isinstance(member, Module):
                    member.train(on)
        finally:
            _switched.reset(before)
        return self

    def freeze_weights(self) -> Self:
        """Make all NumPy arrays of this network read-only, for inference; returns self.

        Kernels then keep packed weights from call to call. It cannot be undone: steps, `load_state`
        and a batch norm in training raise ValueError from here on. New arrays, as `astype` makes
        them, are writable. Do not write through views taken before.
        """
        for array in self.state().values():
            if isinstance(array, np.ndarray):
                array.setflags(write=False)
        return self

    def modules(self) -> Iterator[Module]:
        """This module and all those below, in order of definition, each once."""
        below = (m for *_, m in self._all() if isinstance(m, Module))
        return iter({id(m): m for m in (self, *below)}.values())

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """(path, parameter) for all parameters of this module and those below, in order; a shared
        one by each of its paths."""
        return ((path, x) for path, *_, x in self._all(prefix) if isinstance(x, Tensor))

    def parameters(self) -> list[Tensor]:
        """All parameters of this module and those below, in order of definition, each once."""
        return list(dict.fromkeys(p for _, p in self.named_parameters()))

    def state(self) -> dict[str, Array]:
        """The values of all parameters and the other arrays by path: what a checkpoint holds. The
        arrays themselves, not copies."""
        return {
            path: member.data if isinstance(member, Tensor) else member
            for path, _, _, member in self._all()
            if not isinstance(member, Module)
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
        changed(own.values())

    def to(self, device: Device) -> Self:
        """Move all parameters and other arrays to a device, in place; returns self."""
        return self._convert(device.put)

    def astype(self, dtype: Any) -> Self:
        """Convert all parameters and other arrays of floats to a float type, in place; returns
        self."""
        return self._convert(lambda a: a.astype(dtype) if a.dtype.kind == "f" else a)

    def _convert(self, function: Any) -> Self:
        for _, owner, name, member in self._all():
            if isinstance(member, Tensor):
                if (data := function(member.data)) is not member.data:
                    member.data = data
            elif not isinstance(member, Module):
                setattr(owner, name, function(member))
        return self

    def __repr__(self) -> str:
        sizes = {id(x): x.data.size for *_, x in self._walk("", ()) if isinstance(x, Tensor)}
        first, *rest = self._described(())
        return "\n".join([f"{first}: {sum(sizes.values()):,} parameters", *rest])

    # --- what it is made of -----------------------------------------------------------------------

    def _members(self) -> Iterator[tuple[str, str, Member]]:
        """(path, attribute, value) of this module's own parameters, arrays and modules, in order of
        definition."""
        for name, value in vars(self).items():
            if type(value) in PLAIN:
                continue
            if _is_array(value):
                yield name, name, value
            else:
                yield from ((path, name, member) for path, member in _named(name, value))

    def _walk(
        self, prefix: str, above: tuple[Module, ...]
    ) -> Iterator[tuple[str, Module, str, Member]]:
        """(path, owner, attribute, value) of all members of this module and those below, a module
        before its own; none is entered from below."""
        above = (*above, self)
        for path, name, member in self._members():
            if isinstance(member, Module):
                if not any(member is m for m in above):
                    yield prefix + path, self, name, member
                    yield from member._walk(f"{prefix}{path}.", above)
            else:
                yield prefix + path, self, name, member

    def _all(self, prefix: str = "") -> list[tuple[str, Module, str, Member]]:
        """`_walk`, if it misses nothing. Raises TypeError if it does."""
        found = list(self._walk(prefix, ()))
        known = {id(member) for *_, member in found} | {id(self)}
        owners = [(prefix, self), *((f"{p}.", m) for p, *_, m in found if isinstance(m, Module))]
        for start, owner in owners:
            for path, container, thing in lost_in(vars(owner), (Module, Tensor), known):
                if isinstance(thing, Module) or thing.origin.leaf:
                    raise TypeError(
                        f"{start}{path}: parameters and modules in a {container};"
                        " expected a list, a tuple or a Module"
                    )
        return found

    def _described(self, above: tuple[Module, ...]) -> Iterator[str]:
        """A line on this module, and one on each below."""
        kinds = int | float | str | tuple
        settings = {
            name: value
            for name, value in vars(self).items()
            if isinstance(value, kinds) and name != "training" and not any(_named(name, value))
        }
        listed = ", ".join(f"{name}={value!r}" for name, value in settings.items())
        members = list(self._members())
        sizes = (f", {path} {x.shape}" for path, _, x in members if isinstance(x, Tensor))
        yield type(self).__name__ + (f"({listed})" if listed else "") + "".join(sizes)
        above = (*above, self)
        for path, _, member in members:
            if isinstance(member, Module) and not any(member is m for m in above):
                first, *rest = member._described(above)
                yield f"  {path}: {first}"
                yield from (f"  {line}" for line in rest)


def _is_array(value: Any) -> bool:
    """Return whether an attribute is a NumPy or CuPy array of numbers with at least one axis.

    A Tensor is not.
    """
    alike = hasattr(value, "dtype") and not isinstance(value, Tensor | Module)
    return alike and value.dtype != object and np.ndim(value) > 0


def _named(path: str, value: Any) -> Iterator[tuple[str, Module | Tensor]]:
    """The parameters and modules in an attribute: itself, or the elements of a list or tuple."""
    if isinstance(value, list | tuple):
        for i, element in enumerate(value):
            yield from _named(f"{path}.{i}", element)
    elif isinstance(value, Tensor):
        if value.origin.leaf:
            yield path, value
    elif isinstance(value, Module) and type(value) not in CLOSED:
        yield path, value


class Sequential(Module):
    """Layers applied one after another. Raises TypeError for anything that cannot be applied."""

    def __init__(self, *layers: Module) -> None:
        for i, layer in enumerate(layers):
            if isinstance(layer, type) or not callable(layer):
                kind = layer.__name__ if isinstance(layer, type) else type(layer).__name__
                raise TypeError(
                    f"Sequential: expected layers one by one, Sequential(a, b), got {kind} at"
                    f" place {i}"
                )
        self.layers = layers

    def forward(self, x: Tensor | Array) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x
