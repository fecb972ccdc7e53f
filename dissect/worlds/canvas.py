"""A canvas that paints an image and its label masks together, and shapes for it.

A shape is a coverage: how much of each pixel it fills, in [0, 1], antialiased over one pixel. A
shape that covers at least half of a pixel sets its label, so masks are exact by construction.
Coverages are batch × height × width, or broadcast to it; positions are fractions of the side.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float

from segmenters.scenes_vocabulary import SCENES_VOCABULARY

Coverage = Float[np.ndarray, "batch height width"]
Numbers = Float[np.ndarray, " batch"] | Bool[np.ndarray, " batch"] | float
"""One number per image, or one for all."""

ID = {concept.name: concept.id for concept in SCENES_VOCABULARY}


def column(value: Numbers) -> Float[np.ndarray, "batch 1 1"]:
    """Reshape numbers to broadcast over a batch of pictures."""
    return np.asarray(value, dtype=np.float32).reshape(-1, 1, 1)


class Canvas:
    """Unfinished pictures: linear RGB in [0, 1], and one label map per plane.

    Args:
        n_images: Number of images in the batch.
        size: Height and width in pixels.
    """

    def __init__(self, n_images: int, size: int) -> None:
        self.size = size
        self.image = np.zeros((3, n_images, size, size), dtype=np.float32)
        self.planes = {
            plane: np.zeros((n_images, size, size), dtype=np.uint8)
            for plane in SCENES_VOCABULARY.planes
        }
        centres = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
        self.x = centres[None, None, :]
        self.y = centres[None, :, None]

    def soften(self, distance: np.ndarray) -> np.ndarray:
        """Coverage of a shape from its signed distance (negative inside), antialiased."""
        return np.clip(np.float32(0.5) - distance * np.float32(self.size), 0, 1)

    def paint(
        self,
        coverage: Coverage,
        colour: Float[np.ndarray, "batch 3"],
        *,
        shade: np.ndarray | None = None,
        labels: Mapping[str, np.ndarray | int] | None = None,
    ) -> None:
        """Paint a shape on the picture and write its labels.

        Args:
            coverage: The shape.
            colour: One colour per image.
            shade: A factor on the colour at each pixel; None means 1.
            labels: Plane → concept id, one for all or one per image (0 = none). Other planes are
                cleared inside the shape: a fence before a wall removes the wall's labels.
        """
        for channel in range(3):
            tone = colour[:, channel, None, None]
            if shade is not None:
                tone = tone * shade
            self.image[channel] += coverage * (tone - self.image[channel])
        if labels is None:
            return
        owned = np.broadcast_to(coverage >= 0.5, self.planes["object"].shape)
        for name, plane in self.planes.items():
            value = np.asarray(labels.get(name, 0), dtype=np.uint8)
            np.copyto(plane, value[:, None, None] if value.ndim else value, where=owned)

    def glow(self, strength: np.ndarray, colour: Float[np.ndarray, "batch 3"]) -> None:
        """Add light; changes no label."""
        for channel in range(3):
            self.image[channel] += strength * colour[:, channel, None, None]

    def box(self, left: Numbers, top: Numbers, right: Numbers, bottom: Numbers) -> Coverage:
        """An axis-aligned rectangle."""
        left, top, right, bottom = (column(v) for v in (left, top, right, bottom))
        across = self.soften(np.abs(self.x - (left + right) / 2) - (right - left) / 2)
        down = self.soften(np.abs(self.y - (top + bottom) / 2) - (bottom - top) / 2)
        return across * down

    def ellipse(
        self, x: Numbers, y: Numbers, half_width: Numbers, half_height: Numbers
    ) -> Coverage:
        """An ellipse; its distance is scaled by the smaller radius, exact for circles."""
        x, y, half_width, half_height = (column(v) for v in (x, y, half_width, half_height))
        radius = np.sqrt(
            np.square((self.x - x) / half_width) + np.square((self.y - y) / half_height)
        )
        return self.soften((radius - 1) * np.minimum(half_width, half_height))

    def trapezoid(
        self, upper: tuple[Numbers, Numbers, Numbers], lower: tuple[Numbers, Numbers, Numbers]
    ) -> Coverage:
        """A shape with horizontal top and bottom; a triangle if the upper half width is 0.

        Args:
            upper: Centre x, y and half width of the upper edge.
            lower: The same for the lower edge.
        """
        top_x, top, top_half = (column(v) for v in upper)
        bottom_x, bottom, bottom_half = (column(v) for v in lower)
        along = np.clip((self.y - top) / (bottom - top), 0, 1)
        centre = top_x + (bottom_x - top_x) * along
        half = top_half + (bottom_half - top_half) * along
        slope = (bottom_half - top_half) / (bottom - top)
        across = self.soften((np.abs(self.x - centre) - half) / np.sqrt(1 + slope * slope))
        down = self.soften(np.abs(self.y - (top + bottom) / 2) - (bottom - top) / 2)
        return across * down

    def below(self, curve: Float[np.ndarray, "batch 1 width"]) -> Coverage:
        """Everything below a height given for each column."""
        return self.soften(curve - self.y)
