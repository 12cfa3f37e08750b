"""The training steps of `benchmarks.training` in PyTorch: the same losses, the same order.

Every function returns a step for one mode. A step returns its losses; a network at inference
returns its output as (N, H, W, C).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from minidl import nn
from minidl.models.context_encoder.data import Batch
from minidl.models.ssda.network import SSDA, DenoisingAutoencoder, Penalty

from .torch_models import Mode, Step, counterpart


def _adam(module: torch.nn.Module, rate: float, beta1: float) -> torch.optim.Adam:
    return torch.optim.Adam(module.parameters(), rate, (beta1, 0.999), fused=True)


def _half_squared_error(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.mse_loss(prediction, target) * (0.5 * target.shape[1])  # half the sum over a sample


def pre_training(
    mode: Mode,
    autoencoder: DenoisingAutoencoder,
    x: np.ndarray,
    y: np.ndarray,
    penalty: Penalty,
    rate: float,
) -> Step:
    """Return a step of eq. 6 of an auto-encoder, without decay."""
    halves = [nn.Sequential(a, nn.Sigmoid()) for a in (autoencoder.encoder, autoencoder.decoder)]
    module = torch.nn.Sequential(*(counterpart(half, mode) for half in halves))
    adam, rho = _adam(module, rate, 0.9), penalty.rho

    class Loss(torch.nn.Module):
        """The loss, which is compiled with the network."""

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            h = module[0](x)
            mean = h.mean(0)
            kl = rho * (rho / mean).log() + (1 - rho) * ((1 - rho) / (1 - mean)).log()
            return _half_squared_error(module[1](h), y) + penalty.beta * kl.sum()

    return _step(mode, Loss(), adam, x, y)


def fine_tuning(mode: Mode, network: SSDA, x: np.ndarray, y: np.ndarray, rate: float) -> Step:
    """Return a step of eq. 7 of an SSDA, without decay."""
    module = counterpart(layers(network), mode)

    class Loss(torch.nn.Module):
        """The loss, which is compiled with the network."""

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return _half_squared_error(module(x), y)

    return _step(mode, Loss(), _adam(module, rate, 0.9), x, y)


def layers(network: SSDA) -> nn.Sequential:
    """Return the encoders, then the decoders of an SSDA."""
    linear = [a.encoder for a in network.autoencoders]
    linear += [a.decoder for a in reversed(network.autoencoders)]
    return nn.Sequential(*(layer for one in linear for layer in (one, nn.Sigmoid())))


def _step(
    mode: Mode, loss: torch.nn.Module, adam: torch.optim.Adam, x: np.ndarray, y: np.ndarray
) -> Step:
    loss_of, inputs, targets = mode.runner(loss), mode.array(x), mode.array(y)

    def step() -> tuple[torch.Tensor]:
        mode.begin()
        adam.zero_grad(set_to_none=True)
        loss = loss_of(inputs, targets)
        loss.backward()
        adam.step()
        return (loss.detach(),)

    return step


def both_players(
    mode: Mode,
    networks: Sequence[nn.Module],
    batch: Batch,
    *,
    rates: tuple[float, float],
    share: float,
) -> Step:
    """Return `take_step` of models/context_encoder/trainer.py, for a hole in the centre."""
    modules = [counterpart(network, mode) for network in networks]
    g, d = (mode.runner(module) for module in modules)
    g_adam, d_adam = (_adam(m, rate, 0.5) for m, rate in zip(modules, rates, strict=True))
    judges = list(modules[1].parameters())
    context, target = mode.pictures(batch.context), mode.pictures(batch.target)
    weight = mode.pictures(batch.weight)  # above 0 everywhere: the mean is over all pixels

    def entropy(logits: torch.Tensor, label: float) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))

    def step() -> tuple[torch.Tensor, ...]:
        mode.begin()
        prediction = g(context)
        reconstruction = ((prediction - target).square() * weight).mean()

        d_adam.zero_grad(set_to_none=True)
        d_loss = 0.5 * (entropy(d(target), 1.0) + entropy(d(prediction.detach()), 0.0))
        d_loss.backward()
        d_adam.step()

        for parameter in judges:  # saves gradients that are not needed
            parameter.requires_grad_(False)
        g_adam.zero_grad(set_to_none=True)
        adversarial = entropy(d(prediction), 1.0)
        ((1 - share) * reconstruction + share * adversarial).backward()
        g_adam.step()
        for parameter in judges:
            parameter.requires_grad_(True)
        return d_loss.detach(), reconstruction.detach(), adversarial.detach()

    return step


def in_use(mode: Mode, network: nn.Module, pictures: np.ndarray) -> Step:
    """Return a generator at inference."""
    run = mode.runner(counterpart(network, mode).train(False))
    x = mode.pictures(pictures)

    def step() -> tuple[torch.Tensor]:
        mode.begin()
        with torch.inference_mode():
            return (run(x).permute(0, 2, 3, 1),)

    return step
