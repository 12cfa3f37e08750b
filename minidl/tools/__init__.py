"""Tools to look at networks: `draw` a computation as a graph, list the layers in a `summary`."""

from .drawing import draw
from .summary import summary

__all__ = ["draw", "summary"]
