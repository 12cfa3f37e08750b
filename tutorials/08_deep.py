# %% [markdown]
# # Lesson 8: deep networks that learn
#
# So far our networks had one to four layers. The networks of the second paper have a dozen. In
# this lesson you watch a deep network fail, see why, and learn four tools against it:
#
# 1. *LeakyReLU*, an activation that lets gradients through;
# 2. *batch normalisation*, with its gradient derived, coded and checked;
# 3. *Adam*, derived from what goes wrong in plain gradient descent;
# 4. *L-BFGS*, the method of the first paper, and why it fails under noise.
#
# All tools are tried on one task whose result you can see: a network that **draws a photograph**.
# Its input is a position in the picture, its output the brightness there.

# %%
import inspect
import time

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

from minidl import Tensor, gradcheck_cases, gradients, losses, nn, ops, optim
from minidl.kernels import reference
from minidl.tensor import no_grad

plt.rcParams.update({"figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False})

# %% [markdown]
# ## 1. The task
#
# A position $(u, v)$ in $[-1, 1]^2$ is described by 20 waves, $\sin(2^a \pi u / 2)$, $\cos(2^a \pi
# u / 2)$ and the same of $v$, for $a = 0 \ldots 4$. The fast waves let the network distinguish
# neighbours. It must learn to mix the waves.

# %%
cat = data.chelsea().mean(axis=2)[60:188:2, 90:218:2].astype(np.float32) / 255
SIDE = len(cat)  # 64
v, u = np.meshgrid(*[np.linspace(-1, 1, SIDE)] * 2, indexing="ij")
waves = [f(2**a * np.pi / 2 * t) for a in range(5) for t in (u, v) for f in (np.sin, np.cos)]
X = np.stack(waves, axis=-1).reshape(SIDE * SIDE, 20).astype(np.float32)
Y = cat.reshape(SIDE * SIDE, 1)

_, axes = plt.subplots(1, 6, figsize=(10, 1.9))
for axis, picture in zip(axes, [cat, *X.T.reshape(20, SIDE, SIDE)[[0, 2, 9, 12, 19]]], strict=True):
    axis.imshow(picture, cmap="gray")
    axis.axis("off")
axes[0].set_title("to be drawn", fontsize=9)
axes[3].set_title("some of the 20 inputs", fontsize=9)
plt.show()
print(f"always guessing the mean: loss {Y.var():.5f}")

# %% [markdown]
# ## 2. What happens to a signal in ten layers
#
# A layer computes $h = W x$, and each number of $h$ is a sum of $n$ products. If the weights are
# independent with standard deviation $\sigma$, and the inputs have mean square $q$, then a sum has
# mean square $n \sigma^2 q$. Ten layers multiply the mean square by $(n \sigma^2)^{10}$. Unless $n
# \sigma^2$ is close to 1, the signal **vanishes or explodes**. The gradient, which goes back
# through the transposed matrices, does the same.


# %%
def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


def sizes(activation, scale, layers=10, width=64):
    """Return the standard deviation of each layer's output, before its activation."""
    rng = np.random.default_rng(0)
    x, out = rng.standard_normal((500, width)), []
    for _ in range(layers):
        h = x @ (rng.standard_normal((width, width)) * scale / np.sqrt(width))
        out.append(h.std())
        x = activation(h)
    return out


for scale in (0.5, 1.0, np.sqrt(2), 2.0):
    plt.semilogy(range(1, 11), sizes(relu, scale), "o-", label=f"n σ² = {scale**2:.3g}")
plt.legend()
plt.xlabel("layer")
plt.ylabel("standard deviation")
plt.title("a signal on its way through ReLU layers")
plt.show()

# %% [markdown]
# The ReLU, $\max(0, x)$, removes half of the signal, so the right value is $n \sigma^2 = 2$ (He et
# al. 2015). A small deviation is enough to miss it, and it holds only before the first step of
# training: afterwards the weights change.
#
# ## 3. Activations and their slopes
#
# The gradient is multiplied by the activation's slope in each layer. The sigmoid's slope, $s (1 -
# s)$, is never above 1/4: ten layers divide the gradient by a million at least, unless the weights
# make up for it. The ReLU's slope is 1 or 0. A unit that is 0 for *all* inputs gets no gradient at
# all and never comes back: it is dead. The **LeakyReLU** avoids this:
#
# $$y = \begin{cases} x & x > 0 \\ \alpha x & x \le 0 \end{cases} \qquad
# \frac{\partial L}{\partial x} = g \cdot
# \begin{cases} 1 & x > 0 \\ \alpha & x \le 0 \end{cases}$$
#
# with a small slope $\alpha$: 0.2 in the second paper's code and in this library.


# %%
def leaky_relu(x, slope=0.2):
    return np.where(x > 0, x, slope * x)


t = np.linspace(-5, 5, 200)
_, axes = plt.subplots(1, 2, figsize=(9, 2.6))
for name, f in (("sigmoid", sigmoid), ("ReLU", relu), ("LeakyReLU", leaky_relu)):
    axes[0].plot(t, f(t), label=name)
    axes[1].plot(t[:-1], np.diff(f(t)) / np.diff(t), label=name)
axes[0].set_ylim(-1.2, 2)
axes[0].set_title("value")
axes[1].set_title("slope")
axes[0].legend()
plt.show()


# %% [markdown]
# Does it matter? Eight layers of 48 units draw the cat. Their first weights are too small (0.3 of
# the usual). Each network is trained for 300 steps by Adam, which is explained below.


# %%
def network(activation, *, norm=False, gain=1.0, depth=8, width=48, seed=0):
    """Return a network 20 -> width -> ... -> width -> 1; gain scales its first weights."""
    rng = np.random.default_rng(seed)
    layers, inputs = [], 20
    for _ in range(depth):
        layers.append(nn.Linear(inputs, width, rng=rng, gain=gain))
        if norm:
            layers.append(nn.BatchNorm(width))
        layers.append(activation())
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, 1, rng=rng))


