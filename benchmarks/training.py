"""Whole training steps, optimiser included, and generators in use, beside PyTorch's best mode.

python -m benchmarks.training [--threads N] [--only NAME ...] [--quick] [--memory] ...

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
from minidl.device import CPU
from models.context_encoder import networks
from models.context_encoder.data import Batch, Photographs, with_holes
from models.context_encoder.masks import Holes
from models.context_encoder.training import REPORT, Settings, Trainer
from models.ssda.network import SSDA, DenoisingAutoencoder, Penalty

from . import harness, memory, options

if TYPE_CHECKING:
    from .torch_models import Mode

Step = Callable[[], Any]
SPARSE = Penalty(beta=1e-2)
RATE = 1e-3  # of the auto-encoders


@dataclass(frozen=True)
class Work:
    """One piece of work: `ours()` and `theirs(mode)` each make it anew, as a function that does it
    and returns what it found. Both draw their weights and data from the same seed."""

    ours: Callable[[], Step]
    theirs: Callable[[Mode], Step]
    pictures: bool = True  # whether PyTorch has an order of channels to choose


def _patches(batch: int, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.random.default_rng(1).random((2, batch, pixels), dtype=np.float32)
    return x, y


def _learning(loss_of: Callable[[], Tensor], parameters: list[Tensor]) -> Step:
    adam = optim.Adam(parameters, rate=RATE)

    def step() -> tuple[Any]:
        loss = loss_of()
        adam.step(gradients(loss, parameters))
        return (loss.data,)

    return step


def pre_training(*, pixels: int = 256, hidden: int = 1280, batch: int = 500) -> Work:
    """One auto-encoder with sparsity, eq. 6."""
    x, y = _patches(batch, pixels)

    def network() -> DenoisingAutoencoder:
        return DenoisingAutoencoder(pixels, hidden, rng=np.random.default_rng(0))

    def ours() -> Step:
        autoencoder = network()
        return _learning(lambda: autoencoder.loss(x, y, SPARSE), autoencoder.parameters())

    def theirs(mode: Mode) -> Step:
        from . import torch_steps

        return torch_steps.pre_training(mode, network(), x, y, SPARSE, RATE)

    return Work(ours, theirs, pictures=False)


def fine_tuning(*, pixels: int = 256, hidden: int = 1280, batch: int = 500) -> Work:
    """Two auto-encoders as one network, eq. 7."""
    x, y = _patches(batch, pixels)

    def network() -> SSDA:
        return SSDA(pixels, (hidden, hidden), rng=np.random.default_rng(0))

    def ours() -> Step:
        ssda = network()
        return _learning(lambda: ssda.loss(x, y, Penalty()), ssda.parameters())

    def theirs(mode: Mode) -> Step:
        from . import torch_steps

        return torch_steps.fine_tuning(mode, network(), x, y, RATE)

    return Work(ours, theirs, pictures=False)


class _NoPhotographs(Photographs):
    """For a trainer that is handed its batches."""

    def __init__(self) -> None:
        self.paths, self.side, self.pixels = [], 0, None


def _batch(settings: Settings) -> Batch:
    rng, net = np.random.default_rng(1), networks.named(settings.net)
    holes = Holes(settings.mask, net.size, net.hole, settings.overlap)
    pixels = rng.integers(0, 256, (settings.batch, net.size, net.size, 3), dtype=np.uint8)
    return with_holes(pixels, *holes.draw(settings.batch, rng), holes)


def both_players(settings: Settings) -> Work:
    """The discriminator's and the generator's turn."""
    settings = replace(settings, beta1=0.5)  # for both
    rates = settings.generator_rate, settings.discriminator_rate

    def ours() -> Step:
        rng = np.random.default_rng(0)
        trainer = Trainer(settings, _NoPhotographs(), steps=1, rng=rng, device=CPU)
        trainer.g_optimizer.rate, trainer.d_optimizer.rate = rates
        batch = _batch(settings)
        return lambda: trainer.take_step(batch, settings.adversarial)[:3]

    def theirs(mode: Mode) -> Step:
        from . import torch_steps

        return torch_steps.both_players(
            mode, _pair(settings), _batch(settings), rates=rates, share=settings.adversarial
        )

    return Work(ours, theirs)


def _pair(settings: Settings) -> tuple[nn.Sequential, nn.Sequential]:
    return networks.build(settings.net, rng=np.random.default_rng(0), width=settings.width)


def in_use(settings: Settings) -> Work:
    """A generator at inference."""

    def ours() -> Step:
        generator, context = _pair(settings)[0].train(False), _batch(settings).context

        def step() -> tuple[Any]:
            with no_grad():
                return (generator(context).data,)

        return step

    def theirs(mode: Mode) -> Step:
        from . import torch_steps

        return torch_steps.in_use(mode, _pair(settings)[0], _batch(settings).context)

    return Work(ours, theirs)


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
    """{who: peak memory in MiB}: ours, and PyTorch in its modes without a compiler."""
    found = {"ours": memory.peak("benchmarks.training:alone", "ours", name, "", str(threads))}
    if torch:
        from .torch_models import MODES

        for mode in MODES:
            if not mode.compiled:
                found[mode.name] = memory.peak(
                    "benchmarks.training:alone", "torch", name, mode.name, str(threads)
                )
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Time the rows, or measure their memory."""
    parser = options.parser(__doc__)
    parser.add_argument(
        "--memory", action="store_true", help="peak memory over the imports, instead of time"
    )
    chosen = options.begin(parser, arguments)
    names = options.selected(ROWS, chosen.only)

    def results() -> Iterator[harness.Result]:
        for name in names:
            group, work = ROWS[name]
            yield timed(
                name, group, work(),
                threads=chosen.threads, torch=chosen.torch,
                compiled=not chosen.quick, rounds=chosen.rounds,
            )  # fmt: skip

    if not chosen.memory:
        harness.report(results(), chosen.json, chosen.chart)
        return
    for name in names:
        found = peaks(name, threads=chosen.threads, torch=chosen.torch)
        print(f"{name:36}" + "  ".join(f"{who} {mib:.0f} MiB" for who, mib in found.items()))


if __name__ == "__main__":
    main()
