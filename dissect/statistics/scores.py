"""From counts to scores: pure functions on integer arrays.

Shapes: ``inside`` (row, unit, edge) counts pixels above a threshold, row 0 all of them and row c
those of concept c; ``pixels`` (row,) counts all pixels of a row.

References:
    Bau et al., Network Dissection, CVPR 2017, section 2.3 (IoU).
    Bau et al., GAN Dissection, ICLR 2019, section 3.1, equation 2 (IoU at the threshold that
    maximises the information quality ratio I/H; here with a preference for selective ones).
    Cohen, A Coefficient of Agreement for Nominal Scales, 1960 (scaling by 1 - chance).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from dissect.statistics.rungs import HALF
from dissect.statistics.shapes import Counts, Reals
from dissect.statistics.thresholds import THRESHOLDS

_LEAST_INFORMATION = 0.5  # share of the highest that a selective threshold keeps


def above(histogram: Int[np.ndarray, "*rows bin"]) -> Int[np.ndarray, "*rows edge"]:
    """Pixels strictly above each edge, from pixels per bin: A_k = Σ_{n>k} h_n."""
    return np.cumsum(histogram[..., ::-1], axis=-1)[..., ::-1][..., 1:]


def pixels(histogram: Int[np.ndarray, "*rows unit bin"]) -> Int[np.ndarray, "*rows"]:
    """All pixels of each row; every unit saw the same ones."""
    return histogram[..., 0, :].sum(axis=-1)


def intersection_over_union(
    inside: Counts | Reals, active: Counts | Reals, area: Counts | Reals
) -> Float[np.ndarray, "..."]:
    """IoU = I / (A + C - I) on counts; NaN where the union is empty. In [0, 1]."""
    union = np.asarray(active + area - inside)
    return np.divide(inside, union, out=np.full(np.shape(union), np.nan), where=union > 0)


def information_quality_ratio(
    inside: Counts | Reals,
    active: Counts | Reals,
    area: Counts | Reals,
    total: Counts | Reals,
) -> Float[np.ndarray, "..."]:
    """I(A;C) / H(A,C) of the binary variables A = [value above] and C = [pixel of the concept].

    Returns:
        In [0, 1]; 1 where each determines the other, 0 where they are independent or constant.
    """
    total = np.asarray(total, float)
    active, area = np.asarray(active, float), np.asarray(area, float)
    inside = np.asarray(inside, float)
    cells = (inside, active - inside, area - inside, total - active - area + inside)

    def entropy(*counts: np.ndarray) -> np.ndarray:
        share = [np.divide(c, total, out=np.zeros(np.shape(c)), where=total > 0) for c in counts]
        terms = (p * np.log(p, out=np.zeros_like(p), where=p > 0) for p in share)
        return np.asarray(-sum(terms, start=np.zeros(())))

    shape = np.broadcast(*cells).shape
    joint = np.broadcast_to(entropy(*(np.broadcast_to(c, shape) for c in cells)), shape)
    mutual = (
        entropy(np.broadcast_to(active, shape), np.broadcast_to(total - active, shape))
        + entropy(np.broadcast_to(area, shape), np.broadcast_to(total - area, shape))
        - joint
    )
    ratio = np.divide(mutual, joint, out=np.zeros(shape), where=joint > 0)
    return np.asarray(np.clip(ratio, 0.0, 1.0))


def over_chance(
    iou: Float[np.ndarray, "..."], chance: Float[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """(IoU - chance) / (1 - chance): 1 for a perfect match, 0 for the level of chance."""
    room = 1 - chance
    return np.divide(iou - chance, room, out=np.zeros(np.shape(iou)), where=room > 0)


def choose_edges(
    histogram: Int[np.ndarray, "row unit bin"], *, quantile_edge: int
) -> Int[np.ndarray, "threshold unit concept"]:
    """The edge at which each pair is scored, for both kinds of threshold.

    ``quantile``: the same edge for all. ``information``: t = argmax I(A;C) / H(A,C), the lowest
    such edge. Candidates are the edges above which at least half of the pixels are of the concept,
    so that the outline is mostly the concept. If they keep less than half of the highest
    information, all edges are candidates.

    Args:
        histogram: Calibration fold; row 0 counts all pixels, row c those of concept c.
        quantile_edge: Index of the edge that is the quantile threshold.
    """
    area = pixels(histogram)
    n_rows, n_units, _ = histogram.shape
    edges = np.full((len(THRESHOLDS), n_units, n_rows - 1), quantile_edge, np.int64)
    active = above(histogram[0])
    for concept in range(1, n_rows):
        if area[concept] == 0:  # all ratios are 0
            edges[1, :, concept - 1] = 0
            continue
        # Row by row: a copy of all rows would be as large as the histogram.
        inside = above(histogram[concept])
        quality = information_quality_ratio(inside, active, area[concept], area[0])
        edges[1, :, concept - 1] = quality.argmax(axis=1)
        selective = np.where(inside >= HALF * active, quality, 0.0)
        enough = selective.max(axis=1) >= _LEAST_INFORMATION * quality.max(axis=1)
        edges[1, enough, concept - 1] = selective[enough].argmax(axis=1)
    return edges


@dataclass(frozen=True)
class LayerScores:
    """Scores of every unit–concept pair of a layer on the evaluation fold.

    All arrays have the shape (threshold, unit, concept), thresholds in the order of ``THRESHOLDS``.

    Attributes:
        iou: Intersection over union.
        chance_shuffled: The same unit against the masks of other images.
        chance_areas: IoU of a map that knows only how much of the concept each image holds, not
            where.
        information: Information quality ratio.
        chance_information: The same ratio by chance, the higher of both nulls.
        precision, recall: I/A and I/C; NaN where the denominator is 0.
    """

    iou: Float[np.ndarray, "threshold unit concept"]
    chance_shuffled: Float[np.ndarray, "threshold unit concept"]
    chance_areas: Float[np.ndarray, "threshold unit concept"]
    information: Float[np.ndarray, "threshold unit concept"]
    chance_information: Float[np.ndarray, "threshold unit concept"]
    precision: Float[np.ndarray, "threshold unit concept"]
    recall: Float[np.ndarray, "threshold unit concept"]

    @property
    def chance(self) -> Float[np.ndarray, "threshold unit concept"]:
        """IoU by chance: the higher of both nulls."""
        return np.fmax(self.chance_shuffled, self.chance_areas)

    @property
    def over_chance(self) -> Float[np.ndarray, "threshold unit concept"]:
        """IoU over chance; a chance level that could not be counted is taken as 0."""
        return over_chance(self.iou, np.nan_to_num(self.chance))

    @property
    def excess_information(self) -> Float[np.ndarray, "threshold unit concept"]:
        """Information about a concept beyond its usual places and the images that hold it.

        The information quality ratio less its chance level; negative where the unit avoids the
        concept (its IoU lies below chance), since the ratio itself does not know the sign.
        """
        sign = np.sign(np.nan_to_num(self.over_chance))
        return sign * np.maximum(self.information - self.chance_information, 0)

    def best(
        self, threshold: int, allowed: Bool[np.ndarray, " concept"] | None = None
    ) -> Int[np.ndarray, " unit"]:
        """Each unit's best concept as a column index: the highest excess information.

        Args:
            threshold: Position in ``THRESHOLDS``.
            allowed: Concepts that may be chosen; all of them if None.

        Highest IoU would name every unit after the largest concept: at its best threshold, a unit
        that fires everywhere has IoU 0.5 with a concept of half the pixels.
        """
        excess = self.excess_information[threshold]
        if allowed is not None:
            excess = np.where(allowed, excess, -np.inf)
        return excess.argmax(axis=1)

    def best_unless_halved(
        self,
        threshold: int,
        allowed: Bool[np.ndarray, " concept"],
        halved: Bool[np.ndarray, " concept"],
        folds: Sequence["LayerScores"],
    ) -> Int[np.ndarray, " unit"]:
        """Each unit's best concept, where half a concept must be clearly better than a whole one.

        There are many halves and each resembles its whole, so the best half is often ahead by luck.
        A half is chosen only if it also has more excess information than the best other concept in
        every part of the evaluation fold.

        Args:
            threshold: Position in ``THRESHOLDS``.
            allowed: Concepts that may be chosen.
            halved: Concepts that are half of another one.
            folds: Scores of parts of the evaluation fold.
        """
        best, units = self.best(threshold, allowed), np.arange(self.iou.shape[1])
        if not halved.any() or not (allowed & ~halved).any():
            return best
        whole = self.best(threshold, allowed & ~halved)
        surely = ~halved[best]
        ahead = [
            fold.excess_information[threshold][units, best]
            > fold.excess_information[threshold][units, whole]
            for fold in folds
        ]
        return np.where(surely | np.all(ahead, axis=0), best, whole)

    def highest_iou(self, threshold: int) -> Int[np.ndarray, " unit"]:
        """Each unit's concept of highest IoU as a column index: Network Dissection's label."""
        return np.nan_to_num(self.iou[threshold], nan=-1).argmax(axis=1)


def score(
    inside: Int[np.ndarray, "threshold unit concept"],
    active: Int[np.ndarray, "threshold unit concept"],
    shuffled: Int[np.ndarray, "threshold unit concept"],
    products: Int[np.ndarray, "threshold unit concept"],
    area: Int[np.ndarray, " concept"],
    total: int | Int[np.ndarray, " concept"],
    *,
    image_pixels: int,
    shuffled_active: Int[np.ndarray, "threshold unit concept"] | None = None,
) -> LayerScores:
    """Score all pairs of a layer from pixel counts at their thresholds.

    Args:
        inside: Pixels above the threshold and of the concept.
        active: Pixels above the threshold.
        shuffled: Pixels above the threshold and of the concept in another image.
        products: Σ over images of the pixels above the threshold times those of the concept.
        area: Pixels of the concept.
        total: All pixels.
        image_pixels: Pixels of one image.
        shuffled_active: Pixels above the threshold on the images of ``shuffled``; None: ``active``.
    """
    area = np.broadcast_to(area, inside.shape)
    if shuffled_active is None:
        shuffled_active = active
    expected = products / image_pixels
    return LayerScores(
        iou=intersection_over_union(inside, active, area),
        chance_shuffled=intersection_over_union(shuffled, shuffled_active, area),
        chance_areas=intersection_over_union(expected, active, area),
        information=information_quality_ratio(inside, active, area, total),
        chance_information=np.maximum(
            information_quality_ratio(shuffled, shuffled_active, area, total),
            information_quality_ratio(expected, active, area, total),
        ),
        precision=_share(inside, active),
        recall=_share(inside, area),
    )


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