def train(net, steps=300, rate=0.003):
    """Train, and return the loss of each step, on 256 positions of the picture."""
    rng = np.random.default_rng(1)
    adam = optim.Adam(net.parameters(), lr=rate)
    out = []
    for _ in range(steps):
        some = rng.integers(0, len(X), 256)
        loss = losses.mean_squared_error(net(X[some]), Y[some])
        adam.step(gradients(loss, net.parameters()))
        out.append(loss.item())
    return out


def drawing(net):
    with no_grad():
        return net.train(False)(X).data.reshape(SIDE, SIDE)


def gallery(pictures, titles):
    _, axes = plt.subplots(1, len(pictures), figsize=(2.1 * len(pictures), 2.6))
    for axis, picture, title in zip(axes, pictures, titles, strict=True):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    plt.tight_layout()
    plt.show()


pictures, titles = [], []
for activation in (nn.Sigmoid, nn.ReLU, nn.LeakyReLU):
    net = network(activation, gain=0.3)
    history = train(net)
    pictures.append(drawing(net))
    titles.append(f"{activation.__name__}, loss {np.mean(history[-30:]):.4f}")
gallery(pictures, titles)

# %% [markdown]
# With the sigmoid and the ReLU the network has learned one grey: it is no better than the mean.
# With the LeakyReLU and the same small weights it draws a cat.
#
# Units also die *during* training, if a step is too large. Here the learning rate is ten times as
# high:

# %%
for activation in (nn.ReLU, nn.LeakyReLU):
    net = network(activation, gain=1.4, depth=4)
    history = train(net, rate=0.03)
    x, silent = Tensor(X), []
    for layer in net.layers:
        x = layer(x)
        if isinstance(layer, activation):  # units that are never positive in the picture
            silent.append(f"{(x.data.max(axis=0) <= 0).mean():4.0%}")
    print(
        f"{activation.__name__:10} loss {np.mean(history[-30:]):.4f}, silent units by layer",
        *silent,
    )

