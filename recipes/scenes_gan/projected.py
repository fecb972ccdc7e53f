"""A projected discriminator: small heads on the features of a frozen, trained encoder.

The encoder is that of the ``scenes`` segmenter. Its stages are mixed by fixed random convolutions,
1 × 1 across channels and 3 × 3 from coarse to fine, and one head judges each scale. Images are
shifted and recoloured first, fakes and reals alike, since frozen features tell them apart easily.

References:
    Sauer et al., Projected GANs Converge Faster, NeurIPS 2021, section 3 (projection, mixing).
    Zhao et al., Differentiable Augmentation for Data-Efficient GAN Training, NeurIPS 2020.
    Miyato et al., Spectral Normalization for GANs, ICLR 2018.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from recipes.scenes_gan.discriminator import minibatch_deviation

_MIXED = 48  # channels after mixing
_HEAD = 64  # channels inside a head
_SHIFT = 6  # pixels an image is moved at most
_SEED = 1  # of the fixed random mixing


class Head(nn.Module):
    """One scale's map to a map of scores; halves it ``n_halvings`` times first."""

    def __init__(self, n_in: int, n_halvings: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(n_halvings):
            layers += [spectral_norm(nn.Conv2d(n_in, _HEAD, 4, 2, 1)), nn.LeakyReLU(0.2)]
            n_in = _HEAD
        if not n_halvings:
            layers += [spectral_norm(nn.Conv2d(n_in, _HEAD, 3, 1, 1)), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers)
        self.out = spectral_norm(nn.Conv2d(_HEAD + 1, 1, 1))

    def forward(
        self, x: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch place"]:
        return self.out(minibatch_deviation(self.body(x), 8)).flatten(1)


class ProjectedDiscriminator(nn.Module):
    """Images to scores, one list for each scale of a frozen encoder.

    Args:
        encoder: Image to a list of feature maps from fine to coarse, the first of them ignored (the
            image itself in segmentation-models-pytorch). It is kept frozen, and is no part of this
            module's state.
        size: Height and width at which the encoder reads; larger images are averaged down to it.
    """

    def __init__(self, encoder: nn.Module, *, size: int) -> None:
        super().__init__()
        encoder = encoder.eval().requires_grad_(False)
        self.size = size
        self._encoder = [encoder]  # in a list, so that it is no submodule
        with torch.no_grad():
            example = next(encoder.parameters())
            maps = encoder(example.new_zeros(1, 3, size, size))[1:]
        channels = [m.shape[1] for m in maps]
        self.across = nn.ModuleList(nn.Conv2d(c, _MIXED, 1) for c in channels)
        self.down = nn.ModuleList(nn.Conv2d(_MIXED, _MIXED, 3, padding=1) for _ in channels)
        self._draw_mixing()
        self.heads = nn.ModuleList(Head(_MIXED, k) for k in reversed(range(len(channels))))

    def _draw_mixing(self) -> None:
        """Set the mixing to fixed random numbers (He initialisation), never to be trained."""
        draws = torch.Generator().manual_seed(_SEED)
        for convolution in (*self.across, *self.down):
            nn.init.kaiming_normal_(convolution.weight, generator=draws)
            nn.init.zeros_(convolution.bias)
            convolution.requires_grad_(False)

    def forward(self, images: Float[Tensor, "batch 3 size size"]) -> list[Float[Tensor, "batch _"]]:
        """Scores of each scale, from fine to coarse."""
        if images.shape[-1] > self.size:
            images = functional.adaptive_avg_pool2d(images, self.size)
        maps = self._encoder[0](images)[1:]
        mixed: list[Tensor] = []
        carried: Tensor | None = None
        for feature, across, down in zip(
            reversed(maps), reversed(self.across), reversed(self.down), strict=True
        ):
            x = across(feature)
            if carried is not None:
                coarse = functional.interpolate(carried, x.shape[2:], mode="bilinear")
                x = (x + coarse) * math.sqrt(0.5)
            carried = x
            mixed.append(down(x))
        return [head(x) for head, x in zip(self.heads, reversed(mixed), strict=True)]


def augment(
    images: Float[Tensor, "batch 3 size size"], draws: torch.Generator
) -> Float[Tensor, "batch 3 size size"]:
    """Shift a batch by up to six pixels, and change brightness and contrast of each image."""
    n, _, height, width = images.shape
    down, right = torch.randint(0, 2 * _SHIFT + 1, (2,), generator=draws).tolist()
    padded = functional.pad(images, (_SHIFT,) * 4, mode="reflect")
    images = padded[:, :, down : down + height, right : right + width]
    brightness = 0.4 * torch.rand(n, 1, 1, 1, generator=draws) - 0.2
    contrast = 0.5 + torch.rand(n, 1, 1, 1, generator=draws)
    grey = images.mean(dim=1, keepdim=True)
    return (images - grey) * contrast.to(images.device) + grey + brightness.to(images.device)


def hinge_real(scores: list[Tensor]) -> Tensor:
    """Mean over scales of E[max(0, 1 - D(x))]."""
    return torch.stack([functional.relu(1 - s.float()).mean() for s in scores]).mean()


def hinge_fake(scores: list[Tensor]) -> Tensor:
    """Mean over scales of E[max(0, 1 + D(G(z)))]."""
    return torch.stack([functional.relu(1 + s.float()).mean() for s in scores]).mean()


def mean_score(scores: list[Tensor]) -> Tensor:
    """Mean over scales of E[D(G(z))], which the generator raises."""
    return torch.stack([s.float().mean() for s in scores]).mean()
