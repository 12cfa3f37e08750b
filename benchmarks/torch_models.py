"""Our networks in PyTorch, layer by layer, with the same weights; and PyTorch's modes.

The counterparts are written as a PyTorch user would: up-sampling and then a convolution, pictures
(N, C, H, W), fused Adam.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch._inductor.config
from torch import nn as tn

from minidl import nn
from minidl.models.context_encoder import networks
from minidl.ops.convolution import pads_of

Step = Callable[[], Any]
MAX_COMPILATIONS = 64  # of one function; beyond it, PyTorch silently runs it uncompiled
GRAPH_CALLS = 3  # the first compiles, the second records a CUDA graph, the third replays it
EVEN_SIZE = (2, 2)  # all pictures here have even sides, on which the padding 'same' depends


@dataclass(frozen=True)
class Mode:
    """A way to run a network.

    exact: pad a 'same' convolution of stride 2 as ours, at the bottom and on the right. PyTorch
    needs a copy for this. What is timed pads symmetrically: the same size without a copy.
    """

    name: str
    channels_last: bool = False
    compiled: bool = False
    exact: bool = False
    device: str = "cpu"

    def put(self, module: tn.Module) -> tn.Module:
        """Return the module with its weights laid out for this mode."""
        module.to(self.device)
        if self.channels_last:
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return module

    def runner(self, module: tn.Module) -> Callable[..., torch.Tensor]:
        """Return the function that is called in the module's place."""
        if not self.compiled:
            return module
        graphs = None if self.device == "cpu" else "reduce-overhead"  # as CUDA graphs
        return torch.compile(module, dynamic=False, mode=graphs)

    def begin(self) -> None:
        """Mark the beginning of a step: the outputs of the last step's graphs may be lost."""
        if self.compiled and self.device != "cpu":
            torch.compiler.cudagraph_mark_step_begin()

    def array(self, array: np.ndarray) -> torch.Tensor:
        """Return the array on this mode's device."""
        return torch.from_numpy(array).to(self.device)

    def pictures(self, array: np.ndarray) -> torch.Tensor:
        """(N, H, W, C) -> (N, C, H, W), in this mode's order in memory."""
        moved = self.array(array).permute(0, 3, 1, 2)
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return moved.clone(memory_format=layout)


EXACT = Mode("exact", exact=True)
MODES = (
    Mode("PyTorch"),
    Mode("PyTorch channels_last", channels_last=True),
    Mode("PyTorch compiled", compiled=True),
    Mode("PyTorch compiled channels_last", channels_last=True, compiled=True),
)


def modes(
    build: Callable[[Mode], Step],
    *,
    pictures: bool = True,
    compiled: bool = True,
    device: str = "cpu",
) -> dict[str, Step]:
    """Return {name: `build(mode)`} of all modes that work here.

    pictures: include modes of another order of channels. A compiled mode that fails, mostly without
    a C++ compiler, is left out with a message.
    """
    # Code compiled for one network must not count or be reused for the next one.
    torch.compiler.reset()
    torch._dynamo.config.recompile_limit = MAX_COMPILATIONS
    torch._inductor.config.compile_threads = 1  # processes of the compiler would keep a core busy
    steps: dict[str, Step] = {}
    for mode in MODES:
        if (mode.channels_last and not pictures) or (mode.compiled and not compiled):
            continue
        try:
            step = build(replace(mode, device=device))
            for _ in range(1 if device == "cpu" else GRAPH_CALLS):
                step()
        except Exception as error:  # the compiler can raise almost anything
            if not mode.compiled:
                raise
            reason = next(iter(str(error).splitlines()), "") or repr(error)
            print(f"{mode.name} is left out: {reason}", flush=True)
            continue
        steps[mode.name] = step
    return steps


