"""Measured effects in a run's folder, one folder each, written beside and renamed into place.

effects/NAME/recipe.json     edits, models, samples, the question and the result
effects/NAME/effect.parquet  set of units × concept, or context or unit: pixels, shares, intervals
effects/NAME/sheet.png       before, after, difference
effects/NAME/curve.parquet, curve.svg   if a curve was measured
effects/NAME/places.parquet, contexts.svg   where units were inserted at many places
effects/NAME/suspects.parquet           the tried units, if a repair searched for units

They are additions: ``run.json`` lists only the run's own files, and a run is complete without them.
"""

import io
import json
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from dissect.edits.edit import Edit
from dissect.edits.recipes import from_json
from dissect.errors import ConfigError, RunError
from dissect.runs import Run
from dissect.runs.replacing import replace_folder
from dissect.runs.stored import read_any_table
from dissect.studies.names import check_name, is_name
from segmenters.nearest import did_you_mean
from segmenters.received import inside, open_image, read_bytes, read_json, reading

EFFECTS = "effects"
RECIPE, TABLE, SHEET, CURVE = "recipe.json", "effect.parquet", "sheet.png", "curve.parquet"
KIND = "gan-dissection effect"
VERSION = 2
"""Version 1 had no net shares, no matched sets, and random sets that could share units."""
ADVICE = "delete that folder and measure again"
_LARGEST_SHEET = 256 << 20  # bytes


@dataclass(frozen=True)
class StoredEffect:
    """A measured effect.

    Attributes:
        path: Its folder.
        record: Content of recipe.json.
    """

    path: Path
    record: dict[str, Any]

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def table(self) -> pd.DataFrame:
        """Every set and concept."""
        return self.read_table(TABLE)

    def file(self, name: str) -> Path | None:
        """The path of a file of the effect; None if it does not exist.

        Raises:
            RunError: a link to another place.
        """
        with reading(self.path, RunError, ADVICE):
            path = inside(self.path, name)
            return path if path.is_file() else None

    def read_table(self, name: str) -> pd.DataFrame:
        """A table of the effect.

        Raises:
            RunError: a missing or damaged table.
        """
        return read_any_table(self.file(name) or self.path / name, ADVICE)

    def sheet(self) -> bytes | None:
        """The picture of before and after, as PNG; None if there is none.

        Raises:
            RunError: a file of another kind.
        """
        file = self.file(SHEET)
        if file is None:
            return None
        with reading(file, RunError, ADVICE):
            content = read_bytes(file, _LARGEST_SHEET)
            open_image(content, formats=["PNG"]).verify()
            return content

    @property
    def edits(self) -> list[Edit]:
        """The recipe, for ``intervene``."""
        return from_json(self.record["edits"])


def check_free(run: Run, name: str, question: Mapping[str, object]) -> Path:
    """The folder of a future effect.

    Raises:
        ConfigError: an invalid name, or one that holds the answer to another question.
    """
    target = _place(run, check_name(name))
    if target.exists() and _read(target)["question"] != question:
        raise ConfigError(
            f"{target} answers another question; expected a name that is free; give another --name "
            "or delete that folder"
        )
    return target


def write_effect(
    run: Run,
    name: str,
    record: Mapping[str, Any],
    table: pd.DataFrame,
    files: Mapping[str, bytes],
) -> StoredEffect:
    """Write an effect into the run's folder; replaces one of the same name and question.

    Args:
        run: The run.
        name: Name of the folder.
        record: Contents of recipe.json without its kind and version, with the ``question``.
        table: Every set and concept.
        files: Further files by name.

    Raises:
        ConfigError: an invalid name, or one that holds the answer to another question.
    """
    target = check_free(run, name, record["question"])
    folder = target.parent
    fresh = folder / f".{name}.{os.getpid()}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        content = {"kind": KIND, "version": VERSION, **record}
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        (fresh / RECIPE).write_text(text)
        table.to_parquet(fresh / TABLE, index=False)
        for file, data in files.items():
            (fresh / file).write_bytes(data)
        replace_folder(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return read_effect(run, name)


def plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table for JSON; None for a number that is not finite."""
    return [
        {str(name): _plain(value) for name, value in row.items()}
        for row in table.to_dict(orient="records")
    ]


def plain_number(value: float) -> float | None:
    """A number for JSON; None if it is not finite."""
    return float(value) if math.isfinite(value) else None


def _plain(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_parquet(table: pd.DataFrame) -> bytes:
    """A table as the bytes of a parquet file."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def read_effect(run: Run, name: str) -> StoredEffect:
    """A stored effect by name; ``open_effect`` also checks its summary.

    Raises:
        ConfigError: no effect of that name.
        RunError: a damaged effect, or one of a newer version.
    """
    path = _place(run, check_name(name))
    if not path.is_dir():
        names = ", ".join(effect_names(run)) or "none"
        raise ConfigError(
            f"effect {name!r} is not in {run.path}; "
            f"{did_you_mean(name, effect_names(run))}it has {names}"
        )
    return StoredEffect(path, _read(path))


def effect_names(run: Run) -> list[str]:
    """Names of all stored effects, sorted. Ignores folders with invalid names.

    Example:
        >>> from dissect import open_run
        >>> effect_names(open_run("runs/demo"))
        []
    """
    folder = _place(run)
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if is_name(path.name) and path.is_dir())


def _place(run: Run, *parts: str) -> Path:
    """The folder of an effect, or of all of them, within the run's own.

    Raises:
        RunError: a link to a place outside of it.
    """
    with reading(run.path, RunError, "put a folder in its place"):
        return inside(run.path, "/".join([EFFECTS, *parts]))


def _read(path: Path) -> dict[str, Any]:
    with reading(path, RunError, ADVICE):
        file = inside(path, RECIPE)
    record: Any = read_json(file, RunError, ADVICE)
    with reading(file, RunError, ADVICE):
        if record["kind"] != KIND or record["version"] > VERSION:
            raise RunError(
                f"{path} has kind {record['kind']!r}, version {record['version']}; this version "
                f"reads {KIND!r} up to {VERSION}; update gan-dissection"
            )
        try:
            from_json(record["edits"])
        except ConfigError as error:
            raise ValueError(str(error)) from error
        if not isinstance(record["question"], dict):
            raise ValueError("it has no question")
        if not isinstance(record["summary"], dict):
            raise ValueError("it has no summary")
    return record
