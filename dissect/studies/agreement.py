"""Whether the segmenter reads edited images as reliably as unedited ones.

The true labels of a generated image are unknown, but different views of the same picture should get
the same labels. Each image is mirrored and shifted by a few pixels, segmented again, and its labels
are mapped back. A second segmenter that knows the concept reads it too (for an edit without a
target concept, the concept that changes most). If edited images agree less than unedited ones, an
effect may be an error of the segmenter.

For each view, over images:

- same pixels: the share of pixels with the same concept, over all planes;
- IoU: of the concept's pixels in the plain reading and in the view;
- net: the net removed share of the concept in the view, 1 − after / before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dissect.counting.samples import label_block
from dissect.edits.applying import intervene
from dissect.edits.edit import Edit
from dissect.errors import SettingError
from dissect.studies.originals import Originals
from segmenters import Segmenter, load_segmenter

N_IMAGES = 64
"""Number of images that are read again, unless there are fewer."""
_SHIFT_FRACTION = 32  # images are shifted by their size over this, at least one pixel

_Images = Float[Tensor, "batch channels height width"]
_Planes = Int[Tensor, "batch plane height width"]


@dataclass(frozen=True)
class View:
    """A transformation of an image, and its inverse for labels.

    Attributes:
        name: Name shown to people.
        see: Image → the transformed image.
        back: Labels of the transformed image → labels of the image.
        margin: Pixels at each border to ignore, since they come from outside of the image.
    """

    name: str
    see: Callable[[_Images], _Images]
    back: Callable[[_Planes], _Planes]
    margin: int = 0


def views(image_size: int) -> tuple[View, ...]:
    """The views of an image of this size: mirrored, and shifted in two directions."""
    step = max(1, image_size // _SHIFT_FRACTION)
    mirrored = View("mirrored", lambda images: images.flip(-1), lambda planes: planes.flip(-1))
    pixels = "1 pixel" if step == 1 else f"{step} pixels"
    return (
        mirrored,
        _moved(f"moved by {pixels} down and right", step),
        _moved(f"moved by {pixels} up and left", -step),
    )


def _moved(name: str, step: int) -> View:
    width = abs(step)

    def see(images: _Images) -> _Images:
        height, length = images.shape[-2:]
        padded = torch.nn.functional.pad(images, [width] * 4, mode="replicate")
        top = width - step
        return padded[..., top : top + height, top : top + length]

    return View(name, see, lambda planes: planes.roll((-step, -step), (-2, -1)), width)


def open_second(
    spec: str | None, first: Segmenter, *, device: str, concept: str | None = None
) -> Segmenter | None:
    """The second segmenter of a question; None if none was given.

    Args:
        spec: Spec for ``load_segmenter``.
        first: The run's segmenter.
        device: Device to load it on.
        concept: The concept that it must have; None accepts any shared concept.

    Raises:
        ConfigError: a segmenter without the concept, or without any shared concept.
    """
    if spec is None:
        return None
    second = load_segmenter(spec, device=device)
    names = [one.name for one in first.vocabulary] if concept is None else [concept]
    if not any(name in second.vocabulary for name in names):
        what = f"no concept of {first.name}" if concept is None else f"no {concept!r}"
        raise SettingError(
            "second", f"is {spec!r}, which knows {what}; expected a segmenter that shares concepts"
        )
    return second


def most_changed(rows: Sequence[Mapping[str, Any]], second: Segmenter | None) -> str | None:
    """The concept of the second segmenter whose area changes most.

    Args:
        rows: ``concept``, ``before`` and ``change`` of each, in pixels per image.
        second: Without one there is nothing to compare, and the result is None.
    """
    if second is None:
        return None
    known = [row for row in rows if row["before"] and row["concept"] in second.vocabulary]
    return max(known, key=lambda row: abs(row["change"]))["concept"] if known else None


@torch.no_grad()
def measure_agreement(
    originals: Originals,
    edits: Sequence[Edit],
    *,
    concept: str | None = None,
    second: Segmenter | None = None,
) -> dict[str, object]:
    """Segment the first images again in every view, unedited and edited.

    Args:
        originals: Samples; the first ``N_IMAGES`` are used.
        edits: See ``intervene``.
        concept: Concept for IoU and net share; None computes neither.
        second: Another segmenter, compared with the first one if it has the concept.

    Returns:
        ``images``; ``concept``; ``net`` of the plain reading; and ``views``, each with ``view``,
        ``same_before``, ``same_after``, ``iou_before``, ``iou_after`` and ``net``. None where a
        value is undefined, or without a concept.

    Raises:
        LayerError, ConfigError: see ``intervene``.
    """
    size = originals.generator.image_size
    readings = [_Reading(view, originals, concept, second=None) for view in views(size)]
    if second is not None and concept is not None and concept in second.vocabulary:
        same = View(f"read by {second.name}", lambda images: images, lambda planes: planes)
        readings.append(_Reading(same, originals, concept, second=second))
    n_images = 0
    for number in originals.numbers:
        if n_images >= N_IMAGES:
            break
        plain = originals.images(number)
        with intervene(originals.generator, edits, bases=originals.bases):
            edited = originals.images(number)
        pairs = (("before", plain, originals.planes(number)),
                 ("after", edited, originals.label(edited)))  # fmt: skip
        for when, images, planes in pairs:
            for reading in readings:
                reading.add(when, images, planes)
        n_images += len(plain)
    found = [reading.row() for reading in readings]
    net = None if concept is None else readings[0].net("plain")
    return {"images": n_images, "concept": concept, "net": net, "views": found}


class _Reading:
    """Counts of one view, block by block."""

    def __init__(
        self, view: View, originals: Originals, concept: str | None, *, second: Segmenter | None
    ) -> None:
        self._view, self._originals, self._second = view, originals, second
        self._own = self._place(originals.segmenter, concept)
        self._other = self._own if second is None else self._place(second, concept)
        self._sums: dict[tuple[str, str], int] = {}

    @staticmethod
    def _place(segmenter: Segmenter, concept: str | None) -> tuple[int, int] | None:
        """Plane and id of the concept."""
        if concept is None:
            return None
        entry = segmenter.vocabulary[concept]
        return segmenter.vocabulary.planes.index(entry.plane), entry.id

    def add(self, when: str, images: _Images, planes: _Planes) -> None:
        """Count a block's images, ``before`` or ``after``."""
        margin, size = self._view.margin, planes.shape[-1]
        inside = slice(margin, size - margin)
        seen = self._view.see(images)
        if self._second is None:
            labels = self._originals.label(seen)
        else:
            labels = label_block(self._second, seen, size)
        again = self._view.back(labels)[..., inside, inside]
        first = planes[..., inside, inside]
        if self._second is None:
            self._count(when, "same", again == first)
            self._sums[when, "pixels"] = self._sums.get((when, "pixels"), 0) + first.numel()
        if self._own is not None and self._other is not None:
            own = first[:, self._own[0]] == self._own[1]
            other = again[:, self._other[0]] == self._other[1]
            counts: Mapping[str, Tensor] = {
                "plain": own, "view": other, "both": own & other, "either": own | other,
            }  # fmt: skip
            for name, marked in counts.items():
                self._count(when, name, marked)

    def _count(self, when: str, name: str, marked: Tensor) -> None:
        self._sums[when, name] = self._sums.get((when, name), 0) + int(marked.sum())

    def net(self, name: str) -> float | None:
        """The net removed share in the reading ``plain`` or ``view``."""
        before = self._sums.get(("before", name), 0)
        return 1 - self._sums["after", name] / before if before else None

    def _ratio(self, when: str, part: str, whole: str) -> float | None:
        total = self._sums.get((when, whole), 0)
        return self._sums.get((when, part), 0) / total if total else None

    def row(self) -> dict[str, object]:
        """The view's values, see ``measure_agreement``."""
        row: dict[str, object] = {"view": self._view.name}
        for when in ("before", "after"):
            row[f"same_{when}"] = self._ratio(when, "same", "pixels")
            row[f"iou_{when}"] = self._ratio(when, "both", "either")
        return row | {"net": None if self._own is None else self.net("view")}
