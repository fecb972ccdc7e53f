"""A direction: a vector of a space, with the length of a step and its origin.

    smile = read_direction("smile.safetensors")
    smile.check(generator)
    with intervene(generator, [*smile.moves(2.0), Ablate("b16.conv1", [3])]):
        images = generator.synthesize(latent)

With v the vector, o the origin, u the length of a step (1, or σ: the standard deviation of the
coordinate over the population) and x a point, its **coordinate** is c(x) = ⟨x − o, v⟩ / (u ⟨v, v⟩).
A strength s adds s to the coordinate (``add``), or sets it to s (``set``):

    add: x + s u v          set: x + (s − c(x)) u v

Both are a ``Move``, so a direction can be painted, measured and combined like any edit.

**Spaces.** ``z``, ``w``, ``w+`` (all layers or some), ``s``, or the name of a layer, for its
outputs. For a diffusion model, ``mid_block`` with ``steps=(800, 600)`` means the layers
``t800/mid_block`` and ``t600/mid_block``, with one vector for all of them or one each.

**The file** is safetensors: the tensors ``vector`` and, unless it is 0, ``origin`` (float32); the
metadata hold all other fields as JSON, under ``gan-dissection/direction``. Reading one needs no
torch.

References:
    Shen et al., Interpreting the Latent Space of GANs for Semantic Face Editing, CVPR 2020,
    section 3 (``set`` in z).
    Härkönen et al., GANSpace, NeurIPS 2020, section 2 (a mean as origin, σ as unit).
    Kwon et al., Diffusion Models Already Have a Semantic Latent Space, ICLR 2023 (h-space).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from dissect.edits.edit import check_number
from dissect.edits.moves import ADD, MODES, SET, Move, check_layers, check_vector
from dissect.errors import ConfigError
from dissect.record_file import RecordFile
from segmenters.plain_text import find_control

if TYPE_CHECKING:
    from dissect.generators.base import Generator

ONE, SIGMA = UNITS = ("1", "σ")
_LONGEST_NAME = 120
FILE = RecordFile(
    "gan-dissection/direction",
    holds="a direction",
    expected="a file that dissect directions wrote; dissect directions import reads those of other "
    "programs",
    advice="make or import the direction again",
)
"""Files of directions."""


@dataclass(frozen=True)
class Provenance:
    """Origin of a direction.

    Args:
        method: The method that found it: ``boundary``, ``sefa``, … or ``import:FORMAT``.
        settings: Its settings and results, plain values: counts, accuracies, a file's name.
        fingerprints: SHA-256 of the models it depends on, by kind: ``generator``, ``predictor``.

    Raises:
        ConfigError: settings that JSON cannot store, or fingerprints that are not text.

    Example:
        >>> Provenance("sefa", {"count": 5}).method
        'sefa'
    """

    method: str = "unknown"
    settings: Mapping[str, Any] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_text("method", self.method)
        try:
            plain = json.loads(json.dumps(dict(self.settings), allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(
                f"settings of the provenance are not plain values ({error}); expected numbers, "
                "text, lists and objects"
            ) from None
        if not isinstance(self.fingerprints, Mapping) or not all(
            isinstance(text, str) for pair in self.fingerprints.items() for text in pair
        ):
            raise ConfigError(
                f"fingerprints is {self.fingerprints!r}; expected texts by name, such as generator"
            )
        object.__setattr__(self, "settings", plain)
        object.__setattr__(self, "fingerprints", dict(self.fingerprints))


@dataclass(frozen=True, eq=False)
class Direction:
    """A vector of a space with its unit, origin and mode; see the module docstring.

    Args:
        name: Name shown to people, one line.
        space: ``z``, ``w``, ``w+``, ``s``, or a layer; with ``steps``, a layer without its step.
        vector: Vector for ``Move``; with steps, one for all of them or one each. Stored as float32.
        layers: Layers of w+, from 0; None means all.
        steps: Steps of a diffusion model, as its layers name them; None in all other spaces.
        unit: ``1`` or ``σ``.
        sigma: The standard deviation σ of ⟨x, v⟩ / ⟨v, v⟩ over the population; needed for unit σ.
        origin: Point with coordinate 0, in the shape of the vector; None means 0.
        mode: ``add`` or ``set``.
        provenance: Its origin.

    Raises:
        ConfigError: a value out of its range, or values that contradict each other.

    Example:
        >>> smile = Direction("smile", "z", [0.0, 2.0], unit="σ", sigma=1.5)
        >>> move = smile.moves(2)[0]
        >>> move.strength, move.vector.tolist()
        (2.0, [0.0, 3.0])
    """

    name: str
    space: str
    vector: Float[np.ndarray, "*space"] | Sequence[Any]
    layers: Sequence[int] | None = None
    steps: Sequence[int] | None = None
    unit: str = ONE
    sigma: float | None = None
    origin: Float[np.ndarray, "*space"] | Sequence[Any] | None = None
    mode: str = ADD
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        _check_text("name", self.name)
        _check_text("space", self.space)
        for name, known in (("unit", UNITS), ("mode", MODES)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"{name} is {getattr(self, name)!r}; expected {' or '.join(known)}"
                )
        vector = check_vector(self.vector)
        object.__setattr__(self, "vector", vector)
        if self.layers is not None:
            if self.space != "w+":
                raise ConfigError(
                    f"layers is {self.layers!r} in the space {self.space!r}; expected w+, which "
                    "has layers"
                )
            object.__setattr__(self, "layers", check_layers(self.layers))
        if self.steps is not None:
            object.__setattr__(self, "steps", _check_steps(self.steps, vector))
        if self.sigma is not None:
            object.__setattr__(self, "sigma", check_number("sigma", self.sigma))
        if (self.sigma is None and self.unit == SIGMA) or (self.sigma or 1) <= 0:
            raise ConfigError(
                f"sigma is {self.sigma!r} and the unit {self.unit!r}; expected a standard "
                "deviation above 0 for unit σ"
            )
        if self.origin is not None:
            object.__setattr__(self, "origin", _check_origin(self.origin, vector))
        if not isinstance(self.provenance, Provenance):
            raise ConfigError(
                f"provenance is a {type(self.provenance).__name__}; expected Provenance"
            )

    @property
    def step(self) -> float:
        """The length u of a step of strength 1, in lengths of the vector: 1, or σ."""
        return float(self.sigma) if self.unit == SIGMA and self.sigma is not None else 1.0

    def moves(self, strength: float = 1.0, *, layers: Sequence[int] | None = None) -> list[Move]:
        """The moves of a strength: one, or one for each step of a diffusion model.

        Args:
            strength: Strength in units of the direction.
            layers: Layers of w+, instead of the direction's own.

        Raises:
            ConfigError: a strength that is not finite, or layers in another space than w+.
        """
        strength = check_number("strength", strength)
        if layers is not None and self.space != "w+":
            raise ConfigError(
                f"layers is {layers!r} for a direction in {self.space!r}; expected w+, which has "
                "layers"
            )
        own = self.layers if layers is None else check_layers(layers)
        step = self.step
        return [
            Move(space, step * vector, strength + self._shift(vector, origin, own), own, self.mode)
            for space, vector, origin in self._parts()
        ]

    def coordinates(self, points: Float[np.ndarray, "batch *space"]) -> Float[np.ndarray, " batch"]:
        """c(x) of points of the space, float64.

        Args:
            points: Points in the shape of the space; in w+, only the direction's layers count. Not
                defined for a direction with one vector per step.

        Raises:
            ConfigError: points whose shape does not fit the vector, or several steps.
        """
        values = np.asarray(points, np.float64)
        vector = np.asarray(self.vector, np.float64)
        if self.steps is not None and vector.ndim % 2 == 0:
            raise ConfigError(
                f"{self.name} has a vector for each of {len(self.steps)} steps; expected one "
                "vector, since a point is in one step"
            )
        whole = _spread(vector, values.shape[1:], self.space)
        origin = np.zeros_like(vector) if self.origin is None else np.asarray(self.origin)
        if self.layers is not None:
            kept = np.zeros_like(whole)
            kept[list(self.layers)] = whole[list(self.layers)]
            whole = kept
        away = values - _spread(origin, values.shape[1:], self.space)
        n = len(values)
        return away.reshape(n, -1) @ whole.reshape(-1) / (self.step * np.sum(whole * whole))

    def check(self, generator: "Generator", *, same_weights: bool = True) -> None:
        """Raise an error if the direction does not fit a generator.

        Args:
            generator: The generator to edit.
            same_weights: Whether it must be the generator in which the direction was found, if
                that is known. A generator fine-tuned from it shares many directions.

        Raises:
            ConfigError: other weights, or a vector that does not fit.
            GeneratorError: a space or layer that the generator lacks.
        """
        from dissect.edits.applying import check_move  # noqa: PLC0415 - takes torch

        for move in self.moves():
            check_move(generator, move)
        found_in = self.provenance.fingerprints.get("generator")
        if same_weights and found_in not in (None, generator.fingerprint):
            raise ConfigError(
                f"direction {self.name!r} was found in a generator of weights {found_in[:12]}…, "
                f"and {generator.name} has {generator.fingerprint[:12]}…; expected the same "
                "generator; find the direction in this one, or allow other weights"
            )

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all fields."""
        record = {"version": FILE.version, **self._record()}
        digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
        for part in (self.vector, self.origin):
            values = np.zeros(0, "<f4") if part is None else np.asarray(part, "<f4")
            digest.update(f"|{values.shape}|".encode() + values.tobytes())
        return digest.hexdigest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Direction):
            return NotImplemented
        return self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def _parts(self) -> list[tuple[str, np.ndarray, np.ndarray | None]]:
        """Space, vector and origin of each move."""
        vector = np.asarray(self.vector)
        origin = None if self.origin is None else np.asarray(self.origin)
        if self.steps is None:
            return [(self.space, vector, origin)]
        each = vector.ndim % 2 == 0
        return [
            (
                f"t{step}/{self.space}",
                vector[k] if each else vector,
                origin[k] if each and origin is not None else origin,
            )
            for k, step in enumerate(self.steps)
        ]

    def _shift(
        self, vector: np.ndarray, origin: np.ndarray | None, layers: Sequence[int] | None
    ) -> float:
        """Strength that the origin adds to a move that sets; a ``Move`` has its origin at 0.

        With one vector for all layers or pixels, and one origin, numerator and denominator of the
        fraction grow by the same factor.
        """
        if self.mode != SET or origin is None:
            return 0.0
        if layers is not None and vector.ndim == 2:  # a vector for each layer of w+
            vector, origin = vector[list(layers)], origin[list(layers)]
        v = vector.astype(np.float64)
        return float(np.sum(origin * v) / (self.step * np.sum(v * v)))

    def _record(self) -> dict[str, object]:
        """All fields that are not tensors, as plain values."""
        return {
            "name": self.name,
            "space": self.space,
            "layers": None if self.layers is None else list(self.layers),
            "steps": None if self.steps is None else list(self.steps),
            "unit": self.unit,
            "sigma": self.sigma,
            "mode": self.mode,
            "provenance": {
                "method": self.provenance.method,
                "settings": dict(self.provenance.settings),
                "fingerprints": dict(self.provenance.fingerprints),
            },
        }


