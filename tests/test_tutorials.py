"""The lessons: notebooks equal their sources, show the code's output, and run."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tutorials import build

SOURCES = build.sources()
LIMIT = 6 * 2**20  # bytes of all notebooks
lessons = pytest.mark.parametrize("source", SOURCES, ids=[path.stem for path in SOURCES])


def notebook(source: Path) -> list[dict[str, Any]]:
    """Return the cells of the notebook beside a source."""
    path = source.with_suffix(".ipynb")
    assert path.is_file(), f"build it: python -m tutorials.build {source.name[:2]}"
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def texts(cell: dict[str, Any]) -> str:
    """Return the output of a cell, without pictures."""
    shown = [
        text
        for output in cell.get("outputs", [])
        for kind, text in {"stream": output.get("text", ""), **output.get("data", {})}.items()
        if not kind.startswith("image/")
    ]
    return "".join("".join(text) for text in shown)


def test_lessons_are_numbered_and_paired() -> None:
    numbers = [int(source.name[:2]) for source in SOURCES]
    assert numbers == sorted(set(numbers)) and set(numbers) <= set(range(1, 13))
    pairs = {source.with_suffix(".ipynb") for source in SOURCES}
    assert set(build.FOLDER.glob("*.ipynb")) == pairs
    assert sum(path.stat().st_size for path in pairs) < LIMIT


@lessons
def test_notebook_and_source_agree(source: Path) -> None:
    pytest.importorskip("jupytext", reason="needs jupytext, of the test extra")
    written = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook(source)]
    meant = [(cell.cell_type, cell.source) for cell in build.read(source).cells]
    for number, (is_, should_be) in enumerate(zip(written, meant, strict=False)):
        assert is_ == should_be, f"cell {number} of {source.stem}: write the notebook again"
    assert len(written) == len(meant)


@lessons
def test_notebook_was_run_from_top_to_bottom(source: Path) -> None:
    code = [cell for cell in notebook(source) if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]
    assert any("image/" in kind for output in outputs for kind in output.get("data", {}))


@lessons
def test_notebook_tells_nothing_of_the_machine(source: Path) -> None:
    told = "".join(texts(cell) for cell in notebook(source))
    found = re.findall(r"(?<![\w.])/(?:tmp|home|root|usr|opt|var|work|Users)/\S*", told)
    assert found == []
    assert re.findall(r"site-packages|[A-Z]:\\\\|\bat 0x\w+|localhost", told) == []


@lessons
def test_printed_sources_are_those_of_today(source: Path) -> None:
    """Cells that end in `print(inspect.getsource(NAME))` show today's source of NAME."""
    cells = [cell for cell in notebook(source) if cell["cell_type"] == "code"]
    trees = [ast.parse("".join(cell["source"])) for cell in cells]
    names: dict[str, Any] = {}
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            exec(ast.unparse(node), names)
    shown = 0
    for cell, tree in zip(cells, trees, strict=True):
        parts = [
            str(eval(ast.unparse(node.value.args[0]), names))
            for node in tree.body
            if isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Call)
            and ast.unparse(node.value).startswith("print(inspect.getsource(")
        ]
        shown += len(parts)
        assert texts(cell).endswith("".join(part + "\n" for part in parts)), (
            f"write the notebook again: {ast.unparse(tree)} prints other lines today"
        )
    assert shown > 0, "a lesson ends with the library's own source"


@lessons
def test_lessons_use_no_helpers(source: Path) -> None:
    """Lessons import only minidl, minidl.models and well-known packages."""
    known = {"minidl", "models", "numpy", "matplotlib", "scipy", "skimage", "numba", "PIL",
             "sklearn", "IPython"}  # fmt: skip
    tree = ast.parse(source.read_text(encoding="utf-8"))
    tops = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            tops |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            tops.add((node.module or "").partition(".")[0])
    assert tops - sys.stdlib_module_names - known == set()


# --- exercises ------------------------------------------------------------------------------------

