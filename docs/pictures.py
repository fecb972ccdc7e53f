"""Makes the pictures of the dashboard in these pages and in the README.

    python docs/pictures.py RUN [OTHER]      # make pictures RUN=runs/demo

It serves the run's folder on a free port, opens each page in Chromium as a person sees it, and
writes docs/dashboard-*.webp, each under 200 KB, and docs/share-card.webp. RUN needs its generator;
OTHER is the run that it is compared with. With ``--explain`` it writes instead the three pictures
of the first visit, dashboard/assets/first-*.webp, of a run that has trees and the layer b16.conv1.
"""

import argparse
import io
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from torch import Tensor

from dashboard import Settings, create_app
from dashboard.links import compare_href, run_href, unit_href
from dashboard.serving import listen, make_server, stop
from dashboard.store import run_id
from dissect.counting.samples import label_block, make_images
from dissect.edits import Ablate, intervene
from dissect.painting.canvas import Canvas
from dissect.pictures import to_tile
from dissect.runs import Run, open_run
from dissect.runs.strips import outline
from dissect.statistics.resize import resize
from dissect.studies.ranking import rank_by_match
from dissect.tracing import trace
from reports.card import draw_card
from reports.findings import clearest

_DOCS = Path(__file__).parent
_MOST = 200_000  # bytes of a picture
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_WAIT = 300_000  # milliseconds, until a generator on a busy machine has answered
# Whether the cards of runs are filled and every picture in view, now fetched, is there.
_SEEN = """() => {
  const images = [...document.querySelectorAll("img[data-src], .mosaic, .shots-source")];
  images.forEach((one) => { if (!one.src && one.dataset.src) one.src = one.dataset.src; });
  const faces = [...document.querySelectorAll(".run-face")].every((one) => one.childElementCount);
  return faces && images.every((one) => !one.src || (one.complete && one.naturalWidth));
}"""


_ASSETS = _DOCS.parent / "dashboard" / "assets"
_EXPLAINED = ("tree", "b16.conv1", 20)  # concept, layer, units that are ablated
_OF, _SIDE, _GAP = 64, 192, 4  # samples looked at; pixels of an image and between two


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    sock = listen("127.0.0.1", 0)
    port = sock.getsockname()[1]
    server = make_server(create_app(folder, Settings(port=port)), sock)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(server)
        thread.join(timeout=10)


def _ready(page: Page) -> None:
    """Until the page, and the pictures that are seen of it, are there."""
    page.get_by_role("heading", level=1).wait_for()
    status = page.locator("#images-status, #paint-how")
    if status.count():
        wanted = page.get_by_text("of the pixels are above").or_(page.get_by_text("worked in"))
        wanted.first.wait_for()
    page.wait_for_load_state("networkidle")
    end = time.monotonic() + _WAIT / 1000
    while not page.evaluate(_SEEN) and time.monotonic() < end:
        page.wait_for_timeout(100)


def _shoot(page: Page, height: int, name: str) -> None:
    image = Image.open(io.BytesIO(page.screenshot(clip=_clip(page, height), full_page=True)))
    for quality in (82, 70, 55, 40):
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "WEBP", quality=quality, method=6)
        if buffer.tell() < _MOST:
            break
    file = _DOCS / f"{name}.webp"
    file.write_bytes(buffer.getvalue())
    print(file, f"{image.width} × {image.height}, {buffer.tell() / 1000:.0f} KB")


def _clip(page: Page, height: int) -> dict[str, float]:
    return {"x": 0, "y": 0, "width": page.viewport_size["width"], "height": height}


@torch.no_grad()
def _explain(run: Run) -> None:
    """Four images with a concept outlined, one unit's region on them, and without its units.

    The images are those of the first samples in which most of the concept goes.
    """
    name, layer, n_units = _EXPLAINED
    canvas, units = Canvas(run), rank_by_match(run, layer, name)[:n_units]
    concept = canvas.vocabulary[name]
    size, plane = canvas.generator.image_size, canvas.vocabulary.planes.index(concept.plane)

    def present(images: Tensor) -> Bool[Tensor, "image h w"]:
        return label_block(canvas.segmenter, images, size)[:, plane] == concept.id

    samples = list(range(_OF))
    with trace(canvas.generator, layer) as recorded:
        before = make_images(canvas.generator, run.config, samples)
    with intervene(canvas.generator, [Ablate(layer, units)]):
        after = make_images(canvas.generator, run.config, samples)
    was = present(before)
    gone = (was & ~present(after)).flatten(1).sum(dim=1)
    best = torch.argsort(gone, descending=True, stable=True)[:4]
    tiles, without = (np.stack([to_tile(one, _SIDE) for one in made[best]])
                      for made in (before, after))  # fmt: skip
    marked = resize(was[best, None].float(), (_SIDE, _SIDE), nearest=True)[:, 0].numpy() > 0
    values = resize(recorded[layer][best, units[0]][:, None].float(), (_SIDE, _SIDE), nearest=False)
    high = values[:, 0].numpy() > np.quantile(values.numpy(), 0.9)
    dim = (tiles * np.where(high, 1, 0.3)[..., None]).astype(np.uint8)
    for part, shown in (
        ("images", outline(tiles, marked, concept.colour)),
        ("unit", outline(dim, high, concept.colour)),
        ("ablated", without),
    ):
        _write_four(shown, _ASSETS / f"first-{part}.webp")


def _write_four(tiles: UInt8[np.ndarray, "4 side side 3"], file: Path) -> None:
    """Four images as a square, with gaps that the page's background fills."""
    whole = np.zeros((2 * _SIDE + _GAP,) * 2 + (4,), np.uint8)
    for place, tile in enumerate(tiles):
        top, left = (at * (_SIDE + _GAP) for at in divmod(place, 2))
        whole[top : top + _SIDE, left : left + _SIDE, :3] = tile
        whole[top : top + _SIDE, left : left + _SIDE, 3] = 255
    Image.fromarray(whole).save(file, "WEBP", quality=82, method=6)
    print(file, f"{file.stat().st_size / 1000:.0f} KB")


def main() -> None:
    """Make all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("other", type=Path, nargs="?")
    parser.add_argument("--explain", action="store_true", help="the pictures of the first visit")
    options = parser.parse_args()
    if options.explain:
        _explain(open_run(options.run))
        return
    run = open_run(options.run)
    own = run_id(options.run.resolve().name)
    (best,) = clearest(run, list(run.layers), 1)
    pages = {
        "dashboard-overview": (run_href(own), 1440, 1850),
        "dashboard-unit": (unit_href(own, best.layer, int(best.unit)), 1440, 1000),
        "dashboard-units": (run_href(own, "units"), 1440, 900),
        "dashboard-paint": (run_href(own, "paint") + "?concept=tree", 1440, 900),
        "dashboard-phone": (run_href(own), 390, 1400),
        "dashboard-runs": ("/", 1440, 800),
    }
    if options.other is not None:
        other = run_id(options.other.resolve().name)
        pages["dashboard-compare"] = (compare_href(own, other), 1440, 900)
    with _serving(options.run.resolve().parent) as url, sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        for name, (address, width, height) in pages.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(_WAIT)
            page.goto(url + address)
            _ready(page)
            _shoot(page, height, name)
            page.close()
        browser.close()
    card = Image.open(io.BytesIO(draw_card(run)))
    card.save(_DOCS / "share-card.webp", "WEBP", quality=82, method=6)


if __name__ == "__main__":
    main()