# %% [markdown]
# Silent units of a LeakyReLU still pass on a fifth of the gradient, and can recover. Silent units
# of a ReLU cannot.
#
# ## 4. Batch normalisation
#
# Instead of hoping that a signal keeps its size, we can *set* its size (Ioffe & Szegedy 2015). For
# each unit, over the $m$ samples of a batch:
#
# $$\mu = \frac1m \sum_i x_i, \qquad v = \frac1m \sum_i (x_i - \mu)^2, \qquad
# r = \frac{1}{\sqrt{v + \varepsilon}}, \qquad \hat x_i = (x_i - \mu)\, r, \qquad
# y_i = \gamma \hat x_i + \beta.$$
#
# $\hat x$ has mean 0 and deviation 1; $\gamma$ and $\beta$ are learned, so that the unit may choose
# another mean and deviation. The small $\varepsilon$ prevents a division by zero. For pictures, the
# samples are all pixels of all pictures, and a unit is a channel.
#
# **The slow version first:** it is written with ops, so we need not derive its gradient.


# %%
def batch_norm_slow(x, gamma, beta, eps=1e-5):
    """x (m, C), a Tensor."""
    centred = x - ops.mean(x, axis=0)
    variance = ops.mean(centred * centred, axis=0)
    return gamma * (centred / ops.sqrt(variance + eps)) + beta


rng = np.random.default_rng(0)
x = rng.normal(5, [0.1, 1, 100], (2000, 3))
y = batch_norm_slow(Tensor(x), np.ones(3), np.zeros(3)).data
print("deviations before", x.std(axis=0).round(2), " after", y.std(axis=0).round(3))

# %% [markdown]
# ### The gradient, derived
#
# $x_i$ reaches the loss along three paths: directly, through $\mu$, and through $v$. Let $g_i =
# \partial L / \partial y_i$, so that $\partial L/\partial \hat x_i = \gamma g_i$.
#
# *Through $v$.* Since $\hat x_i = (x_i - \mu) r$ and $\partial r/\partial v = -\frac12 r^3$,
#
# $$\frac{\partial L}{\partial v} = \sum_i \gamma g_i (x_i - \mu) \cdot \left(-\tfrac12 r^3\right)
# = -\tfrac12 r^2 \gamma \sum_i g_i \hat x_i .$$
#
# *Through $\mu$.* $\partial \hat x_i / \partial \mu = -r$, so $\partial L / \partial \mu = -r
# \gamma \sum_i g_i$. ($\mu$ also appears in $v$, but this adds nothing: a small change of $\mu$
# does not change $v$ to first order, since $\sum_i (x_i - \mu) = 0$.)
#
# *Together*, with $\partial \mu / \partial x_i = 1/m$ and $\partial v / \partial x_i = 2 (x_i -
# \mu)/m$:
#
# $$\boxed{\ \frac{\partial L}{\partial x_i} = \gamma r \left( g_i
# - \frac1m \sum_k g_k - \hat x_i \, \frac1m \sum_k g_k \hat x_k \right)\ }$$
#
# In words: subtract from $g$ its mean, and its component along $\hat x$. Adding a constant to all
# $x$, or stretching them, does not change $y$, so the gradient must be zero in these two
# directions.


# %%
def batch_norm(x, gamma, beta, eps=1e-5):
    """Return the value, and the gradients by x, gamma and beta as functions of g."""
    mean, r = x.mean(axis=0), 1 / np.sqrt(x.var(axis=0) + eps)
    normal = (x - mean) * r

    def grad_x(g):
        return gamma * r * (g - g.mean(axis=0) - normal * (g * normal).mean(axis=0))

    y = gamma * normal + beta
    return y, grad_x, lambda g: (g * normal).sum(axis=0), lambda g: g.sum(axis=0)


def broken_norm(x, gamma, beta, eps=1e-5):
    """The same, but mu and v are treated as constants: a common mistake."""
    y, _, grad_gamma, grad_beta = batch_norm(x, gamma, beta, eps)
    return y, lambda g: g * gamma / np.sqrt(x.var(axis=0) + eps), grad_gamma, grad_beta


x, gamma, g = rng.standard_normal((6, 3)), rng.standard_normal(3), rng.standard_normal((6, 3))
step = np.zeros_like(x)
step[2, 1] = 1e-6
for name, f in (("right", batch_norm), ("broken", broken_norm)):
    _, grad_x, *_ = f(x, gamma, np.zeros(3))
    for what, weights in (("a plain sum", np.ones_like(g)), ("random weights", g)):
        above, below = ((f(x + s, gamma, np.zeros(3))[0] * weights).sum() for s in (step, -step))
        numeric, ours = (above - below) / 2e-6, grad_x(weights)[2, 1]
        print(f"{name:6} {what:15} difference quotient {numeric:9.6f}, gradient {ours:9.6f}")

