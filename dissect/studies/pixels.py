"""Effect of a set of edited units on every concept at once, in pixels and in shares.

Each edited image is segmented once. With B and A the pixels of a concept before and after, summed
over images, and K the pixels that have it both times:

- net removed share = 1 − A / B, net added share = A / B − 1: the total effect of an edit on the
  concept. It is 0 if the concept is only moved;
- removed share = (B − K) / B: pixels that lost the concept, even if it appears elsewhere;
- added share = (A − K) / B: pixels that gained the concept, relative to its pixels before;
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
from types import MappingProxyType

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int

from dissect.edits.applying import intervene
from dissect.edits.edit import Edit
from dissect.edits.regions import Region, pool
from dissect.edits.unit_edits import Ablate, Insert
from dissect.errors import ConfigError
from dissect.studies.certainty import (
    LEVELS,
    DrawsInterval,
    bootstrap_weights,
    draws_interval,
    ratio_interval,
)
from dissect.studies.originals import Originals, count_pixels
from segmenters import Vocabulary

_COMMON = 10  # least unedited images with a concept for its net share to count


@dataclass(frozen=True)
class Treatment:
    """An edit of a layer that can be applied to any of its units.

    Args:
        layer: ``layer`` or ``layer@basis``.
        values: A value to insert for every unit of the layer; None ablates.
        region: Region of the edit; None means everywhere.
    """

    layer: str
    values: Float[np.ndarray, " unit"] | Sequence[float] | None = None
    region: Region | None = None

    @property
    def sign(self) -> int:
        """−1 if the concept should disappear, 1 if it should appear."""
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
        before, after: All pixels of the concept.
        kept: Pixels that have the concept both times.
        inside_before, inside_after: Pixels inside the region.
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
        """Pixels gained minus pixels lost."""
        return self.after - self.before

    @property
    def removed(self) -> Int[np.ndarray, "image concept"]:
        """Pixels that have the concept before and not after."""
        return self.before - self.kept

    @property
    def added(self) -> Int[np.ndarray, "image concept"]:
        """Pixels that have the concept after and not before."""
        return self.after - self.kept

    @property
    def shares(self) -> dict[str, Int[np.ndarray, "image concept"]]:
        """Column → the pixels whose share of ``before`` it is; see the module docstring."""
        return {
            "net_removed_share": -self.change,
            "net_added_share": self.change,
            "removed_share": self.removed,
            "added_share": self.added,
        }


@torch.no_grad()
def measure(
    originals: Originals,
    edits: Sequence[Edit],
    region: Region | None = None,
    *,
    look: Callable[[torch.Tensor], object] | None = None,
) -> PixelCounts:
    """Generate every sample with the edits, segment it once and count.

    Args:
        originals: Unedited samples for the comparison.
        edits: See ``intervene``.
        region: Region for the share of pixels in δ; None means everywhere.
        look: Callback that receives the edited images of each block.

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


def effect_table(counts: PixelCounts, vocabulary: Vocabulary, *, seed: int) -> pd.DataFrame:
    """One row for each concept with the effect on it.

    Args:
        counts: Counts of one set.
        vocabulary: Vocabulary of the segmenter.
        seed: Seed of the bootstrap.

    Returns:
        ``concept``, ``category``, ``images`` (unedited ones that hold it), ``before``, ``after``,
        ``removed``, ``added``, ``change`` (mean pixels per image), ``net_removed_share``,
        ``net_added_share``, ``removed_share``, ``added_share`` (NaN for a concept that never
        appears), and the bounds of 95 % intervals of the last five, ``_low`` and ``_high``.
    """
    columns = {
        "concept": list(vocabulary.names),
        "category": [concept.category for concept in vocabulary],
        "images": (counts.before > 0).sum(axis=0),
        "before": counts.before.mean(axis=0),
        "after": counts.after.mean(axis=0),
        "removed": counts.removed.mean(axis=0),
        "added": counts.added.mean(axis=0),
        "change": counts.change.mean(axis=0),
    }
    n_images = len(counts.before)
    weights = bootstrap_weights(n_images, seed=seed)
    low, high = np.percentile(weights @ counts.change / n_images, LEVELS, axis=0)
    columns |= {"change_low": low, "change_high": high}
    for name, part in counts.shares.items():
        value, low, high = ratio_interval(part, counts.before, weights)
        columns |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return pd.DataFrame(columns)


def causal_effect(
    inserted: PixelCounts, ablated: PixelCounts, vocabulary: Vocabulary, *, seed: int
) -> pd.DataFrame:
    """The average causal effect δ on each concept, see the module docstring.

    Args:
        inserted, ablated: Counts of the same units, region and images.
        vocabulary: Vocabulary of the segmenter.
        seed: Seed of the bootstrap.

    Returns:
        ``concept``, ``ace`` in shares of the region's pixels with the bounds of its 95 % interval,
        and ``ace_normalised``, NaN for a concept that is never in the region.
    """
    difference = (inserted.inside_after - ablated.inside_after) / inserted.area
    usual = inserted.inside_before.mean(axis=0) / inserted.area
    ace = difference.mean(axis=0)
    weights = bootstrap_weights(len(difference), seed=seed)
    low, high = np.percentile(weights @ difference / len(difference), LEVELS, axis=0)
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


