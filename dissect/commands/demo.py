"""The command ``demo``: all steps, from a trained generator to a report.

Heavy imports are inside functions, so that ``--help`` answers at once.
"""

import argparse
import logging

from dissect.commands.command import Command, print_json
from dissect.config import RunConfig
from dissect.settings import Settings, add_settings, like, setting

_LOG = logging.getLogger(__name__)
DEMO_GENERATOR, DEMO_SEGMENTER = "scenes-stylegan2", "scenes"
"""What the demo opens, and with what; both come with this package."""


class DemoOptions(Settings):
    """Options of the demo."""

    faces: bool = setting("faces, whose generator is fetched, instead of scenes", default=False)
    out: str | None = setting("run folder (default: runs/demo or runs/faces)", default=None)
    n_samples: int = like(RunConfig, "n_samples", default=RunConfig.n_samples)


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, DemoOptions)


def _demo(options: argparse.Namespace) -> None:
    from dissect.counting.driver import dissect
    from dissect.generators import zoo
    from dissect.terminal import describe_run
    from reports import build_report

    generator, segmenter, layer = (
        ("faces-dcgan", "faces", "main.4")
        if options.faces
        else (DEMO_GENERATOR, DEMO_SEGMENTER, "b16.conv1")
    )
    entry = zoo.find_entry(generator)
    if isinstance(entry, zoo.FetchedEntry) and not zoo.is_at_hand(generator):
        _LOG.info("fetching %s (%s, %s) …", generator, entry.package.size, entry.licence)
        zoo.get(generator)
    out = options.out or ("runs/faces" if options.faces else "runs/demo")
    run = dissect(
        generator, segmenter, out=out, n_samples=options.n_samples, resume=True,
        progress=not options.quiet,
    )  # fmt: skip
    page = build_report(run)
    if options.json:
        print_json(run.summary() | {"report": str(page)})
        return
    print(describe_run(run))
    print(f"\nopen {page}\n\nthen try")
    print(f"  dissect show {out} --layer {layer}")
    print(
        f"  dissect run {generator} --segmenter {segmenter}+colour --layers {layer} "
        "--samples 500 --out runs/colour"
    )


COMMANDS = (
    Command(
        "demo",
        "the whole way on a trained generator, from samples to a report",
        _add_options,
        _demo,
        packages=("reports",),
        examples=("dissect demo", "dissect demo --faces"),
    ),
)
