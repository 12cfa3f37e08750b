"""The picture of a computation: whole, in order, legible, with right values and gradients."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minidl import Tensor, gradients, losses, nn, ops
from minidl.gradcheck_cases import CASES, Case
from minidl.tools import draw
from minidl.tools.drawing import Drawing
from minidl.tools.drawing.graph import back_propagation, graph_of, told
from minidl.tools.drawing.layout import arrange
from minidl.tools.drawing.trace import Computed

SVG = "{http://www.w3.org/2000/svg}"


Names = dict[str, Tensor]


def diamond() -> tuple[Callable[[], Tensor], Names]:
    """a and c are used twice, e is multiplied by itself, 0.1 is a number."""
    names = {"a": Tensor(np.array(2.0), "first"), "b": Tensor(np.array(3.0))}

    def loss() -> Tensor:
        names["c"] = names["a"] * names["b"]
        names["e"] = names["c"] + names["a"]
        names["loss"] = names["e"] * names["e"] + ops.exp(names["c"] * 0.1)
        return names["loss"]

    return loss, names


def drawn(**options: Any) -> Drawing:
    loss, names = diamond()
    return draw(loss, names=names, **options)


def network(rng: np.random.Generator) -> tuple[nn.Module, Callable[[], Tensor]]:
    net = nn.Sequential(
        nn.Conv2D(3, 4, kernel_size=3, stride=2, rng=rng), nn.BatchNorm(4), nn.LeakyReLU(),
        nn.UpsampleConv2D(4, 3, rng=rng), nn.Sigmoid(),
    )  # fmt: skip
    x = rng.random((2, 6, 6, 3)).astype(np.float32)
    return net, lambda: losses.mean_squared_error(net(x), x)


def fan(x: Tensor) -> Tensor:
    return ops.concatenate(*(x * (1.0 + i) for i in range(9)), axis=1).sum()


def far(x: Tensor) -> Tensor:
    y = x * x
    for _ in range(6):
        y = ops.tanh(y) + x
    return y.sum()


def examples(rng: np.random.Generator) -> list[tuple[Computed, list[str], int]]:
    """Return (computation to draw, its ops, the number of its leaves)."""
    x = Tensor(rng.standard_normal((4, 3)))
    of_network = ["conv2d", "batch_norm", "leaky_relu", "upsample_conv2d", "sigmoid",
                  "squared_distance", "multiply"]  # fmt: skip
    of_diamond = ["multiply", "add", "multiply", "multiply", "exp", "add"]
    return [
        (diamond()[0], of_diamond, 3),
        (network(rng)[1], of_network, 9),
        (lambda: fan(x), ["multiply"] * 9 + ["concatenate", "sum"], 10),
        (lambda: far(x), ["multiply", *["tanh", "add"] * 6, "sum"], 1),
        (x, [], 1),
    ]


def parsed(picture: object) -> ET.Element:
    return ET.fromstring(str(picture))


def of_class(root: ET.Element, *kinds: str) -> list[ET.Element]:
    return [g for g in root.iter(f"{SVG}g") if g.get("class") in kinds]


def lines_of(box: ET.Element) -> list[str]:
    return ["".join(t.itertext()) for t in box.iter(f"{SVG}text")]


def rectangle(box: ET.Element) -> tuple[float, float, float, float]:
    rect = next(box.iter(f"{SVG}rect"))
    x, y, w, h = (float(rect.get(k) or "nan") for k in ("x", "y", "width", "height"))
    return x, y, x + w, y + h


def edges_of(root: ET.Element) -> list[tuple[int, int]]:
    return [
        (int(g.attrib["data-from"]), int(g.attrib["data-to"]))
        for g in root.iter(f"{SVG}g")
        if "data-from" in g.attrib
    ]


def test_every_op_and_leaf_is_drawn_once(rng: np.random.Generator):
    for computed, names, leaves in examples(rng):
        root = parsed(draw(computed))
        assert [lines_of(box)[0] for box in of_class(root, "op")] == names
        assert len(of_class(root, "leaf", "number")) == leaves
        numbers = [int(b.attrib["data-box"]) for b in of_class(root, "op", "leaf", "number")]
        assert numbers == list(range(len(names) + leaves))
        assert all(older < younger for older, younger in edges_of(root))


def test_every_use_is_a_line():
    a, b, c, e, square, number, tenth, exp, loss = range(9)
    assert edges_of(parsed(drawn())) == [
        (a, c), (b, c), (c, e), (a, e), (e, square), (e, square), (c, tenth), (number, tenth),
        (tenth, exp), (square, loss), (exp, loss),
    ]  # fmt: skip


def test_boxes_stand_apart_within_the_picture_and_in_order(rng: np.random.Generator):
    for computed, _, _ in examples(rng):
        root = parsed(draw(computed))
        boxes = [rectangle(b) for b in of_class(root, "op", "leaf", "number")]
        for a, b in combinations(boxes, 2):
            assert a[2] + 8 < b[0] or b[2] + 8 < a[0] or a[3] + 8 < b[1] or b[3] + 8 < a[1]
        width, height = (float(n) for n in root.attrib["viewBox"].split()[2:])
        assert min(min(b[:2]) for b in boxes) >= 0
        assert max(b[2] for b in boxes) <= width and max(b[3] for b in boxes) <= height
        where = {
            int(b.attrib["data-box"]): rectangle(b) for b in of_class(root, "op", "leaf", "number")
        }
        for g in root.iter(f"{SVG}g"):
            if "data-from" in g.attrib:  # downward, and away from its end
                above, below = (where[int(g.attrib[k])] for k in ("data-from", "data-to"))
                assert above[3] < below[1]


def test_lines_pass_between_the_boxes():
    """A line from the first box to the last goes round the boxes between."""
    sizes = [(60.0, 40.0)] * 6
    edges = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 5), (0, 3)]
    layout = arrange(sizes, edges)
    for (a, b), line in zip(edges, layout.lines, strict=True):
        for box in set(range(6)) - {a, b}:
            place = layout.boxes[box]
            for x, y in line:
                inside = place.x < x < place.x + place.width
                assert not (inside and place.y < y < place.y + place.height)
        assert all(after[1] >= before[1] - 1e-9 for before, after in pairwise(line))


# (widths, heights, edges, the boxes' corners, where the lines end, the whole size)
LAYOUTS: list[tuple[Any, ...]] = [
    (
        [40, 90, 40, 130, 90, 40, 130, 130, 40, 90, 40, 90],
        [40, 24, 24, 70, 40, 40, 24, 70, 24, 70, 40, 24],
        [(1, 3), (1, 4), (2, 4), (4, 7), (3, 7), (7, 8), (3, 8), (8, 9), (6, 9), (4, 9),
         (9, 10), (9, 10), (3, 11), (7, 11), (3, 11)],
        [(341, 0), (225, 8), (147, 8), (308, 86), (122, 101), (407, 0), (0, 318), (181, 202),
         (278, 318), (145, 388), (170, 504), (344, 318)],
        [373, 182, 152, 224, 267, 291, 304, 212, 167, 190, 183, 196, 389, 366, 411],
        (447, 544),
    ),
    (
        [90, 90, 40, 60, 40, 40, 130, 130, 40, 60, 60, 90],
        [70, 70, 40, 70, 24, 40, 24, 70, 70, 24, 40, 24],
        [(0, 3), (2, 3), (0, 4), (0, 4), (1, 5), (1, 6), (3, 7), (5, 7), (6, 8), (6, 9), (7, 10)],
        [(0, 0), (204, 0), (116, 15), (76, 116), (10, 139), (162, 131), (251, 139), (79, 232),
         (258, 232), (324, 255), (114, 348), (324, 23)],
        [96, 116, 23, 36, 182, 316, 122, 165, 278, 354, 144],
        (414, 388),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("widths", "heights", "edges", "corners", "ends", "size"), LAYOUTS)
def test_places_are_those_of_today(
    widths: Any, heights: Any, edges: Any, corners: Any, ends: Any, size: Any
):
    layout = arrange(list(zip(widths, heights, strict=True)), edges)
    boxes = layout.boxes
    np.testing.assert_allclose([(box.x, box.y) for box in boxes], corners, atol=0.6)
    assert [(box.width, box.height) for box in boxes] == list(zip(widths, heights, strict=True))
    np.testing.assert_allclose([line[-1][0] for line in layout.lines], ends, atol=0.6)
    np.testing.assert_allclose((layout.width, layout.height), size, atol=0.6)
    for (a, b), line in zip(edges, layout.lines, strict=True):
        assert line[0] == (boxes[a].x + widths[a] / 2, boxes[a].y + heights[a])
        assert line[-1][1] == boxes[b].y
        assert all(line[i][0] == line[i + 1][0] for i in range(0, len(line), 2))
        assert line[-1][1] - line[-2][1] >= 18  # space for a word beside it


def test_the_widest_gap_between_two_layers():
    layout = arrange([(100.0, 30.0)] * 10, [(i, 9) for i in range(9)])
    assert layout.boxes[9].y == pytest.approx(30 + 110)


def test_two_crossed_chains_are_disentangled():
    edges = [(0, 3), (1, 2), (2, 5), (3, 4), (4, 6), (5, 6)]
    boxes = arrange([(50.0, 30.0)] * 7, edges).boxes
    sides = [boxes[a].x < boxes[b].x for a, b in ((0, 1), (3, 2), (4, 5))]
    assert len(set(sides)) == 1


def test_text_fits_its_box(rng: np.random.Generator):
    net, loss = network(rng)
    for picture in (draw(loss, names=net, gradients=True), drawn()):
        for box in of_class(parsed(picture), "op", "leaf", "number"):
            left, top, right, bottom = rectangle(box)
            for text in box.iter(f"{SVG}text"):
                letters = 0.602 * 13 * len("".join(text.itertext()))  # DejaVu Sans Mono's width
                assert letters <= right - left
                assert top + 9 <= float(text.attrib["y"]) <= bottom - 3


def test_values_and_gradients_are_those_computed():
    loss, names = diamond()
    graph = graph_of(loss, names, True)
    named = {box.name: i for i, box in enumerate(graph.boxes) if box.name}
    assert set(named) == {"a", "b", "c", "e", "loss"}
    assert graph.gradients is not None
    expected = gradients(names["loss"], list(names.values()))
    for (name, tensor), g in zip(names.items(), expected, strict=True):
        assert graph.boxes[named[name]].value == told(tensor.data)
        np.testing.assert_array_equal(graph.gradients[named[name]], g)
    number = next(i for i, box in enumerate(graph.boxes) if box.is_number)
    assert number not in graph.gradients
    boxes = of_class(parsed(drawn(gradients=True)), "op")
    assert lines_of(boxes[0]) == ["c = multiply", "6", "gradient 16.2"]
    assert lines_of(boxes[3]) == ["multiply", "0.6", "gradient 1.82"]


def test_what_was_computed_before_can_be_drawn():
    loss, names = diamond()
    root = parsed(draw(loss(), names=names, gradients=True))
    assert edges_of(root) == edges_of(parsed(drawn()))
    heads = [lines_of(box)[:2] for box in of_class(root, "op")]
    assert [head for head in heads if "=" in head[0]] == [
        ["c = multiply", "6"],
        ["e = add", "8"],
        ["loss = add", "65.8"],
    ]


def test_gradients_only_on_the_way_to_what_is_wanted():
    loss, names = diamond()
    graph = graph_of(loss, names, [names["b"]])
    found = {graph.boxes[i].name for i in graph.gradients or {}}
    assert found >= {"b", "c", "e", "loss"} and "a" not in found


def test_names_of_parameters_and_of_variables(rng: np.random.Generator):
    net, loss = network(rng)
    paths = [path for path, _ in net.named_parameters()]
    of_net = {box.name for box in graph_of(loss, net, False).boxes}
    assert of_net >= set(paths)
    result = loss()
    everything: dict[str, Any] = {"net": net, "result": result, "n": 3}
    everything = {"_": result, **everything}
    names = {box.name for box in graph_of(result, everything, False).boxes}
    assert names >= {f"net.{path}" for path in paths} | {"result"}


def test_steps_add_up_to_the_gradients():
    graph = graph_of(*diamond(), True)
    moments = back_propagation(graph)
    assert graph.gradients is not None
    assert [set(m.gradients) for m in (moments[0], moments[-1])] == [
        {len(graph.boxes) - 1}, set(graph.gradients)
    ]  # fmt: skip
    turns = [m.turn for m in moments[1:]]
    assert turns == sorted(turns, key=lambda t: -(t or 0)) and len(set(turns)) == len(turns)
    c = next(i for i, box in enumerate(graph.boxes) if box.name == "c")
    seen = [(float(m.gradients[c]), c in m.unfinished) for m in moments if c in m.gradients]
    assert seen[0][1] and not seen[-1][1]  # first one of two terms, then both
    assert abs(seen[0][0]) < abs(seen[-1][0]) == pytest.approx(float(graph.gradients[c]))


def test_an_input_that_is_not_wanted_hides_no_other():
    """The first input of the product has no gradient; the second one has."""
    c, w = Tensor(np.ones(2), "c"), Tensor(np.full(2, 3.0), "w")
    steps = draw((c * w).sum(), gradients=[w]).steps()
    assert steps.captions[-1] == "multiply hands its gradient on to w."


def test_steps_are_told_in_words():
    assert drawn(gradients=True).steps().captions == [
        "The gradient of the loss with respect to itself is 1.",
        "loss = add hands its gradient on to multiply and exp.",
        "exp hands its gradient on to multiply.",
        "multiply hands its gradient on to c = multiply."
        " c = multiply waits for more: terms add up.",
        "multiply hands its gradient on to e = add.",
        "e = add hands its gradient on to c = multiply and a. a waits for more: terms add up.",
        "c = multiply hands its gradient on to a and b.",
    ]


def test_steps_know_what_is_done_and_what_waits():
    a, b, c, e, square, _, tenth, exp, loss = range(9)
    moments = back_propagation(graph_of(*diamond(), True))
    assert [(m.turn, set(m.done), set(m.unfinished), set(m.gradients)) for m in moments] == [
        (None, set(), set(), {loss}),
        (loss, set(), set(), {loss, square, exp}),
        (exp, {loss}, set(), {loss, square, exp, tenth}),
        (tenth, {loss, exp}, {c}, {loss, square, exp, tenth, c}),
        (square, {loss, exp, tenth}, {c}, {loss, square, exp, tenth, c, e}),
        (e, {loss, exp, tenth, square}, {a}, {loss, square, exp, tenth, c, e, a}),
        (c, {loss, exp, tenth, square, e}, set(), {loss, square, exp, tenth, c, e, a, b}),
    ]


def test_terms_of_all_uses_add_up(rng: np.random.Generator):
    """A sum that is shown term by term ends at the result of `gradients`."""
    from minidl.tools.drawing import graph as module

    graph = graph_of(far(Tensor(rng.standard_normal((4, 3)))), None, True)
    totals = graph.gradients
    assert totals is not None
    sums: dict[int, Any] = {}
    for _, to, term in module._terms(graph):
        sums[to] = sums.get(to, 0) + term
    for i, total in sums.items():
        np.testing.assert_allclose(total, totals[i], rtol=1e-12)


def test_steps_are_pictures_of_one_size(rng: np.random.Generator):
    steps = drawn(gradients=True).steps()
    assert len(steps) == len(steps.captions) == 6 + 1
    assert len({parsed(step).attrib["viewBox"] for step in steps}) == 1
    assert [str(s) for s in steps[1:3]] == [str(steps[1]), str(steps[2])]
    counts = [str(step).count(">gradient") for step in steps]
    assert counts == sorted(counts) and counts[0] == 1
    page = steps._repr_html_()
    assert page.count("<svg") == page.count('type="radio"') == len(steps)
    other = drawn(gradients=True).steps()._repr_html_()
    assert page.split('name="')[1].split('"')[0] not in other  # two on a page do not interfere
    with pytest.raises(ValueError, match="gradients=True"):
        drawn().steps()


def test_names_are_escaped_cut_and_told_in_full():
    bad = '<b> & "x" \x00\x1b ' + "long" * 30 + "漢字" * 9
    x = Tensor(np.ones(3), bad)
    root = parsed(draw(x.sum(), gradients=True))
    (leaf,) = of_class(root, "leaf")
    head = lines_of(leaf)[0]
    assert head.startswith("<b> &") and "…" in head and len(head) <= 34
    tip = leaf.findtext(f"{SVG}title") or ""
    assert "long" * 30 in tip and "\x00" not in tip


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (2.5, ["2.5"]),
        (np.array(-0.0), ["0"]),
        (np.array([1.0, -2.0, 0.25]), ["   1    -2  0.25"]),
        (np.arange(6.0).reshape(2, 3), ["0  1  2", "3  4  5"]),
        (np.arange(5.0), ["0 to 4", "mean 2"]),
        (np.ones((5, 1)), ["1 to 1", "mean 1"]),
        (np.array([np.nan, np.inf, 1.0, 2.0, 3.0]), ["1 to 3", "mean 2", "2 of 5 not finite"]),
        (np.full((2, 9), np.nan), ["18 of 18 not finite"]),
        (np.zeros((0, 3)), ["empty"]),
        (np.ones((2, 2, 2)), ["1 to 1", "mean 1"]),
    ],
)
def test_values_in_few_lines(value: Any, lines: list[str]):
    assert told(value) == lines


def test_errors_of_gradients_are_those_of_minidl():
    x, other = Tensor(np.ones(3), "x"), Tensor(np.ones(3), "other")
    with pytest.raises(ValueError, match="must be one number"):
        draw(x * 2.0, gradients=True)
    with pytest.raises(ValueError, match=r"does not depend on wanted.*other"):
        draw(x.sum(), gradients=[other])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_op_loss_and_layer_can_be_drawn(case: Case, rng: np.random.Generator):
    function = case.build(np.float64)
    inputs = [Tensor(case.domain(rng, shape)) for shape in case.shapes]
    names = function if isinstance(function, nn.Module) else None
    drawing = draw(lambda: function(*inputs).sum(), names=names, gradients=True)
    root, steps = parsed(drawing), drawing.steps()
    assert root.findtext(f"{SVG}title") and root.findtext(f"{SVG}desc")
    assert all(parsed(step).tag == f"{SVG}svg" for step in steps)


def test_saving_and_showing(tmp_path: Path):
    drawing = drawn()
    drawing.save(tmp_path / "graph.svg")
    assert (tmp_path / "graph.svg").read_text(encoding="utf-8").strip() == drawing._repr_svg_()
    assert str(drawing) == str(drawn())  # the same each time


def test_words_where_no_picture_can_be_shown():
    drawing = drawn(gradients=True)
    assert repr(drawing) == "Drawing of 9 boxes"
    assert repr(drawing.steps()) == f"Steps: {len(drawing.steps())} drawings"


def test_the_picture_of_the_readme_is_of_today():
    """docs/draw.svg is the picture that this test draws."""
    x, w, b = (Tensor(np.array(value)) for value in (1.5, -2.0, 1.0))
    drawing = draw(
        lambda: (ops.sigmoid(x * w + b) - 1.0) ** 2,
        names={"x": x, "w": w, "b": b},
        gradients=[w, b],
    )
    saved = Path(__file__).resolve().parents[1] / "docs" / "draw.svg"
    assert saved.read_text(encoding="utf-8") == f"{drawing}\n"


def test_long_and_wide_graphs_are_drawn_soon(rng: np.random.Generator):
    x = Tensor(rng.standard_normal(3))
    y = x
    for _ in range(1500):  # deeper than Python's own stack
        y = ops.tanh(y)
    assert str(draw(y.sum())).count('class="op"') == 1501
