"""Directions of a run for a report: names, strips, and the matrix as a heat map."""

import base64
from dataclasses import dataclass

import numpy as np

from dissect.directions.effects import Effects
from dissect.directions.folder import DirectionFolder, folders_of, open_folder
from dissect.runs import Run


@dataclass(frozen=True)
class Cell:
    """One effect of the heat map.

    Attributes:
        text: The number with its sign.
        style: Style of its background; "" if the effect is not certain.
    """

    text: str
    style: str


@dataclass(frozen=True)
class Matrix:
    """Effects as a heat map.

    Attributes:
        attributes: Attributes of the columns.
        rows: Name and cells of each edit.
        floor: Floor of each attribute, as text; () if each row has its own floor.
    """

    attributes: tuple[str, ...]
    rows: list[tuple[str, list[Cell]]]
    floor: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """The directions of one folder.

    Attributes:
        name: Name of the folder.
        method: How they were found.
        rows: For each direction its name, what it changes, its side effects, and its strip as a
            data address.
        random: The strip of a random direction as a data address; "" for none.
        matrix: The effects of the directions; None if they are not scored.
        layers: Direction → its effects layer by layer.
        strength, n_images: Strength and number of images of the scores.
    """

    name: str
    method: str
    rows: list[tuple[str, str, str, str]]
    random: str
    matrix: Matrix | None
    layers: list[tuple[str, Matrix]]
    strength: float
    n_images: int


def direction_facts(run: Run) -> list[Found]:
    """All directions found for a run, by folder.

    Raises:
        ConfigError: a damaged folder.
    """
    return [_facts(open_folder(path)) for path in folders_of(run.path)]


def _facts(folder: DirectionFolder) -> Found:
    meanings, effects = folder.meanings, folder.effects
    rows = []
    for number, direction in enumerate(folder.directions):
        changes, sides = "what is not scored yet", ""
        if meanings:
            one = meanings[number]
            changes = "nothing measured" if one.main is None else str(one.main)
            sides = ", ".join(map(str, one.side_effects))
        rows.append((direction.name, changes, sides, _address(folder.strip(number))))
    return Found(
        folder.path.name,
        folder.method,
        rows,
        _address(folder.strip(None)),
        None if effects is None else _matrix(effects, shared_floor=True),
        [(name, _matrix(one, shared_floor=False)) for name, one in folder.layers.items()],
        float("nan") if effects is None else effects.strength,
        0 if effects is None else effects.n_samples,
    )


def _address(picture: bytes | None) -> str:
    """A picture as a data address."""
    if picture is None:
        return ""
    return f"data:image/webp;base64,{base64.b64encode(picture).decode()}"


def _matrix(effects: Effects, *, shared_floor: bool) -> Matrix:
    most = float(np.nanmax(np.abs(effects.signed), initial=0.0)) or 1.0
    rows = [
        (
            name,
            [
                effect_cell(effects.signed[row, k], bool(effects.beyond[row, k]), most)
                for k in range(len(effects.attributes))
            ],
        )
        for row, name in enumerate(effects.names)
    ]
    floor = tuple(f"{v:.2f}" if np.isfinite(v) else "–" for v in effects.floor[0])
    return Matrix(effects.attributes, rows, floor if shared_floor else ())


def effect_cell(value: float, certain: bool, most: float) -> Cell:
    """A number and its background: blue for more, orange for less, none if it is not certain.

    Args:
        value: The effect, in standard deviations.
        certain: Whether it exceeds chance.
        most: The largest value of the table.
    """
    if not np.isfinite(value):
        return Cell("–", "")
    text = f"{value:+.2f}".replace("-", "−")
    if not certain:
        return Cell(text, "")
    colour = "0, 114, 178" if value > 0 else "213, 94, 0"
    return Cell(text, f"rgba({colour}, {0.1 + 0.4 * min(abs(value) / most, 1):.2f})")
