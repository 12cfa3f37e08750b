"""A lock-free parallel for: threads claim chunks of a loop by compare-and-swap, without the GIL.

The threads share one job slot, an array of words:

    state            the job's number, its number of chunks, and how many of them are claimed
    code, arguments  the addresses of the job's compiled code and of its arguments
    length           of the loop's range
    done, failed     the number of chunks that have ended, and of those that ran out of memory
    in_use           1 while the slot holds a job

The caller writes the job into the slot, the state last, and then claims chunks like every worker,
until none is left. So it never waits for a thread that sleeps. To claim a chunk, a thread reads the
state, then the other words, and increments the state if it has not changed, in one atomic
compare-and-swap: two threads never claim the same chunk. If the state has changed, the other words
may have changed too, and the thread reads all of them again. A job with unclaimed chunks is never
replaced.

A fork and a join take 5 microseconds while the workers spin (Intel Xeon). A thread that waits for
the GIL, or for a lock of Python's, takes 80 to 200 microseconds to come back.
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

from .jit import device_function, intrinsic, jit

LINE = 8  # words of a cache line; words that different threads write lie on different lines
STATE, CODE, ARGUMENTS, LENGTH = range(4)
DONE, FAILED, IN_USE = 2 * LINE, 2 * LINE + 1, 3 * LINE
WORDS = 4 * LINE
CHUNK_BITS = 16  # of the state, for the claimed chunks and for all chunks; the rest is the job
MAX_CHUNKS = (1 << CHUNK_BITS) - 1
ARGUMENT_WORDS = 512  # for the arguments of a job
WORD = ir.IntType(64)
JOB = ir.FunctionType(ir.IntType(32), [WORD] * 4)  # (arguments, *chunk) -> 0, or 1 if it failed
X86 = binding.get_process_triple().startswith(("x86", "i386", "i686"))


class Chunk(NamedTuple):
    """A part of a loop's range: the numbers first to last - 1, and the chunk's own number."""

    number: int
    first: int
    last: int


def new_slot() -> np.ndarray:
    """Return a job slot without a job: WORDS words, from the beginning of a cache line on."""
    words = np.zeros(WORDS + LINE, np.int64)
    start = -words.ctypes.data % (8 * LINE) // 8
    return words[start : start + WORDS]


# --- atomic operations ----------------------------------------------------------------------------


def _pointer(builder, values):
    """Return the address of the k-th word of a slot. values: (slot, k, ...)."""
    address = builder.add(values[0], builder.mul(values[1], ir.Constant(WORD, 8)))
    return builder.inttoptr(address, WORD.as_pointer())


@intrinsic
def _load(typing, slot, k):
    def generate(context, builder, signature, values):
        return builder.load_atomic(_pointer(builder, values), "acquire", 8)

    return types.intp(slot, k), generate


@intrinsic
def _store(typing, slot, k, value):
    """Write a word. Threads that read it also see everything that was written before it."""

    def generate(context, builder, signature, values):
        builder.store_atomic(values[2], _pointer(builder, values), "release", 8)
        return context.get_dummy_value()

    return types.void(slot, k, types.intp), generate


@intrinsic
def _fetch_add(typing, slot, k, value):
    def generate(context, builder, signature, values):
        builder.atomic_rmw("add", _pointer(builder, values), values[2], "acq_rel")
        return context.get_dummy_value()

    return types.void(slot, k, types.intp), generate


@intrinsic
def _compare_and_swap(typing, slot, k, old, new):
    """Write `new` if the word is `old`. Return whether it was."""

    def generate(context, builder, signature, values):
        word = _pointer(builder, values)
        found = builder.cmpxchg(word, values[2], values[3], "acq_rel", "acquire")
        return builder.extract_value(found, 1)

    return types.boolean(slot, k, types.intp, types.intp), generate


@intrinsic
def _pause(typing):
    """Tell the processor that this thread spins."""

    def generate(context, builder, signature, values):
        if X86:
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), [])
        return context.get_dummy_value()

    return types.void(), generate


# --- the caller and the workers -------------------------------------------------------------------


@intrinsic
def _call(typing, code, arguments, index, first, last):
    def generate(context, builder, signature, values):
        called = builder.inttoptr(values[0], JOB.as_pointer())
        return builder.zext(builder.call(called, values[1:]), WORD)

    return types.intp(*[types.intp] * 5), generate


@device_function
def _claim_chunks(slot):
    """Claim and run chunks until none is left. Return whether there was one."""
    found = False
    while True:
        state = _load(slot, STATE)
        i, chunks = state & MAX_CHUNKS, state >> CHUNK_BITS & MAX_CHUNKS
        if i == chunks:
            return found
        code, arguments, length = _load(slot, CODE), _load(slot, ARGUMENTS), _load(slot, LENGTH)
        if _compare_and_swap(slot, STATE, state, state + 1):
            found = True
            first, last = length * i // chunks, length * (i + 1) // chunks
            _fetch_add(slot, FAILED, _call(code, arguments, i, first, last))
            _fetch_add(slot, DONE, 1)


@jit
def run_job(slot, code, arguments, length, chunks):
    """Run the job (code, arguments) for all chunks of range(length); return how many failed.

    slot: its address, or 0 to run all chunks on this thread. That also happens while another thread
    uses the slot. The slot is taken and released in compiled code, where no interrupt can come.
    """
    failed = 0
    if slot == 0 or not _compare_and_swap(slot, IN_USE, 0, 1):
        for i in range(chunks):
            first, last = length * i // chunks, length * (i + 1) // chunks
            failed += _call(code, arguments, i, first, last)
        return failed
    job = (_load(slot, STATE) >> 2 * CHUNK_BITS) + 1
    _store(slot, CODE, code)
    _store(slot, ARGUMENTS, arguments)
    _store(slot, LENGTH, length)
    _store(slot, DONE, 0)
    _store(slot, FAILED, 0)
    _store(slot, STATE, (job & 0x7FFFFFFF) << 2 * CHUNK_BITS | chunks << CHUNK_BITS)
    _claim_chunks(slot)
    while _load(slot, DONE) < chunks:
        _pause()  # for the chunks of others
    failed = _load(slot, FAILED)
    _store(slot, IN_USE, 0)
    return failed


@jit
def worker_loop(slot, spin_count):
    """Claim chunks of the jobs in the slot, until `spin_count` looks in a row have found none."""
    spins = 0
    while spins < spin_count:
        spins = 0 if _claim_chunks(slot) else spins + 1
        _pause()  # before the next look


# --- loops as jobs --------------------------------------------------------------------------------


def parallel_jit(loop: Callable[..., None]) -> Callable[..., int]:
    """Compile loop(*arguments, chunk) as a job for `threadpool.parallel_for`; chunk is a `Chunk`.

    The result, called as (address, *arguments), stores the arguments at the address, where there
    are ARGUMENT_WORDS words, and returns the address of the job's code.
    """
    code = _store_arguments.__code__.replace(  # where Numba's cache looks for changes
        co_filename=loop.__code__.co_filename, co_firstlineno=loop.__code__.co_firstlineno
    )
    names = {"store": _trampoline_of(device_function(loop))}
    job = python_types.FunctionType(code, names, f"{loop.__name__}_job")
    job.__module__ = loop.__module__  # Numba's cache asks for it
    made = jit(job)
    return functools.update_wrapper(made, loop, assigned=("__name__", "__doc__"), updated=())


def _store_arguments(address, *arguments):
    return store(address, arguments)  # type: ignore[name-defined] # noqa: F821


def _trampoline_of(loop: Any) -> Any:
    """Return an intrinsic (address, arguments) for a compiled loop.

    It stores the arguments, all but the loop's last, at the address, and returns the address of a
    trampoline: code that calls the loop with them and with a chunk.
    """

    @intrinsic
    def store(typing, address, arguments):
        chunk = types.NamedUniTuple(types.intp, 3, Chunk)
        kinds = (*arguments.types, chunk)

        def generate(context, builder, signature, values):
            compiled = loop.get_compile_result(types.void(*kinds))
            context.add_linking_libs([compiled.library])
            stored = context.get_value_type(arguments)
            assert context.get_abi_sizeof(stored) <= 8 * ARGUMENT_WORDS
            name = builder.module.get_unique_name("job")
            trampoline = ir.Function(builder.module, JOB, name)
            trampoline.linkage = "internal"
            inside = ir.IRBuilder(trampoline.append_basic_block())
            loaded = inside.load(inside.inttoptr(trampoline.args[0], stored.as_pointer()))
            passed = [
                _without_refcount(context, inside, kind, inside.extract_value(loaded, i))
                for i, kind in enumerate(arguments.types)
            ]
            passed.append(context.make_tuple(inside, chunk, trampoline.args[1:]))
            status, _ = context.call_internal_no_propagate(
                inside, compiled.fndesc, compiled.signature, passed
            )
            inside.ret(inside.zext(status.is_error, ir.IntType(32)))
            builder.store(values[1], builder.inttoptr(values[0], stored.as_pointer()))
            return builder.ptrtoint(trampoline, WORD)

        return types.intp(types.intp, arguments), generate

    return store


def _without_refcount(context, builder, kind, value):
    """Return a borrowed array, or a tuple of them, without reference counting.

    Threads would contend for the counter at every slice, and the counter may be freed before the
    job ends.
    """
    if isinstance(kind, types.BaseTuple):
        kinds: Any = kind
        one = functools.partial(_without_refcount, context, builder)
        values = list(map(one, kinds.types, cgutils.unpack_tuple(builder, value)))
        return context.make_tuple(builder, kind, values)
    if not isinstance(kind, types.Array):
        return value
    array = context.make_array(kind)(context, builder, value)
    array.meminfo = cgutils.get_null_value(array.meminfo.type)
    array.parent = cgutils.get_null_value(array.parent.type)
    return array._getvalue()
