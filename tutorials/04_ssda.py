# %% [markdown]
# # Lesson 4: stacking and sparsity
#
# Lesson 3 built one denoising auto-encoder (DA). Paper 1 stacks two of them, asks their hidden
# units to be *sparse*, and trains the whole once more: a **stacked sparse denoising
# auto-encoder**, SSDA. Many people have tried to build it from the paper, and got grey mush. You
# will get the mush, too. Then you will see why, and get a clean photograph.

# %%
import inspect
import time

import matplotlib.pyplot as plt
import numpy as np

from minidl import Tensor, gradients, losses, no_grad, ops, optim
from minidl.models.images.samples import grey, photograph

plt.rcParams.update({"figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False})
SIZE, HIDDEN, SIGMA = 8, 192, 25 / 255


def show(pictures, titles, height=2.6):
    """Pictures side by side, 0 black and 1 white."""
    _, axes = plt.subplots(1, len(pictures), figsize=(height * len(pictures), height + 0.2))
    for ax, picture, title in zip(axes, pictures, titles, strict=True):
        ax.imshow(np.clip(picture, 0, 1), cmap="gray", vmin=0, vmax=1)
        ax.set_title(title, fontsize=9)
        ax.axis("off")
    plt.tight_layout()
    plt.show()


# %% [markdown]
# Noise, the score, cutting patches and putting them back are as in lesson 3. Two photographs are
# for testing, and never trained on.

# %%


def add_noise(clean, rng):
    return clean + SIGMA * rng.standard_normal(clean.shape).astype(np.float32)


def psnr(clean, other):
    return -10 * np.log10(((clean - other) ** 2).mean())


def cut(picture, stride):
    windows = np.lib.stride_tricks.sliding_window_view(picture, (SIZE, SIZE))
    return windows[::stride, ::stride].reshape(-1, SIZE * SIZE)


def merge(patches, shape, stride):
    rows, columns = (range(0, n - SIZE + 1, stride) for n in shape)
    patches = patches.reshape(len(rows), len(columns), SIZE, SIZE)
    total, count = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for i, j in np.ndindex(SIZE, SIZE):
        place = slice(i, i + rows[-1] + 1, stride), slice(j, j + columns[-1] + 1, stride)
        total[place] += patches[:, :, i, j]
        count[place] += 1
    return total / count


names = ["astronaut", "brick", "coffee", "coins", "grass", "rocket"]
pool = np.concatenate([cut(grey(photograph(name))[..., 0], 3) for name in names])
camera, cat = grey(photograph("camera"))[..., 0], grey(photograph("chelsea"))[..., 0]
tests = [camera[80:336, 100:356], cat[:256, 100:356]]
noisy_tests = [add_noise(clean, np.random.default_rng(i)) for i, clean in enumerate(tests)]


def draw(count, rng):
    """Noisy and clean patches x, y, (count, SIZE * SIZE) both."""
    clean = pool[rng.integers(0, len(pool), count)]
    return add_noise(clean, rng), clean


# %% [markdown]
# ## 1. Sparsity
#
# A hidden unit is a detector for a stroke. In a patch of 8 x 8 pixels there are only one or two
# strokes, so only few detectors should answer. The paper asks for that: the mean activation of
# unit $j$ over all patches, $\hat\rho_j$, should be near $\rho = 0.05$. The **Kullback-Leibler
# divergence** measures how far it is from there. It is 0 where the two agree, and grows steeply on
# both sides:
#
# $$ \text{KL}(\hat\rho, \rho) = \sum_j \rho \log \frac{\rho}{\hat\rho_j}
#    + (1 - \rho) \log \frac{1 - \rho}{1 - \hat\rho_j} . $$

# %%
RHO = 0.05


def kl(h):
    """h (N, units) -> one number, summed over the units."""
    mean = h.mean(axis=0)
    return (RHO * ops.log(RHO / mean) + (1 - RHO) * ops.log((1 - RHO) / (1 - mean))).sum()


activation = np.linspace(0.002, 0.6, 200)
plt.figure(figsize=(4.5, 2.2))
plt.plot(activation, [kl(Tensor(np.full((1, 1), a))).item() for a in activation])
plt.xlabel(r"mean activation $\hat\rho_j$ of a unit")
plt.ylabel("its part of KL")
plt.show()

# %% [markdown]
# The loss of one auto-encoder then has three parts: the error, the sparsity, and the size of the
# weights. The third part keeps weights from growing without need (**weight decay**):
#
# $$ L_1 = \frac1N \sum_i \frac12 \| y_i - \hat y(x_i) \|^2 + \beta\, \text{KL}(\hat\rho, \rho)
#    + \frac\lambda2 \big( \|W\|_F^2 + \|W'\|_F^2 \big) \qquad (6) $$
#
# The paper gives $\beta = 10^{-2}$, $\lambda = 10^{-4}$. ($\|W\|_F^2$ is the sum of the squares of
# all elements of $W$.) In code:

# %%


class Autoencoder:
    """x (N, inputs) -> h (N, HIDDEN) -> (N, inputs). `wide` begins with larger encoder weights and
    with units that are seldom active."""

    def __init__(self, inputs, rng, wide=False):
        bound = np.sqrt(6 / (inputs + HIDDEN))  # so that signals neither grow nor fade
        self.W = Tensor(rng.uniform(-bound, bound, (inputs, HIDDEN)).astype(np.float32))
        self.W2 = Tensor(rng.uniform(-bound, bound, (HIDDEN, inputs)).astype(np.float32))
        self.b, self.b2 = Tensor(np.zeros(HIDDEN, np.float32)), Tensor(np.zeros(inputs, np.float32))
        if wide:
            self.W.data *= 4
            self.b.data += np.float32(np.log(RHO / (1 - RHO)))  # sigmoid of this is RHO
        self.parameters = [self.W, self.b, self.W2, self.b2]

    def encode(self, x):
        return ops.sigmoid(ops.linear(x, self.W, self.b))  # (3)

    def decode(self, h):
        return ops.sigmoid(ops.linear(h, self.W2, self.b2))  # (4)


def half_sum(answer, y):
    """1/N sum_i 1/2 |y_i - answer_i|^2: a sum over pixels, a mean over patches."""
    return ((answer - y) * (answer - y)).sum() * (0.5 / len(y))


def mean(answer, y):
    """The mean over everything: what Keras and PyTorch call the mean squared error."""
    return ((answer - y) * (answer - y)).mean()


def size(*weights):
    """The sum of the squares of all elements."""
    first, *rest = ((w * w).sum() for w in weights)
    for more in rest:
        first = first + more
    return first


def parts_of_6(da, x, y, error, beta, decay):
    """The three parts of equation 6."""
    h = da.encode(x)
    return error(da.decode(h), y), beta * kl(h), 0.5 * decay * size(da.W, da.W2)


def loss_6(da, x, y, error, beta, decay):
    error, sparsity, decay = parts_of_6(da, x, y, error, beta, decay)
    return error + sparsity + decay


# %% [markdown]
# ## 2. Mean against sum
#
# Look at the error in equation 6 closely: $\frac12 \|y_i - \hat y(x_i)\|^2$ is half the **sum**
# over the pixels of a patch. If you write `mse`, you get the **mean**, which is 32 times smaller
# here. (Half of 64 pixels.) For a loss by itself that would not matter: the loss is smaller, but
# its minimum is at the same place. But the two penalties beside it have not become smaller. What
# are the three parts at the start?

# %%
x, y = draw(1000, np.random.default_rng(0))
fresh = Autoencoder(SIZE * SIZE, np.random.default_rng(0))
for error in [half_sum, mean]:
    parts = [part.item() for part in parts_of_6(fresh, x, y, error, beta=1e-2, decay=1e-4)]
    print(f"{error.__name__:9} error {parts[0]:.4f}, sparsity {parts[1]:.4f}, decay {parts[2]:.4f}")

# %% [markdown]
# With the sum, the error is the largest part. With the mean, the penalties are. Let us train both
# for the same number of steps, with everything else equal.

# %%


def train(loss_of, parameters, data, steps, rate, watch=None):
    """Adam, with a rate that falls to zero; watch() is called ten times on the way."""
    adam, seen = optim.Adam(parameters, lr=rate, beta2=0.99), []
    for i in range(steps):
        if watch and i % (steps // 10) == 0:
            seen.append((i, watch()))
        adam.lr = rate * min(1, 2 * (1 - i / steps))
        adam.step(gradients(loss_of(*data()), parameters))
    return [*seen, (steps, watch())] if watch else []


def restore(network, noisy, stride=2):
    """A whole picture through a function of patches."""
    with no_grad():
        return merge(network(cut(noisy, stride)), noisy.shape, stride)


def score(network):
    """The mean PSNR over the test photographs."""
    pairs = zip(tests, noisy_tests, strict=True)
    return np.mean([psnr(clean, restore(network, noisy, stride=4)) for clean, noisy in pairs])


results, trained = {}, {}
for error in [half_sum, mean]:
    rng = np.random.default_rng(0)
    da = Autoencoder(SIZE * SIZE, rng)
    train(
        lambda x, y, da=da, error=error: loss_6(da, x, y, error, beta=1e-2, decay=1e-4),
        da.parameters,
        lambda rng=rng: draw(200, rng),
        steps=1000,
        rate=2e-3,
    )
    trained[error.__name__] = da
    results[error.__name__] = restore(lambda x, da=da: da.decode(da.encode(x)).data, noisy_tests[1])

clean = tests[1]
show(
    [clean, noisy_tests[1], results["half_sum"], results["mean"]],
    [
        "clean",
        f"noisy: {psnr(clean, noisy_tests[1]):.2f} dB",
        f"half the sum: {psnr(clean, results['half_sum']):.2f} dB",
        f"the mean: {psnr(clean, results['mean']):.2f} dB",
    ],
)

# %%
_, axes = plt.subplots(1, 2, figsize=(8, 2.4), sharey=True)
for (name, da), ax in zip(trained.items(), axes, strict=True):
    h = da.encode(x).data
    ax.hist(h.ravel(), bins=np.linspace(0, 1, 40), log=True)
    ax.set(title=f"{name}: the hidden units", xlabel="activation")
    print(f"{name:9} mean activation {h.mean():.3f}, largest {h.max():.2f}")
plt.show()

# %% [markdown]
# There is the mush. With the sum, a few units are near 1, and most are near 0: that is what sparse
# means. With the mean, no unit is ever strongly active. The penalties ask for inactive units and
# small weights, and the error is too small to compete with them. So little more than brightness
# gets through. With more pixels in a patch, the mean becomes smaller still. This single word
# explains most of the failures.
#
# ## 3. Stacking
#
# Now the second auto-encoder. It does not see pixels, but the hidden units of the first. Its input
# is $h(x)$ of the noisy patch, and its target is $h(y)$ of the clean patch; no new noise is added.
# Then the second is put inside the first:
#
# $$ x \;\xrightarrow{W_1}\; h_1 \;\xrightarrow{W_2}\; h_2 \;\xrightarrow{W'_2}\; \hat h_1
#    \;\xrightarrow{W'_1}\; \hat y . $$
#
# Training one auto-encoder after the other is called **pre-training**. Afterwards all layers are
# trained together, which is called **fine-tuning**, with the loss
#
# $$ L_2 = \frac1N \sum_i \frac12 \| y_i - \hat y(x_i) \|^2
#    + \frac\lambda2 \sum_{j=1}^{2K} \|W_j\|_F^2 \qquad (7) . $$

# %%


class Stack:
    """K = 2 auto-encoders, one within the other."""

    def __init__(self, seed, wide):
        self.rng = np.random.default_rng(seed)
        self.first = Autoencoder(SIZE * SIZE, self.rng, wide)
        self.second = Autoencoder(HIDDEN, self.rng, wide)
        self.parameters = self.first.parameters + self.second.parameters

    def __call__(self, x):
        h = self.second.encode(self.first.encode(x))
        return self.first.decode(self.second.decode(h))

    def loss(self, x, y, decay):
        """Equation 7."""
        weights = [self.first.W, self.first.W2, self.second.W, self.second.W2]
        return half_sum(self(x), y) + 0.5 * decay * size(*weights)


# %% [markdown]
# ## 4. Taking the mean away
#
# One more idea before we run it. An edge in the light and an edge in the shade have the same
# shape; but their pixels are far apart, and a network has to learn both. So subtract the mean $m$
# of the noisy patch from input and target, and add it back to the answer. The output of a sigmoid
# is between 0 and 1, so the target is scaled to lie around $\frac12$:
#
# $$ \text{input} = 6\,(x - m), \qquad \text{target} = \tfrac12 + 0.6\,(y - m) . $$

# %%


class Pixels:
    """The paper: pixels as they are."""

    @staticmethod
    def encode(x, of):
        return of

    @staticmethod
    def target(x, y):
        return y

    @staticmethod
    def decode(answer, x):
        return answer


class Centred:
    """Relative to the mean of the noisy patch x."""

    @staticmethod
    def encode(x, of):
        return 6 * (of - x.mean(axis=1, keepdims=True))

    @staticmethod
    def target(x, y):
        return np.clip(0.5 + 0.6 * (y - x.mean(axis=1, keepdims=True)), 0.02, 0.98)

    @staticmethod
    def decode(answer, x):
        return (answer - 0.5) / 0.6 + x.mean(axis=1, keepdims=True)


# %% [markdown]
# ## 5. All together
#
# There are three stages. Look at the pairs for the second auto-encoder: the noisy and the clean
# patch both go through the first *encoder*, and both are coded as inputs.

# %%


def build(coding, beta, decay, fine_decay, wide, steps=(700, 500, 1800), seed=0):
    """Pre-train twice, fine-tune once. Returns the stack and its scores in fine-tuning."""
    stack = Stack(seed, wide)
    first, second, rng = stack.first, stack.second, stack.rng
    second_beta, second_decay = (0.0, 0.0) if wide else (beta, decay)

    def pixels():
        x, y = draw(200, rng)
        return coding.encode(x, x), coding.target(x, y)

    def hidden():
        x, y = draw(200, rng)
        with no_grad():
            return first.encode(coding.encode(x, x)).data, first.encode(coding.encode(x, y)).data

    def repair(x):
        return coding.decode(stack(coding.encode(x, x)).data, x)

    def first_loss(x, y):
        return loss_6(first, x, y, half_sum, beta, decay)

    def second_loss(x, y):
        return loss_6(second, x, y, half_sum, second_beta, second_decay)

    def loss_7(x, y):
        return stack.loss(x, y, fine_decay)

    train(first_loss, first.parameters, pixels, steps[0], rate=2e-3)
    train(second_loss, second.parameters, hidden, steps[1], rate=2e-3)
    seen = train(loss_7, stack.parameters, pixels, steps[2], rate=4e-3, watch=lambda: score(repair))
    return stack, repair, seen


printed = dict(beta=1e-2, decay=1e-4, fine_decay=1e-4, wide=False)
weak = dict(beta=1e-2, decay=1e-5, fine_decay=0.0, wide=True)
recipes = {
    "the paper's constants": dict(coding=Pixels, **printed),
    "and the mean taken away": dict(coding=Centred, **printed),
    "and weak penalties, wide start": dict(coding=Centred, **weak),
}
stacks = {}
plt.figure(figsize=(7, 3.2))
for name, recipe in recipes.items():
    begin = time.perf_counter()
    stacks[name] = build(**recipe)
    seconds, seen = time.perf_counter() - begin, stacks[name][2]
    plt.plot(*zip(*seen, strict=True), "o-", ms=3, label=name)
    print(
        f"{name:31} {seen[0][1]:.2f} dB before fine-tuning, {seen[-1][1]:.2f} dB after it", end=""
    )
    print(f", {seconds:.0f} s")
plt.axhline(score(lambda x: x), color="gray", ls=":", label="noisy")
plt.xlabel("steps of fine-tuning")
plt.ylabel("PSNR (dB), test photographs")
plt.legend(fontsize=8)
plt.show()

# %% [markdown]
# Look at the left ends of the curves. **A stack that has only been pre-trained looks broken**: it
# is far worse than the single auto-encoder of section 2. Each network was trained for a task of
# its own, and the two do not yet work as one: small errors of the inner become large errors of the
# outer. Readers who stop here believe that stacking is useless. A few hundred steps of fine-tuning
# repair it. That is the second trap.
#
# The third trap is to take the constants as they are printed. Weak penalties, no penalty in
# fine-tuning, and wide first weights gain more than anything else.
#
# ## 6. Photographs

# %%
repair = stacks["and weak penalties, wide start"][1]
for clean, noisy in zip(tests, noisy_tests, strict=True):
    result = restore(repair, noisy)
    show(
        [clean, noisy, result],
        ["clean", f"noisy: {psnr(clean, noisy):.2f} dB", f"repaired: {psnr(clean, result):.2f} dB"],
        height=2.8,
    )

# %% [markdown]
# Are the units sparse now? And what are their filters?

# %%
stack = stacks["and weak penalties, wide start"][0]
x, _ = draw(2000, np.random.default_rng(3))
h = stack.first.encode(Centred.encode(x, x)).data
print(f"mean activation {h.mean():.3f}; above one half: {100 * (h > 0.5).mean():.1f} % of the time")
W = stack.first.W.data
_, axes = plt.subplots(2, 14, figsize=(10, 1.6))
for unit, ax in zip(np.argsort(-h.std(axis=0)), axes.flat, strict=False):
    pattern = W[:, unit].reshape(SIZE, SIZE)
    ax.imshow(pattern, cmap="gray", vmin=-abs(pattern).max(), vmax=abs(pattern).max())
    ax.axis("off")
plt.show()

# %% [markdown]
# ## 7. The library's own
#
# The stack in `models/ssda/network.py` works for any K. It reads like ours, and like the paper:

# %%
from minidl.models.ssda import SSDA, Restorer

print(inspect.getsource(SSDA))

# %%
print(inspect.getsource(losses.kl_sparsity))
print(inspect.getsource(ops.bernoulli_kl))

# %% [markdown]
# It was trained for five minutes on a GPU instead of our minute, on 63 million patches of 14 x 14
# pixels from 399 photographs, with 880 hidden units. Its weights ship with the package. We compare
# it with a good classical method, **non-local means**, which looks for similar patches elsewhere
# in the picture and averages them.

# %%
from minidl.models import zoo
from minidl.models.images.scores import non_local_means

shipped = Restorer.load(zoo.denoiser(25))
for clean, noisy in zip(tests, noisy_tests, strict=True):
    answers = {
        "our minute": restore(repair, noisy),
        "non-local means": non_local_means(noisy[..., None], 25)[..., 0],
        "five minutes on a GPU": shipped.repair(noisy[..., None])[..., 0],
    }
    show(
        [answer[40:168, 60:188] for answer in answers.values()],
        [f"{name}: {psnr(clean, answer):.2f} dB" for name, answer in answers.items()],
    )

# %% [markdown]
# `minidl denoise photo.jpg -o clean.png` does this to your own pictures, in colour.
#
# ## Exercises
#
# In `tutorials/exercises/lesson04.py`; test them with `pytest -m lesson04`.
#
# 1. `kl_sparsity`: the penalty of section 1, written without looking.
# 2. `pair_for_second`: the input and the target of the second auto-encoder.
# 3. `loss_7`: equation 7, for any number of auto-encoders.
#
# **Next**, in lesson 5: damage that is not noise. Somebody has written on our photographs.
