"""Paper 1's networks, losses, coding, recipes and damage."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from minidl import Tensor, gradients
from minidl.device import CPU
from minidl.models.ssda import (
    RECIPES,
    SSDA,
    Coding,
    DenoisingAutoencoder,
    Noise,
    Penalty,
    Recipe,
    Text,
    TextCoding,
    degradation,
    recipe_for,
)
from minidl.schema import SchemaError

Rng = np.random.Generator


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def batch(rng: Rng, inputs: int = 6, n: int = 5) -> tuple[np.ndarray, np.ndarray]:
    return rng.random((n, inputs)), rng.random((n, inputs))


def wild(network: Any, rng: Rng) -> Any:
    """Return the same network in float64, with random biases, too."""
    network.astype(np.float64)
    for p in network.parameters():
        p.data[...] = 0.5 * rng.standard_normal(p.shape)
    return network


# --- equations -----------------------------------------------------------------------------------

FULL = Penalty(beta=0.3, rho=0.1, decay=0.2)
PENALTIES = [Penalty(), replace(FULL, beta=0), replace(FULL, decay=0), FULL]


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
@pytest.mark.parametrize("error", ["half-sum", "mean"])
def test_equations_3_to_6(penalty: Penalty, error: str, rng: Rng) -> None:
    da = wild(DenoisingAutoencoder(6, 4, rng=rng), rng)
    x, y = batch(rng)
    w, b, w2, b2 = (p.data for p in da.parameters())
    assert (w.shape, w2.shape) == ((6, 4), (4, 6))
    h = sigmoid(x @ w + b)
    rebuilt = sigmoid(h @ w2 + b2)
    np.testing.assert_allclose(da.encode(x).data, h, rtol=1e-12)
    np.testing.assert_allclose(da(x).data, rebuilt, rtol=1e-12)

    squares = ((y - rebuilt) ** 2).sum(axis=1)  # for each sample
    expected = np.mean(squares) / 2 if error == "half-sum" else np.mean(squares) / 6
    mean, rho = h.mean(axis=0), penalty.rho
    kl = rho * np.log(rho / mean) + (1 - rho) * np.log((1 - rho) / (1 - mean))
    expected += penalty.beta * kl.sum() + penalty.decay / 2 * ((w**2).sum() + (w2**2).sum())
    assert da.loss(x, y, replace(penalty, error=error)).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("hidden", [(4,), (4, 3), (4, 3, 5)], ids=str)
@pytest.mark.parametrize("error", ["half-sum", "mean"])
def test_equation_7_and_the_order_of_layers(hidden: tuple[int, ...], error: str, rng: Rng) -> None:
    network = wild(SSDA(6, hidden, rng=rng), rng)
    x, y = batch(rng)
    stack = network.autoencoders
    layers = [a.encoder for a in stack] + [a.decoder for a in reversed(stack)]
    out, decay = x, 0.0
    for layer in layers:
        out = sigmoid(out @ layer.w.data + layer.b.data)
        decay += 0.2 / 2 * (layer.w.data**2).sum()
    np.testing.assert_allclose(network(x).data, out, rtol=1e-12)
    squares = (y - out) ** 2
    expected = (squares.sum() / len(x) / 2 if error == "half-sum" else squares.mean()) + decay
    found = network.loss(x, y, Penalty(error=error, decay=0.2)).item()
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_deep_network_has_no_parameters_of_its_own(rng: Rng) -> None:
    network = SSDA(6, (4, 3), rng=rng)
    of_autoencoders = [p for a in network.autoencoders for p in a.parameters()]
    assert [id(p) for p in network.parameters()] == [id(p) for p in of_autoencoders]
    x = batch(rng)[0].astype(np.float32)
    before = network(x).data
    network.autoencoders[1].decoder.b.data += 1
    assert np.abs(network(x).data - before).max() > 1e-3


def test_hidden_units_may_begin_sparse(rng: Rng) -> None:
    network = SSDA(36, (200, 150), rng=rng, gain=4, rho=0.05)
    x = rng.standard_normal((500, 36), dtype=np.float32) * 0.1
    first, second = network.autoencoders
    h = first.encode(x)
    for units in (h, second.encode(h), second(h)):  # the second one's target is hidden units, too
        assert np.median(units.data) == pytest.approx(0.05, abs=0.02)
    assert np.median(network(x).data) == pytest.approx(0.5, abs=0.1)
    assert all((a.encoder.b.data == 0).all() for a in SSDA(6, (5, 4), rng=rng).autoencoders)


@pytest.mark.parametrize("error", ["half-sum", "mean"])
@pytest.mark.parametrize("equation", [6, 7])
def test_gradients_of_whole_losses(equation: int, error: str, rng: Rng) -> None:
    """Check along random directions of all parameters, in float64."""
    penalty = replace(FULL, error=error)
    network: Any = (
        DenoisingAutoencoder(6, 4, rng=rng) if equation == 6 else SSDA(6, (5, 4), rng=rng)
    )
    wild(network, rng)
    x, y = batch(rng, n=7)
    parameters: list[Tensor] = network.parameters()
    found = gradients(network.loss(x, y, penalty), parameters)
    start, eps = [p.data.copy() for p in parameters], 1e-5
    for _ in range(10):
        direction = [rng.standard_normal(p.shape) for p in parameters]

        def at(t: float, direction: list[np.ndarray] = direction) -> float:
            for p, s, d in zip(parameters, start, direction, strict=True):
                p.data[...] = s + t * d
            return network.loss(x, y, penalty).item()

        numeric = (at(eps) - at(-eps)) / (2 * eps)
        analytic = sum(float((g * d).sum()) for g, d in zip(found, direction, strict=True))
        assert abs(numeric - analytic) < 1e-6 * max(abs(numeric), abs(analytic))


def test_penalty_refuses_an_unknown_error() -> None:
    with pytest.raises(ValueError, match="error is 'mse'; expected half-sum or mean"):
        Penalty(error="mse")


# --- coding and recipes --------------------------------------------------------------------------


def test_coding_round_trip(rng: Rng) -> None:
    x, y = batch(rng)
    coding = Coding()
    centres = coding.centres(x)
    np.testing.assert_allclose(centres, x.mean(axis=1)[:, None])
    np.testing.assert_allclose(coding.input(x, centres), 6 * (x - centres))
    close = centres + 0.5 * (y - centres)  # contrasts that are within reach
    target = coding.target(x, close, centres)
    np.testing.assert_allclose(target, 0.5 + 0.6 * (close - centres))
    np.testing.assert_allclose(coding.pixels(target, centres), close, atol=1e-12)
    far = coding.target(x, 9 * y - 3, centres)
    assert far.min() == 0.02 and far.max() == 0.98


def test_coding_may_leave_pixels_as_they_are(rng: Rng) -> None:
    x, y = batch(rng)
    plain = Coding(centre=None)
    centres = plain.centres(x)
    assert centres.shape == (5, 1) and not centres.any()
    np.testing.assert_array_equal(plain.input(x, centres), x)
    np.testing.assert_array_equal(plain.target(x, y, centres), y)
    np.testing.assert_array_equal(plain.pixels(y, centres), y)
    with pytest.raises(ValueError, match="centre is 'mode'; expected mean"):
        Coding(centre="mode")


def test_text_coding_tells_black_white_and_even() -> None:
    coding = TextCoding(inner=2)
    assert coding.sizes(16) == (48, 8)
    x = np.array([[0, 0, 0.5, 1], [0, 0, 0.4, 1], [0.3, 0.6, 0.2, 1], [0.7, 0.1, 0.9, 1]])
    centres = coding.centres(x.reshape(1, 16))
    assert centres.shape == (1, 1) and centres == np.median(x)
    pixels, white, even = coding.input(x.reshape(1, 16), centres).reshape(3, 4, 4)
    np.testing.assert_allclose(pixels, 6 * (x - np.median(x)))
    np.testing.assert_allclose(white, 1.0 * (x == 1) - (x == 0), atol=0.01)
    expected = [[0, 1, 0, 0], [1, 2, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1]]  # like left, like above
    np.testing.assert_allclose(even, expected, atol=0.01)


def test_text_coding_round_trip(rng: Rng) -> None:
    coding = TextCoding(inner=2)
    y = 0.5 + 0.4 * rng.random((7, 16))
    x = y.copy()
    x[:, [1, 5, 10]] = 0  # 5 and 10 are in the middle, which is 5, 6, 9, 10
    centres = coding.centres(x)
    target = coding.target(x, y, centres)
    assert target.shape == (7, 8) and target.min() >= 0.02 and target.max() <= 0.98
    np.testing.assert_allclose(coding.text(target), [[1, 0, 0, 1]] * 7, atol=1e-12)
    np.testing.assert_allclose(coding.pixels(target, centres), y[:, [5, 6, 9, 10]])


@pytest.mark.parametrize("inner", [0, 3, 6])
def test_text_coding_refuses_a_middle_that_does_not_fit(inner: int) -> None:
    with pytest.raises(ValueError, match=r"expected an even number more|inner is 0; expected"):
        TextCoding(inner=inner).sizes(16)


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_round_trip(name: str) -> None:
    recipe = RECIPES[name]
    assert Recipe.from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe


def test_recipes_are_what_they_were() -> None:
    """A default is a promise: models of the same recipe are trained in the same way."""
    none = {"beta": 0.0, "rho": 0.05, "decay": 0.0, "error": "half-sum"}
    coding = {"gain": 6.0, "contrast": 0.6, "margin": 0.02}
    of_text = {**coding, "extreme": 0.02, "even": 0.01, "visible": 0.03}
    working = {
        "patch": 12, "hidden": (720, 720), "gain": 4.0, "initial_activation": 0.05,
        "coding": {**coding, "centre": "mean"},
        "pretrain": ({**none, "beta": 1e-2, "decay": 1e-5}, none), "finetune": none,
        "optimizer": "adam", "learning_rates": (2e-3, 2e-3, 4e-3), "shares": (0.1, 0.1, 0.8),
        "batch": 256, "steps_per_batch": 1,
    }  # fmt: skip
    text = {
        "patch": 20, "hidden": (576, 576), "coding": {**of_text, "inner": 6},
        "pretrain": ({**none, "beta": 1e-3, "decay": 1e-6}, none), "shares": (0.05, 0.05, 0.9),
    }  # fmt: skip
    equation_6 = {**none, "beta": 1e-2, "decay": 1e-4}
    paper = {
        "gain": 1.0, "initial_activation": None, "coding": {**coding, "centre": None},
        "pretrain": (equation_6, equation_6), "finetune": {**none, "decay": 1e-4},
        "optimizer": "lbfgs", "batch": 10_000, "steps_per_batch": 0,
    }  # fmt: skip
    misread = {**equation_6, "error": "mean"}
    naive = {
        "pretrain": (misread, misread), "finetune": {**none, "error": "mean", "decay": 1e-4},
        "optimizer": "adam", "batch": 256, "steps_per_batch": 1,
    }  # fmt: skip
    expected: dict[str, dict[str, Any]] = {
        "working": working,
        "text": working | text,
        "paper": working | paper,
        "naive": working | paper | naive,
    }
    assert {name: recipe.as_dict() for name, recipe in RECIPES.items()} == expected
    assert vars(TextCoding()) == {**of_text, "inner": 8}


def test_loud_noise_is_turned_down() -> None:
    """The first layer's input has no stronger noise at sigma 100 or 200 than at 50."""
    loud = [recipe_for(Noise(s)).coding.gain * s for s in (25, 50, 100, 200)]
    assert loud == pytest.approx([150, 300, 300, 300])
    assert recipe_for(Noise(25)) == RECIPES["working"] and recipe_for(Text()) == RECIPES["text"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden": (9,)}, "need as many penalties"),
        ({"learning_rates": (1.0,)}, "one more rate"),
        ({"shares": (0.5, 0.5)}, "one more rate and share"),
        ({"optimizer": "sgd"}, "optimizer is 'sgd'; expected adam or lbfgs"),
        ({"patch": 1}, "patch is 1; expected a whole number from 2 to 1024"),
        ({"batch": 0}, "batch is 0; expected a whole number from 1"),
    ],
)
def test_recipe_refuses(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(Recipe(), **change)
    with pytest.raises(SchemaError, match=r"pretrain\[0\]\.error is 'mse'; expected half-sum"):
        Recipe.from_dict({**Recipe().as_dict(), "pretrain": [{"error": "mse"}]})


# --- damage --------------------------------------------------------------------------------------


def test_text_lies_between_the_clean_patch_and_a_colour(
    rng: Rng, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(degradation, "SHEET_COUNT", 4)
    images = [0.2 + 0.6 * rng.random((40, 50), dtype=np.float32)]
    damaged, clean = Text(18, 24).draw_from(images, 8, rng, CPU)(600, rng)
    assert damaged.shape == clean.shape == (600, 64) and damaged.dtype == np.float32
    assert damaged.min() == 0 and damaged.max() == 1  # a letter's inside hides all
    touched = np.abs(damaged - clean) > 1e-6
    assert 0.1 < touched.mean() < 0.4
    assert 0.2 < np.isin(damaged[touched], (0, 1)).mean() < 0.9  # all others are rims in grey


def test_letters_stand_upright(rng: Rng, monkeypatch: pytest.MonkeyPatch) -> None:
    """Photographs are rotated and mirrored for training, text is not."""

    def sheet(shape: tuple[int, int], *_: Any, **__: Any) -> np.ndarray:
        slope = np.broadcast_to(np.arange(shape[1], dtype=np.float32) / shape[1], shape)
        return np.stack([slope, np.ones_like(slope)], axis=-1)  # coverage, and white letters

    monkeypatch.setattr(degradation, "text_sheet", sheet)
    black = [np.zeros((40, 50), np.float32)]
    damaged = Text().draw_from(black, 8, rng, CPU)(200, rng)[0].reshape(200, 8, 8)
    assert (np.diff(damaged, axis=2) > 0).all() and (np.diff(damaged, axis=1) == 0).all()


def test_text_as_faint_as_the_limit_is_none() -> None:
    coding = TextCoding(inner=2, visible=0.25)
    y = np.zeros((1, 4))
    target = coding.target(np.array([[0.25, 0.375, 0.125, 0.5]]), y, np.zeros((1, 1)))
    assert target[0, :4].tolist() == [0.02, 0.98, 0.02, 0.98]


def test_noise_is_fresh_and_of_its_level(rng: Rng) -> None:
    images = [rng.random((40, 50), dtype=np.float32)]
    draw = Noise(50).draw_from(images, 8, rng, CPU)
    (first, clean), (second, _) = draw(2000, rng), draw(2000, rng)
    assert (first - clean).std() * 255 == pytest.approx(50, rel=0.02)
    assert (first - clean).min() < -0.5 and np.abs(first - second).max() > 0.1  # not clipped


@pytest.mark.parametrize("value", [Noise(12.5), Text(9, 30)], ids=str)
def test_damage_round_trip(value: Noise | Text) -> None:
    assert degradation.from_dict(json.loads(json.dumps(degradation.as_dict(value)))) == value


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "noise"},
        {"kind": "rain"},
        {"kind": "noise", "sigma": "25"},
        {"kind": "noise", "sigma": 0},
        {"kind": "noise", "sigma": float("nan")},
        {"kind": "text", "smallest": 30, "largest": 20},
    ],
    ids=str,
)
def test_damage_refuses(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        degradation.from_dict(values)
