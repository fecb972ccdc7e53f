"""A random rotation of a layer's channels: the baseline for single channels.

If units match concepts because the network aligns concepts with its channels, then a random mixture
of the same channels should match fewer, although it spans the same space and loses nothing. The
difference measures the alignment.

References:
    Bau et al., Network Dissection, CVPR 2017, section 3.2 (axis-aligned interpretability).
    Mezzadri, How to Generate Random Matrices from the Classical Compact Groups, Notices of the AMS
    54, 2007, section 5 (the signs that make QR's Q uniform).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dissect.bases.base import mix, random_orthonormal
from dissect.latents.sampling import ROTATION_STREAMS, stream
from segmenters.base import hash_tensors


@dataclass(frozen=True, eq=False)
class Rotation:
    """Units u = R x, where R is a rotation.

    Args:
        name: Name such as ``rotation:0``.
        matrix: R, orthonormal with determinant 1.
    """

    name: str
    matrix: Float[Tensor, "unit channel"]

    exact = True

    @classmethod
    def draw(cls, name: str, *, seed: int, n_channels: int) -> "Rotation":
        """The rotation of a seed, uniform over all rotations of this dimension (Haar measure).

        Args:
            name: Name of the basis.
            seed: 0 ≤ seed < 2⁶⁴. With the number of channels it determines the matrix; the last
                bit may differ between machines.
            n_channels: Channels of the layer.

        Example:
            >>> rotation = Rotation.draw("rotation:0", seed=0, n_channels=3)
            >>> bool((rotation.matrix @ rotation.matrix.T - torch.eye(3)).abs().max() < 1e-6)
            True
        """
        normal = stream(seed, ROTATION_STREAMS + n_channels).standard_normal(
            (n_channels, n_channels)
        )
        orthonormal = random_orthonormal(normal)
        if np.linalg.slogdet(orthonormal)[0] < 0:
            # A reflection; inverting one axis maps reflections one to one to rotations.
            orthonormal[0] *= -1
        # Contiguous, as if read from a file: another memory layout may round differently.
        return cls(name, torch.from_numpy(orthonormal.astype(np.float32, order="C")))

    @property
    def n_channels(self) -> int:
        return self.matrix.shape[1]

    @property
    def n_units(self) -> int:
        return self.matrix.shape[0]

    @property
    def fingerprint(self) -> str:
        return hash_tensors(self.to_tensors(), "rotation")

    def encode(
        self, maps: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch unit height width"]:
        """u = R x."""
        return mix(self.matrix, maps)

    def decode(
        self, features: Float[Tensor, "batch unit height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """x = Rᵀ u."""
        return mix(self.matrix.T, features)

    def to_tensors(self) -> dict[str, Tensor]:
        """``matrix``."""
        return {"matrix": self.matrix}
