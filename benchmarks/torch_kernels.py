"""PyTorch's counterparts of our kernels: functions of our arguments that return {mode: call}.

A call returns the result of our kernel, in its shape; a change of shape is a view, which costs
nothing. Kernels without a PyTorch operation are not listed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.nn import grad as G

from .harness import Call, copied
from .torch_models import MODES, Mode

aten = torch.ops.aten
EAGER = [mode for mode in MODES if not mode.compiled]


def _plain(function: Callable[..., Any]) -> Callable[..., dict[str, Call]]:
    """Return the counterpart of an operation that takes our arguments as they are."""

    def calls(*arguments: Any, device: str = "cpu") -> dict[str, Call]:
        given = copied(arguments, replace(EAGER[0], device=device).array)
        return {EAGER[0].name: lambda: function(*given)}

    return calls


def _pictures(prepare: Callable[..., Call]) -> Callable[..., dict[str, Call]]:
    """Return the counterpart of a convolution: `prepare(mode, *arguments)` in both orders of
    channels.
    """

    def calls(*arguments: Any, device: str = "cpu") -> dict[str, Call]:
        return {m.name: prepare(replace(m, device=device), *arguments) for m in EAGER}

    return calls


def _weights(mode: Mode, w: np.ndarray) -> torch.Tensor:
    """(K, L, C, O) -> (O, C, K, L)."""
    return mode.pictures(np.ascontiguousarray(w.transpose(3, 0, 1, 2)))


def _back(y: torch.Tensor) -> torch.Tensor:
    return y.permute(0, 2, 3, 1)


def _of_weights(dw: torch.Tensor) -> torch.Tensor:
    return dw.permute(2, 3, 1, 0)


def _adam(p: Any, g: Any, m: Any, v: Any, rate: float, b1: float, b2: float, eps: float) -> Any:
    # Far into training the corrections of the bias, which our rate already holds, are 1.
    steps = torch.tensor(1e9, device=p[0].device)
    torch._fused_adam_(
        p, g, m, v, [], [steps] * len(p),
        lr=rate, beta1=b1, beta2=b2, weight_decay=0.0, eps=eps, amsgrad=False, maximize=False,
    )  # fmt: skip


def _conv2d(mode: Mode, x: Any, w: Any, b: Any, stride: int, pad: tuple[int, ...]) -> Call:
    x, w, b = mode.pictures(x), _weights(mode, w), mode.array(b)
    return lambda: _back(F.conv2d(x, w, b, stride, pad[0]))


def _conv2d_grad_x(mode: Mode, g: Any, w: Any, size: Any, stride: int, pad: Any) -> Call:
    g, v = mode.pictures(g), _weights(mode, w)
    shape = (len(g), w.shape[2], *size)
    return lambda: _back(G.conv2d_input(shape, v, g, stride, pad[0]))


def _conv2d_grad_w(mode: Mode, x: Any, g: Any, window: Any, stride: int, pad: Any) -> Call:
    shape = (g.shape[3], x.shape[3], *window)
    x, g = mode.pictures(x), mode.pictures(g)
    return lambda: _of_weights(G.conv2d_weight(x, shape, g, stride, pad[0]))


def _double(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2)


def _upsample_conv2d(mode: Mode, x: Any, w: Any, b: Any) -> Call:
    x, w, b = mode.pictures(x), _weights(mode, w), mode.array(b)
    return lambda: _back(F.conv2d(_double(x), w, b, padding=1))


def _upsample_conv2d_grad_x(mode: Mode, g: Any, w: Any) -> Call:
    (N, H, W, _), C = g.shape, w.shape[2]
    g, v = mode.pictures(g), _weights(mode, w)

    def call() -> torch.Tensor:
        doubled = G.conv2d_input((N, C, H, W), v, g, padding=1)
        half = [H // 2, W // 2]
        return _back(aten.upsample_nearest2d_backward(doubled, [H, W], [N, C, *half], 2.0, 2.0))

    return call


def _upsample_conv2d_grad_w(mode: Mode, x: Any, g: Any) -> Call:
    shape = (g.shape[3], x.shape[3], 3, 3)
    x, g = mode.pictures(x), mode.pictures(g)
    return lambda: _of_weights(G.conv2d_weight(_double(x), shape, g, padding=1))


def _moments(x: Any, slope: float, device: str = "cpu") -> dict[str, Call]:
    """Return calls of `var_mean` and of batch norm, which does more and is faster."""
    mode = replace(MODES[1], device=device)
    x, pictures = mode.array(x), mode.pictures(x)

    def var_mean() -> tuple[torch.Tensor, torch.Tensor]:
        variance, mean = torch.var_mean(x, (0, 1, 2), correction=0)
        return mean, variance

    def batch_norm() -> tuple[torch.Tensor, torch.Tensor]:
        eps = 1e-5
        _, mean, scale = torch.native_batch_norm(pictures, None, None, None, None, True, 0.1, eps)
        return mean, scale**-2 - eps

    return {"PyTorch": var_mean, "PyTorch batch_norm": batch_norm}


def _channel_sums(mode: Mode, g: Any, x: Any, mean: Any, slope: float) -> Call:
    g, x, mean = mode.pictures(g), mode.pictures(x), mode.array(mean)
    ones, only_sums = torch.ones_like(mean), [False, True, True]

    def call() -> tuple[torch.Tensor, torch.Tensor]:
        _, with_x, plain = aten.native_batch_norm_backward(
            g, x, ones, None, None, mean, ones, True, 0.0, only_sums
        )
        return plain, with_x

    return call


KERNELS: dict[str, Callable[..., dict[str, Call]]] = {
    "sigmoid": _plain(torch.sigmoid),
    "sigmoid_grad": _plain(aten.sigmoid_backward),
    "tanh_grad": _plain(aten.tanh_backward),
    "leaky_relu": _plain(F.leaky_relu),
    "leaky_relu_grad": _plain(lambda g, x, slope: aten.leaky_relu_backward(g, x, slope, False)),
    "add": _plain(torch.add),
    "squared_distance": _plain(lambda a, b: F.mse_loss(a, b, reduction="sum")),
    "squared_distance_grad": _plain(lambda g, a, b: aten.mse_loss_backward(g, a, b, 2)),  # a sum
    "adam": _plain(_adam),
    "matmul": _plain(torch.matmul),
    "conv2d": _pictures(_conv2d),
    "conv2d_grad_x": _pictures(_conv2d_grad_x),
    "conv2d_grad_w": _pictures(_conv2d_grad_w),
    "upsample_conv2d": _pictures(_upsample_conv2d),
    "upsample_conv2d_grad_x": _pictures(_upsample_conv2d_grad_x),
    "upsample_conv2d_grad_w": _pictures(_upsample_conv2d_grad_w),
    "channel_sum": _plain(lambda x: x.sum((0, 1, 2))),
    "moments": _moments,
    "batch_norm_sums": _pictures(_channel_sums),
    "normalize": _plain(lambda x, mean, a, b, slope: torch.addcmul(b - mean * a, x, a)),
}
