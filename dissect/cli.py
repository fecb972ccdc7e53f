"""The command line: parses the arguments, runs a subcommand, reports an error in one line.

``--json`` prints one object on stdout; progress and log lines go to stderr. Exit status: 0, 2 for a
user's error (one line on stderr), 130 after Ctrl-C, 1 for a fault of the program or a run that
ended partial.
"""

import argparse
import logging
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from dissect import __version__
from dissect.commands import COMMANDS, Command
from dissect.errors import ConfigError, DissectError, PartialRunError, SettingError
from segmenters.nearest import did_you_mean
from segmenters.plain_text import one_line, printable_output

_LOG = logging.getLogger(__name__)


class _Parser(argparse.ArgumentParser):
    """Reports an error in one line, with the nearest name; adds its options when it is used."""

    def __init__(self, *given: Any, command: Command | None = None, **options: Any) -> None:
        super().__init__(*given, **options)
        self._command = command
        self._subcommands: list[_Parser] = []

    def complete(self) -> "_Parser":
        """Add the options of its command, unless they were added already."""
        command, self._command = self._command, None
        if command is not None:
            command.check_packages()
            command.add_options(self)
            if command.actions:
                self._subcommands = _add_commands(self, command.actions, metavar="ACTION")
            elif command.json:
                self.add_argument("--json", action="store_true", help="print one JSON object")
            _add_common(self, default=argparse.SUPPRESS)
        return self

    def complete_all(self) -> None:
        """Add the options of its command and of all commands below."""
        self.complete()
        for parser in self._subcommands:
            parser.complete_all()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride] - overloads in typeshed
        self.complete()
        self._check_flags(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; {self.prog} --help lists what it takes")

    def _check_flags(self, arguments: Sequence[str]) -> None:
        """Reject an unknown flag early; argparse would first report missing ones."""
        known = [flag for flag in self._option_string_actions if flag.startswith("--")]
        for argument in arguments:
            # Flags after a subcommand belong to it.
            if argument == "--" or (self._subparsers and not argument.startswith("-")):
                break
            flag = argument.partition("=")[0]
            if flag.startswith("--") and not any(one.startswith(flag) for one in known):
                raise ConfigError(
                    f"{flag} is not an option; {did_you_mean(flag, known)}{self.prog} --help lists "
                    "what it takes"
                )

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            names = [str(one) for one in action.choices]
            what = "the command" if action.dest == argparse.SUPPRESS else action.dest
            raise ConfigError(
                f"{what} is {value!r}; {did_you_mean(value, names)}expected {', '.join(names)}"
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    with printable_output():
        return _main(sys.argv[1:] if arguments is None else arguments)


def _main(arguments: Sequence[str]) -> int:
    debug = "--debug" in arguments
    # Threads that spin while they wait for each other slow down a lot when other programs use the
    # cores too. This has to be set before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    options = argparse.Namespace()
    try:
        build_parser().parse_args(arguments, options)
        with _log_lines(options):
            options.command(options)
        sys.stdout.flush()
    except DissectError as error:
        status = 1 if isinstance(error, PartialRunError) else 2
        return _report(_line(error, options), status=status, debug=debug)
    except BrokenPipeError:
        # The reader has closed the pipe (`dissect show R | head`); nothing more may be flushed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return _report(
            f"{error.strerror or error}{where}; expected a place that can be read and written; "
            "check the path, its permissions and the free space",
            debug=debug,
        )
    except KeyboardInterrupt:
        kept = "; what was counted is kept, the same command with --resume continues"
        print(f"dissect: stopped{kept if hasattr(options, 'resume') else ''}", file=sys.stderr)
        return 130
    except Exception as error:  # a fault of the program, or of a custom generator
        what = " ".join(str(error).split())[:300]
        hint = "" if debug else "; run it again with --debug for the traceback"
        return _report(f"fault: {type(error).__name__}: {what}{hint}", status=1, debug=debug)
    return 0


def build_parser(*, complete: bool = False) -> argparse.ArgumentParser:
    """The parser of the command line.

    Args:
        complete: Add the options of every command now, not when one of them is used.
    """
    parser = _Parser(
        prog="dissect",
        description="Opens image generators: which unit draws what, with evidence.",
        epilog="GENERATOR is a zoo name, the path of a checkpoint, or package.module:factory.",
    )
    parser.add_argument("--version", action="version", version=f"dissect {__version__}")
    _add_common(parser, default=False)
    parser.set_defaults(build_parser=build_parser)
    parser._subcommands = _add_commands(parser, COMMANDS, metavar="COMMAND")
    if complete:
        parser.complete_all()
    return parser


def _add_commands(parser: _Parser, commands: Sequence[Command], *, metavar: str) -> list[_Parser]:
    """Add a parser for each command, whose options are added when it is used."""
    subparsers = parser.add_subparsers(metavar=metavar, required=True, parser_class=_Parser)
    found = []
    for command in commands:
        examples = "".join(f"\n  {example}" for example in command.examples)
        one = subparsers.add_parser(
            command.name,
            help=command.summary,
            description=command.summary[:1].upper() + command.summary[1:],
            epilog=f"examples:{examples}" if examples else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            command=command,
        )
        one.set_defaults(command=command.run)
        found.append(one)
    return found


def _add_common(parser: argparse.ArgumentParser, *, default: Any) -> None:
    """Options that are allowed before or after the name of a command."""
    for flags, meaning in (
        (("-v", "--verbose"), "log what is loaded and how long it takes, on stderr"),
        (("-q", "--quiet"), "no progress bars, no log lines but warnings"),
        (("--debug",), "show the traceback of a mistake or fault"),
    ):
        parser.add_argument(*flags, action="store_true", default=default, help=meaning)


@contextmanager
def _log_lines(options: argparse.Namespace) -> Iterator[None]:
    """Log lines of the project on stderr while a command runs."""
    level = logging.DEBUG if options.verbose else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    logs = [logging.getLogger(name) for name in ("dissect", "segmenters")]
    before = [(log, log.level, log.propagate) for log in logs]
    for log in logs:
        log.addHandler(handler)
        log.setLevel(logging.WARNING if options.quiet else level)
        log.propagate = False  # a server configures the root logger as well
    started = time.monotonic()
    try:
        yield
        _LOG.debug("took %.1f s", time.monotonic() - started)
    finally:
        for log, earlier, propagate in before:
            log.removeHandler(handler)
            log.setLevel(earlier)
            log.propagate = propagate


def _line(error: DissectError, options: argparse.Namespace) -> str:
    """The message of an error, in which a setting has the name of its flag."""
    flags = getattr(options, "flags", {})
    if isinstance(error, SettingError) and error.name in flags:
        return f"{flags[error.name]} {error.problem}"
    return str(error)


def _report(line: str, *, status: int = 2, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"dissect: {one_line(line)}", file=sys.stderr)
    return status
