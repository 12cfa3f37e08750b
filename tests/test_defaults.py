"""A default is a promise: each of the library's defaults is written down here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl import Tensor, nn, optim
from minidl.tensor import OPS

DEFAULTS: dict[str, dict[str, Any]] = {
    "ops.batch_norm": {"eps": 1e-5, "slope": 1.0},
    "ops.concatenate": {"axis": 0},
    "ops.conv2d": {"stride": 1, "padding": "same"},
    "ops.leaky_relu": {"slope": 0.2},
    "ops.max": {"keepdims": False},
    "ops.mean": {"keepdims": False},
    "ops.normalize": {"eps": 1e-5, "slope": 1.0},
    "ops.sum": {"keepdims": False},
    "ops.upsample2d": {"factor": 2},
    "nn.BatchNorm": {"momentum": 0.9, "eps": 1e-5},
    "nn.LeakyReLUBatchNorm": {"slope": 0.2, "momentum": 0.9, "eps": 1e-5},
    "nn.Conv2D": {"stride": 1, "padding": "same"},
    "nn.LeakyReLU": {"slope": 0.2},
    "nn.Linear": {"gain": 1.0},
    "nn.Upsample2D": {"factor": 2},
    "optim.Adam": {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    "optim.LBFGS": {"memory": 10, "c1": 1e-4, "c2": 0.9, "evaluations": 25},
    "optim.SGD": {"momentum": 0.0},
    "optim.warmup_cosine": {"warmup": 0, "floor": 0.0},
    "Tensor.mean": {"keepdims": False},
    "Tensor.sum": {"keepdims": False},
}


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield (name, function or class) of everything with settings."""
    yield from ((f"ops.{name}", op) for name, op in OPS.items() if op.__module__ != __name__)
    for module in (nn, optim):
        for name, value in vars(module).items():
            if callable(value) and value.__module__.startswith(module.__name__):
                yield f"{module.__name__.removeprefix('minidl.')}.{name}", value
    yield "Tensor.mean", Tensor.mean
    yield "Tensor.sum", Tensor.sum


def settings(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the defaults that are numbers or texts."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if isinstance(p.default, int | float | str)}


def test_defaults_are_what_they_were() -> None:
    found = {name: settings(function) for name, function in public()}
    assert {name: values for name, values in found.items() if values} == DEFAULTS


def test_methods_hand_their_settings_on() -> None:
    x = Tensor(np.ones((2, 3)))
    assert x.mean(0).shape == x.sum(0).shape == (3,)
    assert x.mean(0, keepdims=True).shape == x.sum(0, keepdims=True).shape == (1, 3)
