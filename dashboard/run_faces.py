"""What a run shows of itself in a list of runs, computed once for each run."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from dashboard.media import digest_of, mosaic_url
from dashboard.pairs import labels_of
from dashboard.store import OpenRun, RunStore
from dissect.statistics.ladder import MATCHES, NAMED

_CONCEPTS = 5
_MOST = 1000  # runs whose faces are kept


@dataclass(frozen=True)
class Face:
    """What is seen of a run at a glance.

    Attributes:
        units: How many.
        matches, named: Of them on that rung at least; ``named`` None where the run knows it not.
        concepts: Name, colour and units of those that name most.
        mosaic: Address of a picture of its clearest units; "" where it keeps no images.
    """

    units: int
    matches: int
    named: int | None
    concepts: tuple[tuple[str, str, int], ...]
    mosaic: str


class RunFaces:
    """The faces of runs. Threads may share it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Face] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, store: RunStore, run_id: str) -> Face:
        """The face of a run.

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
