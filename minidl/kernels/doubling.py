"""The algebra of a 3x3 convolution over a picture whose pixels were doubled: 9 products, not 36.

Along one axis, a doubled pixel x[i] is seen by two windows (w0, w1, w2): one holds x[i-1], x[i],
x[i], the other x[i], x[i], x[i+1]. With S = w0 + w1 + w2 and d[i] = x[i] - x[i-1], x zero outside,

    y[2i] = S x[i] - w0 d[i]        y[2i+1] = S x[i] + w2 d[i+1]

so that a pixel costs three products instead of six: of (x[i], d[i], d[i+1]) with (S, -w0, w2). Over
both axes they are nine, shared by four outputs, instead of 36. The nine are numbered 3 a + b: a
tells which of the three along the rows, b along the columns.

The siblings compute these factors in one pass of their own; here is what they mean.
"""

from __future__ import annotations

import numpy as np

from ..device import Array


def of_window(w: Array) -> Array:
    """The nine factors (9, C, O) of a window w (3, 3, C, O)."""
    rows = np.stack([w[0] + w[1] + w[2], -w[0], w[2]])
    both = np.stack([rows[:, 0] + rows[:, 1] + rows[:, 2], -rows[:, 0], rows[:, 2]], axis=1)
    return both.reshape(9, *w.shape[2:])


def to_window(u: Array) -> Array:
    """The transpose of `of_window`: gradients of the nine factors become the window's."""
    both = u.reshape(3, 3, *u.shape[1:])
    columns = (both[:, 0] - both[:, 1], both[:, 0], both[:, 0] + both[:, 2])
    rows = np.stack(columns, axis=1)
    return np.stack([rows[0] - rows[1], rows[0], rows[0] + rows[2]])