def specificity(
    chosen: PixelCounts, vocabulary: Vocabulary, concept: str, *, share: str, seed: int
) -> dict[str, object] | None:
    """How much more a concept changes than the others do.

    specificity = net share of the concept − mean of |net share| over the other concepts. Only
    concepts in at least ten unedited images count, or a quarter if there are fewer than forty.

    Args:
        chosen: Counts of one set.
        vocabulary: Vocabulary of the segmenter.
        concept: Target concept of the set.
        share: A net share of ``PixelCounts.shares``.
        seed: Seed of the bootstrap over images.

    Returns:
        ``value`` with the bounds of its 95 % interval, ``value_low`` and ``value_high``;
        ``others``, the mean of the others; ``n_others``; and ``as_much``, the others whose net
        share is at least as large, name → share, largest first. None if the concept or all others
        never appear.
    """
    own = vocabulary[concept].id - 1
    n_images = len(chosen.before)
    often = (chosen.before > 0).sum(axis=0) >= min(_COMMON, n_images / 4)
    often[own] = False
    others = np.flatnonzero(often)
    if not chosen.before[:, own].any() or not len(others):
        return None
    part, whole = chosen.shares[share], chosen.before
    weights = np.vstack([np.ones(n_images), bootstrap_weights(n_images, seed=seed)])
    with np.errstate(invalid="ignore", divide="ignore"):
        nets = (weights @ part) / (weights @ whole)
    average = np.nanmean(np.abs(nets[:, others]), axis=1)
    values = nets[:, own] - average
    low, high = np.nanpercentile(values[1:], LEVELS)
    as_much = sorted(
        (other for other in others if nets[0, other] >= nets[0, own]),
        key=lambda other: -nets[0, other],
    )
    return {
        "value": float(values[0]),
        "value_low": float(low),
        "value_high": float(high),
        "others": float(average[0]),
        "n_others": len(others),
        "as_much": {vocabulary.names[other]: float(nets[0, other]) for other in as_much},
    }


def check_present(originals: Originals, concept: str) -> None:
    """Raise an error for a concept without any pixel to remove.

    Raises:
        SegmenterError: a concept that is not in the vocabulary.
        ConfigError: a concept that appears in none of the unedited images.
    """
    column = originals.vocabulary[concept].id - 1
    if not originals.pixels()[:, column].any():
        raise ConfigError(
            f"concept {concept!r} is in none of the {originals.n_samples} unedited images; "
            "expected something to remove; take more samples or another concept"
        )


def draws_table(draws: Sequence[PixelCounts], vocabulary: Vocabulary) -> pd.DataFrame:
    """One row for each concept with the mean effect of several random sets on it.

    Args:
        draws: Counts of each set, for the same images.
        vocabulary: Vocabulary of the segmenter.

    Returns:
        The columns of ``effect_table``; intervals are over draws and images (``draws_interval``),
        NaN for a single draw.
    """
    before = draws[0].before
    columns: dict[str, object] = {
        "concept": list(vocabulary.names),
        "category": [concept.category for concept in vocabulary],
        "images": (before > 0).sum(axis=0),
        "before": before.mean(axis=0),
    }
    for name in ("after", "removed", "added"):
        columns[name] = np.mean([getattr(one, name).mean(axis=0) for one in draws], axis=0)
    change = draws_interval(np.stack([one.change for one in draws]), np.ones_like(before))
    columns |= {"change": change.value, "change_low": change.low, "change_high": change.high}
    for name in draws[0].shares:
        found = share_of_draws(draws, name)
        columns |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    return pd.DataFrame(columns)


def share_of_draws(draws: Sequence[PixelCounts], share: str) -> DrawsInterval:
    """A share of ``PixelCounts.shares`` over several random sets, for each concept."""
    return draws_interval(np.stack([one.shares[share] for one in draws]), draws[0].before)


def compare_with_draws(
    chosen: PixelCounts, draws: Sequence[PixelCounts], vocabulary: Vocabulary, *, share: str
) -> pd.DataFrame:
    """How far the net effect of a set exceeds that of random ones, for each concept.

    Args:
        chosen, draws: Counts for the same images.
        vocabulary: Vocabulary of the segmenter.
        share: A net share of ``PixelCounts.shares``; its sign decides what counts as more.

    Returns:
        ``concept``; ``lead``, the chosen set's share minus the mean of the draws, with the bounds
        of its interval over draws and images, ``lead_low`` and ``lead_high``; ``next_draw``, the
        distance above that mean that one more random set exceeds in at most 2.5 % of cases;
        ``p_random``, the probability that one more random set has such a lead; and
        ``beyond_random``, whether the lead is larger than ``next_draw``. NaN and False for a
        single draw.
    """
    parts = np.stack([chosen.shares[share] - one.shares[share] for one in draws])
    lead = draws_interval(parts, chosen.before)
    return pd.DataFrame(
        {
            "concept": list(vocabulary.names),
            "lead": lead.value,
            "lead_low": lead.low,
            "lead_high": lead.high,
            "next_draw": lead.next_draw,
            "p_random": lead.p_next,
            "beyond_random": lead.value > lead.next_draw,
        }
    )


def table_of_sets(
    counts: Mapping[str, PixelCounts],
    vocabulary: Vocabulary,
    *,
    seed: int,
    draws: Mapping[str, Sequence[PixelCounts]] = MappingProxyType({}),
) -> pd.DataFrame:
    """``effect_table`` of several sets, stacked, with the column ``set`` for their names.

    Args:
        counts: Name → counts of one set.
        vocabulary: Vocabulary of the segmenter.
        seed: Seed of the bootstrap.
        draws: Name → counts of several random sets. Their mean (``draws_table``) has that name,
            and single ones are called ``NAME 1``, …
    """
    tables = [
        effect_table(one, vocabulary, seed=seed).assign(set=name) for name, one in counts.items()
    ]
    for name, own in draws.items():
        if own:
            tables.append(draws_table(own, vocabulary).assign(set=name))
        tables += [
            effect_table(one, vocabulary, seed=seed).assign(set=f"{name} {number}")
            for number, one in enumerate(own, start=1)
        ]
    table = pd.concat(tables, ignore_index=True)
    return table[["set", *table.columns.drop("set")]]
