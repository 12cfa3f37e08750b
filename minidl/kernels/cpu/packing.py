"""Windows as the panels of factors that the micro-kernel reads, and back.

One pass over w each, as wide as memory is: as algebra on whole arrays, the factors of a window of
512 x 256 channels take longer than all products of a small batch with them.
"""

from __future__ import annotations

from . import turning
from .board import parallel
from .compiling import inner
from .pieces import clear, zeros


@inner
def _sum_of(factors, flat, first, step, out):
    """out = the sum over i of factors[i], which are 1, 0 or -1, times what there is in flat from
    first + i step on."""
    T, found = flat.dtype.type, False
    for i in range(len(factors)):
        a, factor = flat[first + i * step :][: out.size], T(factors[i])
        if factors[i] != 0 and found:
            for k in range(out.size):
                out[k] += factor * a[k]
        elif factors[i] != 0:
            found = True
            for k in range(out.size):
                out[k] = factor * a[k]
    if not found:
        clear(out)


@inner
def _gather(w, turned, first, begin, out):
    """out (rows, columns) = w (C, O) from row `begin` and column `first` on, zeros beyond; turned:
    from column `begin` and row `first` on, with rows and columns exchanged."""
    rows, columns = out.shape
    used = min(columns, w.shape[0 if turned else 1] - first)
    if used < columns:
        clear(out.reshape(-1))
    if turned:
        turning.turned(w, (first, first + used), (begin, begin + rows), out.reshape(-1), columns)
    else:
        for r in range(rows):
            source, to = w[begin + r, first : first + used], out[r]
            for q in range(used):
                to[q] = source[q]


@inner
def _matters(factors, tap):
    found = False
    for a in range(len(factors)):
        found = found or factors[a, tap] != 0
    return found


@parallel
def pack_factors(w, turned, down, across, panels, part):
    """All factors, sum over k, l of down[a, k] across[b, l] w[k, l], of w (K, L, C, O) in panels
    first to last - 1 of (panels, factors C, wide); turned: with inputs and outputs exchanged. Some
    inputs at a time: what is added up stays in the nearest caches."""
    (K, L, C, O), wide = w.shape, panels.shape[2]
    if turned:
        C = O
    some = max(1, min(128, C))
    windows = zeros(K * L * some * wide, w.dtype)
    lines = zeros(L * some * wide, w.dtype)
    for p in range(part.first, part.last):
        for begin in range(0, C, some):
            here = min(some, C - begin)
            taps = windows[: K * L * here * wide].reshape((K, L, here * wide))
            sums = lines[: L * here * wide].reshape((L, here * wide))
            for k in range(K):
                for l in range(L):
                    if _matters(down, k) and _matters(across, l):
                        _gather(w[k, l], turned, p * wide, begin,
                                taps[k, l].reshape((here, wide)))  # fmt: skip
            for a in range(len(down)):
                for l in range(L):
                    _sum_of(down[a], windows, l * here * wide, L * here * wide, sums[l])
                for b in range(len(across)):
                    row = (a * len(across) + b) * C + begin
                    _sum_of(across[b], lines, 0, here * wide,
                            panels[p, row : row + here].reshape(-1))  # fmt: skip


@parallel
def windows_of_factors(dU, down, across, dw, part):
    """The transpose of that: the gradient dw (K, L, C, O) of dU (a's factors, b's, C, O) for the
    inputs first to last - 1. down (K, a's factors), across (L, b's)."""
    (K, L, _, O), (factors, others, C, _), flat = dw.shape, dU.shape, dU.reshape(-1)
    lines = zeros(factors * O, dw.dtype)
    for c in range(part.first, part.last):
        for l in range(L):
            for a in range(factors):
                _sum_of(across[l], flat, (a * others * C + c) * O, C * O,
                        lines[a * O : (a + 1) * O])  # fmt: skip
            for k in range(K):
                _sum_of(down[k], lines, 0, O, dw[k, l, c])
