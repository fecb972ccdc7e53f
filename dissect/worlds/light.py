"""The light of a scene: colours of the air and the illumination, from the attributes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from dissect.worlds.distribution import SceneParameters

Colour = tuple[float, float, float]
Colours = Float[np.ndarray, "#batch 3"]

# Positions of lighting: deep night, night, dusk, day, noon.
_HOURS = (0.0, 0.22, 0.40, 0.60, 1.0)
# Colours at these positions: upper sky, sky at the horizon, clouded sky, and illumination.
_TOP = (
    (0.04, 0.06, 0.20),
    (0.09, 0.11, 0.32),
    (0.34, 0.32, 0.60),
    (0.28, 0.56, 0.90),
    (0.22, 0.55, 0.95),
)
_LOW = (
    (0.10, 0.12, 0.28),
    (0.22, 0.20, 0.42),
    (0.99, 0.58, 0.34),
    (0.74, 0.86, 0.96),
    (0.80, 0.92, 1.0),
)
_GREY = (
    (0.09, 0.10, 0.16),
    (0.16, 0.16, 0.24),
    (0.62, 0.54, 0.55),
    (0.70, 0.74, 0.79),
    (0.76, 0.80, 0.85),
)
_TINT = (
    (0.32, 0.36, 0.56),
    (0.42, 0.44, 0.62),
    (0.88, 0.70, 0.62),
    (0.98, 0.98, 0.97),
    (1.0, 1.0, 1.0),
)


def blend(position: np.ndarray, knots: Sequence[float], colours: Sequence[Colour]) -> Colours:
    """Interpolate colours linearly between positions."""
    table = np.asarray(colours, dtype=np.float32)
    return np.stack([np.interp(position, knots, table[:, c]) for c in range(3)], 1).astype("f4")


def mix(first: Colour | Colours, second: Colour | Colours, fraction: np.ndarray | float) -> Colours:
    """``first`` at 0, ``second`` at 1."""
    fraction = np.asarray(fraction, dtype=np.float32).reshape(-1, 1)
    return np.asarray(first, "f4") * (1 - fraction) + np.asarray(second, "f4") * fraction


class Light:
    """The colours of the air and the illumination of things.

    Args:
        p: The scenes, whose lighting and cloudiness set the colours.
    """

    def __init__(self, p: SceneParameters) -> None:
        grey = 0.65 * p.cloudiness**2
        level = blend(p.lighting, _HOURS, _GREY)
        self.top = mix(blend(p.lighting, _HOURS, _TOP), level * 0.9, grey)
        self.low = mix(blend(p.lighting, _HOURS, _LOW), level, grey * 0.8)
        self.air = mix(self.low, level, 0.5)
        self.tint = blend(p.lighting, _HOURS, _TINT)
        self.night = np.clip((0.45 - p.lighting) / 0.25, 0, 1).astype("f4")

    def on(self, colour: Colour | Colours) -> Colours:
        """A surface's colour in this light."""
        return np.asarray(colour, "f4") * self.tint
