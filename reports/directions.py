"""Directions of a run as a report shows them: names, strips, and the matrix as a heat map."""

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
        text: The number, with its sign.
        style: Of its ground; "" where the effect is not certain.
    """

    text: str
    style: str


@dataclass(frozen=True)
class Matrix:
    """Effects as a heat map.

    Attributes:
        attributes: Of the columns.
        rows: Name and cells of each edit.
        floor: Of each attribute, as text; () where each row has a floor of its own.
    """

    attributes: tuple[str, ...]
    rows: list[tuple[str, list[Cell]]]
    floor: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """The directions of one folder.

    Attributes:
        name: Of the folder.
        method: How they were found.
        rows: For each its name, what it changes, its side effects, and its strip as an address.
        random: The strip of a random direction, as an address; "" for none.
        matrix: What they change; None if they are not scored.
        layers: Direction → what it changes layer by layer.
        strength, n_images: Of the scores.
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
    """Everything that was found for a run, by folder.

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
    """A picture as an address that holds it."""
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
    """A number and its ground: blue for more, orange for less, none where it is not certain.

    Args:
        value: The effect, in deviations.
        certain: Whether it is beyond chance.
        most: The largest of the table.
    """
    if not np.isfinite(value):
        return Cell("–", "")
    text = f"{value:+.2f}".replace("-", "−")
    if not certain:
        return Cell(text, "")
    colour = "0, 114, 178" if value > 0 else "213, 94, 0"
    return Cell(text, f"rgba({colour}, {0.1 + 0.4 * min(abs(value) / most, 1):.2f})")
