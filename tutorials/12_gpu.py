# %% [markdown]
# # Lesson 12: on a GPU, and where next
#
# The last lesson takes a training to a GPU. It runs on a machine without one too, and says so. You
#
# 1. see which lines of a training know of a device: three;
# 2. mix two devices, and read the answer;
# 3. learn why a GPU is fast only if it is asked in the right way, and what a *graph* is;
# 4. look at the whole library from above, and at what lies beyond it.

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
    gradients,
    losses,
    nn,
    ops,
    optim,
)

plt.rcParams.update({"figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False})

place = device.choose("auto")  # the GPU where there is one
print("this notebook runs on the", place.name)
if place.name == "cpu":
    print("because:", gpu_support.why_no_gpu())

# %% [markdown]
# ## 1. Arrays decide
#
# A *device* is a place for arrays: the memory of the computer, or that of the GPU. NumPy's arrays
# live in the one, CuPy's in the other, and CuPy answers the same expressions: `x @ w`, `x.sum()`,
# `np.tanh(x)`. So an op need not know where it is. What NumPy cannot say well is a *kernel*, and
# the array chooses between its two versions:

# %%
print(inspect.getsource(device.of))
print(inspect.getsource(device._of_kind))
print(inspect.getsource(minidl.kernels._dispatch))

# %% [markdown]
# There is no global setting. `Device.put` brings an array to a device, `device.to_cpu` brings it
# back, `Module.to` moves a network, and an optimiser makes its own arrays beside the parameters.
#
# Here is a whole training: a small network learns to take noise off a photograph. **Count the lines
# that know of the device.**

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


def train(place, steps):
    rng = np.random.default_rng(0)
    net = denoiser(rng).to(place)  # 1
    adam, history = optim.Adam(net.parameters(), lr=0.003), []
    for _ in range(steps):
        clean = patches(16, rng)
        noise = rng.normal(0, SIGMA, clean.shape).astype(np.float32)
        x, target = place.put(clean + noise), place.put(noise)  # 2: the net predicts the noise
        loss = losses.mean_squared_error(net(x), target)
        adam.step(gradients(loss, net.parameters()))
        history.append(loss.data)  # a number on the device: nobody waits for it here
    return net, [float(loss) for loss in history]  # 3: float brings it back


net, history = train(place, 300)
noisy = photo[256:448, 200:392] + np.random.default_rng(1).normal(0, SIGMA, (192, 192))
x = noisy.astype(np.float32)[None, :, :, None]
clean = noisy - device.to_cpu(net(place.put(x)).data)[0, :, :, 0]


def psnr(a):
    return -10 * np.log10(((a - photo[256:448, 200:392]) ** 2).mean())


_, axes = plt.subplots(1, 3, figsize=(9.5, 2.7), width_ratios=[1.6, 1, 1])
axes[0].semilogy(history)
axes[0].set(title=f"loss, on the {place.name}", xlabel="step")
for axis, picture, name in zip(axes[1:], (noisy, clean), ("noisy", "network"), strict=True):
    axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
    axis.set_title(f"{name}, {psnr(picture):.2f} dB", fontsize=10)
    axis.axis("off")
plt.tight_layout()
plt.show()

# %% [markdown]
# Where there is a GPU, the same training on the CPU gives the same losses, but not bit for bit:

# %%
if place.name == "gpu":
    _, on_cpu = train(device.CPU, 20)
    print("largest difference of 20 losses:", np.abs(np.array(on_cpu) - history[:20]).max())
else:
    print("no GPU here to compare with")
x = np.random.default_rng(0).standard_normal(1_000_000).astype(np.float32)
sums = [float(np.add.accumulate(order)[-1]) for order in (x, np.sort(x))]
print(f"one sum, in two orders: {sums[0]:.3f} and {sums[1]:.3f};", end=" ")
print(f"in double precision {x.sum(dtype=float):.3f}")

# %% [markdown]
# The reason is in the last line: rounding depends on the order of additions, and each device adds
# in its own. On the *same* device the library keeps one order, so that equal seeds give equal
# results bit for bit.
#
# ## 2. Broken on purpose: two places
#
# Forget line 2, and the network lies on one device and the batch on the other. Copying silently
# would be a kindness that makes a training ten times slower without a word. So it is an error. We
# can show it without a GPU, with an array that only *claims* to be CuPy's:


# %%
class Elsewhere(np.ndarray):
    __module__ = "cupy"


weights = Tensor(np.ones((4, 2), np.float32).view(Elsewhere), "weights")
try:
    ops.matmul(np.ones((3, 4), np.float32), weights)
except device.DeviceError as error:
    print("DeviceError:", error)

# %% [markdown]
# ## 3. Asking and doing
#
# A GPU works beside the processor. To *launch* a kernel means to put a request into a queue; Python
# goes on at once. This has three consequences.
#
# **Timing needs `synchronize`.** Without it, you measure how long it takes to ask. **`item()`
# waits** for everything before it: a loss printed at every step empties the queue each time. And
# **asking takes time**: about ten microseconds from Python, while the kernel of a small layer may
# need three.
#
# The following timelines are drawn, not measured: 12 launches, each asked for by the processor
# (blue) and then done by the GPU (orange), in order.


# %%
def timeline(asks, works):
    """When each launch is asked for and done: [(start, length)], [(start, length)]."""
    asked, done, clock, free = [], [], 0.0, 0.0
    for ask, work in zip(asks, works, strict=True):
        asked.append((clock, ask))
        clock += ask
        start = max(clock, free)  # not before it is asked for, nor before the one before is done
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
# The third line is the mend: record the launches of a whole training step once, as a **graph**, and
# then ask for all of them together. What is recorded are launches: kernels, *addresses* of arrays,
# and the numbers that Python handed over. A toy in Python shows what follows from that.


# %%
class Recorder:
    """Launches are done, and while `recording` also written down."""

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

g[...] = 2.0  # the array is the same, its content is new: the graph reads it
gpu.replay()
print("g is 2 now: 7 - 1 x 2      p =", p)

rate = 0.1  # Python's name means another number now; the recording holds the old one
gpu.replay()
print("rate is 0.1: 5 - 0.1 x 2 ? p =", p, "  broken")

g = np.array([100.0])  # a new array elsewhere; the recording holds the old address
gpu.replay()
print("g is a new array           p =", p, "  broken")

# %% [markdown]
# So the rules: write new batches *into* the arrays that were recorded, and keep what changes in
# Python, such as a rate that decays, outside. The library's `captured` does the first by itself: it
# copies the arguments of a call to where those of the recording are. It takes the gradients into a
# graph and leaves the optimiser's step outside. On a CPU there are no launches, and it gives back
# the function itself:

# %%
rng = np.random.default_rng(0)
net = denoiser(rng).to(place)


def compute(x, target):
    loss = losses.mean_squared_error(net(x), target)
    return [loss.data, *gradients(loss, net.parameters())]


step = cuda_graph.captured(compute, place)
print("captured is compute itself:", step is compute)
adam = optim.Adam(net.parameters(), lr=0.003)
for _ in range(50):
    clean = patches(16, rng)
    noise = rng.normal(0, SIGMA, clean.shape).astype(np.float32)
    loss, *found = step(place.put(clean + noise), place.put(noise))
    adam.step(found)
print(f"loss after 50 steps {float(loss):.5f}\n")
print(inspect.getsource(cuda_graph.captured_turns))
print(inspect.getsource(cuda_graph._Recording))

# %% [markdown]
# What that is worth: on an NVIDIA H200, a step of both players of paper 2's compact pair, with 16
# pictures, took 33 milliseconds when Python asked for every launch, and 4.9 as graphs.
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
# | when a line returns | when it is done | when it is asked for |
# | same seed, same run | bit for bit | bit for bit, but not those of the CPU |
# | what to batch | little helps | as much as fits: many threads want work |
#
# The gradients are checked on every device by the same function. A few of the rows, here and now:

# %%
for case in gradcheck.CASES[::9]:
    print(f"{case.name:28} {case.error(device=place):.1e}   on the {place.name}")

# %% [markdown]
# ## 5. The library from above
#
# You have met every part of it. The map is drawn from the source files: a box for each part with
# its lines of code, and an arrow for each import. All arrows point downwards.

# %%
ROOT = Path(minidl.__file__).parent
PLACES = {  # part: (column, floor)
    "device": (1.5, 0), "kernels": (2.5, 1), "tensor": (0.5, 1), "ops": (1.5, 2),
    "nn": (0, 3), "losses": (1, 3), "optim": (2, 3), "checkpoint": (3, 3),
    "graph": (3.6, 1), "gradcheck": (1, 4), "draw": (2, 4),
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
axis.set(xlim=(-0.6, 4.2), ylim=(-0.6, 4.5))
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
# | 11, 12 | `kernels/cpu`, `kernels/gpu`, `graph`, `device` |
#
# ## 6. Where next
#
# **Add an op.** It is one function: the value, and one gradient for each input. Here is one that
# the library does not have, and its check:


# %%
@minidl.op
def softsign(x):
    """x / (1 + |x|)."""
    below = 1 + np.abs(x)
    return x / below, lambda g: g / (below * below)


x = Tensor(np.random.default_rng(0).standard_normal((3, 4)))
print(
    "relative error of its gradient:", gradcheck.check(softsign, [x], rng=np.random.default_rng(1))
)

# %% [markdown]
# **Train for longer.** `minidl train ssda` and `minidl train context-encoder` do what you did by
# hand, with checkpoints, curves and sample pictures; give them a folder of your photographs.
#
# **Read on.** What came after the two papers:
#
# * Ronneberger, Fischer & Brox 2015: *U-Net*. The decoder also gets the encoder's maps of its size,
#   and need not remember details. You have all its ops (`concatenate`).
# * Zhang et al. 2017: *DnCNN*. Many convolutions with batch norm that predict the noise, as in
#   section 1.
# * Iizuka, Simo-Serra & Ishikawa 2017: two judges, one for the hole and one for the whole picture.
# * Yang et al. 2017, Yu et al. 2018: texture for the hole is taken from similar places around it.
# * Ho, Jain & Abbeel 2020: *diffusion*. A denoiser like that of lesson 3, for all levels of noise;
#   used step by step, it draws pictures from nothing, without a second player.
#
# ## Exercises
#
# Write your answers in `tutorials/exercises/lesson12.py`, and test them with `pytest -m lesson12`.
#
# 1. `swish`: an op of your own, $x \, \sigma(x)$, with its gradient.
# 2. `move`: bring a batch to a device, however deep its arrays lie in lists and dictionaries.
# 3. `finished`: when a queue of launches is done, and when a graph of them is.
#
# One solution of each is in `tutorials/solutions/lesson12.py`.
#
# You began with an array that remembers. There is nothing in this library now that you have not
# built yourself.
