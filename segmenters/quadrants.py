"""Halves of objects as separate concepts: ``tree-top``, ``tree-bottom``, ``tree-left``, …

``scenes+quadrants`` adds them to every concept of the category object. Each connected piece of an
object (pixels that share an edge) is cut in the middle of its own extent, so the left half of a
small house at the right border is still a left half. A pixel can be in the top half and in the left
half, so two planes are added to each plane that carries objects. If a piece is an odd number of
pixels high or wide, its middle row or column is in neither half. So the mirror image has exactly
the mirrored halves.

References:
    Bau et al., GAN Dissection, ICLR 2019; its code cuts the extent of each connected piece in the
    same way, and counts the middle row and column to the bottom and the right.
"""

import hashlib
from typing import no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from segmenters.base import Segmenter
from segmenters.errors import SegmenterError
from segmenters.features import image_features
from segmenters.notebook import ShownSegmenter
from segmenters.vocabulary import SIDES, Vocabulary

NAME = "quadrants"
"""Its name after a ``+``."""

DIRECTIONS = {"vertical": SIDES[:2], "horizontal": SIDES[2:]}
_VERSION = 1  # version of the rule; part of the fingerprint
_SHADES = {"top": 0.45, "bottom": -0.45, "left": 0.25, "right": -0.25}


