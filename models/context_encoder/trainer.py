"""Training a context encoder: the discriminator and the generator take turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidl import checkpoint, gradients, nn, ops, optim, random, schema
from minidl.cuda_graph import captured_turns
from minidl.device import Array, Device
from minidl.models.training.run_folder import TrainingError
from minidl.tensor import Tensor

from . import losses
from .data import Batch, Batches, Photographs
from .inpainter import Filler, load
from .settings import REPORT, Progress, Settings

__all__ = ["REPORT", "Losses", "Settings", "Trainer", "Turn"]

CHECK_EVERY = 20  # steps between looks at the losses, each of which waits for the device


class Losses(NamedTuple):
    """The losses of one step, and the shares of real pictures and of predictions that the
    discriminator recognised. The numbers are on the device. The discriminator's are None where the
    generator learns alone.
    """

    d_loss: Any = None
    reconstruction: Any = None
    adversarial: Any = None
    d_real: Any = None
    d_fake: Any = None


class Turn(NamedTuple):
    """A player's part of a step: what its optimizer is to be given, and `Losses` by name."""

    optimizer: optim.Adam
    grads: list[Array]
    measured: dict[str, Any]


class Trainer:
    """Trains by `settings` on photographs for `steps` steps.

    All chance comes from `rng`, at the beginning, and from two generators that it seeds: one for
    the batches, one for dropout. Iterating over `run()` trains; it yields after every step.
    """

    def __init__(
        self,
        settings: Settings,
        photographs: Photographs,
        *,
        steps: int,
        rng: np.random.Generator,
        device: Device,
    ) -> None:
        self.settings, self.total, self.done, self.device = settings, steps, 0, device
        self.filler, self.discriminator = Filler.new(
            settings.net,
            settings.mask,
            overlap=settings.overlap,
            rim=settings.rim,
            rng=rng,
            width=settings.width,
        )
        self.generator: nn.Module = self.filler.generator.to(device)
        self.discriminator.to(device)
        self.frozen = self._encoder() if settings.freeze_encoder else nn.Sequential()
        frozen = {id(parameter) for parameter in self.frozen.parameters()}
        self.learning = [p for p in self.generator.parameters() if id(p) not in frozen]
        self.g_optimizer = optim.Adam(self.learning, lr=0, beta1=settings.beta1)
        self.d_optimizer = optim.Adam(
            self.discriminator.parameters(), lr=settings.discriminator_rate, beta1=0.5
        )
        self.rng = rng  # from here on that of dropout, which was given it
        numbers = np.random.default_rng(int(rng.integers(2**62)))
        self.batches = Batches(photographs, self.filler.holes, settings.batch, numbers, device)
        self._drop_on_device()
        self._unseen: list[Losses] = []  # since the last look
        self._seen: list[Losses] = []  # since `mean_losses` was asked for, on the CPU

    phase = ""  # the training has one part

    def run(self) -> Iterator[int]:
        """Train to the end; yields the number of steps done after each.

        Raises TrainingError as soon as a loss is seen not to be a number.
        """
        while self.done < self.total:
            self.g_optimizer.lr = self.settings.generator_rate * self.rate_share()
            self.frozen.train(False)  # so that the statistics of its batch norms stay, too
            self._unseen.append(self.take_step(self.batches.next(), self.adversarial_share()))
            self.done += 1
            if self.done % CHECK_EVERY == 0:
                self.look()
            yield self.done
        self.look()

    def _encoder(self) -> nn.Module:
        encoder: nn.Module | None = getattr(self.generator, "encoder", None)
        if encoder is None:
            raise TrainingError(f"net {self.settings.net!r} has no encoder that could be frozen")
        return encoder

    def _drop_on_device(self) -> None:
        """Dropout draws where the network is, from here on as the state of `rng` says: what is
        recorded, by the share of the adversarial loss, draws from elsewhere and is forgotten."""
        self._turns: dict[float, Callable[..., Iterator[Turn]]] = {}
        for layer in self.generator.modules():
            if isinstance(layer, nn.Dropout):
                layer.rng = random.follow(self.rng, self.device)

    def rate_share(self) -> float:
        """The part of the generator's rate that this step takes: all, then falling to 0."""
        return min(1.0, (self.total - self.done) / max(1.0, self.settings.falling * self.total))

    def adversarial_share(self) -> float:
        """The share of the adversarial loss in this step."""
        with_adversary = self.done >= self.settings.alone * self.total
        return self.settings.adversarial if with_adversary else 0.0

    def take_step(self, batch: Batch, share: float) -> Losses:
        """One step: the turn of each player, with this share of the adversarial loss. On a GPU the
        turns are recorded once, as graphs."""
        if share not in self._turns:
            self._turns[share] = captured_turns(partial(self.turns, share), self.device)
        measured: dict[str, Array] = {}
        for turn in self._turns[share](batch.context, batch.target, batch.weight):
            turn.optimizer.step(turn.grads)
            measured |= {name: value.copy() for name, value in turn.measured.items()}
        return Losses(**measured)

    def turns(self, share: float, *arrays: Array) -> Iterator[Turn]:
        """Return the two turns of a step for a batch, given as its arrays.

        The discriminator learns first, then the generator against it. Without an adversarial loss
        the generator learns alone.

        The prediction serves both. The discriminator takes it as a plain array, so that no gradient
        reaches the generator; the second turn asks only for the generator's.
        """
        batch = Batch(*arrays)
        prediction = self.generator(batch.context)
        loss = reconstruction = losses.reconstruction(prediction, batch.target, batch.weight)
        measured = {"reconstruction": reconstruction.data}
        if share:
            shown = self._shown(prediction, batch)
            yield self.discriminators_turn(batch, shown.data)
            adversarial = losses.adversarial(self.judged(shown, batch))
            loss = losses.joint(reconstruction, adversarial, share)
            measured["adversarial"] = adversarial.data
        yield Turn(self.g_optimizer, gradients(loss, self.learning), measured)

    def discriminators_turn(self, batch: Batch, shown: Array) -> Turn:
        """Train the discriminator: real is 1, predicted is 0."""
        real, fake = self.judged(batch.target, batch), self.judged(shown, batch)
        loss = losses.discriminator(real, fake)
        right = {"d_real": (real.data > 0).mean(), "d_fake": (fake.data < 0).mean()}
        grads = gradients(loss, self.discriminator.parameters())
        return Turn(self.d_optimizer, grads, {"d_loss": loss.data, **right})

    def judged(self, shown: Tensor | Array, batch: Batch) -> Tensor:
        """The discriminator's logits (N, ...) for a target or a prediction of this batch."""
        return self.discriminator(shown)

    def _shown(self, prediction: Tensor, batch: Batch) -> Tensor:
        """Return the discriminator's input: a predicted square, or the picture with its hole
        filled.
        """
        if not self.filler.holes.whole:
            return prediction
        given = (batch.weight > 0).astype(batch.weight.dtype)
        return ops.add(prediction * given, batch.target * (1 - given))

    # --- losses on the way ------------------------------------------------------------------------

    def look(self) -> None:
        """Bring the losses since the last look to the CPU. Raises TrainingError if not finite."""
        for measured in self._unseen:
            numbers = Losses(*(math.nan if value is None else float(value) for value in measured))
            if any(
                value is not None and not math.isfinite(number)
                for value, number in zip(measured, numbers, strict=True)
            ):
                raise TrainingError(
                    f"a loss is no longer a number, near step {self.done} of {self.total}: "
                    "lower the learning rate (the last checkpoint is from before)"
                )
            self._seen.append(numbers)
        self._unseen = []

    def mean_losses(self) -> Losses:
        """The means over the steps since this was last asked, of each over those that had it."""
        self.look()
        seen, self._seen = np.array(self._seen).reshape(-1, len(Losses._fields)).T, []
        measured = (numbers[~np.isnan(numbers)] for numbers in seen)
        return Losses(*(float(m.mean()) if m.size else math.nan for m in measured))

    # --- stopping and going on --------------------------------------------------------------------

    def begin_with(self, path: str | Path) -> None:
        """Begin with the networks in a model's file instead of random ones: the generator, and the
        discriminator if it is there. Raises CheckpointError if they are of another kind."""
        groups, about = load(path)
        try:
            for name, value in self.filler.about().items():
                if about[name] != value:
                    raise ValueError(f"its {name} is {about[name]}, expected {value}")
            for name in ("generator", "discriminator"):
                if name in groups:
                    on_device = {k: self.device.put(v) for k, v in groups[name].items()}
                    getattr(self, name).load_state(on_device)
        except (KeyError, ValueError) as error:
            raise checkpoint.CheckpointError(
                f"{path}: not networks to begin this training with ({error})"
            ) from error

    def state(self) -> tuple[dict[str, dict[str, Array]], dict[str, Any]]:
        """(groups, about) for a checkpoint: `load_state` goes on from it as if without a stop."""
        groups = {
            "generator": self.generator.state(),
            "discriminator": self.discriminator.state(),
            "g_optimizer": self.g_optimizer.state(),
            "d_optimizer": self.d_optimizer.state(),
        }
        progress = {
            "step": self.done,
            "steps": self.total,
            "batches": self.batches.state,
            "dropout": random.get_state(self.rng),
        }
        self._drop_on_device()  # as it will be after load_state
        return groups, {**self.filler.about(), "progress": progress}

    def load_state(self, groups: dict[str, dict[str, np.ndarray]], about: dict[str, Any]) -> None:
        """Go on from a checkpoint. Raises CheckpointError if it is not one of an equal trainer."""
        try:
            progress = schema.read(Progress, about.get("progress"), "progress")
            if progress.steps != self.total or progress.step > self.total:
                raise ValueError(f"step {progress.step} of {progress.steps}, here of {self.total}")
            for name in ("generator", "discriminator", "g_optimizer", "d_optimizer"):
                kinds = "fi" if name.endswith("optimizer") else "f"
                state = checkpoint.numbers(groups, name, kinds)
                on_device = {k: self.device.put(v) for k, v in state.items()}
                getattr(self, name).load_state(on_device)
            if self.g_optimizer.steps != progress.step or self.d_optimizer.steps > progress.step:
                raise ValueError(f"optimizers at other steps than {progress.step}")
            self.done = progress.step
            random.set_state(self.rng, progress.dropout)
            self._drop_on_device()
            self.batches.go_on(progress.batches)
        except (ValueError, TypeError, OverflowError) as error:
            raise checkpoint.CheckpointError(f"not a checkpoint of this run: {error}") from error
