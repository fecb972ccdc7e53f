"""Text on how reliably the segmenter reads edited images. Nothing in here imports torch."""

from collections.abc import Mapping
from typing import Any

from dissect.studies.description import Column, Table

_COLUMNS = (
    Column(name="view", title="read again"),
    Column(name="same_before", title="same pixels, unedited", digits=3),
    Column(name="same_after", title="edited", digits=3),
)
_OF_CONCEPT = (
    Column(name="iou_before", title="IoU, unedited", digits=2),
    Column(name="iou_after", title="edited", digits=2),
    Column(name="net", title="net removed", digits=2, signed=True),
)


def agreement_findings(summary: Mapping[str, Any]) -> list[str]:
    """One sentence; none for an effect of an earlier version."""
    found = summary.get("agreement")
    if found is None:
        return []
    rows = found["views"]
    if found["net"] is None:
        before, after = (_least(rows, f"same_{when}") for when in ("before", "after"))
        return [
            f"mirrored and moved by a little, at least {after} of the pixels of edited images are "
            f"read as before, and {before} of unedited ones"
        ]
    concept = found["concept"]
    before, after = (_least(rows, f"iou_{when}") for when in ("before", "after"))
    nets = [row["net"] for row in rows if row["net"] is not None]
    spread = f"{min(nets):+.2f} to {max(nets):+.2f}" if nets else "–"
    return [
        f"read again in {len(rows)} other ways, {concept} overlaps with itself by at least {after} "
        f"(IoU) in edited images and {before} in unedited ones; its net removed share is then "
        f"{spread}, against {found['net']:+.2f} in the same {found['images']} images"
    ]


def _least(rows: list[Mapping[str, Any]], name: str) -> str:
    known = [row[name] for row in rows if row[name] is not None]
    return f"{min(known):.2f}" if known else "an undefined share"


def agreement_tables(summary: Mapping[str, Any]) -> tuple[Table, ...]:
    """One table; none for an effect of an earlier version."""
    found = summary.get("agreement")
    if found is None:
        return ()
    columns = _COLUMNS if found["net"] is None else (*_COLUMNS, *_OF_CONCEPT)
    return (
        Table(
            title="Is the segmenter as sure of edited images as of unedited ones?",
            columns=columns,
            rows=found["views"],
            note=(
                f"{found['images']} images, read again and compared with the plain reading; where "
                "edited ones agree less, the effect may be a mistake of the segmenter's"
            ),
        ),
    )
