"""Recipes: lists of edits as JSON, the one format for effects, paintings and scripts.

    [{"edit": "ablate", "layer": "b16.conv1", "units": [3, 7], "strength": 1.0},
     {"edit": "move", "space": "w", "vector": [0.5, …], "strength": 2.0, "layers": null,
      "mode": "add"}]

Reading a recipe does not need torch.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from dissect.edits.edit import Edit
from dissect.edits.moves import Move
from dissect.edits.unit_edits import Ablate, Insert, Scale
from dissect.errors import ConfigError

LARGEST_BYTES = 64 * 1024 * 1024
_KINDS: dict[str, type[Edit]] = {kind.kind: kind for kind in (Ablate, Insert, Scale, Move)}


def to_json(edits: Sequence[Edit]) -> list[dict[str, object]]:
    """A recipe as plain values; a region becomes runs of equal numbers, row by row.

    Example:
        >>> to_json([Ablate("b16.conv1", [3])])[0]["edit"]
        'ablate'
    """
    return [{"edit": edit.kind, **edit.to_plain()} for edit in edits]


def from_json(recipe: Any) -> list[Edit]:
    """The inverse of ``to_json``.

    Raises:
        ConfigError: no list of edits, an unknown edit, a missing, unknown or invalid field.

    Example:
        >>> from_json([{"edit": "ablate", "layer": "b16.conv1", "units": [3]}])[0].strength
        1.0
    """
    if not isinstance(recipe, list):
        raise ConfigError(f"the recipe is a {type(recipe).__name__}; expected a list of edits")
    return [_edit_from_json(entry) for entry in recipe]


def read_recipe(data: bytes) -> list[Edit]:
    """A recipe from a file's bytes: a list of edits, or the recipe.json of a measured effect.

    Raises:
        ConfigError: too many bytes, invalid JSON, or the errors of ``from_json``.
    """
    if len(data) > LARGEST_BYTES:
        raise ConfigError(f"the recipe has {len(data):,} bytes; expected at most {LARGEST_BYTES:,}")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise ConfigError("the recipe is not JSON; expected a list of edits") from None
    if isinstance(content, Mapping):
        if "edits" not in content:
            raise ConfigError(
                "the recipe has no 'edits'; expected a list of edits, or the recipe.json of a "
                "measured effect"
            )
        content = content["edits"]
    return from_json(content)


def _edit_from_json(entry: Any) -> Edit:
    name = entry.get("edit") if isinstance(entry, Mapping) else entry
    if not isinstance(entry, Mapping) or not isinstance(name, str) or name not in _KINDS:
        raise ConfigError(f"an edit of the recipe is {name!r}; expected {', '.join(_KINDS)}")
    kind = _KINDS[name]
    values = {field: value for field, value in entry.items() if field != "edit"}
    required = {field.name: field.default is MISSING for field in fields(kind)}  # type: ignore[arg-type]
    odd = [field for field in values if field not in required]
    odd += [field for field, needed in required.items() if needed and field not in values]
    if odd:
        raise ConfigError(
            f"edit {name!r} of the recipe differs in {', '.join(map(str, odd))}; expected the "
            f"fields {', '.join(required)}"
        )
    return kind.from_plain(values)
