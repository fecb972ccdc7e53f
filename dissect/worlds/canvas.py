"""A canvas that keeps the picture and its truth in step, and the shapes painted on it.

A shape is a coverage: how much of each pixel it fills, in [0, 1], antialiased over one pixel. What
covers at least half a pixel owns it in the label planes, so masks are exact by construction.
Coverages are batch × height × width, or broadcast to it; positions are fractions of the side.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from segmenters.scenes_vocabulary import SCENES_VOCABULARY

Coverage = Float[np.ndarray, "batch height width"]


class Canvas:
    """Pictures in the making: linear RGB in [0, 1], and one label map per plane.

    Args:
        n_images: Batch.
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
        """Lay a shape over the picture and write what it is.

        Args:
            coverage: The shape.
            colour: One colour per image.
            shade: A factor on the colour at each pixel; None means 1.
            labels: Plane → concept id, one for all or one per image (0 = none). Planes not named
                are cleared where the shape is: a fence before a wall leaves no wall.
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
        """Add light; it changes no label."""
        for channel in range(3):
            self.image[channel] += strength * colour[:, channel, None, None]

    # Shapes. Every argument besides the canvas is one number per image.

    def box(self, left, top, right, bottom) -> Coverage:
        """An axis-aligned rectangle."""
        left, top, right, bottom = (_column(v) for v in (left, top, right, bottom))
        across = self.soften(np.abs(self.x - (left + right) / 2) - (right - left) / 2)
        down = self.soften(np.abs(self.y - (top + bottom) / 2) - (bottom - top) / 2)
        return across * down

    def ellipse(self, x, y, half_width, half_height) -> Coverage:
        """An ellipse; its distance is scaled by the smaller radius, right at circles."""
        x, y, half_width, half_height = (_column(v) for v in (x, y, half_width, half_height))
        radius = np.sqrt(
            np.square((self.x - x) / half_width) + np.square((self.y - y) / half_height)
        )
        return self.soften((radius - 1) * np.minimum(half_width, half_height))

    def trapezoid(self, top_x, top, top_half, bottom_x, bottom, bottom_half) -> Coverage:
        """Level top and bottom, straight sides; a triangle when ``top_half`` is 0."""
        top_x, top, top_half, bottom_x, bottom, bottom_half = (
            _column(v) for v in (top_x, top, top_half, bottom_x, bottom, bottom_half)
        )
        along = np.clip((self.y - top) / (bottom - top), 0, 1)
        centre = top_x + (bottom_x - top_x) * along
        half = top_half + (bottom_half - top_half) * along
        slope = (bottom_half - top_half) / (bottom - top)
        across = self.soften((np.abs(self.x - centre) - half) / np.sqrt(1 + slope * slope))
        down = self.soften(np.abs(self.y - (top + bottom) / 2) - (bottom - top) / 2)
        return across * down

    def below(self, curve: Float[np.ndarray, "batch 1 width"]) -> Coverage:
        """Everything under a height given for each column."""
        return self.soften(curve - self.y)


def _column(value: np.ndarray | float) -> np.ndarray:
    return np.asarray(value, dtype=np.float32).reshape(-1, 1, 1)
