"""Finds units that draw what is not in the data: suspects by their top images, then trials.

A sample's distance is that of its features to the normal distribution of the data's. A unit is
suspect if its top images are farther away than the average image; this takes one pass over the
run's samples and no edit. Only suspects are tried. Each is ablated alone, then they are chosen one
by one as long as the Fréchet distance of unseen samples to the data falls.

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

_LEAST_GAIN = 1e-3  # share of the distance by which a chosen unit must reduce it


def see(
    segmenter: Segmenter, images: Float[Tensor, "batch channels height width"]
) -> Float[np.ndarray, "batch feature"]:
    """Features of images as displayed, clamped to [-1, 1]."""
    shown = as_rgb(images).clamp(-1, 1).to(segmenter.device)
    return image_features(segmenter, shown).double().cpu().numpy()


@torch.no_grad()
def features_of(
    originals: Originals, edits: Sequence[Edit] = (), *, progress: bool = False
) -> Float[np.ndarray, "image feature"]:
    """Features of every sample, generated with the edits."""
    rows = []
    numbers = ProgressBar(
        originals.numbers, desc="features", unit="block", disable=None if progress else True
    )
    for number in numbers:
        with intervene(originals.generator, edits, bases=originals.bases):
            rows.append(see(originals.segmenter, originals.images(number)))
    return np.concatenate(rows)


def ablations(units: Sequence[Unit]) -> list[Ablate]:
    """One edit per layer, with layers in order of first appearance."""
    return [Ablate(layer, own) for layer, own in by_layer(units).items()]


def suspects(
    run: Run, layers: Sequence[str], distances: Float[np.ndarray, " image"]
) -> pd.DataFrame:
    """Units by the distance of their top images from the data.

    Args:
        run: Run with the top images of each unit.
        layers: Layers of the run.
        distances: Distance of each sample of the run.

    Returns:
        ``layer``, ``unit`` and ``score``: the mean distance of its top images minus that of all
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
    """Result of the search.

    Attributes:
        units: The proposed units, in the order of choice; may be empty.
        before: Fréchet distance of the unedited search samples to the data.
        after: The same without these units.
        tried: ``layer``, ``unit``, ``score`` and ``drop``, the reduction without that unit.
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
    """Ablate candidates alone, then choose them one by one as long as the distance falls.

    Args:
        originals: Samples for the search.
        data: Moments of the real images' features.
        candidates: Rows of ``suspects``.
        size: Largest number of proposed units.
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
