"""Windows as the panels of factors that the micro-kernel reads, and back.

One pass over w each, as wide as memory is: as algebra on whole arrays, the factors of a window of
512 x 256 channels take longer than all products of a small batch with them.
"""

from __future__ import annotations

from .board import parallel
from .compiling import inner
from .pieces import clear, zeros
from .quads import place_of

# --- the phases of a strided gradient (see convolution.py) ----------------------------------------


@parallel
def pack_mirrored(w, tap, stride, panels, part):
    """Of a window w (K, L, C, O), every stride-th tap from `tap` on, in mirrored order and with
    inputs and outputs exchanged: panels first to last - 1 of (panels, taps O, wide)."""
    K, L, C, O = w.shape
    rows, columns = (K - tap[0] + stride - 1) // stride, (L - tap[1] + stride - 1) // stride
    wide = panels.shape[2]
    for p in range(part.first, part.last):
        used = min(wide, C - p * wide)
        for t in range(rows * columns):
            i = tap[0] + stride * (rows - 1 - t // columns)
            j = tap[1] + stride * (columns - 1 - t % columns)
            source = w[i, j, p * wide : p * wide + used]
            for o in range(O):
                row = panels[p, t * O + o]
                for q in range(used):
                    row[q] = source[q, o]
                clear(row[used:])


# --- doubled pictures (see ../doubling.py for the algebra) ----------------------------------------


@inner
def _factors(w, U):
    """The nine factors U (9, O) of windows w (9, O) of one input."""
    for o in range(w.shape[1]):
        w0, w1, w2, w3, w5 = w[0, o], w[1, o], w[2, o], w[3, o], w[5, o]
        w6, w7, w8 = w[6, o], w[7, o], w[8, o]
        left, right = w0 + w3 + w6, w2 + w5 + w8
        U[0, o], U[1, o], U[2, o] = left + (w1 + w[4, o] + w7) + right, -left, right
        U[3, o], U[4, o], U[5, o] = -(w0 + w1 + w2), w0, -w2
        U[6, o], U[7, o], U[8, o] = w6 + w7 + w8, -w6, w8


@parallel
def pack_factors(w, panels, part):
    """doubling.of_window of w (9, C, O) for the inputs first to last - 1, in panels (9, panels, C,
    wide)."""
    O, wide = w.shape[2], panels.shape[3]
    U = zeros(9 * panels.shape[1] * wide, w.dtype).reshape((9, panels.shape[1] * wide))
    for c in range(part.first, part.last):
        _factors(w[:, c], U[:, :O])
        for q in range(9):
            for p in range(panels.shape[1]):
                for k in range(wide):
                    panels[q, p, c, k] = U[q, p * wide + k]


@parallel
def pack_factors_transposed(w, panels, part):
    """Likewise for panels first to last - 1 of (panels, 9 O, wide), w's inputs and
    outputs exchanged. A few outputs at a time: their factors stay in the nearest cache."""
    _, C, O = w.shape
    wide, some = panels.shape[2], 32
    U = zeros(9 * wide * some, w.dtype).reshape((9, wide, some))
    for p in range(part.first, part.last):
        for begin in range(0, O, some):
            end = min(O, begin + some)
            for k in range(min(wide, C - p * wide)):
                _factors(w[:, p * wide + k, begin:end], U[:, k, : end - begin])
            for k in range(max(0, C - p * wide), wide):
                for q in range(9):
                    clear(U[q, k])
            for q in range(9):
                for o in range(begin, end):
                    for k in range(wide):
                        panels[p, q * O + o, k] = U[q, k, o - begin]


@parallel
def windows_of_factors(U, w, part):
    """doubling.to_window in one pass, likewise."""
    for c in range(part.first, part.last):
        for o in range(w.shape[2]):
            u0, u1, u2 = U[0, c, o], U[1, c, o], U[2, c, o]
            u3, u4, u5 = U[3, c, o], U[4, c, o], U[5, c, o]
            u6, u7, u8 = U[6, c, o], U[7, c, o], U[8, c, o]
            w[0, c, o], w[1, c, o], w[2, c, o] = u0 - u1 - u3 + u4, u0 - u3, u0 + u2 - u3 - u5
            w[3, c, o], w[4, c, o], w[5, c, o] = u0 - u1, u0, u0 + u2
            w[6, c, o], w[7, c, o], w[8, c, o] = u0 - u1 + u6 - u7, u0 + u6, u0 + u2 + u6 + u8


# --- quads (see quads.py for their terms) ---------------------------------------------------------


@inner
def _add_times(factor, a, out):
    if factor > 0:
        for k in range(out.size):
            out[k] += a[k]
    elif factor < 0:
        for k in range(out.size):
            out[k] -= a[k]


@inner
def _gather(w, turned, first, begin, out):
    """out (rows, columns) = w (C, O) from row `begin` and column `first` on, zeros beyond; turned:
    from column `begin` and row `first` on, with rows and columns exchanged."""
    rows, columns = out.shape
    used = min(columns, w.shape[0 if turned else 1] - first)
    if used < columns:
        clear(out.reshape(-1))
    if turned:
        for q in range(used):
            source = w[first + q, begin : begin + rows]
            for r in range(rows):
                out[r, q] = source[r]
    else:
        for r in range(rows):
            source, to = w[begin + r, first : first + used], out[r]
            for q in range(used):
                to[q] = source[q]


@inner
def _matters(factors, tap):
    for a in range(len(factors)):
        if factors[a, tap] != 0:
            return True
    return False


@parallel
def pack_terms(w, turned, down, across, groups_down, groups_across, panels, part):
    """The factors of all terms, sum over k, l of down[a, k] across[b, l] w[k, l], of w (K, L, C, O)
    in panels first to last - 1 of (panels, terms C, wide); turned: with inputs and outputs
    exchanged. Some inputs at a time: what is added up stays in the nearest caches."""
    (K, L, C, O), wide, some = w.shape, panels.shape[2], 64
    if turned:
        C = O
    windows = zeros(K * L * some * wide, w.dtype)
    lines = zeros(L * some * wide, w.dtype)
    for p in range(part.first, part.last):
        for begin in range(0, C, some):
            here = min(some, C - begin)
            taps = windows[: K * L * here * wide].reshape((K * L, here, wide))
            sums = lines[: L * here * wide].reshape((L, here * wide))
            for k in range(K):
                for l in range(L):
                    if _matters(down, k) and _matters(across, l):
                        _gather(w[k, l], turned, p * wide, begin, taps[k * L + l])
            for a in range(len(down)):
                for l in range(L):
                    clear(sums[l])
                    for k in range(K):
                        _add_times(down[a, k], taps[k * L + l].reshape(-1), sums[l])
                for b in range(len(across)):
                    row = place_of(a, b, groups_down, groups_across) * C + begin
                    to = panels[p, row : row + here].reshape(-1)
                    clear(to)
                    for l in range(L):
                        _add_times(across[b, l], sums[l], to)


@parallel
def windows_of_terms(dU, down, across, dw, part):
    """The transpose of that: the gradient dw (K, L, C, O) of dU (terms, C, O), a's beside b's, for
    the inputs first to last - 1."""
    (K, L, _, O), terms = dw.shape, len(across)
    line = zeros(len(down) * O, dw.dtype).reshape((len(down), O))
    for c in range(part.first, part.last):
        for l in range(L):
            for a in range(len(down)):
                clear(line[a])
                for b in range(terms):
                    _add_times(across[b, l], dU[a * terms + b, c], line[a])
            for k in range(K):
                clear(dw[k, l, c])
                for a in range(len(down)):
                    _add_times(down[a, k], line[a], dw[k, l, c])
