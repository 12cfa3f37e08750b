"""Table 2 of paper 1: features of auto-encoders that were trained on different corruptions."""

from __future__ import annotations

import importlib.util
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl.models import plots
from minidl.models.ssda import DenoisingAutoencoder

from ..data import MissingError, digits
from ..report.cache import ResultCache, short
from ..report.page import Block, Figure, Row, Table, Text
from . import table2_features
from .plan import Plan
from .quoted import CORRUPTIONS, XIE_DIGITS
from .table2_features import MACHINES, Machine, Split, Training

TRAINING_SHARE = 0.7  # of the digits: 7,000 of 10,000
PIXELS = "no auto-encoder: the pixels"
QUICK_DIGITS = 1500  # for training and test
QUICK_TRAINING = Training(hidden=300, steps=500)


def table_2(plan: Plan, cache: ResultCache) -> list[Block]:
    """Return the paper's table of corruptions in two readings, and the printed one."""
    y, labels = digits(plan.data)
    if not importlib.util.find_spec("sklearn"):
        raise MissingError("scikit-learn is not installed: pip install 'minidl[compare]'")
    how, machines = Training(), MACHINES
    if plan.quick:
        how, machines = QUICK_TRAINING, MACHINES[1:2]
        y, labels = y[:QUICK_DIGITS], labels[:QUICK_DIGITS]
    parted = table2_features.split(y, labels, TRAINING_SHARE, np.random.default_rng(plan.seed))

    def row(name: str) -> dict[str, Any]:
        rng = np.random.default_rng((plan.seed, zlib.crc32(name.encode())))
        network, files = None, []
        if name != PIXELS:
            corrupt = table2_features.corruptions(test=False)[name]
            network = table2_features.train(parted.train, corrupt, how, rng)
            files = [f"{short(f'table2 {name}')}.png"]
            weights = np.asarray(network.encoder.w.data)
            plots.filters(cache.pictures / files[0], weights, count=60)
        return {**_row(network, name, parted, machines, plan.seed), "pictures": files}

    settings = {"seed": plan.seed, "digits": f"{zlib.crc32(y.tobytes()):08x}"}
    settings |= table2_features.settings(how, machines)
    made = cache.get_each("table2", settings, {n: n for n in (*CORRUPTIONS, PIXELS)}, row)
    train, test = len(parted.train), len(parted.test)
    return [
        Text(
            f"MNIST's test digits, {train:,} to train on and {test:,} to test on, of each kind in "
            f"proportion. An auto-encoder of {how.hidden} hidden units (eq. 6 with the paper's "
            f"beta, rho and lambda, {how.steps:,} steps) is trained on one corruption: Gaussian "
            f"noise of sigma {table2_features.SIGMA / 255:g} (black is 0, white 1), salt and "
            f"pepper on {table2_features.FRACTION:.0%} of the pixels, or photographs behind the "
            "strokes, others behind test digits than behind training digits. Its hidden "
            "activations h(x) go into a support vector machine, kernel and constant chosen on a "
            "fifth of the training digits that is kept aside for it."
        ),
        Text(
            "The paper does not say on which corruption the support vector machine was trained. In "
            "the first table it has seen the corruption that it is tested on, so that only the "
            "auto-encoder is strange to it; in the second it has seen what the auto-encoder has."
        ),
        _table("same", f"Table 2, SVM trained on the tested corruption ({test:,} digits)", made),
        _table(
            "apart",
            f"Table 2, SVM trained on the auto-encoder's corruption ({test:,} digits)",
            {name: one for name, one in made.items() if name != PIXELS},
        ),
        Table(
            "Table 2 as printed (Xie et al. 2012)",
            ["trained on", *CORRUPTIONS],
            [Row(n, XIE_DIGITS[n], best=[i], quoted=True) for i, n in enumerate(CORRUPTIONS)],
            ["Their digits, strengths of the corruptions and sizes are not known."],
        ),
        Figure(
            [
                (cache.pictures / file, name)
                for name, one in made.items()
                for file in one["pictures"]
            ],
            "The 60 strongest filters of the auto-encoder trained on each corruption.",
        ),
    ]


def _row(
    network: DenoisingAutoencoder | None,
    name: str,
    parted: Split,
    machines: tuple[Machine, ...],
    seed: int,
) -> dict[str, Any]:
    """Return accuracies in percent: {"same": {corruption: %}, "apart": {...}, "machines"}."""

    def code(x: np.ndarray) -> np.ndarray:
        return x if network is None else table2_features.hidden(network, x)

    learning = table2_features.corruptions(test=False)
    testing = table2_features.corruptions(test=True)
    same, apart, chosen, own = {}, {}, {}, None
    for c in (name, *(c for c in CORRUPTIONS if c != name)):
        if c not in CORRUPTIONS:
            continue
        rng = np.random.default_rng((seed, zlib.crc32(c.encode()), 1))  # the same in all rows
        train = code(learning[c](parted.train, rng))
        test = code(testing[c](parted.test, rng))
        machine = table2_features.choose(train, parted.train_labels, machines)
        fitted = machine.fit(train, parted.train_labels)
        own = own or fitted
        same[c] = table2_features.accuracy(fitted(test), parted.test_labels)
        apart[c] = table2_features.accuracy(own(test), parted.test_labels)
        chosen[c] = f"{machine.kernel}, C = {machine.c:g}"
    return {"same": same, "apart": apart, "machines": chosen}


def _table(reading: str, caption: str, made: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a table of accuracies, with the best auto-encoder of each column in bold."""
    rows = []
    for name, one in made.items():
        best = [
            i
            for i, c in enumerate(CORRUPTIONS)
            if name in CORRUPTIONS
            and one[reading][c] == max(made[n][reading][c] for n in CORRUPTIONS)
        ]
        rows.append(Row(name, [f"{one[reading][c]:.2f}" for c in CORRUPTIONS], best=best))
    used = sorted({m for one in made.values() for m in one["machines"].values()})
    notes = [
        "Percent of the test digits named rightly; the best auto-encoder of each column is bold. "
        f"Chosen machines: {'; '.join(used)}."
    ]
    return Table(caption, ["trained on", *CORRUPTIONS], rows, notes)
