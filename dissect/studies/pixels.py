"""What a set of edited units changes: every concept at once, in pixels and in shares.

Each edited image is segmented once. With B and A the pixels of a concept before and after, summed
over images, and K those that have it both times:

- removed share = (B − K) / B, what was there and is no more;
- added share = (A − K) / B, what is there now and was not, against what there was;
- change = A − B, in pixels per image.

The average causal effect of units U on concept c at pixels P (everywhere, or the region) is

    δ(U→c) = E[s_c(U inserted at P)] − E[s_c(U ablated at P)],

where s_c is the share of P that the segmenter marks as c. Divided by E[s_c(unedited)] it can be
compared between common and rare concepts.

References:
    Bau et al., GAN Dissection, ICLR 2019, section 3.2 (ablation, insertion, δ and its norm).
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentiles).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int

from dissect.edits.applying import intervene
from dissect.edits.edit import Edit
from dissect.edits.regions import Region, pool
from dissect.edits.unit_edits import Ablate, Insert
from dissect.errors import ConfigError, SettingError
from dissect.latents.sampling import RESAMPLING_STREAMS, stream
from dissect.studies.originals import Originals, count_pixels
from segmenters import Vocabulary

_RESAMPLES = 1000
_LEVELS = (2.5, 97.5)


@dataclass(frozen=True)
class Treatment:
    """What is done to units of a layer, whichever they are.

    Args:
        layer: ``layer`` or ``layer@basis``.
        values: A value to insert for every unit of the layer; None ablates.
        region: Where; None means everywhere.
    """

    layer: str
    values: Float[np.ndarray, " unit"] | Sequence[float] | None = None
    region: Region | None = None

    @property
    def sign(self) -> int:
        """−1 if the concept is meant to go, 1 if it is meant to come."""
        return -1 if self.values is None else 1

    def of(self, units: Sequence[int]) -> list[Edit]:
        """The edits of these units; none for no units."""
        if len(units) == 0:
            return []
        if self.values is None:
            return [Ablate(self.layer, units, self.region)]
        values = [float(self.values[unit]) for unit in units]
        return [Insert(self.layer, units, values, self.region)]


@dataclass(frozen=True, eq=False)
class PixelCounts:
    """Pixels of each concept in each image, before and after an edit.

    Attributes:
        before, after: All of them.
        kept: Those that have the concept both times.
        inside_before, inside_after: Those inside the region.
        area: Pixels of the region.
    """

    before: Int[np.ndarray, "image concept"]
    after: Int[np.ndarray, "image concept"]
    kept: Int[np.ndarray, "image concept"]
    inside_before: Int[np.ndarray, "image concept"]
    inside_after: Int[np.ndarray, "image concept"]
    area: int

    @cached_property
    def change(self) -> Int[np.ndarray, "image concept"]:
        """Pixels gained, less pixels lost."""
        return self.after - self.before


@torch.no_grad()
def measure(
    originals: Originals,
    edits: Sequence[Edit],
    region: Region | None = None,
    *,
    look: Callable[[torch.Tensor], object] | None = None,
) -> PixelCounts:
    """Make every sample with the edits, segment it once and count.

    Args:
        originals: What it is compared with.
        edits: See ``intervene``.
        region: Where the share of pixels for δ is taken; None means everywhere.
        look: Called with the edited images of each block, for whoever wants more of them.

    Raises:
        LayerError, ConfigError: see ``intervene``.
    """
    n_concepts = len(originals.vocabulary)
    size = originals.generator.image_size
    inside = None if region is None else torch.from_numpy(pool(region, (size, size)) >= 0.5)
    rows: list[tuple[np.ndarray, ...]] = []
    for number in originals.numbers:
        before = originals.planes(number)
        with intervene(originals.generator, edits, bases=originals.bases):
            images = originals.images(number)
        if look is not None:
            look(images)
        after = originals.label(images)
        kinds = [before, after, torch.where(before == after, before, 0)]
        if inside is not None:
            kinds += [planes * inside for planes in (before, after)]
        rows.append(tuple(count_pixels(planes, n_concepts) for planes in kinds))
    counted = [np.concatenate(parts) for parts in zip(*rows, strict=True)]
    if inside is None:
        return PixelCounts(*counted, *counted[:2], area=size * size)
    return PixelCounts(*counted, area=int(inside.sum()))


def mean_counts(counts: Sequence[PixelCounts]) -> PixelCounts:
    """Counts of the mean draw, image by image, so that its interval is over images too."""
    names = ("before", "after", "kept", "inside_before", "inside_after")
    arrays = {name: np.mean([getattr(one, name) for one in counts], axis=0) for name in names}
    return PixelCounts(**arrays, area=counts[0].area)


def effect_table(counts: PixelCounts, vocabulary: Vocabulary, *, seed: int) -> pd.DataFrame:
    """One row for each concept with the effect on it.

    Args:
        counts: Of one set.
        vocabulary: Of the segmenter.
        seed: Of the bootstrap.

    Returns:
        ``concept``, ``category``, ``images`` (unedited ones that hold it), ``before``, ``after``,
        ``removed``, ``added``, ``change`` (mean pixels per image), ``removed_share``,
        ``added_share`` (NaN for a concept that never appears), and the bounds of 95 % intervals of
        the last three, ``_low`` and ``_high``.
    """
    gone, came = counts.before - counts.kept, counts.after - counts.kept
    shares = {"removed_share": gone, "added_share": came}
    columns = {
        "concept": list(vocabulary.names),
        "category": [concept.category for concept in vocabulary],
        "images": (counts.before > 0).sum(axis=0),
        "before": counts.before.mean(axis=0),
        "after": counts.after.mean(axis=0),
        "removed": gone.mean(axis=0),
        "added": came.mean(axis=0),
        "change": counts.change.mean(axis=0),
    }
    weights = bootstrap_weights(len(gone), seed=seed)
    low, high = np.percentile(weights @ counts.change / len(gone), _LEVELS, axis=0)
    columns |= {"change_low": low, "change_high": high}
    for name, part in shares.items():
        value, low, high = ratio_interval(part, counts.before, weights)
        columns |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return pd.DataFrame(columns)


def causal_effect(
    inserted: PixelCounts, ablated: PixelCounts, vocabulary: Vocabulary, *, seed: int
) -> pd.DataFrame:
    """The average causal effect δ on each concept, see the head of this module.

    Args:
        inserted, ablated: The same units and region, the same images.
        vocabulary: Of the segmenter.
        seed: Of the bootstrap.

    Returns:
        ``concept``, ``ace`` in shares of the region's pixels with the bounds of its 95 % interval,
        and ``ace_normalised``, NaN for a concept that is never in the region.
    """
    difference = (inserted.inside_after - ablated.inside_after) / inserted.area
    usual = inserted.inside_before.mean(axis=0) / inserted.area
    ace = difference.mean(axis=0)
    weights = bootstrap_weights(len(difference), seed=seed)
    low, high = np.percentile(weights @ difference / len(difference), _LEVELS, axis=0)
    normalised = np.divide(ace, usual, out=np.full(ace.shape, np.nan), where=usual > 0)
    return pd.DataFrame(
        {
            "concept": list(vocabulary.names),
            "ace": ace,
            "ace_low": low,
            "ace_high": high,
            "ace_normalised": normalised,
        }
    )


def random_units(n_units: int, size: int, *, draws: int, seed: int) -> list[list[int]]:
    """Sets of units drawn without replacement, the baseline of a set of the same size.

    Args:
        n_units: Of the layer.
        size: Of each set.
        draws: How many sets.
        seed: Of the draw.

    Raises:
        ConfigError: more units than the layer has.
    """
    if not 1 <= size <= n_units:
        raise SettingError("n_units", f"is {size}; expected from 1 to {n_units}, as the layer has")
    return [sorted(random_order(n_units, draw, seed=seed)[:size]) for draw in range(draws)]


def random_order(n_units: int, draw: int, *, seed: int) -> list[int]:
    """All units of a layer in the order of a draw; its first ones are that draw's random set."""
    return stream(seed, RESAMPLING_STREAMS + draw).permutation(n_units).tolist()


