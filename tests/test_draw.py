"""The picture of a computation: whole, in order, legible, and right about values and gradients."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minidl import Tensor, draw, gradients, losses, nn, ops
from minidl.draw.graph import back_propagation, graph_of, told
from minidl.draw.layout import arrange
from minidl.gradcheck import CASES, Case

SVG = "{http://www.w3.org/2000/svg}"


def diamond() -> dict[str, Tensor]:
    """a and c are used twice, e is multiplied by itself, 0.1 is a number."""
    a, b = Tensor(np.array(2.0), "first"), Tensor(np.array(3.0))
    c = a * b
    e = c + a
    return {"a": a, "b": b, "c": c, "e": e, "loss": e * e + ops.exp(c * 0.1)}


def network(rng: np.random.Generator) -> tuple[nn.Module, Tensor]:
    net = nn.Sequential(
        nn.Conv2D(3, 4, window=3, stride=2, rng=rng), nn.BatchNorm(4), nn.LeakyReLU(),
        nn.UpSampleConv2D(4, 3, rng=rng), nn.Sigmoid(),
    )  # fmt: skip
    x = rng.random((2, 6, 6, 3)).astype(np.float32)
    return net, losses.mean_squared_error(net(x), x)


def examples(rng: np.random.Generator) -> list[Tensor]:
    x = Tensor(rng.standard_normal((4, 3)))
    fan = ops.concatenate(*(x * (1.0 + i) for i in range(9)), axis=1)
    far = x * x
    for _ in range(6):
        far = ops.tanh(far) + x
    return [diamond()["loss"], network(rng)[1], fan.sum(), far.sum(), Tensor(np.ones(2)), x]


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


def all_of(loss: Tensor) -> list[Tensor]:
    seen, todo = {loss}, [loss]
    while todo:
        for parent in todo.pop().parents:
            if parent not in seen:
                seen.add(parent)
                todo.append(parent)
    return sorted(seen, key=lambda t: t.birth)


def test_every_op_and_leaf_is_drawn_once_and_every_use_is_a_line(rng: np.random.Generator):
    for loss in examples(rng):
        root, tensors = parsed(draw(loss)), all_of(loss)
        heads = [lines_of(box)[0] for box in of_class(root, "op")]
        assert heads == [t.name for t in tensors if t.parents]
        assert len(of_class(root, "leaf", "number")) == sum(not t.parents for t in tensors)
        edges = [
            (int(g.attrib["data-from"]), int(g.attrib["data-to"]))
            for g in root.iter(f"{SVG}g")
            if "data-from" in g.attrib
        ]
        number = {t: i for i, t in enumerate(tensors)}
        assert edges == [(number[p], number[t]) for t in tensors for p in t.parents]
        assert all(older < younger for older, younger in edges)


def test_boxes_stand_apart_within_the_picture_and_in_order(rng: np.random.Generator):
    for loss in examples(rng):
        root = parsed(draw(loss))
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
            if "data-from" in g.attrib:  # downward, and clear of its end
                above, below = (where[int(g.attrib[k])] for k in ("data-from", "data-to"))
                assert above[3] < below[1]


def test_lines_pass_between_the_boxes():
    """A line from the first box to the last goes round those between."""
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


def test_two_crossed_chains_are_disentangled():
    edges = [(0, 3), (1, 2), (2, 5), (3, 4), (4, 6), (5, 6)]
    boxes = arrange([(50.0, 30.0)] * 7, edges).boxes
    sides = [boxes[a].x < boxes[b].x for a, b in ((0, 1), (3, 2), (4, 5))]
    assert len(set(sides)) == 1


def test_text_fits_its_box(rng: np.random.Generator):
    net, loss = network(rng)
    for picture in (draw(loss, names=net, gradients=True), draw(diamond()["loss"])):
        for box in of_class(parsed(picture), "op", "leaf", "number"):
            left, top, right, bottom = rectangle(box)
            for text in box.iter(f"{SVG}text"):
                letters = 0.602 * 13 * len("".join(text.itertext()))  # DejaVu Sans Mono's width
                assert letters <= right - left
                assert top + 9 <= float(text.attrib["y"]) <= bottom - 3


def test_values_and_gradients_are_those_computed():
    tensors = diamond()
    graph = graph_of(tensors["loss"], tensors, True)
    named = {box.name: i for i, box in enumerate(graph.boxes) if box.name}
    assert set(named) == set(tensors)
    assert graph.gradients is not None
    expected = gradients(tensors["loss"], list(tensors.values()))
    for name, g in zip(tensors, expected, strict=True):
        assert graph.boxes[named[name]].value == told(tensors[name].data)
        np.testing.assert_array_equal(graph.gradients[named[name]], g)
    number = next(i for i, box in enumerate(graph.boxes) if box.is_number)
    assert number not in graph.gradients
    boxes = of_class(parsed(draw(tensors["loss"], names=tensors, gradients=True)), "op")
    assert lines_of(boxes[0]) == ["c = multiply", "6", "gradient 16.2"]


def test_gradients_only_on_the_way_to_what_is_wanted():
    tensors = diamond()
    graph = graph_of(tensors["loss"], tensors, [tensors["b"]])
    found = {graph.boxes[i].name for i in graph.gradients or {}}
    assert found >= {"b", "c", "e", "loss"} and "a" not in found


def test_names_of_parameters_and_of_variables(rng: np.random.Generator):
    net, loss = network(rng)
    paths = [path for path, _ in net.named_parameters()]
    of_net = {box.name for box in graph_of(loss, net, False).boxes}
    assert of_net >= set(paths)
    inner = loss.parents[0]
    everything: dict[str, Any] = {"net": net, "inner": inner, "loss": loss, "_": inner, "n": 3}
    names = {box.name for box in graph_of(loss, everything, False).boxes}
    assert names >= {f"net.{path}" for path in paths} | {"inner", "loss"}


def test_steps_add_up_to_the_gradients():
    tensors = diamond()
    graph = graph_of(tensors["loss"], tensors, True)
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


def test_terms_of_all_uses_add_up(rng: np.random.Generator):
    """Also where a sum is shown term by term, it ends at what `gradients` says."""
    from minidl.draw import graph as module

    loss = examples(rng)[3]
    graph = graph_of(loss, None, True)
    totals = graph.gradients
    assert totals is not None
    sums: dict[int, Any] = {}
    for _, to, term in module._terms(graph):
        sums[to] = sums.get(to, 0) + term
    for i, total in sums.items():
        np.testing.assert_allclose(total, totals[i], rtol=1e-12)


def test_steps_are_pictures_of_one_size(rng: np.random.Generator):
    steps = draw(diamond()["loss"], gradients=True).steps()
    assert len(steps) == len(steps.captions) == 6 + 1
    assert len({parsed(step).attrib["viewBox"] for step in steps}) == 1
    assert [str(s) for s in steps[1:3]] == [str(steps[1]), str(steps[2])]
    counts = [str(step).count(">gradient") for step in steps]
    assert counts == sorted(counts) and counts[0] == 1
    page = steps._repr_html_()
    assert page.count("<svg") == page.count('type="radio"') == len(steps)
    other = draw(diamond()["loss"], gradients=True).steps()._repr_html_()
    assert page.split('name="')[1].split('"')[0] not in other  # two on a page do not interfere
    with pytest.raises(ValueError, match="gradients=True"):
        draw(diamond()["loss"]).steps()


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
    if case.layer:
        case.layer.astype(np.float64)
    inputs = [Tensor(case.domain(rng, shape)) for shape in case.shapes]
    y = case.function(*inputs)
    root = parsed(draw(y.sum(), names=case.layer, gradients=True))
    assert root.findtext(f"{SVG}title") and root.findtext(f"{SVG}desc")
    steps = draw(y.sum(), gradients=True).steps()
    assert all(parsed(step).tag == f"{SVG}svg" for step in steps)


def test_a_function_is_drawn_as_what_it_computes():
    tensors = diamond()
    a, b = tensors["a"], tensors["b"]
    of_function = draw(lambda: (a * b + a) * a, names=tensors, gradients=[b])
    assert str(of_function) == str(draw((a * b + a) * a, names=tensors, gradients=[b]))


def test_saving_and_showing(tmp_path: Path):
    drawing = draw(diamond()["loss"])
    drawing.save(tmp_path / "graph.svg")
    assert (tmp_path / "graph.svg").read_text(encoding="utf-8").strip() == drawing._repr_svg_()
    assert str(drawing) == str(draw(diamond()["loss"]))  # the same each time


def test_the_picture_of_the_readme_is_of_today():
    """docs/draw.svg, made by writing what this draws."""
    x, w, b = (Tensor(np.array(value)) for value in (1.5, -2.0, 1.0))
    y = ops.sigmoid(x * w + b)
    loss = (y - 1.0) ** 2
    drawing = draw(loss, names={"x": x, "w": w, "b": b, "y": y, "loss": loss}, gradients=[w, b])
    saved = Path(__file__).resolve().parents[1] / "docs" / "draw.svg"
    assert saved.read_text(encoding="utf-8") == f"{drawing}\n"


def test_long_and_wide_graphs_are_drawn_soon(rng: np.random.Generator):
    x = Tensor(rng.standard_normal(3))
    y = x
    for _ in range(1500):  # deeper than Python's own stack
        y = ops.tanh(y)
    assert str(draw(y.sum())).count('class="op"') == 1501
