"""The trainer of an SSDA: each auto-encoder on the output of the one before, then all together.

A stage is a loss and the parameters that it trains. Stage k < K trains auto-encoder k on h(x) and
h(y), which the auto-encoders before it return, without new noise. The last stage fine-tunes the
whole network. Each step has new patches with new damage, unless a recipe says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from minidl import Tensor, checkpoint, gradients, no_grad, optim, random, schema
from minidl.cuda_graph import captured
from minidl.device import Array, Device
from minidl.models.training.run_folder import TrainingError
from minidl.schema import Range

from .degradation import Draw
from .network import SSDA
from .recipes import Recipe
from .restorer import Restorer

SYNC_EVERY = 100  # steps between reading the loss, which waits for the device


@dataclass(frozen=True)
class Stage:
    """A part of the training: `loss(x, y)` of inputs and targets, and its `parameters`."""

    name: str
    loss: Callable[[Array, Array], Tensor]
    depth: int  # the number of auto-encoders that its patches pass first
    parameters: list[Tensor]
    rate: float
    steps: int


class Trainer:
    """A training of `restorer.network` by `recipe` for `steps` steps in all.

    draw: returns damaged and clean patches (N, P) on `device`. All random numbers come from `rng`.
    Iterating over `run()` trains; it yields after every step, so that a caller can report or stop.
    """

    def __init__(
        self,
        restorer: Restorer,
        recipe: Recipe,
        draw: Draw,
        *,
        steps: int,
        rng: np.random.Generator,
        device: Device,
    ) -> None:
        self.restorer, self.recipe, self.draw, self.rng = restorer, recipe, draw, rng
        self.device, self.steps = device, steps
        self.network: SSDA = restorer.network
        self.stages = list(self._plan())
        self._batch: tuple[Array, Array] | None
        self._begin(0)
        self.loss_sum, self.loss_count = 0.0, 0  # since the last `mean_loss`
        self._pending_loss: Array | float = 0.0  # a sum on the device, not yet in `loss_sum`
        self._pending_steps = 0
        self._batch_rng = random.follow(rng, device)

    def _plan(self) -> Iterator[Stage]:
        recipe, network = self.recipe, self.network
        counts = [max(1, round(self.steps * share)) for share in recipe.shares]
        for k, autoencoder in enumerate(network.autoencoders):
            yield Stage(
                f"auto-encoder {k + 1}",
                lambda x, y, a=autoencoder, p=recipe.pretrain[k]: a.loss(x, y, p),  # type: ignore[misc]
                k,
                autoencoder.parameters(),
                recipe.learning_rates[k],
                counts[k],
            )
        yield Stage(
            "fine-tuning",
            lambda x, y: network.loss(x, y, recipe.finetune),
            0,
            network.parameters(),
            recipe.learning_rates[-1],
            max(1, self.steps - sum(counts[:-1])),
        )

    def _begin(self, stage: int) -> None:
        """Set the trainer to the first step of a stage."""
        self.stage, self.step, self._batch = stage, 0, None
        loss_of, parameters = self.stages[stage].loss, self.stages[stage].parameters
        self.optimizer: optim.Adam | optim.LBFGS = (
            optim.LBFGS(parameters)
            if self.recipe.optimizer == "lbfgs"
            else optim.Adam(parameters, lr=self.stages[stage].rate, beta2=0.99)
        )

        def learn(x: Array, y: Array) -> tuple[Array, list[Array]]:
            loss = loss_of(x, y)
            return loss.data, gradients(loss, parameters)

        self._learn = captured(learn, self.device)  # on a GPU: recorded once

    @property
    def done(self) -> int:
        """The number of steps done, of all stages."""
        return sum(s.steps for s in self.stages[: self.stage]) + self.step

    @property
    def total(self) -> int:
        """The number of steps of all stages."""
        return sum(s.steps for s in self.stages)

    @property
    def phase(self) -> str:
        """The name of the stage under way."""
        return self.stages[self.stage].name

    @property
    def rate(self) -> float:
        """The learning rate of the last step; 0 for L-BFGS, which has none."""
        if self.recipe.optimizer == "lbfgs":
            return 0.0
        return self._rate_of(self.stages[self.stage], max(0, self.step - 1))

    @staticmethod
    def _rate_of(stage: Stage, step: int) -> float:
        warmup = min(200, stage.steps // 10)
        return optim.warmup_cosine(stage.rate, step, stage.steps, warmup=warmup)

    def run(self) -> Iterator[Stage]:
        """Train to the end; yield the stage after each of its steps.

        Raises TrainingError if the loss is not finite.
        """
        while self.stage < len(self.stages):
            stage = self.stages[self.stage]
            while self.step < stage.steps:
                self._take_step(stage)
                yield stage
            self.sync_losses()
            if self.stage + 1 == len(self.stages):
                return
            self._begin(self.stage + 1)
            self.loss_sum, self.loss_count = 0.0, 0  # another loss, on another scale

    def skip_stage(self) -> None:
        """Take no more steps of this stage."""
        self.step = self.stages[self.stage].steps

    @property
    def _steps_per_batch(self) -> int:
        """Return the number of steps on one batch."""
        return self.recipe.steps_per_batch or self.stages[self.stage].steps

    def _take_step(self, stage: Stage) -> None:
        if self._batch is None or self.step % self._steps_per_batch == 0:
            self._batch = self._draw_batch(stage)
        x, y = self._batch
        loss: Array | float
        if isinstance(self.optimizer, optim.LBFGS):
            loss = self.optimizer.step(lambda: stage.loss(x, y))
        else:
            self.optimizer.lr = self._rate_of(stage, self.step)
            loss, grads = self._learn(x, y)
            self.optimizer.step(grads)
        self.step += 1
        self._pending_loss = self._pending_loss + loss
        self._pending_steps += 1
        if self._pending_steps == SYNC_EVERY:
            self.sync_losses()

    def _draw_batch(self, stage: Stage) -> tuple[Array, Array]:
        """Draw patches: inputs and targets of the network, or h(x) and h(y) for a deeper stage."""
        if isinstance(self.optimizer, optim.LBFGS):
            self.optimizer.forget()  # it belongs to the loss on the old batch
        damaged, clean = self.draw(self.recipe.batch, self._batch_rng)
        coding = self.restorer.coding
        centres = coding.centres(damaged)
        x = coding.input(damaged, centres)
        if stage.depth == 0:
            return x, coding.target(damaged, clean, centres)
        y = coding.input(clean, centres)
        with no_grad():
            h_x, h_y = (self.network.encode(patches, stage.depth) for patches in (x, y))
        return h_x.data, h_y.data

    def sync_losses(self) -> None:
        """Read the pending losses from the device. Raises TrainingError if one is not finite."""
        loss, self._pending_loss = float(self._pending_loss), 0.0
        if not math.isfinite(loss):
            raise self._diverged("the loss")
        self.loss_sum, self.loss_count = self.loss_sum + loss, self.loss_count + self._pending_steps
        self._pending_steps = 0

    def _diverged(self, what: str) -> TrainingError:
        return TrainingError(
            f"{what} of {self.stages[self.stage].name} is no longer a number, at step {self.done} "
            f"of {self.total}: lower the learning rate (a checkpoint is from before)"
        )

    def mean_loss(self) -> float:
        """Return the mean loss of the steps since the last call."""
        self.sync_losses()
        mean = self.loss_sum / self.loss_count if self.loss_count else math.nan
        self.loss_sum, self.loss_count = 0.0, 0
        return mean

    # --- checkpoints ------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, dict[str, Array]], dict[str, Any]]:
        """Return (groups, about) for a checkpoint, from which `load_state` resumes exactly.

        Raises TrainingError if a parameter is not finite.
        """
        if not all(np.isfinite(p.data).all() for p in self.network.parameters()):
            raise self._diverged("a parameter")
        groups = {"model": self.network.state(), "optimizer": self.optimizer.state()}
        if self._batch is not None and self.step % self._steps_per_batch:  # it is still in use
            groups["batch"] = dict(zip("xy", self._batch, strict=True))
        progress = {
            "stage": self.stage,
            "step": self.step,
            "steps": self.steps,
            "rng": random.get_state(self.rng),
        }
        self._batch_rng = random.follow(self.rng, self.device)  # as it will be after load_state
        return groups, {**self.restorer.about(), "progress": progress}

    def load_state(self, groups: dict[str, dict[str, np.ndarray]], about: dict[str, Any]) -> None:
        """Resume from a checkpoint. Raises CheckpointError for one of another trainer."""
        put = self.device.put
        on_device = {g: {k: put(v) for k, v in named.items()} for g, named in groups.items()}
        try:
            progress = self._checked(groups, about)
            self._begin(progress.stage)
            self.step = progress.step
            self.network.load_state(on_device["model"])
            # An L-BFGS that has just begun has no state, and files keep no empty groups.
            self.optimizer.load_state(on_device.get("optimizer", {}))
            if getattr(self.optimizer, "steps", self.step) != self.step:
                raise ValueError(f"an optimizer at another step than {self.step}")
            random.set_state(self.rng, progress.rng)
        except (ValueError, TypeError, OverflowError) as error:
            raise checkpoint.CheckpointError(f"not a checkpoint of this run: {error}") from error
        self._batch_rng = random.follow(self.rng, self.device)
        batch = on_device.get("batch")
        self._batch = (batch["x"], batch["y"]) if batch else None

    def _checked(self, groups: dict[str, dict[str, np.ndarray]], about: dict[str, Any]) -> Progress:
        """Return a checkpoint's progress.

        Raises ValueError unless the progress, and the arrays that no `load_state` checks, fit this
        trainer.
        """
        progress: Progress = schema.read(Progress, about.get("progress"), "progress")
        if progress.steps != self.steps or progress.stage >= len(self.stages):
            raise ValueError(f"stage {progress.stage} of {progress.steps} steps")
        if progress.step > self.stages[progress.stage].steps:
            raise ValueError(f"step {progress.step} of stage {progress.stage}")
        checkpoint.numbers(groups, "model")
        expected: dict[str, tuple[int, int]] = {}
        if progress.step % (self.recipe.steps_per_batch or self.stages[progress.stage].steps):
            inner = self.network.autoencoders[self.stages[progress.stage].depth]
            n = self.recipe.batch
            expected = {"x": (n, inner.encoder.w.shape[0]), "y": (n, inner.decoder.w.shape[1])}
        batch = checkpoint.numbers(groups, "batch") if "batch" in groups else {}
        if {name: array.shape for name, array in batch.items()} != expected:
            raise ValueError("another batch than the one in use")
        return progress


@dataclass(frozen=True)
class Progress:
    """The progress of a training in a checkpoint, with the state of its random generator."""

    stage: Annotated[int, Range(0, 64)]
    step: Annotated[int, Range(0, 10**12)]
    steps: Annotated[int, Range(1, 10**12)]
    rng: str
