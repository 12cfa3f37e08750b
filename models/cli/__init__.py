"""The command `minidl`.

This file holds the parser, and imports nothing heavy: `minidl --help` answers at once. A command's
module is imported when the command runs. An error in the user's input ends with one line and exit
code 2. If only some of several files fail, the exit code is 1. A signal gives 128 and its number:
Ctrl-C 130, SIGTERM 143.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from minidl.models.signals import exit_code, stop_on_signals

from . import damages, inpainting_options
from .arguments import FORCE, WEIGHTS, Parser, complain, count, seed, sigma_or_auto

Commands: TypeAlias = "argparse._SubParsersAction[Any]"
Run: TypeAlias = Callable[[argparse.Namespace], int | None]

# Otherwise idle threads of Numba and OpenBLAS spin, and slow others down.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    root = Parser(
        prog="minidl",
        description="Repair pictures with networks built from scratch.",
        epilog="minidl COMMAND --help shows an example of each.",
    )
    commands = root.add_subparsers(dest="command", metavar="COMMAND", required=True)

    demo = _command(
        commands,
        "demo",
        "minidl.models.cli.demo:run",
        "train for about two minutes, then repair photographs; needs no network, no data",
        "minidl demo --out demo-out",
    )
    demo.add_argument("--out", default="demo-out", help="folder for the pictures (%(default)s)")
    demo.add_argument("--force", action="store_true", help=FORCE)
    demo.add_argument(
        "--seed", type=seed, default=0, help="seed of the random numbers (%(default)s)"
    )
    _device(demo)

    denoise = _repair(
        commands, "denoise", "remove noise from pictures", "minidl denoise photo.jpg -o clean.png"
    )
    denoise.add_argument(
        "--sigma",
        type=sigma_or_auto,
        default="auto",
        metavar="auto|N",
        help="strength of the noise in grey levels of 255; auto estimates it (%(default)s)",
    )
    _repair(
        commands,
        "remove-text",
        "remove text from pictures, without a mask",
        "minidl remove-text scans/ -o cleaned/",
    )
    fill = _repair(
        commands,
        "fill",
        "fill holes in pictures, or whatever a mask covers",
        "minidl fill photo.jpg --mask 120,80,60,40 -o filled.png",
        function="minidl.models.cli.context_encoder:fill",
    )
    inpainting_options.fill(fill)

    example = "minidl train ssda --data photos/ --sigma 25 --out runs/sigma25 --minutes 30"
    train = _command(commands, "train", "", "train a model on a folder of pictures", example)
    models = train.add_subparsers(dest="model", metavar="MODEL", required=True)
    ssda = _command(
        models,
        "ssda",
        "minidl.models.cli.train:ssda",
        "the stacked sparse denoising auto-encoder of paper 1",
        example,
    )
    damages.train(ssda)
    _machine(ssda)
    context_encoder = _command(
        models,
        "context-encoder",
        "minidl.models.cli.context_encoder:train",
        "the context encoder of paper 2, which fills holes",
        "minidl train context-encoder --data photos/ --out runs/fill --minutes 60",
    )
    inpainting_options.train(context_encoder)
    _machine(context_encoder)

    example = "minidl evaluate ssda --data set12/ --sigma 25 --baselines"
    evaluate = _command(commands, "evaluate", "", "score a model on clean pictures", example)
    models = evaluate.add_subparsers(dest="model", metavar="MODEL", required=True)
    ssda = _command(
        models,
        "ssda",
        "minidl.models.cli.evaluate:ssda",
        "damage clean pictures, repair them, and compare with classical methods",
        example,
    )
    damages.evaluate(ssda)
    _machine(ssda)

    context_encoder = _command(
        models,
        "context-encoder",
        "minidl.models.cli.context_encoder:evaluate",
        "cut holes into photographs, fill them, and compare with classical methods",
        "minidl evaluate context-encoder --data photos/ --weights runs/fill/model.safetensors",
    )
    inpainting_options.evaluate(context_encoder)
    _machine(context_encoder)

    gradcheck = _command(
        commands,
        "gradcheck",
        "minidl.models.cli.doctor:gradcheck",
        "compare every gradient with finite differences",
        "minidl gradcheck",
    )
    _machine(gradcheck)
    doctor = _command(
        commands,
        "doctor",
        "minidl.models.cli.doctor:doctor",
        "devices, threads and versions; which back end runs, and why",
        "minidl doctor",
    )
    doctor.add_argument("--json", action="store_true", help="answer in JSON")
    return root


def _command(
    commands: Commands,
    name: str,
    function: str,
    text: str,
    example: str,
) -> argparse.ArgumentParser:
    """Add a sub-command that runs `function`, given as "module:name"."""
    command = commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=f"example: {example}",
    )
    command.set_defaults(function=function)
    return command


def _device(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--device", choices=("auto", "cpu", "gpu"), default="auto", help="where (%(default)s)"
    )


def _machine(command: argparse.ArgumentParser) -> None:
    _device(command)
    command.add_argument("--json", action="store_true", help="answer in JSON")


def _repair(
    commands: Commands,
    name: str,
    text: str,
    example: str,
    *,
    function: str = "",
) -> argparse.ArgumentParser:
    """Add a command that reads pictures and writes them repaired."""
    stride = not function
    function = function or f"minidl.models.cli.repair:{name.replace('-', '_')}"
    command = _command(commands, name, function, text, example)
    command.add_argument("pictures", nargs="+", metavar="IN", help="pictures, or folders of them")
    command.add_argument(
        "-o",
        "--out",
        required=True,
        help="for one picture a file or a folder, for several a folder",
    )
    command.add_argument("--weights", help=WEIGHTS)
    if stride:
        command.add_argument(
            "--stride",
            type=count,
            default=3,
            help="pixels between patches: fewer are better and slower (%(default)s)",
        )
    command.add_argument("--force", action="store_true", help=FORCE)
    _machine(command)
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit code."""
    return run_command(parser, _import_and_run, arguments)


def run_command(
    parser: Callable[[], argparse.ArgumentParser],
    run: Run,
    arguments: Sequence[str] | None = None,
) -> int:
    """Parse the arguments, and call `run` with them.

    Returns the exit code. An error in the user's input becomes one line on stderr.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may not fit the encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with stop_on_signals():
            return _exit_code(parser().parse_args(arguments), run)
    except KeyboardInterrupt as interrupt:
        print(
            f"\nminidl: stopped{''.join(f'; {note}' for note in interrupt.args)}", file=sys.stderr
        )
        return exit_code(interrupt)


def _import_and_run(options: argparse.Namespace) -> int | None:
    """Import the function of the command, and call it."""
    module, _, name = options.function.partition(":")
    run: Run = getattr(importlib.import_module(module), name)
    return run(options)


def _exit_code(options: argparse.Namespace, run: Run) -> int:
    """Run the command that was parsed, and return its exit code."""
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")  # they are for programmers
            code = int(run(options) or 0)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader of our output has left: write nothing more, at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, RuntimeError, OSError, MemoryError) as error:
        if os.environ.get("MINIDL_TRACEBACK"):
            raise
        complain(options, error)
        return 2
