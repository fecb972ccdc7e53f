"""Principal components of the pixels of a layer's maps.

Every pixel of every map is one observation, a vector of channel values. So a component is a mixture
of channels, the same for all pixels, like a channel. (GANSpace uses the components of w, or of a
whole early layer flattened, which are directions of images and not units.)

References:
    Härkönen et al., GANSpace: Discovering Interpretable GAN Controls, NeurIPS 2020, section 2.
    Chan, Golub, LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample Variances,
    COMPSTAT 1982, equation 2.1 (merging).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dissect.bases.base import mix, per_unit
from segmenters.base import hash_tensors


@dataclass(frozen=True, eq=False)
class PixelMoments:
    """Number, mean and scatter of pixels, in float64; two sets can be merged.

    Attributes:
        n_pixels: Number of pixels.
        mean: Mean of each channel.
        scatter: Σ (x - mean)(x - mean)ᵀ over the pixels.
    """

    n_pixels: int
    mean: Float[np.ndarray, " channel"]
    scatter: Float[np.ndarray, "channel channel"]

    @classmethod
    def empty(cls, n_channels: int) -> "PixelMoments":
        return cls(0, np.zeros(n_channels), np.zeros((n_channels, n_channels)))

    @classmethod
    def of(cls, map: Float[Tensor, "channel height width"]) -> "PixelMoments":
        """The moments of one sample's pixels, all of them, at the map's own resolution."""
        pixels = map.detach().flatten(1).to("cpu", torch.float64).numpy()
        mean = pixels.mean(axis=1)
        centred = pixels - mean[:, None]
        return cls(pixels.shape[1], mean, centred @ centred.T)

    def merge(self, other: "PixelMoments") -> "PixelMoments":
        """The moments of two disjoint sets of pixels together.

        mean = (n₁ m₁ + n₂ m₂) / n and S = S₁ + S₂ + (n₁ n₂ / n) (m₂ - m₁)(m₂ - m₁)ᵀ. Swapping the
        two gives the same bits; three and more agree in any order up to rounding.
        """
        n_pixels = self.n_pixels + other.n_pixels
        if n_pixels == 0:
            return self
        apart = other.mean - self.mean
        between = np.outer(apart, apart) * (self.n_pixels * other.n_pixels / n_pixels)
        return PixelMoments(
            n_pixels,
            (self.n_pixels * self.mean + other.n_pixels * other.mean) / n_pixels,
            self.scatter + other.scatter + between,
        )


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """Units u = V (x - m): the pixel's distance from the mean along each component.

    Args:
        name: Name such as ``pca:64``.
        matrix: V; its rows are the components, orthonormal, in descending order of variance; a row
            of zeros where the pixels do not vary.
        mean: m, for each channel.
        explained: Fraction of the variance of all channels along each component.
    """

    name: str
    matrix: Float[Tensor, "unit channel"]
    mean: Float[Tensor, " channel"]
    explained: Float[Tensor, " unit"]

    @classmethod
    def fit(cls, name: str, moments: PixelMoments, *, n_components: int) -> "PrincipalComponents":
        """Fit the components of largest variance.

        A component's sign is arbitrary; here its largest absolute loading is positive. If the
        standard deviation along a component is below the rounding of float32, its values would be
        rounding errors. These depend on the image and could look like a result, so such a
        component is set to zero.

        Args:
            name: Name of the basis.
            moments: Moments of the pixels.
            n_components: From 1 to the number of channels.
        """
        n_channels = len(moments.mean)
        covariance = moments.scatter / max(moments.n_pixels, 1)
        variances, columns = np.linalg.eigh(covariance)
        variances = variances[::-1][:n_components].clip(min=0)
        components = columns.T[::-1][:n_components].copy()
        largest = np.abs(components).argmax(axis=1)
        components *= np.sign(components[np.arange(n_components), largest])[:, None]
        total = np.trace(covariance)
        # Rounding grows with the length of the pixel's vector, including the mean.
        squared_norm = total + (moments.mean**2).sum()
        rounding = 4 * np.finfo(np.float32).eps * np.sqrt(n_channels * squared_norm)
        components[np.sqrt(variances) <= rounding] = 0
        explained = variances / total if total > 0 else np.zeros(n_components)
        arrays = (components, moments.mean, explained)
        return cls(
            name, *(torch.from_numpy(array.astype(np.float32, order="C")) for array in arrays)
        )

    @property
    def n_channels(self) -> int:
        return self.matrix.shape[1]

    @property
    def n_units(self) -> int:
        return self.matrix.shape[0]

    @property
    def exact(self) -> bool:
        """Whether there is a nonzero component for every channel."""
        return self.n_units == self.n_channels and bool(self.matrix.any(dim=1).all())

    @property
    def fingerprint(self) -> str:
        return hash_tensors(self.to_tensors(), "pca")

    def encode(
        self, maps: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch unit height width"]:
        """u = V (x - m)."""
        return mix(self.matrix, maps.float() - per_unit(self.mean, maps))

    def decode(
        self, features: Float[Tensor, "batch unit height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """x̂ = Vᵀ u + m, the nearest point that the components reach."""
        return mix(self.matrix.T, features) + per_unit(self.mean, features)

    def to_tensors(self) -> dict[str, Tensor]:
        """``matrix``, ``mean`` and ``explained``."""
        return {"matrix": self.matrix, "mean": self.mean, "explained": self.explained}
