"""Images of runs, by parts of an address that are looked up, never joined to a path.

``/media/strip/RUN/DIGEST/LAYER/UNIT.webp``: LAYER is the position of a layer in its run. DIGEST is
the beginning of the run's fingerprint, so what is behind an address never changes and browsers may
keep it for good.
"""

import hashlib
from urllib.parse import quote

import flask

from dashboard import context
from dashboard.pairs import pairs_of
from dashboard.store import OpenRun
from dissect.errors import DissectError
from dissect.runs.strips import UNLABELLED

_KEPT = "private, max-age=31536000, immutable"


def register(server: flask.Flask) -> None:
    """Add the routes."""
    server.add_url_rule(
        "/media/strip/<run_id>/<digest>/<int:layer_index>/<int:unit>.webp", "strip", strip
    )


def digest_of(opened: OpenRun) -> str:
    """Tells apart what one address showed at different times."""
    made = f"{opened.run.record['fingerprint']}{opened.run.record['created']}"
    return hashlib.sha256(made.encode()).hexdigest()[:12]


def strip_url(opened: OpenRun, layer: str, unit: int) -> str:
    """Where a unit's strip is."""
    index = list(opened.run.layers).index(layer)
    return f"/media/strip/{quote(opened.id, safe='')}/{digest_of(opened)}/{index}/{unit}.webp"


def strip(run_id: str, digest: str, layer_index: int, unit: int) -> flask.Response:
    """A unit's top images with its mask outlined."""
    try:
        opened = context.current().store.open(run_id)
        layers = list(opened.run.layers)
        if digest != digest_of(opened) or layer_index >= len(layers):
            flask.abort(404)
        (found,) = opened.run.strips(layers[layer_index], [unit])
        colour = _colour(opened, layers[layer_index], unit)
    except DissectError:
        flask.abort(404)
    return kept(found.outlined(colour), "image/webp")


def _colour(opened: OpenRun, layer: str, unit: int) -> str:
    """As ``Run.strip`` has it, which reads the whole table for it."""
    pairs = pairs_of(opened)
    row = pairs.starts[layer] + unit
    if not pairs.is_named[row]:
        return UNLABELLED
    return list(opened.run.vocabulary)[pairs.best[row]].colour


def kept(content: bytes, mimetype: str) -> flask.Response:
    """Content that never changes at its address."""
    response = flask.Response(content, mimetype=mimetype)
    response.set_etag(hashlib.sha256(content).hexdigest()[:32])
    response.headers["Cache-Control"] = _KEPT
    response.make_conditional(flask.request)
    return response
