"""The models of two papers that repair pictures, their training, and the command line.

ssda             paper 1: stacked sparse denoising auto-encoders
context_encoder  paper 2: context encoders
images           pictures: files, patches, degradations, noise, scores
training         the folder of a training: settings, log, checkpoint
zoo              the weights that ship with the package
cli              the command `minidl`
"""
