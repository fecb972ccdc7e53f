"""Samples with known attributes: latents, and the values of predictors on their images.

Directions are fitted to some samples and measured on others. The measured ones start at ``FRESH``,
so that the two sets are disjoint.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dissect.edits.applying import intervene
from dissect.edits.edit import Edit
from dissect.errors import ConfigError, GeneratorError, SegmenterError
from dissect.generators.base import Generator
from dissect.latents import Latent
from dissect.pictures import as_rgb
from dissect.progress import ProgressBar
from segmenters.base import Predictor
from segmenters.nearest import did_you_mean
from segmenters.predictors.table import SampleScores

FRESH = 1_000_000
"""Index of the first sample used for measuring directions."""
_BLOCK = 32


@dataclass(frozen=True)
class Truncation:
    """Truncation of samples towards the mean.

    Args:
        psi: ψ; 1 leaves them unchanged.
        cutoff: Number of first layers of w+ that are truncated; None means all.
    """

    psi: float = 1.0
    cutoff: int | None = None


WHOLE = Truncation()


@dataclass(frozen=True)
class AttributeReader:
    """Several predictors as one, or some attributes of them.

    Args:
        predictors: Predictors, in order; if two have an attribute with the same name, the second
            becomes ``name (predictor)``. May include scores by sample, which work for unedited
            samples only.
        wanted: Names of attributes, in order; None means all.

    Raises:
        SegmenterError: no predictor, or a name that none of them has.
    """

    predictors: Sequence[Predictor | SampleScores]
    wanted: Sequence[str] | None = None
    attributes: tuple[str, ...] = field(init=False)
    _columns: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names: list[str] = []
        for predictor in self.predictors:
            for name in predictor.attributes:
                names.append(f"{name} ({predictor.name})" if name in names else name)
        if not names:
            raise SegmenterError("no predictor of attributes was given; expected at least one")
        wanted = names if self.wanted is None else list(self.wanted)
        for name in wanted:
            if name not in names:
                raise SegmenterError(
                    f"attribute {name!r} is read by no predictor; {did_you_mean(name, names)}"
                    f"expected some of {', '.join(names)}"
                )
        object.__setattr__(self, "attributes", tuple(wanted))
        object.__setattr__(self, "_columns", tuple(names.index(name) for name in wanted))

    @property
    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of each predictor, by its name."""
        return {f"predictor {one.name}": one.fingerprint for one in self.predictors}

    def of_images(self) -> "AttributeReader | None":
        """The predictors of any image, without scores by sample. None if there are none."""
        predictors = [one for one in self.predictors if not isinstance(one, SampleScores)]
        if len(predictors) == len(self.predictors) or not predictors:
            return self if predictors else None
        whole = AttributeReader(predictors)
        wanted = [name for name in self.attributes if name in whole.attributes]
        return AttributeReader(predictors, wanted) if wanted else None

    @torch.no_grad()
    def read(
        self,
        images: Float[Tensor, "batch channels height width"],
        *,
        samples: Sequence[int] | None = None,
    ) -> Float[np.ndarray, "batch attribute"]:
        """The attributes of images in [-1, 1], each in its own unit.

        Args:
            images: Images of a generator.
            samples: Their indices, if they are unedited samples; scores by sample need them.

        Raises:
            SegmenterError: a predictor that returns another number of values than it has
                attributes, values that are not finite, or scores by sample for edited images.
        """
        parts = []
        for predictor in self.predictors:
            if isinstance(predictor, SampleScores):
                if samples is None:
                    raise SegmenterError(
                        f"{predictor.name} has scores of samples, and edited images were to be "
                        "read; expected a predictor of images too"
                    )
                parts.append(predictor.scores(samples))
                continue
            values = predictor.predict(as_rgb(images).to(predictor.device)).detach().cpu()
            expected = (len(images), len(predictor.attributes))
            if tuple(values.shape) != expected:
                raise SegmenterError(
                    f"predictor {predictor.name} gave values of shape {tuple(values.shape)}; "
                    f"expected {expected}, one for each image and attribute"
                )
            parts.append(values.double().numpy())
        found = np.concatenate(parts, axis=1)[:, list(self._columns)]
        if not np.isfinite(found).all():
            odd = self.attributes[int((~np.isfinite(found)).any(axis=0).argmax())]
            raise SegmenterError(f"attribute {odd!r} is NaN or infinite; expected finite values")
        return found


@dataclass(frozen=True, eq=False)
class ScoredSamples:
    """Latents of a space with the attributes of their images.

    Attributes:
        space: Space of the latents.
        points: Latents, float64.
        attributes: Names of the columns of ``scores``.
        scores: Scores in their own units.
    """

    space: str
    points: Float[np.ndarray, "n *space"]
    attributes: tuple[str, ...]
    scores: Float[np.ndarray, "n attribute"]

    def score(self, attribute: str) -> Float[np.ndarray, " n"]:
        """The values of one attribute."""
        return self.scores[:, self.attributes.index(attribute)]

    @property
    def varying(self) -> tuple[str, ...]:
        """Attributes that differ between samples; directions can be fitted only for these."""
        constant = self.scores.std(axis=0) <= 1e-9 * (1 + np.abs(self.scores).max(axis=0))
        return tuple(n for n, one in zip(self.attributes, constant, strict=True) if not one)