class ChannelwiseLinear(tn.Module):
    """(N, C, H, W) -> the same: a linear layer for each of the C maps."""

    def __init__(self, channels: int, pixels: int) -> None:
        super().__init__()
        self.weight = tn.Parameter(torch.empty(channels, pixels, pixels))
        self.bias = tn.Parameter(torch.empty(channels, pixels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = x.flatten(2).transpose(0, 1)  # (C, N, P)
        y = torch.baddbmm(self.bias[:, None], maps, self.weight)
        return y.transpose(0, 1).reshape(x.shape)


class Flatten(tn.Module):
    """(N, C, H, W) -> (N, H W C): our order, so that the next layer's weights fit."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class Mixing(tn.Module):
    """x plus the output of the layers of `added`."""

    def __init__(self, added: tn.Module, slope: float) -> None:
        super().__init__()
        self.added, self.leaky = added, tn.LeakyReLU(slope)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.leaky(x + self.added(x))


class CompactGenerator(tn.Module):
    """The same U-net, with the same layers."""

    def __init__(self, ours: networks.CompactGenerator, mode: Mode) -> None:
        super().__init__()

        def both(layer: nn.Module) -> tn.Module:
            return tn.Sequential(*_layers(layer, mode))

        self.downs, self.ups, self.links = (
            tn.ModuleList(map(both, layers)) for layers in (ours.downs, ours.ups, ours.links)
        )
        self.mixing, self.last, self.full_image = (
            both(ours.mixing),
            both(ours.last),
            ours.full_image,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, seen = x, []
        for down in self.downs:
            seen.append(y := down(y))
        y = self.mixing(seen.pop())
        for up, link in zip(self.ups, self.links, strict=True):
            y = up(y) + link(seen.pop())
        return self._middle(x) + self.last(self._middle(y))

    def _middle(self, x: torch.Tensor) -> torch.Tensor:
        quarter = 0 if self.full_image else x.shape[2] // 4
        half = slice(quarter, x.shape[2] - quarter)
        return x[:, :, half, half]


def counterpart(network: nn.Module, mode: Mode) -> tn.Module:
    """Return the same layers in the same order, with copies of the weights."""
    return mode.put(tn.Sequential(*_layers(network, mode)))


def _layers(layer: nn.Module, mode: Mode) -> list[tn.Module]:
    match layer:
        case nn.Sequential():
            return [t for one in layer.layers for t in _layers(one, mode)]
        case nn.Linear():
            inputs, outputs = layer.w.shape
            return [_filled(tn.Linear(inputs, outputs), layer.w.data.T, layer.b.data)]
        case nn.ChannelwiseLinear():
            made = ChannelwiseLinear(*layer.b.shape)
            return [_filled(made, layer.w.data, layer.b.data)]
        case networks.CompactGenerator():
            return [CompactGenerator(layer, mode)]
        case networks.Mixing():
            return [Mixing(tn.Sequential(*_layers(layer.added, mode)), layer.leaky.slope)]
        case nn.Conv2D():
            return _convolution(layer, mode)
        case nn.UpsampleConv2D():
            inputs, outputs = layer.w.shape[2:]
            convolution = tn.Conv2d(inputs, outputs, 3, padding=1)
            w = layer.w.data.transpose(3, 2, 0, 1)
            return [tn.Upsample(scale_factor=2), _filled(convolution, w, layer.b.data)]
        case nn.ConvTranspose2D():
            window, _, outputs, inputs = layer.w.shape
            assert isinstance(layer.padding, int)
            transposed = tn.ConvTranspose2d(inputs, outputs, window, layer.stride, layer.padding)
            return [_filled(transposed, layer.w.data.transpose(3, 2, 0, 1), layer.b.data)]
        case nn.BatchNorm():
            norm = tn.BatchNorm2d(len(layer.mean), eps=layer.eps, momentum=1 - layer.momentum)
            before = [tn.LeakyReLU(layer.slope)] if isinstance(layer, nn.LeakyReLUBatchNorm) else []
            return [*before, _filled(norm, layer.gamma.data, layer.beta.data)]
        case nn.Dropout():
            return [tn.Dropout(layer.p)]
        case nn.LeakyReLU():
            return [tn.LeakyReLU(layer.slope)]
        case nn.ReLU():
            return [tn.ReLU()]
        case nn.Sigmoid():
            return [tn.Sigmoid()]
        case nn.Tanh():
            return [tn.Tanh()]
        case nn.Flatten():
            return [Flatten()]
    raise ValueError(f"{type(layer).__name__} has no counterpart here; add one to _layers")


def _convolution(layer: nn.Conv2D, mode: Mode) -> list[tn.Module]:
    window, _, inputs, outputs = layer.w.shape
    size = (window, window)
    pads = top, bottom, left, right = pads_of(layer.padding, EVEN_SIZE, size, layer.stride)
    before: list[tn.Module] = []
    pad = max(pads)
    if mode.exact and min(pads) != pad:
        before, pad = [tn.ZeroPad2d((left, right, top, bottom))], 0
    convolution = tn.Conv2d(inputs, outputs, window, layer.stride, pad)
    return [*before, _filled(convolution, layer.w.data.transpose(3, 2, 0, 1), layer.b.data)]


def _filled(module: Any, weight: np.ndarray, bias: np.ndarray) -> tn.Module:
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(weight.copy()))
        module.bias.copy_(torch.from_numpy(bias))
    return module
