"""The trainer of a context encoder: in each step the discriminator learns, then the generator."""

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
from .inpainter import Inpainter, load
from .networks import Architecture
from .settings import REPORT, Progress, Settings

__all__ = ["REPORT", "Losses", "Settings", "Trainer", "Turn"]

SYNC_EVERY = 20  # steps between reading the losses, which waits for the device


class Losses(NamedTuple):
    """The losses of one step, and the shares of real pictures and of predictions that the
    discriminator classified correctly.

    The numbers are on the device. The discriminator's are None in steps without an adversary.
    """

    d_loss: Any = None
    reconstruction: Any = None
    adversarial: Any = None
    d_real: Any = None
    d_fake: Any = None


class Turn(NamedTuple):
    """One network's part of a step: its optimizer, its gradients, and some of the `Losses`."""

    optimizer: optim.Adam
    grads: list[Array]
    measured: dict[str, Any]


class Trainer:
    """A training by `settings` on photographs for `steps` steps.

    `rng` draws the first weights, then the numbers of dropout, and it seeds another generator for
    the batches. Iterating over `run()` trains; it yields after every step. architecture: instead of
    the one that `settings.net` names.
    """

    def __init__(
        self,
        settings: Settings,
        photographs: Photographs,
        *,
        steps: int,
        rng: np.random.Generator,
        device: Device,
        architecture: Architecture | None = None,
    ) -> None:
        self.settings, self.total, self.done, self.device = settings, steps, 0, device
        self.inpainter, self.discriminator = Inpainter.new(
            architecture or settings.net,
            settings.mask,
            overlap=settings.overlap,
            overlap_weight=settings.overlap_weight,
            rng=rng,
            width=settings.width,
        )
        self.generator: nn.Module = self.inpainter.generator.to(device)
        self.discriminator.to(device)
        self.frozen = self._encoder() if settings.freeze_encoder else nn.Sequential()
        frozen = {id(parameter) for parameter in self.frozen.parameters()}
        self.learning = [p for p in self.generator.parameters() if id(p) not in frozen]
        self.g_optimizer = optim.Adam(self.learning, lr=0, beta1=settings.beta1)
        self.d_optimizer = optim.Adam(
            self.discriminator.parameters(), lr=settings.discriminator_rate, beta1=0.5
        )
        self.rng = rng  # from now on dropout's alone
        numbers = np.random.default_rng(int(rng.integers(2**62)))
        self.batches = Batches(photographs, self.inpainter.holes, settings.batch, numbers, device)
        self._prepare_dropout()
        self._pending_losses: list[Losses] = []  # on the device
        self._synced_losses: list[Losses] = []  # on the CPU, since the last `mean_losses`

    phase = ""  # the training has a single one

    def run(self) -> Iterator[int]:
        """Train to the end; yield the number of steps done after each.

        Raises TrainingError if a loss is not finite.
        """
        while self.done < self.total:
            self.g_optimizer.lr = self.settings.generator_rate * self.rate_share()
            self.frozen.train(False)  # the statistics of its batch norms do not change, either
            measured = self.take_step(self.batches.next(), self.adversarial_share())
            self._pending_losses.append(measured)
            self.done += 1
            if self.done % SYNC_EVERY == 0:
                self.sync_losses()
            yield self.done
        self.sync_losses()

    def _encoder(self) -> nn.Module:
        encoder: nn.Module | None = getattr(self.generator, "encoder", None)
        if encoder is None:
            raise TrainingError(f"net {self.settings.net!r} has no encoder that could be frozen")
        return encoder

    def _prepare_dropout(self) -> None:
        """Let dropout draw on the device, from the state of `rng`, and forget recorded steps.

        Recorded steps, one for each share of the adversarial loss, draw from the old generators.
        """
        self._turns: dict[float, Callable[..., Iterator[Turn]]] = {}
        for layer in self.generator.modules():
            if isinstance(layer, nn.Dropout):
                layer.rng = random.follow(self.rng, self.device)

    def rate_share(self) -> float:
        """Return the factor of the generator's learning rate in this step: 1, then down to 0."""
        return min(1.0, (self.total - self.done) / max(1.0, self.settings.decay_share * self.total))

    def adversarial_share(self) -> float:
        """Return the share of the adversarial loss in this step."""
        with_adversary = self.done >= self.settings.warmup_share * self.total
        return self.settings.adversarial if with_adversary else 0.0

    def take_step(self, batch: Batch, share: float) -> Losses:
        """Train both networks for one step, with this share of the adversarial loss.

        On a GPU each network's turn is recorded once, as a CUDA graph.
        """
        if share not in self._turns:
            self._turns[share] = captured_turns(partial(self.turns, share), self.device)
        measured: dict[str, Array] = {}
        for turn in self._turns[share](batch.context, batch.target, batch.weight):
            turn.optimizer.step(turn.grads)
            measured |= {name: value.copy() for name, value in turn.measured.items()}
        return Losses(**measured)

    def turns(self, share: float, *arrays: Array) -> Iterator[Turn]:
        """Yield the turns of one step: the discriminator's, then the generator's.

        arrays: those of the batch. Without an adversarial loss the generator has the only turn.

        Both turns use one prediction. The discriminator takes it as a plain array, so that no
        gradient reaches the generator; the second turn asks only for the generator's gradients.
        """
        batch = Batch(*arrays)
        prediction = self.generator(batch.context)
        loss = reconstruction = losses.reconstruction(prediction, batch.target, batch.weight)
        measured = {"reconstruction": reconstruction.data}
        if share:
            image = self._judged_image(prediction, batch)
            yield self.discriminator_turn(batch, image.data)
            adversarial = losses.adversarial(self.logits(image, batch))
            loss = losses.joint(reconstruction, adversarial, share)
            measured["adversarial"] = adversarial.data
        yield Turn(self.g_optimizer, gradients(loss, self.learning), measured)

    def discriminator_turn(self, batch: Batch, image: Array) -> Turn:
        """Train the discriminator: real is 1, predicted is 0."""
        real, fake = self.logits(batch.target, batch), self.logits(image, batch)
        loss = losses.discriminator(real, fake)
        correct = {"d_real": (real.data > 0).mean(), "d_fake": (fake.data < 0).mean()}
        grads = gradients(loss, self.discriminator.parameters())
        return Turn(self.d_optimizer, grads, {"d_loss": loss.data, **correct})

    def logits(self, image: Tensor | Array, batch: Batch) -> Tensor:
        """Return the discriminator's logits (N, ...) for a target or a prediction of the batch."""
        return self.discriminator(image)

    def _judged_image(self, prediction: Tensor, batch: Batch) -> Tensor:
        """Return the discriminator's input: the predicted square, or the full image with only the
        hole predicted."""
        if not self.inpainter.holes.full_image:
            return prediction
        predicted = (batch.weight > 0).astype(batch.weight.dtype)
        return ops.add(prediction * predicted, batch.target * (1 - predicted))

    # --- losses of the steps ----------------------------------------------------------------------

    def sync_losses(self) -> None:
        """Read the pending losses from the device. Raises TrainingError if one is not finite."""
        for measured in self._pending_losses:
            numbers = Losses(*(math.nan if value is None else float(value) for value in measured))
            if any(
                value is not None and not math.isfinite(number)
                for value, number in zip(measured, numbers, strict=True)
            ):
                raise TrainingError(
                    f"a loss is no longer a number, near step {self.done} of {self.total}: "
                    "lower the learning rate (the last checkpoint is from before)"
                )
            self._synced_losses.append(numbers)
        self._pending_losses = []

    def mean_losses(self) -> Losses:
        """Return the mean of each loss over the steps since the last call that had it."""
        self.sync_losses()
        columns = np.array(self._synced_losses).reshape(-1, len(Losses._fields)).T
        self._synced_losses = []
        measured = (numbers[~np.isnan(numbers)] for numbers in columns)
        return Losses(*(float(m.mean()) if m.size else math.nan for m in measured))

    # --- checkpoints ------------------------------------------------------------------------------

    def load_networks(self, path: str | Path) -> None:
        """Load the weights of a model's file: the generator's, and the discriminator's if any.

        Raises CheckpointError if they are of another kind.
        """
        groups, about = load(path)
        try:
            for name, value in self.inpainter.about().items():
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
        """Return (groups, about) for a checkpoint, from which `load_state` resumes exactly."""
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
        self._prepare_dropout()  # as it will be after load_state
        return groups, {**self.inpainter.about(), "progress": progress}

    def load_state(self, groups: dict[str, dict[str, np.ndarray]], about: dict[str, Any]) -> None:
        """Resume from a checkpoint. Raises CheckpointError for one of another trainer."""
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
            self._prepare_dropout()
            self.batches.resume_at(progress.batches)
        except (ValueError, TypeError, OverflowError) as error:
            raise checkpoint.CheckpointError(f"not a checkpoint of this run: {error}") from error
