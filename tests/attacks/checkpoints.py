"""Mutated model files: they load and work, or CheckpointError refuses them."""

from __future__ import annotations

import copy
import json
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minidl import checkpoint
from minidl.checkpoint import CheckpointError
from minidl.models.context_encoder import Inpainter
from minidl.models.context_encoder.inpainter import checksum
from minidl.models.ssda import SSDA, Coding, Noise, Restorer, Text, TextCoding

from .pictures import refusal

JUNK: list[Any] = [
    None, True, -1, 0, 1e308, float("nan"), float("inf"), 10**30, 2**63, "", "x",
    "../../etc/passwd", [], {}, [1, 2], {"a": 1}, "\u202e\x1b[2J", -0.0, [[]] * 3,
    1e9, 12.5, [10**7, 10**7], [0, 0],
    [-1, 8], ["a", "b"], [1e9], 30, 1000,
]  # fmt: skip
TEXTS = [
    "3", "null", '"ab"', "[1]", "[[1]]", "", "{", '{"a": 1}', "NaN", "[" * 100000 + "]" * 100000,
    '{"a":' * 50000 + "1" + "}" * 50000, "1" * 5000, '{"model": "ssda"}', "\0", '["model", "x/y"]',
    '{"model": "context-encoder"}', '{"model": "ssda", "model": "ssda"}',
]  # fmt: skip
TYPES = ["F16", "BF16", "F64", "I64", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "I32", "C64", "F128"]
PIXELS = np.random.default_rng(0).random((14, 15, 3), dtype=np.float32)


def prepare(folder: Path) -> dict[str, bytes]:
    """Return {kind: content of a good file}."""
    rng = np.random.default_rng(0)
    Restorer(SSDA(36, (8, 8), rng=rng), 6, Coding(), Noise(25)).save(folder / "noise")
    coding = TextCoding(inner=2)
    inputs, outputs = coding.sizes(36)
    Restorer(SSDA(inputs, (8, 8), outputs, rng=rng), 6, coding, Text()).save(folder / "text")
    Inpainter.new("compact", "region", overlap=0, rng=rng, width=0.1)[0].save(folder / "fill")
    groups, about = checkpoint.load(folder / "fill")
    some = dict(list(groups["generator"].items())[:4])
    about |= {"rest": "../fill", "check": checksum(folder / "fill")}
    checkpoint.save(folder / "rest", {"generator": some}, about)
    made = {kind: (folder / kind).read_bytes() for kind in ("noise", "text", "fill", "rest")}
    for content in list(made.values())[::2]:  # compile once, before the forks
        _use(folder, content, "noise" if content is made["noise"] else "fill")
    return made


def _use(work: Path, content: bytes, kind: str) -> str:
    path = work / "file"
    path.write_bytes(content)
    if kind in ("noise", "text"):
        found = Restorer.load(path).repair(PIXELS)
    else:
        mask = np.zeros((14, 15), bool)
        mask[4:8, 5:9] = True
        found = Inpainter.load(path).inpaint(PIXELS, mask)
    return "used" if np.isfinite(found).all() else "used, not finite"


def case(originals: dict[str, bytes], work: Path, random: random.Random) -> tuple[str, list[str]]:
    kind = random.choice(list(originals))
    content = mutated(random, originals[kind])
    if kind == "rest":
        (work / "fill").write_bytes(originals["fill"])
    try:
        with np.errstate(all="ignore"):
            outcome = _use(work, content, kind)
    except CheckpointError as error:
        return "refused", refusal(error, work / "file")
    return outcome, []


