"""The observed part of an image: operators that map a whole image to the observation.

| spec | observation | how an answer is made consistent with it |
|---|---|---|
| ``none`` | the image | – |
| ``grey`` | its luma, .2989 R + .587 G + .114 B | its luma is replaced |
| ``down:K`` | means of K × K pixels | the missing difference is added, spread over K × K |
| ``hole:T,L,B,R`` | all but a rectangle: top, left, bottom, right | observed pixels are copied |
| ``mask:FILE`` | all but where a PNG is white | observed pixels are copied |
| ``noise:SIGMA`` | with normal noise of that σ, in levels of 255 | not: the observation is noisy |
| ``blur:SIGMA`` | a Gaussian of σ pixels | not |
| ``jpeg:QUALITY`` | after JPEG; compared as it is | not |

``apply`` is differentiable and without randomness: it gives the mean of the observation.
``observe`` makes an observation of a whole image, with seeded noise or real JPEG. ``consistent``
changes an answer so that ``apply`` gives exactly the observation, if the table allows it.

References:
    Pan et al., Exploiting Deep Generative Prior for Versatile Image Restoration, ECCV 2020.
    Menon et al., PULSE, CVPR 2020 (the check of a small copy).
"""

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional

from dissect.edits.regions import Region, box
from dissect.errors import ConfigError
from dissect.latents import stream
from dissect.pictures import to_picture
from segmenters.nearest import did_you_mean
from segmenters.received import open_image

_LUMA = (0.2989, 0.587, 0.114)
_LARGEST_MASK_PIXELS = 64_000_000
_WIDEST_BLUR = 64.0


