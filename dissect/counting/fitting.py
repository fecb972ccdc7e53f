"""The pass that fits principal components, over the samples of the pilot."""

import dataclasses
from collections.abc import Mapping

from dissect.bases.base import Basis
from dissect.bases.pca import PixelMoments, PrincipalComponents
from dissect.bases.spec import BasisSpec, split_layer
from dissect.config import RunConfig
from dissect.counting.samples import make_block, n_blocks
from dissect.generators.base import Generator
from dissect.progress import ProgressBar


def prepare_bases(
    generator: Generator, config: RunConfig, opened: Mapping[str, Basis], *, progress: bool
) -> dict[str, Basis]:
    """The basis of every layer that is not read in its channels.

    Args:
        generator: Whose layers they are.
        config: Settings of the run; its first ``pilot`` samples are what is fitted.
        opened: What ``open_bases`` gave.
        progress: Show a progress bar on stderr.

    Returns:
        Spec → its basis.
    """
    wanted = {}
    for text in config.layers:
        layer, basis = split_layer(text, generator.layers)
        if basis is not None and text not in opened:
            wanted[text] = (layer, basis)
    # Several numbers of components share the moments of their layer.
    layers = tuple(dict.fromkeys(layer for layer, _ in wanted.values()))
    moments = measure_pixels(generator, config, layers, progress=progress)
    fitted = {
        text: PrincipalComponents.fit(
            basis, moments[layer], n_components=BasisSpec.parse(basis).number
        )
        for text, (layer, basis) in wanted.items()
    }
    return {**opened, **fitted}


def measure_pixels(
    generator: Generator, config: RunConfig, layers: tuple[str, ...], *, progress: bool
) -> dict[str, PixelMoments]:
    """Moments of the pixels of plain layers over the samples of the pilot, none left out."""
    if not layers:
        return {}
    n_pilot = min(config.pilot, config.n_samples)
    plain = dataclasses.replace(config, layers=layers)
    moments = {layer: PixelMoments.empty(generator.layers[layer].units) for layer in layers}
    numbers = range(n_blocks(config, n_pilot))
    for number in ProgressBar(
        numbers, desc="bases", unit="block", disable=None if progress else True, leave=False
    ):
        block = make_block(generator, plain, number)
        for layer, maps in block.maps.items():
            for row, index in enumerate(block.indices):
                if index < n_pilot:
                    moments[layer] = moments[layer].merge(PixelMoments.of(maps[row]))
    return moments
