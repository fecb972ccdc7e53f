"""Writes ``arrays.zarr``: one group per layer, few files, compressed.

Every array is one file: one chunk, or for the histogram a shard of chunks of about a megabyte. So a
reader can read a few units without reading all of them. A layer's files are made in memory and then
written, because zarr hands every operation on a file to another thread, which takes as long as the
rest.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from dissect.bases import Basis
from dissect.runs import schema
from dissect.runs.packing import kept_rows, narrow
from dissect.runs.results import LayerResult
from dissect.runs.state import PassState
from dissect.statistics import SETS, THRESHOLDS
from dissect.statistics.correlation import correlate
from dissect.statistics.counts import PairCounts
from segmenters import Vocabulary

_CHUNK_BYTES = 1 << 20
_LEVEL = 3  # of zstd: counts shrink to a fifth or less; higher ones gain little


def write_arrays(
    path: Path,
    state: PassState,
    results: dict[str, LayerResult],
    vocabulary: Vocabulary,
    mixtures: Mapping[str, str],
) -> None:
    """Write the arrays of all layers.

    Args:
        path: The store; must not exist.
        state: State of the finished passes; counts are read one layer at a time.
        results: Layer → scores.
        vocabulary: Concepts.
        mixtures: Layer → name of its mixtures in the state.
    """
    zarr.create_group(path)
    concepts = list(vocabulary.names)
    names = [schema.ALL_PIXELS, *concepts, *(schema.plane_row(p) for p in vocabulary.planes)]
    pairs: PairCounts | None = None
    for layer, result in results.items():
        counts = state.counts[layer]
        histogram = counts.histogram
        rows = kept_rows(histogram)
        attributes = {
            "set": list(SETS),
            "threshold": list(THRESHOLDS),
            "concept": concepts,
            "row": [names[row] for row in rows],
        }
        with _group(path, schema.layer_key(layer), attributes) as group:
            scores = result.scores
            for name, array in {
                "histogram": narrow(histogram[:, rows]),
                "edges": result.edges,
                "threshold": result.thresholds,
                "iou": scores.iou,
                "iou_low": result.iou_low,
                "iou_high": result.iou_high,
                "chance_shuffled": scores.chance_shuffled,
                "chance_areas": scores.chance_areas,
                "chance": scores.chance,
                "p_value": result.p_value,
                "q_value": result.q_value,
                "runner_up": result.runner_up,
                "information_quality_ratio": scores.information,
                "chance_information": scores.chance_information,
                "precision": scores.precision,
                "recall": scores.recall,
                "correlation": correlate(histogram[1, : len(concepts) + 1], result.edges),
            }.items():
                _write(group, name, np.ascontiguousarray(array), schema.DIMENSIONS[name])
            for statistic in counts.statistics.values():
                dimensions = statistic.named_dimensions()
                for name, array in statistic.to_named_arrays().items():
                    _write(group, name, array, dimensions[name])
            if result.mixtures is not None:
                own = result.mixtures
                matrix = state.bases[mixtures[layer]].to_tensors()["matrix"].numpy()
                for name, array in {
                    "mixture_matrix": matrix,
                    "mixture_label": own.best,
                    "mixture_selective": own.selective,
                    "mixture_excess_information": own.scores.excess_information[own.chosen],
                }.items():
                    _write(group, name, np.ascontiguousarray(array), schema.DIMENSIONS[name])
            if layer in state.bases:
                _write_basis(group, state.bases[layer])
        pairs = counts.pairs  # every layer saw the same masks
    assert pairs is not None  # a run has a layer
    _write_concepts(path, concepts, pairs, state)


def _write_concepts(path: Path, concepts: list[str], pairs: PairCounts, state: PassState) -> None:
    """Write the data on concepts alone."""
    attributes = {"concept": concepts, "other": concepts, "pixels": int(pairs.pixels.sum())}
    with _group(path, schema.CONCEPTS, attributes) as group:
        for name, array in {
            "area": pairs.area.sum(axis=0),
            "together": state.together,
            "overlap": state.overlap,
        }.items():
            _write(group, name, array, schema.DIMENSIONS[name])


@contextmanager
def _group(path: Path, name: str, attributes: Mapping[str, object]) -> Iterator[zarr.Group]:
    """A group to write into; its files are in the store after the ``with``."""
    files: dict[str, Buffer] = {}
    yield zarr.create_group(MemoryStore(files), attributes=dict(attributes))
    for key, content in files.items():
        file = path / name / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.to_bytes())


def _write_basis(group: zarr.Group, basis: Basis) -> None:
    """Write the arrays of a basis; ``Run.basis`` reads them."""
    group.attrs["basis"] = basis.name
    for name, tensor in basis.to_tensors().items():
        group.create_array(schema.BASIS_PREFIX + name, data=tensor.contiguous().numpy())


def _write(group: zarr.Group, name: str, array: np.ndarray, dimensions: tuple[str, ...]) -> None:
    chunks, shards = array.shape, None
    if name == "histogram":
        n_units = array.shape[2]
        per_unit = array[0, :, 0].nbytes
        chunk = min(n_units, max(1, _CHUNK_BYTES // per_unit))
        chunks = (1, array.shape[1], chunk, array.shape[3])
        # A shard is a whole number of chunks; chunks beyond the array are not stored.
        shards = (array.shape[0], array.shape[1], -(-n_units // chunk) * chunk, array.shape[3])
    stored = group.create_array(
        name,
        shape=array.shape,
        dtype=array.dtype,
        chunks=chunks,
        shards=shards,
        compressors=ZstdCodec(level=_LEVEL),
        dimension_names=dimensions,
    )
    stored[...] = array
