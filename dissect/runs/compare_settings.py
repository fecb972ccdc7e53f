"""Where compared runs differ in something that is no finding, and what follows from that."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissect.runs.read import Run

if TYPE_CHECKING:
    from dissect.runs.compare import LayerRow


@dataclass(frozen=True)
class Caution:
    """A difference to be read with care.

    Attributes:
        what: Name of the setting.
        values: Its value in each run, as text.
        consequence: What it does to the comparison.
    """

    what: str
    values: tuple[str, ...]
    consequence: str


_SETTINGS: tuple[tuple[str, Callable[[Run], object], str], ...] = (
    ("segmenter", lambda r: r.record["segmenter"]["name"],
     "concepts are compared by name where all runs have them, but what a segmenter calls by that "
     "name may differ"),
    ("samples", lambda r: f"{r.config.n_samples:,}",
     "with fewer samples fewer units can be told from chance, so fewer are named"),
    ("seed", lambda r: r.config.seed, "the runs saw other latents"),
    ("truncation", lambda r: f"{r.config.truncation:g}",
     "truncated images are more alike and show rare concepts less often"),
    ("class", lambda r: "any" if r.config.label is None else r.config.label,
     "the runs saw images of other classes"),
    ("threshold", lambda r: r.config.threshold,
     "IoU is taken at thresholds that were chosen in another way; IoUs cannot be compared"),
    ("tail", lambda r: f"{r.config.tail:g}" if r.config.threshold == "quantile" else "",
     "the quantile thresholds differ, and IoU with them"),
    ("least IoU", lambda r: f"{r.config.min_iou:g}",
     "units are called interpretable by another measure"),
    ("least over chance", lambda r: f"{r.config.min_over_chance:g}",
     "units are called interpretable by another measure"),
    ("false discovery rate", lambda r: f"{r.config.fdr:g}",
     "units are called interpretable by another measure"),
    ("counted as", lambda r: r.config.compat or "dissect",
     "labels and scores follow other rules; only their kind can be compared"),
    ("mask grid", lambda r: f"{r.record['coverage']['grid']} px"
     + (", layers at their own size" if r.config.native else ""),
     "thin and small concepts lose pixels on a coarser grid"),
    ("image size", lambda r: f"{r.record['generator']['image_size']} px",
     "layers stand side by side by their share of the image’s side"),
)  # fmt: skip


def find_cautions(
    runs: Sequence[Run], letters: Sequence[str], layers: Sequence["LayerRow"]
) -> tuple[Caution, ...]:
    """Every difference in how the runs were made.

    Args:
        runs: That are compared.
        letters: What they are called.
        layers: Side by side; a row without a layer of some run is a difference too.
    """
    cautions = []
    for what, read, consequence in _SETTINGS:
        values = tuple(str(read(run)) for run in runs)
        if len(set(values)) > 1:
            cautions.append(Caution(what, tuple(v or "–" for v in values), consequence))
    cautions += _same_names(runs)
    missing = [
        tuple(row.title for row in layers if not row.cells[position])
        for position in range(len(runs))
    ]
    if any(missing):
        cautions.append(
            Caution(
                "sizes not read",
                tuple(", ".join(titles) or "none" for titles in missing),
                "a concept may be missing because layers that draw it were not read",
            )
        )
    prints = [run.record["fingerprint"] for run in runs]
    if len(set(prints)) < len(prints):
        values = tuple(
            next(letters[p] for p, other in enumerate(prints) if other == own) for own in prints
        )
        cautions.append(Caution("same as", values, "runs of one fingerprint hold the same numbers"))
    return tuple(cautions)


def _same_names(runs: Sequence[Run]) -> list[Caution]:
    """Segmenters of one name that hold other weights or another vocabulary."""
    names = {run.record["segmenter"]["name"] for run in runs}
    prints = tuple(run.record["segmenter"]["fingerprint"][:12] for run in runs)
    if len(names) > 1 or len(set(prints)) == 1:
        return []
    return [Caution("segmenter’s weights", prints, "masks of one name may differ")]
