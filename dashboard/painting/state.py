"""Parses and checks the address and the fields of the paint page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from dissect.edits.recipes import from_json
from dissect.errors import ConfigError
from dissect.painting.checks import as_number, is_whole
from dissect.painting.recipe import Painting
from dissect.painting.strokes import DRAW, REMOVE, Stroke, decode_mask
from dissect.settings.kinds import short

Default = TypeVar("Default", int, int | None)

BY_HAND = "(by hand)"
"""Entry in the list of concepts for units chosen by hand."""
BEST = "(best)"
"""Entry in the list of layers for an automatic choice."""


@dataclass(frozen=True)
class View:
    """The values of the address; invalid ones get their defaults.

    Attributes:
        seed, index, truncation, label: The image; a label of None means no class.
        concept: Concept to draw or remove; "" for units chosen by hand.
        mode: ``draw`` or ``remove``.
        layer: "" chooses one.
        units: Units chosen by hand, with commas.
    """

    seed: int
    index: int
    truncation: float
    label: int | None
    concept: str
    mode: str
    layer: str
    units: str


def read_view(
    query: Mapping[str, str],
    *,
    seed: int,
    truncation: float,
    label: int | None = None,
    n_classes: int = 0,
    concepts: tuple[str, ...],
    layers: tuple[str, ...],
) -> View:
    """The view of an address.

    Args:
        query: Query of the address. Untrusted.
        seed, truncation, label: Values of the run.
        n_classes: Number of its generator's classes.
        concepts, layers: Existing names.
    """
    favourite = next((name for name in ("tree", *concepts) if name in concepts), "")
    concept, layer = query.get("concept", favourite), query.get("layer", "")
    concept = "" if concept == BY_HAND else concept
    return View(
        seed=_whole(query.get("seed"), seed, 2**53),
        index=_whole(query.get("index"), 0, 2**53),
        truncation=_fraction(query.get("truncation"), truncation),
        label=_whole(query.get("label"), label, n_classes - 1),
        concept=concept if concept in ("", *concepts) else favourite,
        mode=REMOVE if query.get("mode") == REMOVE else DRAW,
        layer=layer if layer in layers else "",
        units=query.get("units", "")[:400],
    )


def read_painting(about: Any, fields: Mapping[str, object]) -> Painting:
    """A painting without strokes from the page's fields.

    Args:
        about: The renderer's information on its models, and the edits of an opened recipe; stored
            in the browser.
        fields: ``seed``, ``index``, ``truncation``, ``label``.

    Raises:
        ConfigError: an empty or invalid field.
    """
    if not isinstance(about, Mapping):
        raise ConfigError("the page does not know its generator yet; wait or reload it")
    names = ("fingerprint", "run", "image_size", "threads")
    models: dict[str, Any] = {name: about.get(name) for name in names}
    # ``Painting`` checks their values.
    own: dict[str, Any] = {name: _integral(fields.get(name)) for name in ("seed", "index", "label")}
    for name in ("seed", "index"):
        if own[name] is None:
            raise ConfigError(f"{name} is empty; expected a whole number from 0")
    truncation = as_number("truncation", fields.get("truncation"))
    edits = tuple(from_json(about.get("edits", [])))
    return Painting(
        models["fingerprint"], models["run"], models["image_size"], own["seed"], own["index"],
        truncation, own["label"], models["threads"],
        edits=edits,
    )  # fmt: skip


def read_stroke(brush: Any, *, n_units: object, strength: Any, place: Any) -> Stroke:
    """A stroke with a brush, from a browser's values.

    Args:
        brush: The renderer's answer.
        n_units: Number of its units to use.
        strength: See ``Stroke``.
        place: ``{"png": base64}``, ``{"box": [top, left, bottom, right]}`` or ``{}`` for
            everywhere.

    Raises:
        ConfigError: a value of a wrong type or out of its range.
    """
    if not isinstance(brush, Mapping) or not isinstance(brush.get("units"), list):
        raise ConfigError("no brush is chosen yet; choose a concept, or units by hand")
    count: object = _integral(n_units)
    if not is_whole(count, 1, len(brush["units"])):
        raise ConfigError(
            f"the number of units is {short(n_units)}; expected 1 to {len(brush['units'])}"
        )
    if not isinstance(place, Mapping):
        raise ConfigError("the page sent no place for the stroke; reload it")
    values = brush.get("values")
    how: dict[str, Any] = {name: brush.get(name) for name in ("mode", "layer")}
    box, png = place.get("box"), place.get("png")
    return Stroke(
        how["mode"],
        how["layer"],
        tuple(brush["units"][:count]),
        tuple(values[:count]) if isinstance(values, list) else (),
        strength,
        box=tuple(_integral(at) for at in box) if isinstance(box, list) else None,
        mask=None if png is None else decode_mask(png),
        concept=brush.get("concept") or None,
    )


def read_units(text: object) -> list[int]:
    """Parse units from a text such as ``3, 7, 12``.

    Raises:
        ConfigError: another text.
    """
    parts = text.replace(",", " ").split() if isinstance(text, str) else []
    if not parts or not all(part.isascii() and part.isdigit() and len(part) < 7 for part in parts):
        raise ConfigError(f"units is {short(text)}; expected numbers from 0 such as 3, 7, 12")
    return list(dict.fromkeys(int(part) for part in parts))


def _whole(text: object, default: Default, most: int) -> int | Default:
    if not (isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 17):
        return default
    return int(text) if int(text) <= most else default


def _fraction(text: Any, default: float) -> float:
    try:
        number = float(text)
    except (TypeError, ValueError):
        return default
    return number if -5 <= number <= 5 else default


def _integral(value: Any) -> Any:
    """An integer that a field gives as 3.0; other values are returned unchanged."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return None if value == "" else value
