"""A table of a network's layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..nn.module import Module, observer
from ..tensor import no_grad


def summary(module: Module, input_shape: tuple[int, ...]) -> str:
    """A table of the layers in the order of their use: name, shape of the output, parameters.

    input_shape: of one sample, without N, such as (64, 64, 3). One sample of zeros is sent through
    the network in inference mode; nothing of the network is changed.
    """
    rows: list[tuple[str, str, str]] = []
    modes = {m: m.training for m in module.modules()}
    layers = {m for m in modes if len(list(m.modules())) == 1}
    first = next(iter(module.parameters()), None)
    like = np.zeros(0, np.float32) if first is None else first.data
    x = np.zeros((1, *input_shape), like.dtype, like=like)

    def record(layer: Module, y: Any) -> None:
        if layer in layers:
            size = sum(p.data.size for p in layer.parameters())
            shape = "x".join(str(n) for n in y.shape[1:])
            rows.append((type(layer).__name__, shape, f"{size:,}"))

    before = observer.set(record)
    try:
        module.train(False)
        with no_grad():
            module(x)
    finally:
        observer.reset(before)
        for m, mode in modes.items():
            m.training = mode
    total = sum(p.data.size for p in module.parameters())
    return _table([("layer", "output", "parameters"), *rows, ("all", "", f"{total:,}")])


def _table(rows: list[tuple[str, str, str]]) -> str:
    names, shapes, _ = (max(len(row[i]) for row in rows) for i in range(3))
    numbers = max(len(row[2]) for row in rows)
    lines = [f"{a:<{names}}  {b:>{shapes}}  {c:>{numbers}}" for a, b, c in rows]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])
