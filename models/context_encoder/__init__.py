"""Paper 2: Pathak, Krähenbühl, Donahue, Darrell, Efros, Context Encoders, CVPR 2016.

networks   three pairs of generator and discriminator: compact, report, authors
losses     reconstruction, adversarial, and both together
masks      holes: those of the training, and a user's own
membrane   what bridges a hole before a network corrects it
data       photographs with holes, a batch ahead of time
settings   what a training depends on
training   the alternating step, with exact resume
fit        a whole training run in its folder
filling    the trained model's file; holes in pictures of any size
crops      from such a hole to the network's square, and back
critics    advancement: a global and a local discriminator
texture    advancement: texture from the most similar patches around the hole
scores     how good a filling is, and what classical methods reach
"""

from .inpainter import Filler
from .masks import KINDS, Holes
from .networks import ARCHITECTURES, build
from .settings import REPORT, Settings
from .trainer import Trainer

__all__ = [
    "ARCHITECTURES",
    "KINDS",
    "REPORT",
    "Filler",
    "Holes",
    "Settings",
    "Trainer",
    "build",
    "fit",
]
