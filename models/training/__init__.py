"""The folder of a training: its settings, log, checkpoint and result."""
