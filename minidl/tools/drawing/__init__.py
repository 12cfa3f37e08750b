"""The picture of a computation: `draw(loss)` draws the graph of the ops that computed it, as SVG.

Every op and every leaf is a box, with its shape, its value and, if wanted, its gradient. Lines run
downward from the inputs of an op to the op. `draw(loss, gradients=True).steps()` shows
back-propagation box by box.

trace.py reads how a tensor was computed, graph.py builds the boxes and lines, layout.py places
them, and picture.py writes the SVG.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import overload

from ...files import replacing
from ...tensor import Tensor
from .graph import Graph, Names, Shown, back_propagation, graph_of
from .layout import Layout, arrange
from .picture import sizes, stepper, svg
from .trace import Computed

__all__ = ["Drawing", "Steps", "draw"]


class Drawing:
    """One picture. A notebook shows it; `str` is its SVG, `save` writes it to a file."""

    def __init__(
        self, graph: Graph, shown: Shown | None = None, layout: Layout | None = None
    ) -> None:
        self._graph, self._shown, self._layout = graph, shown, layout

    def steps(self) -> Steps:
        """Return back-propagation as drawings, from the loss alone to all gradients.

        Raises ValueError for a drawing that was made without gradients.
        """
        if self._graph.gradients is None:
            raise ValueError("steps: draw(loss, gradients=True) has steps, draw(loss) has none")
        return Steps(self._graph)

    def save(self, path: str | Path) -> None:
        """Write the SVG file; an existing file is replaced only by a complete one."""
        with replacing(path) as temporary:
            temporary.write_text(str(self) + "\n", encoding="utf-8")

    def __str__(self) -> str:
        layout = self._layout or arrange(sizes(self._graph, self._shown), self._graph.edges())
        return svg(self._graph, layout, self._shown)

    def __repr__(self) -> str:
        return f"Drawing of {len(self._graph.boxes)} boxes"

    def _repr_svg_(self) -> str:
        return str(self)


class Steps(Sequence[Drawing]):
    """The drawings of back-propagation, in order. In a notebook, a number selects one of them.

    captions: a sentence for each drawing.
    """

    def __init__(self, graph: Graph) -> None:
        states = back_propagation(graph)
        # A box has the same size in all drawings, so that nothing moves between them.
        boxes = zip(*(sizes(graph, state) for state in states), strict=True)
        largest = [(max(w for w, _ in box), max(h for _, h in box)) for box in boxes]
        layout = arrange(largest, graph.edges())
        self._drawings = [Drawing(graph, state, layout) for state in states]
        self.captions = [state.caption for state in states]

    @overload
    def __getitem__(self, at: int) -> Drawing: ...
    @overload
    def __getitem__(self, at: slice) -> list[Drawing]: ...
    def __getitem__(self, at: int | slice) -> Drawing | list[Drawing]:
        return self._drawings[at]

    def __len__(self) -> int:
        return len(self._drawings)

    def __repr__(self) -> str:
        return f"Steps: {len(self)} drawings"

    def _repr_html_(self) -> str:
        return stepper([str(drawing) for drawing in self], self.captions)


def draw(
    loss: Computed, *, names: Names | None = None, gradients: bool | Sequence[Tensor] = False
) -> Drawing:
    """Return the graph of the computation of `loss`, or of any other tensor.

        draw(loss)                                   # ops, leaves, shapes, values
        draw(loss, names=net, gradients=True)        # and the gradient of each
        draw(loss, names=locals(), gradients=[w])    # only what is computed for d loss / d w
        draw(loss, gradients=True).steps()           # back-propagation, box by box

    loss: a tensor, or a function that computes it, as in draw(lambda: loss_of(x)). With a function,
    the drawing also has the intermediate values that nothing keeps otherwise.
    names: a Module, whose parameters get their paths as names; or {name: tensor or module}, such as
    {"x": x, "net": net} or locals(). Other entries are ignored.
    gradients: True for the gradients of all leaves that are not plain numbers, and of all tensors
    in between; or the tensors to differentiate by. Raises ValueError, as `minidl.gradients` does,
    if the loss is not one number or does not depend on one of them.
    """
    return Drawing(graph_of(loss, names, gradients))
