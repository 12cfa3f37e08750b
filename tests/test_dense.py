"""Matrix products by the micro-kernel, forced on processors that leave them to BLAS."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minidl import kernels
from minidl.kernels import reference
from minidl.kernels.algorithms import strassen
from minidl.kernels.cpu import matrix, tuning
from minidl.kernels.cpu.gemm import choice, gemm
from minidl.kernels.cpu.gemm.register_tile import TILE, TILES
from minidl.kernels.cpu.runtime import threadpool

ODD = [(1, 1, 1), (7, 5, 3), (9, 31, 33), (37, 16, 70), (65, 40, 129), (200, 17, 40)]  # M, K, N


@pytest.fixture(autouse=True)
def forced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the micro-kernel compute every product, in many blocks and chunks."""
    monkeypatch.setattr(choice, "FORCED", "tiles")
    choice.choose.cache_clear()
    monkeypatch.setattr(tuning, "GEMM_BLOCK_BYTES", 1 << 12)
    for name in (
        "GEMM_MIN_ROWS", "GEMM_MIN_SIDE", "GEMM_MAX_COLUMN_READ", "MIN_MULTIPLIES", "GRAIN_SIZE"
    ):  # fmt: skip
        monkeypatch.setattr(tuning, name, 1)
    yield
    choice.choose.cache_clear()


