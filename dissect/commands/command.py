"""A subcommand as a value, and what several of them need."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dissect.errors import ConfigError
from dissect.settings import Settings, add_settings, setting
from dissect.siblings import shadowing_message, shadowing_path


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Attributes:
        name: After ``dissect``.
        summary: One phrase for the help.
        add_options: Adds its arguments to a parser; called when the command is used.
        run: Runs it with the parsed arguments.
        packages: Packages beside ``dissect`` that it imports.
        json: Whether it can print one JSON object.
        examples: Command lines that its help shows.
    """

    name: str
    summary: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]
    packages: tuple[str, ...] = ()
    json: bool = True
    examples: tuple[str, ...] = ()

    def check_packages(self) -> None:
        """Refuse to import another package than this project's own.

        Raises:
            ConfigError: one that hides it.
        """
        for package in self.packages:
            path = shadowing_path(package)
            if path is not None:
                raise ConfigError(shadowing_message(package, path))


class NotesOptions(Settings):
    """Whether notes of people are shown, for what is given to others."""

    no_notes: bool = setting("leave out what people wrote about units", default=False)


def add_run_argument(parser: argparse.ArgumentParser) -> None:
    """The run folder that a command reads."""
    parser.add_argument("run", metavar="RUN", help="run folder")


def add_no_notes(parser: argparse.ArgumentParser) -> None:
    """``--no-notes``, for what is given to others."""
    add_settings(parser, NotesOptions)


def print_json(content: object) -> None:
    """One object on one line of stdout; NaN, which is no JSON, is a fault."""
    sys.stdout.write(json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n")


def write_file(path: str | Path, content: bytes) -> None:
    """Write a file at once, and the folders that it needs."""
    from dissect.runs.replacing import replace_file

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content)


@contextmanager
def nothing_kept(what: str) -> Iterator[None]:
    """Ctrl-C inside leaves nothing that could be gone on with; ``what`` says so.

    Raises:
        SystemExit: status 130, after the line on stderr.
    """
    try:
        yield
    except KeyboardInterrupt:
        print(f"dissect: stopped; {what}", file=sys.stderr)
        raise SystemExit(130) from None