# %% [markdown]
# The sum of normalised values does not depend on $x$: its gradient is zero for every input. So a
# check by a plain sum is blind here. The right gradient would pass with any factor, since 17 times
# zero is zero as well. That is why lesson 2 weights the outputs by random numbers.
#
# ### Watch it
#
# Here are the eight layers again, with LeakyReLU, and with first weights that are too small, usual
# and too large:

# %%
pictures, titles, curves = [], [], {}
for norm in (False, True):
    for gain in (0.3, 1.0, 3.0):
        net = network(nn.LeakyReLU, norm=norm, gain=gain)
        history = train(net)
        curves[norm, gain] = history
        pictures.append(drawing(net))
        titles.append(
            f"{'with' if norm else 'without'}, × {gain}\nloss {np.mean(history[-30:]):.2g}"
        )
gallery(pictures, titles)

for (norm, gain), history in curves.items():
    smooth = np.convolve(history, np.ones(20) / 20, "valid")
    plt.semilogy(smooth, "-" if norm else "--", label=f"{'norm' if norm else 'none'}, × {gain}")
plt.legend(fontsize=8)
plt.xlabel("step")
plt.ylabel("loss, mean of 20 steps")
plt.show()

# %% [markdown]
# Without the norm much depends on the first weights: with weights three times too large the loss
# ends far above all others. With the norm the three are alike. **It is not free, and not always
# best**: on this task well-chosen weights without a norm win, because the statistics of 256
# positions change from step to step, which is noise. But for a dozen layers, or for two networks
# that compete (next lesson), good first weights are hard to find.
#
# ### Broken on purpose: forgetting to switch to inference
#
# In inference there is no batch: the result for a picture must not depend on the other pictures.
# So the layer keeps *running* means and variances during training, and uses them afterwards.
# `net.train(False)` switches to inference. If you forget it, and draw the picture row by row,
# every row is normalised by itself:

# %%
net = network(nn.LeakyReLU, norm=True)
train(net)
right = drawing(net)
with no_grad():
    rows = [net.train(True)(X[i * SIDE : (i + 1) * SIDE]).data for i in range(SIDE)]
gallery([right, np.stack(rows)[:, :, 0]], ["in use", "forgotten: row by row"])

# %% [markdown]
# ### The library's own
#
# Here are the layer, and the op with our formula. `once` computes the two sums once for all three
# gradients.

# %%
print(inspect.getsource(nn.BatchNorm))
print(inspect.getsource(ops.batch_norm))

# %%
a, gamma32 = rng.standard_normal((4096, 64)).astype(np.float32), np.ones(64, np.float32)
a, beta32 = Tensor(a), Tensor(np.zeros(64, np.float32))
for name, f in (("with ops", batch_norm_slow), ("one op", ops.batch_norm)):
    times = []
    for _ in range(7):
        began = time.perf_counter()
        gradients(ops.sum(f(a, gamma32, beta32) ** 2), [a])
        times.append(time.perf_counter() - began)
    print(f"{name:9} value and gradient {1e3 * min(times):6.2f} ms")
for case in gradcheck_cases.OP_CASES:
    if "norm" in case.name or "relu" in case.name:
        print(f"{case.name:24} relative error of the gradient {case.error():.1e}")

