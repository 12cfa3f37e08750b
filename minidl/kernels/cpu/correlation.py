"""The loops of convolutions around the micro-kernel: which numbers it multiplies, unit by unit.

What a unit of work sees of the pictures is copied with zeros around it. A job is a panel of a unit.
"""

from __future__ import annotations

import numpy as np

from .board import parallel
from .compiling import inner
from .microkernel import ROWS, products
from .pieces import clear, filled, of_job, offsets, zeros


@inner
def _copy_padded(x, n, row, column, room):
    """Fill room (rows, columns, C) with x[n] from pixel (row, column) on, and zeros around it."""
    (_, H, W, C), width = x.shape, room.shape[1]
    begin = min(max(0, -column), width)  # of the room's rows, what lies in the picture
    end = max(begin, min(width, W - column))
    for i in range(len(room)):
        line = room[i].reshape(-1)
        if not 0 <= row + i < H:
            clear(line)
            continue
        source = x[n, row + i].reshape(-1)[(column + begin) * C :]
        inside = line[begin * C : end * C]
        for k in range(inside.size):
            inside[k] = source[k]
        clear(line[: begin * C])
        clear(line[end * C :])


@inner
def _pack(matrix, panels, begin):
    """Fill the panels (panels, rows, wide), from row `begin` on, from matrix (some rows, columns),
    and zeros."""
    wide = panels.shape[2]
    for p in range(len(panels)):
        used = min(wide, matrix.shape[1] - p * wide)
        for k in range(len(matrix)):
            source, row = matrix[k, p * wide : p * wide + used], panels[p, begin + k]
            for q in range(used):
                row[q] = source[q]
            clear(row[used:])


@parallel
def correlate(
    x, rooms, panels, bias, window, stride, corner, outputs, y, columns, place, band, part
):
    """y = bias + the windows of x times the panels; these jobs of it.

    x (N, H, W, C); window: its (rows, columns); corner: where the first one begins, (-top, -left);
    outputs: (P, Q) windows of a picture. Output (n, i, j) goes to y[place @ (1, n, i, j)], y flat.
    rooms (parts, pictures, rows, columns, C): what a unit of work sees of so many pictures for
    `band` rows of outputs.
    """
    room = rooms[part.which]
    (N, _, _, C), pictures = x.shape, room.shape[0]
    (K, L), (P, Q), (origin, y_picture, y_row, y_column) = window, outputs, place
    room_picture, room_row = room[0].size, room.shape[2] * C
    taps, places = offsets(K, K, room_row), offsets(K, K, L * C)
    apart = panels[0].size, panels.shape[2]
    length = pictures * band * Q
    rows, out = zeros(length + ROWS, np.int64), zeros(length + ROWS, np.int64)
    no_rows = zeros(length + ROWS, np.int64)  # the bias is one row for all
    bands, job = (P + band - 1) // band, part.first
    while job < part.last:
        u, some = of_job(job, part.last, panels.shape[0])
        n, i, count = u // bands * pictures, u % bands * band, 0
        for g in range(min(pictures, N - n)):
            _copy_padded(x, n + g, i * stride + corner[0], corner[1], room[g])
            for r in range(min(band, P - i)):
                for j in range(Q):
                    rows[count] = g * room_picture + r * stride * room_row + j * stride * C
                    out[count] = origin + (n + g) * y_picture + (i + r) * y_row + j * y_column
                    count += 1
        full = (count + ROWS - 1) // ROWS * ROWS
        for r in range(count, full):
            rows[r], out[r] = rows[count - 1], out[count - 1]
        products(room.reshape(-1), rows[:full], taps, L * C, 1, panels.reshape(-1), places, apart,
                 some, columns, y, out[:full], (bias,), (no_rows[:full],))  # fmt: skip
        job += some[1] - some[0]


