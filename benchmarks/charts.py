"""Charts of results: bars of ratios, and lines of cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from minidl.models.plots import save

from .harness import Result

COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:purple", "tab:brown", "tab:gray")


def ratios(results: Sequence[Result], path: str | Path) -> None:
    """Draw a bar for the ratio of each compared result, by group, with its spread."""
    groups = list(dict.fromkeys(r.group for r in results))
    rows = [r for r in results if r.ratio is not None]
    rows.sort(key=lambda r: (groups.index(r.group), r.ratio))
    figure = Figure(figsize=(9, 1.3 + 0.34 * len(rows)), layout="constrained")
    axes = figure.subplots()
    most = 0.0
    for at, row in enumerate(rows):
        assert row.ratio is not None and row.spread is not None
        low, high = row.spread
        error = [[row.ratio - low], [high - row.ratio]]
        colour = COLOURS[groups.index(row.group) % len(COLOURS)]
        first = row.group not in [r.group for r in rows[:at]]
        axes.barh(
            at, row.ratio, xerr=error, color=colour, ecolor="black", capsize=2, height=0.7,
            label=row.group if first else None,
        )  # fmt: skip
        beside = max(high, 1.0)  # not on the line at 1
        axes.text(beside, at, f"  {row.ratio:.2f}  {row.reference}", va="center", fontsize=8)
        most = max(most, beside)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlim(0, max(1.1, most) * 1.45)  # the text beside the longest bar needs room
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.invert_yaxis()
    if any(groups):
        figure.legend(loc="outside upper center", ncols=len(groups), frameon=False)
    threads = ", ".join(sorted({str(row.threads) for row in rows}))
    axes.set_xlabel(f"our time / the fastest reference's, threads: {threads}; below 1 ours is less")
    save(figure, path)


def ratios_of_runs(runs: Sequence[Sequence[Result]], path: str | Path) -> None:
    """Draw a group of bars for each name: its ratio in each run, by number of threads."""
    names = [r.name for r in runs[0] if r.ratio is not None]
    height = 0.8 / len(runs)
    figure = Figure(figsize=(9, 1.4 + 0.5 * len(names)), layout="constrained")
    axes = figure.subplots()
    most = 1.0
    for i, run in enumerate(runs):
        rows = {r.name: r for r in run if r.ratio is not None}
        ratios = [rows[name].ratio or 0.0 if name in rows else 0.0 for name in names]
        at = [k + (i - (len(runs) - 1) / 2) * height for k in range(len(names))]
        threads = f"{run[0].threads} thread{'s' if run[0].threads > 1 else ''}"
        bars = axes.barh(at, ratios, height=0.92 * height, color=COLOURS[i], label=threads)
        axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
        most = max(most, *ratios)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlim(0, 1.12 * most)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("our time / PyTorch's in its best mode; below 1 ours is less")
    figure.legend(loc="outside upper center", ncols=len(runs), frameon=False)
    save(figure, path)


Lines = Mapping[str, Sequence[tuple[float, float]]]  # name -> (x, y), (x, y), ...


def costs(
    panels: Sequence[Sequence[tuple[str, str, Lines]]], path: str | Path, *, y_label: str
) -> None:
    """Draw rows of panels (title, x label, lines), both axes logarithmic; "torch" is dashed."""
    down, across = len(panels), len(panels[0])
    figure = Figure(figsize=(4.6 * across, 3.4 * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    for axes, (title, x_label, lines) in zip(
        grid.flat, (panel for row in panels for panel in row), strict=True
    ):
        for name, points in lines.items():
            x, y = zip(*points, strict=True)
            axes.plot(x, y, "o--" if "torch" in name else "o-", label=name)
        axes.set(title=title, xlabel=x_label, ylabel=y_label)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        at = sorted({x for points in lines.values() for x, _ in points})
        heights = [y for points in lines.values() for _, y in points]
        axes.set_xticks(at)
        axes.set_ylim(min(heights) / 2, max(heights) * 2)  # so that the axis has some powers of 2
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(plain)
            axis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
        axes.legend()
    save(figure, path)
