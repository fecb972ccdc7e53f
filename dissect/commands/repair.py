"""The command ``repair``: which units draw what is not in the data, and what goes without them.

Heavy imports stand inside functions, so that ``--help`` answers at once.
"""

import argparse

from dissect.commands.adding import Add, measure_settings, nothing_kept, print_json


def add_repair(add: Add) -> None:
    """Add the subcommand, with ``add(name, command, summary)``."""
    command = add(
        "repair", _repair, "propose units whose removal brings images nearer to real ones"
    )
    command.add_argument("run", metavar="RUN")
    command.add_argument(
        "--data", metavar="FOLDER",
        help="real images, PNG, JPEG or WebP; or scenes, the drawn ones (default: scenes for the "
        "generators that were trained on them)",
    )  # fmt: skip
    command.add_argument(
        "--bad", type=_marked, action="extend", default=[], metavar="LAYER:UNIT,…",
        help="take these units, whose images you judged bad, instead of a search; repeatable",
    )  # fmt: skip
    command.add_argument("--units", type=int, default=20, help="at most; default: %(default)s")
    command.add_argument("--layer", help="search this one only; default: all layers of the run")
    command.add_argument("--samples", type=int, default=500, help="default: %(default)s")
    command.add_argument(
        "--search", type=int, default=128, metavar="SAMPLES",
        help="further samples on which suspects are tried; default: %(default)s",
    )  # fmt: skip
    command.add_argument(
        "--candidates", type=int, default=24, metavar="UNITS",
        help="suspects that are tried; default: %(default)s",
    )  # fmt: skip
    command.add_argument(
        "--draws", type=int, default=5, help="random sets to compare with; default: %(default)s"
    )
    command.add_argument("--name", help="folder under RUN/effects; default: from the question")
    command.add_argument("--device", default="cpu", help="default: %(default)s")


def _marked(text: str) -> list[tuple[str, int]]:
    layer, _, units = text.rpartition(":")
    try:
        marked = [(layer, int(unit)) for unit in units.split(",")]
    except ValueError:
        marked = []
    if not layer or not marked or min(unit for _, unit in marked) < 0:
        raise argparse.ArgumentTypeError(
            f"{text!r} was given; expected a layer and units of it, such as b16.conv1:3,7"
        )
    return marked


def _repair(options: argparse.Namespace) -> None:
    from dissect.runs import open_run
    from dissect.studies.repair.study import repair_run
    from dissect.studies.telling import describe_repair

    with nothing_kept("nothing was stored"):
        repair = repair_run(
            open_run(options.run),
            data=options.data,
            bad=tuple(options.bad),
            **measure_settings(options),
        )
    effect = repair.effect
    if options.json:
        where = {"name": effect and effect.name, "folder": effect and str(effect.path)}
        print_json(repair.summary | where)
        return
    print(describe_repair(repair.summary))
    if effect is not None:
        print(f"\nopen {effect.path / 'sheet.png'}")
