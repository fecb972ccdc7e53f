"""Paints the landscape of a scene: sky, mountains, ground, water, trees, fog and the road.

Each function paints one kind of thing for a whole batch. Things that a scene lacks are painted with
zero coverage, so no scene's pixels depend on other scenes of the batch.
"""

import numpy as np

from dissect.worlds.buildings import door_offset, house_x
from dissect.worlds.canvas import ID, Canvas, Coverage, Numbers, column
from dissect.worlds.distribution import GROUNDS, N_CLOUDS, N_TREES, PAN, SceneParameters
from dissect.worlds.light import Light, blend, mix

# Through the year, from summer to winter.
_GRASS = ((0.33, 0.62, 0.22), (0.48, 0.62, 0.24), (0.66, 0.58, 0.28), (0.55, 0.52, 0.36))
_LEAVES = (
    (.16, .46, .18), (.28, .52, .18), (.86, .52, .14), (.74, .36, .14), (.78, .82, .86),
    (.88, .93, .97),
)  # fmt: skip
_NEEDLES = ((0.08, 0.34, 0.22), (0.10, 0.34, 0.24), (0.70, 0.80, 0.82), (0.84, 0.91, 0.95))


def paint_sky(canvas: Canvas, p: SceneParameters, light: Light) -> None:
    """Sky, sun or moon with its halo, clouds."""
    n = len(p)
    down = np.clip(canvas.y / column(p.horizon), 0, 1)
    everywhere = np.ones((n, canvas.size, 1), "f4")
    canvas.paint(everywhere, light.top, labels={"object": ID["sky"]})
    canvas.paint(down * down, light.low)

    x, y, radius, is_moon = p.celestial.T
    x = x + PAN["sky"] * p.view
    low = np.clip((0.62 - p.lighting) / 0.25, 0, 1)
    sun = mix((1.0, 0.95, 0.45), (1.0, 0.62, 0.25), low)
    colour = np.where(is_moon[:, None] > 0, np.array([0.93, 0.94, 1.0], "f4"), sun)
    shine = (1 - 0.7 * p.cloudiness) * np.where(is_moon > 0, 0.18, 0.40)
    distance = np.square(canvas.x - column(x)) + np.square(canvas.y - column(y))
    canvas.glow(column(shine) * np.exp(-distance / column((2.2 * radius) ** 2)), colour * 0.6)
    disc = canvas.ellipse(x, y, radius, radius)
    name = np.where(is_moon > 0, ID["moon"], ID["sun"])
    canvas.paint(disc, colour, labels={"object": name})

    pale = mix(light.on((1.0, 1.0, 1.0)), light.low, 0.25)
    pale = pale * mix((1.0, 1.0, 1.0), (0.80, 0.82, 0.86), p.cloudiness)
    for k in range(N_CLOUDS):
        x, y, width, roundness = p.clouds[:, k].T
        x = x + 2 * PAN["sky"] * p.view
        width = np.where(p.cloudiness > (k + 0.6) / (N_CLOUDS + 0.6), width, -1.0)
        coverage = _cloud(canvas, x, y, width, roundness)
        shade = 1 - 0.22 * np.clip((canvas.y - column(y)) / column(np.abs(width) * 0.2), -0.3, 1)
        canvas.paint(coverage, pale, shade=shade, labels={"object": ID["cloud"]})


def _cloud(
    canvas: Canvas, x: Numbers, y: Numbers, width: np.ndarray, roundness: Numbers
) -> Coverage:
    """Three puffs on a flat base; nothing if the width is negative."""
    present = column(width > 0)
    width = np.abs(width)
    middle = canvas.ellipse(x, y, width * 0.30, width * (0.24 + 0.08 * roundness))
    left = canvas.ellipse(x - width * 0.27, y + width * 0.07, width * 0.24, width * 0.16)
    right = canvas.ellipse(x + width * 0.28, y + width * 0.06, width * 0.23, width * 0.17)
    puffs = np.maximum(np.maximum(middle, left), right)
    return puffs * canvas.soften(canvas.y - column(y + width * 0.15)) * present


