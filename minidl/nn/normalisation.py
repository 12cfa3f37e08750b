"""Layers that work one way in training and another in use: see `Module.train`."""

from __future__ import annotations

import numpy as np

from .. import ops
from ..changes import changed
from ..device import Array
from ..tensor import Tensor
from .init import check_generator
from .module import Module


class BatchNorm(Module):
    """(..., channels) -> the same shape, every channel brought to mean beta and deviation gamma.

    In training by the mean and variance of the batch, while the running ones follow, as in Keras:
    running = momentum running + (1 - momentum) batch, the variance being the batch's mean square.
    A channel whose mean or variance is not finite leaves the running ones as they are. One value of
    each channel has no variance: it raises ValueError.
    In use by the running ones. gamma (channels,) starts at 1, beta (channels,) at 0, the running
    mean at 0, the running variance at 1 (Ioffe & Szegedy 2015).
    """

    def __init__(self, channels: int, *, momentum: float = 0.9, eps: float = 1e-5) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"BatchNorm: momentum is {momentum}, expected 0 <= momentum < 1")
        if not eps >= 0:
            raise ValueError(f"BatchNorm: eps is {eps}, expected 0 or more")
        self.momentum, self.eps = momentum, eps
        name = f"{type(self).__name__}({channels})"
        self.gamma = Tensor(np.ones(channels, np.float32), f"{name}.gamma")
        self.beta = Tensor(np.zeros(channels, np.float32), f"{name}.beta")
        self.mean: Array = np.zeros(channels, np.float32)
        self.variance: Array = np.ones(channels, np.float32)

    def forward(self, x: Tensor | Array) -> Tensor:
        return self._normalized(x, slope=1.0)

    def _normalized(self, x: Tensor | Array, *, slope: float) -> Tensor:
        """Return leaky_relu(x, slope), normalised."""
        if not self.training:
            running = {"mean": self.mean, "variance": self.variance}
            return ops.normalize(x, self.gamma, self.beta, **running, eps=self.eps, slope=slope)
        batch_moments = mean, variance = ops.moments(x, slope=slope)
        y = ops.batch_norm(
            x, self.gamma, self.beta, eps=self.eps, batch_moments=batch_moments, slope=slope
        )
        finite, share = np.isfinite(mean + variance), 1 - self.momentum
        self.mean += share * np.where(finite, mean - self.mean, 0)
        self.variance += share * np.where(finite, variance - self.variance, 0)
        changed([self.mean, self.variance])
        return y


class LeakyReLUBatchNorm(BatchNorm):
    """A leaky ReLU and then a BatchNorm, in the same passes over memory. slope: 0 for a ReLU."""

    def __init__(
        self, channels: int, *, slope: float = 0.2, momentum: float = 0.9, eps: float = 1e-5
    ) -> None:
        super().__init__(channels, momentum=momentum, eps=eps)
        self.slope = slope

    def forward(self, x: Tensor | Array) -> Tensor:
        return self._normalized(x, slope=self.slope)


class Dropout(Module):
    """(...) -> the same shape. In training, each element is 0 with probability `p` and divided
    by 1 - p else; in use nothing changes (Srivastava et al. 2014).

    rng: the layer's own source of masks; a GPU's (`Device.generator`) keeps them on the GPU.
    """

    def __init__(self, p: float, *, rng: np.random.Generator) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p is {p}, expected 0 <= p < 1")
        check_generator("Dropout", rng)
        self.p, self.rng = p, rng

    def forward(self, x: Tensor | Array) -> Tensor | Array:
        if not self.training or self.p == 0:
            return x
        kept = self.rng.random(x.shape, dtype=np.float32) >= self.p
        mask = np.asarray(kept, like=x.data if isinstance(x, Tensor) else x)
        return ops.dropout(x, mask=mask, keep=1 - self.p)
