"""The commands ``ablate``, ``insert``, ``context`` and ``effects``: what units do, kept with a run.

Heavy imports stand inside functions, so that ``--help`` answers at once.
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from dissect.commands.command import (
    Command,
    ModelsAgain,
    add_run_argument,
    nothing_kept,
    open_named_run,
    print_json,
)
from dissect.errors import ConfigError
from dissect.settings import Settings, add_settings, given_settings
from dissect.studies.questions import ContextQuestion, EffectQuestion, StudyOptions

if TYPE_CHECKING:
    from dissect.studies.store import StoredEffect


def _add_question(
    parser: argparse.ArgumentParser, question: type[Settings], without: tuple[str, ...]
) -> None:
    add_run_argument(parser)
    add_settings(parser, question, without=without)
    add_settings(parser, StudyOptions, without=["progress"])
    add_settings(parser, ModelsAgain)


def _add_effects(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument("action", nargs="?", choices=["list", "show"], default="list")
    parser.add_argument("name", nargs="?", metavar="NAME", help="effect to show")


def _measure(options: argparse.Namespace, *, kind: str) -> None:
    from dissect.studies.ablate_insert import measure_units

    _measure_and_print(measure_units, options, EffectQuestion, kind=kind)


def _context(options: argparse.Namespace) -> None:
    from dissect.studies.context.study import measure_context

    _measure_and_print(measure_context, options, ContextQuestion)


def _measure_and_print(
    measure: Callable[..., "StoredEffect"],
    options: argparse.Namespace,
    question: type[Settings],
    **settings: object,
) -> None:
    settings |= given_settings(options, question) | given_settings(options, StudyOptions)
    with nothing_kept("nothing was measured or stored"):
        effect = measure(open_named_run(options), progress=not options.quiet, **settings)
    if options.json:
        summary = effect.record["summary"]
        print_json(summary | {"name": effect.name, "folder": str(effect.path)})
        return
    _print_effect(effect)


def _print_effect(effect: "StoredEffect") -> None:
    from dissect.studies.store import BARS, PLOT, SHEET
    from dissect.studies.telling import describe_effect

    print(describe_effect(effect.record["summary"]), end="\n\n")
    for file in (SHEET, PLOT, BARS):
        if (effect.path / file).exists():
            print(f"open {effect.path / file}")


def _effects(options: argparse.Namespace) -> None:
    from dissect.runs import open_run
    from dissect.studies.store import effect_names, open_effect
    from dissect.studies.telling import headline

    run = open_run(options.run)
    if options.action == "show":
        if options.name is None:
            names = ", ".join(effect_names(run)) or "none yet"
            raise ConfigError(f"effects show was given no name; expected one of: {names}")
        effect = open_effect(run, options.name)
        if options.json:
            print_json({"name": effect.name, "folder": str(effect.path), **effect.record})
            return
        _print_effect(effect)
        return
    effects = [open_effect(run, name) for name in effect_names(run)]
    if options.json:
        rows = [{"name": e.name, "folder": str(e.path), **e.record["summary"]} for e in effects]
        print_json({"run": str(run.path), "effects": rows})
        return
    if not effects:
        print(f"nothing was measured yet; dissect ablate {options.run} --concept C does")
    for effect in effects:
        print(f"{effect.name}: {headline(effect.record['summary'])}")


COMMANDS = (
    Command(
        "ablate",
        "set units to zero and measure what disappears from the images",
        partial(_add_question, question=EffectQuestion, without=("kind", "value")),
        partial(_measure, kind="ablate"),
        examples=("dissect ablate runs/a --concept window --units 20 --curve iou,greedy",),
    ),
    Command(
        "insert",
        "hold units at a value and measure what appears in the images",
        partial(_add_question, question=EffectQuestion, without=("kind",)),
        partial(_measure, kind="insert"),
        examples=("dissect insert runs/a --concept tree --region 0,0,32,64",),
    ),
    Command(
        "context",
        "insert units at many places: what appears where?",
        partial(_add_question, question=ContextQuestion, without=()),
        _context,
        examples=("dissect context runs/a --concept door --units 20",),
    ),
    Command(
        "effects",
        "list the effects measured on a run, or show one by NAME",
        _add_effects,
        _effects,
        examples=("dissect effects runs/a", "dissect effects runs/a show NAME"),
    ),
)
