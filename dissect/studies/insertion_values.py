"""Insertion values of units: their mean where the concept is, or a high quantile.

References:
    Bau et al., GAN Dissection, ICLR 2019, section 3.2 (k is the mean activation conditioned on the
    presence of the class).
"""

import re

import numpy as np
import torch
from jaxtyping import Float

from dissect.bases import layer_info
from dissect.errors import ConfigError, SettingError
from dissect.runs import Run
from dissect.runs.schema import ALL_PIXELS
from dissect.statistics.scores import above
from dissect.studies.originals import Originals
from dissect.studies.unit_question import EXPECTED_VALUE, MEAN
from dissect.tracing import trace

_QUANTILE = re.compile(r"q(0?\.\d+)")


def insertion_values(
    run: Run, originals: Originals, layer: str, concept: str, how: str
) -> Float[np.ndarray, " unit"]:
    """A value for each unit of a layer.

    Args:
        run: Run with the quantiles.
        originals: Samples for ``mean``.
        layer: A layer of the run.
        concept: The concept to draw.
        how: ``mean`` or a quantile such as ``q0.99``.

    Raises:
        ConfigError: another value, or ``mean`` of a concept that never appears.
    """
    if how == MEAN:
        return present_means(originals, layer, concept)
    found = _QUANTILE.fullmatch(how)
    if not found or not 0 < float(found[1]) < 1:
        raise SettingError("value", f"is {how!r}; expected {EXPECTED_VALUE}")
    return stored_quantiles(run, layer, float(found[1]))


@torch.no_grad()
def present_means(originals: Originals, layer: str, concept: str) -> Float[np.ndarray, " unit"]:
    """Mean activation where a concept is: Σ m x / Σ m, with m the concept's share of each cell.

    Args:
        originals: Samples for the mean; they are generated once more.
        layer: ``layer`` or ``layer@basis`` with its basis among the originals' own.
        concept: A concept of the vocabulary.

    Raises:
        ConfigError: a concept that appears in none of them.
    """
    entry = originals.vocabulary[concept]
    plane = originals.vocabulary.planes.index(entry.plane)
    generator = originals.generator
    info = layer_info(generator, layer, originals.bases)
    total, area = torch.zeros(info.units, dtype=torch.float64), 0.0
    for number in originals.numbers:
        with trace(generator, layer, bases=originals.bases) as recorded:
            originals.images(number)
        maps = recorded[layer][: len(originals.indices(number))].cpu().double()
        present = (originals.planes(number)[:, plane] == entry.id).double()
        # Mean over each cell's area, like the resizing of regions.
        shares = torch.nn.functional.adaptive_avg_pool2d(present, (info.height, info.width))
        total += torch.einsum("buhw,bhw->u", maps, shares)
        area += shares.sum().item()
    if area == 0:
        raise ConfigError(
            f"concept {concept!r} is in none of {originals.n_samples} images, so units have no "
            "mean where it is; expected one that appears; take more samples or --value q0.99"
        )
    return (total / area).numpy()


def stored_quantiles(run: Run, layer: str, fraction: float) -> Float[np.ndarray, " unit"]:
    """Quantiles of each unit over the evaluation fold's pixels, from the run's histogram.

    Between two edges the values are assumed to be uniform; a quantile beyond the outer edges
    (tail fractions 0.9 and 10⁻⁴) is that edge.

    Args:
        run: A finished run.
        layer: One of its layers.
        fraction: In (0, 1), such as 0.99.
    """
    histogram = run.array(layer, "histogram").sel(set="evaluation", row=ALL_PIXELS).values
    edges = run.array(layer, "edges").values
    tails = above(histogram) / histogram.sum(axis=1)[:, None]
    rising = [
        np.interp(1 - fraction, shares[::-1], values[::-1])
        for shares, values in zip(tails, edges, strict=True)
    ]
    return np.array(rising)
