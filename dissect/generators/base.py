"""The ``Generator`` protocol, which the rest of the toolkit works through.

A generator wraps an ``nn.Module`` in eval mode and gives three things: the latent spaces that it
accepts, the layers whose units can be read, and the way from a sample's index to its image.
"""

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dissect.errors import GeneratorError
from dissect.generators.shapes import LayerInfo, Space
from dissect.latents import Latent, standard_normal, uniform_labels


@runtime_checkable
class Generator(Protocol):
    """Protocol of a network that maps latents to images and whose layers can be read.

    Attributes or properties both work; nothing here sets them. A custom generator may omit
    ``family`` and ``not_editable``: see ``complete``.
    """

    @property
    def name(self) -> str:
        """Name shown to people."""
        ...

    @property
    def family(self) -> str:
        """The architecture: one of ``families.FAMILIES`` for a file, otherwise the class's name."""
        ...

    @property
    def image_size(self) -> int:
        """Height and width of its images in pixels (they are square)."""
        ...

    @property
    def channels(self) -> int:
        """3 for RGB, 1 for grey."""
        ...

    @property
    def n_classes(self) -> int:
        """Number of classes that it is conditioned on; 0 if none."""
        ...

    @property
    def spaces(self) -> Mapping[str, Space]:
        """Ordered from the sampled one: z → p → w → p+ → w+ → s; see ``styled`` for p and p+."""
        ...

    @property
    def layers(self) -> Mapping[str, LayerInfo]:
        """Ordered from the latent to the image."""
        ...

    @property
    def module(self) -> nn.Module:
        """The wrapped network, in eval mode."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 over its parameters and buffers."""
        ...

    @property
    def device(self) -> torch.device:
        """Device of its parameters."""
        ...

    @property
    def not_editable(self) -> str | None:
        """Why its layers can only be read and it has no gradients; None if they can be edited.

        Hooks of such a generator receive the outputs of layers but cannot change the image.
        """
        ...

    def sample(self, indices: Sequence[int], *, seed: int, label: int | None = None) -> Latent:
        """Latents of the samples ``indices`` of a seed, in the first space.

        Sample i of seed s has the same bits in any batch. If the generator has classes and no
        label is given, each sample draws its own class.
        """
        ...

    def convert(
        self, latent: Latent, space: str, *, truncation: float = 1.0, cutoff: int | None = None
    ) -> Latent:
        """Convert a latent to another space.

        Args:
            latent: The latent to convert.
            space: The target space: a later one in the order of ``spaces``, or an earlier one where
                the inverse is unique, such as from a w+ with equal layers to w.
            truncation: ψ; 1 leaves latents as they are, 0 gives the mean.
            cutoff: Truncate only the first ``cutoff`` layers of w+; None means all.

        Raises:
            GeneratorError: a space that it lacks, or a conversion that does not exist.
        """
        ...

    def synthesize(
        self, latent: Latent, *, noise: str = "const"
    ) -> Float[Tensor, "batch channels height width"]:
        """Images in RGB, [-1, 1]; the network's output is not clamped.

        Args:
            latent: A latent in any of its spaces.
            noise: ``const`` (as stored with the weights), ``none``, or ``random`` if it has noise.
        """
        ...


def members() -> list[str]:
    """Names of all members of the protocol."""
    return [name for name in vars(Generator) if not name.startswith("_")]


def complete(generator: Any) -> None:
    """Add the two members that a custom generator may omit.

    ``family`` becomes the name of its class, ``not_editable`` becomes None.
    """
    for name, value in (("family", type(generator).__name__), ("not_editable", None)):
        if not hasattr(generator, name):
            with contextlib.suppress(AttributeError):  # an object that takes no attributes
                setattr(generator, name, value)


def check_editable(generator: Generator) -> None:
    """Raise an error if edits of the generator's layers do not reach the image.

    Raises:
        GeneratorError: the generator is ``not_editable``; the message says why.
    """
    reason = getattr(generator, "not_editable", None)  # may be missing, see ``complete``
    if reason is not None:
        raise GeneratorError(
            f"units of {generator.name} were to be edited, but its layers can only be read: "
            f"{reason}"
        )


def sample_normal(
    generator: Generator, indices: Sequence[int], *, seed: int, label: int | None
) -> Latent:
    """Standard normal latents in the first space, each with a label where there are classes.

    Raises:
        GeneratorError: a label out of range, or one for a generator without classes.
    """
    n_classes = generator.n_classes
    if label is not None and not 0 <= label < n_classes:
        known = f"0 to {n_classes - 1}" if n_classes else "none, it has no classes"
        raise GeneratorError(f"label {label} was given for {generator.name}; expected {known}")
    space = next(iter(generator.spaces.values()))
    values = standard_normal(indices, seed=seed, size=math.prod(space.shape))
    labels = None
    if label is not None:
        labels = torch.full((len(indices),), label)
    elif n_classes:
        labels = uniform_labels(indices, seed=seed, n_classes=n_classes)
    return Latent(space.name, values.reshape(-1, *space.shape), labels).to(generator.device)


def check_belongs(generator: Generator, fingerprint: str, *, what: str, advice: str) -> None:
    """Refuse what was made for another generator.

    Args:
        generator: That it is to be used with.
        fingerprint: Of the generator that it was made for.
        what: It, such as ``inversion``.
        advice: What to do, for the error.

    Raises:
        GeneratorError: two fingerprints.
    """
    if generator.fingerprint != fingerprint:
        raise GeneratorError(
            f"the {what} belongs to a generator with the fingerprint {fingerprint[:12]}…; "
            f"{generator.name} has {generator.fingerprint[:12]}…; expected the same; {advice}"
        )


def check_conversion(
    generator: Generator, latent: Latent, space: str, *, first: str | None = None
) -> None:
    """Refuse a conversion that leaves the legal way.

    Args:
        generator: Whose spaces.
        latent: Where it is.
        space: Where it should be.
        first: The earliest space to which there is a way back; None means there is none.

    Raises:
        GeneratorError: a space that the generator lacks, a latent of the wrong shape, a way back
            that does not exist.
    """
    order = list(generator.spaces)
    for name in (latent.space, space):
        if name not in order:
            raise GeneratorError(
                f"space {name!r} is not one of {generator.name}'s; expected {', '.join(order)}"
            )
    shape = tuple(latent.data.shape[1:])
    expected = generator.spaces[latent.space].shape
    # Many programs write a latent vector as (size, 1, 1).
    trimmed = shape[:1] if len(expected) == 1 and set(shape[1:]) == {1} else shape
    if trimmed != expected:
        raise GeneratorError(
            f"a latent of {generator.name} in {latent.space!r} has the shape {shape} per sample; "
            f"expected {expected}"
        )
    earliest = order.index(latent.space if first is None else first)
    if order.index(space) < min(earliest, order.index(latent.space)):
        raise GeneratorError(
            f"cannot convert from {latent.space!r} back to {space!r}; "
            f"the way is {' → '.join(order)}"
        )
