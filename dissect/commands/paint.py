"""The command ``paint``: a painted image from its recipe, with the bytes of the dashboard's image.

Heavy imports are inside functions, so that ``--help`` answers at once.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from dissect.commands.command import (
    Command,
    ModelsAgain,
    nothing_kept,
    open_named_run,
    print_json,
)
from dissect.settings import add_settings


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", metavar="RUN", help="a run of the generator that it was painted with"
    )
    parser.add_argument("recipe", metavar="RECIPE", help="JSON, saved from the paint page")
    parser.add_argument("--out", required=True, metavar="FILE", help="PNG to write")
    add_settings(parser, ModelsAgain)


def _paint(options: argparse.Namespace) -> None:
    from dissect.painting.canvas import Canvas, changes, to_png
    from dissect.painting.recipe import LARGEST_BYTES, read_recipe
    from dissect.painting.suggestions import advise
    from dissect.painting.verdict import judge_all
    from dissect.runs.replacing import replace_file

    with Path(options.recipe).open("rb") as file:
        painting = read_recipe(file.read(LARGEST_BYTES + 1))
    with nothing_kept("no image was written"):
        canvas = Canvas(open_named_run(options))
        painted = canvas.paint(painting)
        found = changes(canvas.original(painting), painted, canvas.vocabulary)
        verdicts = judge_all(canvas, painting)
        advice = advise(canvas, painting) if painting.strokes else None
        out = Path(options.out)
        replace_file(out, to_png(painted.image))
    if options.json:
        rows = [{"concept": c.concept, "before": c.before, "after": c.after} for c in found]
        counts = {"strokes": len(painting.strokes), "edits": len(painting.edits)}
        judged = [
            {**asdict(one), "became": dict(one.became), "worked": one.worked, "words": one.words}
            for one in verdicts
        ]
        advice_lines = [] if advice is None else advice.lines
        found = {"verdicts": judged, "advice": advice_lines}
        print_json({"file": str(out), **counts, **found, "changes": rows})
        return
    parts = f"{len(painting.strokes)} strokes"
    parts += f", {len(painting.edits)} other edits" if painting.edits else ""
    print(f"{out}: sample {painting.index} of seed {painting.seed}, {parts}")
    for number, verdict in enumerate(verdicts, start=1):
        print(f"  stroke {number}: {verdict.words}")
    if advice is not None:
        print(*(f"    {line}" for line in advice.lines[1:]), sep="\n")
    for one in sorted(found, key=lambda c: -abs(c.after - c.before))[:8]:
        print(f"  {one.concept}: {one.before:,} to {one.after:,} pixels")


COMMANDS = (
    Command(
        "paint",
        "make a painted image again from its recipe",
        _add_options,
        _paint,
        examples=("dissect paint runs/a recipe.json --out painted.png",),
    ),
)
