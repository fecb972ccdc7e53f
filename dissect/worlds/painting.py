"""How a scene is painted, back to front: sky, land, plants, house, small things, then the air.

Each function paints one kind of thing for a whole batch. Things that a scene does not have are
painted with zero coverage, so no scene's pixels depend on its neighbours in the batch.
"""

import numpy as np
from jaxtyping import Float

from dissect.worlds.canvas import Canvas, _column
from dissect.worlds.distribution import GROUNDS, N_CLOUDS, N_TREES, WALLS, SceneParameters
from segmenters.scenes_vocabulary import SCENES_VOCABULARY

Colours = Float[np.ndarray, "batch 3"]

_ID = {concept.name: concept.id for concept in SCENES_VOCABULARY}
# How far a pan moves things, by how near they are, as a fraction of the image per unit of view.
_PAN = {"sky": 0.02, "mountain": 0.06, "water": 0.10, "far": 0.14, "house": 0.18, "near": 0.26}


def _blend(position: np.ndarray, knots, colours) -> Colours:
    """Piecewise linear colours along a dial."""
    table = np.asarray(colours, dtype=np.float32)
    return np.stack([np.interp(position, knots, table[:, c]) for c in range(3)], 1).astype("f4")


def _mix(first, second, fraction: np.ndarray) -> Colours:
    fraction = np.asarray(fraction, dtype=np.float32)[:, None]
    return np.asarray(first, "f4") * (1 - fraction) + np.asarray(second, "f4") * fraction


class _Light:
    """The colours of the air and the light that falls on things, from the attributes."""

    def __init__(self, p: SceneParameters) -> None:
        knots = (0.0, 0.22, 0.40, 0.60, 1.0)
        grey = 0.65 * p.cloudiness**2
        top = _blend(
            p.lighting, knots,
            [(.04, .06, .20), (.09, .11, .32), (.34, .32, .60), (.28, .56, .90), (.22, .55, .95)],
        )  # fmt: skip
        low = _blend(
            p.lighting, knots,
            [(.10, .12, .28), (.22, .20, .42), (.99, .58, .34), (.74, .86, .96), (.80, .92, 1.0)],
        )  # fmt: skip
        level = _blend(
            p.lighting, knots,
            [(.09, .10, .16), (.16, .16, .24), (.62, .54, .55), (.70, .74, .79), (.76, .80, .85)],
        )  # fmt: skip
        self.top = _mix(top, level * 0.9, grey)
        self.low = _mix(low, level, grey * 0.8)
        self.tint = _blend(
            p.lighting, knots,
            [(.32, .36, .56), (.42, .44, .62), (.88, .70, .62), (.98, .98, .97), (1., 1., 1.)],
        )  # fmt: skip
        self.night = np.clip((0.45 - p.lighting) / 0.25, 0, 1).astype("f4")
        self.air = _mix(self.low, level, np.full(len(p), 0.5))

    def on(self, colour) -> Colours:
        """A surface's colour in this light."""
        return np.asarray(colour, "f4") * self.tint


def paint_sky(canvas: Canvas, p: SceneParameters, light: _Light) -> None:
    """Sky, sun or moon with its halo, clouds."""
    n = len(p)
    down = np.clip(canvas.y / _column(p.horizon), 0, 1)
    everywhere = np.ones((n, canvas.size, 1), "f4")
    canvas.paint(everywhere, light.top, labels={"object": _ID["sky"]})
    canvas.paint(down * down, light.low)

    x, y, radius, is_moon = p.celestial.T
    x = x + _PAN["sky"] * p.view
    low = np.clip((0.62 - p.lighting) / 0.25, 0, 1)
    sun = _mix((1.0, 0.95, 0.45), (1.0, 0.62, 0.25), low)
    colour = np.where(is_moon[:, None] > 0, np.array([0.93, 0.94, 1.0], "f4"), sun)
    shine = (1 - 0.7 * p.cloudiness) * np.where(is_moon > 0, 0.18, 0.40)
    distance = np.square(canvas.x - _column(x)) + np.square(canvas.y - _column(y))
    canvas.glow(_column(shine) * np.exp(-distance / _column((2.2 * radius) ** 2)), colour * 0.6)
    disc = canvas.ellipse(x, y, radius, radius)
    name = np.where(is_moon > 0, _ID["moon"], _ID["sun"])
    canvas.paint(disc, colour, labels={"object": name})

    pale = _mix(light.on((1.0, 1.0, 1.0)), light.low, 0.25 + 0 * p.fog)
    pale = pale * _mix((1.0, 1.0, 1.0), (0.80, 0.82, 0.86), p.cloudiness)
    for k in range(N_CLOUDS):
        x, y, width, roundness = p.clouds[:, k].T
        x = x + 2 * _PAN["sky"] * p.view
        width = np.where(p.cloudiness > (k + 0.6) / (N_CLOUDS + 0.6), width, -1.0)
        coverage = _cloud(canvas, x, y, width, roundness)
        shade = 1 - 0.22 * np.clip((canvas.y - _column(y)) / _column(np.abs(width) * 0.2), -0.3, 1)
        canvas.paint(coverage, pale, shade=shade, labels={"object": _ID["cloud"]})


