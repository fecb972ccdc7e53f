"""The pass that fits principal components, over the samples of the pilot."""

from collections.abc import Iterable

from dissect.bases.base import Basis
from dissect.bases.pca import PixelMoments, PrincipalComponents
from dissect.counting.subject import Subject
from dissect.progress import ProgressBar


def fit_bases(subject: Subject, *, n_samples: int | None = None, progress: bool) -> Subject:
    """The subject with the basis of every layer that is not read in its channels.

    Args:
        subject: Subject with the bases that need no samples.
        n_samples: Samples for fitting components; None: those of the pilot.
        progress: Show a progress bar on stderr.
    """
    wanted = {
        text: (spec.layer, spec.basis)
        for text, spec in subject.specs.items()
        if spec.basis is not None and text not in subject.bases
    }
    # Bases with different numbers of components share the moments of their layer.
    layers = dict.fromkeys(layer for layer, _ in wanted.values())
    moments = measure_pixels(subject, layers, n_samples=n_samples, progress=progress)
    fitted: dict[str, Basis] = {
        text: PrincipalComponents.fit(str(basis), moments[layer], n_components=basis.number)
        for text, (layer, basis) in wanted.items()
    }
    return subject.with_bases({**subject.bases, **fitted})


def measure_pixels(
    subject: Subject, layers: Iterable[str], *, n_samples: int | None = None, progress: bool
) -> dict[str, PixelMoments]:
    """Moments of all pixels of plain layers over the samples of the pilot."""
    plain = subject.only(layers).unmixed()
    if not plain.config.layers:
        return {}
    n_fitted = subject.n_pilot if n_samples is None else min(n_samples, subject.n_pilot)
    moments = {layer: PixelMoments.empty(info.units) for layer, info in plain.shapes.items()}
    numbers = subject.blocks_of(n_fitted)
    for number in ProgressBar(
        numbers, desc="bases", unit="block", disable=None if progress else True, leave=False
    ):
        block = plain.block(number)
        for layer, maps in block.maps.items():
            for row, index in enumerate(block.indices):
                if index < n_fitted:
                    moments[layer] = moments[layer].merge(PixelMoments.of(maps[row]))
    return moments
