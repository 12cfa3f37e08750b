# %% [markdown]
# # Lesson 2: never trust a gradient
#
# A wrong gradient seldom stops a program. The loss still falls, only slower, or to a worse end,
# and the mistake is searched for months in the data, the rate, the model. In this lesson you build
# the tool that finds such mistakes in a second; then you plant mistakes on purpose, to see whether
# the tool would find them. The first version will not.

# %%
import inspect
import time

import matplotlib.pyplot as plt
import numpy as np

from minidl import Tensor, gradcheck, gradients, op, ops

plt.rcParams.update({"figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False})

# %% [markdown]
# ## 1. A mistake that learns
#
# Lesson 1 ended with gradient descent on $L$, the mean squared error between a network's answer
# and what it should say. Here is a small network once more, with the library's ops. One thing is
# new: we write the layer $y = x\,W + b$ ourselves, as an op, in two versions. The second has a
# mistake: it gives the gradient of $b$ as the **mean** over the samples where it is the **sum**.

# %%


@op
def layer(x, w, b):
    """x (N, I), w (I, O), b (O,) -> x w + b (N, O)."""
    return x @ w + b, lambda g: g @ w.T, lambda g: x.T @ g, lambda g: g.sum(axis=0)


@op
def wrong_layer(x, w, b):
    """The same, with a mistake in its last gradient function."""
    return x @ w + b, lambda g: g @ w.T, lambda g: x.T @ g, lambda g: g.mean(axis=0)


# %%
place = np.linspace(-1, 1, 64)[:, None]  # (N, 1)
wave = np.cos(4 * place)  # (N, 1): what the network shall answer


def train(layer, steps=2000, rate=0.05):
    """The losses of a network of two layers while it learns the wave, and its last answer."""
    rng = np.random.default_rng(0)
    W1, b1 = Tensor(rng.normal(0, 3, (1, 20))), Tensor(np.zeros(20))
    W2, b2 = Tensor(rng.normal(0, 0.2, (20, 1))), Tensor(np.zeros(1))
    parameters, losses = [W1, b1, W2, b2], []
    for _ in range(steps):
        answer = layer(ops.tanh(layer(place, W1, b1)), W2, b2)
        error = answer - wave
        loss = (error * error).mean()
        losses.append(loss.item())
        for parameter, g in zip(parameters, gradients(loss, parameters), strict=True):
            parameter.data -= rate * g
    return losses, answer.data


right, right_answer = train(layer)
wrong, wrong_answer = train(wrong_layer)

_, (left, middle) = plt.subplots(1, 2, figsize=(10, 3))
left.semilogy(right, label="right gradient")
left.semilogy(wrong, label="wrong gradient")
left.set(xlabel="steps", ylabel="loss")
left.legend()
middle.plot(place, wave, "k", lw=4, alpha=0.3, label="the wave")
middle.plot(place, right_answer, label="right gradient")
middle.plot(place, wrong_answer, label="wrong gradient")
middle.legend()
plt.show()
print(f"last loss: {right[-1]:.5f} with the right gradient, {wrong[-1]:.5f} with the wrong one")

# %% [markdown]
# Both losses fall. Whoever sees only the second curve has no reason to suspect anything. (Nor is
# it of use to compare the two: we do not have a right version, or we would not need to check.)
#
# ## 2. Small steps
#
# What we do have is the definition of a slope. From lesson 1:
#
# $$ \frac{\partial L}{\partial x_i} \approx
#    \frac{L(x + \varepsilon\,e_i) - L(x - \varepsilon\,e_i)}{2\varepsilon}, $$
#
# where $e_i$ is 1 at the $i$-th element and 0 elsewhere. It is slow, but it is right, as it uses
# the value alone. How large should $\varepsilon$ be? Let us measure the error for one function
# whose slope we know, $\sin$ at 1, with steps to one side and to both, and in both float types.

# %%
steps = 10.0 ** np.arange(-14, 0)


def error_of_slope(eps, dtype, both):
    """How far the measured slope of sin at 1 is from cos(1)."""
    one, eps = dtype(1), dtype(eps)
    if both:
        slope = (np.sin(one + eps) - np.sin(one - eps)) / (2 * eps)
    else:
        slope = (np.sin(one + eps) - np.sin(one)) / eps
    return abs(float(slope) - np.cos(1.0))


plt.figure(figsize=(6.5, 3))
for dtype, both, label in [
    (np.float32, True, "float32, both sides"),
    (np.float64, False, "float64, one side"),
    (np.float64, True, "float64, both sides"),
]:
    plt.loglog(steps, [error_of_slope(eps, dtype, both) for eps in steps], "o-", label=label)
plt.xlabel(r"$\varepsilon$")
plt.ylabel("error of the slope")
plt.legend()
plt.show()

# %% [markdown]
# Two errors are at war. On the right, steps are too long: a curve is no straight line. To one side
# the error shrinks with $\varepsilon$, to both sides with $\varepsilon^2$. On the left, steps are
# too short: two nearly equal numbers are subtracted, and of their 16 digits (7 in float32) few are
# left.
#
# The lesson of the picture: **float64, both sides, $\varepsilon$ about $10^{-5}$**. There ten
# digits are right. In float32 never more than five are, so a check in float32 must let nearly
# everything pass.
#
# ## 3. A checker, first version
#
# An op gives an array $y$, but a gradient belongs to one number. The obvious thing is to add
# everything up, $L = \sum_i y_i$.

# %%


def numeric_gradient(f, x, eps=1e-5):
    """The slope of f() along every element of the array x, which f uses. x is left as it was."""
    slopes = np.empty_like(x)
    for at in np.ndindex(x.shape):
        value = x[at]
        x[at] = value + eps
        above = f()
        x[at] = value - eps
        below = f()
        x[at] = value
        slopes[at] = (above - below) / (2 * eps)
    return slopes


def relative_error(a, b):
    """The largest difference, in parts of the largest number."""
    return np.abs(a - b).max() / max(np.abs(a).max(), np.abs(b).max(), 1e-12)


def check_by_sum(function, *arrays):
    """The largest error of the gradients of function(*arrays).sum()."""
    tensors = [Tensor(array) for array in arrays]
    found = gradients(function(*tensors).sum(), tensors)
    return max(
        relative_error(g, numeric_gradient(lambda: function(*tensors).data.sum(), t.data))
        for g, t in zip(found, tensors, strict=True)
    )


rng = np.random.default_rng(1)
x, w, b = rng.normal(size=(5, 4)), rng.normal(size=(4, 3)), rng.normal(size=3)
print(f"layer:       {check_by_sum(layer, x, w, b):.1e}")
print(f"wrong_layer: {check_by_sum(wrong_layer, x, w, b):.1e}")

# %% [markdown]
# The right layer agrees in ten digits, the wrong one in none. So the checker has found our
# mistake. It looks finished. Many a library's tests look exactly like this.
#
# ## 4. Why a plain sum is blind
#
# Here is another op: the **softmax**, which turns numbers into shares that are positive and add up
# to 1,
#
# $$ s_i = \frac{e^{x_i}}{\sum_j e^{x_j}}, \qquad
#    \frac{\partial L}{\partial x_i} = s_i \Big( g_i - \sum_j g_j s_j \Big) . $$
#
# And here are four versions of its gradient. Only the first is right.

# %%


def softmax_with(gradient):
    """A softmax over the last axis whose gradient is gradient(g, s)."""

    @op
    def softmax(x):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        s = e / e.sum(axis=-1, keepdims=True)
        return s, lambda g: gradient(g, s)

    return softmax


versions = {
    "right": lambda g, s: s * (g - (g * s).sum(axis=-1, keepdims=True)),
    "always zero": lambda g, s: np.zeros_like(g),
    "17 times too large": lambda g, s: 17 * s * (g - (g * s).sum(axis=-1, keepdims=True)),
    "wrong sign": lambda g, s: -s * (g - (g * s).sum(axis=-1, keepdims=True)),
}
x = rng.normal(size=(3, 5))


def differs_in_sum(function, *arrays):
    """As check_by_sum, but the difference itself: where both are zero there is no relative one."""
    tensors = [Tensor(array) for array in arrays]
    found = gradients(function(*tensors).sum(), tensors)
    return max(
        np.abs(g - numeric_gradient(lambda: function(*tensors).data.sum(), t.data)).max()
        for g, t in zip(found, tensors, strict=True)
    )


for name, gradient in versions.items():
    print(f"{name:20} differs by {differs_in_sum(softmax_with(gradient), x):.1e}")

# %% [markdown]
# **All four pass.** The shares add up to 1 whatever $x$ is. So the sum of a softmax has slope zero
# along everything, and in walking back $g$ is all ones, for which each of the four formulas gives
# zero as well. The sum looks at the op from the one side from which nothing can be seen.
#
# This is no curiosity. Batch norm, which you will meet in lesson 8, subtracts a mean, so its
# outputs add up to a constant, too. A well-known teaching library checked it by a sum; its test
# passed with the gradient multiplied by 0, and by 17.
#
# The mend is one line: give every output a weight of its own, drawn at random,
#
# $$ L = \sum_i r_i\, y_i, \qquad r_i \sim \mathcal{N}(0, 1), $$
#
# so that $g = r$ when we walk back. No side is special any more. A wrong gradient would have to be
# wrong exactly across a random direction, and that has probability zero.

# %%


def check(function, *arrays, seed=0):
    """The largest error of the gradients, with random weights on the output."""
    tensors = [Tensor(array) for array in arrays]
    y = function(*tensors)
    weights = np.random.default_rng(seed).normal(size=y.shape)
    found = gradients((y * weights).sum(), tensors)
    return max(
        relative_error(
            g, numeric_gradient(lambda: (function(*tensors).data * weights).sum(), t.data)
        )
        for g, t in zip(found, tensors, strict=True)
    )


for name, gradient in versions.items():
    print(f"{name:20} error {check(softmax_with(gradient), x):.1e}")

# %% [markdown]
# ## 5. Who checks the checker?
#
# A test that cannot fail is worse than none, for it is believed. So **plant faults**: take right
# ops, spoil them in the ways in which people spoil them, and demand that every one is found. Here
# are nine.

# %%


def spoilt(forward, *arrays):
    """An op with a fault, and the arrays to try it on."""
    return op(forward), arrays


def standardize(x):
    """Each column with mean 0 and deviation 1; that the deviation depends on x is forgotten."""
    deviation = x.std(axis=0)
    return (x - x.mean(axis=0)) / deviation, lambda g: (g - g.mean(axis=0)) / deviation


A, B, row = rng.normal(size=(5, 4)), rng.normal(size=(5, 4)), rng.normal(size=4)
square = rng.normal(size=(4, 4))

faults = {
    "0.1 % too large": spoilt(lambda x: (x**3, lambda g: 1.001 * g * 3 * x**2), A),
    "factor forgotten": spoilt(lambda x: (x**2, lambda g: g * x), A),
    "wrong sign": spoilt(lambda a, b: (a - b, lambda g: g, lambda g: g), A, B),
    "inputs swapped": spoilt(lambda a, b: (a * b, lambda g: g * a, lambda g: g * b), A, B),
    "transposed": spoilt(lambda a, w: (a @ w, lambda g: g @ w, lambda g: a.T @ g), A, square),
    "one of the repeated": spoilt(lambda a, b: (a + b, lambda g: g, lambda g: g[0]), A, row),
    "not turned back": spoilt(lambda x: (x.T, lambda g: g.reshape(x.shape)), A),
    "deviation forgotten": spoilt(standardize, A),
    "not reversed": spoilt(lambda x: (x[::-1], lambda g: g), A),
}

by_sum = [differs_in_sum(function, *arrays) for function, arrays in faults.values()]
by_weights = [check(function, *arrays) for function, arrays in faults.values()]

at = np.arange(len(faults))
plt.figure(figsize=(8, 3.4))
plt.barh(at + 0.2, np.maximum(by_sum, 1e-13), 0.4, label="plain sum")
plt.barh(at - 0.2, np.maximum(by_weights, 1e-13), 0.4, label="random weights")
plt.axvline(1e-6, color="k", ls="--", lw=1)
plt.xscale("log")
plt.yticks(at, list(faults))
plt.xlabel("error; what stays left of the dashed line passes")
plt.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
plt.show()
for what, errors in {"a plain sum": by_sum, "random weights": by_weights}.items():
    missed = [name for name, error in zip(faults, errors, strict=True) if error < 1e-6]
    print(f"missed with {what}: {', '.join(missed) or 'none'}")

# %% [markdown]
# A plain sum lets three of them pass: whatever only moves a gradient about, or is lost where the
# outputs add up to a constant, it cannot see. Random weights find all nine, even the one that is
# wrong by a thousandth. That is what float64 is for: between the error of a right gradient (below
# $10^{-8}$) and of the smallest fault there is room for a line that nobody needs to argue about.
#
# ## 6. Corners
#
# One more trap. The function $\max(0, x)$, called **ReLU**, has a corner at 0: slope 0 on the
# left, 1 on the right. A step across the corner measures something between.

# %%
near, far = np.array([-1.0, -2e-6, 3e-6, 1.0]), np.array([-1.0, -0.3, 0.3, 1.0])
print(f"right gradient, inputs near the corner: error {check(ops.relu, near):.1e}")
print(f"right gradient, inputs away from it:    error {check(ops.relu, far):.1e}")

# %% [markdown]
# So a checker that draws any inputs at all accuses the innocent now and then. Whoever answers by
# letting more pass has lost the tool. The right answer is to draw inputs **away from corners**.
#
# ## 7. The price
#
# Two computations for every element of every input: for a layer of a real network that is too
# much.

# %%
for size in [4, 8, 16, 32]:
    arrays = [rng.normal(size=(size, size)), rng.normal(size=(size, size)), rng.normal(size=size)]
    begin = time.perf_counter()
    check(layer, *arrays)
    print(f"layer of {size:2} inputs and outputs: {time.perf_counter() - begin:.3f} s")

# %% [markdown]
# But it need not be: an op that is right for 4 x 3 numbers is right for 4,000 x 3,000, if odd
# shapes were among those tried. Check small arrays of awkward shapes. For a whole network, which
# cannot be made small, there is a cheaper question: walk a little way in **one random direction**
# $d$ of all parameters, and compare how the loss changes with what the gradient $g$ foretells, $g
# \cdot d$. Two computations for any number of parameters. One of the exercises is to write it.
#
# ## 8. The library's own
#
# `minidl` checks every op, loss and layer in this way. Its checker, from `minidl/gradcheck.py`:

# %%
print(inspect.getsource(gradcheck.check))

# %% [markdown]
# An op without a row in its table of cases fails the tests, and faults like ours are planted
# there, too. What you get if you type `minidl gradcheck`:

# %%
rows = gradcheck.errors()
shortest = {name: error for _, name, error in rows}
plt.figure(figsize=(8, 2.6))
plt.semilogy(sorted(error for _, _, error in rows), ".")
plt.axhline(gradcheck.TOLERANCE, color="k", ls="--", lw=1)
plt.ylim(1e-13, 1e-5)
plt.xlabel("cases, the best first")
plt.ylabel("relative error")
plt.show()
print(f"{len(rows)} cases; the worst error is {max(shortest.values()):.1e}, in", end=" ")
print(max(shortest, key=shortest.__getitem__))

# %% [markdown]
# ## Exercises
#
# In `tutorials/exercises/lesson02.py`; test them with `pytest -m lesson02`.
#
# 1. `numeric_gradient`: small steps to both sides, for any function of an array.
# 2. `is_right`: a judge of ops. It is tried on right ones and on planted faults, the softmax's
#    too.
# 3. `direction_error`: the cheap check of a whole network in one random direction.
#
# **Next**, in lesson 3: with gradients that can be trusted, the first network that repairs
# pictures.
