"""The command line if all is well, if some of it fails, and if it is stopped."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from minidl import gpu_support, gradcheck
from minidl.models import cli, zoo
from minidl.models.cli import doctor, repair
from minidl.models.images.files import read
from minidl.models.images.samples import photograph
from minidl.models.ssda import SSDA, Coding, Noise, Restorer, Text, TextCoding

RNG = np.random.default_rng(0)
ROOT = Path(__file__).resolve().parents[1]
COMMANDS = [
    "demo", "denoise", "remove-text", "train", "train ssda", "evaluate", "evaluate ssda",
    "gradcheck", "doctor",
]  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with untrained noise.safetensors and text.safetensors."""
    folder = tmp_path_factory.mktemp("weights")
    for name, damage in (("noise", Noise(25)), ("text", Text())):
        coding: Coding | TextCoding = TextCoding(inner=4) if name == "text" else Coding()
        inputs, outputs = coding.sizes(36)
        network = SSDA(inputs, (8, 8), outputs, rng=np.random.default_rng(0))
        Restorer(network, 6, coding, damage).save(folder / f"{name}.safetensors")
    return folder


@pytest.fixture
def here(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with weights that seem to ship with the package."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(zoo, "FOLDER", weights)
    monkeypatch.setattr(gpu_support, "why_no_gpu", lambda: "the tests are for all machines")
    return tmp_path


def minidl(line: str) -> int:
    return cli.main(shlex.split(line))


def noise(*shape: int) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8))


def photos(folder: Path, *names: str) -> None:
    """Make a folder of small photographs."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = photograph("camera")[200:260, 200:250]
        Image.fromarray((255 * pixels[..., 0]).astype(np.uint8)).save(folder / name)


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


# --- help ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        minidl(f"{command} --help")
    out = " ".join(capsys.readouterr().out.split())
    assert leaving.value.code == 0 and f"example: minidl {command}" in out


def test_every_command_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        minidl("--help")
    out = capsys.readouterr().out
    listed = {line.split()[0] for line in out.splitlines() if line.startswith("    ")}
    assert {command.split()[0] for command in COMMANDS} <= listed


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from minidl.models.cli import parser; parser(); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    heavy = {"numba", "cupy", "matplotlib", "PIL", "scipy", "skimage", "tqdm", "urllib.request"}
    assert "numpy" in out.stdout.split() and not heavy & set(out.stdout.split())


def test_a_command_lets_the_threads_of_blas_sleep() -> None:
    """Threads that spin after a product would slow the kernels' own threads."""
    code = "import os; from minidl.models import cli; print(os.environ['OMP_WAIT_POLICY'])"
    for given, expected in ((None, "passive"), ("active", "active")):
        environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
        if given:
            environment["OMP_WAIT_POLICY"] = given
        out = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        assert out.stdout.strip() == expected


# --- pictures ------------------------------------------------------------------------------------


def test_a_file_to_a_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(here, "a.png")
    assert minidl("denoise a.png -o b.jpg --sigma 25") == 0
    assert minidl("remove-text a.png -o c.png") == 0
    assert read("b.jpg").pixels.shape == read("c.png").pixels.shape == (60, 50, 1)
    out, err = capsys.readouterr()
    assert out.startswith("a.png -> b.jpg  (50x60, sigma 25, noise.safetensors, ") and not err


@pytest.mark.parametrize("out", ["new", "old", "new/", "v1.0/"])
def test_a_file_to_a_folder(out: str, here: Path) -> None:
    photos(here, "sub/a.png")
    (here / "old").mkdir()
    if out == "v1.0/":  # a new folder with a dot would be read as a file of an unknown kind
        (here / out).mkdir()
    assert minidl(f"denoise sub/a.png -o {out} --sigma 25") == 0
    assert files(here / out) == ["a.png"]


def test_folders_keep_their_tree(here: Path) -> None:
    names = ["a.png", "b/c/d.tif", "b/e.png"]
    photos(here / "in", *names)
    (here / "in/.hidden.png").write_text("")
    photos(here / "alone", "f.png")
    assert minidl("denoise in alone/f.png -o out --sigma 25 --stride 5") == 0
    assert files(here / "out") == [*names, "f.png"]
    assert minidl("denoise in -o v1.0 --sigma 25") == 0
    assert files(here / "v1.0") == names


