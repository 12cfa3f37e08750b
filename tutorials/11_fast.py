# %% [markdown]
# # Lesson 11: making it fast
#
# The same formula can take a second or a thousandth of one. In this lesson you
#
# 1. make one kernel five times, each time faster, and find out what the processor waits for;
# 2. measure what your machine can do at most: how fast it computes, how fast it fetches;
# 3. draw the *roofline*, on which every kernel shows how much is left to gain;
# 4. turn the loops of a matrix product around until it comes near the roof;
# 5. read the same kernels in CUDA, for a GPU.
#
# All times are measured while the notebook runs, on one thread. Yours will differ; the order will
# hardly.

# %%
import inspect
import re
import time

import matplotlib.pyplot as plt
import numpy as np
from numba import njit

from minidl import device, gpu_support, kernels
from minidl.kernels import reference
from minidl.kernels.cpu import elementwise
from minidl.kernels.cpu.gemm import microkernel, register_tile
from minidl.kernels.cpu.runtime import threadpool
from minidl.kernels.gpu import launch

plt.rcParams.update({"figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False})
threadpool.set_num_threads(1)
rng = np.random.default_rng(0)


def seconds(function, repeats=7, clock=time.thread_time):
    """The shortest of some runs, after one that does not count: the first compiles.

    thread_time counts only while this thread computes, whatever else the machine is doing.
    """
    function()
    times = []
    for _ in range(repeats):
        began = clock()
        function()
        times.append(clock() - began)
    return min(times)


def bars(times, unit, scale):
    plt.figure(figsize=(7, 0.4 * len(times) + 0.6))
    values = [scale * t for t in times.values()]
    plt.barh(list(times)[::-1], values[::-1])
    for i, value in enumerate(values[::-1]):
        plt.text(value, i, f" {value:.3g}", va="center", fontsize=8)
    plt.xscale("log")
    plt.xlabel(unit)
    plt.tight_layout()
    plt.show()


# %% [markdown]
# ## 1. One kernel, five times
#
# Adam's step is done for every weight at every step (lesson 8). It is a good patient: a handful of
# operations, element by element. **The slow version first:** Python itself.


# %%
def adam_python(p, g, m, v, rate, beta1, beta2, eps):
    for i in range(p.size):
        m[i] += (1 - beta1) * (g[i] - m[i])
        v[i] += (1 - beta2) * (g[i] * g[i] - v[i])
        p[i] -= rate * m[i] / (np.sqrt(v[i]) + eps)


def adam_numpy(p, g, m, v, rate, beta1, beta2, eps):
    m += (1 - beta1) * (g - m)
    v += (1 - beta2) * (g * g - v)
    p -= rate * m / (np.sqrt(v) + eps)


SIZE = 1 << 20
HYPER = 1e-3, 0.9, 0.999, 1e-8


def weights(size=SIZE):
    p, g, m = (rng.standard_normal(size, dtype=np.float32) for _ in range(3))
    return p, g, m, rng.random(size, dtype=np.float32)


a, few = weights(), weights(5000)
times = {
    "Python": seconds(lambda: adam_python(*few, *HYPER), 1) / 5000,
    "NumPy": seconds(lambda: adam_numpy(*a, *HYPER)) / SIZE,
}
for name, t in times.items():
    print(f"{name:8} {1e9 * t:8.2f} nanoseconds a weight")

# %% [markdown]
# Python asks for every single operation what kind of number it is about. NumPy asks once for an
# array. But look at what NumPy does: `g - m` is written to memory as an array, read again to be
# multiplied, written, read to be added: a dozen passes over arrays of 4 MB.
#
# **Numba** compiles a loop to machine code. The same loop as above, one line added:

# %%
adam_numba = njit(adam_python)
times["Numba, as it is"] = seconds(lambda: adam_numba(*a, *HYPER)) / SIZE

# %% [markdown]
# ### Broken on purpose, though nobody notices
#
# The result is right and the loop is compiled, so what is wrong? Two things, which no error tells:
#
# * Python's numbers arrive as float64, and `rate * m[i]` becomes float64 as well. A vector register
#   holds half as many of these, and every number is converted twice.
# * Python promises an exception for a division by zero. So the loop must look at every divisor, and
#   a loop that may stop anywhere cannot be done 16 numbers at a time.
#
# Both can be mended:

# %%
numbers = [np.float32(x) for x in HYPER]
ONE = np.float32(1)


def adam_careful(p, g, m, v, rate, beta1, beta2, eps):
    for i in range(p.size):
        m[i] += (ONE - beta1) * (g[i] - m[i])
        v[i] += (ONE - beta2) * (g[i] * g[i] - v[i])
        p[i] -= rate * m[i] / (np.sqrt(v[i]) + eps)


adam_32 = njit(adam_careful)
adam_vector = njit(adam_careful, error_model="numpy", fastmath={"contract", "nsz", "arcp"})
times["Numba, float32"] = seconds(lambda: adam_32(*a, *numbers)) / SIZE
times["... and no checks"] = seconds(lambda: adam_vector(*a, *numbers)) / SIZE
lists = [[x] for x in a]
times["minidl's kernel"] = seconds(lambda: kernels.adam(*lists, *HYPER)) / SIZE
bars(times, "nanoseconds a weight", 1e9)

# %% [markdown]
# One look at the machine code tells what happened. Instructions that end in `ps` work on whole
# vectors of float32 ("packed single"), those in `ss` or `sd` on one number. (Some of these remain,
# for the last few numbers of an array.)

# %%
for name, f in (("as it is", adam_numba), ("float32, no checks", adam_vector)):
    assembly = next(iter(f.inspect_asm().values()))
    counts = {kind: len(re.findall(rf"\bv?(?:mul|div|sqrt|add|sub|fn?m\w*){kind}\b", assembly))
              for kind in ("ps", "ss", "sd")}  # fmt: skip
    print(f"{name:20}", counts)

# %% [markdown]
# ## 2. What can the machine do?
#
# Could it be faster still? Count. For each weight, Adam reads 4 numbers and writes 3, which are 28
# bytes, and does about 12 operations. Two limits hold whatever one programs:
#
# $$\text{time} \ge \frac{\text{bytes}}{\text{bandwidth}}, \qquad
#   \text{time} \ge \frac{\text{operations}}{\text{peak}}.$$
#
# Both machine numbers can be measured: the bandwidth by copying arrays, the peak by a product of
# large matrices. Arrays that fit into a *cache*, a small memory close to the processor, are copied
# faster:

# %%
sizes = 2 ** np.arange(12, 26)  # bytes
rates = []
for size in sizes:
    source = np.ones(size // 4, np.float32)
    target = np.empty_like(source)
    loops = max(1, (1 << 22) // int(size))

    def copies(source=source, target=target, loops=loops):
        for _ in range(loops):
            np.copyto(target, source)

    rates.append(2 * size * loops / seconds(copies, 5) / 1e9)  # a number read, a number written
plt.figure(figsize=(6.5, 2.6))
plt.semilogx(sizes / 1024, rates, "o-", base=2)
plt.xlabel("KiB of an array")
plt.ylabel("GB/s of copying")
plt.ylim(0)
plt.tight_layout()
plt.show()

# %% [markdown]
# (The left end is low because calling `np.copyto` takes longer than so small a copy.) We take as
# **bandwidth** what a copy of 16 MB reaches, as much as Adam's four arrays hold; and as **peak**
# what a large product reaches, in operations a second, each multiplication and each addition
# counted as one. A trap: for a number that is written, a processor fetches the line of memory that
# it lies on before it changes it, and later sends it back. So a copy moves each number *three*
# times, where Adam, which has just read what it writes, moves seven for its seven. A GPU writes
# without looking.
#
# The next function works on any device, so that you get a second picture if you have a GPU:
# `synchronize` waits until the device has done what it was asked for. On a CPU there is nothing to
# wait for.


# %%
CLOCKS = {"cpu": time.thread_time, "gpu": time.perf_counter}  # a GPU computes while we wait
STORED = {"cpu": 8, "gpu": 4}  # bytes that come and go for a float32 that is only written


def limits(place, side=1024, numbers=1 << 21):
    """(peak in GFLOP/s, bandwidth in GB/s) of a device."""
    a = place.put(rng.standard_normal((side, side), dtype=np.float32))
    x = place.put(np.ones(numbers, np.float32))

    def product():
        kernels.matmul(a, a)
        place.synchronize()

    y = x.copy()

    def copy():
        y[...] = x
        place.synchronize()

    clock = CLOCKS[place.name]
    return (
        2 * side**3 / seconds(product, clock=clock) / 1e9,
        (4 + STORED[place.name]) * numbers / seconds(copy, clock=clock) / 1e9,
    )


peak, bandwidth = limits(device.CPU)
print(f"peak {peak:.0f} GFLOP/s, bandwidth {bandwidth:.1f} GB/s")
by_bytes, by_operations, measured = 28 / bandwidth, 12 / peak, 1e9 * times["minidl's kernel"]
print(f"Adam, nanoseconds a weight: at least {by_bytes:.2f} by its bytes,", end=" ")
print(f"{by_operations:.2f} by its operations; measured {measured:.2f}")

# %% [markdown]
# So Adam waits for memory, not for arithmetic. No cleverness in the formula will help; touching
# less memory would.
#
# ## 3. The roofline
#
# The number that decides is the **arithmetic intensity** $I$ of a kernel, operations for each byte
# that must come and go. From the two limits, the rate it can reach is at most
#
# $$\min(\text{peak}, \; I \cdot \text{bandwidth}).$$
#
# Drawn over $I$ with logarithmic axes this looks like a roof (Williams, Waterman & Patterson 2009).
# Left of the edge a kernel is bound by memory, right of it by arithmetic.


# %%
def cases(place):
    """name -> (what to time, operations, bytes), with the arrays on a device."""

    def put(*shape):
        return place.put(rng.standard_normal(shape, dtype=np.float32))

    x, g, w, b = put(8, 32, 32, 64), put(8, 32, 32, 128), put(3, 3, 64, 128), put(128)
    big, y = put(512, 2048), place.put(rng.random((512, 2048), dtype=np.float32))
    m, n = put(512, 768), put(768, 768)
    adam = [[put(SIZE)] for _ in range(3)] + [[place.put(rng.random(SIZE, dtype=np.float32))]]
    pad, pixels = (1, 1, 1, 1), 8 * 32 * 32
    conv = 2 * pixels * 9 * 64 * 128
    half, new = put(8, 16, 16, 64), STORED[place.name]
    return {
        "leaky_relu": (lambda: kernels.leaky_relu(big, 0.2), 2 * big.size, (4 + new) * big.size),
        "sigmoid": (lambda: kernels.sigmoid(big), 15 * big.size, (4 + new) * big.size),
        "sigmoid_grad": (
            lambda: kernels.sigmoid_grad(big, y), 3 * big.size, (8 + new) * big.size,
        ),
        "adam": (lambda: kernels.adam(*adam, *HYPER), 12 * SIZE, 28 * SIZE),
        "channel_sum": (lambda: kernels.channel_sum(big), big.size, 4 * big.size),
        "matmul": (
            lambda: kernels.matmul(m, n), 2 * 512 * 768 * 768, (4 + new) * m.size + 4 * n.size,
        ),
        "conv2d": (
            lambda: kernels.conv2d(x, w, b, 1, pad), conv,
            4 * (x.size + w.size) + new * g.size,
        ),
        "conv2d_grad_w": (
            lambda: kernels.conv2d_grad_w(x, g, (3, 3), 1, pad), conv,
            4 * (x.size + g.size) + new * w.size,
        ),
        "upsample_conv2d": (
            lambda: kernels.upsample_conv2d(half, w, b), conv,
            4 * (half.size + w.size) + new * g.size,
        ),
    }  # fmt: skip


def roofline(place, peak, bandwidth):
    plt.figure(figsize=(8.5, 4.6))
    intensity = np.geomspace(0.05, 1000, 100)
    plt.loglog(intensity, np.minimum(peak, intensity * bandwidth), "k", linewidth=1)
    print(f"{'kernel':16} {'intensity':>9} {'GFLOP/s':>9} {'of the roof':>12}")
    for name, (function, operations, moved) in cases(place).items():

        def timed(function=function):
            function()
            place.synchronize()

        rate, at = operations / seconds(timed, clock=CLOCKS[place.name]) / 1e9, operations / moved
        roof = min(peak, at * bandwidth)
        print(f"{name:16} {at:9.2f} {rate:9.1f} {rate / roof:12.0%}")
        plt.plot(at, rate, "o")
        above = name in ("leaky_relu", "conv2d", "adam")  # no two names on one place
        to = (-45, 7) if above else (6, -9)
        plt.annotate(name, (at, rate), xytext=to, textcoords="offset points", fontsize=8)
    plt.xlabel("operations for each byte")
    plt.ylabel("GFLOP/s")
    plt.title(f"{place.name}: roof at {peak:.0f} GFLOP/s and {bandwidth:.0f} GB/s", fontsize=10)
    plt.tight_layout()
    plt.show()


roofline(device.CPU, peak, bandwidth)

# %% [markdown]
# How to read it. What lies on the slope is as fast as memory allows. (A little above the roof is
# possible: arrays of a few MB partly stay in a cache.) What lies below has room, or operations that
# are counted too cheaply: a sigmoid's exponential is a dozen. `upsample_conv2d` may stand above the
# peak, because it is counted by the multiplications of its *definition*, and does a quarter of them
# (lesson 7). So may `matmul`, where the library multiplies large matrices by quarters, with seven
# products instead of eight. That is the only way through a roof: another algorithm.
#
# ## 4. A product of matrices, turned around until it is fast
#
# For $n \times n$ matrices a product does $2 n^3$ operations on $3 n^2$ numbers: an intensity of $n
# / 6$, far right of the edge. But only if each number is fetched from memory **once**. Three loops
# in the order of the formula $c_{ij} = \sum_k a_{ik} b_{kj}$ fetch $b$ along its columns, far apart
# in memory, again for every $i$:


# %%
def product_ijk(a, b, c):
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            total = a[0, 0] * 0
            for k in range(a.shape[1]):
                total += a[i, k] * b[k, j]
            c[i, j] = total


def product_ikj(a, b, c):
    c[:] = 0
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            for j in range(b.shape[1]):  # neighbours in memory, and no sum to wait for
                c[i, j] += a[i, k] * b[k, j]


def product_tiles(a, b, c):
    """Four rows at a time, so that each row of b that was fetched serves four; k in steps of 64, so
    that these rows of b are still in the cache for the next four rows of a."""
    c[:] = 0
    for k0 in range(0, a.shape[1], 64):
        for i in range(0, a.shape[0] - 3, 4):
            for k in range(k0, min(k0 + 64, a.shape[1])):
                a0, a1, a2, a3 = a[i, k], a[i + 1, k], a[i + 2, k], a[i + 3, k]
                for j in range(b.shape[1]):
                    c[i, j] += a0 * b[k, j]
                    c[i + 1, j] += a1 * b[k, j]
                    c[i + 2, j] += a2 * b[k, j]
                    c[i + 3, j] += a3 * b[k, j]


n = 384
a, b = (rng.standard_normal((n, n), dtype=np.float32) for _ in range(2))
c, rates = np.empty_like(a), {}
for name, function in (
    ("i, j, k", product_ijk),
    ("i, k, j", product_ikj),
    ("tiles", product_tiles),
):
    compiled = njit(function, error_model="numpy", fastmath={"contract", "nsz", "arcp"})
    rates[name] = 2 * n**3 / seconds(lambda f=compiled: f(a, b, c), 3) / 1e9
    assert np.allclose(c, a @ b, atol=1e-3)
rates["minidl"] = 2 * n**3 / seconds(lambda: kernels.matmul(a, b)) / 1e9
bars(rates, "GFLOP/s", 1)

# %% [markdown]
# The same $n^3$ multiplications every time. The last step, from tiles in the cache to tiles **in
# registers**, cannot be said in Numba's loops: a processor multiplies and adds two vectors of 16
# numbers in each cycle, but only what is in registers already. The library's convolution writes
# this innermost loop in the compiler's own language (LLVM). Its picture:

# %%
print(microkernel.__doc__[: microkernel.__doc__.index("A processor multiplies")])
tile = register_tile.TILE
print(f"this processor: {tile.MR} rows of 2 vectors of {tile.vector} bytes\n")
print(inspect.getsource(register_tile.RegisterTile))

# %% [markdown]
# ## 5. CUDA: thousands of threads
#
# A GPU has the same two limits, both far higher, and reaches them another way: by **very many
# threads**, of which most wait for memory at any time while others compute. A CUDA kernel is a
# function for *one* thread. A *launch* starts a *grid* of *blocks* of threads, and each thread
# finds out from its place which numbers are its own. We play that through in Python, thread by
# thread:


# %%
def launch_in_python(kernel, grid, block, *arguments):
    for block_index in range(grid):
        for thread_index in range(block):
            kernel(block_index, thread_index, grid, block, *arguments)


def leaky_relu_kernel(block_index, thread_index, grid, block, x, y, n, slope):
    i = block_index * block + thread_index
    if i < n:  # the last block has threads too many
        y[i] = x[i] if x[i] > 0 else slope * x[i]


x = np.linspace(-1, 1, 10)
y = np.zeros(10)
launch_in_python(leaky_relu_kernel, 3, 4, x, y, 10, 0.2)  # 3 blocks of 4 threads
print(y.round(2))

# %% [markdown]
# **Broken on purpose:** 12 threads for 10 numbers. Without the `if`, two of them write behind the
# array. Python says so. A GPU does not: it writes, into whatever lies there.


# %%
def broken_kernel(block_index, thread_index, grid, block, x, y, n, slope):
    i = block_index * block + thread_index
    y[i] = x[i] if x[i] > 0 else slope * x[i]


try:
    launch_in_python(broken_kernel, 3, 4, x, y, 10, 0.2)
except IndexError as error:
    print("IndexError:", error)

# %% [markdown]
# Now the real ones, side by side: what it means, in NumPy; the loop for Numba; and the CUDA C++.
# The library's loop over `start()` and `stride()` lets a fixed number of threads walk through an
# array of any length, neighbours beside neighbours, so that 32 threads fetch one run of memory
# together. `map` is that loop, four numbers at a time.


# %%
def cuda(name):
    """A kernel's text in the library's CUDA source."""
    text = launch.source()
    start = text.rindex("template", 0, re.search(rf"\b{name}\(", text).start())
    return text[start : text.index("\n}", start) + 3]


print(cuda("leaky_relu"))
print(*re.findall(r".*Index (?:start|stride)\(\).*\}", launch.source()), sep="\n")

# %%
print(inspect.getsource(reference.leaky_relu))
print(inspect.getsource(elementwise.sloped))
print(inspect.getsource(elementwise._leaky_relu))

# %% [markdown]
# And the product of matrices. A thread that computes one number of $c$ alone reads two numbers for
# each multiplication: an intensity of $2 / 8$. So the threads of a block **share**: they copy a
# strip of $a$ and one of $b$ into the block's `__shared__` memory, and each multiplies from there.
# For a tile of $R \times S$ outputs, a step of the sum fetches $R + S$ numbers for $2 R S$
# operations:

# %%
for R, S in ((1, 1), (16, 16), (64, 64), (128, 64)):
    print(f"tile {R:3} x {S:2}: {2 * R * S / (4 * (R + S)):6.2f} operations for each byte")

# %% [markdown]
# This is the inside of the library's product and of its convolution, which differ only in where
# `left` and `right` are read. `__syncthreads` makes the threads of a block wait for each other:
# without it some would multiply numbers that others have not fetched yet.

# %%
text = launch.source()
start = text.index("    T sums[HEIGHT][WIDTH]")
print(text[start : text.index("now = 1 - now;", start) + 21])

# %% [markdown]
# Have you a GPU? Then the same roofline is drawn for it; if not, this cell says why. (The library's
# tests still run every CUDA kernel: compiled for the CPU, thread by thread, as we did above.)

# %%
missing = gpu_support.why_no_gpu()
if missing:
    print("no GPU here:", missing)
else:
    gpu = device.choose("gpu")
    roofline(gpu, *limits(gpu, side=8192, numbers=1 << 27))

# %% [markdown]
# ## What to keep
#
# * Measure the machine first; then you know when to stop.
# * Left of the roof's edge: touch memory less often. Right of it: keep the arithmetic fed.
# * Compiled is not vectorised. Look.
# * Tiles everywhere: registers, caches, shared memory. Fetch once, use often.
#
# ## Exercises
#
# Write your answers in `tutorials/exercises/lesson11.py`, and test them with `pytest -m lesson11`.
#
# 1. `attainable`: the roof, and which side a kernel is on.
# 2. `blocked_matmul`: a product tile by tile, for any sizes.
# 3. `share`: which numbers a thread of a grid works on.
#
# One solution of each is in `tutorials/solutions/lesson11.py`.
#
# **Next**, in lesson 12: a training on a GPU, what changes, and what does not.
