"""The command ``blind``: a blind test of whether people see a unit's label in its images.

Heavy imports are inside functions, so that ``--help`` answers at once.
"""

import argparse
from pathlib import Path

from dissect.commands.command import Command, add_run_argument, print_json, write_file
from dissect.settings import Settings, add_settings, given_settings, setting


class BlindFiles(Settings):
    """Files of a blind test."""

    out: str | None = setting(
        "HTML file to write; default: RUN/blind/test-SEED.html", default=None, metavar="FILE"
    )
    answers: str | None = setting(
        "file of answers that the page gave you; they are kept with the run",
        default=None, metavar="FILE",
    )  # fmt: skip


def _add_options(parser: argparse.ArgumentParser) -> None:
    from dissect.blind.options import BlindOptions

    add_run_argument(parser)
    add_settings(parser, BlindOptions)
    add_settings(parser, BlindFiles)


def _blind(options: argparse.Namespace) -> None:
    from dissect.blind.answers import keep_answers, read_answer_file
    from dissect.blind.options import BlindOptions
    from dissect.blind.score import scores
    from dissect.runs import open_run
    from reports.blind import blind_page

    run = open_run(options.run)
    page = None
    if options.answers is not None:
        keep_answers(run, read_answer_file(run, options.answers))
    else:
        blind_options = BlindOptions(**given_settings(options, BlindOptions))
        page = Path(options.out or run.path / "blind" / f"test-{blind_options.seed}.html")
        write_file(page, blind_page(run, blind_options).encode())
    found = scores(run)
    if options.json:
        rungs = [one.to_json() for one in found]
        print_json({"run": str(run.path), "page": page and str(page), "scores": rungs})
        return
    for one in found:
        print(one.words)
    if page is not None:
        print(
            f"\nopen {page}\nanswer, download the answers, then\n"
            f"  dissect blind {options.run} --answers FILE"
        )


COMMANDS = (
    Command(
        "blind",
        "a blind test of labels: people choose among four concepts for a unit's images",
        _add_options,
        _blind,
        packages=("reports",),
        examples=("dissect blind runs/a", "dissect blind runs/a --answers blind-answers.json"),
    ),
)
