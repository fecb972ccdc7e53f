"""The studies ``ablate`` and ``insert``: what does a set of units do to a concept?"""

from typing import TYPE_CHECKING, ClassVar

from dissect.studies.ablate_insert.question import ABLATE, INSERT, SetQuestion, share_of
from dissect.studies.description import Bar, Description, count_units, measured, side_effects
from dissect.studies.orders import order_label
from dissect.studies.study import SHEET, Picture, Result, Summary
from dissect.studies.unit_study import UnitStudy

if TYPE_CHECKING:
    from dissect.runs import Run

CURVE = Picture(
    "curve.svg", "Effect against the number of units, with random ones", "image/svg+xml"
)


class _SetStudy(UnitStudy[SetQuestion]):
    question = SetQuestion
    pictures = (SHEET, CURVE)
    movement: ClassVar[str]
    """What happens to the concept, before the units are named."""

    def measure(
        self, run: "Run", question: SetQuestion, *, name: str | None, device: str, progress: bool
    ) -> Result:
        """See ``Study.measure``."""
        from dissect.studies.ablate_insert.measurement import measure_set

        return measure_set(run, question, name=name, device=device, progress=progress)

    def headline(self, summary: Summary) -> str:
        """See ``Study.headline``."""
        share = summary["target"][self.share]
        shown = "–" if share is None else f"{share:.2f}"
        return f"{shown} of {summary['concept']} {self.verb}, {summary['samples']:,} samples"

    def describe(self, summary: Summary) -> Description:
        """See ``Study.describe``."""
        concept, target, random = summary["concept"], summary["target"], summary["random"]
        pixels = f"{target['before']:,.1f} → {target['after']:,.1f}"
        findings = [
            f"{concept}: {pixels} pixels per image, {self._share(target)} {self.verb}",
        ]
        if random is not None:
            findings.append(
                f"the same number of random units: {self._share(random)} {self.verb} (mean of "
                f"{len(random['draws'])} draws)"
            )
        if target.get("ace") is not None:
            findings.append(
                f"causal effect δ = {target['ace']:.3f} [{target['ace_low']:.3f}, "
                f"{target['ace_high']:.3f}] of the pixels"
            )
        layers = self.layers(summary)
        bars = [Bar.of("these units", target, self.share, random)]
        if random is not None:
            bars.append(Bar.of("random units", random, self.share))
        return Description(
            question=f"What {self.movement} {count_units(layers)}?",
            edits=f"{self.kind} {count_units(layers)}, order {summary['order']}",
            measured=measured(summary),
            findings=tuple(findings),
            layers=layers,
            concept=concept,
            bars=tuple(bars),
            facts=(
                (f"{concept}, pixels per image", pixels),
                ("Samples", f"{summary['samples']:,}"),
                ("Layer", summary["layer"]),
                ("Chosen by", order_label(summary["order"])),
            ),
            tables=(side_effects(summary, "What else changes, in pixels per image?"),),
        )

    def _share(self, row: Summary) -> str:
        values = [row[f"{self.share}{end}"] for end in ("", "_low", "_high")]
        if values[0] is None:
            return "an undefined share"
        return "{:.2f} [{:.2f}, {:.2f}]".format(*values)


class AblateStudy(_SetStudy):
    """Units are taken away: what goes?"""

    kind = ABLATE
    help = "set units to zero and measure what disappears from the images"
    examples = ("dissect ablate runs/a --concept window --units 20 --curve iou,greedy",)
    fixed: ClassVar = {"kind": ABLATE}
    without: ClassVar = frozenset({"value"})
    label = "Ablate"
    hint = "The units are set to zero. What goes from the images?"
    share = share_of(ABLATE)
    movement = "goes without"


class InsertStudy(_SetStudy):
    """Units are held at a value: what comes?"""

    kind = INSERT
    help = "hold units at a value and measure what appears in the images"
    examples = ("dissect insert runs/a --concept tree --region 0,0,32,64",)
    fixed: ClassVar = {"kind": INSERT}
    label = "Insert"
    hint = "The units are held everywhere at their mean where the concept is. What comes?"
    share = share_of(INSERT)
    movement = "comes with"
