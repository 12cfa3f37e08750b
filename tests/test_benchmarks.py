"""The benchmarks: their arithmetic, that they run, and that both sides compute the same.

No test depends on the speed of this machine: each moves its own clock.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import harness, kernels, memory, options, page, pictures, scaling, training
from benchmarks.report import report, write
from benchmarks.work import Work, timed
from minidl import kernels as library
from minidl import nn
from minidl.models.context_encoder.trainer import Settings

ROOT = Path(__file__).resolve().parents[1]
PNG = b"\x89PNG"
FIELDS = {
    "name", "group", "threads", "ours_ms", "reference", "reference_ms", "ratio", "spread", "modes",
    "figures",
}  # fmt: skip
PEAKS = {"GFLOP/s": 100.0, "GB/s": 20.0}
NETS = ("compact", "report", "authors")


class Clock:
    """A clock that stands still until a function of `taking` is called."""

    def __init__(self) -> None:
        self.now, self.calls = 0.0, 0

    def __call__(self) -> float:
        return self.now

    def taking(self, *seconds: float) -> Callable[[], None]:
        """Return a function that takes each of the times in turn, and the last one from then on."""
        times = list(seconds)

        def function() -> None:
            self.calls += 1
            self.now += times.pop(0) if len(times) > 1 else times[0]

        return function


def tiny_work() -> dict[str, Work]:
    """Every kind of work that has a counterpart of the same numbers, small."""
    found = {
        "pre-training": training.pre_training(pixels=16, hidden=24, batch=10),
        "fine-tuning": training.fine_tuning(pixels=16, hidden=24, batch=10),
    }
    for net in NETS:
        settings = Settings(net=net, batch=6, width=0.1)
        found[f"{net}, both players"] = training.both_players(settings)
        found[f"{net}, in use"] = training.in_use(settings)
    return found


def tiny_result(name: str = "a", group: str = "") -> harness.Result:
    return harness.summary(name, [0.1, 0.2], {"b": [0.2, 0.2]}, threads=1, group=group)


# --- arithmetic -----------------------------------------------------------------------------------


def test_the_ratio_is_to_the_best_reference():
    clock = Clock()
    references = {"slow": clock.taking(0.4), "fast": clock.taking(0.2), "odd": clock.taking(0.3)}
    result = harness.compare("f", clock.taking(0.1), references, threads=1, clock=clock)
    assert (result.reference, result.ratio) == ("fast", pytest.approx(0.5))
    assert (result.ours_ms, result.reference_ms) == (pytest.approx(100), pytest.approx(200))
    assert result.modes == pytest.approx({"slow": 400, "fast": 200, "odd": 300})


def test_the_spread_is_the_middle_half_of_the_rounds():
    ours = [1.0, 2, 3, 4, 5, 6, 7, 8, 90]
    result = harness.summary("f", ours, {"b": [10.0] * 9}, threads=1)
    assert (result.ratio, result.spread) == (pytest.approx(0.5), pytest.approx((0.3, 0.7)))


def test_the_ratio_is_of_times_of_the_same_round():
    """The machine becomes three times slower after the first round."""
    result = harness.summary("f", [1.0, 3, 3.3], {"b": [2.0, 6, 6]}, threads=1)
    assert (result.ratio, result.ours_ms, result.reference_ms) == (pytest.approx(0.5), 3000, 6000)
    drifting = harness.summary("f", [1.0, 1, 3], {"b": [2.0, 6, 6]}, threads=1)
    assert drifting.ratio == pytest.approx(0.5)  # the ratio of medians would be a sixth


def test_compilation_is_not_counted():
    clock = Clock()
    result = harness.compare("f", clock.taking(1000, 0.1), {}, threads=1, clock=clock)
    assert (result.ours_ms, result.ratio, result.modes) == (pytest.approx(100), None, {})


def test_fast_functions_are_called_in_blocks():
    clock = Clock()
    harness.compare("f", clock.taking(0.01), {}, threads=1, rounds=3, clock=clock)
    assert clock.calls == 2 + 3 * round(harness.BLOCK_SECONDS / 0.01)


def test_with_threads_the_first_call_of_a_block_is_not_counted():
    clock = Clock()
    first_is_slow = clock.taking(0.5, 0.5, 9, 0.5, 0.5, 9, 0.5, 0.5)
    result = harness.compare("f", first_is_slow, {}, threads=2, rounds=2, clock=clock)
    assert (result.ours_ms, clock.calls) == (pytest.approx(500), 2 + 2 * 3)


# --- what is written ------------------------------------------------------------------------------


def test_results_are_written_as_json_and_as_a_chart(tmp_path: Path):
    results = [tiny_result("one", "x"), tiny_result("two", "y")]
    report(results, tmp_path / "r.json", tmp_path / "r.png")
    written = json.loads((tmp_path / "r.json").read_text())
    assert [set(row) for row in written] == [FIELDS, FIELDS]
    assert written[0]["ratio"] == pytest.approx(0.75)
    assert (tmp_path / "r.png").read_bytes().startswith(PNG)


def test_runs_make_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    paths = [tmp_path / "1.json", tmp_path / "2.json"]
    for path in paths:
        write([tiny_result("one"), tiny_result("two")], path)
    page.main([*map(str, paths), "--chart", str(tmp_path / "page.png")])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| one | 150, 200 (b) | **0.75** |")
    assert (tmp_path / "page.png").read_bytes().startswith(PNG)


def test_memory_has_a_table_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    figures = {"ours, MiB": 120.4, "PyTorch, MiB": 150.0, "PyTorch channels_last, MiB": 140.0}
    rows = [replace(tiny_result("one"), figures=figures), tiny_result("two")]
    rows.append(replace(tiny_result("three"), figures={"ours, MiB": 7.0}))
    write(rows, tmp_path / "r.json")
    page.main([str(tmp_path / "r.json")])
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "|---|---|---|---|",
        "| one | 1 | 120 | 140 (channels_last) |",
        "| three | 1 | 7 |  |",
    ]


def test_nothing_compared_is_no_chart(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    report([harness.Result("f", 1, 2.0)], None, tmp_path / "r.png")
    assert not (tmp_path / "r.png").exists() and "nothing was compared" in capsys.readouterr().out


def test_rows_are_selected_by_a_part_of_their_name():
    assert options.selected(["ab", "bc", "cd"], ["b"]) == ["ab", "bc"]
    assert options.selected(["ab", "bc"], []) == ["ab", "bc"]
    with pytest.raises(SystemExit, match="one of: ab, bc"):
        options.selected(["ab", "bc"], ["x"])


def test_without_pytorch_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    real = options.importlib.util.find_spec
    monkeypatch.setattr(
        options.importlib.util, "find_spec", lambda name: None if name == "torch" else real(name)
    )
    monkeypatch.setattr(options, "use_threads", lambda count, torch: None)
    chosen = options.begin(options.parser("About."), ["--threads", "3"])
    said = capsys.readouterr().out
    assert not chosen.torch and "3 threads" in said and "numpy" in said
    assert "PyTorch is not installed: ours is timed alone." in said
    with pytest.raises(SystemExit):
        options.begin(options.parser("About."), ["--against", "torch"])


# --- everything runs ------------------------------------------------------------------------------


def test_every_kernel_has_a_row():
    assert set(kernels.rows(scale=16)) == set(library.NAMES)


@pytest.mark.parametrize("name", library.NAMES)
def test_kernels_are_measured(name: str):
    row = kernels.rows(scale=16)[name]
    result = kernels.measured(name, row, threads=1, torch=False, rounds=1, peaks=PEAKS)
    rate = result.figures["GFLOP/s" if row.flops else "GB/s"]
    assert result.reference == "NumPy's meaning" and rate > 0


def test_peaks_are_measured():
    assert min(kernels.measure_peaks(1, side=64, count=1000, rounds=1).values()) > 0


@pytest.mark.parametrize("name", tiny_work())
def test_training_runs_alone(name: str):
    found = tiny_work()[name].ours()()
    assert all(np.isfinite(value).all() for value in found)


def test_pictures_run_alone(tmp_path: Path):
    works = {
        "denoise 20": pictures.denoising(20, patch=4, hidden=8),
        "fill 64": pictures.inpainting(64, width=0.1),
    }
    results = [
        timed(name, name.split()[0], work, threads=1, torch=False, compiled=False, rounds=1)
        for name, work in works.items()
    ]
    pictures.lines(results, tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(PNG)


def test_scaling_runs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):

    monkeypatch.setattr(options, "use_threads", lambda count, torch: None)
    kinds = {
        name: scaling.Kind(kind.work, 2, kind.sides[0], kind.sides[:2])
        for name, kind in scaling.kinds(units=1, width=0.05).items()
    }
    results = list(scaling.results(kinds, threads=2, torch=False, rounds=1, batches=(1, 2)))
    assert [next(iter(r.figures.items())) for r in results[:6]] == [
        ("batch", 1), ("batch", 2), ("side", 8), ("side", 12), ("threads", 1), ("threads", 2)
    ]  # fmt: skip
    scaling.lines(results, tmp_path / "s.png")
    assert (tmp_path / "s.png").read_bytes().startswith(PNG)


def test_memory_is_over_the_imports(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "RUNS", 1)
    found = pictures.peaks("denoise", 16, threads=1, torch=False)
    assert list(found) == ["ours, MiB"] and 0 <= found["ours, MiB"] < 1000


def test_training_tells_its_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "peak", lambda work, who, *rest: 1.0 + len(rest))
    monkeypatch.setattr(options, "use_threads", lambda count, torch: None)
    small = ("paper 1", lambda: training.pre_training(pixels=16, hidden=24, batch=10))
    monkeypatch.setattr(training, "ROWS", {"small": small})
    path = tmp_path / "t.json"
    training.main(["--memory", "--quick", "--against", "none", "--json", str(path)])
    assert json.loads(path.read_text())[0]["figures"] == {"ours, MiB": 4.0}


def test_memory_tells_what_failed():
    with pytest.raises(RuntimeError, match="has no attribute 'nothing'"):
        memory.peak("json:nothing", "ours")


def test_a_benchmark_runs_from_the_command_line(tmp_path: Path):
    json_path = tmp_path / "new" / "k.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.training", "--threads", "1", "--against", "none",
         "--only", "in use, 1", "--quick", "--json", str(json_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert [row["name"] for row in json.loads(json_path.read_text())] == ["report in use, 1"]


# --- both sides compute the same ------------------------------------------------------------------


@pytest.fixture
def no_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch dropout off, since the two sides draw different numbers."""
    import torch

    for dropout in (nn.Dropout, torch.nn.Dropout):
        monkeypatch.setattr(dropout, "forward", lambda self, x: x)


