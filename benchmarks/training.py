"""Whole training steps, optimiser included, and generators in use, beside PyTorch's best mode.

python -m benchmarks.training [--threads N | --device gpu] [--only NAME ...] [--quick] ...

Ours are the library's own losses and `take_step`. The counterparts begin with the same weights and
see the same batch; tests/test_benchmarks.py sees that both compute the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl import Tensor, gradients, nn, no_grad, optim
from minidl.device import CPU, Device
from minidl.models.context_encoder import networks
from minidl.models.context_encoder.data import Batch, Photographs, with_holes
from minidl.models.context_encoder.masks import Holes
from minidl.models.context_encoder.trainer import REPORT, Settings, Trainer
from minidl.models.ssda.network import SSDA, DenoisingAutoencoder, Penalty

from . import gpu, harness, memory, options

if TYPE_CHECKING:
    from .torch_models import Mode

Step = Callable[[], Any]
Record = Callable[[Step, Device], Step]
SPARSE = Penalty(beta=1e-2)
RATE = 1e-3  # of the auto-encoders


@dataclass(frozen=True)
class Work:
    """One piece of work: `ours()` and `theirs(mode)` each make it anew, as a function that does it
    and returns what it found. Both draw their weights and data from the same seed.

    ours takes the device, and what may wrap a part of the step: `minidl.cuda_graph.captured` or
    nothing.
    """

    ours: Callable[..., Step]
    theirs: Callable[[Mode], Step]
    pictures: bool = True  # whether PyTorch has an order of channels to choose
    batch: int = 0  # samples


def _patches(batch: int, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.random.default_rng(1).random((2, batch, pixels), dtype=np.float32)
    return x, y


def plain(compute: Step, place: Device) -> Step:
    """Stand in for `captured` without recording."""
    return compute


def _learning(
    loss_of: Callable[[], Tensor], parameters: list[Tensor], record: Record, place: Device
) -> Step:
    adam = optim.Adam(parameters, lr=RATE)

    def compute() -> tuple[Any, list[Any]]:
        loss = loss_of()
        return loss.data, gradients(loss, parameters)

    recorded = record(compute, place)

    def step() -> tuple[Any]:
        loss, grads = recorded()
        adam.step(grads)
        return (loss,)

    return step


def pre_training(*, pixels: int = 256, hidden: int = 1280, batch: int = 500) -> Work:
    """One auto-encoder with sparsity, eq. 6."""
    x, y = _patches(batch, pixels)

    def network() -> DenoisingAutoencoder:
        return DenoisingAutoencoder(pixels, hidden, rng=np.random.default_rng(0))

    def ours(place: Device = CPU, record: Record = plain) -> Step:
        autoencoder, a, b = network().to(place), place.put(x), place.put(y)
        parameters = autoencoder.parameters()
        return _learning(lambda: autoencoder.loss(a, b, SPARSE), parameters, record, place)

    def theirs(mode: Mode) -> Step:
        from . import torch_steps

        return torch_steps.pre_training(mode, network(), x, y, SPARSE, RATE)

    return Work(ours, theirs, pictures=False, batch=batch)


def fine_tuning(*, pixels: int = 256, hidden: int = 1280, batch: int = 500) -> Work:
    """Two auto-encoders as one network, eq. 7."""
    x, y = _patches(batch, pixels)

    def network() -> SSDA:
        return SSDA(pixels, (hidden, hidden), rng=np.random.default_rng(0))

    def ours(place: Device = CPU, record: Record = plain) -> Step:
        ssda, a, b = network().to(place), place.put(x), place.put(y)
        return _learning(lambda: ssda.loss(a, b, Penalty()), ssda.parameters(), record, place)

    def theirs(mode: Mode) -> Step:
        from . import torch_steps

        return torch_steps.fine_tuning(mode, network(), x, y, RATE)

    return Work(ours, theirs, pictures=False, batch=batch)


class _NoPhotographs(Photographs):
    """Stand in for the photographs of a trainer that is handed its batches."""

    def __init__(self) -> None:
        self.paths, self.side, self.pixels = [], 0, None


def _batch(settings: Settings) -> Batch:
    rng, net = np.random.default_rng(1), networks.named(settings.net)
    holes = Holes(settings.mask, net.size, net.hole, settings.overlap, bridged=net.bridged)
    pixels = rng.integers(0, 256, (settings.batch, net.size, net.size, 3), dtype=np.uint8)
    return with_holes(pixels, *holes.draw(settings.batch, rng), holes)


def both_players(settings: Settings) -> Work:
    """The discriminator's and the generator's turn."""
    settings = replace(settings, beta1=0.5)  # for both
    rates = settings.generator_rate, settings.discriminator_rate

    def ours(place: Device = CPU) -> Step:
        rng = np.random.default_rng(0)
        trainer = Trainer(settings, _NoPhotographs(), steps=1, rng=rng, device=place)
        trainer.g_optimizer.lr, trainer.d_optimizer.lr = rates
        batch = _batch(settings).on(place)
        return lambda: trainer.take_step(batch, settings.adversarial)[:3]  # recorded, on a GPU

    def theirs(mode: Mode) -> Step:
        from . import torch_steps

        return torch_steps.both_players(
            mode, _pair(settings), _batch(settings), rates=rates, share=settings.adversarial
        )

    return Work(ours, theirs, batch=settings.batch)


def _pair(settings: Settings) -> tuple[nn.Module, nn.Module]:
    return networks.build(settings.net, rng=np.random.default_rng(0), width=settings.width)


def in_use(settings: Settings) -> Work:
    """A generator at inference."""

    def ours(place: Device = CPU, record: Record = plain) -> Step:
        generator = _pair(settings)[0].train(False).to(place).freeze_weights()
        context = place.put(_batch(settings).context)

        def step() -> tuple[Any]:
            with no_grad():
                return (generator(context).data,)

        return record(step, place)

    def theirs(mode: Mode) -> Step:
        from . import torch_steps

        return torch_steps.in_use(mode, _pair(settings)[0], _batch(settings).context)

    return Work(ours, theirs, batch=settings.batch)


def _report(batch: int) -> Settings:
    return Settings(**{**REPORT.as_dict(), "batch": batch})


# name: its group, and what makes the work
ROWS: dict[str, tuple[str, Callable[[], Work]]] = {
    "da pre-training, 500": ("paper 1, training", pre_training),
    "ssda fine-tuning, 500": ("paper 1, training", fine_tuning),
    "report 256 px, 8": ("paper 2, training", partial(both_players, _report(8))),
    "authors 128 px, 16": ("paper 2, training", partial(both_players, Settings(net="authors"))),
    "compact 128 px, 16": ("paper 2, training", partial(both_players, Settings())),
    "report in use, 8": ("paper 2, in use", partial(in_use, _report(8))),
    "report in use, 1": ("paper 2, in use", partial(in_use, _report(1))),
}

# batches that a GPU has more to do with
LARGE: dict[str, tuple[str, Callable[[], Work]]] = {
    "ssda fine-tuning, 8192": ("paper 1, training", partial(fine_tuning, batch=8192)),
    "report 256 px, 64": ("paper 2, training", partial(both_players, _report(64))),
    "compact 128 px, 64": ("paper 2, training", partial(both_players, Settings(batch=64))),
}


def timed(
    name: str, group: str, work: Work, *, threads: int, torch: bool, compiled: bool, rounds: int
) -> harness.Result:
    """The work beside its counterpart in every mode, or alone."""
    references: dict[str, harness.Call] = {}
    if torch:
        from . import torch_models

        references |= torch_models.modes(work.theirs, pictures=work.pictures, compiled=compiled)
    return harness.compare(
        name, work.ours(), references, threads=threads, group=group, rounds=rounds
    )


def alone(who: str, name: str, mode: str, threads: str) -> None:
    """A few steps, for `memory`: of ours, or of PyTorch in a mode."""
    options.use_threads(int(threads), torch=who == "torch")
    work = ROWS[name][1]()
    if who == "torch":
        from .torch_models import MODES

        step = work.theirs(next(m for m in MODES if m.name == mode))
    else:
        step = work.ours()
    for _ in range(3):
        step()


def peaks(name: str, *, threads: int, torch: bool) -> dict[str, float]:
    """Peak memory of ours, and of PyTorch in its modes without a compiler."""
    modes: list[str] = []
    if torch:
        from .torch_models import MODES

        modes = [mode.name for mode in MODES if not mode.compiled]
    return memory.peaks("benchmarks.training:alone", name, threads=threads, modes=modes)


def main(arguments: Sequence[str] | None = None) -> None:
    """Time the rows, and measure their memory if that is asked for."""
    parser = options.parser(__doc__, on_gpu=True)
    parser.add_argument(
        "--memory", action="store_true", help="also measure the peak memory over the imports"
    )
    chosen = options.begin(parser, arguments)
    on_gpu = chosen.place is not CPU
    if on_gpu and chosen.memory:
        parser.error("--memory: measures the CPU's; drop it or --device gpu")
    table = ROWS | LARGE if on_gpu else ROWS
    names = options.selected(table, chosen.only)
    if on_gpu:
        limits = gpu.peaks(chosen.place, chosen.clock)
        print("the peak: " + ", ".join(f"{rate:.0f} {unit}" for unit, rate in limits.items()))

    def results() -> Iterator[harness.Result]:
        for name in names:
            group, work = table[name]
            if on_gpu:
                yield from gpu.timed(
                    name, group, work(), place=chosen.place, clock=chosen.clock,
                    torch=chosen.torch, compiled=not chosen.quick, rounds=chosen.rounds,
                )  # fmt: skip
                continue
            result = timed(
                name, group, work(),
                threads=chosen.threads, torch=chosen.torch,
                compiled=not chosen.quick, rounds=chosen.rounds,
            )  # fmt: skip
            if chosen.memory:
                found = peaks(name, threads=chosen.threads, torch=chosen.torch)
                result = replace(result, figures=found)
            yield result

    harness.report(results(), chosen.json, chosen.chart)


if __name__ == "__main__":
    main()
