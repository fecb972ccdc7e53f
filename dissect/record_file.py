"""Files of arrays with one record: directions, inversions, encoders and what words found.

A safetensors file whose metadata have one entry, named after the kind of file: a JSON object with
``version`` and all values that are not arrays. Nothing in such a file is run. Without torch, since
reading a run needs none.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from dissect.errors import ConfigError
from dissect.runs.replacing import write_named_file
from segmenters.received import parse_json, reading

SUFFIX = ".safetensors"
_LONGEST_RECORD = 1 << 20  # letters


@dataclass(frozen=True)
class RecordFile:
    """A kind of file.

    Attributes:
        format: Name of the metadata entry.
        holds: What a file holds, as in "a direction".
        expected: Which file is expected instead of another one, as in "a file that … wrote".
        advice: What to do about a damaged file.
        version: The version that is written and read.
        largest: Size of the largest file that is read, in bytes.
    """

    format: str
    holds: str
    expected: str
    advice: str
    version: int = 1
    largest: int = 64 << 20

    def write(
        self, path: str | Path, arrays: Mapping[str, np.ndarray], record: Mapping[str, Any]
    ) -> Path:
        """Write a file, atomically; the same content gives the same bytes.

        Args:
            path: ``NAME.safetensors``; its folder is created.
            arrays: By name, in any memory order.
            record: Plain values.

        Raises:
            ConfigError: another suffix, or a file that cannot be written.
        """
        path = Path(path)
        if path.suffix != SUFFIX:
            raise ConfigError(f"{path} was to hold {self.holds}; expected a file NAME{SUFFIX}")
        text = json.dumps(
            {"version": self.version, **record},
            ensure_ascii=False, allow_nan=False, sort_keys=True,
        )  # fmt: skip
        plain = {name: np.ascontiguousarray(one) for name, one in arrays.items()}
        # A single entry, because the order of several entries varies.
        return write_named_file(path, save(plain, metadata={self.format: text}))

    def reading(self, path: str | Path) -> AbstractContextManager[None]:
        """Turn any exception inside into one line that names the file and says what to do."""
        return reading(path, ConfigError, self.advice)

    def read(
        self,
        path: str | Path,
        *,
        names: Callable[[set[str]], bool] | None = None,
        shapes: Callable[[dict[str, Any]], Mapping[str, tuple[int, ...]]] | None = None,
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The record without its version, and the arrays.

        Args:
            path: The file.
            names: Whether these are names of arrays of such a file; None allows any.
            shapes: The shape of every array, by the record, checked before any is read; None
                allows any.

        Raises:
            ConfigError: a file that is missing, too large, damaged, of another kind or version, or
                with numbers that are not finite.
        """
        path = Path(path)
        with self.reading(path):
            if path.stat().st_size > self.largest:
                raise ConfigError(
                    f"{path} has more than {self.largest:,} bytes; expected {self.holds}"
                )
            with safe_open(path, framework="numpy") as file:
                about, found = file.metadata() or {}, set(file.keys())
                if self.format not in about or (names is not None and not names(found)):
                    raise ConfigError(f"{path} holds no {self._kind}; expected {self.expected}")
                if len(about[self.format]) > _LONGEST_RECORD:
                    raise ValueError("its record is too long")
                record = parse_json(about[self.format])
                version = record.pop("version")
                if version != self.version:
                    raise ConfigError(
                        f"{path} has the version {version!r}; expected {self.version}; a newer "
                        "version of this program may read it"
                    )
                if shapes is not None:
                    own = {name: tuple(file.get_slice(name).get_shape()) for name in found}
                    if own != dict(shapes(record)):
                        raise ValueError("its arrays have other names or shapes")
                arrays = {name: np.array(file.get_tensor(name)) for name in sorted(found)}
            for name, one in arrays.items():
                if one.dtype.kind == "f" and not np.isfinite(one).all():
                    raise ValueError(f"{name} has a number that is not finite")
            return record, arrays

    @property
    def _kind(self) -> str:
        """What a file holds, without the article."""
        return self.holds.removeprefix("a ").removeprefix("an ")
