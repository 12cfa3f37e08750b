"""Test every exercise with the solution, always, and with your answers, when you ask.

A test takes one argument, `answers`: the module that holds the functions. `pytest -m lesson04`
tests your answers of lesson 4, `pytest -m exercise` all your answers. A function that still raises
NotImplementedError is skipped as not solved yet.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "answers" in metafunc.fixturenames:
        lesson = metafunc.module.__name__.rpartition("test_")[2]
        marks = [pytest.mark.exercise, getattr(pytest.mark, lesson)]
        metafunc.parametrize(
            "answers",
            [
                pytest.param(f"tutorials.solutions.{lesson}", id="solution"),
                pytest.param(f"tutorials.exercises.{lesson}", id="yours", marks=marks),
            ],
            indirect=True,
        )


@pytest.fixture
def answers(request: pytest.FixtureRequest) -> Any:
    """The module with the functions that a test asks for."""
    return importlib.import_module(request.param)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    try:
        return (yield)
    except NotImplementedError:
        if not item.get_closest_marker("exercise"):
            raise  # a solution must solve it
        pytest.skip("not solved yet")
