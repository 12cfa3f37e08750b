# %% [markdown]
# # Lesson 9: two players
#
# All our networks so far were trained by a squared error. In this lesson a network is trained by
# **another network**, which learns at the same time. Together they are called a *generative
# adversarial network*, GAN (Goodfellow et al. 2014). You
#
# 1. see why a squared error gives grey;
# 2. train a judge alone, and compare it with the best possible judge;
# 3. let two players compete over points in the plane, and watch them;
# 4. break the balance, and see a *collapse*;
# 5. generate bricks that no photograph contains.

# %%
import inspect

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

from minidl import Tensor, gradients, losses, nn, ops, optim
from minidl.tensor import no_grad

plt.rcParams.update({"figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False})

# %% [markdown]
# ## 1. A squared error gives the mean
#
# Here are pieces of a brick wall, 16 x 16 pixels each. Suppose that a network must draw such a
# piece from nothing, or the missing half of one. There are many right answers, and it cannot know
# which one is meant. Under the squared error, its best answer for each pixel is the number that is
# closest to all of them:
#
# $$\arg\min_y \; \mathbb{E}\,(y - x)^2 = \mathbb{E}\, x ,$$
#
# the mean of all right answers.

# %%
wall = data.brick().reshape(128, 4, 128, 4).mean(axis=(1, 3))  # a quarter of the size
wall = np.clip(0.4 * (wall - wall.mean()) / wall.std(), -1, 1).astype(np.float32)


def pieces(count, rng):
    """Return random pieces of the wall (count, 16, 16, 1) in [-1, 1], half of them mirrored."""
    out = np.empty((count, 16, 16, 1), np.float32)
    for n in range(count):
        i, j = rng.integers(0, 128 - 15, 2)
        piece = wall[i : i + 16, j : j + 16]
        out[n, :, :, 0] = piece[:, ::-1] if rng.integers(2) else piece
    return out


def sheet(pictures, columns=8):
    """Join pictures (N, 16, 16, 1) into one, with a thin line between them."""
    rows = len(pictures) // columns
    framed = np.pad(pictures[: rows * columns, :, :, 0], ((0, 0), (0, 1), (0, 1)))
    return framed.reshape(rows, columns, 17, 17).transpose(0, 2, 1, 3).reshape(rows * 17, -1)


def show(pictures, titles, width=4.2):
    _, axes = plt.subplots(1, len(pictures), figsize=(width * len(pictures), 2.6))
    for axis, picture, title in zip(np.atleast_1d(axes), pictures, titles, strict=True):
        axis.imshow(picture, cmap="gray", vmin=-1, vmax=1)
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    plt.tight_layout()
    plt.show()


rng = np.random.default_rng(0)
some = pieces(2000, rng)
average = np.broadcast_to(some.mean(axis=0), (32, 16, 16, 1))
show(
    [sheet(some[:32]), sheet(average)], ["pieces of the wall", "the answer of least squared error"]
)

# %% [markdown]
# The answer is grey. It is the best answer under the squared error, but it does not look like a
# brick. We need a loss that says: *this does not look like a brick*. We cannot write such a loss
# as a formula. But we can train a network to distinguish real pieces from generated ones: a
# **discriminator** $D$. And we can train a second network, the **generator** $G$, whose pieces $D$
# takes for real. $G$ gets random numbers $z$, so that each answer is different.
#
# ## 2. The judge alone
#
# $D$ returns one number, a *logit* $d$, and $\sigma(d) = 1/(1 + e^{-d})$ is its estimate of the
# probability that $x$ is real. Real $x$ have the density $p(x)$, generated $x$ the density $q(x)$.
# The loss of $D$ is the *binary cross-entropy*:
#
# $$L_D = -\tfrac12\, \mathbb{E}_{x \sim p} \log \sigma(d(x))
#         -\tfrac12\, \mathbb{E}_{x \sim q} \log\,(1 - \sigma(d(x))).$$
#
# What is the best $D$? For each $x$ it chooses $s = \sigma(d(x))$ to minimise $-p \log s - q
# \log(1 - s)$. The derivative, $-p/s + q/(1 - s)$, is zero at
#
# $$\boxed{\ s(x) = \frac{p(x)}{p(x) + q(x)}\ }$$
#
# **A trained judge computes the ratio of two densities**, without knowing either of them. Let us
# test this in one dimension, with two hills for $p$ and one for $q$:


# %%
def hill(x, centre, width):
    return np.exp(-0.5 * ((x - centre) / width) ** 2) / (width * np.sqrt(2 * np.pi))


def draw_p(n, rng):
    return rng.choice([-1.5, 1.0], (n, 1)) + rng.normal(0, 0.4, (n, 1))


def draw_q(n, rng):
    return rng.normal(0.5, 1.2, (n, 1))


def perceptron(inputs, outputs, seed, width=64):
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Linear(inputs, width, rng=rng), nn.LeakyReLU(),
        nn.Linear(width, width, rng=rng), nn.LeakyReLU(),
        nn.Linear(width, outputs, rng=rng),
    )  # fmt: skip


def cross_entropy_slow(logits, target):
    """Compute the formula as it is written: a sigmoid, then a logarithm."""
    p = ops.sigmoid(logits)
    return ops.mean(-(target * ops.log(p) + (1 - target) * ops.log(1 - p)))


D = perceptron(1, 1, seed=0)
adam = optim.Adam(D.parameters(), lr=0.002)
for _ in range(800):
    real, other = (draw(256, rng).astype(np.float32) for draw in (draw_p, draw_q))
    loss = 0.5 * (cross_entropy_slow(D(real), 1.0) + cross_entropy_slow(D(other), 0.0))
    adam.step(gradients(loss, D.parameters()))

x = np.linspace(-4, 4, 300).astype(np.float32)[:, None]
p, q = (hill(x, -1.5, 0.4) + hill(x, 1, 0.4)) / 2, hill(x, 0.5, 1.2)
plt.figure(figsize=(7, 2.8))
plt.fill_between(x[:, 0], p[:, 0], alpha=0.3, label="p, real")
plt.fill_between(x[:, 0], q[:, 0], alpha=0.3, label="q, other")
plt.plot(x, p / (p + q), "k--", label="p / (p + q)")
plt.plot(x, ops.sigmoid(D(x)).data, "tab:red", label="the trained judge")
plt.legend(fontsize=8)
plt.show()

# %% [markdown]
# The judge has found the black line, best where there are many samples. (Far outside there are no
# samples, and its answer means nothing. Remember this.)
#
# **Broken on purpose:** what if the judge is very sure? In float32, $\sigma(20)$ is exactly 1.

# %%
sure = Tensor(np.float32([[20.0]]))
with np.errstate(divide="ignore", invalid="ignore"):
    slow = cross_entropy_slow(sure, 0.0)
    print("-log(1 - sigmoid(20)):", slow.item(), " gradient", gradients(slow, [sure])[0])
fast = losses.binary_cross_entropy(sure, 0.0)
print("the library's loss:   ", fast.item(), " gradient", gradients(fast, [sure])[0])

# %% [markdown]
# This is the logarithm of zero. For the target $t$ the loss equals $\log(1 + e^d) - t\,d$. The
# library computes it as $\max(d, 0) + \log(1 + e^{-|d|}) - t\,d$, so nothing overflows:

# %%
print(inspect.getsource(losses.binary_cross_entropy))

# %% [markdown]
# ## 3. Two players
#
# Now let $q$ be the density of what $G$ draws. $D$ minimises $L_D$; $G$ tries to make $D$ take its
# drawings for real. If both play perfectly, $q$ becomes $p$, and $D$ can only answer $\frac12$
# everywhere.
#
# What should $G$ minimise? The formula of the game says $\log(1 - \sigma(d))$ of its own pictures.
# The authors themselves advise $-\log \sigma(d)$. Both losses make $d$ grow, but look at their
# slopes:
#
# $$\frac{\partial}{\partial d} \log(1 - \sigma(d)) = -\sigma(d), \qquad
#   \frac{\partial}{\partial d} \left( -\log \sigma(d) \right) = -(1 - \sigma(d)).$$
#
# In the beginning $G$ draws nonsense, $D$ knows it ($d \ll 0$), and $\sigma(d) \approx 0$: the
# first loss has no slope where $G$ needs it most.

# %%
d = np.linspace(-8, 8, 200)
s = 1 / (1 + np.exp(-d))
_, axes = plt.subplots(1, 2, figsize=(9, 2.6))
axes[0].plot(d, np.log(1 - s), label=r"$\log(1 - \sigma(d))$")
axes[0].plot(d, -np.log(s), label=r"$-\log \sigma(d)$")
axes[1].plot(d, s, label="first")
axes[1].plot(d, 1 - s, label="second")
axes[0].set_title("G's loss", fontsize=10)
axes[1].set_title("size of its slope", fontsize=10)
axes[0].legend()
axes[0].set_xlabel("d: fake for sure ... real for sure")
plt.show()

# %% [markdown]
# A turn of the game is two steps. Note that **nothing is frozen or detached**. $D$'s loss takes
# the drawing as a plain array (`fake.data`). $G$'s loss goes through $D$. Each asks only for the
# gradients of its own parameters.


# %%
def turn(G, D, g_optimizer, d_optimizer, real, z):
    """Play one turn: D learns, then G against the new D. Return D's logits of both."""
    fake = G(z)
    d_real, d_fake = D(real), D(fake.data)
    bce = losses.binary_cross_entropy
    d_loss = 0.5 * (bce(d_real, 1.0) + bce(d_fake, 0.0))
    d_optimizer.step(gradients(d_loss, D.parameters()))

    g_loss = bce(D(fake), 1.0)  # -log sigmoid(d)
    g_optimizer.step(gradients(g_loss, G.parameters()))
    return d_real.data, d_fake.data


# %% [markdown]
# The first game is in the plane, where everything can be drawn: the real points are eight small
# clusters on a ring. $G$ gets eight random numbers for each point. The colour is $D$'s answer: red
# for real, blue for drawn.

# %%
CENTRES = 2 * np.stack([f(2 * np.pi * np.arange(8) / 8) for f in (np.cos, np.sin)], axis=1)


def ring(n, rng):
    return (CENTRES[rng.integers(0, 8, n)] + rng.normal(0, 0.08, (n, 2))).astype(np.float32)


def look(axis, G, D, title):
    rng = np.random.default_rng(5)
    a, b = np.meshgrid(np.linspace(-3, 3, 60), np.linspace(-3, 3, 60))
    with no_grad():
        opinion = ops.sigmoid(D(np.stack([a, b], -1).reshape(-1, 2).astype(np.float32))).data
        drawn = G(rng.standard_normal((600, 8)).astype(np.float32)).data
    axis.imshow(
        opinion.reshape(60, 60), extent=(-3, 3, -3, 3), origin="lower", cmap="coolwarm", vmin=0,
        vmax=1, alpha=0.6,
    )  # fmt: skip
    axis.plot(*ring(200, rng).T, ".", color="black", markersize=2)
    axis.plot(*drawn.T, ".", color="yellow", markersize=2)
    axis.set(title=title, xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[])
    distance = np.linalg.norm(drawn[:, None] - CENTRES, axis=2)
    near = distance.min(axis=1) < 0.3
    found = len(set(distance.argmin(axis=1)[near]))
    return f"{near.mean():.0%} of the drawn points near a cluster, {found} of 8 clusters found"


def play(g_rate, d_rate, moments):
    rng = np.random.default_rng(1)
    G, D = perceptron(8, 2, seed=2), perceptron(2, 1, seed=3)
    g_adam = optim.Adam(G.parameters(), lr=g_rate, beta1=0.5)
    d_adam = optim.Adam(D.parameters(), lr=d_rate, beta1=0.5)
    _, axes = plt.subplots(1, len(moments), figsize=(2.2 * len(moments), 2.5))
    for step in range(max(moments) + 1):
        if step in moments:
            told = look(axes[moments.index(step)], G, D, f"turn {step}")
        z = rng.standard_normal((128, 8)).astype(np.float32)
        turn(G, D, g_adam, d_adam, ring(128, rng), z)
    plt.tight_layout()
    plt.show()
    print(told)


play(1e-3, 1e-3, [0, 100, 300, 700, 1199])

# %% [markdown]
# Real points are black, drawn points are yellow. The drawn points move to where the plane is
# reddest, or least blue. $D$ then turns that region blue, and the points move on. In the end they
# lie on the clusters, and on the paths between them: a continuous $G$ cannot jump.
#
# ## 4. Broken on purpose: one player is too fast
#
# Everything depends on balance. Let $G$ learn five times as fast, and $D$ at the old rate:

# %%
play(5e-3, 1e-3, [0, 100, 300, 700, 1199])

# %% [markdown]
# Look at turns 100 and 300. **All points** of $G$ move to the region that $D$ takes for real at
# the moment. $D$ learns this and turns red elsewhere, and $G$ moves there. It misses the other
# clusters. This is called *mode collapse*. With pictures, $G$ then draws the same picture again
# and again. Here $G$ spreads again in the end, but fewer of its points are near a cluster than in
# the game above.
#
# The opposite, a $D$ that always wins, is the case without slopes above. So watch how often $D$ is
# right: near 50 % it knows nothing, at 100 % it teaches nothing.
#
# ## 5. Bricks
#
# Now we draw pictures. $G$ makes small feature maps from 32 random numbers and doubles them twice,
# with `UpsampleConv2D` of lesson 7; $D$ halves twice with stride 2. Only $G$ has batch norm: in
# $D$, the statistics of a batch would reveal that all its pictures are drawn.


# %%
class Generator(nn.Module):
    """z (N, 32) -> pictures (N, 16, 16, 1) in [-1, 1]."""

    def __init__(self, rng):
        self.first = nn.Linear(32, 4 * 4 * 48, rng=rng)
        self.rest = nn.Sequential(
            nn.BatchNorm(48), nn.LeakyReLU(),
            nn.UpsampleConv2D(48, 32, rng=rng), nn.BatchNorm(32), nn.LeakyReLU(),  # 8 x 8
            nn.UpsampleConv2D(32, 16, rng=rng), nn.BatchNorm(16), nn.LeakyReLU(),  # 16 x 16
            nn.Conv2D(16, 1, kernel_size=3, rng=rng), nn.Tanh(),
        )  # fmt: skip

    def forward(self, z):
        return self.rest(self.first(z).reshape(-1, 4, 4, 48))


def make_discriminator(rng):
    """Pictures (N, 16, 16, 1) -> one logit each."""
    return nn.Sequential(
        nn.Conv2D(1, 24, kernel_size=3, stride=2, rng=rng), nn.LeakyReLU(),  # 8 x 8
        nn.Conv2D(24, 48, kernel_size=3, stride=2, rng=rng), nn.LeakyReLU(),  # 4 x 4
        nn.Flatten(), nn.Linear(4 * 4 * 48, 1, rng=rng),
    )  # fmt: skip


rng = np.random.default_rng(1)
G, D = Generator(rng), make_discriminator(rng)
g_adam = optim.Adam(G.parameters(), lr=1e-3, beta1=0.5)
d_adam = optim.Adam(D.parameters(), lr=5e-4, beta1=0.5)
same_z = rng.standard_normal((32, 32)).astype(np.float32)


def drawn(z):
    with no_grad():
        pictures = G.train(False)(z).data
    G.train()
    return pictures


stages, titles, right = [], [], []
for step in range(1, 1401):
    z = rng.standard_normal((24, 32)).astype(np.float32)
    d_real, d_fake = turn(G, D, g_adam, d_adam, pieces(24, rng), z)
    right.append(((d_real > 0).mean(), (d_fake < 0).mean()))
    if step in (150, 500, 1400):
        stages.append(sheet(drawn(same_z)))
        titles.append(f"after {step} turns")
show(stages, titles)
show([sheet(pieces(32, rng))], ["real"])

# %% [markdown]
# First come stripes, then joints, then bricks. Compare with the grey of section 1: here the loss
# never compares one pixel with another.
#
# How often was $D$ right?

# %%
smooth = [np.convolve(column, np.ones(50) / 50, "valid") for column in np.array(right).T]
plt.figure(figsize=(7, 2.4))
plt.plot(smooth[0], label="real taken for real")
plt.plot(smooth[1], label="drawn taken for drawn")
plt.axhline(0.5, color="gray", linewidth=0.8)
plt.ylim(0, 1)
plt.xlabel("turn")
plt.legend(fontsize=8)
plt.show()

# %% [markdown]
# $D$ is right in most cases and wrong in many: a fair game. Or has $G$ just memorised pieces of
# the wall? Below are some drawings, each with the nearest piece of the wall, over all positions
# and both orientations:

# %%
windows = np.lib.stride_tricks.sliding_window_view(wall, (16, 16)).reshape(-1, 256)
known = np.concatenate([windows, windows.reshape(-1, 16, 16)[:, :, ::-1].reshape(-1, 256)])


def nearest(pictures):
    flat = pictures.reshape(-1, 256)
    distance = (known**2).sum(axis=1) - 2 * flat @ known.T + (flat**2).sum(axis=1)[:, None]
    best = distance.argmin(axis=1)
    rms = np.sqrt(distance.min(axis=1).mean() / 256)
    return known[best].reshape(-1, 16, 16, 1), rms


found, rms = nearest(drawn(same_z))
show([sheet(drawn(same_z)[:16]), sheet(found[:16])], ["drawn", "nearest piece of the wall"])

print(f"distance to the nearest piece, root mean square: drawn {rms:.3f}, deviation of the wall "
      f"{wall.std():.3f}")  # fmt: skip

# %% [markdown]
# They are similar, as they should be, but not the same; and some drawings do not look like bricks.
# We can also go from one $z$ to another in small steps; between two bricks there are bricks:

# %%
way = np.linspace(0, 1, 8, dtype=np.float32)[:, None]
walk = [(1 - way) * same_z[a] + way * same_z[b] for a, b in ((0, 1), (2, 3))]
show([sheet(drawn(np.concatenate(walk)))], ["from left to right, two walks"])

# %% [markdown]
# ## 6. The library's own
#
# These are the losses of paper 2, with its equation numbers. `discriminator` is our $L_D$,
# `adversarial` the second loss for $G$.

# %%
from minidl.models.context_encoder import Trainer
from minidl.models.context_encoder import losses as paper_2

print(inspect.getsource(paper_2.discriminator))
print(inspect.getsource(paper_2.adversarial))

# %% [markdown]
# And these are the turns of its two players. After the next lesson you will know every line of
# them:

# %%
print(inspect.getsource(Trainer.turns))
print(inspect.getsource(Trainer.discriminator_turn))

# %% [markdown]
# ## What to keep
#
# * Under a squared error the best answer is the mean of all right answers.
# * A judge learns $p/(p+q)$; its slope shows the generator the direction to more real pictures.
# * A turn has two losses and two optimisers. Each asks for its own gradients.
# * It works as long as no player wins. Watch the balance.
#
# ## Exercises
#
# Write your answers in `tutorials/exercises/lesson09.py`, and test them with `pytest -m lesson09`.
#
# 1. `best_loss`: the smallest possible $L_D$, for two given distributions.
# 2. `generator_slopes`: both slopes of section 3, for any logit, without overflow.
# 3. `turn`: the turn, written without looking at section 3.
#
# One solution of each is in `tutorials/solutions/lesson09.py`.
#
# **Next**, in lesson 10: the second paper. Both losses together fill holes in photographs.