def test_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(here / "in", "a.png", "b.png")
    assert minidl("denoise in -o out --json") == 0
    reports = json.loads(capsys.readouterr().out)
    assert [(r["in"], r["out"]) for r in reports] == [
        ("in/a.png", "out/a.png"), ("in/b.png", "out/b.png"),
    ]  # fmt: skip
    assert all(r["sigma"] >= 0 and r["seconds"] >= 0 and "weights" in r for r in reports)
    assert minidl("remove-text in/a.png -o c.png --json") == 0
    assert json.loads(capsys.readouterr().out)[0]["weights"] == "text.safetensors"


def test_force_replaces(here: Path) -> None:
    photos(here, "a.png", "b.png")
    before = (here / "a.png").read_bytes()
    assert minidl("denoise a.png -o b.png --sigma 50 --force") == 0
    assert (here / "b.png").read_bytes() != before == (here / "a.png").read_bytes()
    assert minidl("denoise a.png -o . --sigma 50 --force") == 0
    assert (here / "a.png").read_bytes() == (here / "b.png").read_bytes()


@pytest.mark.parametrize("command", ["denoise {} -o {} --sigma 25", "remove-text {} -o {}"])
def test_pictures_of_every_kind(command: str, here: Path) -> None:
    deep = Image.fromarray(RNG.integers(0, 65536, (9, 7), dtype=np.uint16))
    turned = Image.Exif()
    turned[0x0112] = 6
    noise(3, 2).save("smaller-than-a-patch.png")
    noise(1, 1).save("pixel.png")
    noise(1, 1, 3).save("pixel.tif")
    deep.save("deep.png")
    noise(9, 7, 3).quantize(4).save("palette.png")
    noise(9, 7, 3).convert("CMYK").save("cmyk.jpg")
    noise(9, 7, 3).save("still.gif")
    noise(9, 7, 4).save("clear.png")
    noise(9, 7, 3).save("turned.jpg", exif=turned)
    for source in files(here):
        out = Path("out", source).with_suffix(".png" if source == "still.gif" else source[-4:])
        out.parent.mkdir(exist_ok=True)
        assert minidl(command.format(source, out)) == 0
        before, after = read(source), read(out)
        assert after.pixels.shape == before.pixels.shape and after.bits == before.bits
        assert (before.alpha is None) == (after.alpha is None)
        if before.alpha is not None and after.alpha is not None:
            np.testing.assert_array_equal(before.alpha, after.alpha)
    with Image.open("out/turned.jpg") as image:
        assert image.size == (9, 7) and 0x0112 not in image.getexif()


def test_a_picture_without_noise_is_left_as_it_is(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (20, 20), (10, 20, 30)).save("flat.png")
    assert minidl("denoise flat.png -o out.png") == 0
    assert "sigma 0, nothing to do" in capsys.readouterr().out
    np.testing.assert_array_equal(read("out.png").pixels, read("flat.png").pixels)


def test_the_most_noise_there_can_be(here: Path) -> None:
    board = np.indices((20, 20)).sum(axis=0) % 2 * 255
    Image.fromarray(board.astype(np.uint8)).save("board.png")
    assert minidl("denoise board.png -o out.png") == 0


def test_a_name_that_no_screen_can_show(here: Path, weights: Path) -> None:
    photos(here, "a.png")
    name = os.fsdecode(b"stra\xdfe.png")
    try:
        (here / "a.png").rename(here / name)
    except OSError:
        pytest.skip("this file system takes no such name")
    code = "import sys; from minidl.models.cli import main; sys.exit(main())"
    line = f"denoise . -o out --sigma 25 --weights {weights / 'noise.safetensors'}"
    done = subprocess.run(
        [sys.executable, "-c", code, *shlex.split(line)],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
    )
    assert done.returncode == 0 and not done.stderr and files(here / "out") == [name]


