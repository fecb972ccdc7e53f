"""Sends questions of a page to the renderer of its run, within a request."""

import base64
from collections.abc import Mapping

import flask

from dashboard import context
from dashboard.moved import places
from dashboard.rendering.frames import Frame
from dashboard.rendering.process import next_order
from dashboard.rendering.renderers import Renderers
from dissect.errors import ConfigError

_ORDER = "dissect_order"


def ask(run_id: object, question: Mapping[str, object], *, view: object) -> Frame:
    """Ask about a run; what one request asks of a view stands together against other requests.

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
    order = flask.g.setdefault(_ORDER, next_order())
    renderers = here.service("renderers", Renderers)
    return renderers.ask(
        run.path,
        run.record["fingerprint"],
        question,
        view=view[:80],
        order=order,
        generator=places().get(run),
    )


def check_place(run_id: str, place: str) -> None:
    """Load the generator of a run from another place, and keep the place if it is the same one.

    Raises:
        DissectError: it cannot be loaded, or has another fingerprint.
    """
    here = context.current()
    run = here.store.open(run_id).run
    renderers = here.service("renderers", Renderers)
    renderers.ask(
        run.path, run.record["fingerprint"], {"ask": "about"}, view="place", generator=place
    )
    places().put(run, place)


def to_uri(data: bytes, kind: str) -> str:
    """A picture as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
