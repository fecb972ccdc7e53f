"""The command ``report``: a run as a web page.

Heavy imports are inside functions, so that ``--help`` answers at once.
"""

import argparse

from dissect.commands.command import Command, add_no_notes, add_run_argument, print_json
from dissect.settings import Settings, add_settings, setting


class ReportOptions(Settings):
    """Options of ``report``."""

    out: str | None = setting(
        "folder to write, or file (default: RUN/report, RUN/report.html)", default=None
    )
    single_file: bool = setting("everything in one HTML file, to be sent", default=False)
    layers: tuple[str, ...] | None = setting(
        "only these layers; default: all", default=None, metavar="LAYER,…",
        expected="names of layers with commas between",
    )  # fmt: skip
    units: int | None = setting(
        "keep the images of the N clearest units of each layer only, and all numbers",
        default=None, at_least=0, metavar="N",
    )  # fmt: skip
    budget: str = setting(
        "most that a single file may take", default="25MB", metavar="SIZE",
    )  # fmt: skip


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    add_settings(parser, ReportOptions)
    add_no_notes(parser)


def _report(options: argparse.Namespace) -> None:
    from dissect.runs import open_run
    from dissect.sizes import parse_size
    from reports import build_report

    page = build_report(
        open_run(options.run),
        out=options.out,
        single_file=options.single_file,
        layers=options.layers,
        units=options.units,
        budget=parse_size(options.budget),
        notes=not options.no_notes,
        progress=not options.quiet,
    )
    print_json({"report": str(page)}) if options.json else print(page)


COMMANDS = (
    Command(
        "report",
        "write the report of a run: pages that open from a file",
        _add_options,
        _report,
        packages=("reports",),
        examples=("dissect report runs/a", "dissect report runs/a --single-file"),
    ),
)
