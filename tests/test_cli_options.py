"""Every option of every command: its default, and its value if it is given."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from minidl.models import cli

MACHINE = {"device": "auto", "json": False}
REPAIR = {"pictures": ["a"], "out": "b", "weights": None, "force": False, **MACHINE}
TRAINED = {
    "data": None, "out": "a", "resume": None, "minutes": None, "steps": None, "batch": None,
    "lr": None, "seed": None,
}  # fmt: skip

# a command line, its function, and the values of its options
LEAST: list[tuple[str, str, dict[str, Any]]] = [
    ("demo", "demo:run", {"out": "demo-out", "force": False, "seed": 0, "device": "auto"}),
    ("denoise a -o b", "repair:denoise", {**REPAIR, "sigma": "auto", "stride": 3}),
    ("remove-text a -o b", "repair:remove_text", {**REPAIR, "stride": 3}),
    (
        "fill a -o b --mask c",
        "context_encoder:fill",
        {**REPAIR, "mask": "c", "invert_mask": False, "grow": 0, "texture": False, "mirror": False},
    ),
    (
        "train ssda --out a",
        "train:ssda",
        {**TRAINED, **MACHINE, "sigma": None, "text": None, "recipe": None, "patch": None,
         "hidden": None, "optimizer": None, "every": 60.0},
    ),
    (
        "train context-encoder --out a",
        "context_encoder:train",
        {**TRAINED, **MACHINE, "begin": None, "freeze_encoder": None, "net": None, "mask": None,
         "adversarial": None, "every": 120.0},
    ),
    (
        "evaluate ssda --data a",
        "evaluate:ssda",
        {**MACHINE, "data": "a", "weights": None, "sigma": None, "text": None, "stride": 3,
         "seed": 0, "baselines": False},
    ),
    (
        "evaluate context-encoder --data a",
        "context_encoder:evaluate",
        {**MACHINE, "data": "a", "weights": None, "limit": None, "grid": None, "force": False,
         "seed": 0, "mirror": False, "baselines": False},
    ),
    ("gradcheck", "doctor:gradcheck", MACHINE),
    ("doctor", "doctor:doctor", {"json": False}),
]  # fmt: skip

# the same with options, and the values that they change
MORE: list[tuple[str, dict[str, Any]]] = [
    (
        "demo --out x --force --seed 3 --device cpu",
        {"out": "x", "force": True, "seed": 3, "device": "cpu"},
    ),
    (
        "denoise a c -o b --sigma 9.5 --stride 2 --weights w --force --device gpu --json",
        {"pictures": ["a", "c"], "sigma": 9.5, "stride": 2, "weights": "w", "force": True,
         "device": "gpu", "json": True},
    ),
    ("remove-text a -o b --stride 7", {"stride": 7}),
    (
        "fill a -o b --mask 1,2,3,4 --invert-mask --grow 5 --texture --mirror",
        {"mask": (1, 2, 3, 4), "invert_mask": True, "grow": 5, "texture": True, "mirror": True},
    ),
    (
        "train ssda --out a --data d --sigma 9 --minutes 0.5 --recipe paper --patch 64 --hidden 7"
        " --batch 3 --lr 0.1 --optimizer lbfgs --seed 0 --every 4.5",
        {"data": "d", "sigma": 9.0, "minutes": 0.5, "recipe": "paper", "patch": 64, "hidden": 7,
         "batch": 3, "lr": 0.1, "optimizer": "lbfgs", "seed": 0, "every": 4.5},
    ),
    ("train ssda --out a --text --steps 8 --patch 4", {"text": (18, 36), "steps": 8, "patch": 4}),
    ("train ssda --out a --text 6-200", {"text": (6, 200)}),
    ("train ssda --out a --text 24", {"text": (24, 24)}),
    ("train ssda --out a --sigma 255", {"sigma": 255.0}),
    (
        "train context-encoder --out a --data d --begin m --freeze-encoder --net report"
        " --mask block --adversarial 0 --minutes 2 --batch 9 --lr 0.5 --seed 4 --every 6",
        {"data": "d", "begin": "m", "freeze_encoder": True, "net": "report", "mask": "block",
         "adversarial": 0.0, "minutes": 2.0, "batch": 9, "lr": 0.5, "seed": 4, "every": 6.0},
    ),
    ("train context-encoder --out a --steps 1000000000", {"steps": 10**9}),
    (
        "evaluate ssda --data a --weights w --text --stride 4 --seed 5 --baselines",
        {"weights": "w", "text": (18, 36), "stride": 4, "seed": 5, "baselines": True},
    ),
    (
        "evaluate context-encoder --data a --weights w --limit 4 --grid g --force --seed 1 --mirror"
        " --baselines",
        {"weights": "w", "limit": 4, "grid": "g", "force": True, "seed": 1, "mirror": True,
         "baselines": True},
    ),
]  # fmt: skip

# command lines, and a part of the message for each
WRONG: list[tuple[str, str]] = [
    ("", "required: COMMAND"),
    ("train", "required: MODEL"),
    ("evaluate", "required: MODEL"),
    ("denoise a", "required: -o/--out"),
    ("fill a -o b", "required: --mask"),
    ("fill -o b --mask c", "required: IN"),
    ("evaluate ssda", "required: --data"),
    ("evaluate context-encoder", "required: --data"),
    ("train ssda", "one of the arguments --out --resume is required"),
    ("train context-encoder", "one of the arguments --out --resume is required"),
    ("train ssda --out a --resume b", "not allowed with"),
    ("train context-encoder --out a --resume b", "not allowed with"),
    ("train ssda --out a --steps 1 --minutes 1", "not allowed with"),
    ("train context-encoder --out a --steps 1 --minutes 1", "not allowed with"),
    ("evaluate ssda --data a --text --sigma 5", "not allowed with"),
    ("train ssda --out a --patch 65", "expected a whole number from 4 to 64"),
    ("train ssda --out a --steps 0", "expected a whole number, at least 1"),
    ("train ssda --out a --seed " + "9" * 41, "expected a whole number, 0 or more"),
    ("train ssda --out a --lr 0", "expected a number greater than 0"),
    ("train context-encoder --out a --adversarial 1", "expected a number from 0 to below 1"),
    ("train context-encoder --out a --adversarial -0.1", "expected a number from 0 to below 1"),
    ("train context-encoder --out a --adversarial all", "expected a number from 0 to below 1"),
    ("fill a -o b --mask c --grow 1000000001", "expected a whole number of pixels, 0 or more"),
    ("fill a -o b --mask 1,-1,3,4", "expected x,y,width,height"),
    ("fill a -o b --mask 1,1,3,0", "expected x,y,width,height"),
    ("fill a -o b --mask 1,1,0,3", "expected x,y,width,height"),
    ("fill a -o b --mask 1,1,2,3,4", "expected x,y,width,height"),
    ("doctor --device cpu", "unrecognized arguments"),
    ("demo --json", "unrecognized arguments"),
]


def parsed(line: str) -> dict[str, Any]:
    """Return the options of a command line."""
    return vars(cli.parser().parse_args(shlex.split(line)))


@pytest.mark.parametrize(("line", "function", "values"), LEAST, ids=[row[0] for row in LEAST])
def test_options_that_are_not_given(line: str, function: str, values: dict[str, Any]) -> None:
    found = parsed(line)
    words = line.split()
    assert found.pop("command") == words[0]
    assert found.pop("model", words[1:2]) in (words[1:2], *words[1:2])
    assert found.pop("function") == f"minidl.models.cli.{function}"
    assert found == values


@pytest.mark.parametrize(("line", "changed"), MORE, ids=[row[0] for row in MORE])
def test_options_that_are_given(line: str, changed: dict[str, Any]) -> None:
    least = next(row for row, *_ in LEAST if line.startswith(row.split(" -")[0].split(" a")[0]))
    assert parsed(line) == {**parsed(least), **changed}


@pytest.mark.parametrize(("line", "words"), WRONG, ids=[row[0][:60] for row in WRONG])
def test_options_that_are_wrong(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        parsed(line)
    said = capsys.readouterr().err.splitlines()[-1]
    assert leaving.value.code == 2 and words in said


@pytest.mark.parametrize("text", ["mask.png", "1", "a,b", "1,2,x"])
def test_a_mask_may_be_a_name(text: str) -> None:
    assert parsed(f"fill a -o b --mask {text}")["mask"] == text


def test_a_rectangle_beyond_every_picture() -> None:
    """Numbers of ten or more digits are cut to one large number; nine digits stay."""
    assert parsed(f"fill a -o b --mask 0,0,{10**9 - 1},1")["mask"] == (0, 0, 10**9 - 1, 1)
    assert parsed(f"fill a -o b --mask 0,0,{10**9 + 7},1")["mask"] == (0, 0, 10**9, 1)
    assert parsed(f"fill a -o b --mask 0,0,{'9' * 5000},1")["mask"] == (0, 0, 10**9, 1)


def test_long_complaints_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.parser().error("a" * 499 + "b")
    assert f": {'a' * 499}b\n" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.parser().error("a" * 400 + "b" * 101)
    assert f": {'a' * 250} ... {'a' * 149}{'b' * 101}\n" in capsys.readouterr().err
