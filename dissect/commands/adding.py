"""What every subcommand needs: how it is added, and how it prints one JSON object."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dissect.runs import Run

Add = Callable[[str, Callable[[argparse.Namespace], None], str], argparse.ArgumentParser]
"""``add(name, command, summary)`` gives the parser of a new subcommand."""


def add_no_notes(command: argparse.ArgumentParser) -> None:
    """``--no-notes``, for what is given to others."""
    command.add_argument(
        "--no-notes", dest="notes", action="store_false", help="without what people said of units"
    )


def add_models_again(command: argparse.ArgumentParser) -> None:
    """``--generator`` and ``--segmenter``, for what loads the models of a run."""
    for kind in ("generator", "segmenter"):
        command.add_argument(
            f"--{kind}", metavar="NAME",
            help=f"the run's {kind}, where you say it yourself: a factory of a run that was made "
            "elsewhere, or the place where a file lies now",
        )  # fmt: skip


def open_named_run(options: argparse.Namespace) -> "Run":
    """The run of a command with ``add_models_again``."""
    from dissect.runs import open_run

    return open_run(options.run, generator=options.generator, segmenter=options.segmenter)


def print_json(content: object) -> None:
    """One object on one line of stdout; NaN, which is no JSON, is a fault."""
    sys.stdout.write(json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n")


def measure_settings(options: argparse.Namespace) -> dict[str, object]:
    """What every measurement of units takes, under the names of its arguments."""
    return {
        "layer": options.layer,
        "n_units": options.units,
        "n_samples": options.samples,
        "n_search": options.search,
        "n_candidates": options.candidates,
        "draws": options.draws,
        "name": options.name,
        "device": options.device,
    }


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
