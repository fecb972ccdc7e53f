"""Which units draw what is not in the data: suspected by their top images, then tried.

A sample's distance is that of its features to the normal distribution of the data's. A unit is
suspect if its top images lie farther away than all images do, which takes one pass over the run's
samples and no edit. Only suspects are tried: each is ablated alone, then they are taken one by one
while the Fréchet distance of unseen samples to the data goes on falling.

References:
    Bau et al., GAN Dissection, ICLR 2019, section 4.2 (units of artifacts, ranked by the distance
    of their top images; there each unit's top 10,000 images are compared as a set).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from dissect.edits.applying import intervene
from dissect.edits.edit import Edit
from dissect.edits.unit_edits import Ablate
from dissect.pictures import as_rgb
from dissect.progress import ProgressBar
from dissect.runs import Run
from dissect.studies.originals import Originals
from dissect.studies.ranking import take_greedily
from dissect.studies.repair.frechet import Moments, frechet_distance
from dissect.studies.repair.question import Unit, by_layer
from segmenters import Segmenter
from segmenters.features import image_features

_LEAST_GAIN = 1e-3  # of the distance; what a unit takes off it has to be more to be taken


def see(
    segmenter: Segmenter, images: Float[Tensor, "batch channels height width"]
) -> Float[np.ndarray, "batch feature"]:
    """Features of images as they are shown, cut off at [-1, 1]."""
    shown = as_rgb(images).clamp(-1, 1).to(segmenter.device)
    return image_features(segmenter, shown).double().cpu().numpy()


@torch.no_grad()
def features_of(
    originals: Originals, edits: Sequence[Edit] = (), *, progress: bool = False
) -> Float[np.ndarray, "image feature"]:
    """Features of every sample, made with the edits."""
    rows = []
    numbers = ProgressBar(
        originals.numbers, desc="features", unit="block", disable=None if progress else True
    )
    for number in numbers:
        with intervene(originals.generator, edits, bases=originals.bases):
            rows.append(see(originals.segmenter, originals.images(number)))
    return np.concatenate(rows)


def ablations(units: Sequence[Unit]) -> list[Ablate]:
    """One edit for each layer, layers in the order in which they first come."""
    return [Ablate(layer, own) for layer, own in by_layer(units).items()]


def suspects(
    run: Run, layers: Sequence[str], distances: Float[np.ndarray, " image"]
) -> pd.DataFrame:
    """Units by how far their top images lie from the data.

    Args:
        run: Holds the top images of each unit.
        layers: Of the run.
        distances: Of each sample of the run.

    Returns:
        ``layer``, ``unit`` and ``score``: the mean distance of its top images less that of all
        images; highest first.
    """
    tables = []
    for layer in layers:
        top = run.array(layer, "top_indices").values
        own = np.where(top >= 0, distances[top], np.nan)
        score = np.nanmean(own, axis=1) - distances.mean()
        tables.append(pd.DataFrame({"layer": layer, "unit": range(len(top)), "score": score}))
    table = pd.concat(tables, ignore_index=True)
    return table.sort_values("score", ascending=False, kind="stable", ignore_index=True)


@dataclass(frozen=True)
class Found:
    """What the search came to.

    Attributes:
        units: Those that are proposed, in the order in which they were taken; maybe none.
        before: Fréchet distance of the unedited search samples to the data.
        after: The same without these units.
        tried: ``layer``, ``unit``, ``score`` and ``drop``, by which it falls without that unit.
    """

    units: list[Unit]
    before: float
    after: float
    tried: pd.DataFrame


def search(
    originals: Originals,
    data: Moments,
    candidates: pd.DataFrame,
    size: int,
    *,
    progress: bool = False,
) -> Found:
    """Ablate candidates alone, then take them one by one while the distance falls.

    Args:
        originals: Samples that are searched on.
        data: Of the real images' features.
        candidates: Rows of ``suspects``.
        size: Units to propose at most.
        progress: Show progress bars.
    """
    before = frechet_distance(Moments.of(features_of(originals)), data)

    def drop(units: list[Unit]) -> float:
        edited = Moments.of(features_of(originals, ablations(units)))
        return before - frechet_distance(edited, data)

    names = list(zip(candidates.layer, candidates.unit.tolist(), strict=True))
    bar = ProgressBar(names, desc="suspects", unit="unit", disable=None if progress else True)
    drops = {unit: drop([unit]) for unit in bar}
    least = _LEAST_GAIN * before
    units = take_greedily(drops, drop, size, least=least, progress=progress)
    after = before - drop(units) if units else before
    return Found(units, before, after, candidates.assign(drop=list(drops.values())))
