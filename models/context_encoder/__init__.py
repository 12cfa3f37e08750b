"""Paper 2: Pathak, Krähenbühl, Donahue, Darrell, Efros, Context Encoders, CVPR 2016.

networks          three pairs of generator and discriminator: compact, report, authors
losses            reconstruction, adversarial, and their sum
masks             holes: of the training, and of a user
data              photographs with holes, loaded one batch ahead
settings          the options of a training
trainer           one step for each player, with exact resume
training          a whole training in its folder
inpainter         the trained model's file; inpainting of pictures of any size
windows           the square around a hole that a network sees
blending          a filling that meets its surroundings without a seam
laplace           smooth surfaces over a hole
global_local      an extension: a global and a local discriminator
texture_transfer  an extension: texture from the most similar patches around the hole
scores            the error of a filling, and of classical methods
"""

from .inpainter import Inpainter
from .masks import KINDS, Holes
from .networks import ARCHITECTURES, build
from .settings import REPORT, Settings
from .trainer import Trainer

__all__ = [
    "ARCHITECTURES", "KINDS", "REPORT", "Holes", "Inpainter", "Settings", "Trainer", "build",
]  # fmt: skip