def mutated(random: random.Random, content: bytes) -> bytes:
    """Return a safetensors file with one kind of damage."""
    data = bytearray(content)
    header, arrays = _split(content)
    length = 8 + len(content) - len(arrays) - 8
    damage = random.choice(
        ["bits", "header", "start", "cut", "length", *["about"] * 5, "metadata", "type", "numbers",
         "more", "fewer", "shape", "entry", "offsets"]
    )  # fmt: skip
    if damage == "bits":
        for _ in range(random.choice([1, 3, 20])):
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        return bytes(data)
    if damage in ("header", "start"):
        for _ in range(random.choice([1, 1, 4])):
            place = random.randrange(length if damage == "header" else 200)
            data[place] = random.choice([0, 255, 34, 123, 125, 44, 48, 57, random.randrange(256)])
        return bytes(data)
    if damage == "cut":
        return bytes(data[: random.randrange(len(data))])
    if damage == "length":
        near = length - 8 + random.randrange(-9, 9)
        lie = random.choice([0, 1, 7, 2**63, 2**64 - 1, 10**8, len(data), len(data) - 8, near])
        return struct.pack("<Q", lie) + bytes(data[8:])
    arrays = _lie(random, damage, header, arrays)
    return _joined(header, arrays)


def _lie(random: random.Random, damage: str, header: dict[str, Any], arrays: bytes) -> bytes:
    """Change the header in place, and return the arrays."""
    metadata, names = header["__metadata__"], [n for n in header if n != "__metadata__"]
    name = random.choice(names)
    if damage == "about":
        metadata["about"] = json.dumps(changed(random, json.loads(metadata["about"])))
    elif damage == "metadata":
        what = random.randrange(6)
        if what < 2:
            metadata["groups" if what else "about"] = random.choice(TEXTS)
        elif what == 2:
            metadata.pop(random.choice(list(metadata)))
        elif what == 3:
            metadata["format"] = "minidl-2"
        elif what == 4:
            metadata["about"] += " " * (3 << 20) + random.choice(["", "x"])
        else:
            header["__metadata__"] = random.choice([3, None, [], {"format": 3}])
    elif damage == "type":
        header[name]["dtype"] = random.choice(TYPES)
    elif damage == "numbers":
        numbers = np.frombuffer(arrays[: len(arrays) // 4 * 4], np.float32).copy()
        at = random.randrange(len(numbers))
        value = random.choice([np.nan, np.inf, -np.inf, 1e38, 1e-45])
        numbers[at : at + random.choice([1, 99])] = value
        arrays = numbers.tobytes()
    elif damage == "more":
        key = random.choice(["model/zz", "zz", "generator/zz", "/", "a/b/c", "model//", "../x"])
        header[key] = {"dtype": "F32", "shape": [0], "data_offsets": [len(arrays)] * 2}
    elif damage == "fewer":
        last = max(names, key=lambda n: header[n]["data_offsets"][1])
        arrays = arrays[: header.pop(last)["data_offsets"][0]]
    elif damage == "shape":
        shape = header[name]["shape"]
        odd = random.choice([-1, 0, 2**62, 2**64, 1.5, "a"])
        header[name]["shape"] = random.choice(
            [shape[::-1], [int(np.prod(shape))], [*shape, 1], [odd, *shape[1:]], [], None]
        )
    elif damage == "entry":
        header[name] = random.choice([3, None, [], {}])
    else:
        header[name]["data_offsets"] = random.choice(
            [[0, 0], [10, 4], [-1, 3], [0, 2**63], [0, len(arrays) * 2], [0], "x", [0, 1.5]]
        )
    return arrays


def changed(random: random.Random, value: Any) -> Any:
    """Return JSON values with one of them replaced, perhaps with a name more or less."""
    value = _put(value, random.choice(list(_places(value))), random.choice(JUNK))
    if isinstance(value, dict) and value and random.random() < 0.2:
        value[random.choice(list(value)) + "x"] = 1
    if isinstance(value, dict) and value and random.random() < 0.2:
        value.pop(random.choice(list(value)))
    return value


Place = tuple[str | int, ...]


def _places(value: Any, place: Place = ()) -> Iterator[Place]:
    yield place
    items: Any = value.items() if isinstance(value, dict) else ()
    for key, inner in enumerate(value) if isinstance(value, list) else items:
        yield from _places(inner, (*place, key))


def _put(value: Any, place: Place, new: Any) -> Any:
    if not place:
        return copy.deepcopy(new)
    value = copy.copy(value)
    value[place[0]] = _put(value[place[0]], place[1:], new)
    return value


def _split(content: bytes) -> tuple[dict[str, Any], bytes]:
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def _joined(header: dict[str, Any], arrays: bytes) -> bytes:
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + arrays
