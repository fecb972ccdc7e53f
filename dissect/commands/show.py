"""The command ``show``: the table of a run in the terminal.

Heavy imports stand inside functions, so that ``--help`` answers at once.
"""

import argparse
import json

from dissect.commands.adding import Add, print_json


def add_show(add: Add) -> None:
    """Add the subcommand, with ``add(name, command, summary)``."""
    show = add("show", _show, "the table of a run in the terminal")
    show.add_argument("run", metavar="RUN")
    show.add_argument("--layer", help="only this layer")
    show.add_argument("--concept", help="all units against this concept")
    show.add_argument("--csv", action="store_true", help="all rows as CSV")
    show.add_argument("--rows", type=int, default=20, help="most to print (default: %(default)s)")


def _show(options: argparse.Namespace) -> None:
    from dissect.runs import open_run
    from dissect.terminal import describe_run, format_rows, select_rows

    run = open_run(options.run)
    table = select_rows(run, options.layer, options.concept)
    if options.json:
        # The rows only where somebody chose some: a whole run has hundreds of thousands.
        chosen = options.layer is not None or options.concept is not None
        rows = {"rows": json.loads(table.to_json(orient="records"))} if chosen else {}
        print_json(run.summary() | rows)
    elif options.csv:
        print(table.to_csv(index=False), end="")
    else:
        print(describe_run(run), format_rows(table, options.rows), sep="\n\n")
