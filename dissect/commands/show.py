"""The command ``show``: the table of a run in the terminal.

Heavy imports are inside functions, so that ``--help`` answers at once.
"""

import argparse
import json
from typing import TYPE_CHECKING

from dissect.commands.command import Command, add_run_argument, print_json
from dissect.settings import Settings, add_settings, setting

if TYPE_CHECKING:
    import pandas as pd


class ShowOptions(Settings):
    """Options of ``show``."""

    layer: str | None = setting("only this layer", default=None)
    concept: str | None = setting("all units against this concept", default=None)
    csv: bool = setting("all rows as CSV", default=False)
    rows: int = setting("most rows to print", default=20, at_least=0)


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    add_settings(parser, ShowOptions)


def _show(options: argparse.Namespace) -> None:
    from dissect.runs import open_run
    from dissect.runs.notes import with_second
    from dissect.spreadsheets import to_csv
    from dissect.terminal import describe_run, format_rows, select_rows

    run = open_run(options.run)
    table = select_rows(run, options.layer, options.concept)
    table = with_second(run, table)
    if options.json:
        # Rows only if the user selected some: a whole run has hundreds of thousands.
        chosen = options.layer is not None or options.concept is not None
        rows = {"rows": json.loads(table.to_json(orient="records"))} if chosen else {}
        print_json(run.summary() | rows)
    elif options.csv:
        print(to_csv(table), end="")
    else:
        rows = _with_second(format_rows(table, options.rows), table.head(options.rows))
        print(describe_run(run), rows, sep="\n\n")


def _with_second(lines: str, shown: "pd.DataFrame") -> str:
    """The lines of a table with a column of people's labels of its units, if any."""
    from dissect.runs.notes import SECOND

    if SECOND not in shown:
        return lines
    head, *rows = lines.split("\n")
    called = ["people call it", *(name or "–" for name in shown[SECOND])]
    width = max(map(len, [head, *rows[: len(shown)]]))
    joined = [f"{row:<{width}}  {name}" for row, name in zip([head, *rows], called, strict=False)]
    return "\n".join([*joined, *rows[len(shown) :]])


COMMANDS = (
    Command(
        "show",
        "the table of a run in the terminal",
        _add_options,
        _show,
        examples=("dissect show runs/a --layer b16.conv1 --concept tree",),
    ),
)
