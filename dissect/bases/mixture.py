"""Random orthonormal mixtures of a layer's channels: the control for its units.

In a network that aligns concepts with its axes, units match them better than mixtures of the same
channels do. Each of several draws gives a few directions. They are orthonormal, like rows of a
random rotation, and cost little compared with the layer's own units.

References:
    Bau et al., Network Dissection, CVPR 2017, section 3.2 (axis-aligned interpretability).
    Mezzadri, How to Generate Random Matrices from the Classical Compact Groups, Notices of the AMS
    54, 2007, section 5.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dissect.bases.base import mix, random_orthonormal
from dissect.bases.spec import BasisSpec, LayerSpec
from dissect.latents.sampling import MIXTURE_STREAMS, stream
from segmenters.base import hash_tensors

KIND = "mixture"
"""Kind of the basis. A run adds it to each layer; a user cannot select it."""
_LEAST = 4
_SHARE = 64


def directions_of_a_draw(n_channels: int) -> int:
    """Number of directions of each draw: a sixty-fourth of the channels, at least 4."""
    return min(n_channels, max(_LEAST, -(-n_channels // _SHARE)))


def mixture_of(layer: str, n_draws: int) -> LayerSpec:
    """Name of a layer's mixtures."""
    return LayerSpec(layer, BasisSpec(KIND, str(n_draws)))


@dataclass(frozen=True, eq=False)
class Mixture:
    """Units u = M x, where the rows of M are the directions of all draws in sequence.

    Args:
        name: Name such as ``mixture:4``, with the number of draws.
        matrix: M; its rows are orthonormal within a draw.
    """

    name: str
    matrix: Float[Tensor, "unit channel"]

    exact = False

    @classmethod
    def draw(cls, n_draws: int, *, n_channels: int) -> "Mixture":
        """The mixtures of a layer with this number of channels, with seeds 0, 1, …, one per draw.

        Directions are rows of a uniformly random rotation (Haar measure).

        Example:
            >>> Mixture.draw(4, n_channels=128).matrix.shape
            torch.Size([16, 128])
        """
        n_rows = directions_of_a_draw(n_channels)
        rows = []
        for seed in range(n_draws):
            normal = stream(seed, MIXTURE_STREAMS + n_channels).standard_normal(
                (n_channels, n_rows)
            )
            rows.append(random_orthonormal(normal).T)
        matrix = np.concatenate(rows).astype(np.float32, order="C")
        return cls(f"{KIND}:{n_draws}", torch.from_numpy(matrix))

    @property
    def n_channels(self) -> int:
        return self.matrix.shape[1]

    @property
    def n_units(self) -> int:
        return self.matrix.shape[0]

    @property
    def fingerprint(self) -> str:
        return hash_tensors(self.to_tensors(), KIND)

    def encode(
        self, maps: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch unit height width"]:
        """u = M x."""
        return mix(self.matrix, maps)

    def decode(
        self, features: Float[Tensor, "batch unit height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """The shortest x with M x = u, or the nearest to it."""
        return mix(torch.linalg.pinv(self.matrix), features)

    def to_tensors(self) -> dict[str, Tensor]:
        """``matrix``."""
        return {"matrix": self.matrix}
