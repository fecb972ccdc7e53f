"""The command ``repair``: which units draw what is not in the data, and what goes without them.

Heavy imports stand inside functions, so that ``--help`` answers at once.
"""

import argparse

from dissect.commands.command import (
    Command,
    ModelsAgain,
    add_run_argument,
    nothing_kept,
    open_named_run,
    print_json,
)
from dissect.settings import add_settings, given_settings
from dissect.studies.questions import RepairQuestion, StudyOptions


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    add_settings(parser, RepairQuestion)
    add_settings(parser, StudyOptions, without=["progress"])
    add_settings(parser, ModelsAgain)


def _repair(options: argparse.Namespace) -> None:
    from dissect.studies.repair.study import repair_run
    from dissect.studies.telling import describe_repair

    settings = given_settings(options, RepairQuestion) | given_settings(options, StudyOptions)
    with nothing_kept("nothing was stored"):
        repair = repair_run(open_named_run(options), progress=not options.quiet, **settings)
    effect = repair.effect
    if options.json:
        where = {"name": effect and effect.name, "folder": effect and str(effect.path)}
        print_json(repair.summary | where)
        return
    print(describe_repair(repair.summary))
    if effect is not None:
        print(f"\nopen {effect.path / 'sheet.png'}")


COMMANDS = (
    Command(
        "repair",
        "propose units whose removal brings images nearer to real ones",
        _add_options,
        _repair,
        examples=("dissect repair runs/a --data photos/",),
    ),
)
