"""`python -m benchmarks.papers`: its page, its cache, and every section at a tiny size."""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
import shlex
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from benchmarks.papers.__main__ import main
from benchmarks.papers.baselines import ksvd
from benchmarks.papers.data import MissingError, Picture, ReproduceError, collection, shortened
from benchmarks.papers.data import digits as read_digits
from benchmarks.papers.report.cache import ResultCache
from benchmarks.papers.report.page import Figure, Page, Row, Section, Table, Text
from benchmarks.papers.ssda import (
    figure3_text,
    noise_levels,
    sections,
    table2_digits,
    table2_features,
    text_sizes,
)
from benchmarks.papers.ssda.plan import Plan
from minidl.models import zoo
from minidl.models.images.files import write
from minidl.models.images.samples import photograph
from minidl.models.ssda import SSDA, Coding, Noise, Restorer
from minidl.models.ssda import Text as TextDamage


def write_digits(folder: Path, count: int = 120) -> None:
    """Write files like MNIST's, of bright squares whose position is the digit."""
    folder.mkdir(parents=True)
    labels = (np.arange(count) % 10).astype(np.uint8)
    images = np.zeros((count, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 5)
        image[2 + 12 * row : 12 + 12 * row, 1 + 5 * column : 6 + 5 * column] = 255
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        (folder / f"t10k-{name}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes()))


@pytest.fixture
def data(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Make two small pictures in set12, one in bsd68, and digits in mnist."""
    camera = photograph("camera")
    for i, name in enumerate(("set12/boat", "set12/house", "bsd68/test001")):
        path = tmp_path / "data" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, camera[40 * i : 40 * i + 48, 100:150])
    write_digits(tmp_path / "data/mnist")
    return tmp_path / "data"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the smallest possible weights, auto-encoders, dictionaries and photographs."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for name, damage in (("noise", Noise(25)), ("text", TextDamage())):
        network = SSDA(36, (8, 8), rng=np.random.default_rng(0))
        Restorer(network, 6, Coding(), damage).save(folder / f"{name}.safetensors")
    monkeypatch.setattr(zoo, "FOLDER", folder)
    monkeypatch.setattr(
        table2_digits, "QUICK_TRAINING", table2_features.Training(hidden=12, steps=20, batch=16)
    )
    monkeypatch.setattr(ksvd, "PATCHES", 500)
    monkeypatch.setattr(ksvd, "ROUNDS", 1)
    monkeypatch.setattr(text_sizes, "SIDE", 64)
    monkeypatch.setattr(noise_levels, "SIDE", 64)


def run(data: Path, more: str = "--quick") -> int:
    out = data.parent / "out"
    return main(shlex.split(f"ssda --data {data} --out {out} --device cpu --json {more}"))


# --- the page ------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """A parser that collects table rows and picture sources, and checks that tags match."""

    VOID = ("meta", "img", "!doctype")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.sources: list[str] = []
        self.links: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        values = dict(attrs)
        if tag == "img":
            self.sources.append(values["src"] or "")
            assert values["alt"]
        self.links += [v or "" for k, v in attrs if k in ("href", "src")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def markdown_rows(page: str) -> list[list[str]]:
    """Return the cells of all tables except pictures, without emphasis and escapes."""
    blocks = [b for b in page.split("\n\n") if b.startswith("| ") and not b.startswith("| ![")]
    lines = [line for b in blocks for line in b.splitlines() if line.startswith("| ")]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    plain = [[re.sub(r"(?<!\\)\*", "", cell).strip() for cell in row] for row in rows]
    return [[re.sub(r"\\(.)", r"\1", cell) for cell in row] for row in plain]


@pytest.fixture
def page(tmp_path: Path) -> Page:
    write(tmp_path / "a.png", np.full((4, 5, 1), 0.5, np.float32))
    table = Table(
        "A *table*",
        ["method", "a|b", "<c>"],
        [
            Row("ours", ["1.00 ± 0.20", "2.00"], best=[0]),
            Row("theirs_1", ["x*y", "-"], quoted=True),
        ],
        ["A note & more."],
    )
    figure = Figure([(tmp_path / "a.png", "")], "A < picture")
    return Page("Title & all", [Section("One", [Text("a < b_c")]), Section("Two", [table, figure])])


def test_html_is_whole_in_itself(page: Page) -> None:
    reader = Reader(page.html())
    assert reader.sources and all(s.startswith("data:image/png;base64,") for s in reader.sources)
    assert reader.links == reader.sources
    assert "Title &amp; all" in page.html() and "a &lt; b_c" in page.html()
    assert "<strong>1.00 ± 0.20</strong>" in page.html() and 'class="quoted"' in page.html()


def test_both_pages_have_the_same_tables(page: Page, tmp_path: Path) -> None:
    rows = Reader(page.html()).rows
    assert rows == markdown_rows(page.markdown(tmp_path))
    assert rows[0] == ["method", "a|b", "<c>"] and rows[2] == ["theirs_1", "x*y", "-"]
    assert "](a.png)" in page.markdown(tmp_path) and "**1.00 ± 0.20**" in page.markdown(tmp_path)


def test_a_row_needs_all_its_cells() -> None:
    with pytest.raises(ValueError, match="row 'ours' has 1 cells; expected 2"):
        Table("t", ["a", "b", "c"], [Row("ours", ["1"])])


# --- data ----------------------------------------------------------------------------------------


def test_digits_are_read(data: Path) -> None:
    y, labels = read_digits(data)
    assert y.shape == (120, 784) and y.max() == 1 and labels[:11].tolist() == [*range(10), 0]
    parted = table2_features.split(y, labels, 0.7, np.random.default_rng(0))
    assert np.bincount(parted.train_labels).tolist() == [8] * 10
    assert np.bincount(parted.test_labels).tolist() == [4] * 10


def test_bad_digits_are_told(data: Path) -> None:
    path = data / "mnist/t10k-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(b"no digits"))
    with pytest.raises(ReproduceError, match="not an IDX file"):
        read_digits(data)
    path.unlink()
    with pytest.raises(MissingError, match="mnist"):
        read_digits(data)


def test_the_papers_pictures_come_first(data: Path) -> None:
    pictures = collection(data, "set12")
    assert [p.name for p in shortened(pictures, 1)] == ["boat.png"]
    assert shortened(pictures, None) == pictures
    with pytest.raises(MissingError, match="urban"):
        collection(data, "urban")


# --- the whole -----------------------------------------------------------------------------------


def test_a_quick_run(
    data: Path, small: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn")
    assert run(data) == 0
    names = json.loads(capsys.readouterr().out)
    page, words = Path(names["html"]).read_text(), Path(names["md"]).read_text()
    reader = Reader(page)
    assert reader.rows == markdown_rows(words) and len(reader.sources) > 15
    assert all(s.startswith("data:image/png;base64,") for s in reader.links)
    assert all((data.parent / "out" / f).is_file() for f in re.findall(r"\]\((.+?)\)", words))
    assert str(data.parent) not in page + words
    for said in ("Table 1 on BSD68", "30.52 ± 1.02", "quick run", "sigma 50 by noise, trained for"):
        assert said in page
    assert "Left out: a quick run has no time for it." in page
    first = {r[0]: r for r in reader.rows}
    assert first["ours"][1] == "run here" and first["18 to 36 px, held-out fonts, any grey"]

    def never(*_: object, **__: object) -> np.ndarray:
        raise AssertionError("was finished already")

    monkeypatch.setattr(ksvd, "denoise", never)
    monkeypatch.setattr(table2_features, "train", never)
    assert run(data, "--quick --publishable") == 0
    page = Path(names["html"]).read_text()
    assert Reader(page).rows == reader.rows and "Left out: pictures of set12" in page
    assert len(Reader(page).sources) < len(reader.sources)
    assert not re.search(r"pictures/figure[23]", Path(names["md"]).read_text())


def test_missing_data_is_named(data: Path, small: None, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("set12", "mnist"):
        (data / folder).rename(data / f"no-{folder}")
    out = data.parent / "out"
    assert main(["ssda", "--data", str(data), "--out", str(out), "--quick"]) == 0
    said, words = capsys.readouterr().out, (out / "ssda.md").read_text()
    for missing in ("the folder set12 is not in the data", "the folder mnist with"):
        assert missing in said and missing in words
    assert "Table 1 on BSD68" in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--data nowhere", "nowhere: there is no such folder"),
        ("--data weights", "weights: has none of the folders set12, bsd68, mnist"),
        ("--data data --train nowhere", "nowhere: there is no such folder; expected photographs"),
        ("--data data --out data/set12/boat.png", "boat.png: cannot be made"),
    ],
)
def test_refusals(
    data: Path,
    small: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: str,
    said: str,
) -> None:
    monkeypatch.chdir(data.parent)
    assert main(shlex.split(f"ssda --out out {line}")) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1 and not Path("out").exists()


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["ssda", "--help"])
    assert "example: python -m benchmarks.papers ssda" in " ".join(capsys.readouterr().out.split())


def test_a_stop_tells_how_to_go_on(
    data: Path, small: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> np.ndarray:
        raise KeyboardInterrupt

    monkeypatch.setattr(ksvd, "denoise", stop)
    assert run(data) == 130
    assert "the same command continues" in capsys.readouterr().err
    assert (data.parent / "out/parts/table1-set12-25-ours.json").is_file()


def test_optional_packages_are_named(
    data: Path, small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figure3_text, "METHODS", {"biharmonic": figure3_text.METHODS["biharmonic"]})
    monkeypatch.setattr(figure3_text, "CONDITIONS", figure3_text.CONDITIONS[:1])
    plan, cache = Plan(data, quick=True), ResultCache(tmp_path / "out", quiet=True)
    blocks = figure3_text.figure_3(plan, cache)
    assert any(isinstance(b, Text) and "pip install 'minidl[compare]'" in b.words for b in blocks)
    real: Callable[[str], object] = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == "sklearn" else real(n)
    )
    with pytest.raises(MissingError, match=r"pip install 'minidl\[compare\]'"):
        table2_digits.table_2(plan, cache)


def test_sections_stand_in_the_papers_order() -> None:
    assert [title.partition(":")[0] for title in sections.SECTIONS][:4] == [
        "Table 1", "Figure 2", "Figure 3", "Table 2"
    ]  # fmt: skip


def test_a_picture_has_its_own_damage() -> None:
    picture = Picture("a.png", np.zeros((4, 4, 1), np.float32))
    first, second = (picture.rng(3).random(4) for _ in range(2))
    assert (first == second).all() and (
        Picture("b.png", picture.pixels).rng(3).random() != first[0]
    )
