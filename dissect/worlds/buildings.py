"""Paints the built objects of a scene: the house and its parts, the fence, the street lamp."""

import numpy as np
from jaxtyping import Float

from dissect.worlds.canvas import ID, Canvas, Coverage, Numbers, column
from dissect.worlds.distribution import GROUNDS, PAN, WALLS, SceneParameters
from dissect.worlds.light import Light, blend, mix

_TILES = ((0.50, 0.20, 0.16), (0.62, 0.30, 0.18), (0.36, 0.30, 0.34), (0.26, 0.32, 0.44))
_DOORS = ((0.36, 0.20, 0.12), (0.50, 0.16, 0.14), (0.16, 0.34, 0.30), (0.20, 0.26, 0.46))


def house_x(p: SceneParameters) -> Float[np.ndarray, " batch"]:
    """Horizontal centre of the house, including the pan."""
    return p.house[:, 0] + PAN["house"] * p.view


def door_offset(p: SceneParameters) -> Float[np.ndarray, " batch"]:
    """Horizontal offset of the door from the centre."""
    return (p.facade[:, 3] - 1) * p.house_size * 0.31


def paint_house(canvas: Canvas, p: SceneParameters, light: Light) -> None:
    """Chimney, walls, roof, windows, door."""
    present = column(p.house_size > 0)
    width = np.where(p.house_size > 0, p.house_size, 0.5)
    x = house_x(p)
    _, base, wall_height, roof_height, top_fraction = p.house.T
    kind, tone, roof_hue, door_slot, door_hue, chimney_side = p.facade.T
    eaves = base - wall_height
    house = {"object": ID["house"]}

    side = np.where(chimney_side < 0.5, -1.0, 1.0)
    has_chimney = column(np.abs(chimney_side - 0.5) > 0.15)
    chimney_x = x + side * width * 0.24
    stack = canvas.box(chimney_x - 0.035, eaves - roof_height * 1.05, chimney_x + 0.035, eaves)
    canvas.paint(
        stack * present * has_chimney, light.on(mix((0.52, 0.28, 0.22), (0.45, 0.33, 0.3), tone)),
        shade=1 - 3 * (canvas.x - column(chimney_x)),
        labels=house | {"part": ID["chimney"], "material": ID["brick"]},
    )  # fmt: skip

    brick = mix((0.74, 0.36, 0.26), (0.80, 0.46, 0.34), tone)
    wood = mix((0.86, 0.74, 0.50), (0.66, 0.46, 0.28), tone)
    stone = mix((0.72, 0.72, 0.70), (0.60, 0.63, 0.66), tone)
    colour = np.where(kind[:, None] == 0, brick, np.where(kind[:, None] == 1, wood, stone))
    wall = canvas.box(x - width / 2, eaves, x + width / 2, base)
    material = np.array([ID[name] for name in WALLS])[kind.astype(int)]
    canvas.paint(
        wall * present, light.on(colour), shade=_texture(canvas, x, base, kind),
        labels=house | {"part": ID["wall"], "material": material},
    )  # fmt: skip

    overhang = width * 0.56
    roof = canvas.trapezoid(
        (x, eaves - roof_height, overhang * top_fraction), (x, eaves + 0.015, overhang)
    )
    tiles = blend(roof_hue, (0, 0.35, 0.7, 1), _TILES)
    snowy = p.ground[:, :1] == GROUNDS.index("snow")
    tiles = np.where(snowy, mix(tiles, (0.9, 0.93, 0.98), 0.45), tiles)
    slope = 1.15 - 0.4 * np.clip((canvas.y - column(eaves - roof_height)) / 0.2, 0, 1)
    canvas.paint(roof * present, light.on(tiles), shade=slope, labels=house | {"part": ID["roof"]})

    slots = width * 0.31
    door_x = x + (door_slot - 1) * slots
    door_half = np.maximum(0.047, width * 0.085)
    door_top = base - np.minimum(wall_height * 0.72, 0.19)
    paint = blend(door_hue, (0, 0.4, 0.7, 1), _DOORS)
    canvas.paint(
        canvas.box(door_x - door_half, door_top, door_x + door_half, base) * present,
        light.on(paint), labels=house | {"part": ID["door"], "material": ID["wood"]},
    )  # fmt: skip
    half = np.maximum(0.046, width * 0.095)
    top = eaves + wall_height * 0.24
    bottom = top + np.maximum(0.10, wall_height * 0.42)
    for k in range(p.lit.shape[1]):
        slot = k + (door_slot <= k)  # the slots without the door
        window_x = x + (slot - 1) * slots
        lit = p.lit[:, k] > 0
        part = np.where(lit, ID["lit window"], ID["window"])
        frame = canvas.box(window_x - half, top, window_x + half, bottom) * present
        canvas.paint(frame, light.on(np.full((1, 3), 0.93)), labels=house | {"part": part})
        inset = 0.014
        left, right = window_x - half + inset, window_x + half - inset
        pane = canvas.box(left, top + inset, right, bottom - inset)
        dark = light.on(mix((0.20, 0.28, 0.40), (0.30, 0.42, 0.55), tone))
        warm = np.broadcast_to(np.array([1.0, 0.84, 0.36], "f4"), dark.shape)
        canvas.paint(pane * present, np.where(lit[:, None], warm, dark))


