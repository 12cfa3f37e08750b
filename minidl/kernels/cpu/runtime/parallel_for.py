"""A board on which work is shared: compiled threads take parts of a loop without Python's lock.

    state           which job this is, into how many parts it is cut, and how many of them are taken
    code, given     where the job's code is, and what it is called with
    length          of the loop's range
    done, failed    how many parts have ended, and how many of them ran out of memory
    used            whether somebody's job is on it

Who has work writes a job down, its state last, and then takes parts like everybody else, until none
is left; so nobody waits for a thread that sleeps. To take a part is to read the state, then the
rest, and to add one to the state if it still is what was read: in one step, so that two threads
never take the same part. If the state has changed, the rest may have, and all is read again. A job
with parts that nobody has taken is never replaced.

To fork and to join take 5 microseconds, as long as threads look out for work (Intel Xeon). A thread
that waits for Python's lock, or for a lock of Python's, takes 80 to 200 to come back.
"""

from __future__ import annotations

import functools
import types as python_types
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils

from .jit import device_function, into_library, intrinsic, jit

LINE = 8  # words of a cache line: what different threads write lies on different lines
STATE, CODE, GIVEN, LENGTH = range(4)
DONE, FAILED, USED = 2 * LINE, 2 * LINE + 1, 3 * LINE
WORDS = 4 * LINE
BITS = 16  # of the state, for the parts that are taken; as many for all parts; the others say which
MOST = (1 << BITS) - 1  # parts
ROOM = 512  # words, for what a job is called with
WORD = ir.IntType(64)
JOB = ir.FunctionType(ir.IntType(32), [WORD] * 4)  # (given, *part) -> 0, or 1 if it failed
X86 = binding.get_process_triple().startswith(("x86", "i386", "i686"))


class Chunk(NamedTuple):
    """Numbers first to last - 1 of a loop's range, and which of its parts that is."""

    number: int
    first: int
    last: int


def new() -> np.ndarray:
    """A board without a job: words, the first of which begins a cache line."""
    words = np.zeros(WORDS + LINE, np.int64)
    start = -words.ctypes.data % (8 * LINE) // 8
    return words[start : start + WORDS]


# --- single steps, that no other thread can come between -----------------------------------------


def _word(builder, values):
    """The address of the k-th word of a board, from the first two arguments."""
    at = builder.add(values[0], builder.mul(values[1], ir.Constant(WORD, 8)))
    return builder.inttoptr(at, WORD.as_pointer())


@intrinsic
def _read(typing, board, k):
    def generate(context, builder, signature, values):
        return builder.load_atomic(_word(builder, values), "acquire", 8)

    return types.intp(board, k), generate


@intrinsic
def _write(typing, board, k, value):
    """Write a word. Threads that read it also see everything that was written before it."""

    def generate(context, builder, signature, values):
        builder.store_atomic(values[2], _word(builder, values), "release", 8)
        return context.get_dummy_value()

    return types.void(board, k, types.intp), generate


@intrinsic
def _add(typing, board, k, value):
    def generate(context, builder, signature, values):
        builder.atomic_rmw("add", _word(builder, values), values[2], "acq_rel")
        return context.get_dummy_value()

    return types.void(board, k, types.intp), generate


@intrinsic
def _replace(typing, board, k, old, new):
    """Write `new` if the word is `old`; whether it was."""

    def generate(context, builder, signature, values):
        word = _word(builder, values)
        found = builder.cmpxchg(word, values[2], values[3], "acq_rel", "acquire")
        return builder.extract_value(found, 1)

    return types.boolean(board, k, types.intp, types.intp), generate


@intrinsic
def _pause(typing):
    """Tell the processor that this thread does nothing but look."""

    def generate(context, builder, signature, values):
        if X86:
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), [])
        return context.get_dummy_value()

    return types.void(), generate


# --- a job ----------------------------------------------------------------------------------------


def _borrowed(context, builder, kind, value):
    """An array, or those of a tuple, without its count of users: threads would take turns at it for
    each slice, and it may be gone before the job is done."""
    if isinstance(kind, types.BaseTuple):
        kinds: Any = kind
        one = functools.partial(_borrowed, context, builder)
        values = list(map(one, kinds.types, cgutils.unpack_tuple(builder, value)))
        return context.make_tuple(builder, kind, values)
    if not isinstance(kind, types.Array):
        return value
    array = context.make_array(kind)(context, builder, value)
    array.meminfo = cgutils.get_null_value(array.meminfo.type)
    array.parent = cgutils.get_null_value(array.parent.type)
    return array._getvalue()


