"""The place beside a run-to-be where an unfinished pass lives: ``OUT.partial``.

It holds the pass's state, replaced as a whole each time it is saved, and later the finished files
until one rename makes them the run. What ``OUT`` held before is never touched.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dissect.bases import Basis, rebuild_basis
from dissect.errors import RunError
from dissect.runs.schema import RUN_FILE
from dissect.statistics import LayerCounts, TopImages

_STATE = "state.npz"


@dataclass
class PassState:
    """Everything the pass has counted so far.

    Attributes:
        next_block: The first block that is not counted yet.
        edges: Layer → Float[unit edge].
        counts: Layer → its counts.
        tops: Layer → top images.
        seconds: Wall time of the pass so far.
        bases: For each layer that is not read in its channels, its basis.
        together: int64 (concept, concept): evaluation images in which both occur.
    """

    next_block: int
    edges: dict[str, Tensor]
    counts: dict[str, LayerCounts]
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
                prefix = f"{number}.basis."
                tensors = {
                    name.removeprefix(prefix): torch.from_numpy(array)
                    for name, array in arrays.items()
                    if name.startswith(prefix)
                }
                state.bases[layer] = rebuild_basis(str(arrays[f"{number}.basis"]), tensors)
        return state


class Workspace:
    """The unfinished side of a run folder.

    Args:
        out: The run folder to be.
        key: Fingerprint of the run.
    """

    def __init__(self, out: Path, key: str) -> None:
        self.out = out
        self.key = key
        self.folder = out.with_name(out.name + ".partial")
        self.ready = self.folder / "run"

    def finished(self) -> bool:
        """Whether ``out`` already holds this very run.

        Raises:
            RunError: it holds another run, or something that is no run.
        """
        if not self.out.exists() or (self.out.is_dir() and not any(self.out.iterdir())):
            return False
        found = _read_json(self.out / RUN_FILE) if self.out.is_dir() else None
        if found is None:
            raise RunError(
                f"{self.out} exists and is not a run; expected a new or empty folder; "
                "choose another --out"
            )
        if found.get("fingerprint") == self.key:
            return True
        raise RunError(
            f"{self.out} holds another run ({_describe(found)}); expected a new folder; "
            "choose another --out, or delete it"
        )

    @contextmanager
    def claim(self, *, resume: bool) -> Iterator[None]:
        """Take the workspace for this run.

        An error that leaves nothing to go on with removes it again; an interrupted pass stays.

        Raises:
            RunError: an unfinished pass that nobody asked to resume, or one of other settings.
        """
        left = _read_json(self.folder / "key.json")
        if left is not None and (self.folder / _STATE).is_file():
            if left.get("fingerprint") != self.key:
                raise RunError(
                    f"{self.folder} holds an unfinished run of other settings; expected the same "
                    "ones; give those to go on, or delete it"
                )
            if not resume:
                raise RunError(
                    f"{self.folder} holds an unfinished run; add --resume to go on with it, or "
                    "delete it"
                )
        self.folder.mkdir(parents=True, exist_ok=True)
        _replace_text(self.folder / "key.json", json.dumps({"fingerprint": self.key}))
        try:
            yield
        finally:
            if not (self.folder / _STATE).is_file() or (self.out.exists() and self.finished()):
                shutil.rmtree(self.folder, ignore_errors=True)

    def load(self) -> PassState | None:
        """The saved state, or None where nothing was saved.

        Raises:
            RunError: a state that cannot be read.
        """
        path = self.folder / _STATE
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                return PassState.from_arrays(dict(file))
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise RunError(
                f"{path} is damaged ({error}); delete {self.folder} and start again"
            ) from error

    def save(self, state: PassState) -> None:
        """Replace the saved state by this one."""
        temporary = self.folder / f"{_STATE}.new"
        with temporary.open("wb") as file:
            np.savez(file, **state.to_arrays())
        os.replace(temporary, self.folder / _STATE)

    def publish(self) -> None:
        """Turn the finished files into the run, in one rename."""
        try:
            os.rename(self.ready, self.out)
        except OSError as error:
            raise RunError(
                f"{self.out} appeared while the run was made; the finished run is kept in "
                f"{self.ready}; move it where you want it"
            ) from error


def _read_json(path: Path) -> dict | None:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _replace_text(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text)
    os.replace(temporary, path)


def _describe(found: dict) -> str:
    config = found.get("config", {})
    return (
        f"{config.get('generator')}, {config.get('n_samples')} samples, seed {config.get('seed')}"
    )