def _cloud(canvas: Canvas, x, y, width, roundness) -> np.ndarray:
    """Three puffs on a flat base; nothing where the width is negative."""
    present = _column(width > 0)
    width = np.abs(width)
    middle = canvas.ellipse(x, y, width * 0.30, width * (0.24 + 0.08 * roundness))
    left = canvas.ellipse(x - width * 0.27, y + width * 0.07, width * 0.24, width * 0.16)
    right = canvas.ellipse(x + width * 0.28, y + width * 0.06, width * 0.23, width * 0.17)
    puffs = np.maximum(np.maximum(middle, left), right)
    return puffs * canvas.soften(canvas.y - _column(y + width * 0.15)) * present


def paint_land(canvas: Canvas, p: SceneParameters, light: _Light) -> None:
    """Mountains, ground, water, road."""
    ridge = _ridge(canvas, p)
    far = _mix((0.46, 0.43, 0.52), (0.40, 0.47, 0.44), p.ridge[:, 2])
    rock = _mix(light.on(far), light.low, 0.28 + 0 * p.fog)
    height = (canvas.y - ridge) * np.float32(1 / 0.24)
    canvas.paint(
        canvas.below(ridge), rock, shade=1.12 - 0.35 * np.clip(height, 0, 1),
        labels={"object": _ID["mountain"], "material": _ID["stone"]},
    )  # fmt: skip
    cap = canvas.below(ridge) * canvas.soften(
        canvas.y - _column(p.horizon - 0.16) - 0.02 * np.sin(canvas.x * 40)
    )
    canvas.paint(
        cap, _mix(light.on((0.95, 0.97, 1.0)), light.low, 0.12 + 0 * p.fog),
        labels={"object": _ID["mountain"], "material": _ID["snow"]},
    )  # fmt: skip

    kind, phase, tone = p.ground.T
    grass = _blend(p.season, (0, 0.4, 0.6, 1), [(.33, .62, .22), (.48, .62, .24), (.66, .58, .28), (.55, .52, .36)])  # fmt: skip
    grass = grass * (0.9 + 0.2 * tone[:, None])
    sand = _mix((0.90, 0.79, 0.52), (0.84, 0.70, 0.46), tone)
    snow = _mix((0.93, 0.95, 0.99), (0.86, 0.91, 0.98), tone)
    colour = np.where(kind[:, None] == 0, grass, np.where(kind[:, None] == 1, sand, snow))
    border = _column(p.horizon) + 0.018 * np.sin(
        (canvas.x - _PAN["water"] * _column(p.view)) * 5 + 6.28 * _column(phase)
    )
    depth = np.clip((canvas.y - border) * 2.4, 0, 1)
    material = np.array([_ID[name] for name in GROUNDS])[kind.astype(int)]
    canvas.paint(
        canvas.below(border), light.on(colour), shade=0.82 + 0.24 * depth,
        labels={"object": _ID["ground"], "material": material},
    )  # fmt: skip

    present, x, half, extent = p.water.T
    x = x + _PAN["water"] * p.view
    lake = canvas.ellipse(x, p.horizon + extent * 0.85, half, extent * 0.8)
    lake = lake * canvas.below(border) * _column(present)
    blue = _mix(light.on((0.16, 0.42, 0.66)), light.low, 0.30 + 0 * p.fog)
    ripple = 0.95 + 0.10 * np.sin(canvas.y * 90) * np.ones_like(canvas.x)
    canvas.paint(lake, blue, shade=ripple, labels={"object": _ID["water"]})

    present, foot, half = p.road.T
    top_x = _house_x(p) + _door_offset(p)
    top_y = np.where(p.house_size > 0, p.house[:, 1] - 0.02, p.horizon + 0.02)
    narrow = np.where(p.house_size > 0, 0.06, 0.025)
    way = canvas.trapezoid(top_x, top_y, narrow, foot + _PAN["near"] * p.view, 1.02, half)
    grey = _mix((0.60, 0.56, 0.52), (0.46, 0.46, 0.49), tone)
    canvas.paint(way * _column(present), light.on(grey), labels={"object": _ID["road"]})


