"""The study ``causal``: for every unit of a layer, the concepts that disappear without it."""

from typing import TYPE_CHECKING, ClassVar

from dissect.studies.agreement_text import agreement_findings, agreement_tables
from dissect.studies.causal.question import CAUSAL, CausalQuestion
from dissect.studies.description import Column, Description, Table, measured
from dissect.studies.study import SHEET, Result, Study, Summary, Target

if TYPE_CHECKING:
    from dissect.runs import Run
    from dissect.studies.store import StoredEffect

_SHARE = "net_removed_share"
_VERB = "net removed"
_FIRST_ROWS = 12
_LAYERS = (
    Column(name="layer", title="Layer"),
    Column(name="units", title="units"),
    Column(name="causal", title="causal"),
)
_UNITS = (
    Column(name="concept", title="Concept", is_concept=True),
    Column(name="layer", title="layer"),
    Column(name="unit", title="unit"),
    Column(name=_SHARE, title=_VERB, digits=2, signed=True),
    Column(name=_SHARE, title="95 % interval", digits=2, signed=True, interval=True),
    Column(name="random", title="units as strong", digits=2, signed=True),
    Column(name="q", title="q", digits=3),
)


class CausalStudy(Study[CausalQuestion]):
    """Every unit is ablated alone."""

    kind = CAUSAL
    help = "ablate every unit alone: which concepts go with which units?"
    examples = ("dissect causal runs/a --layers b16.conv1",)
    question = CausalQuestion
    pictures: ClassVar = (SHEET,)

    def measure(
        self, run: "Run", question: CausalQuestion, *, name: str | None, device: str, progress: bool
    ) -> Result:
        """See ``Study.measure``."""
        from dissect.studies.causal.measurement import measure_causal

        return measure_causal(run, question, name=name, device=device, progress=progress)

    def headline(self, summary: Summary) -> str:
        """See ``Study.headline``."""
        n_units, n_causal = _totals(summary)
        return (
            f"{n_causal} of {n_units} units causal for the concept that they match, "
            f"{summary['with_other_labels']:.1f} with the labels of other units, "
            f"{summary['samples']:,} samples"
        )

    def describe(self, summary: Summary) -> Description:
        """See ``Study.describe``."""
        n_units, n_causal = _totals(summary)
        unit = summary["strongest"]
        return Description(
            question="Which units draw the concept that they match?",
            edits=f"ablate {n_units} units of {len(summary['layers'])} layers, one at a time",
            measured=measured(summary),
            findings=(
                f"{n_causal} of {n_units} units are causal for the concept that they match best: "
                f"without the unit less of it is left, net, and more goes than without "
                f"{summary['n_alike']} units that change images as strongly (q ≤ {summary['fdr']})",
                f"with the labels of other units of the layer it would be "
                f"{summary['with_other_labels']:.1f}",
                f"the unit that changes images most is {unit['unit']} of {unit['layer']}: ablated, "
                + "; ".join(agreement_findings(summary)),
            ),
            facts=(("Samples", f"{summary['samples']:,}"),),
            tables=(
                Table(
                    title="How many units of each layer are causal?",
                    columns=_LAYERS,
                    rows=summary["layers"],
                ),
                Table(
                    title="Causal units",
                    columns=_UNITS,
                    rows=summary["causal"],
                    n_first=_FIRST_ROWS,
                    note="net removed: 1 − after / before of the concept's pixels",
                ),
                *agreement_tables(summary),
            ),
        )

    def alone(self, effect: "StoredEffect") -> dict[tuple[str, int], Target]:
        """See ``Study.alone``: for each unit the concept that loses most, beyond other units.

        p-values are multiplied by the number of concepts, since the concept is the best of all.
        """
        table = effect.table
        surely = table.p_random * table.concept.nunique() <= effect.record["summary"]["fdr"]
        table = table[surely & (table.net_removed_share_low > 0)]
        table = table.sort_values(_SHARE, ascending=False, kind="stable")
        best = table.drop_duplicates(["layer", "unit"])
        return {
            (str(row.layer), int(row.unit)): Target(str(row.concept), _VERB, float(row.share))
            for row in best.rename(columns={_SHARE: "share"}).itertuples()
        }


def _totals(summary: Summary) -> tuple[int, int]:
    layers = summary["layers"]
    return sum(row["units"] for row in layers), sum(row["causal"] for row in layers)
