"""The command ``report``: a run as a page.

Heavy imports stand inside functions, so that ``--help`` answers at once.
"""

import argparse

from dissect.commands.adding import Add, add_no_notes, print_json


def add_report(add: Add) -> None:
    """Add the subcommand, with ``add(name, command, summary)``."""
    report = add("report", _report, "write the report of a run: pages that open from a file")
    report.add_argument("run", metavar="RUN")
    report.add_argument(
        "--out", help="folder to write, or file (default: RUN/report, RUN/report.html)"
    )
    report.add_argument(
        "--single-file", action="store_true", help="everything in one HTML file, to be sent"
    )
    report.add_argument("--layers", metavar="LAYER,…", help="only these (default: all)")
    report.add_argument(
        "--units", type=int, metavar="N",
        help="keep the images of the N clearest units of each layer only, and all numbers",
    )  # fmt: skip
    report.add_argument(
        "--budget", default="25MB", metavar="SIZE",
        help="most that a single file may take (default: %(default)s)",
    )  # fmt: skip
    add_no_notes(report)


def _report(options: argparse.Namespace) -> None:
    from dissect.runs import open_run
    from dissect.sizes import parse_size
    from reports import build_report

    layers = options.layers
    page = build_report(
        open_run(options.run),
        out=options.out,
        single_file=options.single_file,
        layers=None if layers is None else [name.strip() for name in layers.split(",")],
        units=options.units,
        budget=parse_size(options.budget),
        notes=options.notes,
        progress=True,
    )
    print_json({"report": str(page)}) if options.json else print(page)
