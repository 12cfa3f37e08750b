"""Every plot is a whole PNG file, or none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from minidl.models import plots

RNG = np.random.default_rng(0)
GREY, COLOUR = RNG.random((20, 30, 1)), RNG.random((40, 20, 3)) * 1.2 - 0.1

Plot = Callable[[Path], Any]
PLOTS: dict[str, Plot] = {
    "curves": lambda path: plots.curves(
        path,
        [1, 2, 3],
        {"loss": {"training": [3.0, 0.1, np.nan]}, "dB": {"a": [1, 2, 3], "b": [2, 2, 2]}},
        x_label="minutes",
        logarithmic=["loss"],
    ),
    "one panel": lambda path: plots.curves(path, [1.0], {"loss": {"a": [2.0]}}, x_label="x"),
    "no rows yet": lambda path: plots.curves(path, [], {"loss": {"a": []}}, x_label="x"),
    "filters": lambda path: plots.filters(path, RNG.standard_normal((36, 50))),
    "many filters": lambda path: plots.filters(path, RNG.standard_normal((9, 500))),
    "filters of zeros": lambda path: plots.filters(path, np.zeros((4, 3))),
    "side by side": lambda path: plots.side_by_side(
        path, [{"grey": GREY, "colour": COLOUR}, {"alone": GREY}]
    ),
    "one pixel": lambda path: plots.side_by_side(path, [{"pixel": np.ones((1, 1, 1))}]),
}


@pytest.mark.parametrize("name", PLOTS)
def test_a_readable_picture(name: str, tmp_path: Path) -> None:
    PLOTS[name](tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert image.format == "PNG" and min(image.size) > 30
        assert np.ptp(np.asarray(image.convert("L"))) > 0  # not blank
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("name", ["curves", "filters", "side by side"])
def test_none_is_left_half_written(
    name: str, failure: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(figure: Any, path: Path, **_: Any) -> None:
        Path(path).write_bytes(b"half")
        raise failure

    (tmp_path / "a.png").write_bytes(b"old")
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", half)
    for target in ("a.png", "b.png"):
        with pytest.raises(type(failure)):
            PLOTS[name](tmp_path / target)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.png", b"old")]


def test_the_strongest_filters_are_shown_from_dark_to_bright(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheets = []
    monkeypatch.setattr("matplotlib.axes.Axes.imshow", lambda _, sheet, **__: sheets.append(sheet))
    weights = np.zeros((4, 3))
    weights[:, 2] = [-4, 2, 0, 4]
    weights[0, 0] = 1
    plots.filters(tmp_path / "a.png", weights, count=2)
    expected = np.ones((4, 7))
    expected[1:3, 1:3] = [[0, 0.75], [0.5, 1]]
    expected[1:3, 4:6] = [[1, 0.5], [0.5, 0.5]]
    np.testing.assert_array_equal(sheets[0], expected)
