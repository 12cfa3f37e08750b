"""The models of two papers that repair pictures, their training, and the command line.

ssda             paper 1: stacked sparse denoising auto-encoders
context_encoder  paper 2: context encoders
images           pictures: files, patches, degradations, noise, scores
training         a training run: its loop, and its folder with configuration, log, checkpoint
zoo              the weights of the package
cli              the command `minidl`
"""
