"""CUDA graphs: what a function launches on the GPU, recorded once and then sent as a whole.

A training step of a small network is hundreds of short launches, and Python needs longer to ask for
one than the GPU to carry it out. A graph asks once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .device import Device, recording

R = TypeVar("R")


def captured(compute: Callable[[], R], device: Device) -> Callable[[], R]:
    """A function that does on the GPU what compute() does there; on the CPU, compute itself.

        x, target = device.put(first), device.put(its_target)  # these two stay where they are
        step = captured(lambda: gradients(loss_of(x, target), parameters), device)
        for batch, wanted in batches:
            x[...], target[...] = device.put(batch), device.put(wanted)
            optimizer.step(step())

    Each call reads the arrays that compute read, wherever they are, and writes the same result
    anew. All else is as it was at the recording: numbers that Python handed over, such as a rate,
    and draws of NumPy's; `Device.generator` on the GPU draws anew. Therefore an optimiser's step,
    whose rate changes, stays outside. compute runs once before it is recorded, with all effects.

    It must not wait for the GPU: no `loss.item()` inside. CuPy raises an error if it does.
    """
    if device.name == "cpu":
        return compute
    cuda = device.xp.cuda
    device.synchronize()  # a new stream waits for nobody
    stream, pool = cuda.Stream(non_blocking=True), cuda.MemoryPool()
    with cuda.using_allocator(pool.malloc), stream, recording():
        compute()  # loads the same kernels, and leaves in the pool the memory that they take
        stream.synchronize()
        stream.begin_capture()
        try:
            result = compute()
        finally:
            graph = stream.end_capture()

    def replay(_memory: object = pool) -> R:  # the graph's addresses are ours while it lives
        graph.launch(cuda.get_current_stream())
        return result

    return replay
