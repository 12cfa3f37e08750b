"""Bad input over every command: one line that names the thing, the right exit code, no trace left.

Every command line runs in a folder of good and bad pictures, weights and runs.
"""

from __future__ import annotations

import errno
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from minidl import checkpoint, gpu_support
from minidl.models import cli, zoo
from minidl.models.ssda import SSDA, Coding, Noise, Restorer, Text

RNG = np.random.default_rng(0)


def save(path: Path, *shape: int, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8)).save(path, **options)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder once."""
    here = tmp_path_factory.mktemp("workshop")
    save(here / "good.png", 13, 17, 3)
    save(here / "clear.png", 13, 17, 4)
    save(here / "small/tiny.png", 3, 2)
    save(here / "photos/a.png", 40, 50)
    save(here / "photos/sub/deep/b.png", 40, 50, 3)
    frames = [Image.fromarray(np.full((8, 8), level, dtype=np.uint8)) for level in (0, 99)]
    frames[0].save(here / "moving.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(np.full((9, 9), np.nan, np.float32)).save(here / "nan.tif")
    (here / "empty.png").touch()
    (here / "cut.png").write_bytes((here / "good.png").read_bytes()[:-300])
    (here / "words.png").write_text("no picture")
    (here / "none").mkdir()
    (here / "held").mkdir()
    for name in ("samples", "hole"):
        (here / f"held/{name}.png").write_text("mine")
    (here / "run").mkdir()
    (here / "run/config.json").write_text("{}")
    rng = np.random.default_rng(0)
    for name, damage in (("noise", Noise(25)), ("text", Text())):
        weights = Restorer(SSDA(36, (8, 8), rng=rng), 6, Coding(), damage)
        weights.save(here / f"{name}.st")
    (here / "cut.st").write_bytes((here / "noise.st").read_bytes()[:-40])
    checkpoint.save(here / "other.st", {}, {"model": "context-encoder"})
    return here


@pytest.fixture
def here(originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a copy of the folder."""
    monkeypatch.chdir(originals)
    monkeypatch.setattr(zoo, "FOLDER", originals / "none")
    monkeypatch.setattr(gpu_support, "why_no_gpu", lambda: "CuPy is not installed")
    return originals


def contents(folder: Path) -> dict[str, bytes]:
    files = {str(p.relative_to(folder)): p for p in folder.rglob("*")}
    return {name: p.read_bytes() if p.is_file() else b"" for name, p in files.items()}


def minidl(line: str) -> int:
    """Run a command line; argparse leaves by SystemExit."""
    try:
        return cli.main(shlex.split(line))
    except SystemExit as leaving:
        return int(leaving.code or 0)