def _texture(canvas: Canvas, x: Numbers, base: Numbers, kind: Numbers) -> Coverage:
    """Courses of brick, boards of wood, blocks of stone: a slight variation of the wall's tone."""
    x, base, kind = column(x), column(base), column(kind)
    across = np.sin((canvas.x - x) * np.float32(2 * np.pi / 0.0625))
    down = np.sin((canvas.y - base) * np.float32(2 * np.pi / 0.0625))
    ripple = np.where(kind == 0, down, np.where(kind == 1, across, across * down))
    return 1.0 + 0.06 * ripple - 0.5 * (canvas.x - x) * 0.6


def paint_foreground(canvas: Canvas, p: SceneParameters, light: Light) -> None:
    """Fence, then the street lamp and its light."""
    present, left, right, is_white = p.fence.T
    move = PAN["near"] * p.view
    left, right = left + move, right + move
    top = 0.83
    middle, half = column((left + right) / 2), column((right - left) / 2)
    inside = canvas.soften(np.abs(canvas.x - middle) - half)
    cycle = (canvas.x - column(left)) / np.float32(0.125)
    picket = canvas.soften(np.abs(cycle - np.floor(cycle) - 0.5) * 0.125 - 0.03)
    picket = picket * canvas.soften(top - canvas.y)
    rail = canvas.soften(np.abs(canvas.y - 0.895) - 0.018) + 0 * picket
    colour = mix((0.55, 0.38, 0.24), (0.94, 0.93, 0.90), is_white)
    canvas.paint(
        np.maximum(picket, rail) * inside * column(present), light.on(colour),
        labels={"object": ID["fence"], "material": ID["wood"]},
    )  # fmt: skip

    present, x, base, height = p.lamp.T
    x = x + PAN["near"] * p.view
    head = base - height
    pole = canvas.box(x - 0.024, head, x + 0.024, base)
    lamp = {"object": ID["lamp"]}
    canvas.paint(pole * column(present), light.on(np.full((1, 3), 0.22)), labels=lamp)
    bulb = canvas.ellipse(x, head, np.full_like(x, 0.062), np.full_like(x, 0.062))
    glass = mix(light.on(np.full((len(p), 3), 0.88)), (1.0, 0.90, 0.55), light.night)
    canvas.paint(bulb * column(present), glass, labels=lamp)
    distance = np.square(canvas.x - column(x)) + np.square(canvas.y - column(head))
    strength = column(present * light.night * 0.5) * np.exp(-distance / np.float32(0.16**2))
    canvas.glow(strength, np.array([[1.0, 0.72, 0.3]], "f4"))
