"""The study ``context``: the same units inserted at many places; where does the concept appear?

References:
    Bau et al., GAN Dissection, ICLR 2019, section 4.4 (characterizing contextual relationships).
"""

from typing import TYPE_CHECKING

from dissect.studies.agreement_text import agreement_findings, agreement_tables
from dissect.studies.context.question import CONTEXT, ContextQuestion
from dissect.studies.description import Column, Description, Table, count_units
from dissect.studies.orders import order_label
from dissect.studies.study import Picture, Result, Summary
from dissect.studies.unit_study import UnitStudy

if TYPE_CHECKING:
    from dissect.runs import Run

_COLUMNS = (
    Column(name="context", title="context", is_concept=True),
    Column(name="places", title="boxes"),
    Column(name="images", title="images"),
    Column(name="before_share", title="before", digits=2),
    Column(name="after_share", title="after", digits=2),
    Column(name="added_share", title="added", digits=2, bar=True),
    Column(name="added_share", title="95 % interval", digits=2, interval=True),
    Column(name="added_share", title="random", digits=2, random=True),
    Column(name="success", title="success", digits=2),
    Column(name="change", title="change", digits=3),
    Column(name="change", title="random change", digits=3, random=True),
)


class ContextStudy(UnitStudy[ContextQuestion]):
    """Units are inserted in one small box after another."""

    kind = CONTEXT
    help = "insert units at many places: what appears where?"
    examples = ("dissect context runs/a --concept door --units 20",)
    question = ContextQuestion
    label = "Insert at many places"
    hint = "They are held so in one small box after another. Where does the concept come?"
    pictures = (
        Picture("sheet.png", "Before, after, difference", is_wide=True),
        Picture("contexts.svg", "What comes where", "image/svg+xml", is_wide=True),
    )

    def measure(
        self,
        run: "Run",
        question: ContextQuestion,
        *,
        name: str | None,
        device: str,
        progress: bool,
    ) -> Result:
        """See ``Study.measure``."""
        from dissect.studies.context.measurement import measure_contexts

        return measure_contexts(run, question, name=name, device=device, progress=progress)

    def headline(self, summary: Summary) -> str:
        """See ``Study.headline``."""
        concept, samples = summary["concept"], f"{summary['samples']:,} samples"
        others = [
            row
            for row in summary["contexts"]
            if row["context"] != concept and row["added_share"] is not None
        ]
        if not others:
            return f"{concept} at every place before, {samples}"
        sure = [row for row in others if not row["few"]] or others
        most, least = sure[0], sure[-1]
        return (
            f"{concept} into {most['context']} {most['added_share']:.2f}, into {least['context']} "
            f"{least['added_share']:.2f}, {summary['places']} places, {samples}"
        )

    def describe(self, summary: Summary) -> Description:
        """See ``Study.describe``."""
        concept, side, few = summary["concept"], summary["side"], summary["few"]
        layers = self.layers(summary)
        boxes = f"{summary['places']:,} of {side} × {side} pixels"
        note = (
            f"before, after: share of the box that is {concept}; added: share of the other pixels "
            f"that become {concept}; success: share of boxes in which a quarter of them do; "
            f"random: the same number of random units"
        )
        if any(row["few"] for row in summary["contexts"]):
            note += f"; few: under {few['places']} boxes or {few['images']} images"
        return Description(
            question=f"Where do {count_units(layers)} make {concept}?",
            edits=f"insert {count_units(layers)}, order {summary['order']}",
            measured=(
                f"{summary['samples']:,} samples × {summary['places']} boxes of {side} × {side} "
                f"pixels, {summary['images_per_second']:,.0f} edited images per second"
            ),
            layers=layers,
            concept=concept,
            facts=(
                ("Boxes in each image", boxes),
                ("Samples", f"{summary['samples']:,}"),
                ("Layer", summary["layer"]),
                ("Chosen by", order_label(summary["order"])),
            ),
            findings=tuple(agreement_findings(summary)),
            tables=(
                Table(
                    title=f"What becomes {concept}, by what covers at least half of the box",
                    columns=_COLUMNS,
                    rows=summary["contexts"],
                    note=note,
                    faint="few",
                ),
                *agreement_tables(summary),
            ),
        )
