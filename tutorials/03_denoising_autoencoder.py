# %% [markdown]
# # Lesson 3: the denoising auto-encoder
#
# In this lesson you build the basic part of paper 1 (Xie, Xu, Chen, *Image Denoising and
# Inpainting with Deep Neural Networks*, 2012): a network that gets noisy pieces of photographs and
# learns to answer with clean ones. Nobody tells it what a photograph looks like. You will watch it
# learn this: its weights begin as noise and become strokes.
#
# From lesson 1 you know tensors, ops, gradients and gradient descent. The numbers in brackets are
# the paper's equation numbers.

# %%
import inspect
import time

import matplotlib.pyplot as plt
import numpy as np

from minidl import Tensor, gradients, losses, no_grad, ops, optim
from minidl.models.images.samples import grey, photograph

plt.rcParams.update({"figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False})


def show(pictures, titles, height=2.6):
    """Grey pictures side by side, 0 black and 1 white."""
    _, axes = plt.subplots(1, len(pictures), figsize=(height * len(pictures), height + 0.2))
    for ax, picture, title in zip(axes, pictures, titles, strict=True):
        ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
        ax.set_title(title, fontsize=9)
        ax.axis("off")
    plt.tight_layout()
    plt.show()


# %% [markdown]
# ## 1. Noise, and how to measure it
#
# A clean picture $y$ is damaged: $x = \eta(y)$ (1). Here $\eta$ adds to every pixel a random
# number, drawn from a normal distribution of deviation $\sigma = 25$ grey levels of 255, as a
# camera does in the dark. The two photographs below are for testing alone; the network is never
# trained on them. It learns from the photographs in `training`.

# %%
SIGMA = 25 / 255
rng = np.random.default_rng(0)


def add_noise(clean, rng, sigma=SIGMA):
    return clean + sigma * rng.standard_normal(clean.shape).astype(np.float32)


training = [
    grey(photograph(name))[..., 0]
    for name in ["astronaut", "brick", "coffee", "coins", "grass", "rocket"]
]
camera = grey(photograph("camera"))[80:336, 100:356, 0]
cat = grey(photograph("chelsea"))[:256, 100:356, 0]
noisy_camera, noisy_cat = add_noise(camera, rng), add_noise(cat, rng)

show([camera, noisy_camera, cat, noisy_cat], ["clean", "noisy", "clean", "noisy"])

# %% [markdown]
# How close is one picture to another? The usual measure is the **PSNR**, the peak signal-to-noise
# ratio. It is the mean squared error on a logarithmic scale, in decibel (dB); for pixels in [0, 1]
#
# $$ \text{PSNR}(y, x) = -10 \log_{10} \Big( \frac{1}{n} \sum_i (y_i - x_i)^2 \Big) . $$
#
# More is better: 3 dB more is half the squared error, and 40 dB looks perfect.

# %%


def psnr(clean, other):
    return -10 * np.log10(((clean - other) ** 2).mean())


print(f"noisy camera {psnr(camera, noisy_camera):.2f} dB, noisy cat {psnr(cat, noisy_cat):.2f} dB")

# %% [markdown]
# ## 2. Patches
#
# A network for whole photographs would need millions of weights. But noise is local: to repair a
# pixel, its surroundings are enough. So we work on **patches**: squares of 10 x 10 pixels, written
# as rows of 100 numbers. Here is the slow way to cut them:

# %%
SIZE = 10


def cut_slowly(picture, stride):
    """All patches that begin at every stride-th pixel, (N, SIZE * SIZE)."""
    patches = []
    for row in range(0, picture.shape[0] - SIZE + 1, stride):
        for column in range(0, picture.shape[1] - SIZE + 1, stride):
            patches.append(picture[row : row + SIZE, column : column + SIZE].ravel())
    return np.array(patches)


def cut(picture, stride):
    """The same, without a loop: NumPy can look at a picture as a grid of windows."""
    windows = np.lib.stride_tricks.sliding_window_view(picture, (SIZE, SIZE))
    return windows[::stride, ::stride].reshape(-1, SIZE * SIZE)


for function in [cut_slowly, cut]:
    begin = time.perf_counter()
    patches = function(camera, 2)
    print(f"{function.__name__:10} {1000 * (time.perf_counter() - begin):7.1f} ms, {patches.shape}")
assert (cut(camera, 2) == cut_slowly(camera, 2)).all()

# %% [markdown]
# For training we take patches of all six photographs, and draw some of them at random at each
# step. The noise is new each time, so the network never sees the same input twice.

# %%
pool = np.concatenate([cut(picture, 3) for picture in training])
print(f"{len(pool)} patches to learn from")


def draw(count, rng, sigma=SIGMA):
    """Noisy and clean patches, (count, SIZE * SIZE) both."""
    clean = pool[rng.integers(0, len(pool), count)]
    return add_noise(clean, rng, sigma), clean


some_noisy, some_clean = draw(12, rng)
_, axes = plt.subplots(2, 12, figsize=(9, 1.7))
for patches, row in zip([some_clean, some_noisy], axes, strict=True):
    for patch, ax in zip(patches, row, strict=True):
        ax.imshow(patch.reshape(SIZE, SIZE), cmap="gray", vmin=0, vmax=1)
        ax.axis("off")
plt.show()

# %% [markdown]
# ## 3. The network
#
# An **auto-encoder** has two layers. The first, the *encoder*, turns a patch $x$ into 100 numbers
# $h$, called **hidden units**; the second, the *decoder*, turns them into a patch again:
#
# $$ h(x) = \text{sigmoid}(x\,W + b) \quad (3) \qquad
#    \hat{y}(x) = \text{sigmoid}(h(x)\,W' + b') \quad (4) . $$
#
# The **sigmoid** maps any number into the range from 0 to 1, like a switch that can also be half
# on:

# %%
z = np.linspace(-8, 8, 200)
plt.figure(figsize=(4.5, 2.2))
plt.plot(z, 1 / (1 + np.exp(-z)))
plt.xlabel("$z$")
plt.ylabel("sigmoid$(z)$")
plt.show()

# %% [markdown]
# So a hidden unit is a **detector**: its column of $W$ is a pattern of 10 x 10 numbers, called its
# **filter**. The unit is near 1 where the patch is like the pattern, near 0 where it is the
# opposite. The decoder then adds up patterns of its own, each in proportion to its unit's
# activation.
#
# All weights begin as small random numbers. If they all began as zero, all units would stay the
# same for ever.

# %%
HIDDEN = 100


class Autoencoder:
    """(N, pixels) -> (N, HIDDEN) -> (N, pixels)."""

    def __init__(self, rng):
        pixels = SIZE * SIZE

        def small(shape, scale):
            return Tensor(rng.uniform(-scale, scale, shape).astype(np.float32))

        self.W, self.b = small((pixels, HIDDEN), 0.02), small(HIDDEN, 0)
        self.W2, self.b2 = small((HIDDEN, pixels), 0.2), small(pixels, 0)
        self.parameters = [self.W, self.b, self.W2, self.b2]

    def __call__(self, x):
        h = ops.sigmoid(x @ self.W + self.b)  # (3)
        return ops.sigmoid(h @ self.W2 + self.b2)  # (4)


# %% [markdown]
# The loss is the squared distance between the network's answers and the clean patches: half its
# **sum** over a patch's pixels, averaged over the patches,
#
# $$ \theta = \arg\min_\theta \frac{1}{N} \sum_{i=1}^N
#    \frac12 \big\| y_i - \hat{y}(x_i) \big\|^2 \quad (5) . $$
#
# ($\theta$ stands for all parameters.) Here it does not matter that the loss is a sum over the
# pixels and not a mean. In lesson 4 it matters more than anything else.

# %%


def loss_of(network, noisy, clean):
    error = network(noisy) - clean
    return (error * error).sum() * (0.5 / len(clean))


# %% [markdown]
# ## 4. Training
#
# We begin with gradient descent, as in lesson 1. Each step uses 200 new patches, called a
# **batch**. Their gradient points in nearly the same direction as the gradient of all patches, and
# costs much less.

# %%


def train(network, step, count, sigma=SIGMA, seed=1, look=()):
    """Train for `count` steps; returns the losses, and the filters W at the steps in `look`."""
    rng, curve, seen = np.random.default_rng(seed), [], {}
    for i in range(count):
        if i in look:
            seen[i] = network.W.data.copy()
        noisy, clean = draw(200, rng, sigma)
        loss = loss_of(network, noisy, clean)
        step(gradients(loss, network.parameters))
        curve.append(loss.item())
    return curve, seen


def smooth(curve, width=50):
    """A running mean, to see through the chance of the batches."""
    return np.convolve(curve, np.ones(width) / width, mode="valid")


COUNT = 3000
plain = Autoencoder(np.random.default_rng(0))
sgd = optim.SGD(plain.parameters, lr=0.05)
begin = time.perf_counter()
plain_curve, _ = train(plain, sgd.step, COUNT)
seconds = time.perf_counter() - begin
print(f"{seconds:.1f} s for {COUNT} steps, last loss {smooth(plain_curve)[-1]:.3f}")

# %% [markdown]
# Now we use **Adam**, a kind of gradient descent that gives every parameter a learning rate of its
# own. It computes this rate from the size of the parameter's past gradients. We derive it in
# lesson 8.

# %%
network = Autoencoder(np.random.default_rng(0))
adam = optim.Adam(network.parameters, lr=0.005, beta2=0.99)
begin = time.perf_counter()
curve, filters = train(network, adam.step, COUNT, look=(0, 100, 300, 1000))
filters[COUNT] = network.W.data
seconds = time.perf_counter() - begin
print(f"{seconds:.1f} s for {COUNT} steps, last loss {smooth(curve)[-1]:.3f}")

plt.figure(figsize=(6, 2.8))
plt.semilogy(smooth(plain_curve), label="gradient descent")
plt.semilogy(smooth(curve), label="Adam")
plt.xlabel("steps")
plt.ylabel("loss")
plt.legend()
plt.show()

# %% [markdown]
# ## 5. Filters like strokes
#
# What has the network learnt? We draw the columns of $W$ as 10 x 10 pictures: grey is zero, white
# positive, black negative. Each row shows the same 14 units at a later time.

# %%


def draw_filters(rows, labels, count=14):
    """Draw the same columns of each W as pictures, chosen by the size of their last weights."""
    order = np.argsort(-np.square(rows[-1]).sum(axis=0))[4 : 4 + count]
    _, axes = plt.subplots(len(rows), count, figsize=(0.72 * count, 0.78 * len(rows)))
    for W, label, line in zip(rows, labels, np.atleast_2d(axes), strict=True):
        for unit, ax in zip(order, line, strict=True):
            pattern = W[:, unit].reshape(SIZE, SIZE)
            ax.imshow(pattern, cmap="gray", vmin=-abs(pattern).max(), vmax=abs(pattern).max())
            ax.set(xticks=[], yticks=[])
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    plt.show()


draw_filters(list(filters.values()), [f"after {i}" for i in filters])

# %% [markdown]
# The noise has become **strokes**: light against dark, in all directions, at all places.
# Photographs are made of such strokes. Cells of our own visual cortex answer to the same patterns.
# Nobody put them into our network: it found them, because they separate photographs from noise
# best.
#
# ## 6. Whole photographs
#
# Cut the noisy photograph into patches, send them through the network, and put them back. Where
# patches overlap we take the mean. The slow version comes first, one patch at a time:

# %%


def clean_patches(network, patches):
    with no_grad():  # nothing is learnt here, so no gradients are needed
        return network(patches).data


def restore_slowly(network, picture, stride):
    total, count = np.zeros_like(picture), np.zeros_like(picture)
    for row in range(0, picture.shape[0] - SIZE + 1, stride):
        for column in range(0, picture.shape[1] - SIZE + 1, stride):
            place = slice(row, row + SIZE), slice(column, column + SIZE)
            total[place] += clean_patches(network, picture[place].reshape(1, -1)).reshape(
                SIZE, SIZE
            )
            count[place] += 1
    return np.where(count > 0, total / np.maximum(count, 1), picture)


def restore(network, picture, stride):
    """The same: all patches through the network at once, and laid down one of their pixels at a
    time."""
    rows = range(0, picture.shape[0] - SIZE + 1, stride)
    columns = range(0, picture.shape[1] - SIZE + 1, stride)
    repaired = clean_patches(network, cut(picture, stride)).reshape(
        len(rows), len(columns), SIZE, SIZE
    )
    total, count = np.zeros_like(picture), np.zeros_like(picture)
    for i, j in np.ndindex(SIZE, SIZE):
        place = slice(i, i + rows[-1] + 1, stride), slice(j, j + columns[-1] + 1, stride)
        total[place] += repaired[:, :, i, j]
        count[place] += 1
    return np.where(count > 0, total / np.maximum(count, 1), picture)


for function in [restore_slowly, restore]:
    begin = time.perf_counter()
    result = function(network, noisy_camera, 2)
    seconds = time.perf_counter() - begin
    print(f"{function.__name__:15} {seconds:6.2f} s, {psnr(camera, result):.2f} dB")

# %%
results = {stride: restore(network, noisy_cat, stride) for stride in [10, 5, 2, 1]}
show(
    [picture[60:160, 40:140] for picture in results.values()],
    [f"every {stride} pixels: {psnr(cat, r):.2f} dB" for stride, r in results.items()],
)

# %% [markdown]
# Without overlap the seams are visible. With overlap every pixel gets the answers of many patches,
# and their mean is better than one answer. This needs no more training.

# %%
for clean, noisy in [(camera, noisy_camera), (cat, noisy_cat)]:
    repaired = restore(network, noisy, 2)
    show(
        [clean, noisy, repaired],
        [
            "clean",
            f"noisy: {psnr(clean, noisy):.2f} dB",
            f"repaired: {psnr(clean, repaired):.2f} dB",
        ],
        height=2.8,
    )

# %% [markdown]
# ## 7. Broken on purpose: without noise
#
# What if the inputs are **clean** patches, too? We train the same network for the same time. Its
# task is then to return its input. That is a plain auto-encoder, and it sounds reasonable: should
# it not learn how photographs look?

# %%
copier = Autoencoder(np.random.default_rng(0))
adam = optim.Adam(copier.parameters, lr=0.005, beta2=0.99)
train(copier, adam.step, COUNT, sigma=0.0)

copied = restore(copier, noisy_cat, 2)
repaired = restore(network, noisy_cat, 2)
show(
    [noisy_cat[60:160, 40:140], copied[60:160, 40:140], repaired[60:160, 40:140]],
    [
        f"noisy: {psnr(cat, noisy_cat):.2f} dB",
        f"trained without noise: {psnr(cat, copied):.2f} dB",
        f"trained with noise: {psnr(cat, repaired):.2f} dB",
    ],
    height=2.6,
)
draw_filters([copier.W.data], ["without noise"])
draw_filters([network.W.data], ["with noise"])

# %% [markdown]
# It has learnt to **copy**, and it copies much of the noise as well. (Some noise goes, because a
# hundred units cannot copy a patch exactly, and because overlapping patches are averaged.) Copying
# needs no knowledge of photographs. A *denoising* auto-encoder needs it, because its input is
# damaged and its target is not. The noise is the teacher.
#
# ## 8. The library's own
#
# `models/ssda/network.py` holds the same class. It adds two things that lesson 4 needs: first
# weights and biases with which units are seldom active, and the penalties of equation 6.

# %%
from minidl.models.ssda import DenoisingAutoencoder

print(inspect.getsource(DenoisingAutoencoder))

# %%
print(inspect.getsource(losses.half_squared_error))

# %% [markdown]
# Does it compute the same as ours? We give it our weights.

# %%
theirs = DenoisingAutoencoder(SIZE * SIZE, HIDDEN, rng=np.random.default_rng(0))
for parameter, ours in zip(theirs.parameters(), network.parameters, strict=True):
    parameter.data = ours.data
noisy, clean = draw(500, rng)
print("largest difference of the answers:", np.abs(theirs(noisy).data - network(noisy).data).max())
print("its loss:", losses.half_squared_error(theirs(noisy), clean).item())
print("our loss:", loss_of(network, noisy, clean).item())

# %% [markdown]
# ## Exercises
#
# In `tutorials/exercises/lesson03.py`; test them with `pytest -m lesson03`.
#
# 1. `psnr`, for pictures with pixels from 0 up to any `peak`, such as 255.
# 2. `merge`: put overlapping patches back into a picture.
# 3. `denoising_loss`: equations 3 to 5, from four tensors.
#
# Two more experiments, here in the notebook. Train with `sigma` twice as large: how do the filters
# change? Replace `add_noise` by setting a third of the pixels to 0: can the network fill them in?
#
# **Next**, in lesson 4: two of these networks, stacked, and why most people who try that fail.
