"""The commands ``export`` and ``figure``: a run for other programs, and for papers.

Heavy imports stand inside functions, so that ``--help`` answers at once.
"""

import argparse
import sys
from pathlib import Path

from dissect.commands.adding import Add, add_no_notes, print_json
from dissect.errors import ConfigError

_FORMATS = ("csv", "parquet", "json", "latex")
_FIGURES = ("layers", "concepts", "unit", "curve")


def add_export(add: Add) -> None:
    """Add the subcommands, with ``add(name, command, summary)``."""
    export = add("export", _export, "the units table as CSV, Parquet, JSON or LaTeX")
    export.add_argument("run", metavar="RUN")
    export.add_argument("--format", choices=_FORMATS, default="csv", help="default: %(default)s")
    export.add_argument("--out", metavar="FILE", help="default: print it")
    export.add_argument("--layer", help="only this layer")
    export.add_argument("--concept", help="all units against this concept")
    export.add_argument(
        "--interpretable", action="store_true", help="only units named after the concept"
    )
    export.add_argument("--rows", type=int, help="at most so many, those that tell most")
    add_no_notes(export)
    figure = add("figure", _figure, "a figure for a paper, as PDF, SVG or PNG")
    figure.add_argument("run", metavar="RUN")
    figure.add_argument("kind", choices=_FIGURES, metavar="|".join(_FIGURES))
    figure.add_argument("--out", required=True, metavar="FILE", help=".pdf, .svg or .png")
    figure.add_argument(
        "--width", default="column",
        help="column (3.25 inches), page (6.875) or a number of inches; default: %(default)s",
    )  # fmt: skip
    figure.add_argument("--layer", help="of the unit")
    figure.add_argument("--unit", type=int, help="for unit: its number")
    figure.add_argument("--effect", metavar="NAME", help="for curve: which; see dissect effects")
    figure.add_argument("--concept", help="for curve: whose pixels; default: the one asked about")
    figure.add_argument(
        "--most", type=int, default=24, help="for concepts: at most so many; default: %(default)s"
    )


def _export(options: argparse.Namespace) -> None:

    from dissect.runs import open_run
    from reports.exporting import COLUMNS, export_table, units_table

    run = open_run(options.run)
    kind = "json" if options.json and options.out is None else options.format
    if kind == "parquet" and options.out is None:
        raise ConfigError("parquet was asked for without a file; expected one; give --out FILE")
    table = units_table(
        run, layer=options.layer, concept=options.concept,
        interpretable=options.interpretable, n_rows=options.rows, notes=options.notes,
    )  # fmt: skip
    name = run.record["generator"]["name"]
    about = f" and {options.concept}" if options.concept else ""
    content = export_table(table, kind, caption=f"Units of {name}{about}.")
    if options.out is None:
        sys.stdout.write(content.decode())
        return
    _write(Path(options.out), content)
    if options.json:
        columns = {name: COLUMNS[name] for name in table}
        told = {"out": options.out, "format": kind, "rows": len(table), "columns": columns}
        print_json(told)
    else:
        print(options.out)


def _figure(options: argparse.Namespace) -> None:

    from dissect.runs import open_run
    from dissect.studies.store import effect_names, open_effect
    from reports import figures

    suffix = figures.check_suffix(options.out)
    width = figures.read_width(options.width)
    run = open_run(options.run)
    if options.kind == "layers":
        content = figures.draw_layers(run, width=width, suffix=suffix)
    elif options.kind == "concepts":
        content = figures.draw_concepts(run, width=width, suffix=suffix, most=options.most)
    elif options.kind == "unit":
        if options.layer is None or options.unit is None:
            raise ConfigError("figure unit was given no unit; expected --layer L and --unit U")
        content = figures.draw_unit(run, options.layer, options.unit, width=width, suffix=suffix)
    else:
        if options.effect is None:
            names = ", ".join(effect_names(run)) or "none yet; dissect ablate … --curve makes one"
            raise ConfigError(f"figure curve was given no effect; expected --effect: {names}")
        effect = open_effect(run, options.effect)
        content = figures.draw_curve(effect, options.concept, width=width, suffix=suffix)
    _write(Path(options.out), content)
    print_json({"figure": options.out}) if options.json else print(options.out)


def _write(path: Path, content: bytes) -> None:
    from dissect.runs.replacing import replace_file

    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content)
