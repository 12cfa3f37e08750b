"""The losses of context encoders (Pathak et al., CVPR 2016); the numbers are their equations'.

x      the picture, in [-1, 1]; M = 1 in the hole, 0 in the known context around it
F, D   the generator and the discriminator; z = a logit of D, so that D = sigmoid(z)
"""

from __future__ import annotations

from minidl import Tensor, ops
from minidl.device import Array
from minidl.losses import binary_cross_entropy


def reconstruction(prediction: Tensor, target: Array, weight: Array) -> Tensor:
    """L_rec = |M . (x - F((1 - M) . x))|^2  (1), as a mean over pixels of positive weight.

    prediction, target (N, H, W, 3); weight (N or 1, H, W, 1): 1 in the hole, in the paper 10 on its
    overlap with the context, 0 elsewhere. The paper writes a sum; 0.999 and 0.001 belong to the
    mean of its authors' code. The mean is over the pixels of weight above 0, whatever their weight.
    """
    error = ops.subtract(prediction, target)
    counted = (weight > 0).sum() * (prediction.shape[-1] * prediction.shape[0] / weight.shape[0])
    return ops.sum(error * error * (weight / counted).astype(weight.dtype))


def discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-1/2 E[log D(x) + log(1 - D(F((1 - M) . x)))], of logits (N, ...): the inner max of (2)."""
    return 0.5 * (binary_cross_entropy(real, 1.0) + binary_cross_entropy(fake, 0.0))


def adversarial(fake: Tensor) -> Tensor:
    """-E[log D(F((1 - M) . x))], of logits (N, ...): the generator's side of (2).

    As in the authors' code: minimising log(1 - D), as (2) is written, hardly trains a generator
    whose pictures the discriminator recognises easily.
    """
    return binary_cross_entropy(fake, 1.0)


def joint(rec: Tensor, adv: Tensor, share: float) -> Tensor:
    """L = (1 - share) L_rec + share L_adv  (3); the paper's share is 0.001."""
    return (1 - share) * rec + share * adv