def _ridge(canvas: Canvas, p: SceneParameters) -> np.ndarray:
    """The skyline: a sum of triangle waves, sharper with roughness."""
    height, rough, *phases = p.ridge.T
    x = canvas.x - _PAN["mountain"] * _column(p.view)
    total = 0.0
    for k, phase in enumerate(phases):
        frequency = np.float32((0.9, 1.7, 2.9, 4.7)[k])
        weight = (0.5, 0.3, 0.14, 0.06)[k] * (1 if k < 2 else _column(rough))
        cycle = x * frequency + _column(phase)
        total = total + weight * np.abs(2 * (cycle - np.floor(cycle)) - 1)
    return _column(p.horizon) + 0.03 - _column(height) * (0.25 + 1.1 * total)


def _house_x(p: SceneParameters) -> np.ndarray:
    return p.house[:, 0] + _PAN["house"] * p.view


def _door_offset(p: SceneParameters) -> np.ndarray:
    return (p.facade[:, 3] - 1) * p.house_size * 0.31


def paint_trees(canvas: Canvas, p: SceneParameters, light: _Light, *, near: bool) -> None:
    """Trees behind the house, or those before it."""
    pan = _PAN["near" if near else "far"]
    for k in range(3, N_TREES) if near else range(3):
        # The first trees to appear stand on both sides, behind and before.
        order = (0, 2, 4, 1, 3)[k]
        x, base, height, conifer, tone = p.trees[:, k].T
        x = x + pan * p.view
        present = _column(p.vegetation > order + 0.5)
        trunk_half = 0.028 + 0.012 * (height - 0.4) / 0.2
        trunk = canvas.box(x - trunk_half, base - 0.45 * height, x + trunk_half, base)
        side = 1.0 - 4.0 * (canvas.x - _column(x))
        canvas.paint(
            trunk * present, light.on(_mix((0.42, 0.27, 0.15), (0.50, 0.36, 0.24), tone)),
            shade=side, labels={"object": _ID["tree"], "part": _ID["trunk"], "material": _ID["wood"]},
        )  # fmt: skip
        coverage = np.where(
            _column(conifer) > 0, _conifer(canvas, x, base, height), _round(canvas, x, base, height)
        )
        leaf = _blend(p.season, (0, 0.3, 0.5, 0.68, 0.8, 1), [(.16, .46, .18), (.28, .52, .18), (.86, .52, .14), (.74, .36, .14), (.78, .82, .86), (.88, .93, .97)])  # fmt: skip
        needle = _blend(p.season, (0, 0.68, 0.82, 1), [(.08, .34, .22), (.10, .34, .24), (.70, .80, .82), (.84, .91, .95)])  # fmt: skip
        colour = np.where(conifer[:, None] > 0, needle, leaf) * (0.88 + 0.24 * tone[:, None])
        top = _column(base - 0.62 * height)
        shade = 1.0 - 1.1 * (canvas.x - _column(x)) - 0.9 * (canvas.y - top)
        canvas.paint(
            coverage * present, light.on(colour), shade=np.clip(shade, 0.55, 1.3),
            labels={"object": _ID["tree"], "part": _ID["crown"]},
        )  # fmt: skip


