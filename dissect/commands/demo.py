"""The command ``demo``: the whole way, from a trained generator to a report.

Heavy imports stand inside functions, so that ``--help`` answers at once.
"""

import argparse
import sys

from dissect.commands.adding import Add, print_json

_SAMPLES = 1000


def add_demo(add: Add) -> None:
    """Add the subcommand, with ``add(name, command, summary)``."""
    demo = add("demo", _demo, "the whole way on a trained generator, to a report")
    demo.add_argument("--faces", action="store_true", help="faces, fetched, instead of scenes")
    demo.add_argument("--out", help="run folder (default: runs/demo or runs/faces)")
    demo.add_argument("--samples", type=int, default=_SAMPLES, help="default: %(default)s")


def _demo(options: argparse.Namespace) -> None:
    from dissect.counting.driver import dissect
    from dissect.generators import zoo
    from dissect.terminal import describe_run
    from reports import build_report

    generator, segmenter, layer = (
        ("faces-dcgan", "faces", "main.4")
        if options.faces
        else ("scenes-stylegan2", "scenes", "b16.conv1")
    )
    entry = zoo.find_entry(generator)
    if isinstance(entry, zoo.FetchedEntry) and not zoo.is_at_hand(generator):
        print(f"fetching {generator} ({entry.size}, {entry.licence}) …", file=sys.stderr)
        zoo.get(generator)
    out = options.out or ("runs/faces" if options.faces else "runs/demo")
    run = dissect(generator, segmenter, out=out, n_samples=options.samples, resume=True)
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