def complaints(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines on stderr without argparse's usage, and check that stdout is empty."""
    captured = capsys.readouterr()
    assert not captured.out and "Traceback" not in captured.err
    lines = captured.err.splitlines()
    return [line for line in lines if line.strip() and not line.startswith(("usage:", " "))]


REFUSED = [
    # pictures
    ("denoise missing.png -o out.png --weights noise.st", "missing.png: there is no such file"),
    ("denoise empty.png -o out.png --weights noise.st", "empty.png: is empty"),
    ("denoise cut.png -o out.png --weights noise.st", "cut.png: is damaged"),
    ("denoise words.png -o out.png --weights noise.st", "words.png: is not a picture"),
    ("denoise words.png -o new --weights noise.st", "words.png: is not a picture"),
    ("denoise nan.tif -o out.png --weights noise.st", "nan.tif: has values from nan"),
    ("denoise moving.gif -o out.png --weights noise.st", "moving.gif: has 2 frames"),
    ("denoise none -o out --weights noise.st", "none: holds no pictures"),
    ("remove-text missing.png -o out.png --weights text.st", "missing.png: there is no such"),
    ("remove-text none -o out --weights text.st", "none: holds no pictures"),
    ("denoise clear.png -o out.jpg --weights noise.st", "out.jpg: JPEG cannot hold transparency"),
    # numbers
    ("denoise good.png -o out.png --sigma -5", "--sigma: '-5': expected auto, or a number above"),
    ("denoise good.png -o out.png --sigma -1e3", "--sigma: expected one argument"),
    ("denoise good.png -o out.png --sigma -inf", "--sigma: expected one argument"),
    ("denoise good.png -o out.png --sigma 0", "--sigma: '0': expected auto, or a number above"),
    ("denoise good.png -o out.png --sigma 1e9", "--sigma: '1e9': expected auto, or a number above"),
    ("denoise good.png -o out.png --sigma nan", "--sigma: 'nan': expected auto, or a number above"),
    (
        "denoise good.png -o out.png --sigma much",
        "--sigma: 'much': expected auto, or a number above",
    ),
    ("denoise good.png -o out.png --stride 0", "--stride: '0': expected a whole number, at least"),
    ("denoise good.png -o out.png --stride=--", "argument --stride: '--' is no value"),
    ("denoise good.png -o--", "argument -o: '--' is no value"),
    ("evaluate context-encoder --data photos --limit=--", "argument --limit: '--' is no value"),
    ("denoise good.png -o out.png --stride 1000000001", "at least 1 and at most a billion"),
    ("denoise good.png -o out.png --stride \u0663", "--stride: '\u0663': expected a whole number"),
    ("denoise good.png -o out.png --stride " + "1" * 5000, "--stride: '1111111"),
    (
        "fill good.png -o out.png --mask 1,2,3,4 --grow 1e3",
        "--grow: '1e3': expected a",
    ),
    ("train ssda --out new --text 18-" + "9" * 5000, "expected heights from 6 to 200"),
    ("denoise good.png -o out.png --stride two", "--stride: 'two': expected a whole number"),
    ("remove-text good.png -o out.png --stride 2.5", "--stride: '2.5': expected a whole number"),
    # outputs
    ("denoise good.png", "required: -o/--out"),
    ("denoise -o out.png", "required: IN"),
    ("denoise good.png -o no/out.png --weights noise.st", "no/out.png: there is no folder no"),
    ("denoise photos -o no/out --weights noise.st", "no/out: there is no folder no"),
    ("denoise good.png -o out.doc --weights noise.st", "out.doc: no kind of picture"),
    ("denoise good.png -o cut.png --weights noise.st", "cut.png: exists already"),
    ("denoise good.png -o good.png --weights noise.st", "good.png: is the picture itself"),
    ("denoise good.png -o .png --weights noise.st", ".png: is a suffix without a name"),
    ("denoise good.png -o . --weights noise.st", "good.png: is the picture itself"),
    ("denoise good.png -o noise.st/out.png --weights noise.st", "there is no folder noise.st"),
    ("denoise photos -o good.png --weights noise.st", "good.png: is a file's name; expected a fol"),
    ("denoise good.png words.png -o out.png --weights noise.st", "out.png: is a file's name"),
    ("denoise good.png photos/../small/../good.png photos/a.png -o cut.png", "cut.png: is a file'"),
    # weights
    ("denoise good.png -o out.png", "the package has no weights for noise"),
    ("remove-text good.png -o out.png", "the package has no weights for text"),
    ("denoise good.png -o out.png --weights no.st", "no.st: no such checkpoint"),
    ("denoise good.png -o out.png --weights none", "none: no such checkpoint"),
    ("denoise good.png -o out.png --weights cut.st", "cut.st: not a checkpoint, or damaged"),
    ("denoise good.png -o out.png --weights good.png", "good.png: not a checkpoint"),
    ("denoise good.png -o out.png --weights other.st", "other.st: holds a model of kind"),
    ("denoise good.png -o out.png --weights text.st", "text.st: trained against text; expected"),
    ("remove-text good.png -o out.png --weights noise.st", "noise.st: trained against noise; exp"),
    ("evaluate ssda --data photos", "the package has no weights for noise"),
    ("evaluate ssda --data photos --text", "the package has no weights for text"),
    ("evaluate ssda --data photos --weights cut.st", "cut.st: not a checkpoint"),
    ("evaluate ssda --data photos --weights text.st --sigma 9", "text.st: trained against text"),
    ("evaluate context-encoder --data photos --grid good.png", "good.png: exists already; name"),
    ("evaluate context-encoder --data photos --grid no.gif", "no.gif: cannot write '.gif' files"),
    # devices
    ("denoise good.png -o out.png --weights noise.st --device gpu", "device gpu: CuPy is not inst"),
    ("remove-text good.png -o o.png --weights text.st --device gpu", "device gpu: CuPy is not in"),
    ("train ssda --out new --steps 3 --device gpu", "device gpu: CuPy is not installed"),
    ("evaluate ssda --data photos --weights noise.st --device gpu", "device gpu: CuPy is not in"),
    ("gradcheck --device gpu", "device gpu: CuPy is not installed"),
    ("gradcheck --device tpu", "--device: invalid choice: 'tpu'"),
    # training
    ("train ssda --data none --out new --steps 3", "none: holds no pictures"),
    ("train ssda --data missing --out new --steps 3", "missing: there is no such file or folder"),
    ("train ssda --data small --out new --steps 3", "small: none of 1 pictures is at least 12"),
    ("train ssda --data small --out new", "small: none of 1 pictures is at least 12 x 12"),
    ("train ssda --data photos --out run --steps 3", "run: holds a run already"),
    ("train ssda --data missing --out run --steps 3", "run: holds a run already"),
    ("train ssda --data photos --out held --steps 3", "held/samples.png: exists already; a run"),
    ("train ssda --data photos --out good.png --steps 3", "good.png: is a file"),
    ("train ssda --data photos --out good.png/run --steps 3 --patch 6", "good.png/run: cannot be"),
    ("train ssda --resume missing", "missing: no run to resume"),
    ("train ssda --resume none", "none: no run to resume"),
    ("train ssda --resume good.png", "good.png: no run to resume"),
    (
        "train ssda --resume run",
        "run: config.json is not that of such a run",
    ),
    ("train ssda --resume run --seed 1", "drop --seed"),
    ("train ssda --resume run --minutes 5", "drop --minutes"),
    ("train ssda --resume run --seed 0", "drop --seed"),
    ("train ssda --resume run --recipe paper", "drop --recipe"),
    ("train ssda --resume run --out new", "not allowed with argument"),
    ("train ssda --steps 3", "one of the arguments --out --resume is required"),
    ("train ssda --out new --sigma -5", "--sigma: '-5': expected a number greater than 0"),
    ("train ssda --out new --sigma 256", "--sigma: '256': expected at most 255 grey levels"),
    ("train ssda --out new --sigma 25 --text", "not allowed with argument"),
    ("train ssda --out new --text 40-20", "--text: '40-20': expected heights from 6 to 200"),
    (
        "train ssda --data none --out new --text 5-20",
        "--text: '5-20': expected heights from 6 to 200",
    ),
    (
        "train ssda --data none --out new --text 20-201",
        "--text: '20-201': expected heights from 6 to 200",
    ),
    ("train ssda --out new --text -5", "--text: '-5': expected heights from 6 to 200"),
    ("train ssda --out new --minutes 0", "--minutes: '0': expected a number greater than 0"),
    ("train ssda --out new --minutes 5 --steps 5", "not allowed with argument"),
    ("train ssda --out new --steps -3", "--steps: '-3': expected a whole number"),
    ("train ssda --out new --patch 3", "--patch: '3': expected a whole number from 4 to 64"),
    ("train ssda --out new --hidden none", "--hidden: 'none': expected a whole number"),
    ("train ssda --out new --seed -1", "--seed: '-1': expected a whole number, 0 or more"),
    ("train ssda --out new --every inf", "--every: 'inf': expected a number"),
    ("train ssda --out new --recipe best", "--recipe: invalid choice: 'best'"),
    ("train vgg --out new", "invalid choice: 'vgg'"),
    # the rest
    ("evaluate ssda --data none --weights noise.st", "none: holds no pictures"),
    ("evaluate ssda --data missing --weights noise.st", "missing: there is no such file"),
    ("evaluate ssda", "required: --data"),
    ("demo --out good.png", "good.png: cannot be made"),
    ("demo --out held", "held/hole.png: exists already; name another, or give --force"),
    ("demo --seed many", "--seed: 'many': expected a whole number"),
    ("train", "required: MODEL"),
    ("", "required: COMMAND"),
    ("restore good.png", "invalid choice: 'restore'"),
    ("doctor now", "unrecognized arguments: now"),
]


@pytest.mark.parametrize(("line", "words"), REFUSED, ids=[row[0] for row in REFUSED])
def test_refused(line: str, words: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(here)
    assert minidl(line) == 2
    said = complaints(capsys)
    assert len(said) == 1 and words in said[0] and said[0].startswith("minidl")
    assert contents(here) == before


def test_folders_in_which_nothing_can_be_read(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is a line for each picture, and one for the folder."""
    for name in "ab":
        (tmp_path / f"{name}.png").write_text("no picture")
    before = contents(here)
    for line, count in (
        ("train ssda --data {} --out new --steps 3", 3),
        ("evaluate ssda --data {} --weights noise.st", 3),
        ("denoise {} -o new --weights noise.st", 2),
    ):
        assert minidl(line.format(tmp_path)) == 2
        said = complaints(capsys)
        assert len(said) == count and all(str(tmp_path) in each for each in said)
    assert contents(here) == before


def test_two_pictures_for_one_file(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A picture of an unknown format is written as PNG, and must not replace another output."""
    save(tmp_path / "a.png", 9, 9)
    save(tmp_path / "a.gif", 9, 9)
    line = f"denoise {tmp_path}/a.png {tmp_path}/a.gif -o {tmp_path}/new --weights noise.st --force"
    assert minidl(line) == 2
    assert "a.gif: would be written to" in complaints(capsys)[0]
    assert not (tmp_path / "new").exists()


def test_what_cannot_be_written(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(here)
    for code in (errno.ENOSPC, errno.EACCES, errno.EROFS):

        def refuse(*_: Any, code: int = code, **__: Any) -> None:
            raise OSError(code, errno.errorcode[code])

        with monkeypatch.context() as patch:
            patch.setattr(Image.Image, "save", refuse)
            assert minidl("denoise good.png -o out.png --sigma 9 --weights noise.st") == 2
        said = complaints(capsys)
        assert len(said) == 1 and f"out.png: cannot be written ({errno.errorcode[code]})" in said[0]
    assert contents(here) == before


def test_memory_runs_out(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Restorer, "repair", fail)
    assert minidl("denoise good.png -o out.png --sigma 9 --weights noise.st") == 2
    assert "MemoryError" in complaints(capsys)[0]


def test_a_traceback_on_demand(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIDL_TRACEBACK", "1")
    with pytest.raises(ValueError, match="no such checkpoint"):
        minidl("denoise good.png -o out.png --weights no.st")
