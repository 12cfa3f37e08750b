"""Two matrices multiplied with seven products of their quarters, where the schoolbook takes eight.

Cut both into quarters. By definition,

    | a11 a12 |   | b11 b12 |     | a11 b11 + a12 b21   a11 b12 + a12 b22 |
    |         | x |         |  =  |                                       |
    | a21 a22 |   | b21 b22 |     | a21 b11 + a22 b21   a21 b12 + a22 b22 |

are eight products of matrices of half the size. Strassen (1969) found seven that suffice; this is
Winograd's form, which has the fewest additions, 15:

    s1 = a21 + a22      t1 = b12 - b11      p1 = a11 b11     p5 = s3 t3     u = p1 + p4
    s2 = s1 - a11       t2 = b22 - t1       p2 = a12 b21     p6 = s4 b22    v = u + p5
    s3 = a11 - a21      t3 = b22 - b12      p3 = s1 t1       p7 = a22 t4
    s4 = a12 - s2       t4 = b21 - t2       p4 = s2 t2

    | p1 + p2    u + p3 + p6 |
    | v + p7     v + p3      |

Check one: u + p3 + p6 = a11 b11 + s2 t2 + s1 t1 + s4 b22. Put s1 = s2 + a11 and s4 = a12 - s2 in,
and a11 (b11 + t1) + s2 (t1 + t2 - b22) + a12 b22 is left: the first bracket is b12, the second 0.

For matrices of side n, an addition takes n^2 operations and a product n^3. So for large matrices an
eighth of the time is saved. (Cut the quarters again, and again, and n^3 becomes n^2.81. For the
layers of a network only the first cut pays.)

The price is precision: sums are rounded before their differences are taken. For normal numbers the
error of an element is about twice that of the plain sum, see `cpu/gemm/strassen.py`. It is relative
to the largest quarter, not to the element. Where one quarter is a thousand times another, results
from the smaller one have three digits less. An infinite number makes NaN of more than its row and
column. Weights and activations of a layer are of one size.

`cpu/gemm/strassen.py` computes this in pieces that stay in the cache.
"""

from __future__ import annotations

import numpy as np

from ...device import Array


def quarters(m: Array) -> tuple[Array, Array, Array, Array]:
    """m (2 R, 2 C) -> m11, m12, m21, m22, (R, C) each."""
    rows, columns = m.shape[0] // 2, m.shape[1] // 2
    return m[:rows, :columns], m[:rows, columns:], m[rows:, :columns], m[rows:, columns:]


def of_left(a: Array) -> tuple[Array, Array, Array, Array]:
    """Return the sums s1, s2, s3, s4 of a's quarters."""
    a11, a12, a21, a22 = quarters(a)
    s1 = a21 + a22
    s2 = s1 - a11
    return s1, s2, a11 - a21, a12 - s2


def of_right(b: Array) -> tuple[Array, Array, Array, Array]:
    """Return the sums t1, t2, t3, t4 of b's quarters."""
    b11, b12, b21, b22 = quarters(b)
    t1 = b12 - b11
    t2 = b22 - t1
    return t1, t2, b22 - b12, b21 - t2


def product(a: Array, b: Array) -> Array:
    """a (2 M, 2 K) times b (2 K, 2 N), with seven products."""
    a11, a12, _, a22 = quarters(a)
    b11, _, b21, b22 = quarters(b)
    (s1, s2, s3, s4), (t1, t2, t3, t4) = of_left(a), of_right(b)
    p1, p3 = a11 @ b11, s1 @ t1
    u = p1 + s2 @ t2
    v = u + s3 @ t3
    return np.block([[p1 + a12 @ b21, u + p3 + s4 @ b22], [v + a22 @ t4, v + p3]])
