# %% [markdown]
# # Lesson 6: convolution, from loops to the fast kernel
#
# Until now a network saw one patch at a time. Neighbouring patches share most of their pixels, and
# the network had to learn every stroke again at every position in the patch. In this lesson you
# build the op that solves both problems: one small window of weights slides over the whole
# picture. You build it with loops, and then in two ways that are hundreds of times faster. You see
# that the more elegant of the two need not be the faster. At the end stands the kernel that the
# library runs.

# %%
import inspect
import time

import matplotlib.pyplot as plt
import numpy as np

from minidl import Tensor, gradcheck, gradients, kernels, op, ops, optim
from minidl.models.images.samples import grey, photograph

plt.rcParams.update({"figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False})


def show(pictures, titles, height=2.6, low=0.0, high=1.0):
    """Grey pictures side by side."""
    _, axes = plt.subplots(1, len(pictures), figsize=(height * len(pictures), height + 0.2))
    for ax, picture, title in zip(axes, pictures, titles, strict=True):
        ax.imshow(picture, cmap="gray", vmin=low, vmax=high)
        ax.set_title(title, fontsize=9)
        ax.axis("off")
    plt.tight_layout()
    plt.show()


# %% [markdown]
# ## 1. A window that slides
#
# A **convolution** lays a small window of weights $w$ on the picture, multiplies each weight by
# the pixel under it, and adds up the products. Then it moves on by one pixel:
#
# $$ y_{ij} = \sum_{k=0}^{2} \sum_{l=0}^{2} x_{i+k,\,j+l}\; w_{kl} . $$
#
# (In mathematics the window is mirrored first. In deep learning it is not, and the name stays the
# same.) The slow version is the formula, letter by letter:

# %%
photo = grey(photograph("camera"))[80:272, 120:312, 0]  # (192, 192)


def slide(x, w):
    """x (H, W), w (K, L) -> (H - K + 1, W - L + 1)."""
    K, L = w.shape
    y = np.zeros((x.shape[0] - K + 1, x.shape[1] - L + 1), x.dtype)
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            for k in range(K):
                for m in range(L):
                    y[i, j] += x[i + k, j + m] * w[k, m]
    return y


windows = {
    "mean": np.full((3, 3), 1 / 9, np.float32),
    "edges from left to right": np.float32([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4,
    "edges from top to bottom": np.float32([[-1, -2, -1], [0, 0, 0], [1, 2, 1]]) / 4,
}
begin = time.process_time()  # the processor time of our program alone
results = {name: slide(photo, w) for name, w in windows.items()}
print(f"{(time.process_time() - begin) / 3:.2f} s for each of the three")
show([photo, results["mean"]], ["the photograph", "mean of 3 x 3"])
edges = [result for name, result in results.items() if name != "mean"]
show(edges, list(windows)[1:], low=-0.4, high=0.4)

# %% [markdown]
# A window is a filter as in lesson 3, but now for **every** place at once. The position of a
# stroke does not matter: if the picture moves, the answer moves with it. And a window has very few
# weights:

# %%
moved = slide(np.roll(photo, 7, axis=1), windows["edges from left to right"])
same = moved[:, 9:-9] == np.roll(results["edges from left to right"], 7, axis=1)[:, 9:-9]
print("the picture moved by 7 pixels gives the same, moved by 7 pixels:", bool(same.all()))
pixels = photo.size
print(f"weights of a layer from all pixels to all pixels: {pixels**2:,}")
print("weights of a 3 x 3 window:", 9)

# %% [markdown]
# ## 2. Many pictures, many channels
#
# A network has a batch of $N$ pictures, and at each pixel not one number but several, its
# **channels**: red, green and blue at first, later the outputs of many windows. Pictures are
# arrays $(N, H, W, C)$. For $O$ output channels, the weights are $(K, L, C, O)$, and each output
# has a bias:
#
# $$ y_{nijo} = b_o + \sum_{k,l,c} x_{n,\,i+k,\,j+l,\,c}\; w_{klco} . $$
#
# These are seven loops. In pure Python that is hopeless, so NumPy computes the sums over $k$, $l$
# and $c$, and we try it on a small input.

# %%


def by_loops(x, w, b):
    """x (N, H, W, C), w (K, L, C, O), b (O,) -> (N, P, Q, O)."""
    (N, H, W, _), (K, L, _, O) = x.shape, w.shape
    y = np.zeros((N, H - K + 1, W - L + 1, O), x.dtype)
    for n in range(N):
        for i in range(H - K + 1):
            for j in range(W - L + 1):
                for o in range(O):
                    y[n, i, j, o] = (x[n, i : i + K, j : j + L] * w[..., o]).sum() + b[o]
    return y


rng = np.random.default_rng(0)
x = rng.normal(size=(1, 50, 50, 16)).astype(np.float32)
w = rng.normal(size=(3, 3, 16, 32)).astype(np.float32)
b = rng.normal(size=32).astype(np.float32)
products = 48 * 48 * 32 * 9 * 16  # multiplications in one such convolution


def timed(function, *arguments, repeat=100):
    """Return the processor time of one call in seconds, and its result."""
    begin = time.process_time()
    for _ in range(repeat):
        answer = function(*arguments)
    return (time.process_time() - begin) / repeat, answer


seconds = {}
seconds["loops"], y = timed(by_loops, x, w, b, repeat=1)
print(f"{products / 1e6:.0f} million multiplications in {seconds['loops']:.2f} s")

# %% [markdown]
# ## 3. Turn the loops inside out
#
# All fast array code uses one trick: put the **short** loops outside and leave the long ones to
# NumPy. The window has only nine places, called **taps**. For one tap, all pixels under it are a
# shifted view of the picture, and all channels at once are a product of matrices:

# %%


def by_taps(x, w, b):
    (N, H, W, _), (K, L, _, O) = x.shape, w.shape
    P, Q = H - K + 1, W - L + 1
    y = np.zeros((N, P, Q, O), x.dtype)
    for k in range(K):
        for m in range(L):
            y += x[:, k : k + P, m : m + Q] @ w[k, m]
    return y + b


seconds["taps"], answer = timed(by_taps, x, w, b)
print(f"{seconds['taps'] * 1000:.1f} ms; largest difference {np.abs(answer - y).max():.1e}")

# %% [markdown]
# ## 4. One product of matrices: im2col
#
# Nine small products read and write the memory nine times. One large product is better: write
# every window as one **row** of a matrix, $K \cdot L \cdot C$ numbers long, and the weights as a
# matrix with $K \cdot L \cdot C$ rows. This is called **im2col**, image to columns. It made
# convolutions fast, because matrix multiplication is the best-tuned routine of any computer.

# %%


def im2col(x, K, L):
    """x (N, H, W, C) -> (N P Q, K L C): every window a row."""
    views = np.lib.stride_tricks.sliding_window_view(x, (K, L), axis=(1, 2))  # (N, P, Q, C, K, L)
    return views.transpose(0, 1, 2, 4, 5, 3).reshape(-1, K * L * x.shape[3])


def by_im2col(x, w, b):
    (N, H, W, _), (K, L, _, O) = x.shape, w.shape
    return (im2col(x, K, L) @ w.reshape(-1, O) + b).reshape(N, H - K + 1, W - L + 1, O)


seconds["im2col"], answer = timed(by_im2col, x, w, b)
print(f"{seconds['im2col'] * 1000:.1f} ms; largest difference {np.abs(answer - y).max():.1e}")
rows = im2col(x, 3, 3)
print(
    f"the picture: {x.nbytes / 2**20:.1f} MiB, the matrix of windows: {rows.nbytes / 2**20:.1f} MiB"
)

# %%
tiny = np.arange(1.0, 17).reshape(1, 4, 4, 1)
_, (left, right) = plt.subplots(1, 2, figsize=(8, 2.6), width_ratios=[1, 2])
for ax, numbers, title in [
    (left, tiny[0, :, :, 0], "a picture of 4 x 4"),
    (right, im2col(tiny, 3, 3), "its four windows of 3 x 3, as rows"),
]:
    ax.imshow(numbers, cmap="Blues", vmin=0, vmax=30)
    for (i, j), value in np.ndenumerate(numbers):
        ax.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=9)
    ax.set(title=title, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# There is a price: each pixel is copied nine times. Is one large product worth that copy? Compare
# the two times above. With many channels it usually is, with few channels it usually is not. The
# library needs no copy: it reads the rows of the matrix directly from the picture, and never
# writes the matrix.
#
# ## 5. 'same' and stride
#
# Every convolution so far has cut off the rim: 50 pixels became 48. Ten layers would cut off
# twenty pixels. So zeros are added around the picture first, so that the output is as large as the
# input. This is called **'same'** padding.
#
# Often the output should be **smaller**. Then the window moves by $s$ pixels at a time, its
# **stride**. With 'same' padding the output has
#
# $$ P = \lceil H / s \rceil \quad\text{pixels, and needs}\quad
#    (P - 1)\, s + K - H \quad\text{zeros (if that is positive).} $$
#
# Half of the zeros go before the pixels, half behind them. If the number of zeros is odd, a
# convention decides where the odd one goes. Keras and TensorFlow put it **behind**, at the bottom
# and on the right.

# %%


def same_padding(size, window, stride):
    """(before, behind) zeros along one side."""
    outputs = -(-size // stride)  # rounded up
    total = max(0, (outputs - 1) * stride + window - size)
    return total // 2, total - total // 2


def draw_windows(ax, size, window, stride):
    """Draw the pixels that each output sees, along one side."""
    before, behind = same_padding(size, window, stride)
    padded = before + size + behind
    for i in range(padded):
        real = before <= i < before + size
        ax.add_patch(plt.Rectangle((i - before, 0), 0.9, 0.9, color="C0" if real else "lightgray"))
    for p, start in enumerate(range(0, padded - window + 1, stride)):
        y = -1 - 0.7 * (p % 3)
        ax.plot([start - before + 0.1, start - before + window - 0.2], [y, y], "C1", lw=4)
    ax.set(xlim=(-2, 10), ylim=(-3, 1.2), title=f"{size} pixels, window {window}, stride {stride}")
    ax.axis("off")


_, axes = plt.subplots(2, 2, figsize=(9, 3.4))
for ax, case in zip(axes.flat, [(7, 3, 1), (8, 3, 2), (7, 3, 2), (8, 4, 2)], strict=True):
    draw_windows(ax, *case)
plt.tight_layout()
plt.show()

# %% [markdown]
# Pixels are blue, zeros are grey, and the orange lines show what each output sees. In the second
# drawing, 8 pixels at stride 2, one zero is needed, and it is on the right.
#
# **Broken on purpose:** put the odd zero on the left instead. `padding=1` in PyTorch does this,
# and it is easy to miss: the shapes are the same, and no error is raised. We halve a photograph
# three times in both ways, with the same window.

# %%


def halve(x, w, pads):
    """'same' with stride 2 if the zeros `pads` = (before, behind) are right."""
    padded = np.pad(x, [(0, 0), pads, pads, (0, 0)])
    return by_taps(padded, w, np.zeros(w.shape[3], x.dtype))[:, ::2, ::2]


blur = np.float32([1, 2, 1])
blur = (blur[:, None] * blur / 16)[:, :, None, None]
once = photo[None, :, :, None]
keras, shifted = once, once
for _ in range(3):
    keras, shifted = halve(keras, blur, (0, 1)), halve(shifted, blur, (1, 0))
show(
    [photo, keras[0, :, :, 0], shifted[0, :, :, 0], np.abs(keras - shifted)[0, :, :, 0]],
    ["192 x 192", "halved three times", "zeros on the other side", "difference"],
)
print(f"mean difference {np.abs(keras - shifted).mean():.3f}; both are {keras.shape}")

# %% [markdown]
# At each halving the windows lie one pixel further to the left and further up; after three layers
# that makes seven pixels of the photograph. If a network is trained with one convention and run
# with the other, it sees everything in the wrong place, and only its bad results show it. `minidl`
# follows Keras, because one of its networks for paper 2 was first written in Keras.
#
# ## 6. The gradients
#
# Walking back is simple with taps. Each tap adds shifted pixels times weights to $y$. So the
# gradient of the pixels is $g$ times the weights, **put back to where the pixels lay** and added
# up, because nine windows saw each pixel. The gradient of the weights is the pixels times $g$.

# %%


@op
def convolution(x, w, b, *, stride=1):
    """x (N, H, W, C), w (K, L, C, O), b (O,) -> (N, P, Q, O), with 'same' padding."""
    (_, H, W, C), (K, L, _, O) = x.shape, w.shape
    rows, columns = same_padding(H, K, stride), same_padding(W, L, stride)
    padded = np.pad(x, [(0, 0), rows, columns, (0, 0)])
    P, Q = -(-H // stride), -(-W // stride)

    def under(k, m):
        """Return the slices of the pixels under a tap as the window moves."""
        return np.s_[:, k : k + stride * P : stride, m : m + stride * Q : stride]

    def grad_x(g):
        total = np.zeros_like(padded)
        for k, m in np.ndindex(K, L):
            total[under(k, m)][:, :P, :Q] += g @ w[k, m].T
        return total[:, rows[0] : rows[0] + H, columns[0] : columns[0] + W]

    def grad_w(g):
        total = np.zeros_like(w)
        for k, m in np.ndindex(K, L):
            seen = padded[under(k, m)].reshape(-1, C)
            total[k, m] = seen.T @ g.reshape(-1, O)
        return total

    y = sum(padded[under(k, m)] @ w[k, m] for k, m in np.ndindex(K, L)) + b
    return y, grad_x, grad_w, lambda g: g.sum(axis=(0, 1, 2))


# %% [markdown]
# Never trust a gradient. We use the library's checker (lesson 2) on odd and even sizes, and
# compare with the library's own op:

# %%
for size, stride in [((5, 6), 1), ((5, 7), 2), ((6, 4), 2), ((7, 8), 3)]:
    inputs = [Tensor(rng.normal(size=shape)) for shape in [(2, *size, 2), (3, 3, 2, 3), (3,)]]
    error = gradcheck.check(lambda *t, s=stride: convolution(*t, stride=s), inputs, rng=rng)
    ours, theirs = convolution(*inputs, stride=stride), ops.conv2d(*inputs, stride=stride)
    difference = np.abs(ours.data - theirs.data).max()
    print(
        f"{size}, stride {stride}: gradients err by {error:.1e}, values differ by {difference:.1e}"
    )

# %% [markdown]
# ## 7. Learning a window
#
# Lesson 1 found an unknown change of brightness and contrast. Now somebody has put a photograph
# through an unknown window. We have the photograph before and after. What was the window?

# %%
secret = np.float32([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])[:, :, None, None]
before = photo[None, :96, :96, None]
after = ops.conv2d(before, secret, np.zeros(1, np.float32)).data

guess, bias = Tensor(np.zeros((3, 3, 1, 1), np.float32)), Tensor(np.zeros(1, np.float32))
adam, curve, on_the_way, count = optim.Adam([guess, bias], lr=0.2), [], {}, 3000
for step in range(count + 1):
    if step in (0, 100, 500, count):
        on_the_way[step] = guess.data[:, :, 0, 0].copy()
    adam.lr = 0.2 * min(1, 2 * (1 - step / count))  # shorter steps towards the end
    error = ops.conv2d(before, guess, bias) - after
    loss = (error * error).mean()
    adam.step(gradients(loss, [guess, bias]))
    curve.append(loss.item())

_, axes = plt.subplots(1, 5, figsize=(10, 2.3))
for ax, (step, window) in zip(
    axes, [*on_the_way.items(), ("secret", secret[:, :, 0, 0])], strict=True
):
    ax.imshow(window, cmap="RdBu", vmin=-5, vmax=5)
    for (i, j), value in np.ndenumerate(window):
        ax.text(j, i, f"{value:.1f}", ha="center", va="center", fontsize=8)
    ax.set(title=f"after {step}" if step != "secret" else "the secret", xticks=[], yticks=[])
plt.show()
print(f"loss at first {curve[0]:.4f}, at last {curve[-1]:.1e}")
show([before[0, :, :, 0], after[0, :, :, 0]], ["before", "after: sharpened"])

# %% [markdown]
# ## 8. The library's own
#
# `minidl/kernels/reference.py` defines what each kernel **means**. You have just written this one:

# %%
print(inspect.getsource(kernels.reference.conv2d))

# %% [markdown]
# The kernel that **runs** on a CPU is compiled by Numba. It never writes the matrix of windows.
# Every row of that matrix lies in the picture already, in `K` pieces of `L C` numbers. So the loop
# over products reads each piece where it is, and keeps a small tile of sums in the processor's
# registers.

# %%
from minidl.kernels.cpu.conv import direct_loops

print(inspect.getsource(direct_loops.direct_conv))

# %%
no_pad = (0, 0, 0, 0)
kernels.conv2d(x, w, b, 1, no_pad)  # the first call compiles
seconds["minidl"], answer = timed(kernels.conv2d, x, w, b, 1, no_pad)
print(f"largest difference {np.abs(answer - y).max():.1e}")

plt.figure(figsize=(6.5, 2.4))
plt.barh(list(seconds), [1000 * s for s in seconds.values()])
plt.xscale("log")
plt.xlabel("milliseconds, one thread")
for i, (name, s) in enumerate(seconds.items()):
    plt.text(1000 * s, i, f"  {1000 * s:.1f} ms, {2 * products / s / 1e9:.1f} GFLOP/s", va="center")
    print(f"{name:7} {seconds['loops'] / s:8.0f} times as fast as loops")
plt.xlim(right=1000 * seconds["loops"] * 60)
plt.gca().invert_yaxis()
plt.show()

# %% [markdown]
# (A GFLOP/s is a thousand million multiplications or additions per second. Lesson 11 compares this
# with the peak of the processor.)
#
# ## Exercises
#
# In `tutorials/exercises/lesson06.py`; test them with `pytest -m lesson06`.
#
# 1. `same_padding`: how many zeros before and behind, for any size, window and stride.
# 2. `im2col` with a stride.
# 3. `conv2d`: both together, as one product of matrices.
#
# **Next**, in lesson 7: the way back, from small pictures to large ones.