# %% [markdown]
# ## 5. Going down a valley: gradient descent, momentum, Adam
#
# Take a simple but difficult loss, a long valley, $f(a, b) = \frac12 (a^2 + 50\, b^2)$. Gradient
# descent with rate $\eta$ multiplies $a$ by $1 - \eta$ and $b$ by $1 - 50 \eta$ at each step. If
# $b$ must not grow, $\eta < 2/50$; then $a$ shrinks by at most 4 % a step. The steepest direction
# limits the rate, and the flat direction is slow.
#
# *Momentum* (Polyak 1964) keeps a velocity: $w \leftarrow \mu w - \eta g$, $p \leftarrow p + w$.
# Gradients of the same sign add up, gradients of alternating sign cancel.
#
# *Adam* (Kingma & Ba 2015) measures the size of each parameter's gradients, and divides by it:
#
# $$m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad s \leftarrow \beta_2 s + (1 - \beta_2) g^2,
# \qquad p \leftarrow p - \eta \, \frac{\hat m}{\sqrt{\hat s} + \varepsilon}$$
#
# so that every parameter moves by about $\eta$ a step, in the steep and in the flat direction.
#
# Why the hats? $m$ starts at 0. After $t$ steps of a constant gradient $g$,
#
# $$m_t = (1 - \beta_1) \sum_{k=0}^{t-1} \beta_1^k \, g = (1 - \beta_1^t)\, g,$$
#
# too small by the factor $1 - \beta_1^t$. In the same way $s$ is too small by $1 - \beta_2^t$. So
# $\hat m = m / (1 - \beta_1^t)$ and $\hat s = s / (1 - \beta_2^t)$.


# %%
def descend(method, start, gradient, steps):
    """Return the path of p; method(state, g, t) returns the change of p."""
    p, state, path = np.array(start), {}, [np.array(start)]
    for t in range(1, steps + 1):
        p = p + method(state, gradient(p), t)
        path.append(p)
    return np.array(path)


def plain(rate):
    return lambda state, g, t: -rate * g


def momentum(rate, mu=0.9):
    def change(state, g, t):
        state["w"] = mu * state.get("w", 0) - rate * g
        return state["w"]

    return change


def adam(rate, beta1=0.9, beta2=0.999, eps=1e-8, corrected=True):
    def change(state, g, t):
        state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * g
        state["s"] = beta2 * state.get("s", 0) + (1 - beta2) * g * g
        m, s = state["m"], state["s"]
        if corrected:
            m, s = m / (1 - beta1**t), s / (1 - beta2**t)
        return -rate * m / (np.sqrt(s) + eps)

    return change


def valley(p):
    return 0.5 * (p[..., 0] ** 2 + 50 * p[..., 1] ** 2)


def slope_of_valley(p):
    return p * np.array([1.0, 50.0])


def contour(axis, f, left, right, bottom, top, levels):
    a, b = np.meshgrid(np.linspace(left, right, 120), np.linspace(bottom, top, 120))
    axis.contour(a, b, f(np.stack([a, b], -1)), levels, colors="lightgray", linewidths=0.8)


ways = {
    "plain, 0.038": plain(0.038),
    "plain, 0.041": plain(0.041),
    "momentum, 0.01": momentum(0.01),
    "Adam, 0.3": adam(0.3),
}
_, axes = plt.subplots(2, 2, figsize=(9.5, 4.2), sharex=True, sharey=True)
for axis, (name, method) in zip(axes.flat, ways.items(), strict=True):
    path = descend(method, (-4.0, 0.8), slope_of_valley, 40)
    contour(axis, valley, -5, 2, -1.5, 1.5, np.geomspace(0.1, 60, 9))
    axis.plot(*path.T, ".-", color="tab:red", linewidth=0.8, markersize=4)
    axis.set_title(f"{name}: {valley(path[-1]):.2g} after 40 steps", fontsize=9)
    axis.set_ylim(-1.5, 1.5)
plt.tight_layout()
plt.show()

# %% [markdown]
# Plain descent is slow along the bottom. With a rate 8 % larger it diverges.
#
# **Broken on purpose:** Adam without the correction. $\beta_2$ is close to 1, so $s$ is far too
# small for hundreds of steps, and the first steps are too long:

# %%
for corrected in (True, False):
    path = descend(adam(0.01, corrected=corrected), (-4.0,), lambda p: p, 200)
    plt.plot(np.abs(np.diff(path[:, 0])), label="corrected" if corrected else "not corrected")
plt.axhline(0.01, color="gray", linewidth=0.8)
plt.ylabel("length of a step")
plt.xlabel("step (rate 0.01)")
plt.legend()
plt.show()

# %% [markdown]
# The library's Adam includes both corrections in the learning rate. The step itself is a kernel,
# because it runs for every weight at every step. The cell below prints its definition, and shows
# that ours gives the same:

# %%
p = Tensor(np.array([-4.0, 0.8]))
theirs = optim.Adam([p], lr=0.3)
for _ in range(40):
    theirs.step([slope_of_valley(p.data)])
