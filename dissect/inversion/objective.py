"""The loss of an inversion: a sum of named terms, each with one number per image.

    pixel       mean (D(G(x)) − y)² over the observed part, images in [-1, 1]
    perceptual  Σ over maps of mean (n(φ(D(G(x)))) − n(φ(y)))², n: features at a place to length 1
    prior       distance of the latent from samples, see ``coordinates``

D is the degradation, y the observation, φ a network's feature maps. A perceptual weight is
relative to the pixel term: weight 1 makes both equally large at the start, where
``Objective.calibrate`` measures them. A number that was tuned for one network (5e-5, for features
of VGG16 on inputs from 0 to 255) cannot be used for another network.

References:
    Zhang et al., The Unreasonable Effectiveness of Deep Features …, CVPR 2018 (unit length).
    Zhu et al., In-Domain GAN Inversion for Real Image Editing, ECCV 2020 (pixel and features).
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from dissect.inversion.degradations import Degradation
from dissect.pictures import as_rgb

Features = Callable[[Float[Tensor, "batch 3 h w"]], Sequence[Tensor]]
_LEAST_SIDE = 32  # least input size of a features network, in pixels


def unit_features(features: Features, images: Float[Tensor, "batch c h w"]) -> list[Tensor]:
    """Feature maps with the vector at each place divided by its length."""
    images = as_rgb(images)
    if images.shape[-1] < _LEAST_SIDE:
        images = functional.interpolate(images, size=_LEAST_SIDE, mode="bilinear")
    return [functional.normalize(m, dim=1, eps=1e-6) for m in features(images)]


def feature_distance(first: Sequence[Tensor], second: Sequence[Tensor]) -> Float[Tensor, " batch"]:
    """Σ over maps of the mean over places of the squared distance of unit features."""
    return torch.stack(
        [(a - b).square().sum(dim=1).mean(dim=(1, 2)) for a, b in zip(first, second, strict=True)]
    ).sum(dim=0)


class Objective:
    """The sum of terms for a batch of observations.

    Args:
        degradation: D.
        observed: y, one for each image.
        features: φ; None leaves the perceptual term out.
        perceptual: Its weight relative to the pixel term at the start.
        prior: Weight of the prior.
    """

    def __init__(
        self,
        degradation: Degradation,
        observed: Float[Tensor, "image d i j"],
        *,
        features: Features | None = None,
        perceptual: float = 1.0,
        prior: float = 0.0,
    ) -> None:
        self.degradation, self.observed, self.features = degradation, observed, features
        self.weights = {"pixel": 1.0}
        self._target: list[Tensor] = []
        if features is not None and perceptual:
            self.weights["perceptual"] = perceptual
            with torch.no_grad():
                self._target = unit_features(features, observed)
        if prior:
            self.weights["prior"] = prior
        weight = degradation.weight(observed.shape[-1])  # only for observations of full size
        self._weight = None if weight is None else weight.to(observed.device)

    def terms(
        self,
        images: Float[Tensor, "batch c h w"],
        rows: Tensor,
        prior: Callable[[], Float[Tensor, " batch"]] | None = None,
    ) -> dict[str, Float[Tensor, " batch"]]:
        """Each term without its weight.

        Args:
            images: G(x).
            rows: Index of the observation of each image.
            prior: Computes the prior's values; called if it has a weight.
        """
        seen = self.degradation.apply(images)
        weight = self._weight
        if weight is not None:
            seen = seen * weight
        difference = (seen - self.observed[rows]).square()
        if weight is None:
            pixel = difference.mean(dim=(1, 2, 3))
        else:
            pixel = difference.sum(dim=(1, 2, 3)) / (weight.sum() * images.shape[1])
        found = {"pixel": pixel}
        if "perceptual" in self.weights:
            assert self.features is not None  # else the weight is not there
            features = unit_features(self.features, seen)
            found["perceptual"] = feature_distance(features, [t[rows] for t in self._target])
        if prior is not None and "prior" in self.weights:
            found["prior"] = prior()
        return found

    def calibrate(self, terms: dict[str, Float[Tensor, " batch"]]) -> None:
        """Scale the perceptual weight so that 1 means: as large as the pixel term here."""
        if "perceptual" in terms:
            least = torch.finfo(torch.float32).tiny
            ratio = terms["pixel"].mean() / terms["perceptual"].mean().clamp(min=least)
            self.weights["perceptual"] *= ratio.item()

    def total(self, terms: dict[str, Float[Tensor, " batch"]]) -> Float[Tensor, " batch"]:
        """The weighted sum."""
        return torch.stack([self.weights[name] * value for name, value in terms.items()]).sum(0)