def _round(canvas: Canvas, x, base, height) -> np.ndarray:
    top = canvas.ellipse(x, base - 0.72 * height, 0.25 * height, 0.27 * height)
    wide = canvas.ellipse(x, base - 0.55 * height, 0.31 * height, 0.21 * height)
    return np.maximum(top, wide)


def _conifer(canvas: Canvas, x, base, height) -> np.ndarray:
    upper = canvas.trapezoid(x, base - height, 0, x, base - 0.52 * height, 0.22 * height)
    lower = canvas.trapezoid(x, base - 0.76 * height, 0.04, x, base - 0.22 * height, 0.30 * height)
    return np.maximum(upper, lower)


def paint_house(canvas: Canvas, p: SceneParameters, light: _Light) -> None:
    """Chimney, walls, roof, windows, door."""
    present = _column(p.house_size > 0)
    width = np.where(p.house_size > 0, p.house_size, 0.5)
    x = _house_x(p)
    _, base, wall_height, roof_height, top_fraction = p.house.T
    kind, tone, roof_hue, door_slot, door_hue, chimney_side = p.facade.T
    eaves = base - wall_height
    house = {"object": _ID["house"]}

    side = np.where(chimney_side < 0.5, -1.0, 1.0)
    has_chimney = _column(np.abs(chimney_side - 0.5) > 0.15)
    chimney_x = x + side * width * 0.24
    stack = canvas.box(chimney_x - 0.035, eaves - roof_height * 1.05, chimney_x + 0.035, eaves)
    canvas.paint(
        stack * present * has_chimney, light.on(_mix((0.52, 0.28, 0.22), (0.45, 0.33, 0.3), tone)),
        shade=1 - 3 * (canvas.x - _column(chimney_x)),
        labels=house | {"part": _ID["chimney"], "material": _ID["brick"]},
    )  # fmt: skip

    brick = _mix((0.74, 0.36, 0.26), (0.80, 0.46, 0.34), tone)
    wood = _mix((0.86, 0.74, 0.50), (0.66, 0.46, 0.28), tone)
    stone = _mix((0.72, 0.72, 0.70), (0.60, 0.63, 0.66), tone)
    colour = np.where(kind[:, None] == 0, brick, np.where(kind[:, None] == 1, wood, stone))
    wall = canvas.box(x - width / 2, eaves, x + width / 2, base)
    material = np.array([_ID[name] for name in WALLS])[kind.astype(int)]
    canvas.paint(
        wall * present, light.on(colour), shade=_texture(canvas, x, base, kind),
        labels=house | {"part": _ID["wall"], "material": material},
    )  # fmt: skip

    overhang = width * 0.56
    roof = canvas.trapezoid(x, eaves - roof_height, overhang * top_fraction, x, eaves + 0.015, overhang)
    tiles = _blend(roof_hue, (0, 0.35, 0.7, 1), [(.50, .20, .16), (.62, .30, .18), (.36, .30, .34), (.26, .32, .44)])  # fmt: skip
    tiles = np.where((p.ground[:, 0] == 2)[:, None], _mix(tiles, (0.9, 0.93, 0.98), 0.45 + 0 * tone), tiles)  # fmt: skip
    slope = 1.15 - 0.4 * np.clip((canvas.y - _column(eaves - roof_height)) / 0.2, 0, 1)
    canvas.paint(roof * present, light.on(tiles), shade=slope, labels=house | {"part": _ID["roof"]})

    slots = width * 0.31
    door_x = x + (door_slot - 1) * slots
    door_half = np.maximum(0.047, width * 0.085)
    door_top = base - np.minimum(wall_height * 0.72, 0.19)
    wood_door = _blend(door_hue, (0, 0.4, 0.7, 1), [(.36, .20, .12), (.50, .16, .14), (.16, .34, .30), (.20, .26, .46)])  # fmt: skip
    canvas.paint(
        canvas.box(door_x - door_half, door_top, door_x + door_half, base) * present,
        light.on(wood_door), labels=house | {"part": _ID["door"], "material": _ID["wood"]},
    )  # fmt: skip
    half = np.maximum(0.046, width * 0.095)
    top = eaves + wall_height * 0.24
    bottom = top + np.maximum(0.10, wall_height * 0.42)
    for k in range(p.lit.shape[1]):
        slot = k + (door_slot <= k)  # the slots the door leaves
        window_x = x + (slot - 1) * slots
        lit = p.lit[:, k] > 0
        part = np.where(lit, _ID["lit window"], _ID["window"])
        frame = canvas.box(window_x - half, top, window_x + half, bottom) * present
        canvas.paint(frame, light.on(np.full((1, 3), 0.93)), labels=house | {"part": part})
        inset = 0.014
        pane = canvas.box(window_x - half + inset, top + inset, window_x + half - inset, bottom - inset)
        dark = light.on(_mix((0.20, 0.28, 0.40), (0.30, 0.42, 0.55), tone))
        warm = np.broadcast_to(np.array([1.0, 0.84, 0.36], "f4"), dark.shape)
        canvas.paint(pane * present, np.where(lit[:, None], warm, dark))


