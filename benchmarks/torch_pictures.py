"""The work of `benchmarks.pictures` in PyTorch: patches of a picture, a generator."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from minidl import nn
from minidl.models.images.patches import gaussian_window
from minidl.models.ssda.restorer import WINDOW_SPREAD, Restorer

from .torch_models import Mode, counterpart
from .torch_steps import layers

BATCH = 4096  # patches, about, that go through the network at a time; as ours


def denoiser(mode: Mode, restorer: Restorer, stride: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function of a picture (H, W) that unfolds, repairs and folds strips of it.

    If the stride does not divide a side, the picture is mirrored up to the end of the next patch.
    Ours has as many patches, but moves the last one to the border.
    """
    run, size = mode.runner(counterpart(layers(restorer.network), mode)), restorer.patch
    coding, bell = restorer.coding, gaussian_window(size, spread=WINDOW_SPREAD)
    window = mode.array(bell)
    side = mode.array(bell[size // 2] / bell[size // 2, size // 2] ** 0.5)[None, None]

    def repaired(patches: torch.Tensor) -> torch.Tensor:
        mode.begin()
        centres = patches.mean(1, keepdim=True)
        output = run(coding.gain * (patches - centres))
        return (output - 0.5) / coding.contrast + centres

    def weight(count: int) -> torch.Tensor:
        """Return the sum of the windows along a side; that of the picture is a product of two."""
        return F.conv_transpose1d(side.new_ones(1, 1, count), side, stride=stride).flatten()

    def denoise(image: np.ndarray) -> np.ndarray:
        height, width = image.shape
        pad = (0, -(width - size) % stride, 0, -(height - size) % stride)
        whole = F.pad(mode.array(image)[None], pad, mode="reflect")[0]
        views = whole.unfold(0, size, stride).unfold(1, size, stride)  # (R, C, size, size)
        rows, columns = views.shape[:2]
        total, step = torch.zeros_like(whole), max(1, BATCH // columns)
        for start in range(0, rows, step):
            patches = views[start : start + step].reshape(-1, size * size)
            weighted = repaired(patches) * window.flatten()
            high = (len(patches) // columns - 1) * stride + size
            strip = F.fold(weighted.T[None], (high, whole.shape[1]), size, stride=stride)
            total[start * stride : start * stride + high] += strip[0, 0]
        whole = total / (weight(rows)[:, None] * weight(columns))
        return whole[:height, :width].cpu().numpy()

    def in_use(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return denoise(image)

    return in_use


class Generator:
    """A generator in PyTorch, in place of our inpainter's own."""

    training = False

    def __init__(self, mode: Mode, network: nn.Module) -> None:
        self.mode, self.run = mode, mode.runner(counterpart(network, mode).train(False))

    def __call__(self, context: np.ndarray) -> Any:
        self.mode.begin()
        with torch.inference_mode():
            y = self.run(self.mode.pictures(context)).permute(0, 2, 3, 1)
        return SimpleNamespace(data=y.cpu().numpy())

    def train(self, on: bool) -> None:
        """Do nothing: this generator is always at inference."""

    def parameters(self) -> list[Any]:
        """Return an array with the device and the type that the inpainter needs."""
        return [SimpleNamespace(data=np.zeros(0, np.float32))]
