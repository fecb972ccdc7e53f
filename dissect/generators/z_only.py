"""Base class of generators whose only latent space is z.

A family gives its network, the shape of z, the layers and the size of the image. Sampling,
truncation and synthesis are here; a family overrides them if it differs.
"""

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dissect.errors import GeneratorError
from dissect.generators.base import check_conversion, sample_normal
from dissect.generators.notebook import ShownGenerator
from dissect.generators.shapes import LayerInfo, Space
from dissect.latents import Latent

if TYPE_CHECKING:
    from dissect.generators.weights import Source

Network = TypeVar("Network", bound=nn.Module)


@runtime_checkable
class HasLatentWeight(Protocol):
    """A generator whose first layers read z through a weight."""

    def latent_weight(self) -> Float[Tensor, "row z"] | None:
        """A of every part y = A z + b that reads z directly; None if no weight does.

        SeFa takes its directions from A (Shen and Zhou, CVPR 2021, equation 5).
        """
        ...


class ZOnlyGenerator(ShownGenerator, Generic[Network]):
    """A generator with the one space z; follows the ``Generator`` protocol.

    A subclass sets ``layers``, ``image_size`` and ``channels``; ``families`` sets ``source``, the
    origin of a file's weights.

    Args:
        module: The network, in eval mode; called with z, returns images in [-1, 1].
        name: Name shown to people.
        z_shape: Shape of one latent.
        fingerprint: SHA-256 over the network's tensors and settings.
        n_classes: Number of classes; 0 if none.
    """

    not_editable: str | None = None
    layers: dict[str, LayerInfo]
    image_size: int
    channels: int
    source: "Source"

    def __init__(
        self,
        module: Network,
        *,
        name: str,
        z_shape: tuple[int, ...],
        fingerprint: str,
        n_classes: int = 0,
    ) -> None:
        self.module, self.name, self.fingerprint = module, name, fingerprint
        self.family = type(self).__name__
        self.spaces = {"z": Space("z", z_shape)}
        self.n_classes = n_classes

    def take_source(self, of: "ZOnlyGenerator[Network]") -> None:
        """Take the family and the origin of weights of another generator of the same file."""
        self.family = of.family
        if hasattr(of, "source"):
            self.source = of.source

    @property
    def device(self) -> torch.device:
        """The device of the network's tensors; the CPU for a network without any."""
        tensors = chain(self.module.parameters(), self.module.buffers())
        return next((tensor.device for tensor in tensors), torch.device("cpu"))

    def sample(self, indices: Sequence[int], *, seed: int, label: int | None = None) -> Latent:
        """Standard normal latents; see ``Generator.sample``.

        Raises:
            GeneratorError: a label out of range, or one for a generator without classes.
        """
        return sample_normal(self, indices, seed=seed, label=label)

    def convert(
        self, latent: Latent, space: str, *, truncation: float = 1.0, cutoff: int | None = None
    ) -> Latent:
        """Convert z to z; ψ scales z, whose mean is 0: z' = ψ z.

        Raises:
            GeneratorError: another space, a latent of the wrong shape, or a cutoff.
        """
        check_conversion(self, latent, space)
        self._refuse_cutoff(cutoff)
        return Latent("z", self._z(latent) * truncation, latent.label)

    def synthesize(
        self, latent: Latent, *, noise: str = "const"
    ) -> Float[Tensor, "batch channels height width"]:
        """Images in [-1, 1]; there are no noise inputs, so ``noise`` has no effect.

        Raises:
            GeneratorError: a latent of another generator.
        """
        check_conversion(self, latent, latent.space)
        return self.module(self._z(latent).to(self.device))

    def _z(self, latent: Latent) -> Float[Tensor, "batch *z"]:
        """The data in the shape of the space; many programs store a vector as (size, 1, 1)."""
        return latent.data.reshape(len(latent), *self.spaces["z"].shape)

    def _refuse_cutoff(self, cutoff: int | None) -> None:
        if cutoff is not None:
            raise GeneratorError(
                f"{self.name} has no w+ space, but cutoff {cutoff} was given; leave it out"
            )
