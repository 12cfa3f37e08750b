"""Turn a finished run into weights of the package: float16, with a card.

    python -m benchmarks.papers.publish_weights RUN NAME --data "BSDS500" --scores SCORES.json

The card is written from the run's own records: data, recipe, seed and scores.
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
from minidl.models import zoo
from minidl.models.context_encoder.inpainter import checksum


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
    """Write weights/NAME.safetensors and NAME.md from a run's model.safetensors.

    Returns the path of the weights. A discriminator is included, so that a training can begin with
    both players.

    data    the training pictures, in words
    scores  files that `minidl evaluate --json` printed
    notes   further lines for the card
    rest    the name of other weights; arrays that both generators share stay in their file alone
    force   replace weights of this name

    Raises ValueError if nothing is shared with `rest`, and FileExistsError if weights of this name
    exist.
    """
    path = zoo.FOLDER / f"{name}.safetensors"
    for written in (path, path.with_suffix(".md")):
        check_absent(written, force=force)
    groups, about = checkpoint.load(run / "model.safetensors")
    if about["config"].get("settings", {}).get("adversarial"):
        players, _ = checkpoint.load(run / "checkpoint.safetensors")
        groups["discriminator"] = players["discriminator"]
    about["config"]["data"] = data  # the folder's name is private
    if "begin" in about["config"]:
        about["config"]["begin"] = Path(about["config"]["begin"]).name
    half = {g: {k: v.astype(np.float16) for k, v in named.items()} for g, named in groups.items()}
    if rest is not None:
        other = zoo.by_name(rest)
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
    zoo.FOLDER.mkdir(exist_ok=True)
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
    """Return the card of weights: their task, their training and their scores."""
    facts, command, score_lines = {"ssda": _of_ssda, "context-encoder": _of_context_encoder}[
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
        *(f"* {line}" for line in score_lines),
    ]
    return "\n".join(lines).rstrip() + "\n"


Facts = tuple[list[str], str, list[str]]  # (description, training command, scores)


def _of_ssda(about: dict[str, Any], scores: Sequence[dict[str, Any]]) -> Facts:
    damage, recipe = about["config"]["damage"], about["config"]["recipe"]
    hidden = recipe["hidden"][0]
    command = (
        f"minidl train ssda {_asked(damage)} --patch {recipe['patch']} --hidden {hidden} "
        f"--batch {recipe['batch']} --lr {recipe['learning_rates'][-1]:g}"
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
    """Return the degradation as an option of the command line."""
    return {"noise": "--sigma {sigma:g}", "text": "--text {smallest}-{largest}"}[
        damage["kind"]
    ].format(**damage)


def _said(damage: dict[str, Any]) -> str:
    """Return the degradation in words."""
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
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.papers.publish_weights",
        description="Turn a finished run into weights of the package.",
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--data", required=True, help="the training pictures, in words")
    parser.add_argument(
        "--scores", type=Path, nargs="*", default=[], help="output of minidl evaluate --json"
    )
    parser.add_argument("--note", action="append", default=[], help="a line for the card")
    parser.add_argument("--rest", metavar="NAME", help="other weights that share arrays with these")
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