def paint_land(canvas: Canvas, p: SceneParameters, light: Light) -> None:
    """Mountains, ground, water, road."""
    ridge = _ridge(canvas, p)
    far = mix((0.46, 0.43, 0.52), (0.40, 0.47, 0.44), p.ridge[:, 2])
    rock = mix(light.on(far), light.low, 0.28)
    height = (canvas.y - ridge) * np.float32(1 / 0.24)
    canvas.paint(
        canvas.below(ridge), rock, shade=1.12 - 0.35 * np.clip(height, 0, 1),
        labels={"object": ID["mountain"], "material": ID["stone"]},
    )  # fmt: skip
    cap = canvas.below(ridge) * canvas.soften(
        canvas.y - column(p.horizon - 0.16) - 0.02 * np.sin(canvas.x * 40)
    )
    canvas.paint(
        cap, mix(light.on((0.95, 0.97, 1.0)), light.low, 0.12),
        labels={"object": ID["mountain"], "material": ID["snow"]},
    )  # fmt: skip

    kind, phase, tone = p.ground.T
    grass = blend(p.season, (0, 0.4, 0.6, 1), _GRASS)
    grass = grass * (0.9 + 0.2 * tone[:, None])
    sand = mix((0.90, 0.79, 0.52), (0.84, 0.70, 0.46), tone)
    snow = mix((0.93, 0.95, 0.99), (0.86, 0.91, 0.98), tone)
    colour = np.where(kind[:, None] == 0, grass, np.where(kind[:, None] == 1, sand, snow))
    border = column(p.horizon) + 0.018 * np.sin(
        (canvas.x - PAN["water"] * column(p.view)) * 5 + 6.28 * column(phase)
    )
    depth = np.clip((canvas.y - border) * 2.4, 0, 1)
    material = np.array([ID[name] for name in GROUNDS])[kind.astype(int)]
    canvas.paint(
        canvas.below(border), light.on(colour), shade=0.82 + 0.24 * depth,
        labels={"object": ID["ground"], "material": material},
    )  # fmt: skip

    present, x, half, extent = p.water.T
    x = x + PAN["water"] * p.view
    lake = canvas.ellipse(x, p.horizon + extent * 0.85, half, extent * 0.8)
    lake = lake * canvas.below(border) * column(present)
    blue = mix(light.on((0.16, 0.42, 0.66)), light.low, 0.30)
    ripple = 0.95 + 0.10 * np.sin(canvas.y * 90) * np.ones_like(canvas.x)
    canvas.paint(lake, blue, shade=ripple, labels={"object": ID["water"]})

    present, foot, half = p.road.T
    top_x = house_x(p) + door_offset(p)
    top_y = np.where(p.house_size > 0, p.house[:, 1] - 0.02, p.horizon + 0.02)
    narrow = np.where(p.house_size > 0, 0.06, 0.025)
    way = canvas.trapezoid((top_x, top_y, narrow), (foot + PAN["near"] * p.view, 1.02, half))
    grey = mix((0.60, 0.56, 0.52), (0.46, 0.46, 0.49), tone)
    canvas.paint(way * column(present), light.on(grey), labels={"object": ID["road"]})


def _ridge(canvas: Canvas, p: SceneParameters) -> np.ndarray:
    """The skyline: a sum of triangle waves, sharper with roughness."""
    height, rough, *phases = p.ridge.T
    x = canvas.x - PAN["mountain"] * column(p.view)
    total = 0.0
    for k, phase in enumerate(phases):
        frequency = np.float32((0.9, 1.7, 2.9, 4.7)[k])
        weight = (0.5, 0.3, 0.14, 0.06)[k] * (1 if k < 2 else column(rough))
        cycle = x * frequency + column(phase)
        total = total + weight * np.abs(2 * (cycle - np.floor(cycle)) - 1)
    return column(p.horizon) + 0.03 - column(height) * (0.25 + 1.1 * total)


def paint_trees(canvas: Canvas, p: SceneParameters, light: Light, *, near: bool) -> None:
    """Trees behind the house, or trees in front of it."""
    pan = PAN["near" if near else "far"]
    for k in range(3, N_TREES) if near else range(3):
        # The first trees to appear are on both sides, behind and in front.
        order = (0, 2, 4, 1, 3)[k]
        x, base, height, conifer, tone = p.trees[:, k].T
        x = x + pan * p.view
        present = column(p.vegetation > order + 0.5)
        trunk_half = 0.028 + 0.012 * (height - 0.4) / 0.2
        trunk = canvas.box(x - trunk_half, base - 0.45 * height, x + trunk_half, base)
        side = 1.0 - 4.0 * (canvas.x - column(x))
        canvas.paint(
            trunk * present, light.on(mix((.42, .27, .15), (.50, .36, .24), tone)), shade=side,
            labels={"object": ID["tree"], "part": ID["trunk"], "material": ID["wood"]},
        )  # fmt: skip
        coverage = np.where(
            column(conifer) > 0, _conifer(canvas, x, base, height), _round(canvas, x, base, height)
        )
        leaf = blend(p.season, (0, 0.3, 0.5, 0.68, 0.8, 1), _LEAVES)
        needle = blend(p.season, (0, 0.68, 0.82, 1), _NEEDLES)
        colour = np.where(conifer[:, None] > 0, needle, leaf) * (0.88 + 0.24 * tone[:, None])
        top = column(base - 0.62 * height)
        shade = 1.0 - 1.1 * (canvas.x - column(x)) - 0.9 * (canvas.y - top)
        canvas.paint(
            coverage * present, light.on(colour), shade=np.clip(shade, 0.55, 1.3),
            labels={"object": ID["tree"], "part": ID["crown"]},
        )  # fmt: skip


def _round(canvas: Canvas, x: Numbers, base: Numbers, height: Numbers) -> Coverage:
    top = canvas.ellipse(x, base - 0.72 * height, 0.25 * height, 0.27 * height)
    wide = canvas.ellipse(x, base - 0.55 * height, 0.31 * height, 0.21 * height)
    return np.maximum(top, wide)


def _conifer(canvas: Canvas, x: Numbers, base: Numbers, height: Numbers) -> Coverage:
    upper = canvas.trapezoid((x, base - height, 0), (x, base - 0.52 * height, 0.22 * height))
    lower = canvas.trapezoid(
        (x, base - 0.76 * height, 0.04), (x, base - 0.22 * height, 0.30 * height)
    )
    return np.maximum(upper, lower)


def paint_fog(canvas: Canvas, p: SceneParameters, light: Light) -> None:
    """Fog, thicker with distance: full on the sky and the ridge, little at the lower edge."""
    far = 1 - np.clip((canvas.y - column(p.horizon)) / (1 - column(p.horizon)), 0, 1)
    canvas.paint(column(p.fog) * (0.35 + 0.65 * far), light.air)
