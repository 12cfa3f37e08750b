"""Winograd's minimal filtering: the matrices that the convolution kernels use, and what they mean.

Along one axis, two outputs y of a filter w over inputs x are

    y = A ((G w) * (B x))

where * multiplies element by element (Winograd 1980; Lavin & Gray 2016, eq. 5, who write B^T for B
and A^T for A). The number of products is the number of rows of G, instead of outputs times taps.
Over both axes, with a matrix product over the channels,

    U = G w G^T        V = B x B^T        y = A (U V) A^T

**A doubled picture.** Nearest up-sampling repeats each pixel, so the two outputs at pixel x1 are
those of the filter at (x0, x1, x1) and at (x1, x1, x2). With S = w0 + w1 + w2,

    y0 = S x1 - w0 (x1 - x0)          y1 = S x1 + w2 (x2 - x1)

three products instead of six; over both axes nine for four outputs, instead of 36.

**Stride 2.** Two neighbouring outputs both see x2 (Huang et al., AAAI 2020):

    y0 = (w0 + w2) x2 + w0 (x0 - x2) + w1 x1
    y1 = (w0 + w2) x2 + w2 (x4 - x2) + w1 x3

five products instead of six; over both axes 25 instead of 36. A filter of four taps has two such
pairs, on even and on odd inputs: 36 products instead of 64.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...device import Array


class Matrices(NamedTuple):
    """B (products, inputs), G (products, taps) and A (outputs, products) along one axis."""

    B: list[list[int]]
    G: list[list[int]]
    A: list[list[int]]


UPSAMPLE_2 = Matrices(
    B=[[0, 1, 0], [-1, 1, 0], [0, -1, 1]],
    G=[[1, 1, 1], [-1, 0, 0], [0, 0, 1]],
    A=[[1, 1, 0], [1, 0, 1]],
)
UPSAMPLE_2_BACK = Matrices(  # the gradient of one pixel, whose outputs are 1 and 2 of four
    B=[[0, 1, 1, 0], [0, 1, 0, -1], [1, 0, -1, 0]],
    G=[[1, 1, 1], [-1, 0, 0], [0, 0, 1]],
    A=[[1, 1, 1]],
)
STRIDE_2 = {  # by the number of taps
    3: Matrices(
        B=[[0, 0, 1, 0, 0], [1, 0, -1, 0, 0], [0, 1, 0, 0, 0], [0, 0, -1, 0, 1], [0, 0, 0, 1, 0]],
        G=[[1, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0]],
        A=[[1, 1, 1, 0, 0], [1, 0, 0, 1, 1]],
    ),
    4: Matrices(
        B=[
            [0, 0, 1, 0, 0, 0],
            [0, 0, 0, 1, 0, 0],
            [1, 0, -1, 0, 0, 0],
            [0, 1, 0, -1, 0, 0],
            [0, 0, -1, 0, 1, 0],
            [0, 0, 0, -1, 0, 1],
        ],
        G=[[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
        A=[[1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 1, 1]],
    ),
}


def transform_filter(w: Array, down: Matrices, across: Matrices) -> Array:
    """w (K, L, C, O) -> U = G w G^T (products down, products across, C, O)."""
    return np.einsum("ak,klco,bl->abco", down.G, w, across.G)


def transform_input(x: Array, down: Matrices, across: Matrices) -> Array:
    """x (inputs down, inputs across, C) of a tile -> V = B x B^T (products, products, C)."""
    return np.einsum("ai,ijc,bj->abc", down.B, x, across.B)


def tile(x: Array, w: Array, down: Matrices, across: Matrices) -> Array:
    """The outputs (2, 2, O) of one tile: A (U V) A^T of x (inputs down, inputs across, C) and w
    (K, L, C, O)."""
    U, V = transform_filter(w, down, across), transform_input(x, down, across)
    products = np.einsum("abc,abco->abo", V, U)
    return np.einsum("ra,abo,sb->rso", down.A, products, across.A)
