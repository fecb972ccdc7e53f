"""Moves: steps of a latent, or of a layer's output, along a vector of its space, as values.

With x the latent, v the vector and s the strength:

==============  ===================================  ==============================================
mode            x becomes                            meaning
==============  ===================================  ==============================================
``add``         x + s · v                            a step; moves commute, −s undoes s
``set``         x + (s − ⟨x, v⟩ / ⟨v, v⟩) · v        its part along v becomes s · v; idempotent
==============  ===================================  ==============================================

In a space of layers (w+), a vector of one layer means the same vector in every layer, and
``layers`` selects some of them: in all others v is 0. A layer of the generator is a space too, the
space of its outputs: a vector with one number per unit means the same vector at every pixel. The
result is one vector of the whole space, and ⟨·, ·⟩ sums over all of it.

References:
    Shen et al., Interpreting the Latent Space of GANs for Semantic Face Editing, CVPR 2020,
    section 3 (z + α n; n is the unit normal of a boundary).
    Härkönen et al., GANSpace, NeurIPS 2020, section 2.2 (layer-wise moves in w+).
    Kwon et al., Diffusion Models Already Have a Semantic Latent Space, ICLR 2023, section 4 (moves
    in the bottleneck of a U-Net, at steps of their own).
"""

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Float

from dissect.edits.edit import Edit, check_number
from dissect.errors import ConfigError

if TYPE_CHECKING:  # a stored recipe is read without torch
    from torch import Tensor

    from dissect.generators.shapes import LayerInfo
    from dissect.latents import Latent

ADD, SET = MODES = ("add", "set")
_LARGEST_VECTOR = 2**22  # numbers


@dataclass(frozen=True, eq=False)
class Move(Edit):
    """Move a latent along a vector of a space.

    Args:
        space: ``z``, ``w``, ``w+`` or ``s``, or the name of a layer, whose outputs then move.
        vector: A vector of the space, or in w+ of one layer; for a layer, one number per unit or
            one map per unit. Stored as float32.
        strength: Any finite number, in lengths of the vector.
        layers: Layers of w+, from 0; None means all.
        mode: ``add`` or ``set``.

    Raises:
        ConfigError: an empty, zero or infinite vector, an unknown mode, layers given twice.

    Example:
        >>> Move("w+", [0.5, -0.5], 2, layers=range(4, 8)).layers
        (4, 5, 6, 7)
    """

    kind: ClassVar[str] = "move"
    space: str
    vector: Float[np.ndarray, "*space"] | Sequence[float] | Sequence[Sequence[float]]
    strength: float = 1.0
    layers: Sequence[int] | None = None
    mode: str = ADD

    def __post_init__(self) -> None:
        if not isinstance(self.space, str) or not self.space:
            raise ConfigError(f"space is {self.space!r}; expected the name of a latent space")
        if self.mode not in MODES:
            raise ConfigError(f"mode is {self.mode!r}; expected {' or '.join(MODES)}")
        object.__setattr__(self, "vector", check_vector(self.vector))
        object.__setattr__(self, "strength", check_number("strength", self.strength))
        if self.layers is not None:
            object.__setattr__(self, "layers", check_layers(self.layers))

    def to_plain(self) -> dict[str, object]:
        """See ``Edit.to_plain``; a vector of several layers becomes a list of lists."""
        return super().to_plain() | {"vector": np.asarray(self.vector).tolist()}

    def apply(self, latent: "Latent") -> "Latent":
        """The latent after the move; does not change the input.

        Args:
            latent: A latent in the space of the move.

        Raises:
            ConfigError: a latent of another space, a vector or layers that do not fit it.
        """
        if latent.space != self.space:
            raise ConfigError(
                f"a move in {self.space!r} was applied to a latent in {latent.space!r}; expected "
                "the same space; convert the latent first"
            )
        step = latent.step(np.asarray(self.vector), layers=self.layers)
        if self.mode == ADD:
            return latent.shift(self.strength * step)
        return latent.shift(self._rest(latent.data, step) * step)

    def apply_to_maps(
        self, maps: "Float[Tensor, 'batch unit rows columns']", info: "LayerInfo"
    ) -> "Float[Tensor, 'batch unit rows columns']":
        """The layer's output after the move; does not change the input.

        Args:
            maps: Output of the layer of the move, with its margin.
            info: That layer. Its margin moves too, but does not count in ⟨·, ·⟩.

        Raises:
            ConfigError: a vector that does not fit the layer.
        """
        import torch  # noqa: PLC0415 - reading a recipe does not need it

        self.check_layer(info)
        step = torch.from_numpy(np.array(self.vector)).to(maps.device, maps.dtype)
        step = step[:, None, None] if step.ndim == 1 else step
        step = step.expand(info.units, info.height, info.width)
        m = info.margin
        wide = torch.nn.functional.pad(step[None], [m] * 4, mode="replicate")[0] if m else step
        if self.mode == ADD:
            return maps + self.strength * wide
        inner = maps[..., m : m + info.height, m : m + info.width]
        return maps + self._rest(inner, step) * wide

    def check_layer(self, info: "LayerInfo") -> None:
        """Raise an error if the vector does not fit a layer's output.

        Raises:
            ConfigError: another shape, or layers of w+.
        """
        maps = (info.units, info.height, info.width)
        shape = np.shape(self.vector)
        if shape not in (maps, maps[:1]):
            raise ConfigError(
                f"vector has the shape {shape}; expected {maps[:1]} for every pixel or {maps}, as "
                f"layer {self.space!r} has"
            )
        if self.layers is not None:
            raise ConfigError(
                f"layers were given for a move in layer {self.space!r}; expected w+, which has "
                "layers"
            )

    def _rest(self, data: "Tensor", step: "Tensor") -> "Tensor":
        """Step of each sample after which its part along ``step`` equals the strength."""
        along = (data * step).flatten(1).sum(dim=1) / step.square().sum()
        return (self.strength - along).reshape(-1, *[1] * step.ndim)


def check_vector(values: Any) -> Float[np.ndarray, "*space"]:
    """Convert a direction to read-only float32 numbers, not all zero.

    Raises:
        ConfigError: anything else.
    """
    try:
        # A tensor's own conversion gives its numbers, on any device.
        given = values.detach().cpu() if hasattr(values, "detach") else values
        vector = np.array(given, dtype=np.float32)
    except (TypeError, ValueError):
        raise ConfigError(
            "vector is not an array of numbers; expected one number for each coordinate of the "
            "space"
        ) from None
    if vector.ndim == 0 or not 0 < vector.size <= _LARGEST_VECTOR:
        raise ConfigError(
            f"vector has the shape {vector.shape}; expected that of a latent, at most "
            f"{_LARGEST_VECTOR:,} numbers"
        )
    if not np.isfinite(vector).all() or not vector.any():
        raise ConfigError(
            "vector is zero or holds numbers that are not finite; expected a direction: finite "
            "numbers, not all of them zero"
        )
    vector.setflags(write=False)
    return vector


def check_layers(layers: Any) -> tuple[int, ...]:
    """Check layers of w+: numbers from 0, at least one, no duplicates; a scalar is one layer.

    Raises:
        ConfigError: anything else.
    """
    numbers = list(layers) if isinstance(layers, Iterable) else [layers]
    try:
        checked = tuple(operator.index(layer) for layer in numbers)
    except TypeError:
        checked = ()
    if not checked or min(checked) < 0 or len({*checked}) < len(checked):
        raise ConfigError(
            f"layers is {layers!r}; expected different whole numbers from 0, at least one"
        )
    return checked
