"""The counts of a pass, the merging of two parts of it, and their arrays in a file."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from dissect.bases import Basis, rebuild_basis
from dissect.runs.coverage import Coverage
from dissect.statistics import LayerCounts
from dissect.statistics.states import same

_Arrays = Mapping[str, Shaped[np.ndarray, "..."]]


@dataclass(frozen=True)
class PassState:
    """All counts of a pass. Counting modifies its arrays in place; nothing else changes.

    The parts of a pass share edges, bases and chosen thresholds; all other values are added up.

    Attributes:
        edges: Layer → each unit's thresholds, ascending.
        counts: Layer → its counts; for finished passes, read from disk on each access.
        together: int64: evaluation images in which both concepts occur.
        overlap: int64: evaluation pixels that both concepts cover.
        bases: Basis of each layer that is not read in its channels.
        chosen: Layer → index of the edge at which each pair is scored; empty until the calibration
            fold is counted.
        covered: Counted blocks, as samples.
        seconds: Time of counting them.
        skipped: Samples left out of them because of NaN or infinity.
        halved: Blocks that were computed in smaller batches because memory ran out.
    """

    edges: Mapping[str, Float[Tensor, "unit edge"]]
    counts: Mapping[str, LayerCounts]
    together: Int[np.ndarray, "concept other"]
    overlap: Int[np.ndarray, "concept other"]
    bases: Mapping[str, Basis] = field(default_factory=dict)
    chosen: Mapping[str, Int[np.ndarray, "threshold unit concept"]] = field(default_factory=dict)
    covered: Coverage = field(default_factory=Coverage)
    seconds: float = 0.0
    skipped: Coverage = field(default_factory=Coverage)
    halved: Coverage = field(default_factory=Coverage)

    def copy(self) -> "PassState":
        """A copy with its own arrays."""
        return replace(
            self,
            counts=copy.deepcopy(dict(self.counts)),
            together=self.together.copy(),
            overlap=self.overlap.copy(),
        )

    def merge(self, other: "PassState") -> "PassState":
        """The state of two parts of a pass together; changes neither input.

        Raises:
            ValueError: parts of different passes, or a block that is in both.
        """
        for layer, edges in self.edges.items():
            same(edges.numpy(), other.edges[layer].numpy())
        for layer in set(self.chosen) & set(other.chosen):
            same(self.chosen[layer], other.chosen[layer])
        prints = ({n: b.fingerprint for n, b in one.bases.items()} for one in (self, other))
        same(next(prints), next(prints))
        return replace(
            self,
            counts={layer: own.merge(other.counts[layer]) for layer, own in self.counts.items()},
            together=self.together + other.together,
            overlap=self.overlap + other.overlap,
            chosen=self.chosen or other.chosen,
            covered=self.covered.merge(other.covered),
            seconds=self.seconds + other.seconds,
            skipped=self.skipped.merge(other.skipped),
            halved=self.halved.merge(other.halved),
        )

    def left_out(self, n_samples: int, block: int) -> Coverage:
        """Samples that are not in the counts: skipped, or in a missing block.

        Args:
            n_samples: Number of samples of the run.
            block: Number of samples of a block.
        """
        return self.skipped.merge(self.missing(n_samples, block))

    def missing(self, n_samples: int, block: int) -> Coverage:
        """Samples of blocks that are not counted; see ``left_out``."""
        absent = self.covered.missing(-(-n_samples // block))
        spans = ((number * block, min((number + 1) * block, n_samples)) for number in absent)
        return Coverage.of(index for first, last in spans for index in range(first, last))

    def to_arrays(self) -> dict[str, Shaped[np.ndarray, "..."]]:
        """Flat arrays for a file."""
        arrays: dict[str, np.ndarray] = {
            "covered": self.covered.to_array(),
            "skipped": self.skipped.to_array(),
            "halved": self.halved.to_array(),
            "seconds": np.array(self.seconds),
            "together": self.together,
            "overlap": self.overlap,
            "layers": np.array(list(self.edges)),
        }
        for number, layer in enumerate(self.edges):
            arrays[f"{number}.edges"] = self.edges[layer].numpy()
            if layer in self.chosen:
                arrays[f"{number}.chosen"] = self.chosen[layer]
            if layer in self.counts:  # a state from ``beginning`` has none
                for name, array in self.counts[layer].to_arrays().items():
                    arrays[f"{number}.{name}"] = array
            if layer in self.bases:
                arrays[f"{number}.basis"] = np.array(self.bases[layer].name)
                for name, tensor in self.bases[layer].to_tensors().items():
                    arrays[f"{number}.basis.{name}"] = tensor.numpy()
        return arrays

    @classmethod
    def beginning(cls, arrays: _Arrays) -> "PassState":
        """The common data of all parts of the pass, with zero counts; reads little.

        Args:
            arrays: Result of ``to_arrays``, or a file of it.
        """
        layers = {str(layer): f"{n}." for n, layer in enumerate(arrays["layers"].tolist())}
        nothing = np.zeros((0, 0), np.int64)
        return cls(
            edges={
                layer: torch.from_numpy(arrays[f"{start}edges"]) for layer, start in layers.items()
            },
            counts={},
            together=nothing,
            overlap=nothing,
            bases={
                layer: saved_basis(arrays, number)
                for number, layer in enumerate(layers)
                if f"{number}.basis" in arrays
            },
            chosen={
                layer: arrays[f"{start}chosen"].astype(np.int64)
                for layer, start in layers.items()
                if f"{start}chosen" in arrays
            },
        )

    @classmethod
    def from_arrays(cls, arrays: _Arrays) -> "PassState":
        """The inverse of ``to_arrays``."""
        layers = {str(layer): f"{place}." for place, layer in enumerate(arrays["layers"].tolist())}
        own = {
            layer: {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}
            for layer, start in layers.items()
        }
        return cls(
            edges={layer: torch.from_numpy(found["edges"]) for layer, found in own.items()},
            counts={layer: LayerCounts.from_arrays(found) for layer, found in own.items()},
            together=arrays["together"],
            overlap=arrays["overlap"],
            bases={
                layer: saved_basis(arrays, number)
                for number, layer in enumerate(layers)
                if f"{number}.basis" in arrays
            },
            chosen={layer: found["chosen"] for layer, found in own.items() if "chosen" in found},
            covered=saved_coverage(arrays),
            seconds=float(arrays["seconds"]),
            skipped=saved_set(arrays, "skipped"),
            halved=saved_set(arrays, "halved"),
        )


def saved_coverage(arrays: _Arrays) -> Coverage:
    """The counted blocks of a saved state."""
    if "covered" in arrays:
        return Coverage.from_array(arrays["covered"])
    # Earlier versions counted from the first block on, and stored the next one.
    return Coverage.of(range(int(arrays["next_block"])))


def saved_set(arrays: _Arrays, name: str) -> Coverage:
    """A set of numbers in a saved state; empty in states of versions without it."""
    return Coverage.from_array(arrays[name]) if name in arrays else Coverage()


def saved_basis(arrays: _Arrays, number: int) -> Basis:
    """The basis of a layer, by number, in a saved state."""
    prefix = f"{number}.basis."
    tensors = {
        name.removeprefix(prefix): torch.from_numpy(arrays[name])
        for name in arrays
        if name.startswith(prefix)
    }
    return rebuild_basis(str(arrays[f"{number}.basis"]), tensors)


@dataclass(frozen=True)
class SavedPass:
    """The layers of a saved state, and its counted blocks."""

    layers: tuple[str, ...]
    covered: Coverage