ours = descend(adam(0.3), (-4.0, 0.8), slope_of_valley, 40)[-1]
print("after 40 steps: ours", ours.round(6), "the library's", p.data.round(6), "\n")
print(inspect.getsource(optim.Adam.step))
print(inspect.getsource(reference.adam))

# %% [markdown]
# ## 6. L-BFGS: learn the shape of the valley
#
# Newton's method uses the shape: with the matrix $H$ of second derivatives, one step $p \leftarrow
# p - H^{-1} g$ ends at the bottom of any quadratic valley. But a network with a million weights
# has $10^{12}$ second derivatives.
#
# L-BFGS *estimates* them instead. After a step $s = p_{new} - p_{old}$ the gradient has changed by
# $y = g_{new} - g_{old}$, and in a quadratic valley $y = H s$: each step shows the effect of $H$
# in one direction. L-BFGS (Nocedal 1980) keeps the last few pairs $(s, y)$ and builds from them an
# approximation $B \approx H^{-1}$ with $B y = s$ for the last pair. It never stores $B$. Each pair
# changes it by
#
# $$B \leftarrow (I - \rho\, s y^\top)\, B\, (I - \rho\, y s^\top) + \rho\, s s^\top,
# \qquad \rho = \frac{1}{y^\top s},$$
#
# and to multiply $g$ by $B$, two loops go through the pairs: backwards for the right brackets,
# forwards for the left ones. Before the first pair, $B$ is a multiple of the identity, $s^\top y /
# y^\top y$, the inverse of the last measured curvature.


# %%
def two_loops(g, pairs):
    """Return B g, for pairs [(s, y), ...], oldest first."""
    q, alphas = g.copy(), []
    for s, y in reversed(pairs):
        alphas.append((s @ q) / (s @ y))
        q = q - alphas[-1] * y
    if pairs:
        s, y = pairs[-1]
        q = q * ((s @ y) / (y @ y))
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        q = q + s * (alpha - (y @ q) / (s @ y))
    return q


def lbfgs(f, gradient, start, steps, memory=10):
    """Minimise f in the simplest form: halve the step until f goes down."""
    p, pairs, path, evaluations = np.array(start), [], [np.array(start)], 0
    g = gradient(p)
    for _ in range(steps):
        direction = -two_loops(g, pairs)
        t = 1.0 if pairs else 1 / np.abs(g).sum()
        while f(p + t * direction) > f(p) + 1e-4 * t * (g @ direction) and t > 1e-10:
            t, evaluations = t / 2, evaluations + 1
        new = p + t * direction
        s, y = new - p, gradient(new) - g
        if s @ y > 1e-12:  # a valley curves upwards; skip any other pair
            pairs = [*pairs, (s, y)][-memory:]
        p, g, evaluations = new, g + y, evaluations + 1
        path.append(p)
    return np.array(path), evaluations


def banana(p):  # Rosenbrock's function, a curved valley; its minimum is at (1, 1)
    return 100 * (p[..., 1] - p[..., 0] ** 2) ** 2 + (1 - p[..., 0]) ** 2


def slope_of_banana(p):
    bend = p[1] - p[0] ** 2
    return np.array([-400 * p[0] * bend - 2 * (1 - p[0]), 200 * bend])


start = (-1.2, 1.0)
path, evaluations = lbfgs(banana, slope_of_banana, start, 40)
ways = {
    f"L-BFGS, {evaluations} evaluations": path,
    "Adam, 0.05, 1000": descend(adam(0.05), start, slope_of_banana, 1000),
    "plain, 0.001, 1000": descend(plain(0.001), start, slope_of_banana, 1000),
}
_, axes = plt.subplots(1, 3, figsize=(11, 3))
for axis, (name, way) in zip(axes, ways.items(), strict=True):
    contour(axis, banana, -1.6, 1.6, -0.6, 2, np.geomspace(0.1, 500, 10))
    axis.plot(*way.T, ".-", color="tab:red", linewidth=0.8, markersize=3)
    axis.set_title(f"{name}: {banana(way[-1]):.1e}", fontsize=9)
    axis.set_xlim(-1.6, 1.6)
    axis.set_ylim(-0.6, 2)
plt.tight_layout()
plt.show()

