"""Generators that are not where their runs name them: detection, and the user's new places.

A place is chosen from those that the server offers, and is valid until the server ends; it is never
written into a folder of runs. The renderer loads the models and compares fingerprints.
"""

import threading
from pathlib import Path

from dashboard import context
from dissect.errors import DissectError
from dissect.generators import zoo
from dissect.runs import Run
from dissect.runs.origin import GENERATOR, model_spec


class Places:
    """Fingerprint of a generator → the user's spec to load it. Threads may share it."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._lock = threading.Lock()

    def get(self, run: Run) -> str | None:
        """The known place of a run's generator."""
        with self._lock:
            return self._known.get(_fingerprint(run))

    def put(self, run: Run, place: str) -> None:
        """Store the place of a run's generator, after its fingerprint was compared."""
        with self._lock:
            self._known[_fingerprint(run)] = place


def places() -> Places:
    """The places of the current app."""
    return context.current().service("places", Places)


def why_missing(run: Run) -> str:
    """Why the generator of a run is not available, in one line; "" if it seems available."""
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
