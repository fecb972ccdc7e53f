"""Which space an image is inverted into best, and whether restoration beats plain answers.

    python -m benchmarks.inversion [--images 16] [--steps 300] [--starts 4] [--drags 30] [--json]

Images: samples of the generator itself (they can be found again), and fresh renders of scenes (it
has seen their like). For each space: mean MSE in units of range², PSNR and SSIM, and how much
processor time one image took. Each task of restoration is measured on renders against plain
answers, one of them the mean of the training world's colours; what was seen is put into the answer
where a task can. A drag moves a point of a sample by 6 to 12 pixels; measured is how far from its
target the point's feature ends, beside how far it had to go.
"""

import argparse
import json
import sys
import time

import numpy as np
import torch
from torch import Tensor

from dissect.generators import load_generator
from dissect.generators.base import Generator
from dissect.inversion.degradations import Degradation, Grey, Hole, parse_degradation
from dissect.inversion.drag import drag
from dissect.inversion.optimise import invert
from dissect.inversion.quality import mean_squared_error, psnr, ssim
from dissect.inversion.restore import baseline, parse_task, restore
from dissect.inversion.settings import DragSettings, InversionSettings
from dissect.latents import stream
from dissect.worlds import render_scenes

_RENDER_SEED, _SAMPLE_SEED, _DRAG_SEED = 60_000, 60_001, 60_002
SPACES = ("z", "w", "w+", "s", "p", "p+")
# Task, how images are spoiled, the space that is searched and the weight of its prior.
TASKS = (
    ("colorize", "grey", "w+", 0.02),
    ("upscale:4", "down:4", "w+", 0.02),
    ("upscale:8", "down:8", "w+", 0.02),
    ("inpaint:hole:20,20,44,44", "hole:20,20,44,44", "w+", 0.02),
    ("denoise", "noise:40", "w+", 0.02),
)


def compare(drawn: Tensor, truth: Tensor) -> dict[str, float]:
    """Means over images."""
    return {
        "mse": round(mean_squared_error(drawn, truth).mean().item(), 6),
        "psnr": round(psnr(drawn, truth).mean().item(), 2),
        "ssim": round(ssim(drawn, truth).mean().item(), 4),
    }


def by_space(
    generator: Generator, images: Tensor, settings: dict[str, int]
) -> dict[str, dict[str, float]]:
    """Reconstruction of images in each space."""
    rows = {}
    for space in SPACES:
        started = time.process_time()
        found = invert(generator, images, InversionSettings(space=space, **settings))
        seconds = (time.process_time() - started) / len(images)
        with torch.no_grad():
            drawn = torch.cat([generator.synthesize(one.latent) for one in found])
        rows[space] = compare(drawn, images) | {"seconds_per_image": round(seconds, 2)}
        _say(space, rows[space])
    return rows


def by_task(
    generator: Generator, images: Tensor, settings: dict[str, int]
) -> dict[str, dict[str, object]]:
    """Restoration of spoiled renders, beside plain answers."""
    rows: dict[str, dict[str, object]] = {}
    size, channels = generator.image_size, generator.channels
    for task, spoiled, space, prior in TASKS:
        degradation = parse_task(task)
        observed = parse_degradation(spoiled).observe(images, seed=0)
        search = InversionSettings(space=space, prior=prior, **settings)
        found = restore(generator, observed, degradation, search)
        answer = torch.cat([one.consistent for one in found])
        plain = {"plain": baseline(observed, degradation, size, channels)}
        plain |= other_answers(observed, degradation)
        best = torch.stack([mean_squared_error(one, images) for one in plain.values()]).amin(dim=0)
        better = (mean_squared_error(answer, images) < best).double().mean()
        rows[task] = {
            "restored": compare(answer, images),
            **{name: compare(one, images) for name, one in plain.items()},
            "share_better": round(better.item(), 2),
        }
        _say(task, rows[task])
    return rows


def other_answers(observed: Tensor, degradation: Degradation) -> dict[str, Tensor]:
    """Of grey images the mean colour of the world at their luma; of a hole, zeros."""
    if isinstance(degradation, Grey):
        world = render_scenes(range(256), seed=_RENDER_SEED + 1, size=32).images
        colour = world.mean(dim=(0, 2, 3)) - degradation.apply(world).mean()
        return {"mean_colour": observed + colour[:, None, None]}
    return {"zero_fill": observed} if isinstance(degradation, Hole) else {}


def by_drag(generator: Generator, n_drags: int) -> dict[str, float]:
    """How far from their targets points end; features are followed by the drag itself."""
    size, ends, ways = generator.image_size, [], []
    for number in range(n_drags):
        random = stream(_DRAG_SEED, number)
        latent = generator.convert(generator.sample([number], seed=_DRAG_SEED), "w+")
        angle, way = random.uniform(0, 2 * np.pi), random.uniform(6, 12)
        point = random.uniform(way, size - 1 - way, 2)
        target = point + way * np.array([np.sin(angle), np.cos(angle)])
        done = drag(
            generator, latent, [(point[0], point[1])], [(target[0], target[1])],
            DragSettings(n_steps=40),
        )  # fmt: skip
        ends.append(done.distances[0])
        ways.append(way)
    found = {
        "drags": n_drags,
        "mean_way": round(float(np.mean(ways)), 2),
        "mean_left": round(float(np.mean(ends)), 2),
        "arrived": round(float(np.mean(np.array(ends) <= 1)), 2),
    }
    _say("drags", found)
    return found


def _say(name: str, row: object) -> None:
    print(name, json.dumps(row), file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generator", default="scenes-stylegan2")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--starts", type=int, default=4)
    parser.add_argument("--drags", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    generator = load_generator(options.generator)
    n, settings = options.images, {"n_steps": options.steps, "n_starts": options.starts}
    with torch.no_grad():
        samples = generator.synthesize(generator.sample(range(n), seed=_SAMPLE_SEED)).clamp(-1, 1)
    renders = render_scenes(range(n), seed=_RENDER_SEED, size=generator.image_size).images
    found = {
        "generator": generator.name,
        "weights": generator.fingerprint[:12],
        "images": n,
        **settings,
        "samples": by_space(generator, samples, settings),
        "renders": by_space(generator, renders, settings),
        "tasks": by_task(generator, renders, settings),
        "drag": by_drag(generator, options.drags),
    }
    print(json.dumps(found) if options.json else json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