def save_direction(direction: Direction, path: str | Path) -> Path:
    """Write a direction's file, atomically; the same direction gives the same bytes.

    Args:
        direction: The direction.
        path: ``….safetensors``; its folder is created.

    Raises:
        ConfigError: another suffix, or a file that cannot be written.

    Example:
        >>> smile = Direction("smile", "z", [0.0, 2.0])
        >>> save_direction(smile, "smile.safetensors").name
        'smile.safetensors'
    """
    arrays = {"vector": np.asarray(direction.vector, "<f4")}
    if direction.origin is not None:
        arrays["origin"] = np.asarray(direction.origin, "<f4")
    return FILE.write(path, arrays, direction._record())


def read_direction(path: str | Path) -> Direction:
    """Read a file of ``save_direction``; nothing in the file is run.

    Raises:
        ConfigError: a file that is missing, damaged, of another kind or of a newer version.

    Example:
        >>> path = save_direction(Direction("smile", "z", [0.0, 2.0]), "smile.safetensors")
        >>> read_direction(path).name
        'smile'
    """
    record, arrays = FILE.read(
        path, names=lambda found: {"vector"} <= found <= {"vector", "origin"}
    )
    with FILE.reading(path):
        provenance = Provenance(**record.pop("provenance"))
        return Direction(provenance=provenance, **arrays, **record)