def _job_of(loop: Any) -> Any:
    """Return an intrinsic for a loop.

    It stores the loop's arguments except the last at an address, and returns the address of code
    that calls the loop with them and a part.
    """

    @intrinsic
    def job(typing, place, arguments):
        part = types.NamedUniTuple(types.intp, 3, Chunk)
        kinds = (*arguments.types, part)

        def generate(context, builder, signature, values):
            found = into_library(loop, kinds, context)
            given = context.get_value_type(arguments)
            assert context.get_abi_sizeof(given) <= 8 * ROOM
            code = ir.Function(builder.module, JOB, builder.module.get_unique_name("job"))
            code.linkage = "internal"
            inside = ir.IRBuilder(code.append_basic_block())
            all_ = inside.load(inside.inttoptr(code.args[0], given.as_pointer()))
            passed = [
                _borrowed(context, inside, kind, inside.extract_value(all_, i))
                for i, kind in enumerate(arguments.types)
            ]
            passed.append(context.make_tuple(inside, part, code.args[1:]))
            called = context.declare_function(builder.module, found.fndesc)
            result = found.signature.return_type
            status, _ = context.call_conv.call_function(inside, called, result, kinds, passed)
            inside.ret(inside.zext(status.is_error, ir.IntType(32)))
            builder.store(values[1], builder.inttoptr(values[0], given.as_pointer()))
            return builder.ptrtoint(code, WORD)

        return types.intp(types.intp, arguments), generate

    return job


@intrinsic
def _call(typing, code, given, which, first, last):
    def generate(context, builder, signature, values):
        called = builder.inttoptr(values[0], JOB.as_pointer())
        return builder.zext(builder.call(called, values[1:]), WORD)

    return types.intp(*[types.intp] * 5), generate


@device_function
def _take(board):
    """Take parts until none is left; whether there was one."""
    some = False
    while True:
        state = _read(board, STATE)
        i, parts = state & MOST, state >> BITS & MOST
        if i == parts:
            return some
        code, given, length = _read(board, CODE), _read(board, GIVEN), _read(board, LENGTH)
        if _replace(board, STATE, state, state + 1):
            some = True
            first, last = length * i // parts, length * (i + 1) // parts
            _add(board, FAILED, _call(code, given, i, first, last))
            _add(board, DONE, 1)


@jit
def spread(board, code, given, length, parts):
    """The job (code, given) for all parts of range(length); how many of them failed.

    board: the address of one, for the threads that look at it; 0 for this thread alone, which also
    does everything where somebody else uses the board. It is taken and given back in here, where
    no interrupt comes between.
    """
    failed = 0
    if board == 0 or not _replace(board, USED, 0, 1):
        for i in range(parts):
            failed += _call(code, given, i, length * i // parts, length * (i + 1) // parts)
        return failed
    job = (_read(board, STATE) >> 2 * BITS) + 1
    _write(board, CODE, code)
    _write(board, GIVEN, given)
    _write(board, LENGTH, length)
    _write(board, DONE, 0)
    _write(board, FAILED, 0)
    _write(board, STATE, (job & 0x7FFFFFFF) << 2 * BITS | parts << BITS)
    _take(board)
    while _read(board, DONE) < parts:
        _pause()
    failed = _read(board, FAILED)
    _write(board, USED, 0)
    return failed


@jit
def serve(board, patience):
    """Take parts of every job that comes, until for `patience` looks none has."""
    looks = 0
    while looks < patience:
        looks = 0 if _take(board) else looks + 1
        _pause()


# --- loops for it ---------------------------------------------------------------------------------


def parallel_jit(loop: Callable[..., None]) -> Callable[..., int]:
    """A compiled loop(*arguments, part), part being a `Part` of its range, as `threads.split` wants
    it: called as (place, *arguments), it makes a job of them, of which it gives the code, and what
    that is called with at the address `place`, where there are ROOM words."""
    code = _job.__code__.replace(  # where Numba's cache is to look for changes
        co_filename=loop.__code__.co_filename, co_firstlineno=loop.__code__.co_firstlineno
    )
    job = python_types.FunctionType(code, {"job": _job_of(loop)}, f"{loop.__name__}_job")
    job.__module__ = loop.__module__
    made = jit(job)
    return functools.update_wrapper(made, loop, assigned=("__name__", "__doc__"), updated=())


def _job(place, *arguments):
    return job(place, arguments)  # type: ignore[name-defined] # noqa: F821
