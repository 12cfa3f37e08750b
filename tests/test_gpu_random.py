"""Random numbers of the GPU: the published ones, the reference's, and their statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl import random
from minidl.device import Device
from minidl.kernels.gpu import philox
from tests import emulated_gpu

DTYPES = [np.float32, np.float64]
SEEDS = [0, 1, 2**32 + 5, 2**64 - 1]


def words(seed: int, start: int, count: int) -> np.ndarray:
    return philox.philox(np.arange(start, start + count, dtype=np.uint64), seed)


@pytest.mark.parametrize(
    ("counter", "seed", "expected"),
    [  # the authors' own tests (Random123, kat_vectors) whose upper words are 0
        (0, 0, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ],
)
def test_published_numbers(counter: int, seed: int, expected: list[int]) -> None:
    assert words(seed, counter, 1)[0].tolist() == expected


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_gpu_draws_what_numpy_says(emulated: Any, dtype: Any, seed: int) -> None:
    rng, at = philox.Generator(seed), 0
    for shape in ((3, 5), 1, (2, 2, 300), (0,), 7):
        for draw, meaning in ((rng.random, philox.uniforms), (rng.standard_normal, philox.normals)):
            found = draw(shape, dtype=dtype)
            count = -(-found.size // (16 // found.itemsize))
            expected = meaning(words(seed, at, count), dtype)[: found.size].reshape(found.shape)
            at += count
            assert found.dtype == dtype
            if meaning is philox.uniforms:
                np.testing.assert_array_equal(found, expected)
            else:  # two libraries round logarithm, sine and cosine differently
                eps = np.finfo(dtype).eps
                np.testing.assert_allclose(found, expected, rtol=20 * eps, atol=20 * eps)
        found = rng.integers(-3, 1000, shape)
        count = -(-found.size // 4)
        expected = philox.integers(words(seed, at, count), -3, 1000)[: found.size]
        at += count
        np.testing.assert_array_equal(found, expected.reshape(found.shape))


def test_counters_beyond_32_bits(
    emulator: emulated_gpu.Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulated_gpu.stand_in(monkeypatch, emulator)
    rng = philox.Generator(3)
    rng._move(keep=True, by=2**32 - 2)
    found = rng.random(16, dtype=np.float32)
    np.testing.assert_array_equal(found, philox.uniforms(words(3, 2**32 - 2, 4), np.float32))


def test_whole_numbers(emulated: Any) -> None:
    rng = philox.Generator(5)
    assert set(rng.integers(4, size=1000).tolist()) == {0, 1, 2, 3}
    wide = rng.integers(0, 2**32, 1000)
    assert wide.dtype == np.int64 and wide.min() >= 0 and 2**31 < wide.max() < 2**32
    for many in (2**16, 2**16 + 1, 2**32 + 1, 3 * 2**40):  # like positions in many photographs
        found = philox.Generator(6).integers(-7, many - 7, (3, 5)).reshape(-1)
        expected = philox.integers(words(6, 0, 8), -7, many - 7)[:15]
        np.testing.assert_array_equal(found, expected)
        assert found.min() >= -7 and many / 2 < found.max() < many - 7
    for wrong in ((0,), (3, 3), (0, 2**48 + 1)):
        with pytest.raises(ValueError, match=r"integers: from .* expected 1 to 2\^48 numbers"):
            rng.integers(*wrong)
    with pytest.raises(ValueError, match="expected arrays of one type, float32 or float64"):
        rng.random(3, dtype=np.int32)


@pytest.mark.parametrize("dtype", DTYPES)
def test_statistics(dtype: Any) -> None:
    """The moments of 400,000 numbers are right to five standard deviations."""
    u = philox.uniforms(words(7, 0, 200_000), dtype)[:400_000].astype(np.float64)
    z = philox.normals(words(8, 0, 200_000), dtype)[:400_000].astype(np.float64)
    assert u.min() >= 0 and u.max() < 1
    for sample, expected in ((u, (1 / 2, 1 / 3, 1 / 4, 1 / 5)), (z, (0, 1, 0, 3))):
        for power, moment in enumerate(expected, start=1):
            values = sample**power
            assert abs(values.mean() - moment) < 5 * values.std() / np.sqrt(values.size)
    assert abs(np.corrcoef(z[:-1], z[1:])[0, 1]) < 5 / np.sqrt(z.size)
    assert abs(np.corrcoef(z[::2], z[1::2])[0, 1]) < 5 / np.sqrt(z.size / 2)


def test_whole_numbers_are_equally_likely() -> None:
    """This also holds for a range so wide that one word alone would prefer certain numbers."""
    rests = philox.integers(words(9, 0, 50_000), 0, 3 * 2**30) % 3
    share = np.bincount(rests) / rests.size
    assert np.abs(share - 1 / 3).max() < 5 * np.sqrt(2 / 9 / rests.size)


def test_a_device_draws_by_it(
    emulator: emulated_gpu.Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulated_gpu.stand_in(monkeypatch, emulator)
    gpu = Device("gpu", np)
    assert isinstance(random.generator(1, gpu), philox.Generator)
    one, other = (random.follow(np.random.default_rng(4), gpu).random(3).tolist() for _ in range(2))
    assert one == other
