"""The command ``report``: a run as a page.

Heavy imports stand inside functions, so that ``--help`` answers at once.
"""

import argparse

from dissect.commands.adding import Add, print_json


def add_report(add: Add) -> None:
    """Add the subcommand, with ``add(name, command, summary)``."""
    report = add("report", _report, "write the report of a run as a page")
    report.add_argument("run", metavar="RUN")
    report.add_argument("--out", help="folder to write (default: RUN/report)")


def _report(options: argparse.Namespace) -> None:
    from dissect.runs import open_run
    from reports import build_report

    page = build_report(open_run(options.run), out=options.out)
    print_json({"report": str(page)}) if options.json else print(page)