# %% [markdown]
# On this smooth function of two parameters L-BFGS is far ahead of the other two. Is it also good
# for a network? The first paper uses L-BFGS, the second Adam. We draw the cat with a small network
# of tanh units, first with **all 4,096 positions** in each loss, then with 128 new random
# positions each time, and count evaluations of the loss.


# %%
def small_network():
    rng = np.random.default_rng(0)
    return nn.Sequential(
        nn.Linear(20, 32, rng=rng), nn.Tanh(), nn.Linear(32, 32, rng=rng), nn.Tanh(),
        nn.Linear(32, 1, rng=rng),
    )  # fmt: skip


def compare(places, evaluations=300):
    out = {}
    for name in ("L-BFGS", "Adam, 0.003", "Adam, 0.03"):
        net, rng, seen = small_network(), np.random.default_rng(3), []

        def loss_of(net=net, rng=rng, seen=seen):
            some = slice(None) if places == len(X) else rng.integers(0, len(X), places)
            loss = losses.mean_squared_error(net(X[some]), Y[some])
            seen.append(loss.item())
            return loss

        if name == "L-BFGS":
            optimizer = optim.LBFGS(net.parameters())
            while len(seen) < evaluations:
                optimizer.step(loss_of)
        else:
            optimizer = optim.Adam(net.parameters(), lr=float(name.split()[1]))
            while len(seen) < evaluations:
                optimizer.step(gradients(loss_of(), net.parameters()))
        error = ((drawing(net) - cat) ** 2).mean()
        out[f"{name}: {error:.5f}"] = np.minimum.accumulate(seen)
    return out


_, axes = plt.subplots(1, 2, figsize=(10, 3.2), sharey=True)
for axis, places in zip(axes, (len(X), 128), strict=True):
    for name, seen in compare(places).items():
        axis.semilogy(seen, label=name)
    axis.legend(title="error of the drawing", fontsize=8)
    axis.set_title(f"{places} places in each loss")
    axis.set_xlabel("evaluations")
axes[0].set_ylabel("smallest loss so far")
plt.tight_layout()
plt.show()

# %% [markdown]
# With all positions L-BFGS is close to the better of the two Adams, and needs no learning rate.
# With 128 positions it fails. $y = g_{new} - g_{old}$ is now the difference of two *different*
# losses, so L-BFGS learns the shape of the noise, and its line search compares losses that cannot
# be compared. (The smallest loss still goes down, because some sets of 128 positions are easy.
# Look at the error of the drawing in the legend.)
#
# This is why lesson 4 uses Adam for patches with fresh noise at every step. The paper's L-BFGS
# needs a fixed set of patches, which a network can memorise.
#
# The library's L-BFGS has a line search that also uses the slope, so that always $s^\top y > 0$.
# Its direction is computed by our two loops:

# %%
pairs = [(rng.standard_normal(5), rng.standard_normal(5)) for _ in range(3)]
pairs = [(s, y if s @ y > 0 else -y) for s, y in pairs]
g = rng.standard_normal(5)
library = optim.LBFGS([Tensor(np.zeros(5))])
library.pairs = pairs
print(
    "two loops, largest difference:",
    np.abs(library._direction(g) + two_loops(g, pairs)).max(),
    "\n",
)
print(inspect.getsource(optim.LBFGS._direction))
print(inspect.getsource(optim.LBFGS.step))

# %% [markdown]
# ## What to keep
#
# * Depth multiplies the sizes of signals and of gradients. Watch them.
# * LeakyReLU gives every unit a gradient.
# * Batch norm sets the size of signals. First weights then matter little. Switch it for inference.
# * Adam measures each parameter's gradients, L-BFGS the shape of the valley. Adam works under
#   noise, L-BFGS does not.
#
# ## Exercises
#
# Write your answers in `tutorials/exercises/lesson08.py`, and test them with `pytest -m lesson08`.
#
# 1. `leaky_relu` and its gradient.
# 2. `batch_norm_grad`: the boxed formula, for pictures (N, H, W, C).
# 3. `adam_step`: one step in place, hats and all.
#
# One solution of each is in `tutorials/solutions/lesson08.py`.
#
# **Next**, in lesson 9: two networks that learn from each other.
