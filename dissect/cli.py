"""The command line: reads the arguments, runs a subcommand, tells a mistake in one line.

``--json`` prints one object on stdout; progress and logs go to stderr. Exit status: 0, 2 for a
mistake in what was given (one line on stderr), 130 after Ctrl-C, 1 for a fault of the program.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from dissect.commands import ADDERS
from dissect.errors import DissectError


class _Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, as the rest of the program does."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; {self.prog} --help lists what it takes\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    # Threads that spin while they wait for each other take many times as long where other programs
    # want the cores too. It has to be said before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        options.command(options)
        sys.stdout.flush()
    except DissectError as error:
        print(f"dissect: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader has seen enough (`dissect show R | head`); nothing may be flushed any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        print(
            f"dissect: {error.strerror or error}{where}; expected a place that can be read and "
            "written; check the path, its permissions and the free space",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        kept = "; what was counted is kept, the same command with --resume goes on"
        print(f"dissect: stopped{kept if hasattr(options, 'resume') else ''}", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="dissect",
        description="Opens image generators: which unit draws what, with evidence.",
        epilog="GENERATOR is a zoo name, the path of a checkpoint, or package.module:factory.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    def add(name: str, command: object, summary: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(command=command)
        sub.add_argument("--json", action="store_true", help="print one JSON object")
        return sub

    for add_command in ADDERS:
        add_command(add)
    return parser