def factors(
    rng: np.random.Generator, sizes: tuple[int, int, int], dtype: Any, left: bool, right: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return a (M, K) and b (K, N), each as a transposed view if asked."""
    M, K, N = sizes
    a, b = rng.standard_normal((M, K)).astype(dtype), rng.standard_normal((K, N)).astype(dtype)
    return np.asfortranarray(a) if left else a, np.asfortranarray(b) if right else b


def quarters(dtype: Any) -> list[tuple[int, int, int]]:
    """Return sizes that can be cut."""
    wide = 2 * TILE.NR(dtype)
    return [
        (2, 2, wide),
        (2 * TILE.MR + 6, 30, 2 * wide),
        (10 * TILE.MR, 64, wide),
        (21, 30, wide - 3),  # an odd row, the last panel not full
        (2, 4, 2 * wide + 1),  # the panel before is not full either
        (1, 2, wide // 4),
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("cut", [False, True])
def test_products(
    cut: bool, left: bool, right: bool, dtype: Any, rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Products of any size and memory order; one and three threads give the same bits."""
    monkeypatch.setattr(tuning, "STRASSEN_MIN_SIDE", 1 if cut else 10**9)
    for i, sizes in enumerate(quarters(dtype) if cut else ODD):
        monkeypatch.setattr(tuning, "GEMM_MAX_COLUMN_READ", 1 if cut or i % 2 else 10**9)
        a, b = factors(rng, sizes, dtype, left, right)
        bias = rng.standard_normal(sizes[2]).astype(dtype)
        found = []
        for count in (1, 3):
            monkeypatch.setattr(threadpool, "_count", count)
            found.append(kernels.matmul(a, b, bias))
        expected = reference.matmul(a.astype(np.float64), b.astype(np.float64), bias)
        eps = np.finfo(dtype).eps
        assert (found[0].dtype, found[0].shape) == (dtype, expected.shape)
        np.testing.assert_allclose(found[0], expected, rtol=0, atol=40 * eps * np.sqrt(sizes[1]))
        np.testing.assert_array_equal(found[0], found[1])


def test_the_seven_products_of_quarters_make_the_product(rng: np.random.Generator) -> None:
    for (M, K), N in (((2, 2), 2), ((4, 6), 8), ((10, 2), 4)):
        a, b = rng.integers(-9, 9, (M, K)), rng.integers(-9, 9, (K, N))
        np.testing.assert_array_equal(strassen.product(a, b), a @ b)


def test_what_the_seven_products_lose(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strassen's product loses at most one and a half bits of an element, in the mean."""
    errors = []
    a, b = factors(rng, (256, 512, 256), np.float32, False, False)
    exact = a.astype(np.float64) @ b
    for least in (1, 10**9):
        monkeypatch.setattr(tuning, "STRASSEN_MIN_SIDE", least)
        errors.append(float(np.sqrt(np.mean((kernels.matmul(a, b) - exact) ** 2))))
    assert errors[1] < errors[0] < 2**1.5 * errors[1]


@pytest.mark.parametrize("left", [False, True])
def test_which_sizes_are_cut(
    left: bool, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large products of even depth are cut, except for an odd row; others are computed whole."""
    cut: list[tuple[int, ...]] = []
    by_quarters = gemm._multiply_quarters

    def noted(*arguments: Any) -> None:
        cut.append(arguments[3].shape)
        by_quarters(*arguments)

    monkeypatch.setattr(tuning, "STRASSEN_MIN_SIDE", 64)
    monkeypatch.setattr(gemm, "_multiply_quarters", noted)
    for sizes in ((64, 64, 64), (65, 64, 64), (64, 65, 64), (64, 64, 66), (62, 64, 64)):
        a, b = factors(rng, sizes, np.float32, left, False)
        np.testing.assert_allclose(kernels.matmul(a, b), a @ b, atol=1e-4)
    assert cut == [(64, 64), (64, 64), (64, 66)]


@pytest.mark.parametrize("cut", [False, True])
def test_panels_of_what_cannot_change_are_kept(
    cut: bool, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "STRASSEN_MIN_SIDE", 1 if cut else 10**9)
    a, b = factors(rng, quarters(np.float32)[1], np.float32, False, False)
    expected = kernels.matmul(a, b)
    b.flags.writeable = a.flags.writeable = False
    for _ in range(2):
        np.testing.assert_array_equal(kernels.matmul(a, b), expected)
        monkeypatch.setattr(gemm, "pack_b", None)  # not called again


def test_what_lies_scattered_is_copied(rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((2, 40, 60)).astype(np.float32)
    np.testing.assert_allclose(
        kernels.matmul(a[::2, ::3], b[:20, 1::2]), a[::2, ::3] @ b[:20, 1::2], atol=1e-4
    )


def test_small_products_and_batches_are_left_to_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "gemm", None)
    monkeypatch.setattr(tuning, "GEMM_MIN_SIDE", 8)
    monkeypatch.setattr(tuning, "GEMM_MIN_ROWS", 9)
    assert kernels.matmul(np.ones((9, 7)), np.ones((7, 8)))[0, 0] == 7
    assert kernels.matmul(np.ones((8, 8)), np.ones((8, 8)), np.ones(8))[0, 0] == 9
    assert kernels.matmul(np.ones((2, 8, 8)), np.ones((2, 8, 8)))[0, 0, 0] == 8


# --- the choice -----------------------------------------------------------------------------------


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The folder of answers, in a process that has not chosen yet."""
    monkeypatch.setattr(choice, "FORCED", "")
    monkeypatch.setattr(choice, "TILE", TILES["avx512"])
    monkeypatch.setattr(choice.jit, "cache_folder", lambda: tmp_path)
    choice.choose.cache_clear()
    yield tmp_path
    choice.choose.cache_clear()


def chosen(monkeypatch: pytest.MonkeyPatch, measured: float | None) -> choice.Choice:
    """The choice of a new process that measures this ratio, or that must not measure."""
    choice.choose.cache_clear()
    monkeypatch.setattr(choice, "_measure", lambda: measured)
    if measured is None:
        monkeypatch.delattr(choice, "_measure")
    return choice.choose()


@pytest.mark.parametrize(("ratio", "tiles"), [(0.85, False), (1.029, False), (1.03, True)])
def test_a_machine_keeps_its_first_answer(
    ratio: float, tiles: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chosen(monkeypatch, ratio).micro_kernel == tiles
    assert [float(path.read_text()) for path in folder.iterdir()] == [ratio]
    again = chosen(monkeypatch, None)
    assert again.micro_kernel == tiles and f"{ratio:.2f} times the speed of BLAS" in again.reason


def test_the_answer_of_an_earlier_process_counts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was kept while this process measured: both must multiply in the same way."""

    def measure() -> float:
        choice._keep(choice._path(), 0.9)  # type: ignore[arg-type]
        return 1.5

    monkeypatch.setattr(choice, "_measure", measure)
    assert not choice.choose().micro_kernel


def test_a_damaged_answer_is_measured_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen(monkeypatch, 0.9)
    (path,) = folder.iterdir()
    path.write_text("fast")
    assert chosen(monkeypatch, 1.2).micro_kernel and path.read_text() == "1.200\n"


def test_without_a_file_blas_multiplies(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that each measured for themselves could multiply in different ways."""
    monkeypatch.setattr(choice.jit, "cache_folder", lambda: folder / "missing")
    assert "cannot be kept" in chosen(monkeypatch, 1.5).reason
    monkeypatch.setattr(choice.jit, "cache_folder", lambda: None)
    assert not chosen(monkeypatch, None).micro_kernel


def test_without_avx512_nothing_is_measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "TILE", TILES["avx2"])
    assert not chosen(monkeypatch, None).micro_kernel and not list(folder.iterdir())


def test_the_speeds_are_measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "SHAPES", [(256, 32, 48)])
    assert 0.01 < choice._measure() < 100
    slow = choice.gemm

    def slower(*arguments: Any) -> None:
        time.sleep(0.01)
        slow(*arguments)

    monkeypatch.setattr(choice, "gemm", slower)
    assert choice._measure() < 0.5


@pytest.mark.parametrize(("wanted", "said"), [("tiles", "True"), ("blas", "False")])
def test_the_choice_can_be_forced(wanted: str, said: str) -> None:
    assert said in told(wanted).stdout


def test_an_unknown_choice_is_refused() -> None:
    assert "MINIDL_DENSE is 'mkl'; expected tiles or blas" in told("mkl").stderr


def told(wanted: str) -> subprocess.CompletedProcess[str]:
    """Return the output of a program that is started with this choice."""
    code = "from minidl.kernels.cpu.gemm import choice; print(choice.choose().micro_kernel)"
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "MINIDL_DENSE": wanted},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
