# %% [markdown]
# # Lesson 10: filling holes, the second paper
#
# A *context encoder* (Pathak et al. 2016) sees a picture with a hole and predicts the missing
# pixels. You know its parts: an encoder of convolutions with stride 2 (lesson 6), a decoder that
# doubles (lesson 7), batch norm (lesson 8), and a judge (lesson 9). Three things are new:
#
# 1. the mask, and a loss that counts only in the hole;
# 2. a layer through which every pixel of the hole can see the whole picture;
# 3. two losses at once, one for *where things are* and one for *how things look*.
#
# First you train a small one, on a brick wall, in less than a minute. Then the weights that ship
# with the library fill holes in photographs.

# %%
import inspect
import time

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

from minidl import Tensor, gradients, losses, nn, ops, optim
from minidl.tensor import no_grad

plt.rcParams.update({"figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False})

# %% [markdown]
# ## 1. A picture with a hole
#
# Let $x$ be a picture and $M$ a **mask** of the same size: 1 in the hole, 0 in the known *context*
# around it. The input of the network $F$ is $(1 - M) \odot x$, the picture with its hole filled by
# a constant; $\odot$ multiplies pixel by pixel. No labels are needed: every photograph is an
# exercise and its own solution.
#
# Our photograph is the brick wall of lesson 9, in pieces of 32 x 32 pixels, and the hole is the
# square of 16 x 16 in the middle. The upper two thirds of the wall are for training, the lower
# third is for testing.

# %%
wall = data.brick().reshape(128, 4, 128, 4).mean(axis=(1, 3))
wall = np.clip(0.4 * (wall - wall.mean()) / wall.std(), -1, 1).astype(np.float32)  # in [-1, 1]
SIDE, HOLE = 32, (slice(None), slice(8, 24), slice(8, 24))


def pieces(count, part, rng):
    """Return pieces (count, 32, 32, 1) of a part of the wall, half of them mirrored."""
    out = np.empty((count, SIDE, SIDE, 1), np.float32)
    for n in range(count):
        i, j = (rng.integers(0, size - SIDE + 1) for size in part.shape)
        piece = part[i : i + SIDE, j : j + SIDE]
        out[n, :, :, 0] = piece[:, ::-1] if rng.integers(2) else piece
    return out


def context(x):
    """Return (1 - M) . x, with zero, the middle grey, in the hole."""
    x = x.copy()
    x[HOLE] = 0
    return x


training, unseen = wall[:88], wall[88:]
test = pieces(64, unseen, np.random.default_rng(9))


def strip(pictures, count=9):
    """Join pictures (N, H, W, 1) side by side, with a line between them."""
    return np.concatenate([np.pad(p[:, :, 0], 1) for p in pictures[:count]], axis=1)


def show(strips, titles):
    _, axes = plt.subplots(len(strips), 1, figsize=(9.5, 1.25 * len(strips)))
    for axis, picture, title in zip(np.atleast_1d(axes), strips, titles, strict=True):
        axis.imshow(picture, cmap="gray", vmin=-1, vmax=1)
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    plt.tight_layout()
    plt.show()


show([strip(test), strip(context(test))], ["x, never trained on", "(1 - M) . x"])


def psnr(prediction, target):
    """Return the mean PSNR of the pictures in dB over the hole, for pixels in [-1, 1]."""
    return (-10 * np.log10((((prediction - target) / 2) ** 2).mean(axis=(1, 2, 3)))).mean()


known = (context(test).sum(axis=(1, 2), keepdims=True)) / (SIDE**2 - 16**2)
guess = np.broadcast_to(known, test[HOLE].shape)
print(f"guessing the mean of the context: {psnr(guess, test[HOLE]):.2f} dB")

# %% [markdown]
# ## 2. What does a pixel see?
#
# The encoder halves three times, from 32 x 32 to 4 x 4 pixels with many maps; the decoder doubles
# twice, to the 16 x 16 of the hole. Convolutions are local: an output depends on a window of the
# picture around it and on nothing else. Which window? **Ask the gradient**: the slope of one pixel
# in the middle of the hole along each input pixel.


# %%
def encoder(rng):
    def halve(inputs, outputs):
        conv = nn.Conv2D(inputs, outputs, kernel_size=3, stride=2, rng=rng)
        return [conv, nn.BatchNorm(outputs), nn.LeakyReLU()]

    return [*halve(1, 24), *halve(24, 48), *halve(48, 64)]  # 16 x 16, 8 x 8, 4 x 4


def decoder(rng):
    def double(inputs, outputs):
        conv = nn.UpsampleConv2D(inputs, outputs, rng=rng)
        return [conv, nn.BatchNorm(outputs), nn.LeakyReLU()]

    mix = [nn.Conv2D(64, 64, kernel_size=1, rng=rng), nn.BatchNorm(64), nn.LeakyReLU()]
    last = [nn.Conv2D(24, 1, kernel_size=3, rng=rng), nn.Tanh()]
    return [*mix, *double(64, 48), *double(48, 24), *last]  # 8 x 8, 16 x 16


def generator(seed, channelwise=True):
    rng = np.random.default_rng(seed)
    middle = [nn.ChannelwiseLinear(64, 4, rng=rng), nn.LeakyReLU()] if channelwise else []
    return nn.Sequential(*encoder(rng), *middle, *decoder(rng))


def seen(net, size, channels):
    """Return |d (middle pixel of the output) / d input|, summed over channels."""
    x = Tensor(
        np.random.default_rng(0).normal(0, 0.3, (1, size, size, channels)).astype(np.float32)
    )
    y = net.train(False)(x)
    (g,) = gradients(ops.sum(y[0, y.shape[1] // 2, y.shape[2] // 2]), [x])
    net.train()
    return np.abs(g[0]).sum(axis=-1)


def maps(nets, titles, hole):
    _, axes = plt.subplots(1, len(nets), figsize=(3.2 * len(nets), 3.2))
    for axis, g, title in zip(axes, nets, titles, strict=True):
        outside = np.ones(g.shape, bool)
        outside[hole, hole] = False
        axis.imshow(np.log10(g / g.max() + 1e-6), cmap="magma", vmin=-6, vmax=0)
        start, side = hole.start - 0.5, hole.stop - hole.start
        axis.add_patch(plt.Rectangle((start, start), side, side, fill=False, edgecolor="white"))
        axis.set_title(f"{title}\n{(g[outside] > 0).mean():.0%} of the context seen", fontsize=9)
        axis.axis("off")
    plt.tight_layout()
    plt.show()


nets = [seen(generator(0, channelwise), 32, 1) for channelwise in (False, True)]
maps(nets, ["convolutions only", "with the layer of section 3"], slice(8, 24))

# %% [markdown]
# The white frame is the hole. On the left, the pixel in its middle sees one corner of the context,
# and nearly as much of the hole, which is empty. The next figure shows the same for two real
# networks: one for 256 pixels, from a course report that built the paper in Keras, and this
# library's compact network for 128 pixels.

# %%
from minidl.models import context_encoder

rng = np.random.default_rng(0)
report, _ = context_encoder.build("report", rng=rng, width=0.125)
compact, _ = context_encoder.build("compact", rng=rng, width=0.25)
pair = [seen(report, 256, 3)[::2, ::2], seen(compact, 128, 3)]
maps(pair, ["report (every second pixel)", "compact"], slice(32, 96))

# %% [markdown]
# ## 3. The channel-wise fully connected layer
#
# A fully connected layer between all numbers of the 4 x 4 x 64 bottleneck would solve this, but it
# would need $(64 \cdot 16)^2 \approx 1$ million weights. The paper's layer connects **within each
# map only**: for map $c$, with its $n^2$ pixels as a vector,
#
# $$y_c = W_c^\top x_c + b_c, \qquad W_c \in \mathbb{R}^{n^2 \times n^2}.$$
#
# With $m$ maps of $n \times n$ these are $m n^4$ weights instead of $m^2 n^4$. Information spreads
# over the whole map; a 1 x 1 convolution afterwards mixes the maps. The slow version comes first:


# %%
def channelwise_loops(x, w, b):
    """x (N, n, n, C), w (C, n^2, n^2), b (C, n^2) -> (N, n, n, C)."""
    N, n, _, C = x.shape
    y = np.empty_like(x)
    for k in range(N):
        for c in range(C):
            y[k, :, :, c] = (x[k, :, :, c].reshape(-1) @ w[c] + b[c]).reshape(n, n)
    return y


x = rng.standard_normal((32, 4, 4, 64)).astype(np.float32)
w = rng.standard_normal((64, 16, 16)).astype(np.float32)
b = rng.standard_normal((64, 16)).astype(np.float32)
for name, f in (("loops", channelwise_loops), ("one batch of products", ops.channelwise_linear)):
    f(x, w, b)
    began = time.perf_counter()
    y = f(x, w, b)
    print(f"{name:22} {1e3 * (time.perf_counter() - began):6.2f} ms")
print("largest difference", np.abs(channelwise_loops(x, w, b) - y.data).max())
print(f"weights: {w.size:,} here, {(64 * 16) ** 2:,} if every number met every other")

# %% [markdown]
# ## 4. The first loss: reconstruction
#
# $$L_{rec} = \left\| M \odot \big(x - F((1 - M) \odot x)\big) \right\|^2 \qquad (1)$$
#
# Our $F$ returns only the square of the hole, so $M$ is all ones there. We train with and without
# the channel-wise layer, with everything else equal, and test on the part of the wall that was not
# used for training.


# %%
def predict(net, x):
    """Return the network's predictions for the holes of x, in inference."""
    with no_grad():
        y = net.train(False)(context(x)).data
    net.train()
    return y


def reconstruct(net, steps, hide=context):
    rng = np.random.default_rng(1)
    adam = optim.Adam(net.parameters(), lr=2e-3, beta1=0.5)
    for _ in range(steps):
        x = pieces(24, training, rng)
        error = ops.subtract(net(hide(x)), x[HOLE])
        adam.step(gradients(ops.mean(error * error), net.parameters()))
    return net


def filled(net):
    x = test.copy()
    x[HOLE] = predict(net, test)
    return x


local, first = reconstruct(generator(0, False), 250), reconstruct(generator(0), 250)
rows = [strip(test), strip(filled(local)), strip(filled(first))]
scores = [psnr(predict(net, test), test[HOLE]) for net in (local, first)]
titles = [
    f"{name}, {score:.2f} dB"
    for name, score in zip(("convolutions only", "channel-wise"), scores, strict=True)
]
show(rows, ["x", *titles])

# %% [markdown]
# Both are blurred. They were trained for only a few steps, and as in lesson 9 the best answer is
# the mean of all possible bricks. But the second begins to continue joints through the hole.
#
# ### Broken on purpose: a hole that is not hidden
#
# The easiest mistake in such a training is to forget $(1 - M)$ somewhere. The network then sees
# the pixels that it should predict:

# %%
leaking = reconstruct(generator(0), 150, hide=lambda x: x)
with no_grad():
    cheating = leaking.train(False)(test).data
print(f"the score when it still sees the hole:    {psnr(cheating, test[HOLE]):.2f} dB")
print(
    f"the score with holes that are really empty: {psnr(predict(leaking, test), test[HOLE]):.2f} dB"
)
show([strip(filled(leaking))], ["in use"])

# %% [markdown]
# If it sees the pixels of the hole, it scores better than both honest networks, after fewer steps.
# With an empty hole it is hardly better than the mean. A score that is too good is a bug until
# proven otherwise.
#
# ## 5. The second loss: the judge
#
# $$L_{adv} = \max_D \; \mathbb{E} \big[ \log D(x)
# + \log(1 - D(F((1 - M) \odot x))) \big] \qquad (2)$$
# $$L = \lambda_{rec} L_{rec} + \lambda_{adv} L_{adv} \qquad (3)$$
#
# The judge sees the square alone, real or predicted. $F$ gets no random numbers: the context is
# its input. The paper has $\lambda_{rec} = 0.999$ and $\lambda_{adv} = 0.001$ and trains for days.
# We have seconds, and take $\lambda_{adv} = 0.02$. As in the paper, $F$ learns ten times faster
# than $D$.
#
# We continue the training of section 4's network, once with the first loss alone and once with
# both.


# %%
def copy_of(net):
    twin = generator(0)
    twin.load_state(net.state())
    return twin


def judge(seed):
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Conv2D(1, 24, kernel_size=3, stride=2, rng=rng), nn.LeakyReLU(),
        nn.Conv2D(24, 48, kernel_size=3, stride=2, rng=rng), nn.LeakyReLU(),
        nn.Flatten(), nn.Linear(4 * 4 * 48, 1, rng=rng),
    )  # fmt: skip


def go_on(F, share, steps):
    rng, D, log = np.random.default_rng(2), judge(3), []
    f_adam = optim.Adam(F.parameters(), lr=2e-3, beta1=0.5)
    d_adam = optim.Adam(D.parameters(), lr=2e-4, beta1=0.5)
    bce = losses.binary_cross_entropy
    for step in range(steps):
        f_adam.lr = 2e-3 * min(1, 2 * (1 - step / steps))  # the second half falls to 0
        x = pieces(24, training, rng)
        prediction = F(context(x))
        error = ops.subtract(prediction, x[HOLE])
        loss = (1 - share) * ops.mean(error * error)
        if share:
            real, fake = D(x[HOLE]), D(prediction.data)
            d_loss = 0.5 * (bce(real, 1.0) + bce(fake, 0.0))  # (2), the inner maximum
            d_adam.step(gradients(d_loss, D.parameters()))
            loss = loss + share * bce(D(prediction), 1.0)  # (3)
            log.append(((real.data > 0).mean(), (fake.data < 0).mean()))
        f_adam.step(gradients(loss, F.parameters()))
    return F, np.array(log)


blurred, _ = go_on(copy_of(first), 0, 350)
sharp, right = go_on(copy_of(first), 0.02, 350)
show(
    [strip(x) for x in (context(test), filled(blurred), filled(sharp), test)],
    ["given", "reconstruction alone", "with the judge", "x"],
)


def roughness(x):
    """Return the mean difference of neighbouring pixels, a measure of detail."""
    return np.abs(np.diff(x, axis=1)).mean() + np.abs(np.diff(x, axis=2)).mean()


for name, net in (("reconstruction alone", blurred), ("with the judge", sharp)):
    y = predict(net, test)
    print(f"{name:22} {psnr(y, test[HOLE]):.2f} dB, roughness {roughness(y):.3f}")
print(f"{'x':22}           roughness {roughness(test[HOLE]):.3f}")
print(f"at the end the judge was right about {right[-100:, 0].mean():.0%} of the real squares and "
      f"{right[-100:, 1].mean():.0%} of the painted ones")  # fmt: skip

# %% [markdown]
# This is the paper's trade-off. With the first loss alone the score is good and the picture is
# hazy. With the judge, joints become clear and bright, even where the prediction is wrong, and
# this lowers the PSNR. **A better picture and a better number are not the same**; always show
# both.
#
# ## 6. Other holes
#
# The paper trains with three kinds of holes, the report with a fourth. For irregular holes the
# network returns a whole picture, of which only the hole counts. Here are the four kinds, from the
# library:

# %%
from minidl.models.context_encoder import masks

rng = np.random.default_rng(4)
drawn = [masks.Holes(kind, 128, 64).draw(1, rng)[0][0] for kind in masks.KINDS]
cat = data.chelsea()[:256:2, 90:346:2]
_, axes = plt.subplots(1, 4, figsize=(9.5, 2.6))
for axis, mask, kind in zip(axes, drawn, masks.KINDS, strict=True):
    shown = cat.copy()
    shown[mask] = 255 * masks.MEAN_COLOUR
    axis.imshow(shown)
    axis.set_title(f"{kind}, {mask.mean():.0%} missing", fontsize=9)
    axis.axis("off")
plt.show()

# %% [markdown]
# ## 7. The library's network on photographs
#
# The library ships a context encoder for 128 x 128 pixels, trained for an afternoon on photographs
# of buildings, streets, mountains and seas: first by the reconstruction loss alone, then, its
# encoder frozen, against an adversary. Below, both fill holes of 56 x 56 pixels in four
# photographs that were not used for training, and that mostly show other things than the training
# photographs. We compare them with a **membrane**: a skin stretched over the hole from its border,
# on which every pixel is the mean of its four neighbours. The membrane knows nothing of pictures,
# but is hard to beat in squared error. When the library's network saw one colour in the hole, as
# the paper's does, it was ahead of the membrane by only two thirds of a decibel. Now it sees the
# membrane in the hole, and learns the difference to the truth.

# %%
from minidl.models import zoo
from minidl.models.context_encoder import Inpainter

without = Inpainter.load(zoo.by_name("fill-centre-128-smooth"))
with_adversary = Inpainter.load(zoo.by_name("fill-centre-128"))
mask = np.zeros((128, 128), bool)
mask[36:92, 36:92] = True


def square(pixels, top, left, side):
    """Return a square of a photograph, 128 x 128 pixels in [0, 1]; side: a multiple of 128."""
    step = side // 128
    piece = pixels[top : top + side, left : left + side, :3] / 255
    return piece.reshape(128, step, 128, step, 3).mean(axis=(1, 3)).astype(np.float32)


photographs = {
    "coffee": square(data.coffee(), 20, 150, 256),
    "rocket": square(data.rocket(), 170, 200, 256),
    "astronaut": square(data.astronaut(), 0, 100, 256),
    "chelsea": square(data.chelsea(), 30, 100, 256),
}
_, axes = plt.subplots(4, 5, figsize=(10.4, 8.6))
print("PSNR over the hole, dB   mean colour   membrane   context encoder   and adversary")
for row, (name, picture) in zip(axes, photographs.items(), strict=True):
    given = picture.copy()
    given[mask] = picture[~mask].mean(axis=0)
    smooth = context_encoder.laplace.solve(picture, mask, ~mask)
    ours = [inpainter.inpaint(picture, mask) for inpainter in (without, with_adversary)]
    results = [given, smooth, *ours, picture]
    score = [-10 * np.log10(((r[mask] - picture[mask]) ** 2).mean()) for r in results[:-1]]
    print(f"{name:24} {score[0]:11.2f} {score[1]:10.2f} {score[2]:17.2f} {score[3]:15.2f}")
    for axis, shown in zip(row, results, strict=True):
        axis.imshow(np.clip(shown, 0, 1))
        axis.axis("off")
for axis, title in zip(
    axes[0],
    ("given", "membrane", "context encoder", "and adversary", "photograph"),
    strict=True,
):
    axis.set_title(title, fontsize=9)
plt.tight_layout()
plt.show()

# %% [markdown]
# Look at the strengths and at the weaknesses. The context encoder continues edges and large
# shapes, and with the adversary it adds texture to them. But this texture is rough and often
# wrong, and it does not always improve the score. The network cannot draw an object that the
# surroundings do not suggest: it has never learned faces. It is small, and was trained on other
# scenes; docs/paper2 shows its scores on the kind of photographs it knows.
#
# ## 8. The library's own
#
# These are the losses. Note the rim: the network also predicts a few pixels of the known context,
# so that fillings fit their surroundings. In the paper the pixels of the rim weigh ten times as
# much as the hole's; in the compact network they weigh the same, which was no worse.

# %%
print(inspect.getsource(context_encoder.losses.reconstruction))
print(inspect.getsource(context_encoder.losses.joint))

# %% [markdown]
# This network filled the photographs. Each layer has its shape beside it:

# %%
print(inspect.getsource(context_encoder.networks.CompactGenerator))

# %% [markdown]
# ## What to keep
#
# * The picture is its own label; hide it well.
# * Ask the gradient what a pixel sees. Convolutions alone do not see far enough.
# * The squared error decides where things are, the judge how they look. Show numbers and pictures
#   side by side.
#
# ## Exercises
#
# Write your answers in `tutorials/exercises/lesson10.py`, and test them with `pytest -m lesson10`.
#
# 1. `hide`: the mean colour in holes of any shape.
# 2. `reconstruction`: the loss (1) with a mask for each picture.
# 3. `channelwise_linear`: the layer, without a loop.
#
# One solution of each is in `tutorials/solutions/lesson10.py`.
#
# **Next**, in lesson 11: why the kernels are fast, and how fast they could be.
