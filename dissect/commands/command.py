"""A subcommand as a value, and shared parts of several subcommands."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dissect.errors import ConfigError
from dissect.settings import Settings, add_settings, setting
from dissect.siblings import shadowing_message, shadowing_path
from segmenters.plain_text import escape_json

if TYPE_CHECKING:
    from dissect.runs import Run


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Attributes:
        name: Name after ``dissect``.
        summary: One phrase for the help.
        add_options: Adds its arguments to a parser; called when the command is used.
        run: Runs it with the parsed arguments.
        packages: Packages besides ``dissect`` that it imports.
        json: Whether it can print one JSON object.
        examples: Command lines for its help.
        actions: Subcommands of its own; it has their options and no others, and one of them runs.
    """

    name: str
    summary: str
    add_options: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    run: Callable[[argparse.Namespace], None] = lambda options: None
    packages: tuple[str, ...] = ()
    json: bool = True
    examples: tuple[str, ...] = ()
    actions: tuple["Command", ...] = ()

    def check_packages(self) -> None:
        """Check that imported packages are this project's own.

        Raises:
            ConfigError: another package hides one of them.
        """
        for package in self.packages:
            path = shadowing_path(package)
            if path is not None:
                raise ConfigError(shadowing_message(package, path))


class NotesOptions(Settings):
    """Whether people's notes are included in output for others."""

    no_notes: bool = setting("leave out what people wrote about units", default=False)


class WeightsOptions(Settings):
    """The weights to take from a file."""

    weights: str | None = setting(
        "group of weights to take of a file, as inspect lists them; default: the averaged one",
        default=None, metavar="GROUP",
    )  # fmt: skip


class PromptsOptions(Settings):
    """The texts that a generator draws."""

    prompts: str | None = setting(
        "texts to draw, one a line, for a generator of texts; GENERATOR?prompt=TEXT is one text",
        default=None, metavar="FILE",
    )  # fmt: skip


def find_generator(options: argparse.Namespace) -> str:
    """The given generator, with the chosen group of weights and the texts of files.

    Raises:
        GeneratorError: weights were chosen, but the generator is not a file.
    """
    from dissect.generators.loading import choose_weights
    from dissect.generators.prompts import add_prompts

    spec = choose_weights(options.generator, options.weights)
    return add_prompts(spec, getattr(options, "prompts", None))


def add_run_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument for the run folder."""
    parser.add_argument("run", metavar="RUN", help="run folder")


def add_no_notes(parser: argparse.ArgumentParser) -> None:
    """Add ``--no-notes``, for output that is given to others."""
    add_settings(parser, NotesOptions)


class ModelsAgain(Settings):
    """The user's own specs of a run's models, for commands that load them."""

    generator: str | None = setting(
        "the run's generator, as you name it yourself: a factory that a run of others names, or "
        "the place where its file lies now",
        default=None, metavar="NAME",
    )  # fmt: skip
    segmenter: str | None = setting(
        "the run's segmenter, as you name it yourself", default=None, metavar="NAME"
    )


def open_named_run(options: argparse.Namespace) -> "Run":
    """The run of a command with the options of ``ModelsAgain``."""
    from dissect.runs import open_run

    return open_run(options.run, generator=options.generator, segmenter=options.segmenter)


def print_json(content: object) -> None:
    """Print one object on one line of stdout; NaN, which JSON does not allow, is a fault."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    sys.stdout.write(escape_json(text) + "\n")


def write_file(path: str | Path, content: bytes) -> None:
    """Write a file atomically, and create its folders."""
    from dissect.runs.replacing import replace_file

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content)


@contextmanager
def nothing_kept(what: str) -> Iterator[None]:
    """Report that Ctrl-C left nothing to resume; ``what`` is the message.

    Raises:
        SystemExit: status 130, after the line on stderr.
    """
    try:
        yield
    except KeyboardInterrupt:
        print(f"dissect: stopped; {what}", file=sys.stderr)
        raise SystemExit(130) from None
