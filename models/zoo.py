"""Weights that come with the package, each with a card that tells data, recipe, seed and scores.

    python -m models.zoo RUN NAME --data "what it was trained on" --scores evaluation.json ...

turns a finished run into such weights: float16, with a card written from the run's own records.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl import checkpoint
from minidl.files import check_absent, replacing
from models.context_encoder.filling import checksum
from models.ssda.damage import Damage, Noise, Text
from models.ssda.restoring import Description

FOLDER = Path(__file__).parent / "weights"
ABOVE = 1.1  # up to this many times sigma weights may be for: the best on held-out pictures


class NoWeightsError(RuntimeError):
    """No weights for a task come with the package."""


def entries(model: str) -> dict[Path, dict[str, Any]]:
    """The files for a kind of model ("ssda"), with what each says of itself."""
    found = {path: checkpoint.about(path) for path in sorted(FOLDER.glob("*.safetensors"))}
    return {path: about for path, about in found.items() if about.get("model") == model}


def denoisers() -> dict[float, Path]:
    """{level: weights against noise of that level}, in grey levels of 255, ascending.

    Raises NoWeightsError without any.
    """
    known = {damage.sigma: path for path, damage in _damages().items() if isinstance(damage, Noise)}
    if not known:
        raise NoWeightsError("no denoising weights come with this package; give --weights FILE")
    return dict(sorted(known.items()))


def _damages() -> dict[Path, Damage]:
    """What each file for an SSDA is against. Raises CheckpointError, which names a damaged one."""
    return {path: Description.of(path, about).damage for path, about in entries("ssda").items()}


def denoiser(sigma: float) -> Path:
    """The denoising weights for a level (grey levels of 255).

    A network takes more noise than it knows, contrasts being scaled, better than less: so those of
    the highest level that is not much above sigma, or the lowest of all.
    """
    known = denoisers()
    return known[max([level for level in known if level <= ABOVE * sigma], default=min(known))]


def text_remover() -> Path:
    """The weights that take text off a picture."""
    for path, damage in _damages().items():
        if isinstance(damage, Text):
            return path
    raise NoWeightsError("no weights against text come with this package; give --weights FILE")


def filler(kind: str = "region") -> Path:
    """The weights that fill holes of a kind; others, if there are none for it. Those whose rest is
    in another file come last.

    Those for regions are the default: on held-out pictures of the training folder they filled
    squares, ellipses, strokes, blocks and regions nearer than those for the centre, by 0.1 to 0.7
    dB (43 pictures).
    """
    found = entries("context-encoder")
    if not found:
        raise NoWeightsError("no weights for filling come with this package; give --weights FILE")
    return min(found, key=lambda path: (found[path].get("mask") != kind, "rest" in found[path]))


def chosen(weights: str) -> Path:
    """The file that a user means: a path, or the name of weights that come along. Raises
    NoWeightsError for what can be neither."""
    path = FOLDER / f"{weights}.safetensors"
    if path.is_file():
        return path
    if not Path(weights).suffix and not Path(weights).exists():
        names = ", ".join(sorted(path.stem for path in FOLDER.glob("*.safetensors")))
        raise NoWeightsError(f"{weights}: no such file; of the names that come along: {names}")
    return Path(weights)


def named(name: str) -> Path:
    """The weights of this name. Raises NoWeightsError."""
    path = FOLDER / f"{name}.safetensors"
    if not path.is_file():
        raise NoWeightsError(f"the weights {name} do not come with this package")
    return path


def publish(
    run: Path,
    name: str,
    *,
    data: str,
    scores: Sequence[Path],
    notes: Sequence[str] = (),
    rest: str | None = None,
    force: bool = False,
) -> Path:
    """weights/NAME.safetensors and NAME.md from a run's model.safetensors; returns the former.

    A discriminator comes along, so that a training can begin with both players. scores: files that
    `minidl evaluate --json` printed. notes: what else there is to say of the training. rest: the
    name of other weights; what the generators have in common is then in their file alone. force:
    replace weights of this name. Raises ValueError if nothing is in common, and FileExistsError if
    there are such weights already.
    """
    path = FOLDER / f"{name}.safetensors"
    for written in (path, path.with_suffix(".md")):
        check_absent(written, force=force)
    groups, about = checkpoint.load(run / "model.safetensors")
    if about["config"].get("settings", {}).get("adversarial"):
        players, _ = checkpoint.load(run / "checkpoint.safetensors")
        groups["discriminator"] = players["discriminator"]
    about["config"]["data"] = data  # in words: the folder's name is nobody's business
    if "begin" in about["config"]:
        about["config"]["begin"] = Path(about["config"]["begin"]).name
    half = {g: {k: v.astype(np.float16) for k, v in named.items()} for g, named in groups.items()}
    if rest is not None:
        other = named(rest)
        shared = checkpoint.load(other)[0]["generator"]
        own = {
            key: array
            for key, array in half["generator"].items()
            if key not in shared or not np.array_equal(array, shared[key])
        }
        if len(own) == len(half["generator"]):
            raise ValueError(f"nothing in common with {rest}")
        half["generator"] = own
        about |= {"rest": other.name, "check": checksum(other)}
    FOLDER.mkdir(exist_ok=True)
    card = _card(name, about, data, [json.loads(file.read_text()) for file in scores], notes)
    checkpoint.save(path, half, about)
    with replacing(path.with_suffix(".md")) as temporary:
        temporary.write_text(card)
    return path


def _card(
    name: str,
    about: dict[str, Any],
    data: str,
    scores: Sequence[dict[str, Any]],
    notes: Sequence[str] = (),
) -> str:
    """What a user should know of weights: what they do, how they came about, how good they are."""
    facts, command, said = {"ssda": _of_ssda, "context-encoder": _of_context_encoder}[
        about["model"]
    ](about, scores)
    config, log = about["config"], about["log"]
    lines = [
        f"# {name}",
        "",
        facts[0],
        "",
        *(f"* {fact}" for fact in facts[1:]),
        f"* Trained on {data} ({config['pictures']}), {config['steps']:,} steps, seed "
        f"{config['seed']}, in {log['seconds'] / 60:.0f} minutes on the {config['device']}.",
        f"* Validation PSNR at the end of training: {log['psnr']:.2f} dB, on pictures of the "
        "training folder that were held out.",
        *(f"* {note}" for note in notes),
        "",
        "Trained again by",
        "",
        f"    {command} --data DIR --steps {config['steps']} --seed {config['seed']} --out RUN",
        "",
        *(f"* {line}" for line in said),
    ]
    return "\n".join(lines).rstrip() + "\n"


Facts = tuple[list[str], str, list[str]]  # (what it is, the command that trained it, its scores)


def _of_ssda(about: dict[str, Any], scores: Sequence[dict[str, Any]]) -> Facts:
    damage, recipe = about["config"]["damage"], about["config"]["recipe"]
    hidden = recipe["hidden"][0]
    command = (
        f"minidl train ssda {_asked(damage)} --patch {recipe['patch']} --hidden {hidden} "
        f"--batch {recipe['batch']} --lr {recipe['rates'][-1]:g}"
    )
    facts = [
        f"A stacked sparse denoising auto-encoder against {_said(damage)}.",
        f"Patches of {recipe['patch']} x {recipe['patch']} grey pixels, hidden layers of "
        f"{recipe['hidden']} units, float16; {recipe['batch']} patches to a step.",
    ]
    said = []
    for score in scores:
        names = ", ".join(f"{method} {value:.2f}" for method, value in score["mean"].items())
        count = len(score["psnr"])
        said += [
            f"{_said(score['damage']).capitalize()}, mean PSNR in dB over the {count} pictures of "
            f"{score['data']}: {names}."
        ]
    return facts, command, said


def _asked(damage: dict[str, Any]) -> str:
    """The damage as an option of the command line."""
    return {"noise": "--sigma {sigma:g}", "text": "--text {smallest}-{largest}"}[
        damage["kind"]
    ].format(**damage)


def _said(damage: dict[str, Any]) -> str:
    """The damage in words."""
    return {"noise": "noise of sigma {sigma:g}", "text": "text of {smallest} to {largest} pixels"}[
        damage["kind"]
    ].format(**damage)


def _of_context_encoder(about: dict[str, Any], scores: Sequence[dict[str, Any]]) -> Facts:
    settings = about["config"]["settings"]
    facts = [
        "A context encoder, which fills holes in photographs.",
        f"The {settings['net']} net for {settings['mask']} holes, overlap {settings['overlap']} "
        f"pixels, float16; adversarial share {settings['adversarial']:g}, rates "
        f"{settings['generator_rate']:g} and {settings['discriminator_rate']:g}, "
        f"{settings['batch']} pictures to a step.",
    ]
    if "rest" in about:
        facts += [f"Its encoder is that of {about['rest']}, which it needs beside it."]
    said = [
        f"{method}{_mirrored(score, method)}, {row['pictures']} pictures ({score['data']}), "
        f"hole {score['hole']}: over the hole mean L1 {row['l1']:.2f} %, L2 {row['l2']:.2f} %, "
        f"PSNR {row['psnr']:.2f} dB; over the picture PSNR {row['whole']:.2f} dB, "
        f"SSIM {row['ssim']:.3f}."
        for score in scores
        for method, row in score["scores"].items()
    ]
    options = " ".join(f"--{k} {settings[k]}" for k in ("net", "mask", "adversarial", "batch"))
    options += f" --lr {settings['generator_rate']:g}"
    begun = " --begin FILE" if "begin" in about["config"] else ""
    if settings.get("freeze_encoder"):
        begun += " --freeze-encoder"
    return facts, f"minidl train context-encoder {options}{begun}", said


def _mirrored(score: dict[str, Any], method: str) -> str:
    return " --mirror" if score.get("mirror") and method == "context encoder" else ""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of `python -m models.zoo`."""
    parser = argparse.ArgumentParser(description="Turn a finished run into weights that ship.")
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--data", required=True, help="what it was trained on, in words")
    parser.add_argument("--scores", type=Path, nargs="*", default=[], help="JSON of evaluate")
    parser.add_argument("--note", action="append", default=[], help="a line for the card")
    parser.add_argument("--rest", metavar="NAME", help="weights with which some are in common")
    parser.add_argument("--force", action="store_true", help="replace weights of this name")
    options = parser.parse_args(arguments)
    try:
        path = publish(
            options.run,
            options.name,
            data=options.data,
            scores=options.scores,
            notes=options.note,
            rest=options.rest,
            force=options.force,
        )
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        parser.error(f"{options.run}: cannot be published ({type(error).__name__}: {error})")
    print(path)


if __name__ == "__main__":
    main()
