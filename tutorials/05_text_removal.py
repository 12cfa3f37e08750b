# %% [markdown]
# # Lesson 5: removing text without a mask
#
# Somebody has written all over a photograph. Good classical methods fill in missing pixels, if you
# tell them **where** pixels are missing: you paint a mask over every letter, by hand. Paper 1
# needs no mask. The same network as for noise, trained on other damage, removes the text and is
# never told where it is. This is called **blind inpainting**. We begin with a classical method,
# for comparison.

# %%
import inspect
import time
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from minidl import gradients, losses, nn, no_grad, optim
from minidl.models.images.samples import grey, photograph

plt.rcParams.update({"figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False})


def show(pictures, titles, height=2.6):
    """Grey pictures side by side, 0 black and 1 white."""
    _, axes = plt.subplots(1, len(pictures), figsize=(height * len(pictures), height + 0.2))
    for ax, picture, title in zip(axes, pictures, titles, strict=True):
        ax.imshow(np.clip(picture, 0, 1), cmap="gray", vmin=0, vmax=1)
        ax.set_title(title, fontsize=9)
        ax.axis("off")
    plt.tight_layout()
    plt.show()


def psnr(clean, other):
    return -10 * np.log10(((clean - other) ** 2).mean())


# %% [markdown]
# ## 1. Writing on photographs
#
# Pillow draws a line of text into a picture of its own, the **coverage** $a$: 1 inside a letter, 0
# outside, and in between on the rim. A photograph $y$ under text of colour $c$, black or white, is
#
# $$ x = (1 - a)\, y + a\, c . $$

# %%
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"  # matplotlib brings some along
SENTENCE = "the quick brown fox jumps over a lazy dog While Every Good Boy Deserves FUN 1984 2012"
WORDS = SENTENCE.split()


def text_over(shape, rng, fonts=("DejaVuSans", "DejaVuSerif", "DejaVuSans-Bold", "DejaVuSansMono")):
    """Return the coverage and the colour of a sheet of text, both of the given shape."""
    coverage, colour = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    top = -int(rng.integers(20))
    while top < shape[0]:
        height = int(rng.integers(18, 25))
        font = ImageFont.truetype(FONTS / f"{rng.choice(fonts)}.ttf", height)
        line = Image.new("L", (shape[1], height + 8))
        ImageDraw.Draw(line).text(
            (-int(rng.integers(30)), 0), " ".join(rng.choice(WORDS, 12)), 255, font
        )
        rows = slice(max(top, 0), min(top + line.height, shape[0]))
        coverage[rows] = np.asarray(line)[rows.start - top : rows.stop - top] / np.float32(255)
        colour[rows] = rng.integers(2)
        top += int(1.5 * height)
    return coverage, colour


def write_over(clean, rng, **options):
    """Return the picture under text, and the mask of the text (for scores only)."""
    coverage, colour = text_over(clean.shape, rng, **options)
    return (1 - coverage) * clean + coverage * colour, coverage > 0


camera, chelsea = grey(photograph("camera"))[..., 0], grey(photograph("chelsea"))[..., 0]
clean = {"camera": camera[80:336, 100:356], "cat": chelsea[:256, 100:356]}  # never trained on
written, mask = {}, {}
for seed, name in enumerate(clean):
    written[name], mask[name] = write_over(clean[name], np.random.default_rng(seed))
show(
    [written["camera"], mask["camera"], written["cat"], mask["cat"]],
    [f"written over: {psnr(clean['camera'], written['camera']):.2f} dB", "its mask",
     f"written over: {psnr(clean['cat'], written['cat']):.2f} dB", "its mask"],
)  # fmt: skip

# %% [markdown]
# ## 2. The old way, slowly: let the surroundings flow in
#
# Assume that we have the mask. Set every masked pixel to the mean of its four neighbours, again
# and again. Grey then flows in from the rim like heat, until nothing changes. That is
# **diffusion**. The slow version goes pixel by pixel:

# %%


def diffuse_slowly(picture, mask, steps):
    u = picture.copy()
    for _ in range(steps):
        before = u.copy()
        for i in range(1, u.shape[0] - 1):
            for j in range(1, u.shape[1] - 1):
                if mask[i, j]:
                    u[i, j] = (
                        before[i - 1, j] + before[i + 1, j] + before[i, j - 1] + before[i, j + 1]
                    ) / 4
    return u


def diffuse(picture, mask, steps=200):
    """The same for all pixels at once; the border is mirrored."""
    u = picture.copy()
    for _ in range(steps):
        p = np.pad(u, 1, mode="edge")
        u = np.where(mask, (p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:]) / 4, u)
    return u


for function in [diffuse_slowly, diffuse]:
    begin = time.perf_counter()
    function(written["camera"], mask["camera"], 3)
    print(f"{function.__name__:15} {(time.perf_counter() - begin) / 3 * 1000:8.2f} ms for one step")

told = {name: diffuse(written[name], mask[name]) for name in clean}
show(
    [written["cat"], told["cat"]],
    ["written over", f"diffusion, told where: {psnr(clean['cat'], told['cat']):.2f} dB"],
    height=2.6,
)

# %% [markdown]
# That is very good. But it was *told where*: we know the mask, because we wrote the text. For an
# old scan you would paint a mask for an hour. What happens without a mask?

# %%
everywhere = np.ones_like(mask["cat"])
blind = diffuse(written["cat"], everywhere, steps=12)
show(
    [written["cat"], blind],
    ["written over", f"diffusion, told nothing: {psnr(clean['cat'], blind):.2f} dB"],
    height=2.6,
)

# %% [markdown]
# Diffusion cannot tell a letter from an eye. To remove text, a program must know what text looks
# like, and what photographs look like. Both can be learnt.
#
# ## 3. The same network, other damage
#
# Everything is as in lesson 4: patches, a network of sigmoid layers, half the squared error, Adam,
# fresh damage at every step. Only $\eta$ in $x = \eta(y)$ is different. The patches are larger, 14
# x 14 pixels, so that a letter can be recognised.

# %%
SIZE = 14


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
sheets = [text_over((300, 300), np.random.default_rng(100 + i)) for i in range(40)]
letters = np.concatenate([cut(coverage, 4) for coverage, _ in sheets])
colours = np.concatenate([cut(colour, 4) for _, colour in sheets])


def draw(count, rng):
    """Written over and clean patches x, y, (count, SIZE * SIZE) both."""
    y = pool[rng.integers(0, len(pool), count)]
    sheet = rng.integers(0, len(letters), count)
    return (1 - letters[sheet]) * y + letters[sheet] * colours[sheet], y


x, y = draw(12, np.random.default_rng(0))
_, axes = plt.subplots(2, 12, figsize=(9, 1.7))
for patches, row in zip([y, x], axes, strict=True):
    for patch, ax in zip(patches, row, strict=True):
        ax.imshow(patch.reshape(SIZE, SIZE), cmap="gray", vmin=0, vmax=1)
        ax.axis("off")
plt.show()

# %% [markdown]
# ## 4. What to take away
#
# Lesson 4 subtracted the mean of the noisy patch, so that a network need not learn every edge at
# every brightness. Noise hardly moves a mean. But **text does**: a white letter raises it, and the
# whole patch then becomes too dark, in the input and in the answer. The **median** is the value in
# the middle if all pixels are sorted. It hardly moves if a third of the pixels change:

# %%
x, y = draw(4000, np.random.default_rng(1))
hit = np.abs(x - y).max(axis=1) > 0.1
plt.figure(figsize=(6, 2.6))
for name, centre in {"mean": np.mean, "median": np.median}.items():
    moved = np.abs(centre(x[hit], axis=1) - centre(y[hit], axis=1))
    plt.hist(moved, bins=np.linspace(0, 0.5, 60), histtype="step", lw=2, label=name)
    print(
        f"by how much text moves the {name:6}: half of the time by more than {np.median(moved):.3f}"
    )
plt.xlabel("moved by")
plt.ylabel("patches")
plt.legend()
plt.show()

# %% [markdown]
# So we subtract the median. The network is a stack with two hidden layers of 224 units, and begins
# with wide random weights. (Pre-training, as in lesson 4, costs time and gains little here.)

# %%
HIDDEN = 224


def new_network(rng):
    pixels = SIZE * SIZE
    return nn.Sequential(
        nn.Linear(pixels, HIDDEN, rng=rng, gain=4), nn.Sigmoid(),
        nn.Linear(HIDDEN, HIDDEN, rng=rng, gain=4), nn.Sigmoid(),
        nn.Linear(HIDDEN, pixels, rng=rng), nn.Sigmoid(),
    )  # fmt: skip


def middle(x):
    return np.median(x, axis=1, keepdims=True)


def train(network, steps=4000, rate=4e-3):
    rng, curve = np.random.default_rng(2), []
    adam = optim.Adam(network.parameters(), lr=rate, beta2=0.99)
    for i in range(steps):
        adam.lr = rate * min(1, 2 * (1 - i / steps))
        x, y = draw(200, rng)
        target = np.clip(0.5 + 0.6 * (y - middle(x)), 0.02, 0.98)
        loss = losses.half_squared_error(network(6 * (x - middle(x))), target)
        adam.step(gradients(loss, network.parameters()))
        curve.append(loss.item())
    return np.convolve(curve, np.ones(100) / 100, mode="valid")


def restore(network, picture, stride=2):
    """A whole picture, patch by patch."""
    x = cut(picture, stride)
    with no_grad():
        answer = network(6 * (x - middle(x))).data
    return merge((answer - 0.5) / 0.6 + middle(x), picture.shape, stride)


network = new_network(np.random.default_rng(0))
begin = time.perf_counter()
curve = train(network)
print(f"trained for {time.perf_counter() - begin:.0f} s")
plt.figure(figsize=(6, 2.4))
plt.semilogy(curve)
plt.xlabel("steps")
plt.ylabel("loss")
plt.show()

# %%
answer = {name: restore(network, written[name]) for name in clean}
for name in clean:
    show(
        [written[name], answer[name]],
        [f"written over: {psnr(clean[name], written[name]):.2f} dB",
         f"network alone: {psnr(clean[name], answer[name]):.2f} dB"],
        height=2.6,
    )  # fmt: skip

# %% [markdown]
# Nobody has told the network where the text is, and most of the text is gone. (Paper 1 found the
# same: *small fonts are eliminated completely, larger fonts are dimmed*.)
#
# ## 5. Leave alone what needs no repair
#
# Look at the fur: pixels that had no text over them are blurred, too. An auto-encoder must squeeze
# everything through its hidden units, also what needed no repair. But text differs much from what
# it hides. So keep the picture where the answer differs little from it. The difference also shows
# where the text is: we have a mask, for nothing.

# %%
found = {name: np.abs(answer[name] - written[name]) > 0.12 for name in clean}
for name in clean:
    hits = (found[name] & mask[name]).sum()
    print(f"{name:7} of the pixels found {100 * hits / found[name].sum():.0f} % are text,"
          f" of the text {100 * hits / mask[name].sum():.0f} % is found")  # fmt: skip
show([mask["cat"], found["cat"]], ["the true mask", "found by the network"], height=2.6)

# %% [markdown]
# (The rims of letters, where the coverage is small, change a pixel little; they count as text in
# the true mask and are not found. We let the found mask grow by one pixel.)
#
# With a mask we can use diffusion again, and combine the two: **the network finds the text, and
# diffusion fills it**.

# %%


def grow(mask):
    """Grow a mask by the four neighbours of each pixel."""
    p = np.pad(mask, 1)
    return p[1:-1, 1:-1] | p[:-2, 1:-1] | p[2:, 1:-1] | p[1:-1, :-2] | p[1:-1, 2:]


print(f"{'':7}{'written':>9}{'network':>9}{'kept':>9}{'joined':>9}{'told where':>12}")
kept, joined = {}, {}
for name in clean:
    kept[name] = np.where(grow(found[name]), answer[name], written[name])
    joined[name] = diffuse(written[name], grow(found[name]))
    row = [written[name], answer[name], kept[name], joined[name], told[name]]
    print(f"{name:7}" + "".join(f"{psnr(clean[name], p):9.2f}" for p in row))
for name in clean:
    show(
        [written[name], kept[name], joined[name]],
        ["written over", f"network, rest kept: {psnr(clean[name], kept[name]):.2f} dB",
         f"network finds, diffusion fills: {psnr(clean[name], joined[name]):.2f} dB"],
        height=2.8,
    )  # fmt: skip

# %% [markdown]
# The cat gains by this, though less than with the true mask. The cameraman does not: in his black
# coat the network does not see black letters, and it takes parts of the camera for letters. Where
# a letter was not found, its colour flows into the filled pixels, which is worse than no repair.
# Honest numbers need more than one picture.
#
# ## 6. The library's own
#
# `minidl` takes this idea further. Its network sees 20 x 20 pixels and answers **two** questions
# about the 6 x 6 in the middle: is there text, and what is beneath? (Our mask from the difference
# fails where text has the colour of what it hides.)

# %%
from minidl.models.ssda import Restorer, TextCoding, text_inpainting

print(inspect.getsource(TextCoding.target))

# %% [markdown]
# The text that it finds is then filled by a surface that bends as little as possible, like a thin
# plate. Where the network is not sure, the plate may stay near the picture. The plate is the
# solution of one system of equations, not of many small steps:

# %%
print(inspect.getsource(text_inpainting._solve))

# %% [markdown]
# Its weights were trained for four minutes on a GPU and ship with the package. We try it on the
# same pictures, and on these pictures with text in two fonts that neither network was trained on.

# %%
from minidl.models import zoo

remover = Restorer.load(zoo.text_remover())
cases = {(name, "known fonts"): (written[name], mask[name]) for name in clean}
for name in clean:
    new = write_over(clean[name], np.random.default_rng(7), fonts=("STIXGeneral", "cmb10"))
    cases[name, "new fonts"] = new

print(f"{'':20}{'written':>9}{'ours':>9}{'library':>9}{'told where':>12}")
shown = {}
for (name, fonts), (x, true) in cases.items():
    ours = diffuse(x, grow(np.abs(restore(network, x) - x) > 0.12))
    theirs = remover.repair(x[..., None])[..., 0]
    row = [psnr(clean[name], p) for p in (x, ours, theirs, diffuse(x, true))]
    print(f"{name + ', ' + fonts:20}" + "".join(f"{score:9.2f}" for score in row))
    shown[name, fonts] = [x, remover.repair_channel(x, find_text=True), ours, theirs]
for case in [("camera", "known fonts"), ("cat", "new fonts")]:
    show(shown[case], [", ".join(case), "how sure the library is of text", "ours", "the library"])

# %% [markdown]
# The library's network is trained to find text, and it sees more pixels. This helps most where
# ours failed, in the dark coat. With new fonts both get worse, and on thin, small letters the
# library is no better than our minute of training. That is the price of learning: a network does
# not know what was not in its training data.

# %% [markdown]
# `minidl remove-text scan.png -o clean.png` does this to your own pictures.
#
# ## Exercises
#
# In `tutorials/exercises/lesson05.py`; test them with `pytest -m lesson05`.
#
# 1. `write_over`: the formula of section 1, for grey pictures and for colour.
# 2. `diffuse`: fill a mask from its surroundings, and treat the border correctly.
# 3. `found_and_missed`: the two numbers that measure how good a found mask is.
#
# **Next**, in lesson 6: patches one by one are wasteful, because neighbours share most of their
# pixels. You build the op that looks at all windows of a picture at once.
