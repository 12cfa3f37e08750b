"""Training data, made on the device of the training, against plain loops: on the CPU, on a device
that refuses to mix its arrays with the CPU's, and on a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from minidl import checkpoint, nn, random
from minidl import device as devices
from minidl.device import CPU, Device
from minidl.kernels.gpu import philox
from minidl.models.context_encoder import KINDS, REPORT, Holes, Trainer
from minidl.models.context_encoder.data import Batches, Photographs
from minidl.models.context_encoder.masks import MEAN_COLOUR, PAPER_OVERLAP_WEIGHT, _pattern
from minidl.models.context_encoder.trainer import Settings
from minidl.models.ssda.degradation import Noise, Text
from tests import emulated_gpu
from tests.test_images import Foreign, unwrap, wrap

SIDE, SIZE, HOLE = 42, 36, 20


class Elsewhere(Device):
    """A device whose NumPy arrays claim to be its own, with a limited memory."""

    def __init__(self, room: float = 1e9) -> None:
        super().__init__("gpu", None)
        self.room = room

    def put(self, array: Any) -> Any:
        return array if isinstance(array, Foreign) else wrap(array)

    def free_memory(self) -> float:
        return self.room


class Few(Photographs):
    """Nine photographs of noise, kept or decoded each time."""

    def __init__(self, *, kept: bool = True, side: int = SIDE) -> None:
        rng = np.random.default_rng(1)
        self.all = rng.integers(0, 256, (9, side, side, 3)).astype(np.uint8)
        self.paths, self.side, self.pixels = [Path()] * 9, side, self.all if kept else None

    def __getitem__(self, i: int) -> np.ndarray:
        return self.all[i]


def holes_of(kind: str) -> Holes:
    return Holes(kind, SIZE, HOLE, 2)


def plain_mask(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Return a mask of blocks or of a region, drawn pixel by pixel."""
    mask = np.zeros((SIZE, SIZE), bool)
    if kind == "region":
        while True:
            top, left = rng.integers(0, 2048 - SIZE, 2, endpoint=True)
            piece = _pattern()[0, top : top + SIZE, left : left + SIZE, 0]
            if 0.2 <= piece.mean() <= 0.3:
                return piece
    for _ in range(int(rng.integers(1, 5, endpoint=True))):
        height, width = rng.integers(SIZE // 8, SIZE // 3, 2, endpoint=True)
        top, left = rng.integers(0, SIZE - height + 1), rng.integers(0, SIZE - width + 1)
        larger = mask.copy()
        larger[top : top + height, left : left + width] = True
        if larger.sum() > SIZE * SIZE / 4:
            break
        mask = larger
    return mask


def plain_batch(kind: str, n: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return (context, target, weight), one picture at a time, in double precision. Resumed runs
    depend on these numbers."""
    pictures = Few().all
    which = rng.integers(0, len(pictures), n)
    lengths = rng.uniform(0.7 * SIDE, SIDE, n)
    shifts = rng.random((n, 2)) * (1.2 * SIDE - lengths)[:, None] - 0.1 * SIDE
    flips = rng.integers(0, 2, n)
    contrast, colours = rng.uniform(-0.1, 0.1, (n, 1)), rng.uniform(-0.1, 0.1, (n, 3)) / 2
    corners = np.full((n, 2), (SIZE - HOLE) // 2)
    if kind == "random":
        corners = rng.integers(0, SIZE - HOLE, (n, 2), endpoint=True)
    rows: list[list[np.ndarray]] = [[], [], []]
    for i, (top, left), k in zip(which, corners, range(n), strict=True):
        steps = (np.arange(SIZE) + 0.5) * lengths[k] / SIZE - 0.5
        down, over = (start + steps for start in shifts[k])
        at = np.meshgrid(down, over[::-1] if flips[k] else over, indexing="ij")
        x = np.stack(
            [
                ndimage.map_coordinates(c, at, order=1, mode="mirror")
                for c in pictures[i].T.swapaxes(1, 2) / 255.0
            ],
            axis=-1,
        )
        x = ((x - 0.5) * np.exp(contrast[k]) + 0.5 + colours[k]) * 2 - 1
        x = x.astype(np.float32)
        if kind in ("block", "region"):
            mask = plain_mask(kind, rng)
            near = ndimage.binary_dilation(mask, np.ones((5, 5)))
            target, weight = (
                x,
                np.where(mask, 1, PAPER_OVERLAP_WEIGHT * near)[..., None].astype(np.float32),
            )
        else:
            mask = np.zeros((SIZE, SIZE), bool)
            mask[top + 2 : top + HOLE - 2, left + 2 : left + HOLE - 2] = True
            target = x[top : top + HOLE, left : left + HOLE]
            weight = np.full((HOLE, HOLE, 1), PAPER_OVERLAP_WEIGHT, np.float32)
            weight[2:-2, 2:-2] = 1
        context = x.copy()
        context[mask] = 2 * MEAN_COLOUR - 1
        for row, array in zip(rows, (context, target, weight), strict=True):
            row.append(array)
    context, target, weight = map(np.stack, rows)
    return [context, target, weight if kind in ("block", "region") else weight[:1]]


PLACES = {
    "cpu": lambda: CPU,
    "elsewhere": Elsewhere,
    "elsewhere, no room": lambda: Elsewhere(room=1000),
    "gpu": lambda: devices.choose("gpu"),
}


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.gpu if n == "gpu" else ()) for n in PLACES]
)
@pytest.mark.parametrize("kind", KINDS)
def test_batches(kind: str, name: str, kept: bool) -> None:
    """Every number of every batch, and the same bits on each device."""
    device = PLACES[name]()
    on_cpu = Batches(Few(), holes_of(kind), 5, np.random.default_rng(3))
    batches = Batches(Few(kept=kept), holes_of(kind), 5, np.random.default_rng(3), device)
    assert (batches._kept is not None) == (kept and "no room" not in name)
    rng = np.random.default_rng(3)
    for _ in range(4):
        batch, same = batches.next(), on_cpu.next()
        for part, expected in zip(
            ("context", "target", "weight"), plain_batch(kind, 5, rng), strict=True
        ):
            found = getattr(batch, part)
            assert isinstance(found, Foreign) == name.startswith("elsewhere")
            assert found.dtype == np.float32
            numbers = devices.to_cpu(unwrap(found))
            np.testing.assert_allclose(numbers, expected, atol=1e-5)
            np.testing.assert_array_equal(numbers, getattr(same, part))


# --- paper 1 --------------------------------------------------------------------------------------


@pytest.fixture
def drawing(emulator: emulated_gpu.Emulator, monkeypatch: pytest.MonkeyPatch) -> Device:
    """Return a device whose random numbers come from the GPU's kernels, in software."""
    emulated_gpu.stand_in(monkeypatch, emulator)
    monkeypatch.setattr(Device, "free_memory", lambda self: 1e9)
    return Device("gpu", np)


@pytest.mark.parametrize("damage", [Noise(25.0), Text(18, 24)], ids=["noise", "text"])
def test_patches_and_their_damage(
    damage: Any, drawing: Device, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces of the pictures, each another one, under damage of the right strength."""
    monkeypatch.setattr("minidl.models.ssda.degradation.SHEET_COUNT", 4)
    images = [rng.random(shape, dtype=np.float32) for shape in ((40, 50), (9, 90), (33, 31))]
    draw = damage.draw_from(images, 12, rng, drawing)
    source = random.generator(7, drawing)
    damaged, clean = draw(2000, source)
    assert damaged.dtype == clean.dtype == np.float32
    assert damaged.shape == clean.shape == (2000, 144)
    assert set(clean.ravel()) <= {v for image in (images[0], images[2]) for v in image.ravel()}
    assert len({patch.tobytes() for patch in clean}) > 1700
    change = damaged - clean
    if isinstance(damage, Noise):
        assert change.std() == pytest.approx(25 / 255, rel=0.01)
        assert abs(change.mean()) < 0.002
    else:
        assert 0.1 < (change != 0).mean() < 0.9
    again, _ = draw(2000, source)
    assert (again != damaged).any()
    same, _ = draw(2000, random.generator(7, drawing))
    np.testing.assert_array_equal(same, damaged)


# --- dropout --------------------------------------------------------------------------------------


def test_dropout_is_drawn_on_the_device(
    drawing: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device's generator draws masks, and continues after a checkpoint as without a stop."""
    # the stand-in for a device cannot replay; tests/test_gpu_graph.py tests that
    monkeypatch.setattr(
        "minidl.models.context_encoder.trainer.captured_turns", lambda turns, _: turns
    )
    settings = Settings(**{**REPORT.as_dict(), "width": 1 / 32, "batch": 2})

    def trainer(seed: int) -> Trainer:
        rng = np.random.default_rng(seed)
        return Trainer(settings, Few(side=272), steps=4, rng=rng, device=drawing)

    first, second = trainer(0), trainer(7)
    for step in first.run():
        if step == 2:
            checkpoint.save(tmp_path / "c.safetensors", *first.state())
    second.load_state(*checkpoint.load(tmp_path / "c.safetensors"))
    for layer in second.inpainter.generator.modules():
        assert not isinstance(layer, nn.Dropout) or isinstance(layer.rng, philox.Generator)
    for _ in second.run():
        pass
    (a, about), (b, other) = first.state(), second.state()
    assert about == other
    for name, array in a["generator"].items():
        np.testing.assert_array_equal(array, b["generator"][name], err_msg=name)
