"""The commands ``export`` and ``figure``: a run's table for other programs, figures for papers.

Heavy imports are inside functions, so that ``--help`` answers at once.
"""

import argparse
import sys

from dissect.commands.command import (
    Command,
    add_no_notes,
    add_run_argument,
    print_json,
    write_file,
)
from dissect.errors import ConfigError
from dissect.settings import Settings, add_settings, setting

_FORMATS = ("csv", "parquet", "json", "latex")
_FIGURES = ("layers", "concepts", "unit", "curve")


class ExportOptions(Settings):
    """Options of ``export``."""

    format: str = setting("format of the table", default="csv", choices=_FORMATS)
    out: str | None = setting("file to write; default: print it", default=None, metavar="FILE")
    layer: str | None = setting("only this layer", default=None)
    concept: str | None = setting("all units against this concept", default=None)
    named: bool = setting("only units named after the concept", default=False)
    rows: int | None = setting("at most so many, those that tell most", default=None, at_least=1)


class FigureOptions(Settings):
    """Options of ``figure``."""

    out: str = setting("file to write: .pdf, .svg or .png", metavar="FILE")
    width: str = setting(
        "column (3.25 inches), page (6.875) or a number of inches", default="column"
    )
    layer: str | None = setting("of the unit", default=None)
    unit: int | None = setting("for unit: its number", default=None, at_least=0)
    effect: str | None = setting(
        "for curve: which; see dissect effects", default=None, metavar="NAME"
    )
    concept: str | None = setting(
        "for curve: whose pixels; default: the one that was measured", default=None
    )
    most: int = setting("for concepts: at most so many", default=24, at_least=1)
    no_title: bool = setting("without the title, which a caption says", default=False)


def _add_export(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    add_settings(parser, ExportOptions)
    add_no_notes(parser)


def _add_figure(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument(
        "kind", choices=_FIGURES, metavar="|".join(_FIGURES), help="what the figure shows"
    )
    add_settings(parser, FigureOptions)


def _export(options: argparse.Namespace) -> None:
    from dissect.runs import open_run
    from reports.exporting import column_meanings, export_table, units_table

    run = open_run(options.run)
    kind = "json" if options.json and options.out is None else options.format
    if kind == "parquet" and options.out is None:
        raise ConfigError(
            "--format is parquet but there is no --out; expected --out FILE, as it is not text"
        )
    table = units_table(
        run, layer=options.layer, concept=options.concept,
        named=options.named, n_rows=options.rows, notes=not options.no_notes,
    )  # fmt: skip
    name = run.record["generator"]["name"]
    about = f" and {options.concept}" if options.concept else ""
    content = export_table(table, kind, caption=f"Units of {name}{about}.")
    if options.out is None:
        sys.stdout.write(content.decode())
        return
    write_file(options.out, content)
    if options.json:
        about = column_meanings()
        columns = {name: about[name] for name in map(str, table)}
        print_json({"out": options.out, "format": kind, "rows": len(table), "columns": columns})
    else:
        print(options.out)


def _figure(options: argparse.Namespace) -> None:
    from dissect.runs import open_run
    from dissect.studies.effects import open_effect
    from dissect.studies.store import effect_names
    from reports import figures

    suffix = figures.check_suffix(options.out)
    width, title = figures.read_width(options.width), not options.no_title
    run = open_run(options.run)
    if options.kind == "layers":
        content = figures.draw_layers(run, width=width, suffix=suffix, title=title)
    elif options.kind == "concepts":
        content = figures.draw_concepts(
            run, width=width, suffix=suffix, most=options.most, title=title
        )
    elif options.kind == "unit":
        if options.layer is None or options.unit is None:
            raise ConfigError("figure unit was given no unit; expected --layer L and --unit U")
        content = figures.draw_unit(
            run, options.layer, options.unit, width=width, suffix=suffix, title=title
        )
    else:
        if options.effect is None:
            names = ", ".join(effect_names(run)) or "none yet; dissect ablate … --curve makes one"
            raise ConfigError(f"figure curve was given no effect; expected --effect: {names}")
        effect = open_effect(run, options.effect)
        content = figures.draw_curve(
            effect, options.concept, width=width, suffix=suffix, title=title
        )
    write_file(options.out, content)
    print_json({"figure": options.out}) if options.json else print(options.out)


COMMANDS = (
    Command(
        "export",
        "the units table as CSV, Parquet, JSON or LaTeX",
        _add_export,
        _export,
        packages=("reports",),
        examples=("dissect export runs/a --format parquet --out units.parquet",),
    ),
    Command(
        "figure",
        "a figure for a paper, as PDF, SVG or PNG",
        _add_figure,
        _figure,
        packages=("reports",),
        examples=("dissect figure runs/a layers --out layers.pdf",),
    ),
)