@pytest.mark.parametrize("command", ["denoise --sigma 25", "remove-text"])
def test_some_fail_and_the_others_are_done(
    command: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos(here / "in", "a.png", "c.png")
    (here / "in/b.png").write_text("no picture")
    assert minidl(f"{command} in -o out --json") == 1
    out, err = capsys.readouterr()
    assert len(err.splitlines()) == 1 and "in/b.png: is not a picture" in err
    assert [r["in"] for r in json.loads(out)] == ["in/a.png", "in/c.png"]
    assert files(here / "out") == ["a.png", "c.png"]
    assert minidl(f"{command} in -o out") == 2  # nothing is left to do
    assert len(capsys.readouterr().err.splitlines()) == 3


# --- scores, checks, findings --------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["--sigma 25 --baselines", "--text 18-24 --baselines"])
def test_evaluate(damage: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(here / "in", "a.png", "sub/b.png")
    noise(40, 40, 3).save("in/c.png")
    assert minidl(f"evaluate ssda --data in {damage} --json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert list(answer["psnr"]) == ["a.png", "c.png", "sub/b.png"]
    classical = ["non-local means", "total variation"]
    if "text" in damage:
        classical = ["network alone", "biharmonic told where"]
    assert list(answer["mean"]) == ["damaged", "ours", *classical]
    for method, mean in answer["mean"].items():
        assert mean == pytest.approx(statistics.mean(s[method] for s in answer["psnr"].values()))
    if "sigma" in damage:
        assert answer["mean"]["damaged"] == pytest.approx(20.17, abs=0.3)
    assert minidl(f"evaluate ssda --data in {damage}") == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 5 and table[-1].split()[1] == f"{answer['mean']['damaged']:.2f}"
    (here / "in/0.png").write_text("no picture")
    assert minidl(f"evaluate ssda --data in {damage} --json") == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["mean"] == answer["mean"] and "0.png: is not a picture" in err


def test_gradcheck(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("op", "add", 1e-9), ("loss", "mean", 1e-8)]
    monkeypatch.setattr("minidl.gradcheck_cases.errors", lambda device: rows)
    assert minidl("gradcheck --device cpu") == 0
    assert "2 checked, 0 above" in capsys.readouterr().out
    rows.append(("op", "bad", float("nan")))
    assert minidl("gradcheck --json") == 1
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["add", "mean", "bad"]


@pytest.mark.slow
def test_gradcheck_of_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert minidl("gradcheck --device cpu") == 0
    assert ", 0 above" in capsys.readouterr().out


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert minidl("doctor --json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["packages"]["numpy"] == np.__version__ and answer["cores"] >= 1
    assert minidl("doctor") == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == list(answer)


def test_packages_are_told_by_the_names_they_are_installed_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def version(name: str) -> str:
        if name != "cupy-cuda13x":
            raise importlib.metadata.PackageNotFoundError(name)
        return "14.0"

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert doctor._version("cupy") == "14.0" and doctor._version("numpy") == ""


def test_a_gradcheck_in_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [("op", "add", 1e-9), ("layer", "Conv2D", 0.5)]
    monkeypatch.setattr("minidl.gradcheck_cases.errors", lambda device: rows)
    assert minidl("gradcheck --device cpu") == 1
    gap = " " * 39
    assert capsys.readouterr().out == (
        f"{gap}largest relative error, float64, on the cpu\n"
        f"op     add{' ' * 29}1.0e-09\nlayer  Conv2D{' ' * 26}5.0e-01   WRONG\n"
        f"2 checked, 1 above {gradcheck.TOLERANCE:g}\n"
    )


def test_a_repair_is_told_and_counted(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bars: list[Any] = []

    class Bar(repair.tqdm):  # type: ignore[misc]
        def __init__(self, **options: Any) -> None:
            self.given = options
            self.counts: list[tuple[float, float]] = []
            bars.append(self)
            super().__init__(**options)

        def update(self, n: float = 1) -> None:
            self.n += n
            self.counts.append((self.n, self.total))

    monkeypatch.setattr(repair, "tqdm", Bar)
    photos(here, "a.png")
    assert minidl("denoise a.png -o b.png --sigma 12.25") == 0
    said = capsys.readouterr().out
    line = r"a\.png -> b\.png  \(50x60, sigma 12\.2, noise\.safetensors, \d+\.\d s\)\n"
    assert re.fullmatch(line, said)
    look = {"desc": "a.png", "unit": "patch", "unit_scale": True, "leave": False, "total": 0}
    assert bars[0].given == {**look, "disable": None}
    assert bars[0].counts[-1][0] == bars[0].counts[-1][1] == bars[0].total > 100
    assert bars[0].counts == sorted(set(bars[0].counts))
    assert minidl("denoise a.png -o c.png --json") == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert bars[1].given == {**look, "disable": True}
    assert list(report)[:2] == ["in", "out"] and report["sigma"] == round(report["sigma"], 1)
    assert report["seconds"] == round(report["seconds"], 2)


def test_a_folder_of_results_that_cannot_be_made(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos(here / "in", "sub/a.png")
    (here / "out").mkdir()
    (here / "out/sub").write_text("a file")
    assert minidl("denoise in -o out --sigma 25") == 2
    assert "out/sub: cannot be made (File exists)" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="pipes break otherwise there")
def test_a_reader_that_leaves_early() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code = "import sys; from minidl.models.cli import main; sys.exit(main(['doctor', '--json']))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=writing,
        stderr=subprocess.PIPE,
        env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},
    )
    os.close(writing)
    assert done.returncode == 141 and not done.stderr
