"""Time of a stroke, relative to one bare generate, segment and encode.

    python -m benchmarks.painting [RUN] [--rounds 30] [--json]

A stroke is the paint page's request after painting: through the app (without a socket) to the run's
renderer and back, both images, their segmentations and the table of changes. Without RUN a small
run of the embedded scenes generator is made first.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from dashboard import Settings, context, create_app
from dashboard.painting.history import History
from dissect import dissect
from dissect.counting.samples import label_block, make_images
from dissect.painting.canvas import Canvas, to_png
from dissect.painting.strokes import Stroke
from dissect.runs import open_run

_WARM = 3  # warm-up rounds


def measure_painting(folder: Path, *, rounds: int = 30) -> dict[str, float]:
    """Median milliseconds of both, measured alternately, and their ratio.

    Args:
        folder: A run whose generator is available.
        rounds: Number of rounds.
    """
    run = open_run(folder)
    canvas = Canvas(run)
    blank = canvas.blank(seed=run.config.seed, index=0, truncation=1.0, label=None)
    app = create_app(folder, Settings())
    about = {
        "fingerprint": blank.generator,
        "run": blank.run,
        "image_size": blank.image_size,
        "threads": blank.threads,
    }
    given = {
        "paint-about": about,
        "paint-seed": blank.seed,
        "paint-truncation": 1,
        "paint-label": "",
        "paint-plane": canvas.vocabulary.planes[0],
        "paint-run": run.path.resolve().name,
        "paint-view": "benchmark",
        "paint-seen": True,
        "paint-shown": None,
    }
    paint = _asker(app, "paint-changes.children", given)
    layer = next(iter(run.layers))
    box = (0, 0, blank.image_size // 2, blank.image_size // 2)
    bare, painted = [], []
    threads = torch.get_num_threads()
    torch.set_num_threads(blank.threads)
    try:
        for number in range(rounds + _WARM):
            begin = time.perf_counter()
            images = make_images(canvas.generator, run.config, [number])
            label_block(canvas.segmenter, images, blank.image_size)
            to_png(images[0])
            bare.append(time.perf_counter() - begin)
            index = number // 8  # several strokes over one image
            paint({"paint-index": index, "paint-history": None})
            stroke = Stroke("remove", layer, (0,), strength=1 - number / 1000, box=box)
            history = History.of((stroke,)).to_json()
            begin = time.perf_counter()
            paint({"paint-index": index, "paint-history": history})
            painted.append(time.perf_counter() - begin)
    finally:
        torch.set_num_threads(threads)
        with app.server.app_context():
            context.current().close()
    plain, stroked = (1000 * statistics.median(times[_WARM:]) for times in (bare, painted))
    return {
        "bare_ms": round(plain, 2),
        "painted_ms": round(stroked, 2),
        "ratio": round(stroked / plain, 3),
    }


def _asker(
    app: object, output: str, given: Mapping[str, object]
) -> Callable[[Mapping[str, object]], None]:
    """Posts a browser's request to the callback of an output."""
    (name,) = [key for key in app.callback_map if output in key]
    parts = [part.rsplit(".", 1) for part in name.strip(".").split("...")]
    client = app.server.test_client()
    client.get("/")

    def ask(changed: Mapping[str, object]) -> None:
        values = {**given, **changed}
        known = app.callback_map[name]
        body = {
            "output": name,
            "outputs": [{"id": one, "property": kind} for one, kind in parts],
            "changedPropIds": ["paint-history.data"],
            **{
                kind: [{**one, "value": values[one["id"]]} for one in known[kind]]
                for kind in ("inputs", "state")
            },
        }
        answer = client.post("/_dash-update-component", json=body)
        content = answer.get_json(silent=True) or {}
        if "src" not in content.get("response", {}).get("paint-after", {}):
            raise SystemExit(f"nothing was painted: {answer.get_data(as_text=True)[:300]}")

    return ask


def small_run(folder: Path) -> Path:
    """Make a run of the embedded scenes generator in seconds."""
    layers = ("b16.conv1", "b32.conv1")
    dissect("scenes-stylegan2", "scenes", layers=layers, n_samples=64, out=folder, progress=False)
    return folder


def main() -> None:
    """Print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=30, help="default: %(default)s")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        run = options.run or small_run(Path(name) / "scenes")
        found = measure_painting(run, rounds=options.rounds)
    text = json.dumps(found) if options.json else "\n".join(f"{k}: {v}" for k, v in found.items())
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
