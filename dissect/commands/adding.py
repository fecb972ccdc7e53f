"""What every subcommand needs: how it is added, and how it prints one JSON object."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Add = Callable[[str, Callable[[argparse.Namespace], None], str], argparse.ArgumentParser]
"""``add(name, command, summary)`` gives the parser of a new subcommand."""


def add_no_notes(command: argparse.ArgumentParser) -> None:
    """``--no-notes``, for what is given to others."""
    command.add_argument(
        "--no-notes", dest="notes", action="store_false", help="without what people said of units"
    )


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