@pytest.mark.torch
@pytest.mark.parametrize("name", tiny_work())
def test_the_counterparts_compute_the_same(name: str, no_dropout: None):
    from benchmarks.torch_models import EXACT

    work = tiny_work()[name]
    ours, theirs = work.ours(), work.theirs(EXACT)
    # The second step's losses depend on the weights after the first step's gradients.
    for tolerance in (1e-4, 3e-2):
        for found, expected in zip(ours(), theirs(), strict=True):
            np.testing.assert_allclose(found, np.asarray(expected), rtol=tolerance, atol=1e-6)


@pytest.mark.torch
def test_pictures_come_out_the_same():
    from benchmarks.torch_models import EXACT

    works: list[Work] = [
        pictures.denoising(64, hidden=20),  # 16 + 16 * 3 pixels: no patch is moved to the border
        pictures.inpainting(96, width=0.1),
    ]
    for work in works:
        np.testing.assert_allclose(work.ours()(), work.theirs(EXACT)(), rtol=0, atol=1e-5)


@pytest.mark.torch
@pytest.mark.parametrize("name", library.NAMES)
def test_the_kernels_of_pytorch_compute_the_same(name: str):
    from benchmarks.torch_kernels import KERNELS

    row = kernels.rows(scale=16)[name]
    if name not in KERNELS:
        pytest.skip(f"PyTorch has no operation of {name}'s meaning")
    ours = harness.copied(row.arguments)
    expected = getattr(library, name)(*ours)
    for mode in KERNELS[name](*harness.copied(row.arguments)):
        theirs = harness.copied(row.arguments)
        found: Any = KERNELS[name](*theirs)[mode]()
        if expected is None:  # the function works in place
            expected, found = ours[0][0], theirs[0][0]
        pairs = zip(expected, found, strict=True) if isinstance(expected, tuple) else None
        for a, b in pairs or [(expected, found)]:
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3, err_msg=mode)


@pytest.mark.torch
def test_a_mode_that_cannot_be_compiled_is_left_out(capsys: pytest.CaptureFixture[str]):
    from benchmarks import torch_models

    def build(mode: torch_models.Mode) -> Callable[[], None]:
        if mode.compiled:
            raise RuntimeError("no C++ compiler\nat all")
        return lambda: None

    assert list(torch_models.modes(build)) == ["PyTorch", "PyTorch channels_last"]
    assert list(torch_models.modes(build, pictures=False, compiled=False)) == ["PyTorch"]
    assert "PyTorch compiled is left out: no C++ compiler\n" in capsys.readouterr().out
