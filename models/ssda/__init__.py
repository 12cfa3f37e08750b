"""Paper 1: Xie, Xu, Chen, Image Denoising and Inpainting with Deep Neural Networks, NIPS 2012.

network          the auto-encoder, the stack, their losses
patch_coding     patches of pixels as inputs and targets of a network, and back
recipes          how to train: a recipe that works, the paper's, and misreadings of it
degradation      the noise and the text that a network learns to remove
trainer          greedy pre-training and fine-tuning, with exact resume
training         a whole training in its folder
restorer         the trained model's file; whole pictures
text_inpainting  text that was found, filled from the pixels around it
"""

from .degradation import Noise, Text
from .network import SSDA, DenoisingAutoencoder, Penalty
from .patch_coding import Coding, TextCoding
from .recipes import RECIPES, Recipe, recipe_for
from .restorer import Restorer
from .trainer import Trainer

__all__ = [
    "RECIPES", "SSDA", "Coding", "DenoisingAutoencoder", "Noise", "Penalty", "Recipe", "Restorer",
    "Text", "TextCoding", "Trainer", "recipe_for",
]  # fmt: skip
