"""The folder of an unfinished pass, beside the future run: ``OUT.partial``.

It holds the state of each pass over the samples, which is replaced as a whole each time it is
saved. Later it holds the finished files, until one rename makes them the run. Existing files of
``OUT`` are never changed.
"""

import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dissect.bases import Basis
from dissect.errors import RunError
from dissect.runs.coverage import Coverage
from dissect.runs.integrity import check_files
from dissect.runs.left_out import missing_samples, partial_fingerprint
from dissect.runs.lock import RunLock
from dissect.runs.origin import note_made_here
from dissect.runs.packing import SavedCounts, load_arrays, save_arrays
from dissect.runs.record import read_record
from dissect.runs.replacing import replace_folder
from dissect.runs.schema import RUN_FILE, STATUS
from dissect.runs.state import PassState, SavedPass, saved_basis, saved_coverage, saved_set
from segmenters.received import LARGEST_JSON, open_stored_zip, parse_json, read_bytes, reading

_STATE, _KEY = "state.npz", "key.json"
_PART = "part"
BEGINNING = "beginning.npz"
"""File with what all parts of a pass have in common."""
FAILED = "failed.json"
"""File beside a partial run: block → the traceback of its last failure."""
_MOST_ARRAYS = 1_000_000  # largest number of arrays of a state


