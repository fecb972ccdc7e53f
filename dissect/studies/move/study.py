"""The study ``move``: moves latents along directions and measures what changes in the images."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from dissect.studies.agreement_text import agreement_findings, agreement_tables
from dissect.studies.description import (
    EFFECT_COLUMNS,
    Bar,
    Column,
    Description,
    Table,
    measured,
    number_with_interval,
)
from dissect.studies.move.question import MOVE, MoveQuestion
from dissect.studies.study import Result, Study, Summary

if TYPE_CHECKING:
    from dissect.runs import Run

_COLUMNS = (
    *EFFECT_COLUMNS,
    Column(name="change", title="random", digits=1, signed=True, random=True),
)


class MoveStudy(Study[MoveQuestion]):
    """The latent of every sample is moved."""

    kind = MOVE
    help = "move latents along directions and measure what changes in the images"
    examples = ("dissect move runs/a --recipe older.json",)
    question = MoveQuestion
    without: ClassVar = frozenset({"moves"})

    def measure(
        self, run: "Run", question: MoveQuestion, *, name: str | None, device: str, progress: bool
    ) -> Result:
        """See ``Study.measure``."""
        from dissect.studies.move.measurement import measure_moves

        return measure_moves(run, question, name=name, device=device, progress=progress)

    def headline(self, summary: Summary) -> str:
        """See ``Study.headline``."""
        changed = [row for row in summary["side_effects"] if row["change"]]
        most = f"most in {changed[0]['concept']}" if changed else "no concept"
        return (
            f"{_moves_in_words(summary)}: image changes by {summary['image_change']:.3f}, {most}, "
            f"{summary['samples']:,} samples"
        )

    def describe(self, summary: Summary) -> Description:
        """See ``Study.describe``."""
        random = summary["random"]
        findings = [f"the image changes by {_number(summary, 'image_change')} of its range"]
        bars = [Bar.of("this move", summary, "image_change", random)]
        if random is not None:
            findings.append(
                f"random directions of the same length: {_number(random, 'image_change')} (mean of "
                f"{random['draws']} draws)"
            )
            bars.append(Bar.of("random directions", random, "image_change"))
        findings += agreement_findings(summary)
        rows = [row for row in summary["side_effects"] if row["removed"] or row["added"]]
        return Description(
            question="What changes when the latent is moved?",
            edits=_moves_in_words(summary),
            measured=measured(summary),
            findings=tuple(findings),
            bars=tuple(bars),
            facts=(("Samples", f"{summary['samples']:,}"), ("Move", _moves_in_words(summary))),
            tables=(
                Table(
                    title="What changes, in pixels per image?",
                    columns=_COLUMNS,
                    rows=rows,
                    n_first=8,
                ),
                *agreement_tables(summary),
            ),
        )

    def command(self, question: Mapping[str, Any]) -> str:
        """See ``Study.command``; the moves are read from the effect's own recipe.json."""
        return super().command({"recipe": "RECIPE.json", **question})


def _number(row: Mapping[str, Any], name: str) -> str:
    return number_with_interval(row, name, digits=3)


def _moves_in_words(summary: Summary) -> str:
    parts = []
    for move in summary["moves"]:
        layers = move["layers"]
        where = f", layers {', '.join(map(str, layers))}" if layers is not None else ""
        verb = "by" if move["mode"] == "add" else "to"
        parts.append(f"move in {move['space']} {verb} {move['strength']:g}{where}")
    return "; ".join(parts)
