"""The filter transform U = G w G^T, straight into panels, and its adjoint.

Each is one pass over w at the speed of memory. In NumPy, on whole arrays, the transform of
512 x 256 channels would take longer than all products of a small batch with it.
"""

from __future__ import annotations

from ..gemm.pack_filter import load_tap
from ..runtime.arrays import clear, zeros
from ..runtime.jit import device_function
from ..runtime.jobs import parallel_jit
from ..tuning import FILTER_BLOCK


@device_function
def _linear_combination(weights, flat, first, step, out):
    """Compute out, the sum over i of weights[i] flat[first + i step :][: out.size].

    The weights are 1, 0 or -1.
    """
    T, found = flat.dtype.type, False
    for i in range(len(weights)):
        a, weight = flat[first + i * step :][: out.size], T(weights[i])
        if weights[i] != 0 and found:
            for k in range(out.size):
                out[k] += weight * a[k]
        elif weights[i] != 0:
            found = True
            for k in range(out.size):
                out[k] = weight * a[k]
    if not found:
        clear(out)


@device_function
def _is_used(G, tap):
    """Return whether any row of G uses the tap."""
    found = False
    for a in range(len(G)):
        found = found or G[a, tap] != 0
    return found


@parallel_jit
def transform_filter(w, down, across, transposed, panels, chunk):
    """Compute U = down w across^T in panels (panels, transformed taps C, NR), those of this chunk.

    w (K, L, C, O). down (transformed taps, K), across (transformed taps, L): rows of G. transposed:
    exchange input and output channels. At most FILTER_BLOCK input channels are transformed at a
    time, so that the sums stay in the cache.
    """
    (K, L, C, O), NR = w.shape, panels.shape[2]
    if transposed:
        C = O
    block = max(1, min(FILTER_BLOCK, C))
    all_taps = zeros(K * L * block * NR, w.dtype)
    all_sums = zeros(L * block * NR, w.dtype)
    for p in range(chunk.first, chunk.last):
        for begin in range(0, C, block):
            # Pass 1: the taps of this panel and these channels.
            here = min(block, C - begin)
            taps = all_taps[: K * L * here * NR].reshape((K, L, here * NR))
            sums = all_sums[: L * here * NR].reshape((L, here * NR))
            for k in range(K):
                for l in range(L):
                    if _is_used(down, k) and _is_used(across, l):
                        load_tap(w[k, l], transposed, begin, p * NR,
                                 taps[k, l].reshape((here, NR)))  # fmt: skip
            # Pass 2: down the rows, then across the columns.
            for a in range(len(down)):
                for l in range(L):
                    _linear_combination(down[a], all_taps, l * here * NR, L * here * NR, sums[l])
                for b in range(len(across)):
                    row = (a * len(across) + b) * C + begin
                    _linear_combination(across[b], all_sums, 0, here * NR,
                                        panels[p, row : row + here].reshape(-1))  # fmt: skip


@parallel_jit
def filter_gradient(dU, down, across, dw, chunk):
    """Compute dw (K, L, C, O) = down dU across^T, for the input channels of this chunk.

    It is the adjoint of `transform_filter`. dU (T, S, C, O): the gradient of the T x S transformed
    taps. down (K, T), across (L, S): G^T along either axis.
    """
    (K, L, _, O), (taps_down, taps_across, C, _), flat = dw.shape, dU.shape, dU.reshape(-1)
    lines = zeros(taps_down * O, dw.dtype)
    for c in range(chunk.first, chunk.last):
        for l in range(L):
            for a in range(taps_down):
                _linear_combination(across[l], flat, (a * taps_across * C + c) * O, C * O,
                                    lines[a * O : (a + 1) * O])  # fmt: skip
            for k in range(K):
                _linear_combination(down[k], lines, 0, O, dw[k, l, c])
