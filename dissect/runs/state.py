"""What a pass has counted so far, and how it lies in a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from dissect.bases import Basis, rebuild_basis
from dissect.statistics import LayerCounts, TopImages


@dataclass
class PassState:
    """Everything a pass has counted so far.

    Attributes:
        next_block: The first block that is not counted yet.
        edges: Layer → Float[unit edge].
        counts: Layer → its counts; of finished passes, read from disk each time one is looked at.
        tops: Layer → top images.
        seconds: Wall time of the pass so far.
        bases: For each layer that is not read in its channels, its basis.
        together: int64 (concept, concept): evaluation images in which both occur.
    """

    next_block: int
    edges: dict[str, Tensor]
    counts: Mapping[str, LayerCounts]
    tops: dict[str, TopImages]
    seconds: float
    bases: dict[str, Basis] = field(default_factory=dict)
    together: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Flat arrays for a file."""
        arrays = {
            "next_block": np.array(self.next_block),
            "seconds": np.array(self.seconds),
            "together": self.together,
            "layers": np.array(list(self.edges)),
        }
        for number, layer in enumerate(self.edges):
            arrays[f"{number}.edges"] = self.edges[layer].numpy()
            for name, array in self.counts[layer].to_arrays().items():
                arrays[f"{number}.{name}"] = array
            arrays[f"{number}.top_values"] = self.tops[layer].values
            arrays[f"{number}.top_indices"] = self.tops[layer].indices
            if layer in self.bases:
                arrays[f"{number}.basis"] = np.array(self.bases[layer].name)
                for name, tensor in self.bases[layer].to_tensors().items():
                    arrays[f"{number}.basis.{name}"] = tensor.numpy()
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "PassState":
        """The inverse of ``to_arrays``."""
        state = cls(
            int(arrays["next_block"]),
            {},
            {},
            {},
            float(arrays["seconds"]),
            together=arrays["together"],
        )
        for number, layer in enumerate(arrays["layers"].tolist()):
            state.edges[layer] = torch.from_numpy(arrays[f"{number}.edges"])
            start = f"{number}."
            state.counts[layer] = LayerCounts.from_arrays(
                {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}
            )
            state.tops[layer] = TopImages(
                arrays[f"{number}.top_values"], arrays[f"{number}.top_indices"]
            )
            if f"{number}.basis" in arrays:
                state.bases[layer] = saved_basis(arrays, number)
        return state


def saved_basis(arrays: Mapping[str, np.ndarray], number: int) -> Basis:
    """The basis of the layer of that number in a saved state."""
    prefix = f"{number}.basis."
    tensors = {
        name.removeprefix(prefix): torch.from_numpy(arrays[name])
        for name in arrays
        if name.startswith(prefix)
    }
    return rebuild_basis(str(arrays[f"{number}.basis"]), tensors)


@dataclass(frozen=True)
class SavedPass:
    """What a saved state is about: its layers, and how far it came."""

    layers: tuple[str, ...]
    next_block: int
