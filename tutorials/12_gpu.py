# %% [markdown]
# # Lesson 12: on a GPU, and where next
#
# In the last lesson a network is trained on a GPU. The lesson also runs without a GPU, and says
# so. You
#
# 1. see that only three lines of a training know of a device;
# 2. mix two devices, and read the error;
# 3. learn why launching kernels takes time, and how a *graph* saves this time;
# 4. look at a map of the whole library, and at what came after the two papers.

# %%
import ast
import inspect
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

import minidl
from minidl import (
    Tensor,
    cuda_graph,
    device,
    gpu_support,
    gradcheck,
    gradcheck_cases,
    gradients,
    losses,
    nn,
    ops,
    optim,
)

plt.rcParams.update({"figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False})

chosen = device.choose("auto")  # the GPU where there is one
print("this notebook runs on the", chosen.name)
if chosen.name == "cpu":
    print("because:", gpu_support.why_no_gpu())

# %% [markdown]
# ## 1. Arrays decide
#
# A *device* holds arrays: the CPU in the memory of the computer, the GPU in its own. NumPy's
# arrays live on the CPU, CuPy's on the GPU, and CuPy understands the same expressions: `x @ w`,
# `x.sum()`, `np.tanh(x)`. So an op need not know its device. Where NumPy is slow there is a
# *kernel*, and the array chooses between its versions:

# %%
print(inspect.getsource(device.of))
print(inspect.getsource(device._of_kind))
print(inspect.getsource(minidl.kernels._dispatch))

# %% [markdown]
# There is no global setting. `Device.put` copies an array to a device, `device.to_cpu` copies it
# back, `Module.to` moves a network, and an optimiser makes its arrays on the device of the
# parameters.
#
# Here is a whole training: a small network learns to remove noise from a photograph. **Count the
# lines that use the device.**

# %%
photo = (data.camera() / 255).astype(np.float32)
SIGMA = 0.15


def patches(count, rng):
    out = np.empty((count, 32, 32, 1), np.float32)
    for n, (i, j) in enumerate(rng.integers(0, 224, (count, 2))):  # the upper left quarter
        out[n, :, :, 0] = photo[i : i + 32, j : j + 32]
    return out


def denoiser(rng):
    return nn.Sequential(
        nn.Conv2D(1, 16, kernel_size=3, rng=rng), nn.LeakyReLU(),
        nn.Conv2D(16, 16, kernel_size=3, rng=rng), nn.LeakyReLU(),
        nn.Conv2D(16, 1, kernel_size=3, rng=rng),
    )  # fmt: skip


def train(device, steps):
    rng = np.random.default_rng(0)
    net = denoiser(rng).to(device)  # 1
    adam, history = optim.Adam(net.parameters(), lr=0.003), []
    for _ in range(steps):
        clean = patches(16, rng)
        noise = rng.normal(0, SIGMA, clean.shape).astype(np.float32)
        x, target = device.put(clean + noise), device.put(noise)  # 2: the net predicts the noise
        loss = losses.mean_squared_error(net(x), target)
        adam.step(gradients(loss, net.parameters()))
        history.append(loss.data)  # a number on the device; Python does not wait for it
    return net, [float(loss) for loss in history]  # 3: float brings it back


net, history = train(chosen, 300)
noisy = photo[256:448, 200:392] + np.random.default_rng(1).normal(0, SIGMA, (192, 192))
x = noisy.astype(np.float32)[None, :, :, None]
clean = noisy - device.to_cpu(net(chosen.put(x)).data)[0, :, :, 0]


def psnr(a):
    return -10 * np.log10(((a - photo[256:448, 200:392]) ** 2).mean())


_, axes = plt.subplots(1, 3, figsize=(9.5, 2.7), width_ratios=[1.6, 1, 1])
axes[0].semilogy(history)
axes[0].set(title=f"loss, on the {chosen.name}", xlabel="step")
for axis, picture, name in zip(axes[1:], (noisy, clean), ("noisy", "network"), strict=True):
    axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
    axis.set_title(f"{name}, {psnr(picture):.2f} dB", fontsize=10)
    axis.axis("off")
plt.tight_layout()
plt.show()

# %% [markdown]
# Trained on the CPU instead of a GPU, the network has the same losses, but not bit for bit:

# %%
if chosen.name == "gpu":
    _, on_cpu = train(device.CPU, 20)
    print("largest difference of 20 losses:", np.abs(np.array(on_cpu) - history[:20]).max())
else:
    print("no GPU here to compare with")
x = np.random.default_rng(0).standard_normal(1_000_000).astype(np.float32)
sums = [float(np.add.accumulate(order)[-1]) for order in (x, np.sort(x))]
print(f"one sum, in two orders: {sums[0]:.3f} and {sums[1]:.3f};", end=" ")
print(f"in double precision {x.sum(dtype=float):.3f}")

# %% [markdown]
# The last line shows the reason: rounding depends on the order of additions, and each device has
# an order of its own. On the *same* device the library always uses the same order, so that equal
# seeds give equal results, bit for bit.
#
# ## 2. Broken on purpose: two devices
#
# Without line 2, the network is on one device and the batch on the other. If the library copied
# the batch silently, training could be ten times slower, and you would not see why. So it is an
# error. We can show it without a GPU, with an array that only *claims* to be CuPy's:


# %%
class Elsewhere(np.ndarray):
    __module__ = "cupy"


weights = Tensor(np.ones((4, 2), np.float32).view(Elsewhere), "weights")
try:
    ops.matmul(np.ones((3, 4), np.float32), weights)
except device.DeviceError as error:
    print("DeviceError:", error)

# %% [markdown]
# ## 3. Launching and computing
#
# A GPU works in parallel to the CPU. To *launch* a kernel means to put a request into a queue;
# Python continues at once. This has three consequences.
#
# **Timing needs `synchronize`.** Without it, you measure only the time of the launch. **`item()`
# waits** for everything before it: if you print the loss at every step, the queue becomes empty
# each time. And **a launch takes time**: about ten microseconds from Python, while the kernel of a
# small layer may need three.
#
# The following timelines are drawn, not measured. They show 12 launches: the CPU asks for each
# (blue), and the GPU then does them in order (orange).


# %%
def timeline(asks, works):
    """Return [(start, length)] of the requests and [(start, length)] of the work."""
    asked, done, clock, free = [], [], 0.0, 0.0
    for ask, work in zip(asks, works, strict=True):
        asked.append((clock, ask))
        clock += ask
        start = max(clock, free)  # after its request, and after the previous work
        done.append((start, work))
        free = start + work
    return asked, done


cases = {
    "large kernels: the GPU is busy, the processor runs ahead": timeline([10] * 12, [25] * 12),
    "small kernels: the GPU waits for Python": timeline([10] * 12, [3] * 12),
    "a graph: asked for once": timeline([10] + [0] * 11, [3] * 12),
}
_, axes = plt.subplots(3, 1, figsize=(9.5, 3.8), sharex=True)
for axis, (name, (asked, done)) in zip(axes, cases.items(), strict=True):
    axis.broken_barh(asked, (1.1, 0.8), edgecolor="white")
    axis.broken_barh(done, (0, 0.8), color="tab:orange", edgecolor="white")
    axis.set_title(f"{name}: {sum(done[-1]):.0f} microseconds", fontsize=9)
    axis.set_yticks([0.4, 1.5], ["done", "asked"])
axes[-1].set_xlabel("microseconds")
plt.tight_layout()
plt.show()

# %% [markdown]
# The third line is the solution: record the launches of a whole training step once, as a
# **graph**, and then launch all of them together. The recording holds launches: kernels,
# *addresses* of arrays, and the numbers that Python passed. A small model in Python shows the
# consequences.


# %%
class Recorder:
    """Run launches, and store them while `recording`."""

    def __init__(self):
        self.recording, self.launches = False, []

    def launch(self, kernel, *arguments):
        kernel(*arguments)
        if self.recording:
            self.launches.append((kernel, arguments))

    def replay(self):
        for kernel, arguments in self.launches:
            kernel(*arguments)


def scale(x, y, factor):
    y[...] = factor * x


def subtract(p, step):
    p -= step


gpu = Recorder()
p, g, step = np.array([8.0]), np.array([1.0]), np.empty(1)
rate = 1.0

gpu.recording = True
gpu.launch(scale, g, step, rate)
gpu.launch(subtract, p, step)
gpu.recording = False
print("after the recording        p =", p)

g[...] = 2.0  # same array, new content: the graph reads it
gpu.replay()
print("g is 2 now: 7 - 1 x 2      p =", p)

rate = 0.1  # a new number in Python; the recording holds the old one
gpu.replay()
print("rate is 0.1: 5 - 0.1 x 2 ? p =", p, "  broken")

g = np.array([100.0])  # a new array; the recording holds the old address
gpu.replay()
print("g is a new array           p =", p, "  broken")

# %% [markdown]
# So there are two rules: write new batches *into* the recorded arrays, and keep numbers that
# change in Python, such as a learning rate that decays, outside the graph. The library's
# `captured` follows the first rule by itself: it copies the arguments of a call into the arrays of
# the recording. Below, the gradients are in the graph, and the optimiser's step is outside. On a
# CPU there are no launches, and `captured` returns the function itself:

# %%
rng = np.random.default_rng(0)
net = denoiser(rng).to(chosen)


def compute(x, target):
    loss = losses.mean_squared_error(net(x), target)
    return [loss.data, *gradients(loss, net.parameters())]


step = cuda_graph.captured(compute, chosen)
print("captured is compute itself:", step is compute)
adam = optim.Adam(net.parameters(), lr=0.003)
for _ in range(50):
    clean = patches(16, rng)
    noise = rng.normal(0, SIGMA, clean.shape).astype(np.float32)
    loss, *found = step(chosen.put(clean + noise), chosen.put(noise))
    adam.step(found)
print(f"loss after 50 steps {float(loss):.5f}\n")
print(inspect.getsource(cuda_graph.captured_turns))
print(inspect.getsource(cuda_graph._Recording))

# %% [markdown]
# On an NVIDIA H200, a step of both players of paper 2's compact pair, with 16 pictures, took 33
# milliseconds when Python launched every kernel, and 4.9 milliseconds as graphs.
#
# ## 4. What changes on a GPU, and what does not
#
# | | CPU | GPU |
# |---|---|---|
# | the ops, layers, losses, optimisers, models | the same lines | the same lines |
# | arrays | NumPy | CuPy |
# | kernels | Numba, LLVM | CUDA C++ |
# | products | BLAS, or our micro-kernel | cuBLAS, or own kernels where a graph is recorded |
# | random numbers in training | NumPy's generator | a counter-based one, `philox.cu`, or NumPy's |
# | a line returns | when the work is done | when the work is in the queue |
# | same seed, same run | bit for bit | bit for bit, but different from the CPU |
# | size of a batch | matters little | as large as fits: many threads need work |
#
# The same function checks gradients on every device. Here are a few rows of the table:

# %%
for case in gradcheck_cases.CASES[::9]:
    print(f"{case.name:28} {case.error(device=chosen):.1e}   on the {chosen.name}")

# %% [markdown]
# ## 5. A map of the library
#
# You have used nearly every part of it. The map is drawn from the source files: a box for each
# part with its lines of code, and an arrow for each import. All arrows point downwards.

# %%
ROOT = Path(minidl.__file__).parent
PLACES = {  # part: (column, floor)
    "device": (1.5, 0), "kernels": (2.5, 1), "tensor": (0.5, 2), "ops": (1.5, 3),
    "nn": (0, 4), "losses": (1, 4), "optim": (2, 4), "checkpoint": (3, 4),
    "cuda_graph": (3.6, 1), "gradcheck": (1, 5), "tools": (2, 5),
}  # fmt: skip


def files_of(part):
    return (
        [ROOT / f"{part}.py"] if (ROOT / f"{part}.py").exists() else [*(ROOT / part).rglob("*.py")]
    )


def imports_of(part):
    found = set()
    for file in files_of(part):
        depth = len(file.relative_to(ROOT).parts)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == depth:
                found |= (
                    {node.module.partition(".")[0]} if node.module else {a.name for a in node.names}
                )
    return (found & set(PLACES)) - {part}


fig, axis = plt.subplots(figsize=(9.5, 5))
total = 0
for part, (column, floor) in PLACES.items():
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files_of(part))
    total += lines
    axis.text(
        column, floor, f"{part}\n{lines} lines", ha="center", va="center", fontsize=9, zorder=3,
        bbox={"boxstyle": "round,pad=0.4", "facecolor": "lightyellow", "edgecolor": "gray"},
    )  # fmt: skip
    for other in imports_of(part):
        axis.annotate(
            "", PLACES[other], (column, floor), zorder=1,
            arrowprops={"arrowstyle": "->", "color": "tab:blue", "alpha": 0.5, "shrinkB": 18},
        )  # fmt: skip
axis.set(xlim=(-0.6, 4.2), ylim=(-0.6, 5.5))
axis.set_title(f"minidl: {total} lines of Python, besides CUDA", fontsize=10)
axis.axis("off")
plt.show()

# %% [markdown]
# | lesson | part |
# |---|---|
# | 1, 2 | `tensor`, `gradcheck` |
# | 3, 4, 5 | `losses`, `nn`, `optim`, and `models/ssda`: paper 1 |
# | 6, 7 | `ops/convolution`, `kernels` |
# | 8 | `ops/normalisation`, `optim` |
# | 9, 10 | `models/context_encoder`: paper 2 |
# | 11, 12 | `kernels/cpu`, `kernels/gpu`, `cuda_graph`, `device` |
#
# ## 6. Where next
#
# **Add an op.** It is one function: the value, and one gradient for each input. Here is one that
# the library does not have, and its check:


# %%
@minidl.op
def softsign(x):
    """Return x / (1 + |x|)."""
    below = 1 + np.abs(x)
    return x / below, lambda g: g / (below * below)


x = Tensor(np.random.default_rng(0).standard_normal((3, 4)))
print(
    "relative error of its gradient:", gradcheck.check(softsign, [x], rng=np.random.default_rng(1))
)

# %% [markdown]
# **Train for longer.** `minidl train ssda` and `minidl train context-encoder` train the networks
# of both papers, with checkpoints, curves and sample pictures. Give them a folder of your
# photographs.
#
# **Read on.** These papers came after the two:
#
# * Ronneberger, Fischer & Brox 2015: *U-Net*. The decoder also gets the encoder's maps of the same
#   size, so the bottleneck need not carry details. The library has all its ops (`concatenate`).
# * Zhang et al. 2017: *DnCNN*. Many convolutions with batch norm predict the noise, as in section
#   1.
# * Iizuka, Simo-Serra & Ishikawa 2017: two judges, one for the hole and one for the whole picture.
# * Yang et al. 2017, Yu et al. 2018: texture for the hole is copied from similar patches around
#   it.
# * Ho, Jain & Abbeel 2020: *diffusion*. A denoiser like that of lesson 3 is trained for all levels
#   of noise. Used step by step, it draws pictures from noise alone, without a second player.
#
# ## Exercises
#
# Write your answers in `tutorials/exercises/lesson12.py`, and test them with `pytest -m lesson12`.
#
# 1. `swish`: an op of your own, $x \, \sigma(x)$, with its gradient.
# 2. `move`: copy a batch to a device, with all arrays in nested lists and dictionaries.
# 3. `finished`: the time at which a queue of launches is done, and the time for a graph of them.
#
# One solution of each is in `tutorials/solutions/lesson12.py`.
#
# You began with an array that remembers. You have now built the main parts of this library
# yourself.
