"""The loops of `quads.py`: differences of inputs, and products of them, unit by unit.

A unit of work is some rows of quads. A job is a panel of a unit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .board import parallel
from .compiling import inner
from .microkernel import ROWS, VECTOR, products
from .pieces import clear, filled, of_job, zeros

INPUT, OTHER, SIGN, FACTOR, GROUP = range(5)  # of a term


class Axis(NamedTuple):
    """The terms along one axis, and how many factors they have, as in `quads.Terms`: the pair j
    begins at the input stride j + corner, and sees `reach` inputs."""

    terms: np.ndarray
    factors: int
    stride: int
    corner: int
    reach: int


@inner
def _along(a, b, sign, out):
    for k in range(out.size):
        out[k] = a[k] + sign * b[k]


@inner
def _apart(line, stride, at, other, sign, out):
    for j in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[j, k] = line[j * stride + at, k] + sign * line[j * stride + other, k]


@inner
def differences(x, quads, down, across, first, last, channels, room):
    """Those of the rows of quads first to last - 1, over all of x (N, H, W, C), in channels =
    (begin, end + 1): (terms, quads, c), a term for each pair of them down and across, side by side
    in room, flat. Beyond the picture all is zero."""
    (_, H, W, C), (begin, end), (tall, wide), T = x.shape, channels, quads, x.dtype.type
    c, rows, terms = end - begin, last - first, (len(down.terms), len(across.terms))
    span, left = (wide - 1) * across.stride + across.reach, across.corner
    line, nothing, room = room[: span * c], room[span * c :][: W * C], room[span * c + W * C :]
    clear(line)
    clear(nothing)
    V = room[: terms[0] * terms[1] * rows * wide * c]
    V = V.reshape((terms[0] * terms[1], rows, wide, c))
    inside = min(max(0, -left), span)  # of the line, what lies in the picture
    ending = max(inside, min(span, W - left))
    run = c if c < C else max(1, ending - inside) * c  # as much as lies side by side
    for r in range(rows):
        n, h = (first + r) // tall, (first + r) % tall * down.stride + down.corner
        for a in range(terms[0]):
            at, other = h + down.terms[a, INPUT], h + down.terms[a, OTHER]
            one = x[n, at].reshape(-1) if 0 <= at < H else nothing
            two = x[n, other].reshape(-1) if 0 <= other < H else nothing
            for k in range(inside * c, ending * c, run):
                source = (k // c + left) * C + begin
                _along(one[source : source + run], two[source : source + run],
                       T(down.terms[a, SIGN]), line[k : k + run])  # fmt: skip
            for b in range(terms[1]):
                _apart(line.reshape((span, c)), across.stride, across.terms[b, INPUT],
                       across.terms[b, OTHER], T(across.terms[b, SIGN]),
                       V[a * terms[1] + b, r])  # fmt: skip
    return V.reshape((terms[0] * terms[1], rows * wide, c))


@inner
def _sums(g, first, last, panels):
    """Of the rows of quads first to last - 1 of g (2 rows, 2 W, O), the sums over the outputs that
    a group of terms belongs to, into panels (panels, rows, W, 9, wide).

    Of the four outputs copied side by side: loops whose length, and arrays whose distances, are
    known beforehand become vectors, and take a third of the time.
    """
    O, (count, height, W, _, _) = g.shape[2], panels.shape
    wide, flat = 2 * VECTOR // g.itemsize, panels.reshape(-1)
    four = zeros(4 * wide, g.dtype)
    for p in range(count):
        used = min(wide, O - p * wide)
        clear(four)
        for r in range(last - first):
            for j in range(W):
                for s in range(4):
                    row, column = 2 * (first + r) + s // 2, 2 * j + s % 2
                    for k in range(used):
                        four[s * wide + k] = g[row, column, p * wide + k]
                to = flat[((p * height + r) * W + j) * 9 * wide :]
                for k in range(wide):
                    a, b, c, d = four[k], four[wide + k], four[2 * wide + k], four[3 * wide + k]
                    to[k] = (a + b) + (c + d)
                    to[wide + k] = a + c
                    to[2 * wide + k] = b + d
                    to[3 * wide + k] = a + b
                    to[4 * wide + k] = a
                    to[5 * wide + k] = b
                    to[6 * wide + k] = c + d
                    to[7 * wide + k] = c
                    to[8 * wide + k] = d


# --- products of them ----------------------------------------------------------------------------


@inner
def _factor(i, j, down, across):
    """Of the term i down and j across."""
    return down.terms[i, FACTOR] * across.factors + across.terms[j, FACTOR]


@inner
def _four(V, quads, down, across, panels, some, bias, sums, y, place, columns, first):
    """y, flat: the products of V (terms, quads, C), each in four, two or one of a quad's outputs,
    the columns in `some` of the panels (panels, factors C, wide). Where all terms are of all four,
    they are one output.

    bias: as wide as all panels. sums (5, quads, as wide): room for what outputs share.
    """
    (terms, count, C), width, across_terms = V.shape, sums.shape[2], len(across.terms)
    a, b, s = V.reshape(-1), panels.reshape(-1), sums.reshape(5, -1)
    apart = panels[0].size, panels.shape[2]
    rows, shared, none = filled(count, C), filled(count, width), filled(count, 0)
    to, zero = filled(count, 0), zeros(width, V.dtype)
    origin, of_picture, of_row, of_column, below, right = place
    for r in range(len(to)):
        row, j = first + rows[r] // C // quads[1], rows[r] // C % quads[1]
        to[r] = origin + row // quads[0] * of_picture + row % quads[0] * of_row + j * of_column
    taps, places = zeros(terms, np.int64), zeros(terms, np.int64)
    single = down.terms[-1, GROUP] == across.terms[-1, GROUP] == 0
    for r in range(1 if single else 3):
        for c in range(1 if single else 3):
            found = 0
            for q in range(terms):
                i, j = q // across_terms, q % across_terms
                if down.terms[i, GROUP] == r and across.terms[j, GROUP] == c:
                    taps[found], places[found] = q * count * C, _factor(i, j, down, across) * C
                    found += 1
            one = two = zero  # where the products start from
            of_one = of_two = none
            ends, out, used = s[c if r == 0 else 2 + r], shared, width
            if r > 0:
                one, of_one = s[0], shared
            elif c == 0:
                one = bias
            if r > 0 and c > 0:
                one, two, of_two = s[2 + r], s[c], shared
            if single or (r > 0 and c > 0):
                ends, out, used = y[max(0, r - 1) * below + max(0, c - 1) * right :], to, columns
            products(a, rows, taps[:found], C, 1, b, places, apart, some, used, ends, out,
                     (one, two), (of_one, of_two))  # fmt: skip


@inner
def _products_grad_u(V, G, down, across, dU, first, add):
    """dU[factor, first + c] = or += the sum over its terms of V[term, :, c] G[group of the term]:
    (factors, C, O), (terms, quads, channels), (panels, quads, 9, wide)."""
    wide, flat = G.shape[3], G.reshape(-1)
    apart = G[0].size, 9 * wide
    (_, quads, channels), width = V.shape, dU.shape[2]
    rows, out, none = filled(channels, 1), filled(channels, width), filled(channels, 0)
    tap, zero, begun = zeros(1, np.int64), zeros(width, V.dtype), zeros(len(dU), np.int64)
    for i in range(len(down.terms)):
        for j in range(len(across.terms)):
            factor, term = _factor(i, j, down, across), V[i * len(across.terms) + j]
            group = 3 * down.terms[i, GROUP] + across.terms[j, GROUP]
            c = dU[factor, first:].reshape(-1)
            start, start_rows = (c, out) if add or begun[factor] else (zero, none)
            begun[factor] = 1
            products(term.reshape(-1), rows, tap, quads, channels, flat[group * wide :], tap, apart,
                     (0, len(G)), width, c, out, (start,), (start_rows,))  # fmt: skip


# --- unit by unit ---------------------------------------------------------------------------------


@parallel
def forward(x, quads, phases, downs, acrosses, panels, places, bias, rooms, sums, y, columns, part):
    """y of x (N, H, W, C), these jobs of it, in so many phases: in the k-th, of the terms downs[k]
    and acrosses[k] with the factors panels[k], output (n, i, j) is the number places[k] @ (1, n,
    i // 2, j // 2, i % 2, j % 2) of y, which is flat. For each part, rooms as `differences` takes
    them, and sums (parts, 5, quads of a unit, columns of all panels)."""
    room, unit, job = rooms[part.which], sums.shape[2] // quads[1], part.first
    while job < part.last:
        u, some = of_job(job, part.last, panels[0].shape[0])
        first, last = u * unit, min(len(x) * quads[0], (u + 1) * unit)
        for k in range(phases):
            V = differences(x, quads, downs[k], acrosses[k], first, last, (0, x.shape[3]), room)
            _four(V, quads, downs[k], acrosses[k], panels[k], some, bias, sums[part.which], y,
                  places[k], columns, first)  # fmt: skip
        job += some[1] - some[0]


@parallel
def grad_u(x, g, quads, down, across, rooms, sums, of_parts, by_units, part):
    """The gradient dU (factors, C, O) of x (N, H, W, C) and g (2 rows of quads, 2 W, O), of_parts
    (parts or 1, factors, C, O): by units, each part sets its own to what its units give; else it
    sets its tiles of channels of the first to what all give. For each part, rooms as `differences`
    takes them, and sums (parts, panels, unit, W, 9, wide)."""
    room, G, dU = rooms[part.which], sums[part.which], of_parts[0]
    (count, unit, W, _, wide), rows = G.shape, len(x) * quads[0]
    channels, units = (0, x.shape[3]), (part.first, part.last)
    if by_units:
        dU = of_parts[part.which]
    else:
        channels = part.first * ROWS, min(x.shape[3], part.last * ROWS)
        units = 0, (rows + unit - 1) // unit
    for u in range(units[0], units[1]):
        first, last = u * unit, min(rows, (u + 1) * unit)
        V = differences(x, quads, down, across, first, last, channels, room)
        _sums(g, first, last, G)
        _products_grad_u(V, G.reshape((count, unit * W, 9, wide)), down, across, dU, channels[0],
                         u > units[0])  # fmt: skip
