"""One command per kind of study, and ``effects``: measured effects of edits, stored with a run.

Heavy imports are inside functions, so that ``--help`` answers at once.
"""

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from dissect.commands.command import (
    Command,
    ModelsAgain,
    add_run_argument,
    nothing_kept,
    open_named_run,
    print_json,
)
from dissect.errors import ConfigError
from dissect.settings import add_settings, given_settings
from dissect.studies import registry
from dissect.studies.study import Study, StudyOptions

if TYPE_CHECKING:
    from dissect.studies.store import StoredEffect


def command_of(study: Study[Any]) -> Command:
    """The command of a study."""
    return Command(
        study.kind,
        study.help,
        partial(_add_options, study=study),
        partial(_measure, study=study),
        examples=study.examples,
    )


def _add_options(parser: argparse.ArgumentParser, *, study: Study[Any]) -> None:
    add_run_argument(parser)
    study.add_options(parser)
    add_settings(parser, ModelsAgain)


def _add_effects(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument("action", nargs="?", choices=["list", "show"], default="list")
    parser.add_argument("name", nargs="?", metavar="NAME", help="effect to show")


def _measure(options: argparse.Namespace, *, study: Study[Any]) -> None:
    given = given_settings(options, study.question)
    given = {name: value for name, value in given.items() if name in study.options}
    given |= given_settings(options, StudyOptions)
    with nothing_kept("nothing was measured or stored"):
        run = open_named_run(options)
        result = registry.measure(run, study.kind, progress=not options.quiet, **given)
    effect = result.effect
    if options.json:
        where = {"name": effect and effect.name, "folder": effect and str(effect.path)}
        print_json(result.summary | where)
        return
    print(study.describe(result.summary).to_text())
    if effect is not None:
        _name_pictures(effect)


def _name_pictures(effect: "StoredEffect") -> None:
    pictures = [effect.path / one.file for one in registry.study_of(effect).pictures]
    print("", *(f"open {path}" for path in pictures if path.exists()), sep="\n")


def _effects(options: argparse.Namespace) -> None:
    from dissect.runs import open_run
    from dissect.studies.effects import open_effect
    from dissect.studies.store import effect_names

    run = open_run(options.run)
    if options.action == "show":
        if options.name is None:
            names = ", ".join(effect_names(run)) or "none yet"
            raise ConfigError(f"effects show was given no name; expected one of: {names}")
        effect = open_effect(run, options.name)
        if options.json:
            print_json({"name": effect.name, "folder": str(effect.path), **effect.record})
            return
        print(registry.study_of(effect).describe(effect.record["summary"]).to_text())
        _name_pictures(effect)
        return
    effects = [open_effect(run, name) for name in effect_names(run)]
    if options.json:
        rows = [{"name": e.name, "folder": str(e.path), **e.record["summary"]} for e in effects]
        print_json({"run": str(run.path), "effects": rows})
        return
    if not effects:
        print(f"nothing was measured yet; dissect ablate {options.run} --concept C does")
    for effect in effects:
        headline = registry.study_of(effect).headline(effect.record["summary"])
        print(f"{effect.name}: {headline}")


COMMANDS = (
    *(command_of(study) for study in registry.STUDIES.values()),
    Command(
        "effects",
        "list the effects measured on a run, or show one by NAME",
        _add_effects,
        _effects,
        examples=("dissect effects runs/a", "dissect effects runs/a show NAME"),
    ),
)
