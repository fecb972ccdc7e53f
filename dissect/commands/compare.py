"""The command ``compare``: runs side by side, as a page, one JSON object or a few lines.

Heavy imports are inside functions, so that ``--help`` answers at once.
"""

import argparse
import json
from typing import TYPE_CHECKING, Any

from dissect.commands.command import Command, add_no_notes, nothing_kept, print_json
from dissect.config import RunOptions
from dissect.errors import ConfigError
from dissect.settings import Settings, add_settings, setting

if TYPE_CHECKING:
    from dissect.counting.matching import UnitMatching
    from dissect.runs.compare import Comparison


class CompareOptions(Settings):
    """Options of ``compare``."""

    out: str = setting("page to write", default="comparison.html", metavar="FILE")
    match: int | None = setting(
        "also match units by their activations on that many samples; loads the generators",
        default=None, at_least=1, metavar="SAMPLES",
    )  # fmt: skip
    generators: tuple[str, ...] = setting(
        "for --match: the runs' generators in their order, as you name them yourself",
        default=(), metavar="NAME,…",
    )  # fmt: skip


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help="two or more; A is the first")
    add_settings(parser, CompareOptions)
    add_settings(parser, RunOptions, "device")
    add_no_notes(parser)


def _compare(options: argparse.Namespace) -> None:
    from dissect.runs import open_run
    from dissect.runs.compare import compare_runs
    from reports.comparison import build_comparison

    named = options.generators or (None,) * len(options.runs)
    if len(named) != len(options.runs):
        raise ConfigError(
            f"--generators are {len(named)}; expected one for each of the {len(options.runs)} runs"
        )
    comparison = compare_runs(
        [open_run(path, generator=one) for path, one in zip(options.runs, named, strict=True)]
    )
    matchings = [] if options.match is None else _match(comparison, options)
    page = build_comparison(comparison, matchings, out=options.out, notes=not options.no_notes)
    if options.json:
        print_json(_as_json(comparison, matchings) | {"page": str(page)})
        return
    print(_as_text(comparison, matchings), f"\n\nopen {page}", sep="")


def _match(comparison: "Comparison", options: argparse.Namespace) -> "list[UnitMatching]":
    from dissect.counting.matching import match_units
    from dissect.counting.samples import check_device
    from dissect.studies.originals import open_generator

    check_device(options.device)
    with nothing_kept("nothing was compared"):
        generators = [open_generator(run, device=options.device) for run in comparison.runs]
        return [
            match_units(
                comparison.runs, generators, comparison.layers, position=position,
                n_samples=options.match, progress=not options.quiet,
            )
            for position in range(1, len(generators))
        ]  # fmt: skip


def _as_json(comparison: "Comparison", matchings: "list[UnitMatching]") -> dict[str, object]:
    import dataclasses
    import math

    def plain(value: Any) -> Any:
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if isinstance(value, dict):
            return {key: plain(one) for key, one in value.items()}
        return [plain(one) for one in value] if isinstance(value, list | tuple) else value

    others = range(1, len(comparison.runs))
    return {
        "runs": [
            {"letter": letter, "name": name}
            | {key: value for key, value in run.summary().items() if key != "layers"}
            for letter, name, run in zip(
                comparison.letters, comparison.names, comparison.runs, strict=True
            )
        ],
        "cautions": [dataclasses.asdict(caution) for caution in comparison.cautions],
        "aligned_by": comparison.aligned_by,
        "layers": [plain(dataclasses.asdict(row)) for row in comparison.layers],
        "concepts": [
            plain(dataclasses.asdict(row)) | {"changes": [row.change(run) for run in others]}
            for row in comparison.concepts
        ],
        "changes": {
            comparison.letters[run]: {
                change: [row.name for row in comparison.changed(run, change)]
                for change in ("gained", "lost")
            }
            for run in others
        },
        "matches": [
            {
                "run": comparison.letters[m.position],
                "samples": m.n_samples,
                "units": len(m.best),
                "matched": json.loads(m.matched.drop(columns="matched").to_json(orient="records")),
            }
            for m in matchings
        ],
    }  # fmt: skip


def _as_text(comparison: "Comparison", matchings: "list[UnitMatching]") -> str:
    lines = []
    for position, (letter, name) in enumerate(
        zip(comparison.letters, comparison.names, strict=True)
    ):
        findings = comparison.findings(position)
        found, units = (sum(getattr(f, n) for f in findings) for n in ("named", "units"))
        lines.append(f"{letter}  {name}: {found} of {units} units named")
    for run in range(1, len(comparison.runs)):
        for change in ("gained", "lost"):
            names = [row.name for row in comparison.changed(run, change)]
            shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" * (len(names) > 12))
            lines.append(f"A to {comparison.letters[run]}, {change}: {shown or 'none'}")
    for matching in matchings:
        lines.append(
            f"A to {comparison.letters[matching.position]}: {len(matching.matched)} of "
            f"{len(matching.best)} units matched on {matching.n_samples} samples"
        )
    for caution in comparison.cautions:
        values = "; ".join(
            f"{letter} {value}"
            for letter, value in zip(comparison.letters, caution.values, strict=True)
        )
        lines.append(f"caution, {caution.what}: {values}: {caution.consequence}")
    return "\n".join(lines)


COMMANDS = (
    Command(
        "compare",
        "runs side by side: layers, concepts gained and lost, units",
        _add_options,
        _compare,
        packages=("reports",),
        examples=("dissect compare runs/a runs/b", "dissect compare runs/a runs/b --match 200"),
    ),
)
