"""A folder of directions of one generator: their files, effects and strips.

    FOLDER/directions.json     method, settings and all tables
    FOLDER/000.safetensors     one file per direction (``direction.save_direction``)
    FOLDER/000.webp            its strip
    FOLDER/random.webp         the strip of a random direction of the same length

A run keeps such folders in ``directions/``, where reports and the dashboard find them. Reading
needs no torch. Files are written atomically, ``directions.json`` last.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from dissect.directions.direction import Direction, read_direction, save_direction
from dissect.directions.effects import Effects
from dissect.directions.naming import Meaning, name_directions
from dissect.errors import ConfigError
from dissect.runs.replacing import replace_file, replace_folder
from segmenters.nearest import did_you_mean
from segmenters.received import inside, read_bytes, read_json

FORMAT, VERSION = "gan-dissection/directions", 1
FILE, RANDOM_STRIP, PARENT = "directions.json", "random.webp", "directions"
_ADVICE = "fit the directions again"
_MOST = 1000  # directions
_LARGEST_STRIP = 1 << 24


@dataclass(frozen=True, eq=False)
class DirectionFolder:
    """Directions of one generator.

    Attributes:
        path: The folder.
        directions: In order.
        generator: Its ``name`` and ``fingerprint``.
        method: The method that found them.
        effects: The matrix directions × attributes; None until they are scored.
        layers: Direction's name → its effects layer by layer, if measured.
        cards: Direction's name → its evaluation card (``dissect.directions.card``).
    """

    path: Path
    directions: tuple[Direction, ...]
    generator: Mapping[str, str]
    method: str
    effects: Effects | None = None
    layers: Mapping[str, Effects] = field(default_factory=dict)
    cards: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def meanings(self) -> tuple[Meaning, ...]:
        """The meaning of each direction; empty until they are scored."""
        return () if self.effects is None else name_directions(self.effects)

    def strip(self, number: int | None) -> bytes | None:
        """The strip of a direction, or of the random one (None), as WebP; None if there is none."""
        path = self.path / (RANDOM_STRIP if number is None else f"{number:03d}.webp")
        return read_bytes(path, _LARGEST_STRIP) if path.is_file() else None

    def find(self, name: str) -> int:
        """The number of a direction, by its name or number.

        Raises:
            ConfigError: none of that name.
        """
        names = [one.name for one in self.directions]
        if name in names:
            return names.index(name)
        if name.isdigit() and int(name) < len(names):
            return int(name)
        raise ConfigError(
            f"direction {name!r} is not in {self.path}; {did_you_mean(name, names)}expected "
            f"{', '.join(names)}, or a number from 0"
        )


def write_folder(
    folder: DirectionFolder, strips: Sequence[bytes] = (), random_strip: bytes | None = None
) -> None:
    """Write a folder atomically, replacing an older folder of directions.

    Raises:
        ConfigError: the path holds something else.
    """
    path = folder.path
    if path.exists() and not (path / FILE).is_file() and (not path.is_dir() or any(path.iterdir())):
        raise ConfigError(
            f"{path} exists and holds no directions; expected a new folder, or one of directions"
        )
    fresh = path.with_name(f".{path.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for number, direction in enumerate(folder.directions):
        save_direction(direction, fresh / f"{number:03d}.safetensors")
    for number, strip in enumerate(strips):
        (fresh / f"{number:03d}.webp").write_bytes(strip)
    if random_strip is not None:
        (fresh / RANDOM_STRIP).write_bytes(random_strip)
    _write_record(folder, fresh / FILE)
    replace_folder(fresh, path)


def rewrite_record(folder: DirectionFolder) -> None:
    """Write new measurements; files of directions and strips stay."""
    _write_record(folder, folder.path / FILE)


def open_folder(path: str | Path) -> DirectionFolder:
    """Read a folder.

    Raises:
        ConfigError: no folder of directions, a damaged one, or one of a newer version.
    """
    path = Path(path)
    if not (path / FILE).is_file():
        raise ConfigError(
            f"{path} holds no directions; expected a folder with {FILE}; dissect directions fit "
            "makes one"
        )
    record = read_json(path / FILE, ConfigError, _ADVICE)
    try:
        if record["format"] != FORMAT or record["version"] != VERSION:
            raise ConfigError(
                f"{path} has the format {record['format']!r} {record['version']!r}; expected "
                f"{FORMAT} {VERSION}; a newer version of this program may read it"
            )
        names = [str(name) for name in record["directions"]]
        if not 0 < len(names) <= _MOST:
            raise ValueError(f"it names {len(names)} directions")
        directions = tuple(read_direction(inside(path, name)) for name in names)
        effects = record["effects"]
        return DirectionFolder(
            path,
            directions,
            {key: str(record["generator"][key]) for key in ("name", "fingerprint")},
            str(record["method"]),
            None if effects is None else _read_effects(effects, len(names)),
            {str(name): _read_effects(one) for name, one in record["layers"].items()},
            {str(name): dict(card) for name, card in record["cards"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path / FILE} is damaged ({error}); {_ADVICE}") from error


def folders_of(run: str | Path) -> list[Path]:
    """The folders of directions of a run, by name."""
    parent = Path(run) / PARENT
    if not parent.is_dir():
        return []
    return sorted(one.parent for one in parent.glob(f"*/{FILE}"))


def _write_record(folder: DirectionFolder, path: Path) -> None:
    record = {
        "format": FORMAT,
        "version": VERSION,
        "generator": dict(folder.generator),
        "method": folder.method,
        "directions": [f"{number:03d}.safetensors" for number in range(len(folder.directions))],
        "effects": None if folder.effects is None else _plain(folder.effects),
        "layers": {name: _plain(one) for name, one in folder.layers.items()},
        "cards": dict(folder.cards),
    }
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, indent=1)
    replace_file(path, text.encode())


def _plain(effects: Effects) -> dict[str, Any]:
    """Effects for JSON: null for NaN."""
    plain: dict[str, Any] = {}
    for one in fields(effects):
        value = getattr(effects, one.name)
        if isinstance(value, np.ndarray):
            value = _nulls(value.tolist())
        plain[one.name] = _nulls(value) if isinstance(value, float) else value
    return plain


def _nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [_nulls(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _read_effects(plain: Mapping[str, Any], n_rows: int | None = None) -> Effects:
    names, attributes = map(tuple, (plain["names"], plain["attributes"]))
    if not all(isinstance(name, str) for name in (*names, *attributes)):
        raise ValueError("names are no texts")
    if n_rows is not None and len(names) != n_rows:
        raise ValueError(f"effects of {len(names)} directions where there are {n_rows}")
    shape = (len(names), len(attributes))

    def table(name: str) -> np.ndarray:
        values = np.array(plain[name], dtype=float)
        expected = shape if name != "deviations" else shape[1:]
        if values.shape != expected:
            raise ValueError(f"{name} has the shape {values.shape}, not {expected}")
        return values

    def number(name: str) -> float:
        return float("nan" if plain[name] is None else plain[name])

    return Effects(
        names=names,
        attributes=attributes,
        signed=table("signed"),
        low=table("low"),
        high=table("high"),
        clipped=table("clipped"),
        floor=table("floor"),
        clipped_floor=table("clipped_floor"),
        deviations=table("deviations"),
        strength=number("strength"),
        length=number("length"),
        n_samples=int(plain["n_samples"]),
    )
