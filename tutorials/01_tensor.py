# %% [markdown]
# # Lesson 1: an array that remembers
#
# Everything that is called *deep learning* rests on one trick: a program that computes a number
# can also tell, at almost no extra cost, **how that number would change if any of its inputs
# changed a little**. In this lesson you build the trick by hand, in about forty lines. Lesson 2
# checks it, and all others use it.
#
# You need Python and a little NumPy. No deep learning is assumed; every new word is explained
# where it first appears.

# %%
import inspect
import itertools
import time

import matplotlib.pyplot as plt
import numpy as np

from minidl.models.images.samples import grey, photograph

plt.rcParams.update({"figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False})

# %% [markdown]
# ## 1. A problem with two unknowns
#
# Somebody has changed the brightness and the contrast of a photograph. We have the original $x$
# and the result $y$. We want to find the change. If every pixel went through $y = a\,x + b$, then
# two numbers are unknown: the contrast $a$ and the brightness $b$.
#
# Pixels are numbers between 0 (black) and 1 (white).

# %%
x = grey(photograph("camera"))[100:356:2, 100:356:2, 0].astype(float)  # (128, 128)
y = 0.4 * x + 0.45  # what somebody did; pretend not to have seen this line


def show(pictures, titles, height=2.6):
    """Grey pictures side by side, 0 black and 1 white."""
    _, axes = plt.subplots(1, len(pictures), figsize=(height * len(pictures), height))
    for ax, picture, title in zip(axes, pictures, titles, strict=True):
        ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
        ax.set_title(title, fontsize=10)
        ax.axis("off")
    plt.tight_layout()
    plt.show()


show([x, y], ["original $x$", "altered $y$"])

# %% [markdown]
# We guess $a$ and $b$, and measure how wrong the guess is. Such a measure is called a **loss**:
# one number, which is 0 for a perfect answer. Ours is the mean of the squared errors of all
# pixels,
#
# $$ L(a, b) = \frac{1}{n} \sum_i (a\,x_i + b - y_i)^2 . $$

# %%


def loss_of(a, b):
    return ((a * x + b - y) ** 2).mean()


print("loss of the guess a = 1, b = 0:    ", loss_of(1.0, 0.0))
print("loss of the guess a = 0.4, b = 0.45:", loss_of(0.4, 0.45))

# %% [markdown]
# ## 2. Slopes, the slow way
#
# To get better, we ask: if $a$ grows a little, does the loss grow or fall, and how fast? That is
# the slope of the loss along $a$, written $\partial L / \partial a$. It can be measured: take a
# small step $\varepsilon$ to either side, and divide the difference by its length,
#
# $$ \frac{\partial L}{\partial a} \approx
#    \frac{L(a + \varepsilon, b) - L(a - \varepsilon, b)}{2 \varepsilon} . $$
#
# The slopes along all unknowns together are called the **gradient**.

# %%


def slopes(f, values, eps=1e-5):
    """The gradient of f(*values) by small steps: f is computed twice for every value."""
    gradient = []
    for i in range(len(values)):
        above, below = list(values), list(values)
        above[i] += eps
        below[i] -= eps
        gradient.append((f(*above) - f(*below)) / (2 * eps))
    return gradient


print("gradient at a = 1, b = 0:", [float(slope) for slope in slopes(loss_of, [1.0, 0.0])])

# %%
grid = np.linspace(-0.2, 1.2, 100)
height, slope = loss_of(0.2, 0.0), slopes(loss_of, [0.2, 0.0])[0]
plt.figure(figsize=(5, 2.6))
plt.plot(grid, [loss_of(a, 0.0) for a in grid], label="$L(a, 0)$")
plt.plot(grid[:60], height + slope * (grid[:60] - 0.2), "--", label="its slope at $a = 0.2$")
plt.plot(0.2, height, "o")
plt.xlabel("$a$")
plt.legend()
plt.show()

# %% [markdown]
# Here the slope is negative: a larger $a$ lowers the loss. Where the slope is positive, a smaller
# $a$ is better. So we always walk **against** the slope, a little at a time. This is **gradient
# descent**, and all learning in these lessons is of this kind:
#
# $$ a \leftarrow a - r\, \frac{\partial L}{\partial a}, \qquad
#    b \leftarrow b - r\, \frac{\partial L}{\partial b}, $$
#
# where the **learning rate** $r$ sets the length of the steps.

# %%
guess, history = [1.0, 0.0], []
for _ in range(300):
    history.append(loss_of(*guess))
    guess = [
        value - 0.5 * slope for value, slope in zip(guess, slopes(loss_of, guess), strict=True)
    ]

print("found a = {:.4f}, b = {:.4f}".format(*guess))
show([x, y, guess[0] * x + guess[1]], ["original", "altered", "original, by our $a$ and $b$"])

# %%
plt.figure(figsize=(5, 2.4))
plt.semilogy(history)
plt.xlabel("steps")
plt.ylabel("loss")
plt.show()

# %% [markdown]
# It works. Now count: two unknowns cost four computations of the loss at every step. A network has
# a hundred thousand unknowns or more, so every step would cost two hundred thousand computations.
# Measured steps are far too slow:

# %%


def weighted(*weights):
    """A loss with as many unknowns as we like: each scales some rows of the picture."""
    rows = np.repeat(weights, len(x) // len(weights))
    return ((rows[:, None] * x - y) ** 2).mean()


for count in [2, 8, 32, 128]:
    begin = time.perf_counter()
    slopes(weighted, [1.0] * count)
    print(f"{count:4} unknowns: {1000 * (time.perf_counter() - begin):8.2f} ms for one gradient")

# %% [markdown]
# ## 3. The chain rule, once by hand
#
# There is a better way, and it is two hundred years old. Write the computation as a chain of steps
# so simple that we know the slope of each:
#
# $$ p = a\,x, \qquad q = p + b, \qquad e = q - y, \qquad s = e^2, \qquad L = \text{mean}(s) . $$
#
# Then go through the chain **backwards**. For every value ask: how fast does $L$ change with it?
# The answer follows from the answer for the next value in the chain: multiply it by the slope of
# the step between the two. That is the **chain rule**.
#
# | value | how fast $L$ changes with it |
# |---|---|
# | $L$ | $1$ |
# | $s_i$ | $1/n$, since a mean takes one $n$-th of each |
# | $e_i$ | $\frac{1}{n} \cdot 2 e_i$, since the slope of $e^2$ is $2e$ |
# | $q_i$ | the same, since the slope of $q - y$ along $q$ is 1 |
# | $b$ | the **sum** over all $q_i$, since $b$ is in every $q_i$ |
# | $p_i$ | the same as $q_i$ |
# | $a$ | the sum over $i$ of the slope of $p_i$ times $x_i$ |

# %%
a, b = 1.0, 0.0
p = a * x
q = p + b
e = q - y

g_s = np.ones_like(x) / x.size
g_e = g_s * 2 * e
g_q = g_e
g_b = g_q.sum()
g_p = g_q
g_a = (g_p * x).sum()

print("by the chain rule: ", [float(g_a), float(g_b)])
print("by small steps:    ", [float(slope) for slope in slopes(loss_of, [1.0, 0.0])])

# %% [markdown]
# Both agree. And one walk back gave **all** slopes. It costs about as much as computing the loss
# once more, however many unknowns there are. This walk is called **back-propagation**.
#
# Doing it by hand for a large program is hopeless. But each line used only its own step. So if
# every step stores how to walk back through it, a program can do the rest.
#
# ## 4. An array that remembers
#
# A **tensor**, here, is an array with a memory of how it was made: its *parents*, and one
# *gradient function* for each. A gradient function takes $g$, the slope of the loss along this
# tensor, and returns the slope of the loss along the parent. The field calls such a function a
# **vector-Jacobian product**, VJP. `birth` is a number that counts the tensors in the order in
# which they are made; we shall need it soon.

# %%
births = itertools.count()


class Tensor:
    """An array, and how it was made."""

    def __init__(self, data, parents=(), grad_functions=()):
        self.data = np.asarray(data, dtype=float)
        self.parents, self.grad_functions = parents, grad_functions
        self.birth = next(births)

    def __repr__(self):
        return f"Tensor({self.data:.4g})" if self.data.ndim == 0 else f"Tensor{self.data.shape}"


# %% [markdown]
# An **op** (short for operation) is one of the simple steps. We write it as a function of plain
# arrays. It returns its value, followed by one gradient function per input. `op` turns it into a
# function of tensors that stores parents and gradient functions.

# %%


def op(forward):
    """forward(*arrays) -> value, *gradient functions; lifted to tensors."""

    def lifted(*inputs):
        parents = tuple(t if isinstance(t, Tensor) else Tensor(t) for t in inputs)
        value, *grad_functions = forward(*(t.data for t in parents))
        return Tensor(value, parents, grad_functions)

    return lifted


@op
def add(a, b):
    return a + b, lambda g: g, lambda g: g


@op
def multiply(a, b):
    return a * b, lambda g: g * b, lambda g: g * a


@op
def mean(x):
    return x.mean(), lambda g: np.full_like(x, g / x.size)


# %% [markdown]
# Read `multiply` aloud: the value is $ab$; if $L$ changes by $g$ for each unit of $ab$, it changes
# by $g\,b$ for each unit of $a$ and by $g\,a$ for each unit of $b$.
#
# Now we would like to write `a * x` instead of `multiply(a, x)`. Python asks the class for that.

# %%
Tensor.__add__ = add
Tensor.__mul__ = multiply

three, four = Tensor(3.0), Tensor(4.0)
product = three * four
total = product + three
print("3 * 4 + 3 =", total)
print("made of", total.parents, "and the first of them of", total.parents[0].parents)

# %% [markdown]
# ## 5. Walking back
#
# The first try follows the rule to the letter: start with $g = 1$ at the loss, give every parent
# the result of its gradient function, and let the parent do the same.

# %%


def walk(tensor, g, found):
    """First try: note g for this tensor, then go on to its parents."""
    found[tensor] = g
    for parent, grad in zip(tensor.parents, tensor.grad_functions, strict=True):
        walk(parent, grad(g), found)


found = {}
walk(total, 1.0, found)
print("3 * 4 + 3: slope along the 4:", found[four], "   right: 3")
print("3 * 4 + 3: slope along the 3:", found[three], "   right: 4 + 1 = 5")

# %% [markdown]
# **Broken.** The three is used twice: once in the product, once in the sum. Its slope arrives
# along two paths, and the second value overwrote the first. If there are several paths, the slopes
# add up:
#
# $$ \frac{\partial L}{\partial t} = \sum_{\text{children } c \text{ of } t}
#    \frac{\partial L}{\partial c}\, \frac{\partial c}{\partial t} . $$
#
# Whole libraries have been published with this mistake. The fix is one `+`:

# %%


def walk(tensor, g, found):
    """Second try: gradients that arrive along several paths are added."""
    found[tensor] = found.get(tensor, 0) + g
    for parent, grad in zip(tensor.parents, tensor.grad_functions, strict=True):
        walk(parent, grad(g), found)


found = {}
walk(total, 1.0, found)
print("slope along the 3:", found[three])

# %% [markdown]
# That is right, but slow in a way that hides in small examples. Take a number and double it by
# adding it to itself, again and again:

# %%
lengths, times = [4, 8, 12, 14, 16], []
for length in lengths:
    t = Tensor(1.0)
    for _ in range(length):
        t = t + t
    begin = time.perf_counter()
    walk(t, 1.0, {})
    times.append(time.perf_counter() - begin)

plt.figure(figsize=(5, 2.4))
plt.semilogy(lengths, times, "o-")
plt.xlabel("additions")
plt.ylabel("seconds")
plt.show()

# %% [markdown]
# On a logarithmic axis a straight line upwards is an exponential: each addition doubles the number
# of paths, and we walk every one of them. With thirty additions we would wait for most of an hour,
# with forty for weeks.
#
# We should visit every tensor **once**, and only when its gradient is complete: after all its
# children. How do we find such an order? A child is always born after its parents. So the order is
# simply: **youngest first**.

# %%


def history_of(tensor):
    """Every tensor that this one was made of, and itself, the youngest first."""
    seen, todo = {tensor}, [tensor]
    while todo:
        for parent in todo.pop().parents:
            if parent not in seen:
                seen.add(parent)
                todo.append(parent)
    return sorted(seen, key=lambda t: -t.birth)


def gradients(loss, wanted):
    """[d loss / d t for t in wanted]."""
    total = {loss: np.ones_like(loss.data)}
    for t in history_of(loss):
        for parent, grad in zip(t.parents, t.grad_functions, strict=True):
            total[parent] = total.get(parent, 0) + grad(total[t])
    return [total[t] for t in wanted]


slope_three, slope_four = gradients(total, [three, four])
print(f"3 * 4 + 3: slope along the 3: {slope_three}, along the 4: {slope_four}")

start = t = Tensor(1.0)
for _ in range(1000):
    t = (t + t) * Tensor(0.5)
begin = time.perf_counter()
(slope,) = gradients(t, [start])
print(f"1000 doublings and halvings: slope {slope}, {time.perf_counter() - begin:.4f} s")

# %% [markdown]
# This is the whole of automatic differentiation. Let us watch it work on a small computation. Read
# the values from the top down: that is the computation. Then read the last column from the bottom
# up: that is the walk back.

# %%
weight, bias = Tensor(2.0), Tensor(-1.0)
inputs = Tensor(3.0)
scaled = weight * inputs
shifted = scaled + bias
loss = shifted * shifted

names = {"weight": weight, "bias": bias, "inputs": inputs, "scaled = weight * inputs": scaled,
         "shifted = scaled + bias": shifted, "loss = shifted * shifted": loss}  # fmt: skip
print(f"{'':28}{'value':>8}{'d loss / d value':>20}")
for (name, tensor), slope in zip(names.items(), gradients(loss, list(names.values())), strict=True):
    print(f"{name:28}{tensor.data:8.1f}{slope:20.1f}")

# %% [markdown]
# ## 6. Many pixels, one number
#
# Back to the photograph. There $a$ is one number, and $x$ has 16,384 numbers. NumPy *broadcasts*:
# it repeats the one number for all pixels. What does our gradient say?

# %%
a, b = Tensor(1.0), Tensor(0.0)
error = a * x + b + (-y)
loss = mean(error * error)
g_a, g_b = gradients(loss, [a, b])
print("a is one number, but its gradient has the shape", g_a.shape)

# %% [markdown]
# **Broken again**, and for the same reason as before. A repeated number reaches the loss along
# many paths, and we forgot to add up their slopes. The table of section 3 had two sums in exactly
# these places. So a gradient function must sum over the axes that NumPy repeated:

# %%


def unbroadcast(g, shape):
    """Sum g over the axes along which an array of `shape` was repeated."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))  # axes that were not there at all
    repeated = tuple(i for i, n in enumerate(shape) if n == 1)  # and axes of length one
    return g.sum(axis=repeated, keepdims=True)


@op
def add(a, b):
    return a + b, lambda g: unbroadcast(g, a.shape), lambda g: unbroadcast(g, b.shape)


@op
def multiply(a, b):
    return a * b, lambda g: unbroadcast(g * b, a.shape), lambda g: unbroadcast(g * a, b.shape)


Tensor.__add__, Tensor.__mul__ = add, multiply

error = a * x + b + (-y)
loss = mean(error * error)
print("by walking back:", [float(g) for g in gradients(loss, [a, b])])
print("by small steps: ", [float(slope) for slope in slopes(loss_of, [1.0, 0.0])])

# %% [markdown]
# The numbers are the same. Now take very many unknowns: let **every pixel** have a contrast and a
# brightness of its own. Small steps would need 65,536 computations of the loss for one gradient.

# %%
many_a, many_b = Tensor(np.ones_like(x)), Tensor(np.zeros_like(x))
begin = time.perf_counter()
error = many_a * x + many_b + (-y)
loss = mean(error * error)
g_a, g_b = gradients(loss, [many_a, many_b])
seconds = time.perf_counter() - begin

begin = time.perf_counter()
loss_of(many_a.data, many_b.data)
small_steps = 2 * 2 * x.size * (time.perf_counter() - begin)
print(f"{2 * x.size} unknowns, walking back: {1000 * seconds:.2f} ms")
print(f"the same by small steps would take about {small_steps:.1f} s")

# %% [markdown]
# ## 7. The same forty lines train a network
#
# A **neural network** is nothing but a longer chain of ops with more unknowns in it. Its unknowns
# are called **weights** if they multiply and **biases** if they are added; both together are the
# **parameters**. We need two more ops: the product of matrices, and a nonlinear function. Without
# the nonlinear function a chain of products would be one single product. Here it is $\tanh$, whose
# slope is $1 - \tanh^2$.

# %%


@op
def matmul(a, b):
    """a (N, K), b (K, M) -> (N, M)."""
    return a @ b, lambda g: g @ b.T, lambda g: a.T @ g


@op
def tanh(x):
    y = np.tanh(x)
    return y, lambda g: g * (1 - y * y)


# %% [markdown]
# The task is to learn one row of the photograph, a curve of $N$ points. The input is the position
# of a pixel, and the output should be its brightness:
#
# $$ \hat{y} = \tanh(x\,W_1 + b_1)\,W_2 + b_2 . $$

# %%
rng = np.random.default_rng(0)
brightness = x[100][:, None]  # (N, 1): a row through the coat and the tripod
place = np.linspace(-1, 1, len(brightness))[:, None]  # (N, 1)

W1, b1 = Tensor(rng.normal(0, 25, (1, 60))), Tensor(rng.uniform(-25, 25, 60))
W2, b2 = Tensor(np.zeros((60, 1))), Tensor(np.zeros(1))
parameters = [W1, b1, W2, b2]

losses, answers = [], {}
for step in range(3001):
    answer = matmul(tanh(matmul(place, W1) + b1), W2) + b2
    error = answer + (-brightness)
    loss = mean(error * error)
    losses.append(float(loss.data))
    if step in (0, 100, 3000):
        answers[step] = answer.data
    for parameter, g in zip(parameters, gradients(loss, parameters), strict=True):
        parameter.data = parameter.data - 0.02 * g

_, (left, right) = plt.subplots(1, 2, figsize=(10, 3))
left.plot(place, brightness, "k", lw=3, alpha=0.3, label="the row of pixels")
for step, answer in answers.items():
    left.plot(place, answer, label=f"after {step} steps")
left.legend(fontsize=8)
right.semilogy(losses)
right.set(xlabel="steps", ylabel="loss")
plt.show()
print(f"loss at first {losses[0]:.4f}, at last {losses[-1]:.5f}")

# %% [markdown]
# The network knows nothing of coats and tripods. It was given a loss, and walked downhill. (Try a
# rate of 0.05 instead of 0.02: each step then ends higher than it began, and the loss grows to
# infinity. Lesson 8 is about choosing rates, and about better ways downhill.)
#
# ## 8. The library's own
#
# `minidl` works in exactly this way. Here is its `gradients`, from `minidl/tensor.py`. The text
# below is printed from the source, so it is the code that runs. Compared with ours, it also
#
# * refuses a loss that is not one number, and a wanted tensor that the loss does not depend on;
# * refuses a loss that is out of date, because a training step has changed its parameters in
#   place;
# * walks only through tensors on a path to a wanted one, so no gradient is computed for nothing;
# * adds two gradients of one tensor with a compiled loop of `minidl.kernels`;
# * frees a gradient as soon as it has been passed on, which saves memory;
# * walks over the tensors' *origins*. An origin holds parents, gradient functions and birth, but
#   not the array, so that arrays are freed as soon as nothing needs them.

# %%
import minidl
from minidl.tools import draw

print(inspect.getsource(minidl.gradients))

# %% [markdown]
# The library can also draw a computation. Here is the small computation of section 5 again, with
# the library's tensors: values run down the picture, gradients (in red) run back up. Append
# `.steps()` to click through the walk back, one op at a time.

# %%
weight, bias, inputs = (minidl.Tensor(np.array(value)) for value in (2.0, -1.0, 3.0))


def loss_of():
    shifted = weight * inputs + bias
    return shifted * shifted


draw(loss_of, names={"weight": weight, "bias": bias, "inputs": inputs}, gradients=True)

# %% [markdown]
# And this is one whole op, the most important one of a network:

# %%
print(inspect.getsource(minidl.ops.linear))

# %% [markdown]
# Here is the first problem again, with the library instead of our forty lines. NumPy's `float32`
# numbers take half the memory; they are exact enough for learning, and fast.

# %%
a = minidl.Tensor(np.ones((), np.float32))
b = minidl.Tensor(np.zeros((), np.float32))
for _ in range(300):
    error = a * x.astype(np.float32) + b - y.astype(np.float32)
    for parameter, g in zip([a, b], minidl.gradients((error * error).mean(), [a, b]), strict=True):
        parameter.data = parameter.data - np.float32(0.5) * g
print(f"found a = {a.item():.4f}, b = {b.item():.4f}")

# %% [markdown]
# ## Exercises
#
# Write your answers in `tutorials/exercises/lesson01.py`, and test them with `pytest -m lesson01`.
#
# 1. `divide`: the op $a / b$, as a value and two gradient functions.
# 2. `unbroadcast`: sum a gradient to the shape of the input that was repeated. Write it without
#    looking at section 6.
# 3. `descend`: gradient descent on any loss of `minidl` tensors.
#
# One solution of each is in `tutorials/solutions/lesson01.py`.
#
# **Next**, in lesson 2: gradients are easily wrong, and wrong gradients often *nearly* work. You
# learn how to find them.