def _texture(canvas: Canvas, x, base, kind) -> np.ndarray:
    """Courses of brick, boards of wood, blocks of stone: a gentle ripple of the wall's tone."""
    x, base, kind = _column(x), _column(base), _column(kind)
    across = np.sin((canvas.x - x) * np.float32(2 * np.pi / 0.0625))
    down = np.sin((canvas.y - base) * np.float32(2 * np.pi / 0.0625))
    ripple = np.where(kind == 0, down, np.where(kind == 1, across, across * down))
    return 1.0 + 0.06 * ripple - 0.5 * (canvas.x - x) * 0.6


def paint_foreground(canvas: Canvas, p: SceneParameters, light: _Light) -> None:
    """Fence, then the street lamp and its light."""
    present, left, right, is_white = p.fence.T
    move = _PAN["near"] * p.view
    left, right = left + move, right + move
    top = 0.83
    inside = canvas.soften(np.abs(canvas.x - _column((left + right) / 2)) - _column((right - left) / 2))
    cycle = (canvas.x - _column(left)) / np.float32(0.125)
    picket = canvas.soften(np.abs(cycle - np.floor(cycle) - 0.5) * 0.125 - 0.03)
    picket = picket * canvas.soften(top - canvas.y)
    rail = canvas.soften(np.abs(canvas.y - 0.895) - 0.018) + 0 * picket
    colour = np.where(is_white[:, None] > 0, np.array([0.94, 0.93, 0.90]), np.array([0.55, 0.38, 0.24]))
    canvas.paint(
        np.maximum(picket, rail) * inside * _column(present), light.on(colour),
        labels={"object": _ID["fence"], "material": _ID["wood"]},
    )  # fmt: skip

    present, x, base, height = p.lamp.T
    x = x + _PAN["near"] * p.view
    head = base - height
    pole = canvas.box(x - 0.024, head, x + 0.024, base)
    lamp = {"object": _ID["lamp"]}
    canvas.paint(pole * _column(present), light.on(np.full((1, 3), 0.22)), labels=lamp)
    bulb = canvas.ellipse(x, head, np.full_like(x, 0.062), np.full_like(x, 0.062))
    glass = _mix(light.on(np.full((len(p), 3), 0.88)), (1.0, 0.90, 0.55), light.night)
    canvas.paint(bulb * _column(present), glass, labels=lamp)
    distance = np.square(canvas.x - _column(x)) + np.square(canvas.y - _column(head))
    strength = _column(present * light.night * 0.5) * np.exp(-distance / np.float32(0.16**2))
    canvas.glow(strength, np.array([[1.0, 0.72, 0.3]], "f4"))


def paint_fog(canvas: Canvas, p: SceneParameters, light: _Light) -> None:
    """Fog, thicker the farther: all of the sky and the ridge, little at the lower edge."""
    far = 1 - np.clip((canvas.y - _column(p.horizon)) / (1 - _column(p.horizon)), 0, 1)
    canvas.paint(_column(p.fog) * (0.35 + 0.65 * far), light.air)


def paint_scene(canvas: Canvas, p: SceneParameters) -> None:
    """The whole picture, back to front."""
    light = _Light(p)
    paint_sky(canvas, p, light)
    paint_land(canvas, p, light)
    paint_trees(canvas, p, light, near=False)
    paint_fog(canvas, p, light)
    paint_house(canvas, p, light)
    paint_trees(canvas, p, light, near=True)
    paint_foreground(canvas, p, light)
