"""Whole training steps, optimiser included, and generators in use, beside PyTorch's best mode.

python -m benchmarks.training [--threads N | --device gpu] [--only NAME ...] [--quick] ...

Ours are the library's own losses and `take_step`. The counterparts begin with the same weights and
use the same batch; tests/test_benchmarks.py checks that both compute the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
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
from .report import report
from .work import Record, Step, Work, not_recorded, timed

if TYPE_CHECKING:
    from .torch_models import Mode

SPARSE = Penalty(beta=1e-2)
RATE = 1e-3  # of the auto-encoders


def _patches(batch: int, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.random.default_rng(1).random((2, batch, pixels), dtype=np.float32)
    return x, y


def _learning(
    loss_of: Callable[[], Tensor], parameters: list[Tensor], record: Record, device: Device
) -> Step:
    adam = optim.Adam(parameters, lr=RATE)

    def compute() -> tuple[Any, list[Any]]:
        loss = loss_of()
        return loss.data, gradients(loss, parameters)

    recorded = record(compute, device)

    def step() -> tuple[Any]:
        loss, grads = recorded()
        adam.step(grads)
        return (loss,)

    return step


def pre_training(*, pixels: int = 256, hidden: int = 1280, batch: int = 500) -> Work:
    """Return the work of a training step of one auto-encoder with sparsity, eq. 6."""
    x, y = _patches(batch, pixels)

    def network() -> DenoisingAutoencoder:
        return DenoisingAutoencoder(pixels, hidden, rng=np.random.default_rng(0))

    def ours(device: Device = CPU, record: Record = not_recorded) -> Step:
        autoencoder, a, b = network().to(device), device.put(x), device.put(y)
        parameters = autoencoder.parameters()
        return _learning(lambda: autoencoder.loss(a, b, SPARSE), parameters, record, device)

    def theirs(mode: Mode) -> Step:
        from . import torch_steps

        return torch_steps.pre_training(mode, network(), x, y, SPARSE, RATE)

    return Work(ours, theirs, pictures=False, batch=batch)


def fine_tuning(*, pixels: int = 256, hidden: int = 1280, batch: int = 500) -> Work:
    """Return the work of a training step of two auto-encoders as one network, eq. 7."""
    x, y = _patches(batch, pixels)

    def network() -> SSDA:
        return SSDA(pixels, (hidden, hidden), rng=np.random.default_rng(0))

    def ours(device: Device = CPU, record: Record = not_recorded) -> Step:
        ssda, a, b = network().to(device), device.put(x), device.put(y)
        return _learning(lambda: ssda.loss(a, b, Penalty()), ssda.parameters(), record, device)

    def theirs(mode: Mode) -> Step:
        from . import torch_steps

        return torch_steps.fine_tuning(mode, network(), x, y, RATE)

    return Work(ours, theirs, pictures=False, batch=batch)


class _NoPhotographs(Photographs):
    """No photographs, for a trainer that is given its batches."""

    def __init__(self) -> None:
        self.paths, self.side, self.pixels = [], 0, None


def _batch(settings: Settings, net: networks.Architecture) -> Batch:
    rng = np.random.default_rng(1)
    holes = Holes(settings.mask, net.size, net.hole, settings.overlap, prefilled=net.prefilled)
    pixels = rng.integers(0, 256, (settings.batch, net.size, net.size, 3), dtype=np.uint8)
    return with_holes(pixels, *holes.draw(settings.batch, rng), holes)


def both_players(settings: Settings, architecture: networks.Architecture | None = None) -> Work:
    """Return the work of a training step of both the discriminator and the generator."""
    net = architecture or networks.by_name(settings.net)
    settings = replace(settings, beta1=0.5)  # for both
    rates = settings.generator_rate, settings.discriminator_rate

    def ours(device: Device = CPU) -> Step:
        rng = np.random.default_rng(0)
        trainer = Trainer(
            settings, _NoPhotographs(), steps=1, rng=rng, device=device, architecture=net
        )
        trainer.g_optimizer.lr, trainer.d_optimizer.lr = rates
        batch = _batch(settings, net).to(device)
        return lambda: trainer.take_step(batch, settings.adversarial)[:3]  # recorded, on a GPU

    def theirs(mode: Mode) -> Step:
        from . import torch_steps

        return torch_steps.both_players(
            mode,
            _pair(settings, net),
            _batch(settings, net),
            rates=rates,
            share=settings.adversarial,
        )

    return Work(ours, theirs, batch=settings.batch)


def _pair(settings: Settings, net: networks.Architecture) -> tuple[nn.Module, nn.Module]:
    return networks.build(net, rng=np.random.default_rng(0), width=settings.width)


def in_use(settings: Settings) -> Work:
    """Return the work of a generator at inference."""
    net = networks.by_name(settings.net)

    def ours(device: Device = CPU, record: Record = not_recorded) -> Step:
        generator = _pair(settings, net)[0].train(False).to(device).freeze_weights()
        context = device.put(_batch(settings, net).context)

        def step() -> tuple[Any]:
            with no_grad():
                return (generator(context).data,)

        return record(step, device)

    def theirs(mode: Mode) -> Step:
        from . import torch_steps

        return torch_steps.in_use(mode, _pair(settings, net)[0], _batch(settings, net).context)

    return Work(ours, theirs, batch=settings.batch)


def _report(batch: int) -> Settings:
    return Settings(**{**REPORT.as_dict(), "batch": batch})


# name: its group, and a function that returns the work
ROWS: dict[str, tuple[str, Callable[[], Work]]] = {
    "da pre-training, 500": ("paper 1, training", pre_training),
    "ssda fine-tuning, 500": ("paper 1, training", fine_tuning),
    "report 256 px, 8": ("paper 2, training", partial(both_players, _report(8))),
    "authors 128 px, 16": ("paper 2, training", partial(both_players, Settings(net="authors"))),
    "compact 128 px, 16": ("paper 2, training", partial(both_players, Settings())),
    "report in use, 8": ("paper 2, in use", partial(in_use, _report(8))),
    "report in use, 1": ("paper 2, in use", partial(in_use, _report(1))),
}

# rows with larger batches, for a GPU
LARGE: dict[str, tuple[str, Callable[[], Work]]] = {
    "ssda fine-tuning, 8192": ("paper 1, training", partial(fine_tuning, batch=8192)),
    "report 256 px, 64": ("paper 2, training", partial(both_players, _report(64))),
    "compact 128 px, 64": ("paper 2, training", partial(both_players, Settings(batch=64))),
}


def run_few_steps(library: str, name: str, mode: str, threads: str) -> None:
    """Take a few steps, for `memory`, of ours or of PyTorch in a mode."""
    options.use_threads(int(threads), torch=library == "torch")
    work = ROWS[name][1]()
    if library == "torch":
        from .torch_models import MODES

        step = work.theirs(next(m for m in MODES if m.name == mode))
    else:
        step = work.ours()
    for _ in range(3):
        step()


def peaks(name: str, *, threads: int, torch: bool) -> dict[str, float]:
    """Return the peak memory of ours, and of PyTorch in its modes without a compiler."""
    modes: list[str] = []
    if torch:
        from .torch_models import MODES

        modes = [mode.name for mode in MODES if not mode.compiled]
    return memory.peaks("benchmarks.training:run_few_steps", name, threads=threads, modes=modes)


def main(arguments: Sequence[str] | None = None) -> None:
    """Time the rows; with `--memory`, measure their peak memory, too."""
    parser = options.parser(__doc__, on_gpu=True)
    parser.add_argument(
        "--memory", action="store_true", help="also measure the peak memory over the imports"
    )
    chosen = options.begin(parser, arguments)
    on_gpu = chosen.device is not CPU
    if on_gpu and chosen.memory:
        parser.error("--memory: measures the CPU's; drop it or --device gpu")
    table = ROWS | LARGE if on_gpu else ROWS
    names = options.selected(table, chosen.only)
    if on_gpu:
        limits = gpu.peaks(chosen.device, chosen.clock)
        print("the peak: " + ", ".join(f"{rate:.0f} {unit}" for unit, rate in limits.items()))

    def results() -> Iterator[harness.Result]:
        for name in names:
            group, work = table[name]
            if on_gpu:
                yield from gpu.timed(
                    name, group, work(), device=chosen.device, clock=chosen.clock,
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

    report(results(), chosen.json, chosen.chart)


if __name__ == "__main__":
    main()