EXERCISES = sorted(path.stem for path in (build.FOLDER / "exercises").glob("lesson??.py"))
MISTAKES = [
    pytest.param(lesson, name, mistake, id=f"{lesson}-{name}-{i}")
    for lesson in EXERCISES
    for name, wrong in importlib.import_module(f"tutorials.solutions.{lesson}").MISTAKES.items()
    for i, mistake in enumerate(wrong)
]


def exercise_tests(lesson: str) -> list[Any]:
    module = importlib.import_module(f"tutorials.exercises.test_{lesson}")
    return [test for name, test in vars(module).items() if name.startswith("test_")]


def test_every_lesson_has_exercises() -> None:
    assert [f"lesson{source.name[:2]}" for source in SOURCES] == EXERCISES


@pytest.mark.parametrize("lesson", EXERCISES)
def test_exercises_are_whole(lesson: str) -> None:
    asked = importlib.import_module(f"tutorials.exercises.{lesson}")
    solved = importlib.import_module(f"tutorials.solutions.{lesson}")
    names = [n for n, f in vars(asked).items() if getattr(f, "__module__", "") == asked.__name__]
    assert 2 <= len(names) <= 4
    assert set(solved.MISTAKES) <= set(names)
    for name in names:
        question, answer = getattr(asked, name), getattr(solved, name)
        assert question.__doc__ and answer.__doc__
        assert inspect.signature(question) == inspect.signature(answer)
    assert len(exercise_tests(lesson)) >= len(names)


@pytest.mark.parametrize(("lesson", "name", "mistake"), MISTAKES)
def test_mistakes_are_seen(lesson: str, name: str, mistake: Any) -> None:
    solved = vars(importlib.import_module(f"tutorials.solutions.{lesson}"))
    answers = SimpleNamespace(**{**solved, name: mistake})
    failed = []
    for test in exercise_tests(lesson):
        try:
            test(answers)
        except Exception:
            failed.append(test.__name__)
    assert failed, "the tests of this exercise let a mistake pass"


def test_answers_are_right_or_wrong_or_missing(tmp_path: Path) -> None:
    """Run the tests of a student with one answer right, one wrong, and one missing."""
    for part in ("exercises", "solutions"):
        shutil.copytree(build.FOLDER / part, tmp_path / "tutorials" / part)
    shutil.copy(build.FOLDER / "__init__.py", tmp_path / "tutorials")
    shutil.copy(build.FOLDER.parent / "pyproject.toml", tmp_path)
    (tmp_path / "tutorials/exercises/lesson01.py").write_text(
        "from tutorials.solutions.lesson01 import MISTAKES, divide\n"
        "unbroadcast = MISTAKES['unbroadcast'][0]\n"
        "def descend(*a):\n    raise NotImplementedError\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "lesson01", "tutorials", "-p", "no:cacheprovider"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(build.FOLDER.parent)},
    )  # fmt: skip
    assert "1 failed, 1 passed, 1 skipped" in done.stdout, done.stdout + done.stderr
    assert "not solved yet" in done.stdout


# --- running --------------------------------------------------------------------------------------


@pytest.mark.notebook
@pytest.mark.slow
@lessons
def test_lesson_runs(source: Path) -> None:
    pytest.importorskip("nbclient", reason="needs the notebooks extra")
    build.run(source)


@pytest.mark.notebook
@pytest.mark.parametrize(
    ("code", "told"),
    [("1 / 0", "ZeroDivisionError"), ("import warnings\nwarnings.warn('odd')", "odd")],
)
def test_a_lesson_that_fails_or_warns(code: str, told: str, tmp_path: Path) -> None:
    pytest.importorskip("nbclient", reason="needs the notebooks extra")
    source = tmp_path / "01_bad.py"
    source.write_text(f"# %%\n{code}\n")
    with pytest.raises(build.LessonError, match=told):
        build.run(source)


def test_a_lesson_that_is_not_there(capsys: Any) -> None:
    assert build.main(["99"]) == 1
    assert "there is no lesson '99'; expected some of 01" in capsys.readouterr().err
