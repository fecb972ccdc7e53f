"""What a basis is: the coordinates in which a layer's units are read.

    features = basis.encode(maps)        # Float[batch unit h w] from Float[batch channel h w]
    maps = basis.decode(features)        # back, exactly or as near as the basis gets

A layer puts out channels. A basis takes the channel values at each pixel, by themselves, to other
coordinates; those are the units then, and everything after it treats them like channels.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from segmenters.base import hash_tensors


@runtime_checkable
class Basis(Protocol):
    """Coordinates of a layer, with the way there and back.

    Attributes:
        name: What stands behind the @, such as ``rotation:0``.
        n_channels: Channels of the layer.
        n_units: Coordinates, the units of a layer that is read in this basis.
        exact: Whether ``decode(encode(x))`` is x up to rounding, for any x. Where it is not, an
            edit of units has to carry the remainder x - decode(encode(x)) along.
        fingerprint: SHA-256 of what the basis holds.
    """

    @property
    def name(self) -> str: ...

    @property
    def n_channels(self) -> int: ...

    @property
    def n_units(self) -> int: ...

    @property
    def exact(self) -> bool: ...

    @property
    def fingerprint(self) -> str: ...

    def encode(
        self, maps: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch unit height width"]:
        """From the layer's channels to units, on the device of the maps, in float32."""
        ...

    def decode(
        self, features: Float[Tensor, "batch unit height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """From units to the layer's channels, on the device of the features, in float32."""
        ...

    def to_tensors(self) -> dict[str, Tensor]:
        """What the basis holds, by name; ``rebuild_basis`` is the inverse."""
        ...


NO_BASES: Mapping[str, Basis] = MappingProxyType({})
"""For layers that are all read in their channels."""


class Channels:
    """The basis that every layer has: its channels, as they are."""

    exact = True

    def __init__(self, n_channels: int) -> None:
        self.name = "channels"
        self.n_channels = self.n_units = n_channels
        self.fingerprint = hash_tensors({}, "channels", n_channels)

    def encode(
        self, maps: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch unit height width"]:
        """The maps themselves."""
        return maps

    def decode(
        self, features: Float[Tensor, "batch unit height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """The features themselves."""
        return features

    def to_tensors(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}


def mix(
    matrix: Float[Tensor, "row column"], maps: Float[Tensor, "batch column height width"]
) -> Float[Tensor, "batch row height width"]:
    """Multiply the vector at every pixel by a matrix, in float32.

    One product for each sample, so that a sample's values do not depend on the batch around it.
    """
    batch, _, height, width = maps.shape
    matrix = matrix.to(maps.device).expand(batch, -1, -1)
    return torch.bmm(matrix, maps.float().flatten(2)).reshape(batch, -1, height, width)


def random_orthonormal(
    normal: Float[np.ndarray, "row column"],
) -> Float[np.ndarray, "row column"]:
    """The orthonormal columns of a matrix of normal numbers, evenly spread (Haar measure).

    QR leaves the signs of its columns to the algorithm. With R's diagonal made positive the
    factorisation is unique, and Q as evenly spread as the normal matrix (Mezzadri 2007, section 5).
    """
    orthonormal, upper = np.linalg.qr(normal)
    return orthonormal * np.where(np.diag(upper) < 0, -1.0, 1.0)


def per_unit(
    values: Float[Tensor, " unit"], maps: Float[Tensor, "..."]
) -> Float[Tensor, "unit 1 1"]:
    """One value for each unit, shaped and placed so that it goes with maps."""
    return values.to(maps.device)[:, None, None]
