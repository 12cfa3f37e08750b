"""The loop of a doubled picture's gradient: nine products of differences, in one sum."""

from __future__ import annotations

from .board import parallel
from .fourfold import differences, filled
from .microkernel import products
from .pieces import of_job, offsets, zeros


@parallel
def grad_x(g, quads, axis, unit, panels, rooms, dx, part):
    """dx (rows of quads x quads, C) of g (N, 2 H, 2 W, O), these jobs of it. For each part, rooms
    as `differences` takes them for `unit` rows of quads."""
    job, (C, O) = part.first, (dx.shape[1], g.shape[3])
    count, _, wide = panels.shape
    zero, apart = zeros(count * wide, g.dtype), (panels[0].size, wide)
    while job < part.last:
        u, some = of_job(job, part.last, count)
        first, last = u * unit, min(len(g) * quads[0], (u + 1) * unit)
        Z = differences(g, quads, axis, axis, first, last, (0, O), rooms[part.which])
        seen = Z.shape[1]
        out = dx[first * quads[1] : last * quads[1]].reshape(-1)
        products(Z.reshape(-1), filled(seen, O), offsets(9, 9, seen * O), O, 1,
                 panels.reshape(-1), apart, some, C, out, filled(seen, C), (zero,),
                 (filled(seen, 0),))  # fmt: skip
        job += some[1] - some[0]
