"""Paper 1: Xie, Xu, Chen, Image Denoising and Inpainting with Deep Neural Networks, NIPS 2012.

network     the auto-encoder, the stack, their losses
coding      patches of pixels as inputs and targets of a network, and back
recipes     how to train them: what works, what the paper says, how it is misread
damage      the noise and the text that they learn to undo
training    greedy pre-training and fine-tuning, with exact resume
fit         a whole training run in its folder
restoring   whole pictures, and the trained model's file
erasing     text that was found, filled from around it
ablation    why it fails for people: six recipes for the same few minutes
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
