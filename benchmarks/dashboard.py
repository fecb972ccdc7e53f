"""Response times of the dashboard on a large run, and the cost of its first view.

    python -m benchmarks.dashboard [--layers 20] [--units 512] [--concepts 150] [--rounds 30]
        [--clients 8] [--seconds 60] [--no-browser] [--no-paint] [--json]

The run contains random scores of a plausible kind and one picture for all units. ``units_page`` and
``unit_page`` are milliseconds in the server (app and JSON, without a socket) for random filters and
units, after the run was opened once (``open_s``); ``overview`` and ``compare`` (the run with
itself) likewise. ``browser`` is the first view of all units in Chromium: seconds until the first
card, requests before scrolling, and the milliseconds of script, in thread time, for each of ten
further pages of cards; ``growth`` is the median of the last five divided by that of the first five.
``load`` runs that many clients at once, each of which requests one page after the other: answers,
errors, and memory (including the clients') after a quarter of the time and at the end. ``paint`` is
a stroke on a small run of a real generator, as in ``benchmarks.painting``.
"""

import argparse
import contextlib
import json
import random
import shutil
import socket
import statistics
import tempfile
import threading
import time
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import zarr
from PIL import Image

from benchmarks.painting import measure_painting, small_run
from dashboard import Settings, create_app
from dashboard.serving import listen, make_server, stop
from dissect.config import RunConfig
from dissect.runs import schema
from dissect.runs.strips import TILE, Strip, make_strip
from dissect.statistics.folds import SETS
from dissect.statistics.registry import required_columns

if TYPE_CHECKING:
    from playwright.sync_api import Page

_EDGES, _TOP = 48, 8


def write_run(folder: Path, *, n_layers: int, n_units: int, n_concepts: int) -> None:
    """Write a run folder of any size with random content, readable by ``open_run``."""
    draw = np.random.default_rng(0)
    layers = [f"b{n}.conv" for n in range(n_layers)]
    concepts = [f"concept {n}" for n in range(n_concepts)]
    (folder / schema.IMAGES).mkdir(parents=True)
    root = zarr.create_group(folder / schema.ARRAYS)
    tables = []
    strip = _strip()
    for layer in layers:
        group = root.create_group(
            schema.layer_key(layer), attributes={"row": [schema.ALL_PIXELS, *concepts]}
        )
        edges = np.sort(draw.normal(size=(n_units, _EDGES)).astype(np.float32), axis=1)
        counts = draw.integers(0, 1000, (len(SETS), n_concepts + 1, n_units, _EDGES + 1), np.int32)
        chunks = (1, n_concepts + 1, 32, _EDGES + 1)
        shown = draw.integers(0, 1000, (n_units, _TOP))
        for name, array, chunk, names in (
            ("edges", edges, edges.shape, ("unit", "edge")),
            ("histogram", counts, chunks, ("set", "row", "unit", "bin")),
            ("top_indices", shown, shown.shape, ("unit", "rank")),
        ):
            stored = group.create_array(
                name, shape=array.shape, dtype=array.dtype, chunks=chunk, dimension_names=names
            )
            stored[...] = array
        tables.append(_table(draw, layer, n_units, concepts))
        with zipfile.ZipFile(
            folder / schema.IMAGES / f"{schema.layer_key(layer)}.zip", "w"
        ) as file:
            for unit in range(n_units):
                file.writestr(schema.strip_name(unit), strip.picture)
                file.writestr(schema.mask_name(unit), strip.mask)
    alone = root.create_group(schema.CONCEPTS, attributes={"pixels": 1000, "concept": concepts})
    area, together = draw.integers(1, 500, n_concepts), draw.integers(1, 500, (n_concepts,) * 2)
    alone.create_array("area", data=area, dimension_names=("concept",))
    alone.create_array("together", data=together, dimension_names=("concept", "other"))
    pd.concat(tables).to_parquet(folder / schema.TABLE, index=False)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    config = RunConfig("synthetic", "synthetic", tuple(layers), n_samples=1000)
    record = {
        "kind": schema.KIND,
        "schema_version": schema.SCHEMA_VERSION,
        "fingerprint": "0" * 64,
        "created": "2026-01-01T00:00:00+00:00",
        "seconds": 1.0,
        "config": config.to_json(),
        "generator": {
            "name": "synthetic",
            "fingerprint": "0" * 64,
            "image_size": 64,
            "channels": 3,
            "n_classes": 0,
            "layers": {name: [n_units, 8, 8] for name in layers},
        },
        "segmenter": {
            "name": "synthetic",
            "fingerprint": "0" * 64,
            "vocabulary": [
                [name, "object", "object", f"#{(n * 7919 * 997) % (1 << 24):06x}"]
                for n, name in enumerate(concepts)
            ],
        },
        "coverage": {"calibration": 250, "evaluation": 750, "grid": 64},
        "versions": {},
        "files": {
            path.relative_to(folder).as_posix(): {
                "bytes": path.stat().st_size,
                "sha256": schema.file_digest(path),
            }
            for path in files
        },
    }
    (folder / schema.RUN_FILE).write_text(json.dumps(record))


