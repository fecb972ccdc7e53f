"""A latent: a batch of points in a named space."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dissect.errors import ConfigError


@dataclass(frozen=True)
class Latent:
    """A batch of points in a latent space.

    Args:
        space: ``z``, ``p``, ``w``, ``p+``, ``w+`` or ``s``.
        data: Floats, the first dimension is the batch; in p+ and w+ the second one is the layer.
        label: Class of each sample, as an index (shape ``batch``) or as weights of all classes
            (shape ``batch class``), or None.

    Example:
        >>> Latent("z", torch.zeros(2, 512)).space
        'z'
    """

    space: str
    data: Float[Tensor, "batch *space"]
    label: Int[Tensor, " batch"] | Float[Tensor, "batch class"] | None = None

    def __len__(self) -> int:
        return self.data.shape[0]

    def __getitem__(self, rows: slice | Tensor | Sequence[int]) -> "Latent":
        """Some of the samples, by slice or index tensor; the batch dimension stays."""
        return replace(
            self, data=self.data[rows], label=None if self.label is None else self.label[rows]
        )

    def to(self, device: torch.device | str) -> "Latent":
        """The same latent on another device."""
        label = None if self.label is None else self.label.to(device)
        return replace(self, data=self.data.to(device), label=label)

    def step(
        self,
        vector: Float[np.ndarray, "*vector"] | Float[Tensor, "*vector"] | Sequence[float],
        *,
        layers: Sequence[int] | None = None,
    ) -> Float[Tensor, "*space"]:
        """A vector in the shape of one sample, on the latent's device.

        Args:
            vector: In that shape; in w+ also in one layer's shape, repeated over the layers.
            layers: Layers of w+, from 0; the step is 0 in all others. None means all.

        Raises:
            ConfigError: a vector of another shape, layers in a space without layers, or a layer
                out of range.
        """
        shape = tuple(self.data.shape[1:])
        values = torch.as_tensor(np.array(vector) if not isinstance(vector, Tensor) else vector)
        values = values.to(self.data.device, self.data.dtype)
        has_layers = self.space.endswith("+")
        if tuple(values.shape) != shape and not (has_layers and tuple(values.shape) == shape[1:]):
            one_layer = f" or {shape[1:]} for every layer" if has_layers else ""
            raise ConfigError(
                f"vector has the shape {tuple(values.shape)}; expected {shape}{one_layer}, as "
                f"latents in {self.space!r} have"
            )
        values = values.expand(shape)
        if layers is None:
            return values
        self._check_layers(layers)
        step = torch.zeros_like(values)
        step[list(layers)] = values[list(layers)]
        return step

    def shift(
        self,
        vector: Float[np.ndarray, "*vector"] | Float[Tensor, "*vector"] | Sequence[float],
        *,
        layers: Sequence[int] | None = None,
    ) -> "Latent":
        """The latent with a vector added to every sample.

        Args:
            vector: See ``step``; or a batch of vectors, in the shape of ``data``.
            layers: See ``step``.

        Raises:
            ConfigError: see ``step``.

        Example:
            >>> Latent("w+", torch.zeros(1, 3, 2)).shift([1, 0], layers=[2]).data[0].tolist()
            [[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]
        """
        if layers is None and isinstance(vector, Tensor) and vector.shape == self.data.shape:
            return replace(self, data=self.data + vector)
        return replace(self, data=self.data + self.step(vector, layers=layers))

    def interpolate(self, other: "Latent", fraction: float) -> "Latent":
        """The point on the straight line to another latent: (1 − t) x + t y.

        Args:
            other: A latent of the same space and shape.
            fraction: t; 0 gives this latent, 1 the other; values outside [0, 1] extrapolate.

        Raises:
            ConfigError: another space or shape, or labels that differ.
        """
        self._check_alike(other)
        same = self.label is None or torch.equal(self.label, other.label)  # type: ignore[arg-type]
        if not same:
            raise ConfigError(
                "the latents have different classes; expected the same ones; a class has no "
                "middle way"
            )
        # Exact at both ends.
        return replace(self, data=(1 - fraction) * self.data + fraction * other.data)

    def with_layers(self, other: "Latent", layers: Sequence[int]) -> "Latent":
        """The latent with some layers of w+ taken from another one (style mixing).

        Args:
            other: A latent of the same space and shape.
            layers: Layers of w+, from 0.

        Raises:
            ConfigError: another space or shape, a space without layers, or a layer out of
                range.
        """
        self._check_alike(other)
        self._check_layers(layers)
        data = self.data.clone()
        data[:, list(layers)] = other.data[:, list(layers)]
        return replace(self, data=data)

    def _check_alike(self, other: "Latent") -> None:
        if self.space != other.space or self.data.shape != other.data.shape:
            raise ConfigError(
                f"the latents are {self.space!r} {tuple(self.data.shape)} and {other.space!r} "
                f"{tuple(other.data.shape)}; expected the same space and shape"
            )
        if (self.label is None) != (other.label is None):
            raise ConfigError("one latent has classes, the other none; expected both or neither")

    def _check_layers(self, layers: Sequence[int]) -> None:
        if not self.space.endswith("+"):
            raise ConfigError(
                f"layers were given for a latent in {self.space!r}; expected w+, which has layers"
            )
        n_layers = self.data.shape[1]
        odd = [layer for layer in layers if not 0 <= layer < n_layers]
        if odd:
            raise ConfigError(f"layer {odd[0]} is not in w+; expected 0 to {n_layers - 1}")
