"""The ``Basis`` protocol: coordinates in which a layer's units are read.

    features = basis.encode(maps)        # Float[batch unit h w] from Float[batch channel h w]
    maps = basis.decode(features)        # back, exactly or approximately

A layer outputs channels. A basis maps the channel values at each pixel, independently of other
pixels, to other coordinates. These are then the units, and all later steps treat them like
channels.
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
    """Coordinates of a layer, with the map and its inverse.

    Attributes:
        name: Text after the @, such as ``rotation:0``.
        n_channels: Channels of the layer.
        n_units: Coordinates, which are the units of a layer that is read in this basis.
        exact: Whether ``decode(encode(x))`` is x up to rounding, for any x. Otherwise an edit of
            units has to keep the remainder x - decode(encode(x)).
        fingerprint: SHA-256 of the basis's tensors.
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
        """Convert the layer's channels to units, on the device of the maps, in float32."""
        ...

    def decode(
        self, features: Float[Tensor, "batch unit height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """Convert units to the layer's channels, on the device of the features, in float32."""
        ...

    def to_tensors(self) -> dict[str, Tensor]:
        """The basis's tensors by name; ``rebuild_basis`` is the inverse."""
        ...


NO_BASES: Mapping[str, Basis] = MappingProxyType({})
"""Bases of layers that are all read in their channels."""


class Channels:
    """The default basis of every layer: its unchanged channels.

    Example:
        >>> Channels(9).encode(torch.ones(1, 9, 4, 4)).shape
        torch.Size([1, 9, 4, 4])
    """

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
        """No tensors."""
        return {}


def mix(
    matrix: Float[Tensor, "row column"], maps: Float[Tensor, "batch column height width"]
) -> Float[Tensor, "batch row height width"]:
    """Multiply the vector at every pixel by a matrix, in float32.

    One product for each sample, so that a sample's values do not depend on its batch.
    """
    batch, _, height, width = maps.shape
    matrix = matrix.to(maps.device).expand(batch, -1, -1)
    return torch.bmm(matrix, maps.float().flatten(2)).reshape(batch, -1, height, width)


def random_orthonormal(
    normal: Float[np.ndarray, "row column"],
) -> Float[np.ndarray, "row column"]:
    """Random orthonormal columns, uniformly distributed (Haar measure).

    QR leaves the signs of its columns to the algorithm. With a positive diagonal of R the
    factorisation is unique, and Q is uniform (Mezzadri 2007, section 5).
    """
    orthonormal, upper = np.linalg.qr(normal)
    return orthonormal * np.where(np.diag(upper) < 0, -1.0, 1.0)


def per_unit(
    values: Float[Tensor, " unit"], maps: Float[Tensor, "..."]
) -> Float[Tensor, "unit 1 1"]:
    """One value per unit, with the shape and device to combine with maps."""
    return values.to(maps.device)[:, None, None]