def _table(
    draw: np.random.Generator, layer: str, n_units: int, concepts: list[str]
) -> pd.DataFrame:
    n_rows = n_units * len(concepts)
    iou = draw.beta(1, 12, n_rows)
    label = np.zeros((n_units, len(concepts)), bool)
    label[np.arange(n_units), iou.reshape(n_units, -1).argmax(axis=1)] = True
    names = required_columns(schema.SCHEMA_VERSION)
    spread = {name: draw.random(n_rows) * iou for name in names}
    spread |= {"iou": iou, "iou_low": iou * 0.9, "iou_high": iou * 1.1, "chance": iou * 0.3}
    return pd.DataFrame(
        spread
        | {
            "layer": layer,
            "unit": np.repeat(np.arange(n_units), len(concepts)),
            "concept": np.tile(np.array(concepts), n_units),
            "category": "object",
            "is_label": label.ravel(),
            "rung": 2.0 * (iou > 0.1),
            "q_value": np.repeat(draw.random(n_units), len(concepts)),
            "same_in_halves": np.repeat(draw.random(n_units) > 0.2, len(concepts)),
        }
    )


def _strip() -> Strip:
    draw = np.random.default_rng(1)
    noise = draw.integers(0, 255, (16, 16 * _TOP, 3), np.uint8)
    size = (TILE * _TOP, TILE)
    row = np.asarray(Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC))
    tiles = np.stack(np.split(row, _TOP, axis=1))
    return make_strip(tiles, tiles[..., 0] > 200)


def page_request(path: str, search: str = "") -> bytes:
    """The request that a browser posts to show an address."""
    return json.dumps(
        {
            "output": ".._pages_content.children..._pages_store.data..",
            "outputs": [
                {"id": "_pages_content", "property": "children"},
                {"id": "_pages_store", "property": "data"},
            ],
            "inputs": [
                {"id": "_pages_location", "property": "pathname", "value": path},
                {"id": "_pages_location", "property": "search", "value": search},
            ],
            "changedPropIds": ["_pages_location.pathname"],
        }
    ).encode()


def random_units(draw: random.Random, options: argparse.Namespace) -> bytes:
    """The page of units with a random filter."""
    layer, concept = draw.randrange(options.layers), draw.randrange(options.concepts)
    search = draw.choice(
        [
            "",
            "?certainty=all",
            f"?layer=b{layer}.conv&certainty=all",
            f"?concept=concept+{concept}",
            f"?search=concept+{concept}&sort=iou",
            "?certainty=all&sort=certainty&iou=0.1",
        ]
    )
    return page_request("/run/large/units", search)


def random_unit(draw: random.Random, options: argparse.Namespace) -> bytes:
    """The page of a unit."""
    layer, unit = draw.randrange(options.layers), draw.randrange(options.units)
    return page_request(f"/run/large/layer/b{layer}.conv/unit/{unit}")


def whole(answer: bytes) -> bool:
    """Whether an answer is the requested page, not an error page."""
    return b"page-failed" not in answer


def time_pages(ask: Callable[[bytes], bool], make: Callable[[], bytes], rounds: int) -> dict:
    """Milliseconds of a number of answers."""
    times = []
    for _ in range(rounds):
        body = make()
        started = time.perf_counter()
        if not ask(body):
            raise SystemExit("the dashboard failed; no time is worth telling")
        times.append(1000 * (time.perf_counter() - started))
    p95 = statistics.quantiles(times, n=20)[-1]
    return {"median_ms": round(statistics.median(times), 1), "p95_ms": round(p95, 1)}


