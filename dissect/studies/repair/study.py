"""The study ``repair``: units that draw what no real image has, and the images without them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dissect.studies.agreement_text import agreement_findings, agreement_tables
from dissect.studies.description import Description, count_units, side_effects
from dissect.studies.repair.question import REPAIR, RepairQuestion, by_layer, verdict
from dissect.studies.study import Result, Study, Summary

if TYPE_CHECKING:
    from dissect.runs import Run


class RepairStudy(Study[RepairQuestion]):
    """Proposes units whose top images are far from real ones, removes them, measures the result."""

    kind = REPAIR
    help = "propose units whose removal brings images nearer to real ones"
    examples = ("dissect repair runs/a --data photos/",)
    question = RepairQuestion

    def measure(
        self, run: "Run", question: RepairQuestion, *, name: str | None, device: str, progress: bool
    ) -> Result:
        """See ``Study.measure``."""
        from dissect.studies.repair.measurement import measure_repair

        return measure_repair(run, question, name=name, device=device, progress=progress)

    def layers(self, summary: Summary) -> dict[str, list[int]]:
        """Layer → the removed units."""
        return dict(summary["units"])

    def headline(self, summary: Summary) -> str:
        """See ``Study.headline``."""
        units = count_units(summary["units"])
        return f"{units} ablated, {verdict(summary)}, {summary['samples']:,} samples"

    def describe(self, summary: Summary) -> Description:
        """See ``Study.describe``."""
        layers = self.layers(summary)
        if not layers:
            search = summary["search"]
            return Description(
                question="Which units draw what is not in the data?",
                edits=(
                    f"nothing to repair: none of {search['candidates']} suspects, ablated alone, "
                    f"brings {search['samples']} unseen samples nearer to "
                    f"{summary['data']['source']}; nothing was stored"
                ),
                measured="",
            )
        return Description(
            question=f"What becomes of the images without {count_units(layers)}?",
            edits=f"repair, {summary['order']}: ablate {count_units(layers)}",
            measured=f"{summary['samples']:,} samples that no search saw",
            findings=(verdict(summary), *_distances(summary), *agreement_findings(summary)),
            layers=layers,
            facts=(
                ("Samples", f"{summary['samples']:,}"),
                ("Chosen by", "a person" if summary["order"] == "marked" else "a search"),
            ),
            tables=(
                side_effects(summary, "What else changes, in pixels per image?"),
                *agreement_tables(summary),
            ),
        )

    def words(self, name: str, question: Mapping[str, Any]) -> list[str]:
        """See ``Study.words``."""
        if name != "bad":
            return super().words(name, question)
        marked = by_layer([(layer, unit) for layer, unit in question["bad"]])
        return [
            word
            for layer, units in marked.items()
            for word in ("--bad", f"{layer}:{','.join(map(str, units))}")
        ]


def _distances(summary: Summary) -> list[str]:
    distance, data, search = summary["distance"], summary["data"], summary.get("search")
    if distance is None:
        return []
    found = [
        f"by {_change(distance)}, {data['images']:,} images of {data['source']}; in the "
        "segmenter's features, no FID"
    ]
    random = distance["random"]
    if random is not None:
        found.append(
            f"the same number of random units: {_change(random)} (mean of {len(random['draws'])} "
            "draws)"
        )
    if distance["change_high"] >= 0 and search is not None:
        found.append(
            f"it fell on the {search['samples']} samples of the search ({search['before']:#.4g} to "
            f"{search['after']:#.4g}), but not surely on these: do not count on this repair"
        )
    return found


def _change(row: Mapping[str, float | None]) -> str:
    interval = ""
    if row["change_low"] is not None:  # a single random set has no interval
        interval = f" [{row['change_low']:+#.4g}, {row['change_high']:+#.4g}]"
    return f"{row['change']:+#.4g}{interval}"
