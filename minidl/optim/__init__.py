"""Optimisers, in order of complexity. Each holds the parameters and its own state for them, in
order.

`step(gradients(loss, parameters))` moves the parameters in place. `lr`, the learning rate, is an
attribute: a schedule sets it before each step. LBFGS alone has `step(loss_of)`, and no learning
rate. `state()` and `load_state()` serve checkpoints.
"""

from .descent import SGD, Adam, Optimizer
from .lbfgs import LBFGS
from .rates import clip_gradients, warmup_cosine

__all__ = ["Optimizer", "SGD", "Adam", "LBFGS", "warmup_cosine", "clip_gradients"]