class Quadrants(ShownSegmenter):
    """A segmenter with the halves of its objects; follows ``segmenters.Segmenter``.

    The segmenter's planes come first, unchanged. Then, for each plane that carries objects, one
    plane of top and bottom halves and one of left and right halves. The halves are parts of their
    object.

    Args:
        inner: Segmenter of the objects.

    Raises:
        SegmenterError: a segmenter without objects, or whose objects are already divided.

    Example:
        >>> Quadrants(load_segmenter("scenes")).vocabulary["tree-left"].part_of
        'tree'
    """

    def __init__(self, inner: Segmenter) -> None:
        known = inner.vocabulary
        objects = [c for c in known if c.category == "object"]
        if not objects:
            raise SegmenterError(
                f"{NAME} found no objects in {inner.name}; expected concepts of the category "
                "object before it; join it behind a segmenter that marks some"
            )
        self.inner = inner
        self.name = f"{inner.name}+{NAME}"
        self.device = inner.device
        self.fingerprint = hashlib.sha256(
            f"{inner.fingerprint}+{NAME} {_VERSION}".encode()
        ).hexdigest()
        self._planes = [p for p in known.planes if any(c.plane == p for c in objects)]
        rows, halves, part_of = [], [], {}
        for plane in self._planes:
            for direction, sides in DIRECTIONS.items():
                for concept in (c for c in objects if c.plane == plane):
                    for side in sides:
                        name = f"{concept.name}-{side}"
                        colour = _shade(concept.colour, _SHADES[side])
                        rows.append((name, "part", f"{plane} {direction}", colour))
                        halves.append((concept.id, sides.index(side)))
                        part_of[name] = concept.name
        clash = sorted({row[0] for row in rows} & set(known.names))
        if clash:
            raise SegmenterError(
                f"{inner.name} already has {clash[0]!r}; expected objects that are not divided; "
                f"give {NAME} once"
            )
        self.vocabulary = Vocabulary.build(
            [(c.name, c.category, c.plane, c.colour) for c in known] + rows,
            part_of=known.wholes | part_of,
        )
        self._wholes = torch.tensor([whole - 1 for whole, _ in halves])
        # Id of the first half of an object in both directions, 0 if it is not an object.
        self._first = np.zeros((2, len(known) + 1), np.int64)
        for number, (whole, side) in enumerate(halves, start=len(known) + 1):
            if side == 0:
                self._first[int(self._first[0, whole] > 0), whole] = number

    def segment(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Int[Tensor, "batch plane height width"]:
        return self._divide(self.inner.segment(images))

    def _divide(self, planes: Int[Tensor, "batch plane h w"]) -> Int[Tensor, "batch more h w"]:
        found = [planes]
        for plane in self._planes:
            whole = planes[:, self.inner.vocabulary.planes.index(plane)]
            vertical, horizontal = divide(whole.cpu().numpy().astype(np.int64), self._first)
            found += [
                torch.from_numpy(half)[:, None].to(planes.device, planes.dtype)
                for half in (vertical, horizontal)
            ]
        return torch.cat(found, dim=1)

    def score(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch concept height width"]:
        """A half has its object's score at its own pixels, and 0 elsewhere.

        The pixels of the halves are constants; gradients flow through the object's score.
        """
        scores = self.inner.score(images)
        with torch.no_grad():
            planes = self.segment(images)
            n_known = len(self.inner.vocabulary)
            inside = torch.zeros(
                (len(images), len(self.vocabulary) + 1, *images.shape[2:]),
                dtype=torch.bool,
                device=planes.device,
            )
            own = planes[:, len(self.inner.vocabulary.planes) :].long()
            inside.scatter_(1, own, True)
            inside = inside[:, n_known + 1 :].to(scores.device)
        return torch.cat([scores, scores[:, self._wholes.to(scores.device)] * inside], dim=1)

    def features(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch feature"]:
        """Features of the segmenter itself: halves add nothing for a whole image."""
        return image_features(self.inner, images)


def divide(
    labels: Int[np.ndarray, "batch height width"], first: Int[np.ndarray, "direction concept"]
) -> tuple[Int[np.ndarray, "batch height width"], Int[np.ndarray, "batch height width"]]:
    """The halves of every connected piece.

    For a piece in the rows t … b, row y is in the upper half if 2 y < t + b and in the lower one if
    2 y > t + b; columns likewise.

    Args:
        labels: Concept ids, 0 … n.
        first: For both directions and each concept, the id of its upper (left) half, which is
            followed by that of its lower (right) half; 0 for a concept that is not divided.

    Returns:
        Ids of the upper or lower halves, and of the left or right ones; 0 where a pixel is in
        neither.
    """
    vertical, horizontal = np.zeros_like(labels), np.zeros_like(labels)
    for image in range(len(labels)):
        _divide_image(labels[image], first, vertical[image], horizontal[image])
    return vertical, horizontal


@numba.njit(nogil=True, cache=True, boundscheck=False)
@no_type_check
def _divide_image(labels, first, vertical, horizontal):  # noqa: ANN001, ANN202, PLR0912
    """Fill ``vertical`` and ``horizontal``: pieces by union-find, their extents, then halves."""
    height, width = labels.shape
    parent = np.arange(height * width)
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if first[0, label] == 0:
                continue
            here = y * width + x
            if x > 0 and labels[y, x - 1] == label:
                _unite(parent, here, here - 1)
            if y > 0 and labels[y - 1, x] == label:
                _unite(parent, here, here - width)
    # A root is the first pixel of its piece, so its row is the top.
    bottom = np.zeros(height * width, np.int64)
    left = np.full(height * width, width, np.int64)
    right = np.zeros(height * width, np.int64)
    for y in range(height):
        for x in range(width):
            if first[0, labels[y, x]] == 0:
                continue
            root = _root(parent, y * width + x)
            bottom[root] = y
            left[root] = min(left[root], x)
            right[root] = max(right[root], x)
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if first[0, label] == 0:
                continue
            root = _root(parent, y * width + x)
            down = 2 * y - (root // width + bottom[root])
            across = 2 * x - (left[root] + right[root])
            if down != 0:
                vertical[y, x] = first[0, label] + (down > 0)
            if across != 0:
                horizontal[y, x] = first[1, label] + (across > 0)


@numba.njit(nogil=True, cache=True, boundscheck=False)
@no_type_check
def _root(parent, place):  # noqa: ANN001, ANN202
    while parent[place] != place:
        parent[place] = parent[parent[place]]
        place = parent[place]
    return place


@numba.njit(nogil=True, cache=True, boundscheck=False)
@no_type_check
def _unite(parent, one, other):  # noqa: ANN001, ANN202
    one, other = _root(parent, one), _root(parent, other)
    parent[max(one, other)] = min(one, other)


def _shade(colour: str, amount: float) -> str:
    """Shift a colour towards white (above 0) or black (below)."""
    goal = 255 if amount > 0 else 0
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(p + (goal - p) * abs(amount)):02x}" for p in parts)


def modify(segmenter: Segmenter) -> Quadrants:
    """Apply ``+quadrants`` to the segmenters before it."""
    return Quadrants(segmenter)
