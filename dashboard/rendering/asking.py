"""How a page asks the renderer of its run, within a request."""

import atexit
import base64
import threading
from collections.abc import Mapping

from dashboard import context
from dashboard.rendering.frames import Frame
from dashboard.rendering.renderers import Renderers
from dissect.errors import ConfigError

_SERVICE = "renderers"
_LOCK = threading.Lock()


def ask(run_id: object, question: Mapping[str, object], *, view: object) -> Frame:
    """Ask about a run.

    Args:
        run_id: As in the address. Untrusted.
        question: See ``answers``.
        view: Who waits; of the same view, the latest wins. Untrusted.

    Raises:
        DissectError: an unknown run, a mistake, a renderer that cannot answer, or superseded.
    """
    if not isinstance(run_id, str) or not isinstance(view, str):
        raise ConfigError("the page sent something else than a run and a view; reload it")
    here = context.current()
    run = here.store.open(run_id).run
    with _LOCK:
        if _SERVICE not in here.services:
            here.services[_SERVICE] = Renderers()
            atexit.register(here.services[_SERVICE].close)
    renderers = here.services[_SERVICE]
    return renderers.ask(run.path, run.record["fingerprint"], question, view=view[:80])


def to_uri(data: bytes, kind: str) -> str:
    """A picture as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
