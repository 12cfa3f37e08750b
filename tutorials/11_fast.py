# %% [markdown]
# # Lesson 11: making it fast
#
# The same formula can take a second or a thousandth of one. In this lesson you
#
# 1. write one kernel five times, each time faster, and find out what the processor waits for;
# 2. measure the limits of your machine: how fast it computes, and how fast it reads memory;
# 3. draw the *roofline*, which shows for every kernel how much is left to gain;
# 4. reorder the loops of a matrix product until it comes near the roof;
# 5. read the same kernels in CUDA, for a GPU.
#
# All times are measured while the notebook runs, on one thread. Yours will differ, but hardly
# their order.

# %%
import inspect
import re
import time

import matplotlib.pyplot as plt
import numpy as np
from numba import njit

from minidl import gpu_support, kernels
from minidl.device import CPU, choose
from minidl.kernels import reference
from minidl.kernels.cpu import elementwise
from minidl.kernels.cpu.gemm import microkernel, register_tile
from minidl.kernels.cpu.runtime import threadpool
from minidl.kernels.gpu import launch

plt.rcParams.update({"figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False})
threadpool.set_num_threads(1)
rng = np.random.default_rng(0)


def seconds(function, repeats=7, clock=time.thread_time):
    """Return the shortest time of some runs, after a warm-up run that compiles.

    thread_time counts only while this thread computes, whatever else the machine does.
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
# Adam's step runs for every weight at every step (lesson 8). It is a good example: a few
# operations, element by element. **The slow version first:** plain Python.


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
# Python checks the types of its numbers at every single operation. NumPy checks once for an array.
# But NumPy moves much memory: `g - m` is written to memory as an array, read again to be
# multiplied, written, read to be added. That makes a dozen passes over arrays of 4 MB.
#
# **Numba** compiles a loop to machine code. We take the loop above and add one line:

# %%
adam_numba = njit(adam_python)
times["Numba, as it is"] = seconds(lambda: adam_numba(*a, *HYPER)) / SIZE

# %% [markdown]
# ### Broken on purpose, without an error
#
# The result is right and the loop is compiled, but two things are wrong, and no error reports
# them:
#
# * Python's numbers arrive as float64, and `rate * m[i]` becomes float64 as well. A vector
#   register holds half as many float64 numbers, and every number is converted twice.
# * Python raises an exception for a division by zero. So the loop must check every divisor, and a
#   loop that may stop anywhere cannot process 16 numbers at a time.
#
# Both can be fixed:

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
# The machine code shows the difference. Instructions that end in `ps` work on whole vectors of
# float32 ("packed single"), instructions that end in `ss` or `sd` on one number. (A few of the
# latter remain, for the last numbers of an array.)

# %%
for name, f in (("as it is", adam_numba), ("float32, no checks", adam_vector)):
    assembly = next(iter(f.inspect_asm().values()))
    counts = {kind: len(re.findall(rf"\bv?(?:mul|div|sqrt|add|sub|fn?m\w*){kind}\b", assembly))
              for kind in ("ps", "ss", "sd")}  # fmt: skip
    print(f"{name:20}", counts)

# %% [markdown]
# ## 2. What can the machine do?
#
# Could it be faster still? Let us count. For each weight, Adam reads 4 numbers and writes 3, which
# are 28 bytes, and does about 12 operations. Two limits hold for every program:
#
# $$\text{time} \ge \frac{\text{bytes}}{\text{bandwidth}}, \qquad
#   \text{time} \ge \frac{\text{operations}}{\text{peak}}.$$
#
# Bandwidth and peak can be measured: the bandwidth by copying arrays, the peak by a product of
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

    rates.append(2 * size * loops / seconds(copies, 5) / 1e9)  # one read, one write
plt.figure(figsize=(6.5, 2.6))
plt.semilogx(sizes / 1024, rates, "o-", base=2)
plt.xlabel("KiB of an array")
plt.ylabel("GB/s of copying")
plt.ylim(0)
plt.tight_layout()
plt.show()

# %% [markdown]
# (The left end is low because a call of `np.copyto` takes longer than such a small copy.) Our
# **bandwidth** is that of a copy of 16 MB, the size of Adam's four arrays. Our **peak** is that of
# a large product, in operations a second; each multiplication and each addition counts as one.
# There is a trap: before a processor writes a number, it first reads the line of memory around it,
# and later writes the line back. So a copy moves each number *three* times. Adam has already read
# the numbers that it writes, so it moves seven numbers for its seven. A GPU writes without reading
# first.
#
# The next function works on any device, so that you get a second picture if you have a GPU.
# `synchronize` waits until the device has finished its work. On a CPU there is nothing to wait
# for.


# %%
CLOCKS = {"cpu": time.thread_time, "gpu": time.perf_counter}  # a GPU computes while we wait
STORED = {"cpu": 8, "gpu": 4}  # bytes moved for a float32 that is only written


def limits(device, side=1024, numbers=1 << 21):
    """Return (peak in GFLOP/s, bandwidth in GB/s) of a device."""
    a = device.put(rng.standard_normal((side, side), dtype=np.float32))
    x = device.put(np.ones(numbers, np.float32))

    def product():
        kernels.matmul(a, a)
        device.synchronize()

    y = x.copy()

    def copy():
        y[...] = x
        device.synchronize()

    clock = CLOCKS[device.name]
    return (
        2 * side**3 / seconds(product, clock=clock) / 1e9,
        (4 + STORED[device.name]) * numbers / seconds(copy, clock=clock) / 1e9,
    )


peak, bandwidth = limits(CPU)
print(f"peak {peak:.0f} GFLOP/s, bandwidth {bandwidth:.1f} GB/s")
by_bytes, by_operations, measured = 28 / bandwidth, 12 / peak, 1e9 * times["minidl's kernel"]
print(f"Adam, nanoseconds a weight: at least {by_bytes:.2f} by its bytes,", end=" ")
print(f"{by_operations:.2f} by its operations; measured {measured:.2f}")

# %% [markdown]
# So Adam waits for memory, not for arithmetic. A formula with fewer operations would not help;
# moving less memory would.
#
# ## 3. The roofline
#
# The decisive number is the **arithmetic intensity** $I$ of a kernel: its operations for each byte
# that it must move. From the two limits, its rate is at most
#
# $$\min(\text{peak}, \; I \cdot \text{bandwidth}).$$
#
# Drawn over $I$ with logarithmic axes, this limit looks like a roof (Williams, Waterman &
# Patterson 2009). Left of the edge a kernel is limited by memory, right of it by arithmetic.


# %%
def cases(device):
    """Return {name: (function to time, operations, bytes)}, with the arrays on a device."""

    def put(*shape):
        return device.put(rng.standard_normal(shape, dtype=np.float32))

    x, g, w, b = put(8, 32, 32, 64), put(8, 32, 32, 128), put(3, 3, 64, 128), put(128)
    big, y = put(512, 2048), device.put(rng.random((512, 2048), dtype=np.float32))
    m, n = put(512, 768), put(768, 768)
    adam = [[put(SIZE)] for _ in range(3)] + [[device.put(rng.random(SIZE, dtype=np.float32))]]
    pad, pixels = (1, 1, 1, 1), 8 * 32 * 32
    conv = 2 * pixels * 9 * 64 * 128
    half, new = put(8, 16, 16, 64), STORED[device.name]
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


def roofline(device, peak, bandwidth):
    plt.figure(figsize=(8.5, 4.6))
    intensity = np.geomspace(0.05, 1000, 100)
    plt.loglog(intensity, np.minimum(peak, intensity * bandwidth), "k", linewidth=1)
    print(f"{'kernel':16} {'intensity':>9} {'GFLOP/s':>9} {'of the roof':>12}")
    for name, (function, operations, moved) in cases(device).items():

        def timed(function=function):
            function()
            device.synchronize()

        rate, at = operations / seconds(timed, clock=CLOCKS[device.name]) / 1e9, operations / moved
        roof = min(peak, at * bandwidth)
        print(f"{name:16} {at:9.2f} {rate:9.1f} {rate / roof:12.0%}")
        plt.plot(at, rate, "o")
        above = name in ("leaky_relu", "conv2d", "adam")  # no two labels on top of each other
        to = (-45, 7) if above else (6, -9)
        plt.annotate(name, (at, rate), xytext=to, textcoords="offset points", fontsize=8)
    plt.xlabel("operations for each byte")
    plt.ylabel("GFLOP/s")
    plt.title(f"{device.name}: roof at {peak:.0f} GFLOP/s and {bandwidth:.0f} GB/s", fontsize=10)
    plt.tight_layout()
    plt.show()


roofline(CPU, peak, bandwidth)

# %% [markdown]
# A kernel on the slope is as fast as memory allows. (It may lie a little above the roof, because
# arrays of a few MB partly stay in a cache.) A kernel below the roof can become faster, or its
# operations are not counted well: the exponential of a sigmoid alone is a dozen operations.
# `upsample_conv2d` can lie above the peak, because we count the multiplications of its
# *definition*, and it does a quarter of them (lesson 7). `matmul` can lie above the peak, too,
# where the library uses Strassen's algorithm, seven products of quarters instead of eight. Only
# another algorithm gets through a roof.
#
# ## 4. A product of matrices, reordered until it is fast
#
# For $n \times n$ matrices a product does $2 n^3$ operations on $3 n^2$ numbers: an intensity of
# $n / 6$, far right of the edge. But this holds only if each number is read from memory **once**.
# Three loops in the order of the formula $c_{ij} = \sum_k a_{ik} b_{kj}$ read $b$ along its
# columns, whose numbers are far apart in memory, again for every $i$:


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
            for j in range(b.shape[1]):  # neighbours in memory, independent sums
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
# All do the same $n^3$ multiplications. The last step, from tiles in the cache to tiles **in
# registers**, cannot be written as a Numba loop. A processor multiplies and adds two vectors of 16
# numbers in each cycle, but only if they are in registers already. The library writes the
# innermost loop of its convolution in the compiler's own language (LLVM). Its docstring has a
# drawing:

# %%
print(microkernel.__doc__[: microkernel.__doc__.index("A processor multiplies")])
tile = register_tile.TILE
print(f"this processor: {tile.MR} rows of 2 vectors of {tile.vector} bytes\n")
print(inspect.getsource(register_tile.RegisterTile))

# %% [markdown]
# ## 5. CUDA: thousands of threads
#
# A GPU has the same two limits, both far higher. It reaches them by **very many threads**: at any
# time most of them wait for memory while others compute. A CUDA kernel is a function for *one*
# thread. A *launch* starts a *grid* of *blocks* of threads, and each thread computes from its
# index which numbers are its own. We imitate this in Python, thread by thread:


# %%
def launch_in_python(kernel, grid, block, *arguments):
    for block_index in range(grid):
        for thread_index in range(block):
            kernel(block_index, thread_index, grid, block, *arguments)


def leaky_relu_kernel(block_index, thread_index, grid, block, x, y, n, slope):
    i = block_index * block + thread_index
    if i < n:  # the last block has more threads than numbers
        y[i] = x[i] if x[i] > 0 else slope * x[i]


x = np.linspace(-1, 1, 10)
y = np.zeros(10)
launch_in_python(leaky_relu_kernel, 3, 4, x, y, 10, 0.2)  # 3 blocks of 4 threads
print(y.round(2))

# %% [markdown]
# **Broken on purpose:** 12 threads for 10 numbers. Without the `if`, two of them write behind the
# array. Python raises an error. A GPU may not: it overwrites whatever lies there.


# %%
def broken_kernel(block_index, thread_index, grid, block, x, y, n, slope):
    i = block_index * block + thread_index
    y[i] = x[i] if x[i] > 0 else slope * x[i]


try:
    launch_in_python(broken_kernel, 3, 4, x, y, 10, 0.2)
except IndexError as error:
    print("IndexError:", error)

# %% [markdown]
# Now the library's versions of this kernel: first the CUDA C++, then the definition in NumPy and
# the loop for Numba. The CUDA loop over `start()` and `stride()` lets a fixed number of threads
# walk through an array of any length. Neighbouring threads take neighbouring numbers, so that 32
# threads read one run of memory together. `map` is that loop, four numbers at a time.


# %%
def cuda(name):
    """Return a kernel's text from the library's CUDA source."""
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
# Now the product of matrices. A thread that computes one number of $c$ alone reads two numbers for
# each multiplication: an intensity of $2 / 8$. So the threads of a block **share**: they copy a
# strip of $a$ and a strip of $b$ into the block's `__shared__` memory, and all read from there.
# For a tile of $R \times S$ outputs, a step of the sum reads $R + S$ numbers for $2 R S$
# operations:

# %%
for R, S in ((1, 1), (16, 16), (64, 64), (128, 64)):
    print(f"tile {R:3} x {S:2}: {2 * R * S / (4 * (R + S)):6.2f} operations for each byte")

# %% [markdown]
# This is the inner loop of the library's product and of its convolution. They differ only in where
# `left` and `right` are read. `__syncthreads` makes the threads of a block wait for each other:
# without it some would multiply numbers that others have not copied yet.

# %%
text = launch.source()
start = text.index("    T sums[HEIGHT][WIDTH]")
print(text[start : text.index("now = 1 - now;", start) + 21])

# %% [markdown]
# If you have a GPU, this cell draws its roofline; if not, it prints the reason. (The library's
# tests still run every CUDA kernel: compiled for the CPU, thread by thread, as we did above.)

# %%
missing = gpu_support.why_no_gpu()
if missing:
    print("no GPU here:", missing)
else:
    gpu = choose("gpu")
    roofline(gpu, *limits(gpu, side=8192, numbers=1 << 27))

# %% [markdown]
# ## What to keep
#
# * Measure the machine first; then you know when to stop.
# * Left of the roof's edge, move less memory. Right of it, keep the arithmetic units busy.
# * Compiled code is not always vectorised. Look at the machine code.
# * Use tiles everywhere: in registers, caches and shared memory. Read once, use often.
#
# ## Exercises
#
# Write your answers in `tutorials/exercises/lesson11.py`, and test them with `pytest -m lesson11`.
#
# 1. `attainable`: the roof, and the side of its edge on which a kernel lies.
# 2. `blocked_matmul`: a product tile by tile, for any sizes.
# 3. `share`: the numbers that one thread of a grid works on.
#
# One solution of each is in `tutorials/solutions/lesson11.py`.
#
# **Next**, in lesson 12: training on a GPU: what changes, and what does not.
