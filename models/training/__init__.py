"""A training run: its loop, and its folder with configuration, log, checkpoint and result."""
