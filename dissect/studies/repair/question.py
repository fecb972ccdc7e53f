"""The settings of a repair, and the words for its result."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dissect.errors import ConfigError
from dissect.settings import Settings, like, setting
from dissect.studies.names import default_name
from dissect.studies.unit_question import UnitQuestion

REPAIR = "repair"
Unit = tuple[str, int]
"""A layer and a unit of it."""


def read_marked_units(text: str) -> tuple[Unit, ...]:
    """Parse ``LAYER:UNIT,…`` to (layer, unit) pairs.

    Raises:
        ValueError: another text.

    Example:
        >>> read_marked_units("b16.conv1:3,7")
        (('b16.conv1', 3), ('b16.conv1', 7))
    """
    layer, _, units = text.rpartition(":")
    marked = tuple((layer, int(unit)) for unit in units.split(","))
    if not layer or min(unit for _, unit in marked) < 0:
        raise ValueError(text)
    return marked


class RepairQuestion(Settings):
    """Which units draw what real images do not contain.

    Raises:
        ConfigError: a setting of a wrong type or out of its range, an unknown name, or both ``bad``
            and ``layer``.
    """

    data: str | None = setting(
        "folder of real images, PNG, JPEG or WebP; or scenes, the drawn ones (default: scenes for "
        "the generators that were trained on them)",
        default=None, metavar="FOLDER",
        details="Units that a person marked need none, but no distance is measured then.",
    )  # fmt: skip
    bad: tuple[tuple[str, int], ...] = setting(
        "take these units, whose images you judged bad, instead of a search; repeatable",
        default=(), at_least=0, metavar="LAYER:UNIT,…", reader=read_marked_units, repeated=True,
        expected="a layer and units of it, such as b16.conv1:3,7",
    )  # fmt: skip
    layer: str | None = setting("search only this layer; default: all of the run", default=None)
    n_units: int = like(UnitQuestion, "n_units", default=20, meaning="most units to propose")
    n_samples: int = like(
        UnitQuestion, "n_samples", default=500, meaning="number of samples to measure"
    )
    n_search: int = like(
        UnitQuestion, "n_search", default=128, meaning="further samples on which suspects are tried"
    )
    n_candidates: int = like(
        UnitQuestion, "n_candidates", default=24, meaning="number of suspects to try"
    )
    draws: int = like(UnitQuestion, "draws", default=5)
    second: str | None = like(UnitQuestion, "second", default=None)

    def check(self) -> None:
        object.__setattr__(self, "bad", tuple(dict.fromkeys(self.bad)))
        if self.bad and self.layer is not None:
            raise ConfigError(
                "both marked units and a layer to search were given; expected one of the two"
            )

    def to_json(self, source: str | None) -> dict[str, object]:
        """The settings as stored in recipe.json.

        Args:
            source: The data for the comparison, given or found.
        """
        question = asdict(self) | {"data": source, "bad": [list(unit) for unit in self.bad]}
        if self.second is None:  # earlier versions had none
            del question["second"]
        return question

    def folder_name(self, source: str | None) -> str:
        """The name of the effect if none is given."""
        if self.bad:
            marked = [
                f"{layer}-{'-'.join(map(str, units))}"
                for layer, units in by_layer(self.bad).items()
            ]
            return default_name(REPAIR, "marked", *marked)
        return default_name(REPAIR, Path(str(source)).name, self.layer or "all", self.n_units)


def by_layer(units: Sequence[Unit]) -> dict[str, list[int]]:
    """Layer → its units, with layers in order of first appearance."""
    layers: dict[str, list[int]] = {}
    for layer, unit in units:
        layers.setdefault(layer, []).append(unit)
    return layers


def verdict(summary: Mapping[str, Any]) -> str:
    """The change of the distance to the data, in a few words."""
    distance = summary["distance"]
    if distance is None:
        return "distance to data not measured"
    became = "not surely changed"
    if distance["change_high"] < 0:
        became = "fell"
    elif distance["change_low"] > 0:
        became = "rose"
    return f"distance to data {became}: {distance['before']:#.4g} to {distance['after']:#.4g}"
