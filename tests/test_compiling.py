"""What compiling costs: one version of a loop for all numbers, and no search for garbage."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from numba import njit, types
from numba.core.errors import TypingError

from minidl.kernels.cpu.compiling import inner, intrinsic

searched: list[bool] = []  # whether for garbage, while `watch` was compiled


@inner
def times(x, factor):
    return x * factor


@intrinsic
def watch(typing):
    searched.append(gc.isenabled())
    return types.void(), lambda context, builder, signature, values: context.get_dummy_value()


@njit
def some(x, y):
    return times(x, 2) + times(x, 3) + times(x, y)


@inner
def refused(x):
    if x < 0:
        raise ValueError("below zero")
    return x


@njit
def gives(x):
    return times(refused(x), 2)


@njit
def watched():
    watch()


@njit
def fails(x):
    return x.there_is_no_such_thing


def test_a_written_number_makes_no_version_of_its_own() -> None:
    assert some(5, 7) == 60
    assert times.signatures == [(types.int64, types.int64)]


def test_a_part_has_no_code_of_its_own() -> None:
    """It is in what calls it; its errors reach Python all the same."""
    assert gives(4) == 8
    with pytest.raises(ValueError, match="below zero"):
        gives(-1)
    of_part: Any
    of_whole: Any
    (of_part,), (of_whole,) = refused.overloads.values(), gives.overloads.values()
    defined = of_whole.library.codegen._engine.is_symbol_defined
    assert defined(of_whole.fndesc.llvm_func_name) and not defined(of_part.fndesc.llvm_func_name)


def test_garbage_is_looked_for_again_after_compiling() -> None:
    assert gc.isenabled()
    watched()
    assert searched == [False] * len(searched) and searched and gc.isenabled()
    with pytest.raises(TypingError):
        fails(1)
    assert gc.isenabled()
    gc.disable()
    try:
        watched.recompile()
        assert not gc.isenabled()
    finally:
        gc.enable()