class Workspace:
    """The unfinished side of a run folder.

    Args:
        out: The future run folder.
        key: Fingerprint of the run.
        lock: Lock of the run's owner; a new one if None.

    Attributes:
        extends: Fingerprint of the run in ``out`` that this one adds samples to and replaces.
    """

    def __init__(self, out: Path, key: str, lock: RunLock | None = None) -> None:
        self.out = out
        self.key = key
        self.extends: str | None = None
        self.lock = lock or RunLock(out)
        self.folder = out.with_name(out.name + ".partial")
        self.ready = self.folder / "run"
        self.counts = out.with_name(out.name + ".counts")

    def finished(self) -> bool:
        """Whether ``out`` already has exactly this run, with all of its samples.

        Raises:
            RunError: it holds another run, or something that is not a run.
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
            self._tidy()
            return True
        if self._is_replaced(found):
            return False
        raise RunError(
            f"{self.out} holds another run ({_describe(found)}); expected a new folder; "
            "choose another --out, or delete it"
        )

    def _is_replaced(self, found: Mapping[str, Any]) -> bool:
        """Whether this run takes the place of the one of a run.json."""
        extended = self.extends is not None and found.get("fingerprint") == self.extends
        return extended or self._is_partial(found)

    def _is_partial(self, found: Mapping[str, Any]) -> bool:
        """Whether a run.json belongs to this run without some samples."""
        try:
            missing = missing_samples(found)
        except (KeyError, TypeError, ValueError, AttributeError):
            return False
        key = partial_fingerprint(self.key, missing)
        return bool(missing.ranges) and found.get("fingerprint") == key

    def _check_replaced(self, *, resume: bool) -> None:
        """Check that replacing the run in ``out`` is requested and loses nothing.

        Raises:
            RunError: it is not requested, or people added something to the run.
        """
        found = _read_json(self.out / RUN_FILE)
        if found is None or not self._is_replaced(found):
            return
        if not resume and self._is_partial(found):
            raise RunError(
                f"{self.out} holds a partial run; add --resume to complete it, or choose another "
                "--out"
            )
        own = {RUN_FILE, *(name.partition("/")[0] for name in found.get("files", {}))}
        added = sorted(path.name for path in self.out.iterdir() if path.name not in own)
        if added:
            raise RunError(
                f"{self.out} holds a run to which {added[0]!r} was added since, which completing "
                "or extending it would lose; expected the run alone; move that away, or choose "
                "another --out"
            )

    def _tidy(self) -> None:
        """Remove the remains of this run if it was killed after its last rename."""
        left = _read_json(self.folder / _KEY)
        if self.lock.holds():  # only the process that makes the run cleans up
            return
        if left is not None and left.get("fingerprint") == self.key and not self.ready.exists():
            shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def claim(self, *, resume: bool) -> Iterator[None]:
        """Take the workspace for this run.

        An error before anything was saved removes it again; an interrupted pass stays.

        Raises:
            RunError: an unfinished pass without ``resume``, or one with other settings; another
                process that makes the run.
        """
        self.lock.acquire()
        left = _read_json(self.folder / _KEY)
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
        self._check_replaced(resume=resume)
        _replace_text(self.folder / _KEY, json.dumps({"fingerprint": self.key}))
        try:
            yield
        finally:
            if not (self.folder / _STATE).is_file() or (self.out.exists() and self.finished()):
                self._clear()
            self.lock.release()

    def begin_extension(self) -> None:
        """Begin with the counts that were kept of the shorter run, unless this was begun before.

        Raises:
            RunError: none were kept, or they cannot be read or written.
        """
        if self.extends is None or self._path(0).is_file():
            return
        kept = Workspace(self.out, self.extends, self.lock)
        kept.folder = self.counts
        passes = len(kept.saved_passes())
        if not passes:
            raise RunError(
                f"{self.out} was made without --keep-counts, so there is nothing to add to; "
                f"expected {self.counts}; make a longer run in another --out"
            )
        for number in range(passes):
            state = kept.load(number)
            assert state is not None
            self.save(state, number)

    def end_extension(self, *, keep: bool) -> None:
        """Move the counts of the published run beside it, or remove what was kept before.

        Args:
            keep: Whether it may be extended later.
        """
        if keep:
            fresh = self.folder / "counts"
            fresh.mkdir()
            for path in self.folder.glob("state*.npz"):
                os.replace(path, fresh / path.name)
            replace_folder(fresh, self.counts)
        elif self.extends is not None:
            shutil.rmtree(self.counts, ignore_errors=True)

    def keep_counts(self) -> None:
        """Remove everything except the files that complete a partial run."""
        states = {path.name for path in self.folder.glob("state*.npz")}
        self._clear({_KEY, FAILED, STATUS, *states})

    def _clear(self, kept: Collection[str] = ()) -> None:
        """Remove everything except the given names; the lock is removed last."""
        for path in self.folder.iterdir():
            if path.name in kept:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path != self.lock.path:
                path.unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self.folder / (_STATE if number == 0 else f"state-{number}.npz")

    @contextmanager
    def _reading(self, path: Path) -> Iterator[None]:
        with reading(path, RunError, f"delete {self.folder} and start again"):
            with open_stored_zip(path, most_members=_MOST_ARRAYS) as archive:
                packed = [one.filename for one in archive.filelist if one.compress_type]
                if packed:
                    raise ValueError(f"its member {packed[0]!r} is compressed")
            yield

    def _check_key(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Raise an error for the state of another run; earlier versions do not name the run."""
        if "fingerprint" in arrays and str(arrays["fingerprint"]) != self.key:
            raise ValueError("it was counted with other settings or models")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Report a full disk, or one that cannot be written, in one line.

        Raises:
            RunError: instead of an OSError.
        """
        try:
            yield
        except OSError as error:
            kept = (
                "what was saved before is kept; make room and go on with --resume"
                if self._path(0).is_file()
                else "nothing was saved yet; make room and start again"
            )
            raise RunError(
                f"cannot write in {self.folder} ({error.strerror or error}); expected free space "
                f"and the right to write; {kept}"
            ) from error

    def saved_passes(self) -> list[SavedPass]:
        """The saved passes, in order.

        Raises:
            RunError: a state that cannot be read.
        """
        found: list[SavedPass] = []
        while (path := self._path(len(found))).is_file():
            with self._reading(path), np.load(path, allow_pickle=False) as file:
                self._check_key(file)
                found.append(SavedPass(tuple(file["layers"].tolist()), saved_coverage(file)))
        return found

    def load(self, number: int = 0) -> PassState | None:
        """The saved state of a pass, or None if nothing was saved.

        Raises:
            RunError: a state that cannot be read.
        """
        path = self._path(number)
        if not path.is_file():
            return None
        with self._reading(path):
            arrays = load_arrays(path)
            self._check_key(arrays)
            return PassState.from_arrays(arrays)

    def save(self, state: PassState, number: int = 0) -> None:
        """Replace the saved state of a pass.

        Raises:
            RunError: it cannot be written; the previous one is kept.
        """
        self._save(self._path(number), state)

    def _save(self, path: Path, state: PassState) -> None:
        temporary = path.with_suffix(".npz.new")
        try:
            with self.writing():
                save_arrays(temporary, {**state.to_arrays(), "fingerprint": np.array(self.key)})
                # After a power failure, a rename may be on disk although its file is not.
                with temporary.open("rb+") as file:
                    os.fsync(file.fileno())
                os.replace(temporary, path)
        except RunError:
            temporary.unlink(missing_ok=True)
            raise

    def save_beginning(self, state: PassState) -> Path:
        """Write the common data of all parts of a pass, for the processes that count them.

        Raises:
            RunError: it cannot be written.
        """
        self._save(self.folder / BEGINNING, replace(state, counts={}))
        return self.folder / BEGINNING

    def load_beginning(self) -> PassState:
        """Read the file of ``save_beginning``.

        Raises:
            RunError: it cannot be read.
        """
        path = self.folder / BEGINNING
        with self._reading(path), np.load(path, allow_pickle=False) as file:
            self._check_key(file)
            return PassState.beginning(file)

    def save_part(self, state: PassState, number: int, name: str) -> Path:
        """Replace a saved part of a pass; returns its file.

        Args:
            state: Counts of one process.
            number: Number of the pass.
            name: Name of the part.

        Raises:
            RunError: it cannot be written; the previous one is kept.
        """
        path = self.folder / f"{_PART}-{number}-{name}.npz"
        self._save(path, state)
        return path

    def part_coverage(self, number: int, name: str) -> Coverage:
        """The blocks of a saved part; none if it is not saved.

        Raises:
            RunError: a part that cannot be read.
        """
        path = self.folder / f"{_PART}-{number}-{name}.npz"
        if not path.is_file():
            return Coverage()
        with self._reading(path), np.load(path, allow_pickle=False) as file:
            return saved_coverage(file)

    def merge_parts(
        self, state: PassState, number: int = 0, *, seconds: float | None = None
    ) -> PassState:
        """Merge the saved parts of a pass into its state, save the state, and delete the parts.

        A part with a block that is counted already is ignored: a process was killed after it saved
        the whole and before it removed the parts.

        Args:
            state: State of the pass.
            number: Number of the pass.
            seconds: Time of the pass, if several processes counted at the same time; None takes the
                sum over all parts.

        Raises:
            RunError: a part that cannot be read, or a state that cannot be written.
        """
        parts = sorted(self.folder.glob(f"{_PART}-{number}-*.npz"))
        for path in parts:
            with self._reading(path):
                with np.load(path, allow_pickle=False) as file:
                    self._check_key(file)
                    covered = saved_coverage(file)
                if not covered.ranges or state.covered.meets(covered):
                    continue
                state = state.merge(PassState.from_arrays(load_arrays(path)))
        if seconds is not None:
            state = replace(state, seconds=seconds)
        if parts:
            self.save(state, number)
        for path in parts:
            path.unlink()
        return state

    def write_status(self, status: Mapping[str, object]) -> None:
        """Write the progress of the passes, for readers outside of the process.

        Args:
            status: ``done``, the samples counted in all passes, ``total``, and further values;
                see ``dissect.counting.status``.
        """
        with suppress(OSError):  # a failure here must not stop the pass
            _replace_text(self.folder / STATUS, json.dumps(status))

    def finished_state(self, layers: tuple[str, ...]) -> PassState:
        """All finished passes as one state, with its counts left on disk.

        Args:
            layers: Layers of the run, in their order.

        Raises:
            RunError: a state that cannot be read.
        """
        places: dict[str, tuple[Path, str]] = {}
        edges: dict[str, Tensor] = {}
        bases: dict[str, Basis] = {}
        seconds, covered, skipped, halved = 0.0, Coverage(), Coverage(), Coverage()
        together = overlap = np.zeros((0, 0), np.int64)
        for number, saved in enumerate(self.saved_passes()):
            path = self._path(number)
            with self._reading(path), np.load(path, allow_pickle=False) as file:
                seconds += float(file["seconds"])
                # Every pass saw the same samples and masks.
                covered, together = saved.covered, file["together"].astype(np.int64)
                skipped = saved_set(file, "skipped")
                smaller = {*halved, *saved_set(file, "halved")}
                halved = Coverage.of(smaller)
                overlap = file["overlap"].astype(np.int64)
                for place, layer in enumerate(saved.layers):
                    places[layer] = (path, f"{place}.")
                    edges[layer] = torch.from_numpy(file[f"{place}.edges"])
                    if f"{place}.basis" in file.files:
                        bases[layer] = saved_basis(file, place)
        return PassState(
            edges={layer: edges[layer] for layer in layers},
            counts=SavedCounts({layer: places[layer] for layer in layers}),
            together=together,
            overlap=overlap,
            bases=bases,
            covered=covered,
            seconds=seconds,
            skipped=skipped,
            halved=halved,
        )

    def publish(self) -> None:
        """Turn the finished files into the run, in one rename.

        Raises:
            RunError: this process does not own the run any more, one of its files belongs to
                another run or was changed, or ``out`` appeared meanwhile.
        """
        record = read_record(self.ready)
        own = record["fingerprint"] == self.key or self._is_partial(record)
        if not self.lock.holds() or not own:
            raise RunError(
                f"{self.folder} was taken by another process while the run was made; expected one "
                "process for one run; nothing was published; make it again in another --out"
            )
        self.saved_passes()  # checks that each belongs to this run
        check_files(self.ready, record["files"])
        found = _read_json(self.out / RUN_FILE)
        try:
            if found is not None and self._is_replaced(found):
                replace_folder(self.ready, self.out)
            else:
                os.rename(self.ready, self.out)
        except OSError as error:
            raise RunError(
                f"{self.out} appeared while the run was made; the finished run is kept in "
                f"{self.ready}; move it where you want it"
            ) from error
        note_made_here(self.out)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = parse_json(read_bytes(path, LARGEST_JSON))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _replace_text(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text)
    os.replace(temporary, path)


def _describe(found: Mapping[str, Any]) -> str:
    config = found.get("config")
    config = config if isinstance(config, dict) else {}
    return (
        f"{config.get('generator')}, {config.get('n_samples')} samples, seed {config.get('seed')}"
    )
