# %% [markdown]
# # Lesson 2: never trust a gradient
#
# A wrong gradient seldom stops a program. The loss still falls, only slower, or to a worse end,
# and people search for months in the data, the learning rate and the model. In this lesson you
# build a tool that finds such mistakes in a second. Then you plant mistakes on purpose, to see
# whether the tool finds them. Its first version does not.

# %%
import inspect
import time

import matplotlib.pyplot as plt
import numpy as np

from minidl import Tensor, gradcheck, gradcheck_cases, gradients, op, ops

plt.rcParams.update({"figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False})

# %% [markdown]
# ## 1. A mistake that learns
#
# Lesson 1 ended with gradient descent on $L$, the mean squared error between a network's output
# and the target. Here is a small network once more, with the library's ops. One thing is new: we
# write the layer $y = x\,W + b$ ourselves, as an op, in two versions. The second has a mistake:
# its gradient of $b$ is the **mean** over the samples instead of the **sum**.

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
wave = np.cos(4 * place)  # (N, 1): the target


def train(layer, steps=2000, rate=0.05):
    """Return the losses of a two-layer network that learns the wave, and its last answer."""
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
# Both losses fall. If you see only the second curve, you have no reason to suspect a mistake. (In
# practice you cannot compare the two: if you had a right version, you would not need to check.)
#
# ## 2. Small steps
#
# But we have the definition of a slope. From lesson 1:
#
# $$ \frac{\partial L}{\partial x_i} \approx
#    \frac{L(x + \varepsilon\,e_i) - L(x - \varepsilon\,e_i)}{2\varepsilon}, $$
#
# where $e_i$ is 1 at the $i$-th element and 0 elsewhere. It is slow, but it cannot share the
# mistake, because it uses only the value of the op. How large should $\varepsilon$ be? Let us
# measure the error for one function whose slope we know, $\sin$ at 1, with steps to one side and
# to both, and in both float types.

# %%
steps = 10.0 ** np.arange(-14, 0)


def error_of_slope(eps, dtype, both):
    """Return the error of the measured slope of sin at 1, which is cos(1)."""
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
# There are two errors. On the right, steps are too long: a curve is not a straight line. With
# steps to one side this error shrinks like $\varepsilon$, with steps to both sides like
# $\varepsilon^2$. On the left, steps are too short: two nearly equal numbers are subtracted, and
# few of their 16 digits (7 in float32) are left.
#
# The lesson of the picture: **float64, both sides, $\varepsilon$ about $10^{-5}$**. There ten
# digits are right. In float32 five digits are right at best, so a check in float32 needs a
# tolerance that nearly every fault passes.
#
# ## 3. A checker, first version
#
# An op gives an array $y$, but a gradient belongs to one number. The obvious thing is to add
# everything up, $L = \sum_i y_i$.

# %%


def numeric_gradient(f, x, eps=1e-5):
    """Return the slope of f() along every element of the array x. f reads x; x is restored."""
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
    """Return the largest difference, divided by the largest absolute value."""
    return np.abs(a - b).max() / max(np.abs(a).max(), np.abs(b).max(), 1e-12)


def check_by_sum(function, *arrays):
    """Return the largest error of the gradients of function(*arrays).sum()."""
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
# mistake, and it looks finished. The tests of many libraries look exactly like this.
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
    """Return the largest absolute difference, which is defined for gradients of zero, too."""
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
# along every input. In walking back, $g$ is all ones, and for such a $g$ each of the four formulas
# gives zero as well. The sum hides every mistake of this op.
#
# This is no curiosity. Batch norm, which you will meet in lesson 8, subtracts a mean, so its
# outputs add up to a constant, too. A well-known teaching library checks batch norm by a sum. Its
# test passes if the gradient is multiplied by 0, or by 17.
#
# The fix is one line: give every output a weight of its own, drawn at random,
#
# $$ L = \sum_i r_i\, y_i, \qquad r_i \sim \mathcal{N}(0, 1), $$
#
# so that $g = r$ when we walk back. No direction is special any more. A wrong gradient would pass
# only if its error were orthogonal to a random direction, and that has probability zero.

# %%


def check(function, *arrays, seed=0):
    """Return the largest error of the gradients, with random weights on the output."""
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
# A test that cannot fail is worse than no test, because people trust it. So **plant faults**: take
# right ops, make the mistakes that people make, and demand that the checker finds every one. Here
# are nine.

# %%


def spoilt(forward, *arrays):
    """Return an op with a fault, and the arrays to try it on."""
    return op(forward), arrays


def standardize(x):
    """Scale each column to mean 0, deviation 1. Fault: the deviation is taken as a constant."""
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
# A plain sum misses three of them. It cannot see a gradient whose elements are only in the wrong
# order, nor a fault of an op whose outputs add up to a constant. Random weights find all nine,
# even the gradient that is wrong by a thousandth. This works because of float64: the error of a
# right gradient (below $10^{-8}$) is far below that of the smallest fault, so the tolerance is
# easy to choose.
#
# ## 6. Corners
#
# There is one more trap. The function $\max(0, x)$, called **ReLU**, has a corner at 0: slope 0 on
# the left, 1 on the right. A step across the corner measures a value in between.

# %%
near, far = np.array([-1.0, -2e-6, 3e-6, 1.0]), np.array([-1.0, -0.3, 0.3, 1.0])
print(f"right gradient, inputs near the corner: error {check(ops.relu, near):.1e}")
print(f"right gradient, inputs away from it:    error {check(ops.relu, far):.1e}")

# %% [markdown]
# So a checker that draws arbitrary inputs sometimes reports a right gradient as wrong. A larger
# tolerance would make the check useless. Instead, draw inputs **away from corners**.
#
# ## 7. The price
#
# The check computes the op twice for every element of every input. For a layer of a real network
# that is too slow.

# %%
for size in [4, 8, 16, 32]:
    arrays = [rng.normal(size=(size, size)), rng.normal(size=(size, size)), rng.normal(size=size)]
    begin = time.perf_counter()
    check(layer, *arrays)
    print(f"layer of {size:2} inputs and outputs: {time.perf_counter() - begin:.3f} s")

# %% [markdown]
# But small arrays are enough: an op that is right for 4 x 3 numbers is right for 4,000 x 3,000, if
# odd shapes were tested too. A whole network cannot be made small, but there is a cheaper check.
# Take a small step in **one random direction** $d$ of all parameters, and compare the change of
# the loss with the prediction of the gradient $g$, which is $g \cdot d$. This takes two
# computations for any number of parameters. One of the exercises is to write it.
#
# ## 8. The library's own
#
# `minidl` checks every op, loss and layer in this way. Its checker, from `minidl/gradcheck.py`:

# %%
print(inspect.getsource(gradcheck.check))

# %% [markdown]
# The tests fail if an op has no row in the table of cases. The tests also plant faults like ours.
# `minidl gradcheck` computes these errors:

# %%
rows = gradcheck_cases.errors()
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
# 2. `is_right`: a function that judges an op. It is tested with right ops and with planted faults,
#    those of the softmax too.
# 3. `direction_error`: the cheap check of a whole network in one random direction.
#
# **Next**, in lesson 3: you can trust your gradients now, and train the first network that repairs
# pictures.
