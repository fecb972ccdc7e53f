"""The commands ``ablate``, ``insert``, ``context`` and ``effects``: what units do, kept with a run.

Heavy imports stand inside functions, so that ``--help`` answers at once.
"""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from dissect.commands.adding import Add, measure_settings, nothing_kept, print_json
from dissect.errors import ConfigError

if TYPE_CHECKING:
    from dissect.studies.store import StoredEffect

_ORDERS = ("iou", "excess", "sweep", "greedy", "optimise")


def add_effects(add: Add) -> None:
    """Add the subcommands, with ``add(name, command, summary)``."""
    ablate = add("ablate", _measure, "take units away and measure what goes from the images")
    insert = add("insert", _measure, "hold units at a value and measure what comes into the images")
    for kind, command in (("ablate", ablate), ("insert", insert)):
        command.set_defaults(kind=kind)
        _add_options(command, samples=500, draws=5)
        command.add_argument(
            "--region", type=_corners, metavar="TOP,LEFT,BOTTOM,RIGHT",
            help="only there, in pixels of the image",
        )  # fmt: skip
        command.add_argument(
            "--curve", type=_orders, default=(), metavar="ORDER,…",
            help="also plot the effect against the number of units, for these orders and random",
        )  # fmt: skip
    context = add("context", _context, "insert units at many places: what comes where?")
    _add_options(context, samples=100, draws=1)
    context.add_argument(
        "--side", type=int, metavar="PIXELS",
        help="of a box; default: an eighth of the image, in whole cells of the layer",
    )  # fmt: skip
    context.add_argument(
        "--stride", type=int, metavar="PIXELS", help="from box to box; default: the side"
    )
    for command in (insert, context):
        command.add_argument(
            "--value", default="mean",
            help="mean, where the concept is, or a quantile such as q0.99 (default: %(default)s)",
        )  # fmt: skip
    effects = add("effects", _effects, "what was measured on a run: list, or show NAME")
    effects.add_argument("run", metavar="RUN")
    effects.add_argument("action", nargs="?", choices=["list", "show"], default="list")
    effects.add_argument("name", nargs="?", help="effect to show")


def _add_options(command: argparse.ArgumentParser, *, samples: int, draws: int) -> None:
    command.add_argument("run", metavar="RUN")
    command.add_argument("--concept", required=True, help="whose pixels should go, or come")
    command.add_argument("--units", type=int, default=20, help="how many; default: %(default)s")
    command.add_argument("--layer", help="default: the one whose units tell most of the concept")
    command.add_argument(
        "--order", choices=_ORDERS, default="iou",
        help="which units are taken: by match, or searched for (default: %(default)s)",
    )  # fmt: skip
    command.add_argument(
        "--pick", type=_units, default=(), metavar="UNIT,…",
        help="exactly these units of --layer, instead of --units by --order",
    )  # fmt: skip
    command.add_argument("--samples", type=int, default=samples, help="default: %(default)s")
    command.add_argument(
        "--search", type=int, default=64, metavar="SAMPLES",
        help="further samples for searches and the inserted mean; default: %(default)s",
    )  # fmt: skip
    command.add_argument(
        "--candidates", type=int, metavar="UNITS",
        help="units that sweep and greedy try; default: four times --units, at least 64",
    )  # fmt: skip
    command.add_argument(
        "--draws", type=int, default=draws, help="random sets to compare with; default: %(default)s"
    )
    command.add_argument("--name", help="folder under RUN/effects; default: from the question")
    command.add_argument("--device", default="cpu", help="default: %(default)s")


def _corners(text: str) -> tuple[int, ...]:
    corners = _whole_numbers(text)
    if len(corners) != 4:
        raise argparse.ArgumentTypeError(
            f"{text!r} was given; expected four numbers of pixels: TOP,LEFT,BOTTOM,RIGHT"
        )
    return corners


def _units(text: str) -> tuple[int, ...]:
    units = _whole_numbers(text)
    if not units:
        raise argparse.ArgumentTypeError(
            f"{text!r} was given; expected numbers of units with commas: 3,17"
        )
    return units


def _whole_numbers(text: str) -> tuple[int, ...]:
    """Those between commas; none where one of them is no number."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        return ()


def _orders(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _measure(options: argparse.Namespace) -> None:
    from dissect.studies.ablate_insert import measure_units

    settings = {"value": options.value} if options.kind == "insert" else {}
    settings |= {name: getattr(options, name) for name in ("kind", "region", "curve")}
    _measure_and_tell(measure_units, options, settings)


def _context(options: argparse.Namespace) -> None:
    from dissect.studies.context.study import measure_context

    settings = {name: getattr(options, name) for name in ("value", "side", "stride")}
    _measure_and_tell(measure_context, options, settings)


def _measure_and_tell(
    measure: Callable[..., "StoredEffect"], options: argparse.Namespace, settings: dict[str, object]
) -> None:
    from dissect.runs import open_run

    with nothing_kept("nothing was measured or stored"):
        effect = measure(
            open_run(options.run),
            concept=options.concept,
            order=options.order,
            picked=options.pick,
            **measure_settings(options),
            **settings,
        )
    if options.json:
        summary = effect.record["summary"]
        print_json(summary | {"name": effect.name, "folder": str(effect.path)})
        return
    _tell(effect)


def _tell(effect: "StoredEffect") -> None:
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
        _tell(effect)
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
