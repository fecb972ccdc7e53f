"""The studies ``ablate`` and ``insert``: the effect of a set of units on a concept."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from dissect.studies.ablate_insert.question import (
    ABLATE,
    INSERT,
    SetQuestion,
    gross_share_of,
    share_of,
)
from dissect.studies.agreement_text import agreement_findings, agreement_tables
from dissect.studies.description import (
    Bar,
    Column,
    Description,
    Table,
    count_units,
    measured,
    number_with_interval,
)
from dissect.studies.orders import MATCHED, RANDOM, order_label
from dissect.studies.study import SHEET, Picture, Result, Summary, verb_of
from dissect.studies.unit_question import LARGEST_SHARE
from dissect.studies.unit_study import UnitStudy

if TYPE_CHECKING:
    from dissect.runs import Run

CURVE = Picture(
    "curve.svg", "Effect against the number of units, with random ones", "image/svg+xml"
)
_FIRST_ROWS = 8
_FIRST_NAMES = 5


class _SetStudy(UnitStudy[SetQuestion]):
    question = SetQuestion
    pictures = (SHEET, CURVE)
    movement: ClassVar[str]
    """Verb for the concept's change, used before the units are named."""
    other_share: ClassVar[str]
    """The column of pixels with the opposite change."""

    def measure(
        self, run: "Run", question: SetQuestion, *, name: str | None, device: str, progress: bool
    ) -> Result:
        """See ``Study.measure``."""
        from dissect.studies.ablate_insert.measurement import measure_set

        return measure_set(run, question, name=name, device=device, progress=progress)

    def headline(self, summary: Summary) -> str:
        """See ``Study.headline``."""
        beside = ""
        for key, words in ((MATCHED, "random units as strong"), (RANDOM, "random units")):
            if summary.get(key) is not None:
                beside = f", {words} {_two(self.net(summary[key]))}"
                break
        return (
            f"{_two(self.net(summary['target']))} of {summary['concept']} {self.verb}{beside}, "
            f"{summary['samples']:,} samples"
        )

    def describe(self, summary: Summary) -> Description:
        """See ``Study.describe``."""
        concept, target = summary["concept"], summary["target"]
        random, matched = summary["random"], summary.get(MATCHED)
        pixels = f"{target['before']:,.1f} → {target['after']:,.1f}"
        findings = [f"{concept}: {pixels} pixels per image, {self._net(target)} {self.verb}"]
        findings += self._beside(summary)
        findings.append(self._gross(summary))
        findings += self._specificity(summary)
        if target.get("ace") is not None:
            findings.append(
                f"causal effect δ = {target['ace']:.3f} [{target['ace_low']:.3f}, "
                f"{target['ace_high']:.3f}] of the pixels"
            )
        findings += agreement_findings(summary)
        findings += _too_large(summary)
        layers = self.layers(summary)
        first = matched or random
        bars = [self._bar("these units", target, first)]
        if matched is not None:
            bars.append(self._bar("random units, as strong", matched))
        if random is not None:
            bars.append(self._bar("random units, as many", random))
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
            tables=(self._others(summary), *agreement_tables(summary)),
        )

    def _bar(self, name: str, row: Summary, random: Summary | None = None) -> Bar:
        return Bar(
            name, self.net(row), row.get(f"{self.share}_low"), row.get(f"{self.share}_high"),
            None if random is None else self.net(random),
        )  # fmt: skip

    def _net(self, row: Summary) -> str:
        if self.share in row:
            return number_with_interval(row, self.share)
        return _two(self.net(row))

    def _beside(self, summary: Summary) -> list[str]:
        random, matched, target = summary["random"], summary.get(MATCHED), summary["target"]
        found = []
        if matched is not None:
            n_sets, sizes = len(matched["draws"]), matched["sizes"]
            strengths = matched["image_change"]
            size = str(min(sizes)) if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
            found.append(
                f"random units that change the images as strongly: {self._net(matched)} "
                f"{self.verb} ({n_sets} sets of {size} of the other units, which change images by "
                f"{sum(strengths) / n_sets:.3f}; these change them by "
                f"{summary['image_change']:.3f})"
            )
            lead = number_with_interval(target, "lead", signed=True)
            is_beyond = target["beyond_random"]
            found.append(
                f"the lead over them is {lead}"
                + (
                    ", more than another such set would have"
                    if is_beyond
                    else ", which another such set could have too: no evidence that these units "
                    f"are special to {summary['concept']}"
                )
            )
        if random is not None:
            shared = "" if MATCHED in summary else "; they may share units with these"
            size = random.get("sizes", [len(summary["units"])])[0]
            many = (
                "as many random units"
                if size == len(summary["units"])
                else (f"{size} random units, as the layer has no more others")
            )
            found.append(
                f"{many}: {self._net(random)} {self.verb} (mean of {len(random['draws'])} "
                f"draws{shared})"
            )
        return found

    def _gross(self, summary: Summary) -> str:
        target = summary["target"]
        first = summary.get(MATCHED) or summary["random"]
        parts = []
        for share in (self.gross_share, self.other_share):
            beside = "" if first is None else f" (random units: {_two(first[share])})"
            parts.append(f"{number_with_interval(target, share)} {verb_of(share)}{beside}")
        return f"pixel by pixel, {' and '.join(parts)}; what only moves counts as both"

    def _specificity(self, summary: Summary) -> list[str]:
        found = summary.get("specificity")
        if found is None:
            return []
        as_much = list(found["as_much"].items())
        names = ", ".join(f"{name} {share:.2f}" for name, share in as_much[:_FIRST_NAMES])
        more = f" and {len(as_much) - _FIRST_NAMES} more" if len(as_much) > _FIRST_NAMES else ""
        same = f"; as large a share of {names}{more}" if as_much else ""
        return [
            f"specificity {number_with_interval(found, 'value', signed=True)}: the "
            f"{found['n_others']} other concepts change net by {found['others']:.2f} on average"
            f"{same}"
        ]

    def _others(self, summary: Summary) -> Table:
        rows = [row for row in summary["side_effects"] if row["removed"] or row["added"]]
        columns = [
            Column(name="concept", title="Concept", is_concept=True),
            Column(name="before", title="before", digits=1),
            Column(name="after", title="after", digits=1),
            Column(name="change", title="change", digits=1, signed=True),
            Column(name="change", title="95 % interval", digits=1, signed=True, interval=True),
        ]
        if MATCHED in summary:
            columns += [
                Column(name=self.share, title=self.verb, digits=2, signed=True),
                Column(name=self.share, title="random", digits=2, signed=True, random=True),
            ]
        return Table(
            title="What else changes, in pixels per image?",
            columns=tuple(columns),
            rows=rows,
            n_first=_FIRST_ROWS,
        )


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _too_large(summary: Mapping[str, Any]) -> list[str]:
    n_layer = summary.get("of_layer")
    if n_layer is None or len(summary["units"]) <= max(1, LARGEST_SHARE * n_layer):
        return []
    share = len(summary["units"]) / n_layer
    return [
        f"warning: {len(summary['units'])} of {n_layer} units are {100 * share:.0f} % of "
        f"{summary['layer']}; so many change the layer as a whole, whichever they are; take at "
        f"most {max(1, int(LARGEST_SHARE * n_layer))}, or a layer with more units"
    ]


class AblateStudy(_SetStudy):
    """Units are ablated: what disappears?"""

    kind = ABLATE
    help = "set units to zero and measure what disappears from the images"
    examples = ("dissect ablate runs/a --concept window --units 16 --curve iou,greedy",)
    fixed: ClassVar = {"kind": ABLATE}
    without: ClassVar = frozenset({"value"})
    label = "Ablate"
    hint = "The units are set to zero. What goes from the images?"
    share = share_of(ABLATE)
    gross_share = gross_share_of(ABLATE)
    other_share = gross_share_of(INSERT)
    movement = "goes without"


class InsertStudy(_SetStudy):
    """Units are held at a value: what appears?"""

    kind = INSERT
    help = "hold units at a value and measure what appears in the images"
    examples = ("dissect insert runs/a --concept tree --region 0,0,32,64",)
    fixed: ClassVar = {"kind": INSERT}
    label = "Insert"
    hint = "The units are held everywhere at their mean where the concept is. What comes?"
    share = share_of(INSERT)
    gross_share = gross_share_of(INSERT)
    other_share = gross_share_of(ABLATE)
    movement = "comes with"
