"""Images of runs. Parts of an address are looked up, never joined to a path.

``/media/strip/RUN/DIGEST/LAYER/UNIT.webp``: LAYER is the position of a layer in its run.
``/media/mosaic/RUN/DIGEST.webp``: the top image of each of its clearest units. DIGEST is the
beginning of the run's fingerprint, so the content of an address never changes and browsers may
cache it without limit.
"""

import hashlib
import io
from urllib.parse import quote

import flask
import numpy as np
from PIL import Image

from dashboard import context
from dashboard.pairs import labels_of, pairs_of
from dashboard.store import OpenRun
from dissect.errors import DissectError
from dissect.runs.strips import TILE, UNLABELLED

_ACROSS = 3  # images in a row of a mosaic
_KEPT = "private, max-age=31536000, immutable"


def register(server: flask.Flask) -> None:
    """Add the routes."""
    server.add_url_rule(
        "/media/strip/<run_id>/<digest>/<int:layer_index>/<int:unit>.webp", "strip", strip
    )
    server.add_url_rule("/media/mosaic/<run_id>/<digest>.webp", "mosaic", mosaic)


def digest_of(opened: OpenRun) -> str:
    """Distinguishes contents of one address at different times."""
    made = f"{opened.run.record['fingerprint']}{opened.run.record['created']}"
    return hashlib.sha256(made.encode()).hexdigest()[:12]


def strip_url(opened: OpenRun, layer: str, unit: int) -> str:
    """Address of a unit's strip."""
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


def mosaic_url(opened: OpenRun) -> str:
    """Address of a run's mosaic; "" if the run has no images."""
    if not _clearest(opened):
        return ""
    return f"/media/mosaic/{quote(opened.id, safe='')}/{digest_of(opened)}.webp"


def mosaic(run_id: str, digest: str) -> flask.Response:
    """The top image of each of the clearest units, of different concepts, in two rows."""
    try:
        opened = context.current().store.open(run_id)
        units = _clearest(opened) if digest == digest_of(opened) else []
        if not units:
            flask.abort(404)
        tiles = []
        for layer, unit in units:
            (found,) = opened.run.strips(layer, [unit])
            tiles.append(_large(found.tiles()[0]))
    except (DissectError, ValueError):
        flask.abort(404)
    while len(tiles) < 2 * _ACROSS:
        tiles.append(tiles[len(tiles) - len(units)])
    rows = [np.concatenate(tiles[n : n + _ACROSS], axis=1) for n in (0, _ACROSS)]
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(rows)).save(buffer, "WEBP", quality=80, method=2)
    return kept(buffer.getvalue(), "image/webp")


def _large(tile: np.ndarray) -> np.ndarray:
    """A tile at its display size."""
    return np.asarray(Image.fromarray(tile).resize((TILE, TILE), Image.Resampling.LANCZOS))


def _clearest(opened: OpenRun) -> list[tuple[str, int]]:
    """Units of a mosaic: the clearest of each concept, then of all, in layers with images."""
    layers = [layer for layer in opened.run.layers if opened.run.has_strips(layer)]
    labels = labels_of(opened)
    ranked = labels[labels.layer.isin(layers)].sort_values(
        ["is_named", "excess_information"], ascending=False, kind="stable"
    )
    first = ranked.drop_duplicates("concept").head(2 * _ACROSS)
    return [(str(layer), int(unit)) for layer, unit in zip(first.layer, first.unit, strict=True)]


def _colour(opened: OpenRun, layer: str, unit: int) -> str:
    """Same as in ``Run.strip``, but without reading the whole table."""
    pairs = pairs_of(opened)
    row = pairs.starts[layer] + unit
    if not pairs.is_named[row]:
        return UNLABELLED
    return list(opened.run.vocabulary)[pairs.best[row]].colour


def kept(content: bytes, mimetype: str) -> flask.Response:
    """Response with content that never changes at its address."""
    response = flask.Response(content, mimetype=mimetype)
    response.set_etag(hashlib.sha256(content).hexdigest()[:32])
    response.headers["Cache-Control"] = _KEPT
    response.make_conditional(flask.request)
    return response
