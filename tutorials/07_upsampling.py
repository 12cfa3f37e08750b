# %% [markdown]
# # Lesson 7: making pictures larger
#
# A convolution with stride 2 halves a picture. A network that fills a hole must also go the other
# way: from a few numbers back to many pixels. In this lesson you
#
# 1. double a picture by repeating its pixels, and derive the gradient;
# 2. meet the *transposed convolution*, and the matrix that gives it its name;
# 3. break it, and see the checkerboards that it draws;
# 4. make "doubling, then a convolution" cost a quarter of its multiplications, exactly.

# %%
import inspect
import time

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

from minidl import Tensor, gradcheck_cases, gradients, kernels, losses, nn, ops, optim
from minidl.kernels.algorithms import winograd
from minidl.tools import summary

rng = np.random.default_rng(0)
plt.rcParams.update({"figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False})


def show(pictures, titles, size=2.6, **options):
    """Pictures side by side."""
    _, axes = plt.subplots(1, len(pictures), figsize=(size * len(pictures), size + 0.3))
    for axis, picture, title in zip(np.atleast_1d(axes), pictures, titles, strict=True):
        axis.imshow(picture, **{"cmap": "gray", "vmin": 0, "vmax": 1, **options})
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    plt.tight_layout()
    plt.show()


def seconds(function, repeats=5):
    """Return the shortest time of a few runs, after a warm-up run."""
    function()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times)


# %% [markdown]
# ## 1. Repeat every pixel
#
# The simplest way to double a picture is to write each pixel four times. This is
# *nearest-neighbour up-sampling*: $y_{ij} = x_{\lfloor i/2 \rfloor, \lfloor j/2 \rfloor}$. The
# loops below follow the formula. Pictures are arrays `(N, H, W, C)`: number, rows, columns,
# channels.


# %%
def upsample_loops(x):
    N, H, W, C = x.shape
    y = np.empty((N, 2 * H, 2 * W, C), x.dtype)
    for n in range(N):
        for i in range(2 * H):
            for j in range(2 * W):
                y[n, i, j] = x[n, i // 2, j // 2]
    return y


def upsample(x):
    return x.repeat(2, axis=1).repeat(2, axis=2)


cat = data.chelsea().mean(axis=2)[90:154, 110:174] / 255  # 64 x 64 pixels, an eye
small = cat.reshape(32, 2, 32, 2).mean(axis=(1, 3)).astype(np.float32)  # 2 x 2 pixels become one
x = small[None, :, :, None]

assert np.array_equal(upsample_loops(x), upsample(x))
slow, fast = seconds(lambda: upsample_loops(x)), seconds(lambda: upsample(x))
print(f"loops {1e3 * slow:.2f} ms, repeat {1e3 * fast:.3f} ms: {slow / fast:.0f} times faster")
show([small, upsample(x)[0, :, :, 0], cat], ["small, 32 x 32", "doubled, 64 x 64", "the original"])

# %% [markdown]
# ### Its gradient
#
# Let $g = \partial L / \partial y$. The pixel $x_{ij}$ was written to four places, so it
# influences the loss $L$ along four paths, and the chain rule adds them up:
#
# $$\frac{\partial L}{\partial x_{ij}} = g_{2i,2j} + g_{2i,2j+1} + g_{2i+1,2j} + g_{2i+1,2j+1}$$
#
# The forward pass copies, so the backward pass sums. `reshape` puts the four next to each other. A
# random $g$ and one difference quotient check the result (lesson 2).


# %%
def upsample_grad(g):
    N, H, W, C = g.shape
    return g.reshape(N, H // 2, 2, W // 2, 2, C).sum(axis=(2, 4))


x64, g64 = rng.standard_normal((1, 3, 4, 2)), rng.standard_normal((1, 6, 8, 2))
step = np.zeros_like(x64)
step[0, 1, 2, 1] = 1e-6  # move one pixel
quotient = ((upsample(x64 + step) - upsample(x64 - step)) * g64).sum() / 2e-6
print(f"difference quotient {quotient:.8f}, our gradient {upsample_grad(g64)[0, 1, 2, 1]:.8f}")

# %% [markdown]
# ## 2. Let a window smooth the blocks, and learn how
#
# A doubled picture is made of blocks. A convolution after it can smooth them: the window below,
# whose weights are $\frac14 (1, 2, 1)$ along rows and columns, mixes every pixel with its
# neighbours. But we need not choose the weights: nine numbers can be learned. We take patches of
# photographs, halve them, double them, and train the window to come as close as possible to the
# original.

# %%
smooth = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32)[:, :, None, None] / 16
zero = np.zeros(1, np.float32)

photographs = [data.camera(), data.coffee().mean(axis=2), data.rocket().mean(axis=2)]


def patches(count, side=32):
    """Return patches (count, side, side, 1) in [0, 1] of photographs, half of them mirrored."""
    out = np.empty((count, side, side, 1), np.float32)
    for n in range(count):
        photo = photographs[rng.integers(len(photographs))]
        i, j = (int(rng.integers(size - side)) for size in photo.shape)
        patch = photo[i : i + side, j : j + side] / 255
        out[n, :, :, 0] = patch[:, ::-1] if rng.integers(2) else patch
    return out


def halve(y):
    N, H, W, C = y.shape
    return y.reshape(N, H // 2, 2, W // 2, 2, C).mean(axis=(2, 4))


window = Tensor(np.zeros((3, 3, 1, 1), np.float32), "window")
bias = Tensor(np.zeros(1, np.float32), "bias")
bank = patches(1000)
inner = (slice(None), slice(2, -2), slice(2, -2))  # the rim sees the zeros around the picture
adam = optim.Adam([window, bias], lr=0.05)
for step in range(800):
    adam.lr = optim.warmup_cosine(0.05, step, 800)  # small steps at the end
    y = bank[rng.integers(0, len(bank), 16)]
    prediction = ops.conv2d(ops.upsample2d(halve(y)), window, bias)
    loss = losses.mean_squared_error(prediction[inner], y[inner])
    adam.step(gradients(loss, [window, bias]))
print(np.round(window.data[:, :, 0, 0], 3))


# %%
def psnr(a, b):
    """Peak signal-to-noise ratio in dB, of pixels in [0, 1]: larger is closer."""
    return -10 * np.log10(((a - b) ** 2).mean())


doubled = upsample(x)
smoothed = ops.conv2d(doubled, smooth, zero).data
learned = ops.conv2d(doubled, window, bias).data
pictures = [p[0, 2:-2, 2:-2, 0] for p in (doubled, smoothed, learned)]
names = ["repeated", "window 1 2 1", "learned window"]
scores = [psnr(p, cat[2:-2, 2:-2]) for p in pictures]
show(pictures, [f"{n}, {s:.2f} dB" for n, s in zip(names, scores, strict=True)])

# %% [markdown]
# The window never saw this cat. Look at its nine numbers. From photographs alone, training has
# found that the best estimate of a pixel uses mostly its own block and a little of the neighbours,
# much like the window 1 2 1 that people chose by hand. A real network has many channels and
# several layers here, and learns its windows in the same way.
#
# ## 3. The transposed convolution
#
# There is a second way to make a picture larger. A matrix explains its name. In one dimension,
# take a window $w = (w_0, w_1, w_2, w_3)$ that moves in steps of 2 over 8 numbers with one zero at
# either end. Each output is a sum of inputs times weights, so the whole convolution is a matrix,
# $y = C x$: here 4 rows, 8 columns. Row $i$ holds $w$, starting at column $2i - 1$.


# %%
def matrix_of(w, size, stride, pad):
    """Return the matrix C of the convolution y = C x of `size` numbers, by its definition."""
    outputs = (size + 2 * pad - len(w)) // stride + 1
    C = np.zeros((outputs, size))
    for i in range(outputs):
        for k, weight in enumerate(w):
            if 0 <= stride * i + k - pad < size:
                C[i, stride * i + k - pad] = weight
    return C


w = np.array([1.0, 3.0, 2.0, 0.5])
C = matrix_of(w, 8, stride=2, pad=1)
_, axes = plt.subplots(1, 2, figsize=(7, 3), width_ratios=[2, 1])
for axis, matrix, title in zip(axes, (C, C.T), ("C: from 8 to 4", "C': from 4 to 8"), strict=True):
    axis.imshow(matrix, cmap="Blues")
    axis.set_title(title)
    for (i, j), value in np.ndenumerate(matrix):
        axis.text(j, i, f"{value:g}" if value else "", ha="center", va="center")
plt.show()

# %% [markdown]
# The transposed matrix $C^\top$ goes from 4 numbers to 8. **A transposed convolution is the map $x
# \mapsto C^\top x$.** It does not undo the convolution ($C^\top C$ is not the identity). But you
# have met it already: the gradient goes back through it,
#
# $$y = C x \quad\Rightarrow\quad
# \frac{\partial L}{\partial x} = C^\top \frac{\partial L}{\partial y}.$$
#
# So no new kernel is needed: its forward pass is a convolution's backward pass, and its backward
# pass is a convolution.
#
# The columns of $C^\top$ show how to compute it: **every input stamps the whole window, times
# itself, onto the output**. Each stamp is two places further than the one before. Where stamps
# overlap, they add up.


# %%
def stamp(x, w, stride, pad):
    """x (P,) -> ((P - 1) stride + K - 2 pad,): the transposed convolution, stamp by stamp."""
    y = np.zeros((len(x) - 1) * stride + len(w))
    for i, value in enumerate(x):
        y[stride * i : stride * i + len(w)] += value * w
    return y[pad : len(y) - pad]


four = np.array([1.0, 0.0, 2.0, -1.0])
print("matrix ", C.T @ four)
print("stamps ", stamp(four, w, stride=2, pad=1))

# %% [markdown]
# The library has this op for pictures. A single pixel that is not zero shows the stamp itself:

# %%
dots = np.zeros((1, 6, 6, 1), np.float32)
dots[0, 1, 1, 0], dots[0, 3, 4, 0] = 1, 0.5
bump = np.outer([1, 3, 3, 1], [1, 3, 3, 1]).astype(np.float32)[:, :, None, None] / 16
stamped = ops.conv_transpose2d(dots, bump, zero, stride=2, padding=1).data
show(
    [dots[0, :, :, 0], stamped[0, :, :, 0]], ["two pixels, 6 x 6", "two stamps, 12 x 12"], vmax=0.6
)

# %% [markdown]
# There is a check that needs no difference quotient: if $B$ is the transpose of $A$, then $\langle
# A x, y \rangle = \langle x, B y \rangle$ for **all** $x$ and $y$.

# %%
a, b = rng.standard_normal((1, 12, 12, 3)), rng.standard_normal((1, 6, 6, 2))
w2 = rng.standard_normal((4, 4, 3, 2))
left = (ops.conv2d(a, w2, np.zeros(2), stride=2, padding=1).data * b).sum()
right = (a * ops.conv_transpose2d(b, w2, np.zeros(3), stride=2, padding=1).data).sum()
print(f"<Ax, y> = {left:.12f}\n<x, By> = {right:.12f}")

# %% [markdown]
# ## 4. Broken on purpose: the checkerboard
#
# Take a window of 3 x 3 and stride 2. Stamps of 3 that move by 2 overlap in every second place
# only. We send a picture through it in which all pixels are equal. This is the result for random
# weights, as at the start of training:

# %%
flat = np.ones((1, 10, 10, 8), np.float32)


def random_window(K, inputs, outputs):
    return (rng.random((K, K, inputs, outputs)) / (K * K * inputs) * 4).astype(np.float32)


odd = ops.conv_transpose2d(flat, random_window(3, 1, 8), zero, stride=2, padding=1).data
even = ops.conv_transpose2d(flat, random_window(4, 1, 8), zero, stride=2, padding=1).data
twice = ops.conv2d(ops.upsample2d(flat), random_window(3, 8, 1), zero).data
pictures = [p[0, 2:-2, 2:-2, 0] for p in (odd, even, twice)]
pictures = [p / p.mean() for p in pictures]
titles = ["transposed 3 x 3", "transposed 4 x 4", "doubled, then 3 x 3"]
spread = [f"spread {100 * p.std():.0f} %" for p in pictures]
show(pictures, [f"{t}, {s}" for t, s in zip(titles, spread, strict=True)], vmax=2)

# %% [markdown]
# The first picture is a checkerboard: some pixels got one stamp, some two, some four, so they are
# about one, two and four times as bright. The network can learn weights that balance this, but it
# begins with the pattern, and traces of it often stay in its pictures. A 4 x 4 window is better:
# every pixel gets four stamps, though with different weights. Doubling first, then convolving with
# stride 1, treats all pixels alike. That is why many networks, and two of the three context
# encoders in this library, double and convolve. The price is speed: the convolution works on four
# times as many pixels. The next two sections win this speed back.
#
# ## 5. The same numbers, multiplied again and again
#
# For one pixel of the small picture, four pixels are made, each from 9 places of the window: 36
# products (for each pair of an input and an output channel). But the doubled picture is full of
# copies. The letters below are the pixels of the small picture; the four windows around its middle
# pixel e see only these:

# %%
letters = upsample(np.array(list("abcdefghi")).reshape(1, 3, 3, 1))[0, :, :, 0]
_, axes = plt.subplots(1, 4, figsize=(9.5, 2.6))
for axis, (i, j) in zip(axes, np.ndindex(2, 2), strict=True):
    axis.imshow([[ord(c) for c in row] for row in letters], cmap="Pastel1")
    for (r, c), letter in np.ndenumerate(letters):
        axis.text(c, r, letter, ha="center", va="center", fontsize=9)
    axis.add_patch(plt.Rectangle((0.5 + j, 0.5 + i), 3, 3, fill=False, linewidth=2.5))
    axis.set_title(f"phase ({i}, {j})", fontsize=9)
    axis.axis("off")
plt.show()

# %% [markdown]
# Each window sees only **four different** pixels. If it sees a pixel several times, we can add the
# weights first. In one dimension, with a window $(w_0, w_1, w_2)$, an even output sees $x_{i-1},
# x_i, x_i$ and an odd one $x_i, x_i, x_{i+1}$:
#
# $$y_{2i} = w_0 x_{i-1} + (w_1 + w_2) x_i, \qquad y_{2i+1} = (w_0 + w_1) x_i + w_2 x_{i+1}.$$
#
# The sums of weights are computed once for a whole picture. So an output costs 2 products instead
# of 3, and in two dimensions 4 instead of 9. There are four *phases*, each a convolution with a 2
# x 2 window: 16 products instead of 36.


# %%
def pad(x):
    return np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))


def doubled_conv(x, w):
    """The definition: double, then the 3x3 convolution, one matrix product for each tap."""
    N, H, W, _ = x.shape
    big = pad(upsample(x))
    y = np.zeros((N, 2 * H, 2 * W, w.shape[3]), x.dtype)
    for k, l in np.ndindex(3, 3):
        y += big[:, k : k + 2 * H, l : l + 2 * W] @ w[k, l]
    return y


def four_phases(x, w):
    """The same: 2 x 2 sums of the window's weights, a small convolution for each phase."""
    N, H, W, _ = x.shape
    around = pad(x)
    y = np.zeros((N, 2 * H, 2 * W, w.shape[3]), x.dtype)
    sums = [[[0], [1, 2]], [[0, 1], [2]]]  # the weights on the first pixel seen, on the second
    for i, j in np.ndindex(2, 2):
        for a, b in np.ndindex(2, 2):
            weight = sum(w[k, l] for k in sums[i][a] for l in sums[j][b])
            y[:, i::2, j::2] += around[:, i + a : i + a + H, j + b : j + b + W] @ weight
    return y


x = rng.standard_normal((8, 32, 32, 64)).astype(np.float32)
w = (rng.standard_normal((3, 3, 64, 64)) / 24).astype(np.float32)
print("largest difference", np.abs(doubled_conv(x, w) - four_phases(x, w)).max())

# %% [markdown]
# ## 6. Three products where there were six
#
# Look at the two formulas again: together, $y_{2i}$ and $y_{2i+1}$ still take four products. Write
# $S = w_0 + w_1 + w_2$ and $d_i = x_i - x_{i-1}$. Then
#
# $$y_{2i} = w_0 x_{i-1} + (S - w_0)\, x_i = S x_i - w_0\, d_i$$
# $$y_{2i+1} = (S - w_2)\, x_i + w_2\, x_{i+1} = S x_i + w_2\, d_{i+1}.$$
#
# $S x_i$ appears in both. So three products, $S x_i$, $w_0 d_i$ and $w_2 d_{i+1}$, give two
# outputs, where the definition needs six. The rest are additions, and these are cheap: with $C$
# input and $O$ output channels, a product costs $C \cdot O$ multiplications for a pixel, a
# difference only $C$ subtractions.
#
# In two dimensions the trick is used along the rows and along the columns: $3 \times 3 = 9$
# products give four outputs, where the definition needs 36. That is **a quarter**, and the result
# is exact but for rounding.


# %%
def three(x, axis):
    """Return x_i, d_i = x_i - x_(i-1) and d_(i+1) along an axis, with zeros outside."""
    d = np.diff(x, axis=axis, prepend=0, append=0)
    size = x.shape[axis]
    return x, d.take(range(size), axis), d.take(range(1, size + 1), axis)


def factors(w):
    """Return S, -w_0 and w_2 along the first axis of a window."""
    return w[0] + w[1] + w[2], -w[0], w[2]


def nine_products(x, w):
    N, H, W, _ = x.shape
    V = [v for rows in three(x, 1) for v in three(rows, 2)]
    U = [u for rows in factors(w) for u in factors(rows)]
    flat = [np.ascontiguousarray(v).reshape(-1, v.shape[3]) for v in V]
    P = [v @ u for v, u in zip(flat, U, strict=True)]  # all multiplications
    P = [p.reshape(N, H, W, -1) for p in P]
    y = np.empty((N, 2 * H, 2 * W, w.shape[3]), x.dtype)
    for i, j in np.ndindex(2, 2):
        a, b = 3 * (1 + i), 1 + j  # product = 3 row + column
        y[:, i::2, j::2] = P[0] + P[a] + P[b] + P[a + b]
    return y


exact = doubled_conv(x.astype(np.float64), w.astype(np.float64))
for function in (doubled_conv, four_phases, nine_products):
    error = np.abs(function(x, w) - exact).max() / np.abs(exact).max()
    print(f"{function.__name__:14} largest error of rounding {error:.1e}")

# %% [markdown]
# All three have rounding errors in the seventh digit, as expected of float32. A wrong sign is
# visible at once:

# %%
right = factors
factors = lambda w: (w[0] + w[1] + w[2], w[0], w[2])  # broken: w_0 has lost its minus
broken = nine_products(x, w)
factors = right
print(f"with a wrong sign: {np.abs(broken - exact).max() / np.abs(exact).max():.2f}")

# %% [markdown]
# Now we measure the time of our three functions and of two kernels of the library: its convolution
# of the doubled picture, and `upsample_conv2d`, which computes the same as `nine_products`.

# %%
b0 = np.zeros(64, np.float32)


def picture_by_picture(x, w):
    return np.concatenate([nine_products(x[n : n + 1], w) for n in range(len(x))])


contestants = {
    "definition, NumPy": (lambda: doubled_conv(x, w), 36),
    "four phases, NumPy": (lambda: four_phases(x, w), 16),
    "nine products, NumPy": (lambda: nine_products(x, w), 9),
    "nine, one by one, NumPy": (lambda: picture_by_picture(x, w), 9),
    "definition, kernel": (lambda: kernels.conv2d(upsample(x), w, b0, 1, (1, 1, 1, 1)), 36),
    "nine products, kernel": (lambda: kernels.upsample_conv2d(x, w, b0), 9),
}
times = {name: seconds(f, 3) for name, (f, _) in contestants.items()}
for name, (_, products) in contestants.items():
    print(f"{name:24} {products:3} products a pixel {1e3 * times[name]:8.1f} ms")

plt.figure(figsize=(7, 2.4))
colours = ["tab:orange"] * 4 + ["tab:blue"] * 2
plt.barh(list(times)[::-1], [1e3 * t for t in times.values()][::-1], color=colours[::-1])
plt.xlabel("milliseconds for 8 pictures of 32 x 32 x 64")
plt.tight_layout()
plt.show()

# %% [markdown]
# In NumPy the nine products need the fewest multiplications, but they are **not** the fastest. On
# most machines they lose to the four phases, and often to the definition too. Each difference,
# product and sum is an array of its own that is written to memory and read again. With one picture
# at a time ("one by one") the same function works on smaller arrays, which is a little faster.
# These arrays still take 4.7 MB for each picture, more than the cache of most cores. The kernel
# works on a few rows at a time, and there the saving is as large as the algebra promises. **Fewer
# multiplications help only if moving the numbers does not cost more.** Lesson 11 is about that.
#
# ## 7. The library's own
#
# In the library, the algebra is three small matrices: the filter transform G, the input transform
# B and the output transform A of Winograd's minimal filtering.

# %%
print(inspect.getsource(winograd))

# %% [markdown]
# These are the three ops of this lesson. Note that `conv_transpose2d` calls the kernels of the
# convolution with their roles exchanged, as the matrix showed.

# %%
print(inspect.getsource(ops.upsample2d))
print(inspect.getsource(ops.conv_transpose2d))
print(inspect.getsource(ops.upsample_conv2d))

# %% [markdown]
# Never trust a gradient:

# %%
for case in gradcheck_cases.OP_CASES:
    if case.name.startswith(("upsample", "conv_transpose")):
        print(f"{case.name:34} relative error {case.error():.1e}")

# %% [markdown]
# As layers they are `nn.Upsample2D`, `nn.ConvTranspose2D` and `nn.UpsampleConv2D`:

# %%
layers = nn.Sequential(
    nn.ConvTranspose2D(16, 8, kernel_size=4, stride=2, padding=1, rng=rng),
    nn.UpsampleConv2D(8, 3, rng=rng),
)
print(summary(layers, (8, 8, 16)))

# %% [markdown]
# ## What to keep
#
# * Doubling copies; its gradient sums what was copied.
# * A transposed convolution is the backward pass of a convolution, used as a forward pass: stamps
#   that add up.
# * Stamps that overlap unevenly draw checkerboards. Doubling and then convolving does not.
# * Copies in the input give common factors. Nine products replace 36.
#
# ## Exercises
#
# Write your answers in `tutorials/exercises/lesson07.py`, and test them with `pytest -m lesson07`.
#
# 1. `upsample` by any factor, and `upsample_grad`, its gradient.
# 2. `conv_transpose`: the transposed convolution in two dimensions, by stamps.
# 3. `upsample_conv1d`: three products for two outputs.
#
# One solution of each is in `tutorials/solutions/lesson07.py`.
#
# **Next**, in lesson 8: networks of a dozen layers, and the tools with which they learn.
