"""The definition of every kernel, in plain NumPy: to be read, and to test other kernels against.

Where no shape is given, any shape will do: the kernel works element by element. All arrays of a
call have one float type.
"""

from __future__ import annotations

import numpy as np

from ..device import Array
from .checks import Padding
from .flush_to_zero import flush_to_zero, underflow_threshold


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow at either end; 0 below `underflow_threshold`."""
    e = np.exp(-np.abs(x))
    return flush_to_zero(np.where(x >= 0, 1 / (1 + e), e / (1 + e)), underflow_threshold(x.dtype))


def sigmoid_grad(g: Array, y: Array) -> Array:
    """dL/dx of y = sigmoid(x), given g = dL/dy: since y' = y (1 - y), no exponential is needed.

    0 where its size is below `underflow_threshold`.
    """
    return flush_to_zero(g * y * (1 - y), underflow_threshold(y.dtype))


def tanh_grad(g: Array, y: Array) -> Array:
    """dL/dx of y = tanh(x), given g = dL/dy: y' = 1 - y^2."""
    return g * (1 - y * y)


def leaky_relu(x: Array, slope: float) -> Array:
    """slope * x where x <= 0, x elsewhere. Slope 0 is the plain ReLU: 0 there, of infinity too."""
    return np.where(x <= 0, slope * x if slope else 0, x)


def leaky_relu_grad(g: Array, x: Array, slope: float) -> Array:
    """dL/dx of leaky_relu(x, slope), given g = dL/dy. At x = 0 the left-hand slope is taken; with
    slope 0 it is 0 for any g."""
    return np.where(x <= 0, slope * g if slope else 0, g)


def add(a: Array, b: Array) -> Array:
    """a + b, of one shape; either may be a view that repeats a row."""
    return a + b


def squared_distance(a: Array, b: Array) -> Array:
    """The sum of (a - b)^2, (). It is kept in float64."""
    return np.asarray(np.square(a - b).sum(dtype=np.float64)).astype(a.dtype)


def squared_distance_grad(g: Array, a: Array, b: Array) -> Array:
    """dL/da of squared_distance(a, b), given g = dL/dy, ()."""
    return 2 * g * (a - b)


def adam(
    p: list[Array],
    g: list[Array],
    m: list[Array],
    v: list[Array],
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    """One Adam step (Kingma & Ba 2015, algorithm 1), in place on the arrays of p, m and v.

    The i-th arrays of p, g, m and v have one shape and one type.
    lr already holds the correction of the bias: lr * sqrt(1 - beta2^t) / (1 - beta1^t).
    Without a gradient m and v decay; they end at 0 instead of staying subnormal for ever.
    """
    for p_i, g_i, m_i, v_i in zip(p, g, m, v, strict=True):
        m_i[...] = flush_to_zero(m_i + (1 - beta1) * (g_i - m_i), np.finfo(m_i.dtype).tiny)
        v_i[...] = flush_to_zero(v_i + (1 - beta2) * (g_i * g_i - v_i), np.finfo(v_i.dtype).tiny)
        p_i -= lr * m_i / (np.sqrt(v_i) + eps)


def matmul(a: Array, b: Array, bias: Array | None = None) -> Array:
    """a (M, K) b (K, N) + bias (N,) -> (M, N); without a bias, also a batch of such products:
    (B, M, K), (B, K, N) -> (B, M, N).

    Transposed views are as good as arrays in order.
    """
    return a @ b if bias is None else a @ b + bias


def fold(
    total: Array, weight: Array, patches: Array, rows: Array, columns: Array, window: Array
) -> None:
    """Lay patches over a picture, in place on total and weight (H, W), both float64: at each place
    window * patch is added to total, and window to weight.

    patches (R C, size, size), one for each of rows (R,) x columns (C,), which tell where they begin
    and are free of repetition; window (size, size).
    """
    i, j = rows[:, None], columns
    patches = patches.reshape(len(rows), len(columns), *window.shape)
    # One pixel of every patch at a time: the places are then distinct, so that += misses none.
    for y, x in np.ndindex(*window.shape):
        total[i + y, j + x] += window[y, x] * patches[:, :, y, x].astype(np.float64)
        weight[i + y, j + x] += window[y, x].astype(np.float64)


# --- convolution ----------------------------------------------------------------------------------
# Pictures x (N, H, W, C), filters w (K, L, C, O), outputs (N, P, Q, O). padding: the zeros around
# a picture, (top, bottom, left, right). Window (i, j) starts stride * i rows and stride * j columns
# into the padded picture, so that P = (top + H + bottom - K) // stride + 1; Q in the same way.


def _pad(x: Array, padding: Padding) -> Array:
    top, bottom, left, right = padding
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))


def _under(tap: tuple[int, int], outputs: tuple[int, int], stride: int) -> tuple[slice, ...]:
    """Return the part of a padded picture that one tap of the filter visits as the filter moves."""
    (k, l), (p, q) = tap, outputs
    rows = slice(k, k + max(0, stride * (p - 1) + 1), stride)
    return slice(None), rows, slice(l, l + max(0, stride * (q - 1) + 1), stride)