def check_space(generator: Generator, space: str) -> None:
    """Raise an error for a space that a generator lacks.

    Raises:
        GeneratorError: the space is missing.
    """
    if space not in generator.spaces:
        raise GeneratorError(
            f"space {space!r} is not one of {generator.name}'s; "
            f"{did_you_mean(space, generator.spaces)}expected {', '.join(generator.spaces)}"
        )


@torch.no_grad()
def score_samples(
    generator: Generator,
    reader: AttributeReader,
    *,
    spaces: Sequence[str],
    n_samples: int,
    seed: int = 0,
    first: int = 0,
    truncation: Truncation = WHOLE,
    label: int | None = None,
    progress: bool = False,
) -> list[ScoredSamples]:
    """Generate images of random latents once, and read their attributes.

    Args:
        generator: Any generator.
        reader: Reader of attributes.
        spaces: Spaces in which the latents are returned.
        n_samples: Number of samples.
        seed: Seed of the samples.
        first: Index of the first one.
        truncation: Truncation of the images, and of the latents except those of the first space,
            z, which has no mean.
        label: Class of all samples; None: each draws its own.
        progress: Show a progress bar.

    Returns:
        The samples, once per space.

    Raises:
        GeneratorError: a space that the generator lacks.
        SegmenterError: the errors of ``AttributeReader.read``.
    """
    for space in spaces:
        check_space(generator, space)
    points: dict[str, list[np.ndarray]] = {space: [] for space in spaces}
    scores = []
    for indices in _blocks(n_samples, first, progress=progress):
        drawn = generator.sample(indices, seed=seed, label=label)
        latent = truncate(generator, drawn, truncation)
        for space in spaces:
            at = generator.convert(drawn if space == drawn.space else latent, space)
            points[space].append(at.data.double().cpu().numpy())
        scores.append(reader.read(generator.synthesize(latent), samples=indices))
    return [
        ScoredSamples(
            space, np.concatenate(points[space]), reader.attributes, np.concatenate(scores)
        )
        for space in spaces
    ]


def latent_blocks(
    generator: Generator,
    *,
    n_samples: int,
    seed: int,
    first: int = 0,
    truncation: Truncation = WHOLE,
    label: int | None = None,
    progress: bool = False,
) -> Iterable[Latent]:
    """Latents of consecutive samples in blocks of 32; in w+ if ψ is not 1."""
    for indices in _blocks(n_samples, first, progress=progress):
        yield truncate(generator, generator.sample(indices, seed=seed, label=label), truncation)


def _blocks(n_samples: int, first: int, *, progress: bool) -> Iterable[list[int]]:
    bar = ProgressBar(
        range(first, first + n_samples, _BLOCK), desc="samples", unit="block",
        disable=None if progress else True,
    )  # fmt: skip
    for start in bar:
        yield list(range(start, min(start + _BLOCK, first + n_samples)))


def truncate(generator: Generator, latent: Latent, truncation: Truncation) -> Latent:
    """Truncate latents: in w+ if there is one, otherwise in their own space."""
    if truncation == WHOLE:
        return latent
    space = "w+" if "w+" in generator.spaces else latent.space
    return generator.convert(latent, space, truncation=truncation.psi, cutoff=truncation.cutoff)


def check_steered(generator: Generator, space: str, truncation: Truncation) -> None:
    """Raise an error for directions in z while truncated samples start in w+.

    Raises:
        ConfigError: such directions.
    """
    if truncation != WHOLE and space == next(iter(generator.spaces)) and "w+" in generator.spaces:
        raise ConfigError(
            f"directions in {space!r} were to move samples of {generator.name} with truncation "
            f"{truncation.psi:g}, which start in w+; expected directions in w, w+ or s, or "
            "--truncation 1"
        )


@torch.no_grad()
def read_edited(
    generator: Generator,
    reader: AttributeReader,
    latents: Sequence[Latent],
    edits: Sequence[Sequence[Edit]],
    *,
    progress: bool = False,
    stage: str = "edited images",
) -> Float[np.ndarray, "edit n attribute"]:
    """Attributes of the images of some latents under each of several recipes.

    Args:
        generator: Any generator.
        reader: Reader of attributes.
        latents: Blocks of latents.
        edits: Recipes; an empty one gives the unedited images.
        progress: Show a progress bar.
        stage: Name of the progress bar.

    Raises:
        DissectError: edits that cannot be applied; see ``intervene``.
    """
    if not latents:
        raise ConfigError("no samples were given to measure on; expected at least one")
    found = []
    bar = ProgressBar(
        total=len(edits) * sum(map(len, latents)), desc=stage, unit="image",
        disable=None if progress else True,
    )  # fmt: skip
    for recipe in edits:
        values = []
        with intervene(generator, recipe):
            for latent in latents:
                values.append(reader.read(generator.synthesize(latent)))
                bar.update(len(latent))
        found.append(np.concatenate(values))
    bar.close()
    return np.stack(found)
