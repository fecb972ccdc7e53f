"""Recipes of painted images: a sample, edits of it and strokes over it, as values and as JSON.

    {"kind": "gan-dissection painting", "version": 1,
     "generator": "<fingerprint>", "run": "<fingerprint>", "image_size": 64,
     "seed": 0, "index": 3, "truncation": 1.0, "label": null, "threads": 1,
     "strokes": [{"mode": "draw", "concept": "tree", "layer": "b16.conv1", "units": [3, 7],
                  "values": [2.5, 4.0], "strength": 1.0, "region": {"box": [40, 4, 60, 24]}}]}

``strokes`` describes a stroke. In JSON, its region is a box (top, left, bottom, right), a mask (a
PNG in base64) or null for everywhere. Strokes cover each other in order: where two set the same
unit at the same place, the later one wins.

``edits`` is a list of edits in the format of ``dissect.edits.recipes``: moves of the latent, or
edits of units such as those of a measured effect. They act together with the strokes. A recipe with
edits has version 2 and lists them after the strokes; a recipe without edits has version 1.

A recipe names neither a file nor a module. The generator is that of the run with which it is
opened; its fingerprint must equal the one in the recipe. Nothing in here imports torch.
"""

import json
from collections.abc import Mapping
from dataclasses import fields

from dissect.edits.edit import Edit
from dissect.edits.recipes import from_json, to_json
from dissect.errors import ConfigError, SettingError
from dissect.painting.checks import LONGEST_NAME, check_fields, check_list, is_whole
from dissect.painting.strokes import Stroke
from dissect.settings import Settings, setting
from dissect.settings.kinds import short

KIND = "gan-dissection painting"
VERSION = 2
LARGEST_BYTES = 4 * 1024 * 1024
MOST_STROKES = 64
MOST_EDITS = 64
_MOST_THREADS = 64


class Painting(Settings):
    """A sample, its edits and the strokes over it.

    Raises:
        ConfigError: a value of a wrong type or out of its range.
    """

    generator: str = setting("fingerprint of the generator", longest=LONGEST_NAME)
    run: str = setting(
        "fingerprint of the run that it was painted with; shown, not used", longest=LONGEST_NAME
    )
    image_size: int = setting("height and width of its images", at_least=1, at_most=2**14)
    seed: int = setting("seed of the sample", at_least=0, at_most=2**64 - 1)
    # Larger numbers are not streams of samples.
    index: int = setting("index of the sample", at_least=0, at_most=2**63 - 1)
    truncation: float = setting("ψ of its latent", default=1.0, at_least=-5, at_most=5)
    label: int | None = setting(
        "class of the sample; None lets it draw its own", default=None, at_least=0, at_most=2**31
    )
    threads: int = setting(
        "threads that generate it; sums in another order round the last bit differently",
        default=1, at_least=1, at_most=_MOST_THREADS,
    )  # fmt: skip
    strokes: tuple[Stroke, ...] = setting("strokes, from the first to the last", default=())
    edits: tuple[Edit, ...] = setting("edits that act together with the strokes", default=())

    def check(self) -> None:
        object.__setattr__(self, "truncation", float(self.truncation))
        if len(self.strokes) > MOST_STROKES:
            raise ConfigError(
                f"the painting has {len(self.strokes)} strokes; expected at most {MOST_STROKES}; "
                "delete some"
            )
        for one in self.strokes:
            if not isinstance(one, Stroke):
                raise SettingError("strokes", f"has {short(one)}; expected values of Stroke")
        object.__setattr__(self, "strokes", tuple(self.strokes))
        if len(self.edits) > MOST_EDITS:
            raise ConfigError(
                f"the painting has {len(self.edits)} edits; expected at most {MOST_EDITS}"
            )
        for one in self.edits:
            if not isinstance(one, Edit):
                raise SettingError("edits", f"has {short(one)}; expected edits such as Move")
        object.__setattr__(self, "edits", tuple(self.edits))

    @property
    def is_plain(self) -> bool:
        """Whether it is the unchanged sample."""
        return not self.strokes and not self.edits

    def to_json(self) -> dict[str, object]:
        """Plain values, in the order of the fields."""
        parts = ("strokes", "edits")
        own = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in parts}
        strokes = [stroke.to_json() for stroke in self.strokes]
        plain = {"kind": KIND, "version": 1, **own, "strokes": strokes}
        if not self.edits:  # every version can read it, and its bytes do not change
            return plain
        return {**plain, "version": VERSION, "edits": to_json(self.edits)}

    @classmethod
    def from_json(cls, content: object) -> "Painting":
        """The inverse of ``to_json``.

        Raises:
            ConfigError: no recipe, a newer version, a missing, unknown or invalid field.
        """
        if not isinstance(content, Mapping) or content.get("kind") != KIND:
            raise ConfigError(f"this is not a recipe of a painted image; expected kind {KIND!r}")
        if not is_whole(content.get("version"), 1, VERSION):
            raise ConfigError(
                f"the recipe has version {short(content.get('version'))}; this version reads up "
                f"to {VERSION}; update gan-dissection"
            )
        names = [one.name for one in fields(cls) if one.name != "edits"]
        names += ["edits"] * (content["version"] > 1)
        found = dict(check_fields("the recipe", content, ("kind", "version", *names)))
        strokes = check_list("strokes", found["strokes"], MOST_STROKES)
        edits = check_list("edits", found.get("edits", []), MOST_EDITS)
        del found["kind"], found["version"]
        found["strokes"] = tuple(Stroke.from_json(one) for one in strokes)
        found["edits"] = tuple(from_json(edits))
        return cls(**found)


def read_recipe(data: bytes) -> Painting:
    """A recipe from the bytes of a file.

    Raises:
        ConfigError: too many bytes, invalid JSON, or the errors of ``Painting.from_json``.
    """
    if len(data) > LARGEST_BYTES:
        raise ConfigError(f"the recipe has {len(data):,} bytes; expected at most {LARGEST_BYTES:,}")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise ConfigError(
            "the recipe is not JSON; expected a file saved from the paint page"
        ) from None
    return Painting.from_json(content)


def write_recipe(painting: Painting) -> bytes:
    """A recipe as the bytes of a file; ``read_recipe`` reads them."""
    text = json.dumps(painting.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()