def bootstrap_weights(n_images: int, *, seed: int) -> Float[np.ndarray, "resample image"]:
    """How often each image is drawn in each resample."""
    random = stream(seed, RESAMPLING_STREAMS - 1)
    return random.multinomial(n_images, np.full(n_images, 1 / n_images), _RESAMPLES).astype(float)


def ratio_interval(
    part: Int[np.ndarray, "image concept"],
    whole: Int[np.ndarray, "image concept"],
    weights: Float[np.ndarray, "resample image"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Σ part / Σ whole over images for each concept, with the percentile interval.

    Resamples without the concept say nothing and are left out.

    Returns:
        value, low, high; NaN where the concept never appears.
    """
    value, low, high = (np.full(part.shape[1], np.nan) for _ in range(3))
    parts, wholes = weights @ part, weights @ whole
    for concept in np.flatnonzero(whole.sum(axis=0)):
        known = wholes[:, concept] > 0
        value[concept] = part[:, concept].sum() / whole[:, concept].sum()
        low[concept], high[concept] = np.percentile(
            parts[known, concept] / wholes[known, concept], _LEVELS
        )
    return value, low, high


def check_present(originals: Originals, concept: str) -> None:
    """Refuse a concept of which there is nothing to remove.

    Raises:
        SegmenterError: a concept that is not in the vocabulary.
        ConfigError: one that appears in none of the unedited images.
    """
    column = originals.vocabulary[concept].id - 1
    if not originals.pixels()[:, column].any():
        raise ConfigError(
            f"concept {concept!r} is in none of the {originals.n_samples} unedited images; "
            "expected something to remove; take more samples or another concept"
        )


def table_of_sets(
    counts: Mapping[str, PixelCounts], vocabulary: Vocabulary, *, seed: int
) -> pd.DataFrame:
    """``effect_table`` of several sets, one below the other, named in the column ``set``."""
    tables = [
        effect_table(one, vocabulary, seed=seed).assign(set=name) for name, one in counts.items()
    ]
    table = pd.concat(tables, ignore_index=True)
    return table[["set", *table.columns.drop("set")]]
