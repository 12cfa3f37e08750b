"""The layout of a graph: boxes in layers, with few crossing lines and no overlaps.

The method is that of Sugiyama, Tagawa & Toda (1981), in four steps: choose a layer for each box;
add a stop (a dummy node) wherever a line passes a layer; order each layer by barycentres; choose
places that keep lines straight.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

Point = tuple[float, float]

BESIDE = 26.0  # the space between two boxes of a layer
STOP = 14.0  # the width of a line that passes a layer
STRAIGHT = 18.0  # the straight end of a line, above its box: space for a word beside it
GAP, WIDEST_GAP = 46.0, 110.0  # the space between two layers, where lines run
SWEEPS = 12


@dataclass(frozen=True)
class Place:
    """The upper left corner and the size of a box."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """The places of boxes and lines, and the size of the whole.

    lines: for each edge, its points. Straight vertical lines and curves join them in turn, a
    straight line first.
    """

    boxes: list[Place]
    lines: list[list[Point]]
    width: float
    height: float


def arrange(sizes: list[tuple[float, float]], edges: list[tuple[int, int]]) -> Layout:
    """Return the layout of a graph.

    sizes: (width, height) of each box. edges: (older, younger), the numbers of two boxes, with
    older < younger.
    """
    layer = _layers(len(sizes), edges)
    # Nodes are the boxes, and after them the stops of long lines; an edge becomes a chain of nodes.
    widths = [width for width, _ in sizes]
    chains: list[list[int]] = []
    for a, b in edges:
        stops = list(range(len(widths), len(widths) + layer[b] - layer[a] - 1))
        widths += [STOP] * len(stops)
        layer += range(layer[a] + 1, layer[b])
        chains.append([a, *stops, b])
    rows = _ordered(layer, chains)
    x = _placed(rows, widths, chains, len(sizes))

    links = [pair for chain in chains for pair in pairwise(chain)]
    far = [0.0] * len(rows)  # how far the lines above each layer go sideways
    for a, b in links:
        far[layer[b]] = max(far[layer[b]], abs(x[a] - x[b]))
    tops, bottoms, y = [], [], 0.0
    for i, row in enumerate(rows):
        y += min(WIDEST_GAP, max(GAP, 0.3 * far[i])) if i else 0.0
        tops.append(y)
        y += max((sizes[v][1] for v in row if v < len(sizes)), default=0.0)
        bottoms.append(y)
    places = []
    for v, (width, height) in enumerate(sizes):
        middle = (tops[layer[v]] + bottoms[layer[v]]) / 2
        places.append(Place(x[v] - width / 2, middle - height / 2, width, height))

    ports = _ports(places, chains, x)
    lines = []
    for chain, port in zip(chains, ports, strict=True):
        first, last = places[chain[0]], places[chain[-1]]
        points = [(x[chain[0]], first.y + first.height), (x[chain[0]], bottoms[layer[chain[0]]])]
        for stop in chain[1:-1]:
            points += [(x[stop], tops[layer[stop]]), (x[stop], bottoms[layer[stop]])]
        points += [(port, tops[layer[chain[-1]]] - STRAIGHT), (port, last.y)]
        lines.append(points)
    # A line that passes beside all boxes of a layer may reach furthest to the right.
    return Layout(places, lines, max(x[v] + w / 2 for v, w in enumerate(widths)), y)


def _layers(count: int, edges: list[tuple[int, int]]) -> list[int]:
    """Return the layer of each box: an op below its inputs, a leaf just above its first user."""
    layer, made = [0] * count, {b for _, b in edges}
    below: dict[int, list[int]] = defaultdict(list)
    for a, b in sorted(edges, key=lambda edge: edge[1]):
        layer[b] = max(layer[b], layer[a] + 1)
        below[a].append(b)
    for a in below:
        if a not in made:
            layer[a] = min(layer[b] for b in below[a]) - 1
    return layer


def _ordered(layer: list[int], chains: list[list[int]]) -> list[list[int]]:
    """Return the nodes of each layer from left to right, in an order with few crossings."""
    above: dict[int, list[int]] = defaultdict(list)
    below: dict[int, list[int]] = defaultdict(list)
    for chain in chains:
        for a, b in pairwise(chain):
            above[b].append(a)
            below[a].append(b)
    rows: list[list[int]] = [[] for _ in range(max(layer) + 1)]
    seen: set[int] = set()

    todo = [max(range(len(layer)), key=lambda v: (layer[v], -v))]  # from the loss upward
    todo = sorted((v for v in range(len(layer)) if not below[v]), reverse=True) + todo
    while todo:
        v = todo.pop()
        if v not in seen:
            seen.add(v)
            rows[layer[v]].append(v)
            todo += reversed(above[v])

    best, fewest = [list(row) for row in rows], _crossings(rows, above)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        downward = sweep % 2 == 0
        near = above if downward else below
        where = {v: float(k) for row in rows for k, v in enumerate(row)}
        for row in rows if downward else reversed(rows):
            row.sort(key=lambda v: _mean([where[u] for u in near[v]], where[v]))
            where.update((v, k) for k, v in enumerate(row))
        crossings = _crossings(rows, above)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best


def _crossings(rows: list[list[int]], above: dict[int, list[int]]) -> int:
    """Return the number of pairs of lines that cross.

    The upper ends are read in the order of the lower ends. Each pair in the wrong order crosses.
    """
    total = 0
    for upper, row in pairwise(rows):
        where = {v: k for k, v in enumerate(upper)}
        seen: list[int] = []
        for v in row:
            ends = sorted(where[u] for u in above[v])
            total += sum(len(seen) - bisect_left(seen, end + 1) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _mean(numbers: list[float], otherwise: float) -> float:
    return sum(numbers) / len(numbers) if numbers else otherwise


def _placed(
    rows: list[list[int]], widths: list[float], chains: list[list[int]], boxes: int
) -> list[float]:
    """Return the middle of each node: near its neighbours in other layers, without overlaps."""
    x = [0.0] * len(widths)
    near: dict[int, list[tuple[int, float]]] = defaultdict(list)
    made = {v for chain in chains for v in chain[1:]}
    for chain in chains:
        for a, b in pairwise(chain):
            # Long lines should be straight, and so should chains of ops, with leaves beside them.
            stiff = 1.0 + 3.0 * (a >= boxes) + 3.0 * (b >= boxes) if a in made else 0.01
            near[a].append((b, stiff))
            near[b].append((a, stiff))
    for row in rows:
        _spread(row, widths, x, [0.0] * len(row), [1.0] * len(row))
    for sweep in range(4 * SWEEPS):
        for row in rows if sweep % 2 else reversed(rows):
            weights = [sum(s for _, s in near[v]) or 1e-3 for v in row]
            wish = [
                sum(s * x[u] for u, s in near[v]) / w if near[v] else x[v]
                for v, w in zip(row, weights, strict=True)
            ]
            _spread(row, widths, x, wish, weights)
    left = min(x[v] - widths[v] / 2 for v in range(len(widths)))
    return [at - left for at in x]


def _spread(
    row: list[int], widths: list[float], x: list[float], wish: list[float], weights: list[float]
) -> None:
    """Set x of a row as near to the wishes as its order and widths allow, in least squares.

    After the least distances are subtracted, the places only must not decrease. This is isotonic
    regression, solved by pooling neighbours that violate the order.
    """
    offsets = [0.0]
    for a, b in pairwise(row):
        offsets.append(offsets[-1] + (widths[a] + widths[b]) / 2 + BESIDE)
    pools: list[tuple[float, float, int]] = []  # (mean, weight, members)
    for wanted, offset, weight in zip(wish, offsets, weights, strict=True):
        pool = (wanted - offset, weight, 1)
        while pools and pools[-1][0] > pool[0]:
            mean, w, members = pools.pop()
            total = w + pool[1]
            pool = ((mean * w + pool[0] * pool[1]) / total, total, members + pool[2])
        pools.append(pool)
    means = [mean for mean, _, members in pools for _ in range(members)]
    for v, mean, offset in zip(row, means, offsets, strict=True):
        x[v] = mean + offset


def _ports(places: list[Place], chains: list[list[int]], x: list[float]) -> list[float]:
    """Return the place on its box where each line ends. Lines lie side by side, in their order."""
    ports = [0.0] * len(chains)
    ends: dict[int, list[int]] = defaultdict(list)
    for i, chain in enumerate(chains):
        ends[chain[-1]].append(i)
    for box, lines in ends.items():
        lines.sort(key=lambda i: (x[chains[i][-2]], i))
        for k, i in enumerate(lines):
            ports[i] = places[box].x + places[box].width * (k + 1) / (len(lines) + 1)
    return ports
