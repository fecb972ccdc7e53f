"""Generators that are not where their runs name them: whether one is, and where people found it.

A place is chosen here, among what the server offers, and holds until the server ends: nothing of
it is written into a folder of runs. The renderer loads the models and compares fingerprints.
"""

import threading
from pathlib import Path

from dashboard import context
from dissect.errors import DissectError
from dissect.generators import zoo
from dissect.runs import Run
from dissect.runs.origin import GENERATOR, model_spec


class Places:
    """Fingerprint of a generator → what people said it is loaded from. Threads may share it."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._lock = threading.Lock()

    def get(self, run: Run) -> str | None:
        """Where the generator of a run was found."""
        with self._lock:
            return self._known.get(_fingerprint(run))

    def put(self, run: Run, place: str) -> None:
        """Keep where it was found, after its fingerprint was compared."""
        with self._lock:
            self._known[_fingerprint(run)] = place


def places() -> Places:
    """Those of the app."""
    return context.current().service("places", Places)


def why_missing(run: Run) -> str:
    """Why the generator of a run is not at hand, in one line; "" where it is, as far as is seen."""
    if places().get(run) is not None:
        return ""
    try:
        spec = model_spec(run, GENERATOR)
    except DissectError as error:
        return str(error)
    if spec in zoo.ENTRIES:
        at_hand = zoo.is_at_hand(spec)
        return "" if at_hand else f"generator {spec} is not at hand; dissect zoo get {spec}"
    if ":" in spec or Path(spec).exists():
        return ""
    return f"generator {Path(spec).name} is not where the run was made with it: moved or deleted"


def _fingerprint(run: Run) -> str:
    return str(run.record["generator"]["fingerprint"])