def _check_text(name: str, value: object) -> None:
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= _LONGEST_NAME
        or find_control(value) is not None
    ):
        raise ConfigError(
            f"{name} is {str(value)[:80]!r}; expected a text of one line and at most "
            f"{_LONGEST_NAME} letters"
        )


def _check_steps(steps: Any, vector: np.ndarray) -> tuple[int, ...]:
    try:
        checked = check_layers(steps)
    except ConfigError:
        raise ConfigError(
            f"steps is {steps!r}; expected different whole numbers from 0, as in t800"
        ) from None
    if vector.ndim % 2 == 0 and len(vector) != len(checked):
        raise ConfigError(
            f"vector has the shape {vector.shape} for {len(checked)} steps; expected one vector "
            "for all steps, or one for each"
        )
    return checked


def _check_origin(origin: Any, vector: np.ndarray) -> Float[np.ndarray, "*space"]:
    try:
        values = np.array(origin, dtype=np.float32)
    except (TypeError, ValueError):
        values = np.full(vector.shape, np.nan, np.float32)
    if values.shape != vector.shape or not np.isfinite(values).all():
        raise ConfigError(
            f"origin has the shape {values.shape} or numbers that are not finite; expected finite "
            f"ones in the shape of the vector, {vector.shape}"
        )
    values.setflags(write=False)
    return values


def _spread(vector: np.ndarray, shape: tuple[int, ...], space: str) -> np.ndarray:
    """A vector over the whole space: repeated over the layers of w+, or over a layer's pixels."""
    if vector.shape == shape:
        return vector
    if space == "w+" and vector.shape == shape[1:]:
        return np.broadcast_to(vector, shape)
    if len(shape) == 3 and vector.shape == shape[:1]:
        return np.broadcast_to(vector[:, None, None], shape)
    raise ConfigError(
        f"points of the shape {shape} in {space!r}; expected {vector.shape}, as the vector has"
    )