class Degradation(Protocol):
    """An operator on images; see the module docstring.

    Attributes:
        spec: Its name in text form.
    """

    @property
    def spec(self) -> str: ...

    def apply(self, images: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch d i j"]: ...

    def observe(
        self, images: Float[Tensor, "batch c h w"], *, seed: int
    ) -> Float[Tensor, "batch d i j"]: ...

    def consistent(
        self, images: Float[Tensor, "batch c h w"], observed: Float[Tensor, "batch d i j"]
    ) -> Float[Tensor, "batch c h w"]: ...

    def weight(self, size: int) -> Float[Tensor, "i j"] | None:
        """1 for observed pixels, which count, 0 for hidden pixels; None: all pixels count."""
        ...


@dataclass(frozen=True)
class Whole:
    """The whole image is observed; the base class of the others."""

    spec: str

    def apply(self, images: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch d i j"]:
        return images

    def observe(
        self, images: Float[Tensor, "batch c h w"], *, seed: int
    ) -> Float[Tensor, "batch d i j"]:
        return self.apply(images)

    def consistent(
        self, images: Float[Tensor, "batch c h w"], observed: Float[Tensor, "batch d i j"]
    ) -> Float[Tensor, "batch c h w"]:
        return images

    def weight(self, size: int) -> Float[Tensor, "i j"] | None:
        return None


@dataclass(frozen=True)
class Grey(Whole):
    """Only luma is observed, one channel."""

    def apply(self, images: Float[Tensor, "batch 3 h w"]) -> Float[Tensor, "batch 1 h w"]:
        if images.shape[1] == 1:
            return images
        weights = torch.tensor(_LUMA, device=images.device)[:, None, None]
        return (images * (weights / weights.sum())).sum(dim=1, keepdim=True)

    def consistent(
        self, images: Float[Tensor, "batch c h w"], observed: Float[Tensor, "batch 1 h w"]
    ) -> Float[Tensor, "batch c h w"]:
        return images + (observed - self.apply(images))


@dataclass(frozen=True)
class Down(Whole):
    """A small copy: means of ``factor`` × ``factor`` pixels."""

    factor: int

    def apply(self, images: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c i j"]:
        return functional.avg_pool2d(images, self.factor)

    def consistent(
        self, images: Float[Tensor, "batch c h w"], observed: Float[Tensor, "batch c i j"]
    ) -> Float[Tensor, "batch c h w"]:
        missing = observed - self.apply(images)
        return images + functional.interpolate(missing, scale_factor=self.factor, mode="nearest")


@dataclass(frozen=True, eq=False)
class Hole(Whole):
    """A part of the image is not observed.

    Args:
        hidden: 1 for hidden pixels of the image; None: ``corners`` gives them.
        corners: Top, left, bottom, right of a hidden rectangle.
    """

    hidden: Region | None = None
    corners: tuple[int, ...] = ()

    def weight(self, size: int) -> Float[Tensor, "size size"]:
        hidden = box(size, self.corners) if self.hidden is None else self.hidden
        return 1 - torch.from_numpy(np.array(hidden))

    def _seen(self, images: Tensor) -> Tensor:
        seen = self.weight(images.shape[-1]).to(images.device)
        if tuple(seen.shape) != tuple(images.shape[-2:]):
            raise ConfigError(
                f"the mask has {seen.shape[1]} × {seen.shape[0]} pixels, the image "
                f"{images.shape[-1]} × {images.shape[-2]}; expected the same"
            )
        return seen

    def observe(
        self, images: Float[Tensor, "batch c h w"], *, seed: int
    ) -> Float[Tensor, "batch c h w"]:
        return images * self._seen(images)

    def consistent(
        self, images: Float[Tensor, "batch c h w"], observed: Float[Tensor, "batch c h w"]
    ) -> Float[Tensor, "batch c h w"]:
        return torch.where(self._seen(images) > 0, observed, images)


@dataclass(frozen=True)
class Noise(Whole):
    """Normal noise is added; its mean is the image."""

    sigma: float

    def observe(
        self, images: Float[Tensor, "batch c h w"], *, seed: int
    ) -> Float[Tensor, "batch c h w"]:
        noise = [
            stream(seed, i).standard_normal(tuple(images.shape[1:]), dtype=np.float32)
            for i in range(len(images))
        ]
        return images + torch.from_numpy(np.stack(noise)).to(images.device) * (self.sigma / 127.5)


@dataclass(frozen=True)
class Blur(Whole):
    """A Gaussian of ``sigma`` pixels, with repeated border."""

    sigma: float

    def apply(self, images: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c h w"]:
        reach = math.ceil(3 * self.sigma)
        x = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
        kernel = torch.exp(-x.square() / (2 * self.sigma**2))
        kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
        groups = images.shape[1]
        wide = functional.pad(images, (reach,) * 4, mode="replicate")
        across = functional.conv2d(wide, kernel, groups=groups)
        return functional.conv2d(across, kernel.transpose(2, 3), groups=groups)


@dataclass(frozen=True)
class Jpeg(Whole):
    """JPEG with quality 1 to 95; ``apply`` is the identity, since JPEG has no gradient."""

    quality: int

    def observe(
        self, images: Float[Tensor, "batch c h w"], *, seed: int
    ) -> Float[Tensor, "batch c h w"]:
        seen = []
        for image in images:
            file = io.BytesIO()
            to_picture(image).save(file, format="JPEG", quality=self.quality)
            with Image.open(file) as picture:
                pixels = np.array(picture.convert("L" if image.shape[0] == 1 else "RGB"))
            seen.append(pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1))
        return torch.from_numpy(np.stack(seen)).float().to(images.device) / 127.5 - 1


def _number(spec: str, text: str, *, least: float, most: float, whole: bool = False) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        raise ConfigError(f"{spec!r} ends in {text!r}; expected {kind} from {least:g} to {most:g}")
    return value


def _hole(spec: str, text: str) -> Degradation:
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdigit() for part in parts):
        raise ConfigError(
            f"{spec!r} is not a rectangle; expected hole:TOP,LEFT,BOTTOM,RIGHT in pixels"
        )
    return Hole(spec, corners=tuple(int(part) for part in parts))


def _mask(spec: str, text: str) -> Degradation:
    try:
        picture = open_image(
            Path(text).read_bytes(), formats=["PNG"], most_pixels=_LARGEST_MASK_PIXELS
        )
        hidden = np.asarray(picture.convert("L")) >= 128
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise ConfigError(
            f"the mask {text} cannot be read ({reason}); expected a PNG that is white where the "
            "image shall be filled"
        ) from error
    if not hidden.any() or hidden.all():
        which = "nothing" if not hidden.any() else "everything"
        raise ConfigError(f"the mask {text} hides {which}; expected white where it shall be filled")
    return Hole(spec, hidden=hidden.astype(np.float32))


_KINDS = {
    "none": lambda spec, text: Whole(spec),
    "grey": lambda spec, text: Grey(spec),
    "down": lambda spec, text: Down(spec, int(_number(spec, text, least=2, most=64, whole=True))),
    "hole": _hole,
    "mask": _mask,
    "noise": lambda spec, text: Noise(spec, _number(spec, text, least=0, most=255)),
    "blur": lambda spec, text: Blur(spec, _number(spec, text, least=0.1, most=_WIDEST_BLUR)),
    "jpeg": lambda spec, text: Jpeg(spec, int(_number(spec, text, least=1, most=95, whole=True))),
}
_WITHOUT = ("none", "grey")


def parse_degradation(spec: str) -> Degradation:
    """Parse a spec; see the module docstring.

    Raises:
        ConfigError: an unknown kind, or a number that is missing or out of range.

    Example:
        >>> parse_degradation("down:4").apply(torch.zeros(1, 3, 64, 64)).shape[-1]
        16
    """
    kind, colon, text = spec.partition(":")
    if kind not in _KINDS:
        near = did_you_mean(kind, _KINDS) or ""
        raise ConfigError(f"degradation {spec!r} is not known; {near}expected {', '.join(_KINDS)}")
    if bool(colon) == (kind in _WITHOUT):
        given = "takes nothing" if kind in _WITHOUT else "needs a value"
        raise ConfigError(f"degradation {spec!r}: {kind} {given} behind a colon")
    return _KINDS[kind](spec, text)
