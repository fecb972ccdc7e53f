"""How long a stroke takes, against one bare generate, segment and encode.

python -m benchmarks.painting RUN [--json]
"""

import argparse
import json
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from dashboard.rendering.renderers import Renderers
from dissect.painting.making import Canvas, to_png
from dissect.painting.strokes import Stroke
from dissect.runs import open_run
from dissect.samples import label_block, make_images

_ROUNDS = 30


def measure_painting(folder: Path, *, rounds: int = _ROUNDS) -> dict[str, float]:
    """Median milliseconds of both, taken in turns, and their ratio.

    Args:
        folder: A run whose generator is at hand.
        rounds: How often.
    """
    run = open_run(folder)
    canvas = Canvas(run)
    blank = canvas.blank(seed=run.config.seed, index=0, truncation=1.0, label=None)
    layer = next(iter(run.layers))
    box = (0, 0, blank.image_size // 2, blank.image_size // 2)
    renderers = Renderers()
    bare, painted = [], []
    before = torch.get_num_threads()
    torch.set_num_threads(blank.threads)
    try:
        for number in range(rounds + 3):
            begin = time.perf_counter()
            images = make_images(canvas.generator, run.config, [number])
            label_block(canvas.segmenter, images, blank.image_size)
            to_png(images[0])
            bare.append(time.perf_counter() - begin)
            own = replace(blank, index=number // 8)  # several strokes over one image
            ask = {"ask": "image", "recipe": own.to_json()}
            renderers.ask(run.path, "bare", ask, view="benchmark")
            stroke = Stroke("remove", layer, (0,), strength=1 - number / 1000, box=box)
            ask = {"ask": "image", "recipe": replace(own, strokes=(stroke,)).to_json()}
            begin = time.perf_counter()
            renderers.ask(run.path, "bare", ask, view="benchmark")
            painted.append(time.perf_counter() - begin)
    finally:
        torch.set_num_threads(before)
        renderers.close()
    plain, stroked = (1000 * statistics.median(times[3:]) for times in (bare, painted))
    return {
        "bare_ms": round(plain, 2),
        "painted_ms": round(stroked, 2),
        "ratio": round(stroked / plain, 3),
    }


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure_painting(options.run)
    text = json.dumps(found) if options.json else "\n".join(f"{k}: {v}" for k, v in found.items())
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