def first_view(url: str) -> dict[str, object] | None:
    """Times of the grid of 2,000 units and more in Chromium, before scrolling; None without it."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return None
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        started = time.perf_counter()
        page.goto(f"{url}/run/large/units?certainty=all")
        page.locator(".card").first.wait_for()
        seconds = time.perf_counter() - started
        page.wait_for_load_state("networkidle")
        n_requests = len(requests)
        images = sum("/media/" in request for request in requests)
        more = _more(page)
        browser.close()
    growth = statistics.median(more[5:]) / statistics.median(more[:5])
    return {
        "first_card_s": round(seconds, 2),
        "requests": n_requests,
        "images": images,
        "more_script_ms": more,
        "growth": round(growth, 2),
    }


def _more(page: "Page", pages: int = 10) -> list[float]:
    """Milliseconds of script for each further page of cards."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def script() -> float:
        found = session.send("Performance.getMetrics")["metrics"]
        return 1000 * next(one["value"] for one in found if one["name"] == "ScriptDuration")

    def drawn() -> int:
        # A locator of all cards would itself be script that grows with their number.
        return page.evaluate("document.querySelector('#units-grid ul').childElementCount")

    times, button = [], page.locator("#units-more")
    for _ in range(pages):
        count, before = drawn(), script()
        with page.expect_response(lambda one: "units-next" in (one.request.post_data or "")):
            button.click()
        while drawn() == count:
            page.wait_for_timeout(20)
        page.wait_for_load_state("networkidle")
        times.append(round(script() - before, 1))
    return times


def load(url: str, options: argparse.Namespace) -> dict[str, object]:
    """Run many clients at once."""
    answers, errors, end = [0] * options.clients, [0] * options.clients, [0.0]

    def ask(client: int) -> None:
        draw = random.Random(client)  # noqa: S311 - which page is looked at
        while time.monotonic() < end[0]:
            make = draw.choice([random_units, random_unit])
            request = urllib.request.Request(  # noqa: S310 - an address of our own
                f"{url}/_dash-update-component",
                make(draw, options),
                {"Content-Type": "application/json"},
            )
            try:
                with urllib.request.urlopen(request, timeout=60) as found:  # noqa: S310
                    answers[client] += whole(found.read())
            except OSError:
                errors[client] += 1

    end[0] = time.monotonic() + options.seconds
    threads = [threading.Thread(target=ask, args=(n,)) for n in range(options.clients)]
    for thread in threads:
        thread.start()
    time.sleep(options.seconds / 4)
    early = _resident_mb()
    for thread in threads:
        thread.join()
    return {
        "clients": options.clients,
        "answers": sum(answers),
        "errors": sum(errors),
        "memory_early_mb": early,
        "memory_end_mb": _resident_mb(),
    }


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * 4096 / 1e6, 1)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("layers", 20), ("units", 512), ("concepts", 150), ("rounds", 30),
                          ("clients", 8), ("seconds", 60)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default, help="default: %(default)s")
    parser.add_argument("--no-browser", action="store_true")
    parser.add_argument("--no-paint", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        sizes = {f"n_{kind}": getattr(options, kind) for kind in ("layers", "units", "concepts")}
        write_run(Path(name) / "runs" / "large", **sizes)
        with contextlib.closing(listen("127.0.0.1", 0)) as sock:  # also after a page that fails
            found = sizes | _measure(Path(name) / "runs", sock, options)
        if not options.no_paint:
            found["paint"] = measure_painting(small_run(Path(name) / "scenes"))
    print(json.dumps(found, indent=None if options.json else 1))


def _measure(folder: Path, sock: socket.socket, options: argparse.Namespace) -> dict[str, object]:
    url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    app = create_app(folder, Settings(port=sock.getsockname()[1]))
    client = app.server.test_client()
    client.get("/")

    def ask(body: bytes) -> bool:
        answer = client.post("/_dash-update-component", data=body, content_type="application/json")
        return answer.status_code == 200 and whole(answer.data)

    draw = random.Random(0)  # noqa: S311 - which page is looked at
    started = time.perf_counter()
    ask(page_request("/run/large/units"))
    found: dict[str, object] = {"open_s": round(time.perf_counter() - started, 2)}
    for name, make in (("units_page", random_units), ("unit_page", random_unit)):
        found[name] = time_pages(ask, lambda make=make: make(draw, options), options.rounds)
    for name, address, query in (("overview", "/run/large", ""),
                                 ("compare", "/compare", "?a=large&b=large")):  # fmt: skip
        body = page_request(address, query)
        found[name] = time_pages(ask, lambda body=body: body, options.rounds)
    server = make_server(app, sock)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    found["browser"] = None if options.no_browser else first_view(url)
    found["load"] = load(url, options) if options.seconds else None
    stop(server)
    thread.join(timeout=10)
    return found


if __name__ == "__main__":
    main()
