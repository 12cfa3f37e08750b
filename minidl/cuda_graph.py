"""CUDA graphs: what a function launches on the GPU, recorded once and then sent as a whole.

A training step of a small network is hundreds of short launches, and Python needs longer to ask for
one than the GPU to carry it out. A graph asks once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from .device import Array, Device, recording

R = TypeVar("R")


def captured(compute: Callable[..., R], device: Device) -> Callable[..., R]:
    """A function that does on the GPU what compute(*arrays) does; on the CPU, compute itself.

        step = captured(lambda x, y: gradients(loss_of(x, y), parameters), device)
        for x, y in batches:
            optimizer.step(step(device.put(x), device.put(y)))

    The first call with arrays of these shapes runs compute, the second records it, and those after
    it replay the recording: each copies its arguments to where they were at the recording, and
    writes its result over the one before.

    Everything else stays as it was at the recording: numbers that Python passed, such as a learning
    rate, and draws of NumPy's generators; `Device.generator` on the GPU draws new ones. So an
    optimiser's step, whose learning rate changes, stays outside. Parameters are read where they
    are: change them in place.

    compute must not wait for the GPU: no `loss.item()` inside. CuPy raises an error if it does.
    """

    def once(*arrays: Array) -> Iterator[R]:
        yield compute(*arrays)

    turns = captured_turns(once, device)

    def call(*arrays: Array) -> R:
        (result,) = turns(*arrays)
        return result

    return compute if device.name == "cpu" else call


def captured_turns(
    compute: Callable[..., Iterator[R]], device: Device
) -> Callable[..., Iterator[R]]:
    """`captured` for a generator function: what it launches up to each `yield` is one graph. What
    must not be recorded is done by the caller in between.

        def turns(x, y):
            prediction = net(x)
            yield other_optimizer, gradients(judgement(prediction.data, y), other.parameters())
            yield optimizer, gradients(judgement(prediction, y), net.parameters())  # of the new one

        step = captured_turns(turns, device)
        for x, y in batches:
            for its, grads in step(x, y):
                its.step(grads)

    What it launches after its last yield is not replayed.
    """
    if device.name == "cpu":
        return compute
    recordings: dict[Any, _Recording[R]] = {}

    def call(*arrays: Array) -> Iterator[R]:
        kinds = tuple((a.shape, a.dtype) for a in arrays)
        if kinds not in recordings:
            recordings[kinds] = _Recording(compute, device)
        return recordings[kinds].call(arrays)

    return call


class _Recording(Generic[R]):
    """The graphs of a generator function for arguments of certain shapes, and what it yields.

    They hold addresses in a memory pool of their own, which lives as long as they do.
    """

    def __init__(self, compute: Callable[..., Iterator[R]], device: Device) -> None:
        self.compute, self.device, self.cuda = compute, device, device.xp.cuda
        self.pool, self.stream = self.cuda.MemoryPool(), self.cuda.Stream(non_blocking=True)
        self.arguments: list[Array] = []
        self.turns: list[tuple[Any, R]] = []
        self.tried = False

    def call(self, arrays: tuple[Array, ...]) -> Iterator[R]:
        if not self.tried:
            self.arguments = [array.copy() for array in arrays]
            yield from self._try()
            self.tried = True
            return
        for place, array in zip(self.arguments, arrays, strict=True):
            place[...] = array
        if not self.turns:
            yield from self._record()
            return
        for graph, result in self.turns:
            graph.launch(self.cuda.get_current_stream())
            yield result

    def _try(self) -> Iterator[R]:
        """Run, but with the kernels and the pool of a recording: kernels are loaded, and memory is
        taken, which a recording cannot do as well."""
        work = self.compute(*self.arguments)
        while True:
            self.device.synchronize()  # the other stream waits for nobody
            with self.cuda.using_allocator(self.pool.malloc), self.stream, recording():
                try:
                    result = next(work)
                except StopIteration:
                    return
                finally:
                    self.stream.synchronize()
            yield result

    def _record(self) -> Iterator[R]:
        """Record, and run what was recorded."""
        work, turns = self.compute(*self.arguments), []
        while True:
            with self.cuda.using_allocator(self.pool.malloc), self.stream, recording():
                self.stream.begin_capture()
                try:
                    result = next(work)
                except StopIteration:
                    break
                finally:
                    graph = self.stream.end_capture()
            turns.append((graph, result))
            graph.launch(self.cuda.get_current_stream())
            yield result
        self.turns = turns
