"""Sends questions of a page to the renderer of its run, within a request."""

import base64
from collections.abc import Mapping

import flask

from dashboard import context
from dashboard.moved import places
from dashboard.rendering.frames import Frame
from dashboard.rendering.process import ASK_SECONDS, next_order
from dashboard.rendering.renderers import Renderers
from dissect.errors import ConfigError

_ORDER = "dissect_order"


def ask(
    run_id: object, question: Mapping[str, object], *, view: object, seconds: float = ASK_SECONDS
) -> Frame:
    """Send a question about a run; the questions of one request of a view count as one.

    Args:
        run_id: Id from the address. Untrusted.
        question: See ``answers``.
        view: The waiting view; for one view, the latest request wins. Untrusted.
        seconds: Time after which the worker counts as hung and is killed.

    Raises:
        DissectError: an unknown run, an error, a renderer that cannot answer, or superseded.
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
        seconds=seconds,
        generator=places().get(run),
    )


def check_place(run_id: str, place: str) -> None:
    """Load a run's generator from another place, and store the place if the fingerprint agrees.

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
    """A picture as a data address."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
