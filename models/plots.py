"""Plots: curves of a run, learned filters, pictures side by side.

Every function writes one PNG file, atomically, and opens no window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from minidl.files import replacing


def save(figure: Figure, path: str | Path, *, dpi: int = 110) -> None:
    """Write a figure; an existing file is replaced only by a complete one."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=dpi, bbox_inches="tight")


def curves(
    path: str | Path,
    x: Sequence[float] | np.ndarray,
    panels: Mapping[str, Mapping[str, Sequence[float] | np.ndarray]],
    *,
    x_label: str,
    logarithmic: Sequence[str] = (),
) -> None:
    """Plot a panel for each entry of `panels`, {y label: {name: values at x}}, side by side."""
    figure = Figure(figsize=(5 * len(panels), 3.4), layout="constrained")
    for axes, (y_label, lines) in zip(
        np.atleast_1d(np.array(figure.subplots(1, len(panels)))), panels.items(), strict=True
    ):
        for name, y in lines.items():
            axes.plot(x, y, label=name, marker="." if len(x) < 40 else None)
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.grid(alpha=0.3)
        if y_label in logarithmic:
            axes.set_yscale("log")
        if len(lines) > 1:
            axes.legend()
    save(figure, path)


def filters(path: str | Path, weights: np.ndarray, *, count: int = 160) -> None:
    """Draw the strongest columns of weights (P, H), each as a square patch."""
    size = round(weights.shape[0] ** 0.5)
    strongest = np.argsort(-np.linalg.norm(weights, axis=0), kind="stable")[:count]
    across = min(20, len(strongest))
    down = -(-len(strongest) // across)
    sheet = np.full((down * (size + 1) + 1, across * (size + 1) + 1), 1.0)
    for i, unit in enumerate(strongest):
        patch = weights[:, unit].reshape(size, size)
        top, left = (1 + (size + 1) * n for n in divmod(i, across))
        reach = np.abs(patch).max() or 1.0
        sheet[top : top + size, left : left + size] = 0.5 + patch / (2 * reach)
    figure = Figure(figsize=(across * 0.45, down * 0.45))
    figure.subplots_adjust(0, 0, 1, 1)
    axes = figure.subplots()
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.axis("off")
    save(figure, path, dpi=140)


def side_by_side(
    path: str | Path, rows: Sequence[Mapping[str, np.ndarray]], *, width: float = 3.2
) -> None:
    """Draw rows of pictures (H, W, C) in [0, 1], each under its caption, at equal widths."""
    columns = max(len(row) for row in rows)
    heights = [max(p.shape[0] / p.shape[1] for p in row.values()) + 0.12 for row in rows]
    figure = Figure(figsize=(width * columns, width * sum(heights)), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False, height_ratios=heights)
    for row_axes, row in zip(grid, rows, strict=True):
        for axes in row_axes:
            axes.axis("off")
        for axes, (caption, pixels) in zip(row_axes, row.items(), strict=False):
            shown = np.clip(pixels, 0, 1)
            axes.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
            axes.set_title(caption, fontsize=10)
    save(figure, path)
