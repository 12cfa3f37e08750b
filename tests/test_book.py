"""The op book: complete, linked, true to the source, and laid out well in a real browser."""

from __future__ import annotations

import http.server
import inspect
import json
import re
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

import pytest

from docs.book import mathml, pages, sources, subjects, texts
from docs.book.__main__ import main
from docs.book.measure import timed
from minidl import nn
from minidl.gradcheck_cases import LOSS_CASES
from minidl.kernels import NAMES
from minidl.kernels.gpu import launch
from minidl.tensor import OPS
from minidl.tools.drawing import picture
from tests.conftest import chromium

ROOT = Path(__file__).resolve().parents[1]
ALL = subjects.subjects()


@pytest.fixture(scope="module")
def book() -> dict[str, str]:
    return pages.book(times=False)


class Page(HTMLParser):
    """The links of a page; it also checks that elements are closed in order."""

    VOID = frozenset({"meta", "link", "input", "br", "path", "rect", "mspace"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []
        self.odd: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.links += [v for k, v in attributes if k in ("href", "src") and v is not None]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.odd.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


# --- what is in it -------------------------------------------------------------------------------


def test_every_op_loss_and_layer_has_a_page(book: dict[str, str]):
    ops = {name for name, f in OPS.items() if f.__module__.startswith("minidl.")}
    layers = {c.__name__ for c in all_below(nn.Module) if not c.__name__.startswith("_")}
    assert {s.name for s in ALL if s.kind == "op"} == ops
    assert {s.name for s in ALL if s.kind == "layer"} == layers
    assert {s.name for s in ALL if s.kind == "loss"} == {case.name for case in LOSS_CASES}
    assert set(book) == {s.address for s in ALL} | {"index.html", "style.css"}
    assert len({address.lower() for address in book}) == len(book)  # on any file system


def all_below(c: type[nn.Module]) -> Iterator[type[nn.Module]]:
    for below in c.__subclasses__():
        if below.__module__.startswith("minidl.nn"):
            yield below
            yield from all_below(below)


def test_every_subject_has_a_text_and_every_text_a_subject():
    assert set(texts.all_sections()) == {s.name for s in ALL}


def test_a_missing_text_is_named(monkeypatch: pytest.MonkeyPatch):
    written = {name: text for name, text in texts.all_sections().items() if name != "tanh"}
    monkeypatch.setattr(texts, "all_sections", lambda: written)
    with pytest.raises(ValueError, match="no section '## tanh'"):
        pages.book(times=False)


def test_a_name_may_have_one_text(tmp_path: Path):
    for file in ("a.md", "b.md"):
        (tmp_path / file).write_text("## one\n\ntext\n")
    with pytest.raises(ValueError, match=r"b\.md: the book has another section one"):
        texts.all_sections(tmp_path)


def test_no_link_is_broken(book: dict[str, str]):
    reached, todo = set(), ["index.html"]
    while todo:
        name = todo.pop()
        if name in reached:
            continue
        reached.add(name)
        assert name in book, f"a link leads to {name}, which is not there"
        if name.endswith(".html"):
            todo += [normpath(join(dirname(name), link)) for link in Page(book[name]).links]
    assert reached == set(book)  # the first page leads to all


def test_pages_are_whole_and_need_no_network(book: dict[str, str]):
    for name, text in book.items():
        if name.endswith(".html"):
            page = Page(text)
            assert (page.open, page.odd) == ([], []), name
            assert text.startswith("<!doctype html>") and '<html lang="en">' in text
            assert "<script" not in text and " style=" not in text
            assert not [link for link in page.links if ":" in link or link.startswith("/")]
        else:
            assert "url(" not in text
        assert str(ROOT) not in text and "/site-packages/" not in text


def test_a_page_holds_the_source_the_check_and_the_drawing(book: dict[str, str]):
    for subject in ALL:
        text = book[subject.address]
        words = "".join(Page(text).words)
        source = inspect.getsource(inspect.unwrap(subject.thing)).rstrip()
        assert source in words, subject.name
        assert text.count('class="passed"') == len(subject.cases) > 0
        assert 'class="failed"' not in text
        (drawing,) = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
        ET.fromstring(drawing)
        assert "L = sum" in drawing and "gradient" in drawing


def test_a_failed_check_is_seen():
    assert 'class="failed"' in pages._error(1e-3) and 'class="failed"' in pages._error(float("inf"))


@pytest.mark.parametrize("name", NAMES)
def test_a_kernel_is_shown_three_times(name: str):
    plain, cpu, gpu, *cuda = sources.of_kernel(name)
    for source in (plain, cpu, gpu):
        assert source.text.startswith(f"def {name}("), source.file
        compile(source.text.replace("@compiled", ""), source.file, "exec")
    assert [s.file.rpartition("/")[0] for s in (cpu, gpu)] == [
        "minidl/kernels/cpu", "minidl/kernels/gpu"
    ]  # fmt: skip
    assert cuda and "__global__" in cuda[0].text.partition("{")[0]
    assert cuda[0].text.count("{") == cuda[0].text.count("}")
    assert set(cuda[0].goes_on) <= {"common.cu", "gemm.cu"}


def test_what_a_kernel_is_made_of_is_shown():
    by_file = {s.file: s.text for s in sources.of_kernel("sigmoid")}
    cpu = by_file["minidl/kernels/cpu/elementwise.py"]
    assert "def exp32" in cpu and "def _run" in cpu and "_adam" not in cpu
    cuda = by_file["minidl/kernels/gpu/elementwise.cu"]
    assert "void map(" in cuda and "flush_to_zero" in cuda and "adam" not in cuda


def test_every_cuda_kernel_is_found_by_name():
    found: set[str] = set()
    for path in sources.CUDA.values():
        found |= sources.cuda_blocks(path.read_text("utf-8")).keys()
    assert {kernel.partition("<")[0] for kernel in launch.KERNELS} <= found


def test_the_kernels_of_an_op_are_those_it_calls():
    by_name = {s.name: subjects.kernels_of(s) for s in ALL if s.kind == "op"}
    assert by_name["sigmoid"] == ["sigmoid", "sigmoid_grad"]
    assert by_name["add"] == []
    assert by_name["batch_norm"] == ["moments", "normalize", "batch_norm_sums", "batch_norm_grad"]
    assert by_name["linear"] == ["matmul", "channel_sum"]


def test_what_losses_and_layers_are_made_of():
    by_name = {s.name: subjects.ops_of(s) for s in ALL if s.kind != "op"}
    assert by_name["mean_squared_error"] == ["squared_distance", "multiply"]
    assert by_name["BatchNorm"] == ["batch_norm", "normalize"]
    assert by_name["Dropout"] == ["dropout"]
    assert all(by_name.values())


def test_times_are_taken_beside_the_plain_meaning():
    subject = next(s for s in ALL if s.name == "leaky_relu")
    times = timed(subject, 1)
    assert 0 < times.value < times.with_gradients
    assert [name for name, _, _ in times.kernels] == ["leaky_relu", "leaky_relu_grad"]
    assert min(t for _, *pair in times.kernels for t in pair) > 0
    html = pages._times(times, "<a machine>")
    assert "1000×1000" in html and "&lt;a machine&gt;" in html


def test_sizes_to_time_fit_their_ops():
    """Every call works in float32; other tests use tiny sizes for the kernels."""
    names = {s.name for s in ALL}
    assert set(subjects.SIZES) <= names and set(subjects.LARGE) <= set(subjects.SIZES)
    for subject in ALL:
        function, inputs, wanted = subjects.timed_call(subject)
        assert callable(function) and len(inputs) == len(subject.cases[0].shapes)
        assert {t.dtype.name for t in wanted} == {"float32"}


def test_the_command_writes_a_book(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    book: dict[str, str],
):  # fmt: skip
    monkeypatch.setattr("docs.book.__main__.book", lambda **options: book)
    monkeypatch.setattr("docs.book.__main__.use_threads", lambda *a, **k: None)
    main(["--out", str(tmp_path / "new" / "book")])
    assert f"{len(ALL) + 1} pages" in capsys.readouterr().out
    written = {p.relative_to(tmp_path / "new/book").as_posix() for p in tmp_path.rglob("*.*")}
    assert written == set(book)
    (tmp_path / "file").write_text("kept")
    with pytest.raises(SystemExit, match="book: cannot write"):
        main(["--out", str(tmp_path / "file")])
    assert (tmp_path / "file").read_text() == "kept"


def test_code_is_shown_without_pygments_too(monkeypatch: pytest.MonkeyPatch):
    assert "<span" in pages._pre("def f(): pass", "python")
    monkeypatch.setitem(sys.modules, "pygments", None)
    assert "<code>x &lt; 1</code>" in pages._pre("x < 1", "python")


# --- formulas ------------------------------------------------------------------------------------


def test_all_formulas_are_well_formed(book: dict[str, str]):
    count = 0
    for text in book.values():
        for formula in re.findall(r"<math.*?</math>", text, re.DOTALL):
            ET.fromstring(formula)
            assert "<mrow></mrow>" not in formula
            count += 1
    assert count > 200


@pytest.mark.parametrize(
    ("tex", "expected"),
    [
        ("x", "<mi>x</mi>"),
        ("x_i^2", "<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>"),
        (r"\frac{a}{2}", "<mfrac><mi>a</mi><mn>2</mn></mfrac>"),
        (r"\sqrt{x}", "<msqrt><mi>x</mi></msqrt>"),
        (r"\text{if} <", "<mrow><mtext>if</mtext><mo>&lt;</mo></mrow>"),
        (r"-\alpha", "<mrow><mo>−</mo><mi>α</mi></mrow>"),
        (r"\bar{v}", '<mover accent="true"><mi>v</mi><mo>¯</mo></mover>'),
    ],
)
def test_formulas(tex: str, expected: str):
    assert mathml.mathml(tex).partition(">")[2] == f"{expected}</math>"


def test_sums_carry_their_limits_above_and_below_in_display():
    shown = mathml.mathml(r"\sum_{i=1}^n x_i", display=True)
    assert "<munderover><mo>∑</mo>" in shown and 'display="block"' in shown
    cases = mathml.mathml(r"\begin{cases} x & x > 0 \\ 0 & \text{else} \end{cases}")
    assert cases.count("<mtr>") == 2 and cases.count("<mtd>") == 4


@pytest.mark.parametrize(
    "tex", [r"\nosuch", "{x", "x^", r"\frac{a}", "}", r"\text x", r"\begin{x}"]
)
def test_a_formula_that_is_not_understood_is_an_error(tex: str):
    with pytest.raises(mathml.FormulaError, match="in the formula"):
        mathml.mathml(tex)


# --- colours -------------------------------------------------------------------------------------


def contrast(one: str, other: str) -> float:
    """Return the contrast that WCAG 2 defines: 4.5 is enough for text, 3 for lines."""

    def luminance(colour: str) -> float:
        digits = colour.lstrip("#")
        digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_is_legible_on_light_and_dark():
    style = (ROOT / "docs/book/style.css").read_text()
    light, dark = (dict(re.findall(r"--(\w+): (#\w+)", part)) for part in style.split("@media"))
    assert len(light) == len(dark) > 8
    for colours in (light, dark):
        for name in set(colours) - {"paper", "code", "line"}:
            for ground in ("paper", "code"):
                assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)


def test_drawings_are_legible_on_light_and_dark():
    for fill, _ in picture.FILLS.values():
        for text in (picture.INK, picture.FAINT, picture.RED):
            assert contrast(text, fill) >= 4.5
    for line in (picture.LINES, picture.RED_LINES):
        assert min(contrast(line, page) for page in ("#ffffff", "#111111", "#1e1e1e")) >= 3


# --- in a browser --------------------------------------------------------------------------------

CHECK = (Path(__file__).parent / "browser" / "check.html").read_text("utf-8")


@pytest.mark.browser
def test_the_book_in_a_browser(book: dict[str, str], tmp_path: Path):
    report = in_browser(book, tmp_path)
    assert set(report) == {name for name in book if name.endswith(".html")}
    assert {name: found for name, found in report.items() if found} == {}


@pytest.mark.browser
def test_faults_of_layout_are_found(tmp_path: Path):
    """Check the check itself: each of these pages has one fault."""
    head = '<!doctype html><meta charset="utf-8"><title>t</title>'
    drawn = '<g><rect width="40" height="20"/><text y="15">far too long</text></g>'
    links = "".join(f'<a href="{n}.html">{n}</a> ' for n in ("wide", "upon", "gone", "box"))
    faulty = {
        "index.html": head + links,
        "wide.html": head + '<div style="width: 700px">wide</div>',
        "upon.html": head + '<p>one</p><p style="margin-top: -2.4em">two</p>',
        "box.html": f"{head}<svg>{drawn}</svg>",
    }  # fmt: skip
    report = in_browser(faulty, tmp_path)
    assert report["index.html"] == []
    assert "wider than the screen" in report["wide.html"][0] and "390" in report["wide.html"][0]
    assert "upon" in report["upon.html"][0]
    assert "leaves its box" in report["box.html"][0]
    assert "404" in report["gone.html"][0]


def in_browser(book: dict[str, str], tmp_path: Path) -> dict[str, list[str]]:
    """Return {page: faults} of tests/browser/check.html for each page that can be reached."""
    result: list[Any] = []
    done = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            text = CHECK if name == "check.html" else book.get(name)
            self.send_response(404 if text is None else 200)
            kind = "text/css" if name.endswith(".css") else "text/html; charset=utf-8"
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write((text or "").encode())

        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            result.append(json.loads(self.rfile.read(size)))
            self.send_response(204)
            self.end_headers()
            done.set()

        def log_message(self, *arguments: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
        " --disable-background-networking --disable-component-update --hide-scrollbars"
    )
    browser = subprocess.Popen(
        [chromium() or "chromium", *flags.split(), "--window-size=1400,1000",
         f"--user-data-dir={tmp_path / 'profile'}",
         f"http://127.0.0.1:{server.server_port}/check.html"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert done.wait(120), "the browser did not answer"
    finally:
        browser.terminate()
        browser.wait(20)
        server.shutdown()
        server.server_close()
    return result[0]
