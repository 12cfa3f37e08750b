"""`minidl evaluate`: damage clean pictures, repair them, and print a table of scores."""

from __future__ import annotations

import argparse
import json
import statistics
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from skimage.restoration import inpaint_biharmonic
from tqdm import tqdm

from minidl.device import choose
from minidl.models import zoo
from minidl.models.images.files import PictureError, find, read
from minidl.models.images.samples import grey
from minidl.models.images.scores import non_local_means, psnr, total_variation
from minidl.models.ssda import Noise, Restorer, Text
from minidl.models.ssda.degradation import as_dict
from minidl.models.ssda.training import degrade
from minidl.models.terminal import printable

from .arguments import complain

Method = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (damaged, clean) -> repaired


def ssda(options: argparse.Namespace) -> int:
    """Print the PSNR over full grey pictures, each with its own fixed damage."""
    restorer, damage = _restorer(options)
    noise = damage.sigma if isinstance(damage, Noise) else None
    methods: dict[str, Method] = {
        "ours": lambda x, _: restorer.repair(x, sigma=noise, stride=options.stride)
    }
    if options.baselines and noise is not None:
        methods["non-local means"] = lambda x, _: non_local_means(x, noise)
        methods["total variation"] = lambda x, _: total_variation(x, noise)
    elif options.baselines:
        methods["network alone"] = lambda x, _: restorer.repair(
            x, stride=options.stride, use_network_pixels=True
        )
        methods["biharmonic told where"] = lambda x, clean: inpaint_biharmonic(
            x, (x != clean).any(axis=2), channel_axis=-1
        )

    scores: dict[str, dict[str, float]] = {}
    began = time.perf_counter()
    found = find([options.data])
    for path, name in tqdm(found, unit="picture", disable=options.json or None):
        try:
            clean = grey(read(path).pixels)
        except PictureError as error:
            complain(options, error)
            continue
        rng = np.random.default_rng((options.seed, zlib.crc32(str(name).encode())))
        damaged = degrade(clean, damage, rng)
        scores[str(name)] = {"damaged": psnr(clean, damaged)} | {
            method: psnr(clean, np.clip(repair(damaged, clean), 0, 1))
            for method, repair in methods.items()
        }
    if not scores:
        raise PictureError(f"{options.data}: none of its pictures can be read")
    mean = {m: statistics.mean(s[m] for s in scores.values()) for m in ("damaged", *methods)}
    if options.json:
        answer = {"data": Path(options.data).name, "damage": as_dict(damage)}
        answer |= {"psnr": scores, "mean": mean}
        print(json.dumps(answer | {"seconds": round(time.perf_counter() - began, 1)}))
    else:
        print_table({**scores, "mean": mean})
    return 1 if len(scores) < len(found) else 0


def print_table(rows: Mapping[str, Mapping[str, float]]) -> None:
    """Print rows of scores in dB under the names of the methods."""
    first = max(len(printable(name)) for name in rows)
    columns = list(next(iter(rows.values())))
    print(" " * first + "".join(f"{c:>{max(9, len(c) + 2)}}" for c in columns))
    for name, row in rows.items():
        cells = (f"{row[c]:{max(9, len(c) + 2)}.2f}" for c in columns)
        print(f"{printable(name):{first}}" + "".join(cells))


def _restorer(options: argparse.Namespace) -> tuple[Restorer, Noise | Text]:
    """Return the model, and the damage to score it on: by default that of its training."""
    asked = Text(*options.text) if options.text else None
    damage = asked or (Noise(options.sigma) if options.sigma else None)
    if options.weights:
        path = zoo.resolve(options.weights)
    else:
        damage = damage or Noise(25.0)
        path = zoo.denoiser(damage.sigma) if isinstance(damage, Noise) else zoo.text_remover()
    restorer = Restorer.load(path, device=choose(options.device))
    damage = damage or restorer.damage
    if type(damage) is not type(restorer.damage):
        trained = type(restorer.damage).__name__.lower()
        raise ValueError(f"{path}: trained against {trained}; ask for that")
    return restorer, damage