@parallel
def correlate_grad_w(
    x, g, rooms, all_panels, window, stride, corner, of_parts, band, by_units, part
):
    """The gradient dw (K L C, O), of_parts (parts or 1, K L C, O): by units, each part sets its own
    to what its units give; else it sets its tiles' rows of the first to what all give.

    g (N, P, Q, O); all_panels (parts, panels, pixels of a unit, wide): room for a unit of it; the
    rest as in `correlate`. Here the sum is over the pixels of outputs, each row of g is a tap.
    """
    room, panels, dw = rooms[part.which], all_panels[part.which], of_parts[0]
    some_rows, units = (0, dw.shape[0]), (part.first, part.last)
    if by_units:
        dw = of_parts[part.which]
    else:
        some_rows = min(part.first * ROWS, dw.shape[0]), min(part.last * ROWS, dw.shape[0])
        units = 0, (len(x) + len(room) - 1) // len(room) * ((g.shape[1] + band - 1) // band)
    clear(dw[some_rows[0] : some_rows[1]].reshape(-1))
    N, P, Q, O = g.shape
    C, L, pictures = x.shape[3], window[1], room.shape[0]
    room_row = room.shape[2] * C
    taps, places = zeros(pictures * band, np.int64), offsets(pictures * band, pictures * band, Q)
    length = some_rows[1] - some_rows[0]
    full = (length + ROWS - 1) // ROWS * ROWS
    rows, out = zeros(full, np.int64), zeros(full, np.int64)
    for r in range(full):
        row = some_rows[0] + min(r, length - 1)
        rows[r] = row // (L * C) * room_row + row % (L * C)
        out[r] = row * O
    flat, bands = dw.reshape(-1), (P + band - 1) // band
    flat_g, wide = g.reshape(-1), panels.shape[2]
    whole = len(panels) * wide == O  # g's channels make panels where they lie
    apart = (wide, O) if whole else (panels[0].size, wide)
    for u in range(units[0], units[1]):
        n, i = u // bands * pictures, u % bands * band
        here, lines = min(pictures, N - n), min(band, P - i)
        for p in range(here):
            _copy_padded(x, n + p, i * stride + corner[0], corner[1], room[p])
            for r in range(lines):
                taps[p * lines + r] = p * room[0].size + r * stride * room_row
            if not whole:
                _pack(g[n + p, i : i + lines].reshape(-1, O), panels, p * lines * Q)
        b = flat_g[(n * P + i) * Q * O :] if whole else panels.reshape(-1)
        products(room.reshape(-1), rows, taps[: here * lines], Q, stride * C, b, places, apart,
                 (0, len(panels)), O, flat, out, (flat,), (out,))  # fmt: skip


# --- few channels ---------------------------------------------------------------------------------


@inner
def _add_windows(windows, dx, channels, first, outputs, stride, corner):
    """Add windows (pixels, K, L C), of the output pixels first, first + 1, ... of one picture, to
    where they came from in dx (H, W C)."""
    H, WC = dx.shape
    count, K, LC = windows.shape
    for r in range(count):
        i, j = (first + r) // outputs[1], (first + r) % outputs[1]
        column = (j * stride + corner[1]) * channels
        begin = min(max(0, -column), LC)  # of the window's row, what lies inside of dx
        end = max(begin, min(LC, WC - column))
        for k in range(K):
            h = i * stride + k + corner[0]
            if 0 <= h < H and begin < end:
                inside, target = windows[r, k, begin:end], dx[h, column + begin : column + end]
                for c in range(inside.size):
                    target[c] += inside[c]


@parallel
def scatter(pixels, panels, rooms, dx, channels, outputs, stride, corner, part):
    """dx (N, H, W C) of these pictures: the windows that pixels (N, P Q, O) times K L C columns in
    panels (panels, O, wide) are, added up. rooms (parts, pixels, K, L C): for the windows of so
    many pixels."""
    windows = rooms[part.which]
    (some, K, LC), (_, O, wide) = windows.shape, panels.shape
    one, nothing = zeros(1, np.int64), zeros(K * LC, dx.dtype)
    for n in range(part.first, part.last):
        clear(dx[n].reshape(-1))
        for first in range(0, pixels.shape[1], some):
            count = min(some, pixels.shape[1] - first)
            products(pixels[n, first:].reshape(-1), filled(count, O), one, O, 1,
                     panels.reshape(-1), one, (O * wide, wide), (0, len(panels)), K * LC,
                     windows.reshape(-1), filled(count, K * LC), (nothing,),
                     (filled(count, 0),))  # fmt: skip
            _add_windows(windows[:count], dx[n], channels, first, outputs, stride, corner)
