"""Previews of runs for the list of runs, computed once per run."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from dashboard.media import digest_of, mosaic_url
from dashboard.pairs import labels_of
from dashboard.store import OpenRun, RunStore
from dissect.statistics.ladder import MATCHES, NAMED

_CONCEPTS = 5
_MOST = 1000  # number of cached previews


@dataclass(frozen=True)
class Face:
    """The preview of a run.

    Attributes:
        units: Number of units.
        matches, named: Number of them on at least that rung; ``named`` is None if unknown.
        concepts: Name, colour and number of units of the most frequent ones.
        mosaic: Address of a picture of its clearest units; "" if it has no images.
    """

    units: int
    matches: int
    named: int | None
    concepts: tuple[tuple[str, str, int], ...]
    mosaic: str


class RunFaces:
    """The previews of runs. Threads may share it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Face] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, store: RunStore, run_id: str) -> Face:
        """The preview of a run.

        Raises:
            DissectError: a run that is gone or damaged.
        """
        opened = store.open(run_id)
        key = (run_id, digest_of(opened))
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        face = _face(opened)
        with self._lock:
            self._kept[key] = face
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        return face


def _face(opened: OpenRun) -> Face:
    labels, vocabulary = labels_of(opened), opened.run.vocabulary
    counts = labels.concept[labels.is_named].value_counts()
    return Face(
        units=len(labels),
        matches=int((labels.rung >= MATCHES).sum()),
        named=int(labels.is_named.sum()) if opened.run.label_rung >= NAMED else None,
        concepts=tuple(
            (str(name), vocabulary[str(name)].colour, int(count))
            for name, count in counts.head(_CONCEPTS).items()
            if count
        ),
        mosaic=mosaic_url(opened),
    )