def conv2d(x: Array, w: Array, b: Array | None, stride: int, padding: Padding) -> Array:
    """y[n, i, j] = b + sum over the taps (k, l) of x[n, stride i + k - top, stride j + l - left]
    w[k, l].

    b (O,), or None for no bias.
    """
    padded, (K, L, _, O) = _pad(x, padding), w.shape
    P, Q = (padded.shape[1] - K) // stride + 1, (padded.shape[2] - L) // stride + 1
    y = np.zeros((x.shape[0], P, Q, O), x.dtype)
    for tap in np.ndindex(K, L):
        y += padded[_under(tap, (P, Q), stride)] @ w[tap]
    return y if b is None else y + b


def conv2d_grad_x(
    g: Array, w: Array, size: tuple[int, int], stride: int, padding: Padding
) -> Array:
    """dL/dx (N, *size, C) of y = conv2d(x, w, b, stride, padding), given g = dL/dy (N, P, Q, O)."""
    (top, bottom, left, right), (H, W) = padding, size
    dx = np.zeros((g.shape[0], top + H + bottom, left + W + right, w.shape[2]), g.dtype)
    for tap in np.ndindex(*w.shape[:2]):
        dx[_under(tap, g.shape[1:3], stride)] += g @ w[tap].T
    return dx[:, top : top + H, left : left + W]


def conv2d_grad_w(
    x: Array,
    g: Array,
    kernel_size: tuple[int, int],
    stride: int,
    padding: Padding,
) -> Array:
    """dL/dw (*kernel_size, C, O) of y = conv2d(x, w, b, stride, padding), given g = dL/dy
    (N, P, Q, O)."""
    padded, C, O = _pad(x, padding), x.shape[3], g.shape[3]
    dw = np.zeros((*kernel_size, C, O), x.dtype)
    for tap in np.ndindex(*kernel_size):
        seen = padded[_under(tap, g.shape[1:3], stride)]
        dw[tap] = np.tensordot(seen, g, ((0, 1, 2), (0, 1, 2)))
    return dw


ONE_AROUND = (1, 1, 1, 1)  # what 'same' means for a 3x3 filter at stride 1


def _upsample(x: Array) -> Array:
    return x.repeat(2, axis=1).repeat(2, axis=2)


def upsample_conv2d(x: Array, w: Array, b: Array) -> Array:
    """y (N, 2H, 2W, O): every pixel of x doubled along both axes, then the 3x3 convolution."""
    return conv2d(_upsample(x), w, b, 1, ONE_AROUND)


def upsample_conv2d_grad_x(g: Array, w: Array) -> Array:
    """dL/dx (N, H, W, C) of y = upsample_conv2d(x, w, b), given g = dL/dy (N, 2H, 2W, O)."""
    N, H, W, C = g.shape[0], g.shape[1] // 2, g.shape[2] // 2, w.shape[2]
    doubled = conv2d_grad_x(g, w, (2 * H, 2 * W), 1, ONE_AROUND)
    return doubled.reshape(N, H, 2, W, 2, C).sum(axis=(2, 4))


def upsample_conv2d_grad_w(x: Array, g: Array) -> Array:
    """dL/dw (3, 3, C, O) of y = upsample_conv2d(x, w, b), given g = dL/dy (N, 2H, 2W, O)."""
    return conv2d_grad_w(_upsample(x), g, (3, 3), 1, ONE_AROUND)


# --- statistics of channels ------------------------------------------------------------------
# A channel is an index of the last axis, C long; "over the channel" is over all other axes.


def _over(x: Array) -> tuple[int, ...]:
    return tuple(range(x.ndim - 1))


def channel_sum(x: Array) -> Array:
    """The sum over each channel (C,)."""
    return x.sum(axis=_over(x), dtype=np.float64).astype(x.dtype)


def moments(x: Array, slope: float) -> tuple[Array, Array]:
    """The mean and the variance over each channel of u = leaky_relu(x, slope), (C,) both. The
    variance is the mean square. A slope of 1 takes x as it is, here and below."""
    wide = leaky_relu(x, slope).astype(np.float64)
    return wide.mean(axis=_over(x)).astype(x.dtype), wide.var(axis=_over(x)).astype(x.dtype)


def normalize(x: Array, mean: Array, scale: Array, shift: Array, slope: float) -> Array:
    """(u - mean) scale + shift, the three (C,), of u = leaky_relu(x, slope)."""
    return (leaky_relu(x, slope) - mean) * scale + shift


def batch_norm_sums(g: Array, x: Array, mean: Array, slope: float) -> tuple[Array, Array]:
    """The sums of g and of g (u - mean) over each channel, (C,) both, u = leaky_relu(x, slope)."""
    return channel_sum(g), channel_sum(g * (leaky_relu(x, slope) - mean))


def batch_norm_grad(
    g: Array, x: Array, mean: Array, scale: Array, a: Array, b: Array, slope: float
) -> Array:
    """du/dx (g - a - b (u - mean)) scale, the four (C,): dL/dx of a batch norm of
    u = leaky_relu(x, slope), given g = dL/dy.

    a is the mean of g, b the mean of g (u - mean) / (variance + eps): what reaches u by way of
    the mean and of the variance.
    """
    return leaky_relu_grad((g - a - b * (leaky_relu(x, slope) - mean)) * scale, x, slope)
